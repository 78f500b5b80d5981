"""Where gazing pays on a CPU: a tower alone against gaze and tower, by tower size and kept ratio.

One clip of 16 frames, fp32. *Off* encodes every finest cell; *on* resizes and gazes (AutoGaze of
the released size), and encodes what was kept; both begin at uint8 pixels. All weights are random,
which changes no time: a ratio without a threshold keeps the same number of cells whatever is seen.
A view of 448 pixels is resized to 224 for the gaze, and a kept cell becomes four of the tower's.

Towers are run whole, never a few layers. Where a clip of 16 frames would take longer than is left
of --max-minutes, one of 4 frames is tried and labelled so; where that would too, the row says that
it was not run. A run that was stopped goes on with the same command.

    python benchmarks/break_even.py                 # writes benchmarks/results/break_even.jsonl
    python benchmarks/break_even.py --quick
    python benchmarks/break_even.py --towers SigLIP2-B/16 --ratios 0.05 0.1 --out /tmp/b16.jsonl
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from measure import (  # noqa: E402
    Clock,
    Row,
    Rows,
    by_turns,
    median_ms,
    parser,
    result_file,
    times_faster,
)
from torch import Tensor  # noqa: E402
from towers import (  # noqa: E402
    TOWERS,
    encode_all,
    encode_kept,
    finest,
    flops_per_token,
    random_tower,
    tower_config,
    widened,
)

from gaze.config import autogaze_base  # noqa: E402
from gaze.model import AutoGaze  # noqa: E402
from gaze.preprocess import RESCALE, preprocess_on_device  # noqa: E402
from gaze.vit import GazedVit, Kept  # noqa: E402
from hlvid.console import progress  # noqa: E402

BENCHMARK = "break_even"
RATIOS = (0.02, 0.05, 0.1, 0.25, 0.5)
"""Gazing ratios: shares of AutoGaze's own 265 cells of a frame."""
VIEWS = (224, 448)
"""Pixels of a side of what the tower sees."""
FRAMES = (16, 4)
ROUNDS = (3, 9)
"""At least and at most; as many as fit into `SECONDS_A_TOWER`."""
SECONDS_A_TOWER = 30
CPU = torch.device("cpu")


class Cell:
    """One tower over one view: the ways to encode it."""

    def __init__(
        self, tower: GazedVit, model: AutoGaze, *, view: int, frames: int, ratios: list[float]
    ) -> None:
        self.tower, self.model, self.ratios = tower, model, ratios
        self.times = view // model.config.image_size
        generator = torch.Generator().manual_seed(0)
        shape = (frames, 3, view, view)
        self.pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        self.everything = finest(tower.config, clips=1, frames=frames, device=CPU)

    def video(self) -> Tensor:
        """(1, T, 3, S, S) as SigLIP reads it."""
        return (self.pixels.float() * RESCALE - 1).unsqueeze(0)

    def kept(self, ratio: float) -> Kept:
        """Resize, gaze, and the places that were kept."""
        size = self.model.config.image_size
        seen = preprocess_on_device(self.pixels, size=(size, size)).unsqueeze(0)
        kept = Kept.from_gaze(self.model.select(seen, gazing_ratio=ratio))
        return widened(kept, self.model.config, self.times)

    def off(self, _: Clock) -> None:
        """The tower alone."""
        encode_all(self.tower, self.video(), self.everything)

    def on(self, ratio: float, clock: Clock) -> None:
        """Gaze, then the tower."""
        kept = self.kept(ratio)
        clock.mark()
        encode_kept(self.tower, self.video(), kept)

    def tokens_on(self, ratio: float) -> int:
        """Tokens that the tower encodes at a ratio."""
        frames = self.pixels.shape[0]
        return frames * self.model.config.cap(ratio) * self.times**2

    @property
    def flops_a_round(self) -> float:
        """Work of the tower's linear layers, all ways together."""
        tokens = self.everything.cell.numel() + sum(map(self.tokens_on, self.ratios))
        return float(flops_per_token(self.tower.config) * tokens)


def measure(cell: Cell, rows: Rows, rounds: int, key: dict[str, object]) -> None:
    """Time one cell and write a row for every ratio that is not there yet."""
    ways: dict[float, Callable[[Clock], object]] = {r: partial(cell.on, r) for r in cell.ratios}
    ways[1.0] = cell.off
    found = by_turns(ways, rounds=rounds)
    off = [sum(stages) for stages in found.pop(1.0)]
    parameters = sum(weight.numel() for weight in cell.tower.parameters())
    for ratio, stages in found.items():
        gaze, tower = zip(*stages, strict=True)
        on = [sum(both) for both in stages]
        off_ms, gaze_ms, tower_ms = map(median_ms, (off, gaze, tower))
        saved = off_ms - tower_ms
        rows.add(
            "cell",
            **key,
            gazing_ratio=ratio,
            parameters=parameters,
            frames=cell.pixels.shape[0],
            tokens_off=cell.everything.cell.numel(),
            tokens_on=cell.tokens_on(ratio),
            rounds=rounds,
            tower_off_ms=off_ms,
            gaze_ms=gaze_ms,
            tower_on_ms=tower_ms,
            **times_faster(off, on),
            selector_tax=round(gaze_ms / saved, 4) if saved > 0 else None,
            break_even_tower_ms=round(gaze_ms * off_ms / saved, 3) if saved > 0 else None,
        )


def flops_a_second() -> float:
    """fp32 matrix products a second, now: what a tower's time is first guessed from."""
    a = torch.randn(1024, 1024)
    a @ a
    began = time.perf_counter()
    for _ in range(8):
        a @ a
    return 8 * 2 * 1024**3 / (time.perf_counter() - began)


def achieved(row: Row) -> float:
    """Tokens a second that the tower alone encoded: what the next tower's time is guessed from."""
    return float(row["tokens_off"] / row["tower_off_ms"] * 1e3)


def run(asked: argparse.Namespace, rows: Rows) -> None:
    """All cells of the map that fit into the time."""
    stop = time.monotonic() + 60 * asked.max_minutes
    model = AutoGaze.from_seed(autogaze_base(), 0)
    rate = flops_a_second()
    cells = [(view, name) for view in asked.views for name in asked.towers]
    with progress(len(cells), BENCHMARK) as bar:
        for view, name in cells:
            key: dict[str, object] = {"tower": name, "view": view}
            bar.advance(0, f"{name} at {view}")
            if rows.find("cell", **key) or rows.find("not run", **key):
                bar.advance()
                continue
            scales = tuple(scale * view // 224 for scale in model.config.scales)
            tower = random_tower(tower_config(name, scales=scales))
            for frames in asked.frames:
                cell = Cell(tower, model, view=view, frames=frames, ratios=asked.ratios)
                seconds = cell.flops_a_round / rate
                if time.monotonic() + ROUNDS[0] * seconds <= stop:
                    cell.on(min(asked.ratios), Clock())
                    fitting = round(SECONDS_A_TOWER / seconds)
                    rounds = 1 if asked.quick else min(max(ROUNDS[0], fitting), ROUNDS[1])
                    measure(cell, rows, rounds, key)
                    rate = flops_per_token(tower.config) * achieved(rows.rows[-1])
                    break
            else:
                rows.add(
                    "not run",
                    **key,
                    reason=f"about {ROUNDS[0] * seconds:.0f} s for {asked.frames[-1]} frames, more "
                    f"than was left of {asked.max_minutes:g} minutes",
                )
            bar.advance()


def main() -> None:
    """Run what the command line asks for."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--towers", nargs="+", choices=list(TOWERS), default=list(TOWERS))
    options.add_argument("--views", nargs="+", type=int, choices=VIEWS, default=list(VIEWS))
    options.add_argument("--ratios", nargs="+", type=float, default=list(RATIOS))
    options.add_argument("--max-minutes", type=float, default=8.0)
    asked = options.parse_args()
    asked.frames = FRAMES
    if asked.quick:
        asked.towers, asked.views, asked.ratios, asked.frames = asked.towers[:1], [448], [0.1], (2,)
    settings = {"towers": asked.towers, "views": asked.views, "ratios": asked.ratios}
    settings |= {"max_minutes": asked.max_minutes, "threads": torch.get_num_threads()}
    settings["dtype"] = "float32"
    with torch.no_grad(), Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows:
        run(asked, rows)


if __name__ == "__main__":
    main()
