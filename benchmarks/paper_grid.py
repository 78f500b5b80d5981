"""The paper's grid, frames a second by resolution: one second of video with and without gazing.

The tower has SigLIP2-SO400M's sizes and random weights; it encodes a frame in views of 224 pixels
and clips of up to 16 frames. *Off*: all 196 finest cells of a view, every frame alone. *On*:
AutoGaze (released size, random weights) at the gazing ratio that the paper's figure gives for the
cell, and the kept cells, block-causal. Both begin at uint8 pixels. Two settings:

- paper: fp32, no fused attention in the tower, in either arm.
- people: a half type and variable-length attention on CUDA; on a CPU the fused kernel, and bfloat16
  where its products are faster than fp32's. AutoGaze in its own default type.

Cells go from small to large. What does not fit into --max-minutes is listed as not run.

    python benchmarks/paper_grid.py                  # writes benchmarks/results/paper_grid.jsonl
    python benchmarks/paper_grid.py --device cuda --max-minutes 9
    python benchmarks/paper_grid.py --quick
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from measure import (  # noqa: E402
    Clock,
    Rows,
    by_turns,
    median_ms,
    parser,
    result_file,
    times_faster,
)
from torch import Tensor  # noqa: E402
from towers import (  # noqa: E402
    encode_all,
    encode_dense,
    encode_kept,
    finest,
    random_tower,
    tower_config,
)

from gaze.config import autogaze_base  # noqa: E402
from gaze.model import AutoGaze  # noqa: E402
from gaze.preprocess import RESCALE, normalize  # noqa: E402
from gaze.vit import Kept  # noqa: E402
from hlvid.console import progress  # noqa: E402

BENCHMARK = "paper_grid"
FIGURES = Path(__file__).with_name("paper_figures.json")
TOWER = "SigLIP2-SO400M/16"
VIEW = 224
CLIP_FRAMES = 16
ROUNDS = 3
CLIPS_AT_ONCE = {"cpu": (4, 16), "cuda": (64, 256)}
"""Off and on: clips whose activations are in memory together."""
Setting = Literal["paper", "people"]
SETTINGS: tuple[Setting, ...] = ("paper", "people")


@dataclass(frozen=True)
class Second:
    """One second of video, as a cell of the grid."""

    fps: int
    resolution: int
    gazing_ratio: float
    """That the paper's figure gives."""

    @property
    def num_views(self) -> int:
        """Views of a frame."""
        return (self.resolution // VIEW) ** 2

    def batches(self, clips_at_once: int) -> Iterator[tuple[int, int]]:
        """(clips, frames) of what is encoded together."""
        whole, rest = divmod(self.fps, CLIP_FRAMES)
        for frames in [CLIP_FRAMES] * whole + [rest] * (rest > 0):
            for first in range(0, self.num_views, clips_at_once):
                yield min(clips_at_once, self.num_views - first), frames


class Arms:
    """The two ways to encode a second, in one setting on one device."""

    def __init__(self, setting: Setting, device: torch.device) -> None:
        self.device, self.is_dense = device, setting == "paper"
        self.dtype, gaze_dtype = dtypes(setting, device)
        config = autogaze_base()
        self.model = AutoGaze.from_seed(config, 0, device=device, dtype=gaze_dtype)
        sizes = tower_config(TOWER, scales=config.scales)
        self.tower = random_tower(sizes, device=device, dtype=self.dtype)
        self.clips = CLIPS_AT_ONCE[device.type]
        shape = (max(self.clips), CLIP_FRAMES, 3, VIEW, VIEW)
        generator = torch.Generator(device).manual_seed(0)
        self.pixels = torch.randint(
            0, 256, shape, dtype=torch.uint8, device=device, generator=generator
        )

    def video(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, S, S) as SigLIP reads it."""
        return (pixels.float() * RESCALE - 1).to(self.dtype)

    def off(self, second: Second, _: Clock) -> None:
        """The tower alone."""
        for clips, frames in second.batches(self.clips[0]):
            kept = finest(self.tower.config, clips=clips, frames=frames, device=self.device)
            self._encode(self.pixels[:clips, :frames], kept, is_on=False)

    def on(self, second: Second, clock: Clock) -> None:
        """Gaze, then the tower, batch by batch: a mark after each."""
        for number, (clips, frames) in enumerate(second.batches(self.clips[1])):
            if number:
                clock.mark()
            pixels = self.pixels[:clips, :frames]
            gaze = self.model.select(normalize(pixels), gazing_ratio=second.gazing_ratio)
            kept = Kept.from_gaze(gaze)
            clock.mark()
            self._encode(pixels, kept, is_on=True)

    def _encode(self, pixels: Tensor, kept: Kept, *, is_on: bool) -> None:
        if self.is_dense:
            encode_dense(self.tower, self.video(pixels), kept, is_causal=is_on)
            return
        encode = encode_kept if is_on else encode_all
        encode(self.tower, self.video(pixels), kept)


def dtypes(setting: Setting, device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """The tower's type and AutoGaze's."""
    if setting == "paper":
        return torch.float32, torch.float32
    if device.type == "cuda":
        return torch.bfloat16, torch.float16
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(1024, 1024, dtype=dtype)
        a @ a
        began = time.perf_counter()
        for _ in range(4):
            a @ a
        seconds[dtype] = time.perf_counter() - began
    return min(seconds, key=lambda dtype: seconds[dtype]), torch.float32


def grid() -> list[Second]:
    """The paper's cells from small to large."""
    cells = json.loads(FIGURES.read_text(encoding="utf-8"))["cells"]
    found = [Second(cell["fps"], cell["resolution"], cell["gazing_ratio"]) for cell in cells]
    return sorted(found, key=lambda second: second.fps * second.num_views)


def measure(second: Second, arms: Arms, rounds: int) -> dict[str, object]:
    """Time both arms of a cell."""
    ways = {"off": partial(arms.off, second), "on": partial(arms.on, second)}
    if arms.device.type == "cuda":
        by_turns(ways, rounds=1, device=arms.device)  # graphs are captured, kernels compiled
    found = by_turns(ways, rounds=rounds, device=arms.device)
    off, on = ([sum(stages) for stages in found[way]] for way in ("off", "on"))
    cap = arms.model.config.cap(second.gazing_ratio)
    return {
        "paper_gazing_ratio": second.gazing_ratio,
        "gazing_ratio": round(cap / arms.model.config.num_cells, 4),
        "tokens_off": second.fps * second.num_views * arms.tower.config.cells_per_scale[-1],
        "tokens_on": second.fps * second.num_views * cap,
        "tower_dtype": str(arms.dtype).removeprefix("torch."),
        "rounds": rounds,
        "off_ms": median_ms(off),
        "gaze_ms": median_ms([sum(stages[::2]) for stages in found["on"]]),
        "tower_on_ms": median_ms([sum(stages[1::2]) for stages in found["on"]]),
        "on_ms": median_ms(on),
        **times_faster(off, on),
    }


def run(asked: argparse.Namespace, rows: Rows) -> None:
    """All cells that fit into the time, the larger settings' last."""
    stop = time.monotonic() + 60 * asked.max_minutes
    device = torch.device(asked.device)
    cells = grid()[:1] if asked.quick else grid()
    with progress(len(SETTINGS) * len(cells), BENCHMARK) as bar:
        for number, setting in enumerate(SETTINGS, 1):
            arms = Arms(setting, device)
            if not asked.quick:
                measure(cells[0], arms, 1)  # to warm up
            began = time.monotonic()
            share = began + (stop - began) * number / len(SETTINGS)
            seconds_a_frame = 0.0
            for second in cells:
                key: dict[str, object] = {"setting": setting, "fps": second.fps}
                key["resolution"] = second.resolution
                bar.advance(note=f"{setting}, {second.fps} frames of {second.resolution} pixels")
                if rows.find("cell", **key) or rows.find("not run", **key):
                    continue
                frames = second.fps * second.num_views
                seconds = seconds_a_frame * frames
                left = share - time.monotonic()
                if seconds > left:
                    reason = (
                        f"about {seconds:.0f} s, more than was left of {asked.max_minutes:g} min"
                    )
                    rows.add("not run", **key, reason=reason)
                    continue
                rounds = ROUNDS if ROUNDS * seconds <= left and not asked.quick else 1
                try:
                    row = rows.add("cell", **key, **measure(second, arms, rounds))
                except torch.OutOfMemoryError:
                    rows.add("not run", **key, reason="out of the device's memory")
                    continue
                seconds_a_frame = (row["off_ms"] + row["on_ms"]) / frames / 1e3


def main() -> None:
    """Run what the command line asks for."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--max-minutes", type=float, default=4.0)
    asked = options.parse_args()
    settings = {"device": asked.device, "max_minutes": asked.max_minutes, "tower": TOWER}
    settings["threads"] = torch.get_num_threads()
    with torch.no_grad(), Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows:
        run(asked, rows)


if __name__ == "__main__":
    main()
