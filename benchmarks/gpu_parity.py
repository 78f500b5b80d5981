"""Right first: every kernel against its oracle, the engine against the released choices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from gpu_arm import DEVICE, FRAMES, RATIO, Arm, Line, moving_video
from torch import Tensor
from torch.nn import functional as F

from gaze.attention import Backend, Lanes, attend
from gaze.choose import choose
from gaze.config import autogaze_base
from gaze.cuda.attention import has_flash
from gaze.cuda.check import choose_on_device
from gaze.cuda.packed import Products
from gaze.gazes import Gaze
from gaze.model import AutoGaze

WORKING: tuple[tuple[torch.dtype, Products], ...] = (
    (torch.float16, "working"),
    (torch.bfloat16, "working"),
    (torch.bfloat16, "tf32"),
)
"""Types of the cache, and of what is multiplied."""
FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "autogaze"


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm, in fp64; NaN never passes."""
    difference = (found.double() - expected.double()).norm()
    return float(difference / expected.double().norm().clamp(min=1e-30))


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
        backends: tuple[Backend, ...] = ("triton", "flash")
        for backend in backends:
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
                found = attend(q, k, v, lanes, backend=backend)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    captured = attend(q, k, v, lanes, backend=backend)
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
        found = choose_on_device(
            logits, losses, used=used, cap=cap, threshold=threshold, taken=taken
        )
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
    model = AutoGaze.from_pretrained(FIXTURES, device=DEVICE, dtype=torch.float32)
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
    for dtype, products in WORKING:
        # Weights and pixels keep all their bits where products are not of the working type.
        given = dtype if products == "working" else torch.float32
        loaded = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE, dtype=given)
        arm = Arm(loaded, slots=clips, cap=cap, dtype=dtype, products=products)
        arm.run(video.to(given))
        free = overlap(arm.gaze(clips), expected)
        slots = arm.engine.slots
        slots.forced.copy_(truth.ids)
        slots.forced_padded.copy_(truth.padded)
        arm.engine.is_forced = True
        arm.run(video.to(given))
        share = float((slots.ids == truth.ids).float().mean())
        yield {
            "what": "teacher-forced agreement with fp32",
            "dtype": str(dtype),
            "products": products,
            "agreement": share,
            "free_overlap": free,
            "slots": slots.ids.numel(),
            "target": 0.995,
            "meets_target": share >= 0.995,
        }


def select() -> Iterator[Line]:
    """The public call on CUDA, fp32: two clips a video, a threshold, forbidden cells, a resize."""
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
