"""Measure everything about the GPU path of AutoGaze: right first, then fast. JSON lines out.

Needs torch (2.11 or later, with CUDA), triton, numpy and safetensors; no video library, no hub.
Each section is guarded: one that fails is an error line, and the others go on. The last line says what
was not run. Released weights are not needed: the timed model has the released sizes and seeded random
weights, so nothing here speaks of accuracy.

    python benchmarks/gpu_check.py --out benchmarks/results/gpu_check.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from gaze.attention import Lanes, attend  # noqa: E402
from gaze.config import autogaze_base  # noqa: E402
from gaze.cuda.attention import has_flash  # noqa: E402
from gaze.gazes import Gaze  # noqa: E402
from gaze.model import AutoGaze  # noqa: E402

MODEL_MS = {15: 0.25, 26: 0.31, 53: 0.48, 198: 1.74}
"""Predicted milliseconds a clip at large batch on an H100 in bf16, by cap."""
RATIO = {15: 0.06, 26: 0.1, 53: 0.2, 198: 0.75}
FRAMES = 16
FIXTURES = ROOT / "tests" / "fixtures" / "autogaze"
DEVICE = torch.device("cuda")
Line = dict[str, Any]


def moving_video(batch: int, frames: int, *, seed: int, dtype: torch.dtype) -> Tensor:
    """(B, T, 3, 224, 224) smooth drifting noise on the device."""
    generator = torch.Generator(DEVICE).manual_seed(seed)
    base = torch.randn(batch, 1, 3, 14, 14, device=DEVICE, generator=generator)
    drift = 0.4 * torch.randn(batch, frames, 3, 14, 14, device=DEVICE, generator=generator)
    small = (base + drift.cumsum(1)).flatten(0, 1)
    parts = [F.interpolate(part, size=(224, 224), mode="bilinear").to(dtype) for part in small.split(4096)]
    return torch.cat(parts).unflatten(0, (batch, frames))


def timed(work: Callable[[], object], *, repeats: int) -> Line:
    """Median milliseconds, by device events and by the clock, after two warm-ups."""
    for _ in range(2):
        work()
    device_ms, wall_ms = [], []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        began = time.perf_counter()
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize()
        wall_ms.append((time.perf_counter() - began) * 1e3)
        device_ms.append(start.elapsed_time(stop))
    return {
        "ms": round(float(np.median(device_ms)), 4),
        "wall_ms": round(float(np.median(wall_ms)), 4),
        "ms_spread": [round(min(device_ms), 4), round(max(device_ms), 4)],
        "repeats": repeats,
    }


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm, in fp64; NaN never passes."""
    difference = (found.double() - expected.double()).norm()
    return float(difference / expected.double().norm().clamp(min=1e-30))


def machine() -> Iterator[Line]:
    """What it runs on, and the two ceilings, measured."""
    properties = torch.cuda.get_device_properties(0)
    a = torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16)
    product = timed(lambda: a @ a, repeats=10)
    big = torch.randn(1 << 29, device=DEVICE)
    copy = timed(lambda: big.clone(), repeats=10)
    yield {
        "gpu": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "multiprocessors": properties.multi_processor_count,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": __import__("triton").__version__,
        "bf16_tflops": round(2 * 8192**3 / product["ms"] / 1e9, 1),
        "copy_tb_per_s": round(2 * big.numel() * 4 / copy["ms"] / 1e9, 2),
        "has_flash_seqused_k": has_flash(),
    }


def random_lanes(rows: int, slot_rows: int, lengths: list[int]) -> Lanes:
    """Lanes of equal rows over slots of a cache."""
    count = len(lengths)
    index = torch.arange(count + 1, device=DEVICE, dtype=torch.int32)
    return Lanes(
        q_start=index * rows,
        k_start=index[:-1] * slot_rows,
        k_len=torch.tensor(lengths, device=DEVICE, dtype=torch.int32),
        max_q=rows,
        max_k=slot_rows,
        causal=True,
    )


def attention() -> Iterator[Line]:
    """Every backend against the masked oracle in fp32, outside and inside a graph."""
    slot_rows = 6336
    lengths = [0, 10, 196, 206, 207, 1000, 1777, 3562, 6300]
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for backend in ("triton", "flash"):
            if backend == "flash" and (dtype == torch.float32 or not has_flash()):
                continue
            for rows in (206, 10, 1):
                lanes = random_lanes(rows, slot_rows, lengths)
                q = torch.randn(rows * len(lengths), 6, 32, device=DEVICE, dtype=dtype)
                k, v = (
                    torch.randn(slot_rows * len(lengths), 6, 32, device=DEVICE, dtype=dtype)
                    for _ in range(2)
                )
                expected = attend(q.float(), k.float(), v.float(), lanes, backend="masked")
                found = attend(q, k, v, lanes, backend=backend)  # type: ignore[arg-type]
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    captured = attend(q, k, v, lanes, backend=backend)  # type: ignore[arg-type]
                lanes.k_len.copy_(lanes.k_len.flip(0))
                graph.replay()
                again = attend(q.float(), k.float(), v.float(), lanes, backend="masked")
                errors = [relative_error(found, expected), relative_error(captured, again)]
                limit = 1e-5 if dtype == torch.float32 else 1e-2
                yield {
                    "backend": backend,
                    "dtype": str(dtype),
                    "rows": rows,
                    "error": errors[0],
                    "error_in_graph": errors[1],
                    "ok": max(errors) < limit,
                }


def choosing() -> Iterator[Line]:
    """The fused choose kernel against its vectorised oracle, over many random states."""
    from gaze.choose import choose
    from gaze.cuda.check import choose_on_device

    generator = torch.Generator(DEVICE).manual_seed(5)
    wrong, cases = 0, 0
    for trial in range(20):
        lanes = 512
        logits = torch.randn(lanes, 10, 266, device=DEVICE, generator=generator)
        if trial % 2:
            logits = (logits * 2).round()  # ties
        losses = torch.randn(lanes, 10, device=DEVICE, generator=generator)
        taken = torch.rand(lanes, 265, device=DEVICE, generator=generator)
        taken = taken < torch.rand(lanes, 1, device=DEVICE, generator=generator).pow(0.2)
        used = taken.sum(1)
        cap = used + torch.randint(1, 40, (lanes,), device=DEVICE, generator=generator)
        used = used * (torch.rand(lanes, device=DEVICE, generator=generator) < 0.8)
        threshold = torch.randn(lanes, device=DEVICE, generator=generator) - 1.5
        found = choose_on_device(logits, losses, used=used, cap=cap, threshold=threshold, taken=taken)
        expected = choose(
            logits, losses, used=used, cap=cap, threshold=threshold, taken=taken.clone()
        )
        is_emitted = torch.arange(10, device=DEVICE) < expected.num_emitted[:, None]
        is_pending = torch.arange(10, device=DEVICE) < expected.num_pending[:, None]
        same = (found.num_emitted == expected.num_emitted) & (found.is_end == expected.is_end)
        same &= ((found.ids == expected.ids) | ~is_emitted).all(1)
        same &= ((found.is_padded == expected.is_padded) | ~is_emitted).all(1)
        same &= found.num_pending == expected.num_pending
        same &= ((found.pending == expected.pending) | ~is_pending).all(1)
        wrong += int((~same).sum())
        cases += lanes
    yield {"cases": cases, "wrong": wrong, "ok": wrong == 0}


def fixtures() -> Iterator[Line]:
    """fp32 on the GPU, plain path with Triton attention, against the released outputs."""
    cases = json.loads((FIXTURES / "cases.json").read_text())["cases"]
    outputs = np.load(FIXTURES / "outputs.npz")
    model = AutoGaze.from_pretrained(FIXTURES, device=DEVICE)
    for case in (case for case in cases if "args" in case):
        name, random = case["name"], np.random.RandomState(case["video_seed"])
        base = random.standard_normal((case["batch"], 1, 3, 14, 14)).astype(np.float32)
        shape = (case["batch"], case["frames"], 3, 14, 14)
        drift = (0.4 * random.standard_normal(shape)).astype(np.float32)
        small = torch.from_numpy(base + drift.cumsum(1)).flatten(0, 1)
        side = (case["size"], case["size"])
        video = F.interpolate(small, size=side, mode="bilinear").unflatten(0, shape[:2]).to(DEVICE)
        gaze = model.select(video, batch_rule="released", **case["args"])
        padded = outputs[f"{name}.if_padded_gazing"]
        same = gaze.is_padding.cpu().numpy().shape == padded.shape
        same = same and bool((gaze.is_padding.cpu().numpy() == padded).all())
        positions = outputs[f"{name}.gazing_pos"]
        same = same and bool((gaze.positions.cpu().numpy() == positions)[~padded].all())
        line: Line = {"case": name, "ok": same}
        if same and f"{name}.log_action_probs" in outputs.files:
            score = model.log_prob(video, gaze)
            difference = score.log_prob.cpu().numpy() - outputs[f"{name}.log_action_probs"]
            line["log_prob_error"] = float(np.abs(difference[~padded]).max())
            line["ok"] = line["log_prob_error"] < 1e-4
        yield line


class Arm:
    """An engine with its model: encode, decode, read."""

    def __init__(self, model: AutoGaze, *, slots: int, cap: int, dtype: torch.dtype, **more: Any) -> None:
        from gaze.cuda.engine import Engine

        self.caps = [cap] * FRAMES
        self.engine = Engine(
            model.encoder, model.decoder, num_slots=slots, caps=self.caps, dtype=dtype, **more
        )
        self.cap = torch.tensor(self.caps, device=DEVICE, dtype=torch.int32)
        self.blocks = [-(-cap // model.config.tokens_per_forward) - 1] * FRAMES
        self.cells = model.config.cells_per_scale

    def run(self, video: Tensor, threshold: float | None = None, schedule: str = "lock-step") -> None:
        """Encode and decode; nothing is read."""
        self.engine.features(video)
        self.decode(video.shape[0], threshold, schedule)

    def decode(self, clips: int, threshold: float | None = None, schedule: str = "lock-step") -> None:
        """Decode what is encoded."""
        if threshold is None:
            self.engine.decode(clips=clips, cap=self.cap, blocks_per_frame=self.blocks)
            return
        limit = torch.full((FRAMES,), threshold, device=DEVICE)
        self.engine.decode(clips=clips, cap=self.cap, threshold=limit, schedule=schedule)  # type: ignore[arg-type]

    def gaze(self, clips: int) -> Gaze:
        """The answers."""
        return Gaze.from_frames(self.engine.frames(clips), self.cells)


def overlap(a: Gaze, b: Gaze) -> float:
    """Mean intersection over union of the kept cells, a frame."""
    both = (a.mask & b.mask).sum(-1).float()
    return float((both / (a.mask | b.mask).sum(-1).clamp(min=1)).mean())


def agreement() -> Iterator[Line]:
    """Working types against fp32: teacher-forced arg max, and free-running overlap."""
    model = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE)
    clips, cap = 64, 26
    video = moving_video(clips, FRAMES, seed=1, dtype=torch.float32)
    oracle = Arm(model, slots=clips, cap=cap, dtype=torch.float32)
    oracle.run(video)
    expected, truth = oracle.gaze(clips), oracle.engine.slots
    # A group without a threshold is decoded by the plain path, to the same choices.
    plain = model.select(video[:8], gazing_ratio=RATIO[cap], batch_rule="released")
    yield {
        "what": "fp32 kernels against the plain path",
        "same_slots": float((plain.positions == expected.positions[:8]).float().mean()),
        "ok": torch.equal(plain.positions, expected.positions[:8]),
    }
    for dtype in (torch.float16, torch.bfloat16):
        arm = Arm(model, slots=clips, cap=cap, dtype=dtype)
        arm.run(video.to(dtype))
        free = overlap(arm.gaze(clips), expected)
        slots = arm.engine.slots
        slots.forced.copy_(truth.ids)
        slots.forced_padded.copy_(truth.padded)
        arm.engine.is_forced = True
        arm.run(video.to(dtype))
        share = float((slots.ids == truth.ids).float().mean())
        yield {
            "what": "teacher-forced agreement with fp32",
            "dtype": str(dtype),
            "agreement": share,
            "free_overlap": free,
            "slots": slots.ids.numel(),
            "target": 0.995,
            "meets_target": share >= 0.995,
        }


def select() -> Iterator[Line]:
    """The public call on CUDA, fp32: two clips of a video, thresholds, forbidden cells, a resize."""
    model = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE)
    video = moving_video(3, 20, seed=9, dtype=torch.float32)
    score = model.log_prob(video[:, :16], model.select(video[:, :16], gazing_ratio=0.1))
    limit = float(score.predicted_loss.quantile(0.1))
    forbidden = torch.rand(3, 265, device=DEVICE) < 0.3
    for size in (224, 192):
        frames = F.interpolate(video.flatten(0, 1), size=(size, size)).unflatten(0, (3, 20))
        controls: Line = {"gazing_ratio": 0.3, "task_loss_requirement": limit}
        together = model.select(frames, forbidden=forbidden, **controls)
        alone = [
            model.select(
                frames[i : i + 1], forbidden=forbidden[i : i + 1], batch_rule="released", **controls
            )
            for i in range(3)
        ]
        same = all(torch.equal(together.mask[i], one.mask[0]) for i, one in enumerate(alone))
        yield {"size": size, "kept_ratio": float(together.ratio.mean()), "ok": same}


def invariance() -> Iterator[Line]:
    """A clip alone, among others, in another lane: the same bits."""
    model = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE)
    video = moving_video(40, FRAMES, seed=2, dtype=torch.bfloat16)
    many = Arm(model, slots=64, cap=26, dtype=torch.bfloat16)
    many.run(video)
    among, scores = many.gaze(40), many.engine.scores[7].clone()
    order = torch.randperm(40, device=DEVICE)
    many.run(video[order])
    shuffled = many.gaze(40)
    one = Arm(model, slots=1, cap=26, dtype=torch.bfloat16)
    one.run(video[7:8])
    yield {
        "ok": torch.equal(among.positions[order], shuffled.positions)
        and torch.equal(one.gaze(1).positions[0], among.positions[7])
        and torch.equal(one.engine.scores[0], scores),
    }


def lock_step() -> Iterator[Line]:
    """Without a threshold: the pure replay, and the targets."""
    model = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE)
    cases = [(26, 1), (26, 45), (26, 512), (26, 2048), (15, 2048), (53, 2048), (198, 1), (198, 512)]
    for cap, clips in cases:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        video = moving_video(clips, FRAMES, seed=3, dtype=torch.bfloat16)
        held = torch.cuda.memory_allocated()
        arm = Arm(model, slots=clips, cap=cap, dtype=torch.bfloat16)
        repeats = 20 if clips < 512 else 3
        whole = timed(lambda arm=arm, video=video: arm.run(video), repeats=repeats)
        encode = timed(lambda arm=arm, video=video: arm.engine.features(video), repeats=repeats)
        yield {
            "cap": cap,
            "clips": clips,
            **whole,
            "encoder_ms": encode["ms"],
            "ms_a_clip": round(whole["ms"] / clips, 4),
            "clips_a_second": round(clips / whole["ms"] * 1e3, 1),
            "model_ms_a_clip_large_batch": MODEL_MS[cap],
            "peak_gib": round((torch.cuda.max_memory_allocated() - held) / 2**30, 2),
            "target": {(26, 1): "<= 10 ms", (26, 45): "<= 30 ms"}.get((cap, clips), ">= 2000/s")
            if cap == 26
            else None,
        }
        del arm, video


def calibrate(arm: Arm, video: Tensor, kept: float) -> float:
    """A threshold at which about ``kept`` of the cells remain."""
    low, high = -4.0, 4.0
    for _ in range(14):
        middle = (low + high) / 2
        arm.run(video, middle)
        ratio = float(arm.gaze(video.shape[0]).ratio.mean())
        low, high = (middle, high) if ratio > kept else (low, middle)
    return (low + high) / 2


def threshold() -> Iterator[Line]:
    """Cap 198 and a threshold that keeps about a tenth: lock-step and rounds."""
    model = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE)
    limit = None
    for clips in (45, 1440, 1):
        torch.cuda.empty_cache()
        video = moving_video(clips, FRAMES, seed=4, dtype=torch.bfloat16)
        arm = Arm(model, slots=clips, cap=198, dtype=torch.bfloat16)
        if limit is None:
            limit = calibrate(arm, video, 0.1)
        found = {}
        for schedule in ("lock-step", "rounds"):
            work = lambda arm=arm, video=video, s=schedule: arm.run(video, limit, s)  # noqa: E731
            line = timed(work, repeats=10 if clips < 512 else 3)
            found[schedule] = arm.gaze(clips)
            yield {
                "schedule": schedule,
                "clips": clips,
                **line,
                "clips_a_second": round(clips / line["ms"] * 1e3, 1),
                "kept_ratio": float(found[schedule].ratio.mean()),
                "slots_a_frame": float(arm.engine.slots.count[:clips].float().mean()),
            }
        same = torch.equal(found["lock-step"].mask, found["rounds"].mask)
        yield {"what": "rounds choose what lock-step chooses", "clips": clips, "ok": same}
        del arm, video


UPSTREAM: list[Path] = []


def upstream() -> Iterator[Line]:
    """The released implementation on the same card, with the same weights and clips."""
    from upstream import load_upstream, select

    config = autogaze_base()
    theirs = load_upstream(UPSTREAM[0], config, seed=0).to(DEVICE)
    ours = AutoGaze.from_seed(config, 0, device=DEVICE)
    video = moving_video(4, FRAMES, seed=6, dtype=torch.float32)
    found = select(theirs, video[:1], gazing_ratio=RATIO[26])
    same = torch.equal(found, ours.select(video[:1], gazing_ratio=RATIO[26]).positions)
    yield {"what": "the same choices, fp32, one clip", "ok": same}
    for dtype in (torch.float32, torch.bfloat16):
        theirs = theirs.to(dtype)
        for clips in (1, 4):
            part = video[:clips].to(dtype)
            their_time = timed(lambda p=part: select(theirs, p, gazing_ratio=RATIO[26]), repeats=3)
            arm = Arm(ours, slots=clips, cap=26, dtype=dtype)
            our_time = timed(lambda arm=arm, p=part: (arm.run(p), arm.gaze(p.shape[0])), repeats=10)
            yield {
                "dtype": str(dtype),
                "clips": clips,
                "upstream_ms": their_time["wall_ms"],
                "ours_ms": our_time["wall_ms"],
                "times_faster": round(their_time["wall_ms"] / our_time["wall_ms"], 1),
            }


SECTIONS: dict[str, Callable[[], Iterator[Line]]] = {
    "machine": machine,
    "attention": attention,
    "choose": choosing,
    "fixtures": fixtures,
    "agreement": agreement,
    "select": select,
    "invariance": invariance,
    "lock_step": lock_step,
    "threshold": threshold,
    "upstream": upstream,
}
NOT_RUN = {
    "towers": "the second stage, which needs transformers",
    "reconstruction_loss": "needs the released VideoMAE weights",
    "released_weights": "research-only weights were not on the machine: seeded random ones were timed",
}


def main() -> int:
    """Run the sections asked for; 0 when every check passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/gpu_check.jsonl")
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--upstream", type=Path, help="a checkout of NVlabs/AutoGaze")
    arguments = parser.parse_args()
    if arguments.upstream is None:
        arguments.only = [name for name in arguments.only if name != "upstream"]
    else:
        UPSTREAM.append(arguments.upstream)
    if not torch.cuda.is_available():
        sys.stderr.write("gpu_check: no CUDA device. Run it where there is one.\n")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    failed = False
    with arguments.out.open("w", encoding="utf-8") as file:

        def emit(line: Line) -> None:
            text = json.dumps(line)
            file.write(text + "\n")
            file.flush()
            print(text, flush=True)

        for name in arguments.only:
            began = time.perf_counter()
            try:
                for line in SECTIONS[name]():
                    failed |= line.get("ok") is False
                    emit({"section": name, **line})
            except Exception as error:  # noqa: BLE001  (the other sections go on)
                failed = True
                sys.stderr.write(traceback.format_exc())
                emit({"section": name, "ok": False, "error": f"{type(error).__name__}: {error}"[:500]})
            emit({"section": name, "seconds": round(time.perf_counter() - began, 1)})
        skipped = {name: "not asked for" for name in SECTIONS if name not in arguments.only}
        if arguments.upstream is None:
            skipped["upstream"] = "needs a checkout (--upstream) and transformers 4.51 beside torch"
        emit({"section": "not_run", **NOT_RUN, **skipped})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
