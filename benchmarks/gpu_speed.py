"""Then fast: ceilings, lock-step, thresholds, the released code, a tower with and without gaze."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from gpu_arm import DEVICE, FRAMES, RATIO, Arm, Line, moving_video, timed
from torch import Tensor
from upstream import load_upstream
from upstream import select as upstream_select

from gaze.config import autogaze_base
from gaze.cuda.attention import has_flash
from gaze.cuda.engine import Schedule
from gaze.cuda.packed import Products
from gaze.model import AutoGaze
from gaze.vit import GazedVit, Kept, siglip2_so400m

MODEL_MS = {15: 0.25, 26: 0.31, 53: 0.48, 198: 1.74}
"""Predicted milliseconds a clip at large batch on an H100 in bf16, by cap."""


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


def lock_step() -> Iterator[Line]:
    """Without a threshold: the pure replay, and the targets."""
    model = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE)
    half, other = torch.bfloat16, torch.float16
    cases: list[tuple[int, int, torch.dtype, Products]]
    cases = [(26, clips, half, "working") for clips in (1, 45, 512, 2048)]
    cases += [(26, clips, other, "working") for clips in (1, 45, 512)]
    cases += [(26, clips, half, "tf32") for clips in (1, 45, 512)]
    cases += [(15, 2048, half, "working"), (53, 2048, half, "working")]
    cases += [(198, 1, half, "working"), (198, 512, half, "working")]
    targets = {1: "<= 10 ms", 45: "<= 30 ms", 512: ">= 2000 clips/s", 2048: ">= 2000 clips/s"}
    for cap, clips, dtype, products in cases:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        given = dtype if products == "working" else torch.float32
        video = moving_video(clips, FRAMES, seed=3, dtype=given)
        held = torch.cuda.memory_allocated()
        arm = Arm(model, slots=clips, cap=cap, dtype=dtype, products=products)
        repeats = 20 if clips < 512 else 3
        whole = timed(partial(arm.run, video), repeats=repeats)
        encode = timed(partial(arm.engine.features, video), repeats=repeats)
        yield {
            "cap": cap,
            "clips": clips,
            "dtype": str(dtype),
            "products": products,
            **whole,
            "encoder_ms": encode["ms"],
            "ms_a_clip": round(whole["ms"] / clips, 4),
            "clips_a_second": round(clips / whole["ms"] * 1e3, 1),
            "model_ms_a_clip_large_batch": MODEL_MS[cap],
            "peak_gib_without_input": round((torch.cuda.max_memory_allocated() - held) / 2**30, 2),
            "target": targets[clips] if cap == 26 else None,
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
        schedules: tuple[Schedule, ...] = ("lock-step", "rounds")
        for schedule in schedules:
            work = partial(arm.run, video, limit, schedule)
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


def upstream(checkout: Path) -> Iterator[Line]:
    """The released implementation on the same card, with the same weights and clips."""
    config = autogaze_base()
    theirs = load_upstream(checkout, config, seed=0).to(DEVICE)
    ours = AutoGaze.from_seed(config, 0, device=DEVICE)
    video = moving_video(4, FRAMES, seed=6, dtype=torch.float32)
    found = upstream_select(theirs, video[:1], gazing_ratio=RATIO[26])
    same = torch.equal(found, ours.select(video[:1], gazing_ratio=RATIO[26]).positions)
    yield {"what": "the same choices, fp32, one clip", "ok": same}
    for dtype in (torch.float32, torch.bfloat16):
        theirs = theirs.to(dtype)
        for clips in (1, 4):
            part = video[:clips].to(dtype)
            work = partial(upstream_select, theirs, part, gazing_ratio=RATIO[26])
            their_ms = timed(work, repeats=3)["wall_ms"]
            arm = Arm(ours, slots=clips, cap=26, dtype=dtype)
            our_ms = timed(partial(_run_and_read, arm, part), repeats=10)["wall_ms"]
            yield {
                "dtype": str(dtype),
                "clips": clips,
                "upstream_ms": their_ms,
                "ours_ms": our_ms,
                "times_faster": round(their_ms / our_ms, 1),
            }


def _run_and_read(arm: Arm, video: Tensor) -> None:
    arm.run(video)
    arm.gaze(video.shape[0])


def tower() -> Iterator[Line]:
    """SigLIP2-SO400M over four clips of 392 pixels: all finest cells, against kept cells and gaze.

    Both arms use the variable-length kernel. Kept cells are random: only their number matters here.
    Gaze's time is that of the four sub-tiles of each clip, their resampling left out.
    """
    clips, dtype = 4, torch.bfloat16
    shape = (clips, FRAMES, 3, 392, 392)
    video = torch.randn(shape, device=DEVICE, dtype=dtype)
    torch.manual_seed(0)
    dense = GazedVit(siglip2_so400m((392,))).to(DEVICE, dtype).eval().requires_grad_(False)
    everything = Kept.everything(batch=clips, frames=FRAMES, cells=28 * 28, device=DEVICE)
    full_ms = timed(partial(dense, video, everything), repeats=5)["ms"]
    yield {"kept": "all finest cells", "tokens": everything.cell.numel(), "tower_ms": full_ms}
    sparse = GazedVit(siglip2_so400m()).to(DEVICE, dtype).eval().requires_grad_(False)
    model = AutoGaze.from_seed(autogaze_base(), 0, device=DEVICE)
    tiles = moving_video(4 * clips, FRAMES, seed=7, dtype=dtype)
    for ratio in (0.25, 0.1, 0.05):
        cap = autogaze_base().cap(ratio)
        order = torch.rand(clips, FRAMES, 1060, device=DEVICE).argsort(-1)[..., : 4 * cap]
        index = torch.arange(order.numel(), device=DEVICE) // (4 * cap)
        clip, frame = index // FRAMES, index % FRAMES
        counts = torch.full((clips, FRAMES), 4 * cap, device=DEVICE)
        kept = Kept(clip=clip, frame=frame, cell=order.flatten(), counts=counts)
        tower_ms = timed(partial(sparse, video, kept), repeats=5)["ms"]
        arm = Arm(model, slots=4 * clips, cap=cap, dtype=dtype)
        gaze_ms = timed(partial(arm.run, tiles), repeats=10)["ms"]
        yield {
            "kept_ratio": ratio,
            "tokens": kept.cell.numel(),
            "tower_ms": tower_ms,
            "gaze_ms": gaze_ms,
            "times_faster_with_gaze": round(full_ms / (tower_ms + gaze_ms), 2),
            "times_faster_tower_alone": round(full_ms / tower_ms, 2),
        }
