"""Where gaze pays before an MLLM on a CPU: every selector and budget on canvases of several sizes.

A Qwen3-VL of small dimensions with random values sits one question about a 300 s 4K clip, through
the code that `hlvid-eval --model qwen --load-format dummy` runs: frames decoded once to the canvas,
every selector's choice, the kept tokens through the tower, the prompt, the answer. AutoGaze has the
released size and random weights. Nothing here speaks of accuracy, and the tower is far smaller than
a real one: a selector that pays here pays before any tower, and one that does not needs a tower
that costs at least what its row says.

With --long, instead: 1,024 whole 4K frames in one prompt, once. All of them would take 26 GB as a
canvas; here each reader of the canvas (the selector, the context stream, the tower) has them
decoded anew, in order, and nothing of them is kept. What then reads them is the same code.

    python benchmarks/mllm_break_even.py          # writes benchmarks/results/mllm_break_even.jsonl
    python benchmarks/mllm_break_even.py --long   # writes benchmarks/results/mllm_long.jsonl
    python benchmarks/mllm_break_even.py --quick
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from bench_video import HEIGHT, WIDTH, make_clip  # noqa: E402
from gaze_memory import write_model  # noqa: E402
from measure import Rows, parser, result_file  # noqa: E402

from evaluators.arms import OFF, make_arm  # noqa: E402
from evaluators.canvas import Canvas, decode  # noqa: E402
from evaluators.examinee import View  # noqa: E402
from evaluators.gazing import Chosen, Place, choose_all  # noqa: E402
from evaluators.halting import Halt  # noqa: E402
from evaluators.models.qwen import Qwen  # noqa: E402
from evaluators.timing import (  # noqa: E402
    END_TO_END,
    Stopwatch,
    charge,
    peak_memory_bytes,
    reset_peak_memory,
)
from hlvid.console import progress, say  # noqa: E402
from hlvid.prompt import render  # noqa: E402
from hlvid.types import ArmSettings, Question  # noqa: E402
from hlvid.video import Frame, VideoReader  # noqa: E402

BENCHMARK, LONG = "mllm_break_even", "mllm_long"
WEIGHTS = "small-qwen3-vl"
CANVASES = {1: "448x448", 8: "1792x896", 45: "4032x2240"}
"""By the number of views of 448 pixels."""
SELECTORS = (
    "autogaze",
    "change",
    "detail",
    "text",
    "random",
    "uniform",
    "centre",
    "centre-frame",
)
BUDGETS = (0.05, 0.1, 0.25)
NUM_FRAMES = 8
ROUNDS = {1: 5, 8: 3, 45: 1}
"""By the number of views."""
LONG_FRAMES, LONG_CANVAS = 1024, f"{WIDTH}x{HEIGHT}"
LONG_SELECTOR, LONG_BUDGET = "detail", 0.005
STEM, CHOICES = "What does the sign say?", ("Oak", "Elm", "Ash", "Fir")
QUESTION = Question(
    question_id="q",
    video_id="clip",
    category="bench",
    text=render(STEM, CHOICES),
    stem=STEM,
    choices=CHOICES,
    answer="A",
)


def make_model(canvas: str) -> Qwen:
    """The small model that sees frames of a size."""
    options = {"weights": WEIGHTS, "load_format": "dummy", "device": "cpu", "canvas": canvas}
    return Qwen.make(seed=0, options=options)


def make_arms(
    weights: str, selectors: Iterable[str], budgets: Iterable[float]
) -> list[ArmSettings]:
    """Off, and every selector at every budget."""
    own = {"autogaze": weights}
    arms = [make_arm(s, budget=b, weights=own.get(s)) for s in selectors for b in budgets]
    return [OFF, *arms]


def sit(model: Qwen, canvas: Canvas, arm: ArmSettings, choice: Chosen) -> dict[str, object]:
    """Answer the question in one arm: milliseconds a stage, tokens, and memory."""
    view = View(canvas, choice.kept, canvas.views, arm)
    clock = Stopwatch()
    reset_peak_memory()
    look = model.watch(view, clock)
    counts = model.count(view, look)
    model.answer(QUESTION, look, clock)
    stages = charge({"gaze": choice.gaze_ms}, clock.stage_ms)
    return {
        "stage_ms": {name: round(ms, 3) for name, ms in stages.items()},
        "tokens": counts.visual,
        "tokens_off": counts.visual_off,
        "patches": counts.encoded,
        "peak_rss_bytes": peak_memory_bytes(),
    }


def summarise(rows: Rows, views: int) -> None:
    """For every arm of a canvas: medians over the rounds, and what gaze costs and gains."""
    arms = list(dict.fromkeys(row["arm"] for row in rows.find("sat", views=views)))
    off = [row["stage_ms"] for row in rows.find("sat", views=views, arm=OFF.name)]
    off_total, off_tower = (_median(off, name) for name in (END_TO_END, "encode"))
    for arm in arms:
        sat = rows.find("sat", views=views, arm=arm)
        stages = [row["stage_ms"] for row in sat]
        gaze, tower, total = (_median(stages, name) for name in ("gaze", "encode", END_TO_END))
        saved = off_tower - tower
        rows.add(
            "arm",
            views=views,
            arm=arm,
            rounds=len(sat),
            tokens=sat[0]["tokens"],
            tokens_off=sat[0]["tokens_off"],
            gaze_ms=gaze,
            tower_ms=tower,
            total_ms=total,
            tower_speed_up=round(off_tower / tower, 3),
            speed_up=round(off_total / total, 3),
            selector_tax=round(gaze / saved, 4) if saved > 0 else None,
            break_even_tower_ms=round(gaze * off_tower / saved, 3) if saved > 0 else None,
            peak_rss_bytes=max(row["peak_rss_bytes"] for row in sat),
        )


def _median(stages: Iterable[Mapping[str, float]], name: str) -> float:
    return round(statistics.median([one.get(name, 0.0) for one in stages]), 3)


def run(asked: argparse.Namespace, rows: Rows, scratch: Path) -> None:
    """All canvases; arms take turns, in turned order from round to round."""
    path = make_clip("h264")
    write_model(scratch)
    arms = make_arms(str(scratch), asked.selectors, asked.budgets)
    num_all = sum(asked.rounds[views] * len(arms) for views in asked.views)
    with progress(num_all, BENCHMARK) as bar:
        for views in asked.views:
            if rows.find("arm", views=views):
                bar.advance(asked.rounds[views] * len(arms))
                continue
            model = make_model(CANVASES[views])
            with decode(
                path, num_frames=asked.num_frames, scratch=scratch, shape=model.shape
            ) as canvas:
                assert canvas.views.num_views == views
                sit(model, canvas, OFF, _choices(canvas, [OFF])[OFF.name])  # warms up
                for number in range(asked.rounds[views]):
                    for arm in arms[:: 1 if number % 2 == 0 else -1]:
                        bar.advance(note=f"{views} views, {arm.name}")
                        if not rows.find("sat", views=views, round=number, arm=arm.name):
                            choice = _choices(canvas, [arm])[arm.name]
                            found = sit(model, canvas, arm, choice)
                            rows.add("sat", views=views, round=number, arm=arm.name, **found)
            summarise(rows, views)


class Streamed:
    """The first frames of a video as the pixels of a canvas, which lie nowhere.

    Read in order they are decoded as they are asked for, and from the start again for the next one
    who reads them.

    Args:
        reader: Of the video, at the size of the canvas.
        size: That size, width and height.
        num_frames: How many.
    """

    def __init__(self, reader: VideoReader, size: tuple[int, int], num_frames: int) -> None:
        self._reader = reader
        self.shape = (num_frames, size[1], size[0], 3)
        self.num_decoded = 0
        self._coming: Iterator[Frame] = iter(())
        self._held: Frame | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice) -> Any:  # noqa: ANN401
        if isinstance(index, slice):
            assert range(*index.indices(len(self))) == range(len(self))
            return self
        if self._held is None or self._held.index != index:
            if self._held is None or self._held.index + 1 != index:
                self._coming = self._reader.frames(range(index, len(self)))
            self._held = next(self._coming)
            self.num_decoded += 1
        return self._held.pixels


def run_long(asked: argparse.Namespace, rows: Rows, scratch: Path) -> None:
    """Very many whole frames in one prompt. Every stage that reads them decodes them."""
    model, path = make_model(LONG_CANVAS), make_clip("h264")
    arm = make_arm(LONG_SELECTOR, budget=LONG_BUDGET)
    assert model.shape.fit is not None
    size = model.shape.fit(WIDTH, HEIGHT)
    with VideoReader(path, size=size) as reader:
        pixels = Streamed(reader, size, asked.num_frames)
        times = reader.index.pts[: asked.num_frames] - reader.index.pts[0]
        canvas = Canvas(
            pixels=pixels,  # type: ignore[arg-type]
            frame_seconds=times * float(reader.index.time_base),
            frames_sha256="",
            sha256="",
            decode_ms=0.0,
            shape=model.shape,
        )
        say(f"choosing by {arm.name} from {asked.num_frames} frames of {LONG_CANVAS}")
        choice = _choices(canvas, [arm])[arm.name]
        say("answering")
        found = sit(model, canvas, arm, choice)
    rows.add(
        "long",
        arm=arm.name,
        num_frames=len(pixels),
        num_decoded=pixels.num_decoded,
        **found,
    )


def _choices(canvas: Canvas, arms: Iterable[ArmSettings]) -> dict[str, Chosen]:
    found = choose_all(Place(canvas, QUESTION.video_id, 0), arms, Halt())
    for name, choice in found.items():
        if not isinstance(choice, Chosen):
            raise SystemExit(f"{name}: {choice.sentence}")
    return found  # type: ignore[return-value]


def main() -> None:
    """Run what the command line asks for."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--long", action="store_true", help="1,024 frames of 4K, nothing else")
    options.add_argument("--views", nargs="+", type=int, choices=CANVASES, default=list(CANVASES))
    options.add_argument("--selectors", nargs="+", default=list(SELECTORS))
    options.add_argument("--budgets", nargs="+", type=float, default=list(BUDGETS))
    asked = options.parse_args()
    asked.rounds, asked.num_frames = ROUNDS, LONG_FRAMES if asked.long else NUM_FRAMES
    if asked.quick:
        asked.views, asked.budgets, asked.rounds = [1], [0.1], {1: 1}
        asked.num_frames = 32 if asked.long else 2
    settings: dict[str, object] = {
        "model": WEIGHTS,
        "num_frames": asked.num_frames,
        "threads": torch.get_num_threads(),
        "dtype": "float32",
    }
    if asked.long:
        settings |= {"canvas": LONG_CANVAS}
    else:
        settings |= {name: getattr(asked, name) for name in ("views", "selectors", "budgets")}
    name, measure = (LONG, run_long) if asked.long else (BENCHMARK, run)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Rows(name, result_file(name, asked), settings) as rows,
    ):
        measure(asked, rows, Path(scratch))


if __name__ == "__main__":
    main()
