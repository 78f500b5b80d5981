"""What the GPU measurements share: clips, clocks, and one engine with its model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.cuda.engine import Engine, Schedule
from gaze.cuda.packed import Products
from gaze.gazes import Gaze
from gaze.model import AutoGaze

RATIO = {15: 0.06, 26: 0.1, 53: 0.2, 198: 0.75}
"""Gazing ratio of each cap."""
FRAMES = 16
DEVICE = torch.device("cuda")
Line = dict[str, Any]


def moving_video(batch: int, frames: int, *, seed: int, dtype: torch.dtype) -> Tensor:
    """(B, T, 3, 224, 224) smooth drifting noise on the device."""
    generator = torch.Generator(DEVICE).manual_seed(seed)
    base = torch.randn(batch, 1, 3, 14, 14, device=DEVICE, generator=generator)
    drift = 0.4 * torch.randn(batch, frames, 3, 14, 14, device=DEVICE, generator=generator)
    small = (base + drift.cumsum(1)).flatten(0, 1)
    parts = [
        F.interpolate(part, size=(224, 224), mode="bilinear").to(dtype)
        for part in small.split(4096)
    ]
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


class Arm:
    """An engine with its model: encode, decode, read."""

    def __init__(
        self,
        model: AutoGaze,
        *,
        slots: int,
        cap: int,
        dtype: torch.dtype,
        products: Products = "working",
    ) -> None:
        self.caps = [cap] * FRAMES
        self.engine = Engine(
            model.encoder,
            model.decoder,
            num_slots=slots,
            caps=self.caps,
            dtype=dtype,
            products=products,
        )
        self.cap = torch.tensor(self.caps, device=DEVICE, dtype=torch.int32)
        self.blocks = [-(-cap // model.config.tokens_per_forward) - 1] * FRAMES
        self.cells = model.config.cells_per_scale

    def run(
        self, video: Tensor, threshold: float | None = None, schedule: Schedule = "lock-step"
    ) -> None:
        """Encode and decode; nothing is read."""
        self.engine.features(video)
        self.decode(video.shape[0], threshold, schedule)

    def decode(
        self, clips: int, threshold: float | None = None, schedule: Schedule = "lock-step"
    ) -> None:
        """Decode what is encoded."""
        if threshold is None:
            self.engine.decode(clips=clips, cap=self.cap, blocks_per_frame=self.blocks)
            return
        limit = torch.full((FRAMES,), threshold, device=DEVICE)
        self.engine.decode(clips=clips, cap=self.cap, threshold=limit, schedule=schedule)

    def gaze(self, clips: int) -> Gaze:
        """The answers."""
        return Gaze.from_frames(self.engine.frames(clips), self.cells)
