"""Seconds a step of training, by stage, clip length, batch, size of the model and precision.

The first stage is measured for the sizes of the shipped configuration and for the released ones,
along greedy gazes ("ntp") and, for the shipped ones, along the model's own ("own"); the second for
the shipped ones. All ways of one batch take turns. What making a clip and its greedy label costs
stands beside it: that is done by other processes.

    python benchmarks/bench_train.py    # writes benchmarks/results/bench_train.jsonl
    python benchmarks/bench_train.py --quick
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from measure import Clock, Rows, by_turns, median_ms, parser, result_file  # noqa: E402
from torch import nn  # noqa: E402

from gaze.model import AutoGaze  # noqa: E402
from gaze.train.batches import Batch, DrawnBatches  # noqa: E402
from gaze.train.grpo import PolicyGradient  # noqa: E402
from gaze.train.labels import Budgets  # noqa: E402
from gaze.train.moving import MovingClips  # noqa: E402
from gaze.train.ntp import NextToken  # noqa: E402
from gaze.train.pyramid import Pyramid  # noqa: E402
from gaze.train.settings import ModelSettings, TrainSettings, read_settings  # noqa: E402
from gaze.train.start import begin  # noqa: E402
from hlvid.console import progress  # noqa: E402
from hlvid.memory import keep_memory  # noqa: E402

BENCHMARK = "bench_train"
BATCHES = ((2, 4), (4, 1), (4, 4), (4, 12), (8, 4), (16, 1), (16, 4))
"""Frames of a clip, and clips of a batch."""
ROUNDS = 3
Way = tuple[str, str, str]
"""Stage, size of the model, precision."""


def ways_of(batch: Batch, device: torch.device) -> dict[Way, Callable[[Clock], object]]:
    """A step of each way on a batch."""
    ntp, own, grpo = (read_settings(Path(f"mini-{name}")) for name in ("ntp", "own", "grpo"))
    released = ntp.model_copy(update={"model": ModelSettings()})
    of_way: dict[Way, TrainSettings] = {
        (name, size, precision): settings.model_copy(update={"precision": precision, "start": None})
        for name, size, settings in (
            ("ntp", "mini", ntp),
            ("ntp", "released", released),
            ("own", "mini", own),
            ("grpo", "mini", grpo),
        )
        for precision in ("fp32", "bf16")
    }  # fmt: skip
    return {way: _step(settings, batch, device) for way, settings in of_way.items()}


def _step(settings: TrainSettings, batch: Batch, device: torch.device) -> Callable[[Clock], object]:
    """A step of the optimiser, as the loop takes it; once already."""
    pyramid = settings.model.pyramid()
    model = begin(settings, loss_kind=pyramid.kind).to(device)
    objective = _objective(settings, model, pyramid)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(_: Clock) -> None:
        is_half = settings.precision == "bf16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_half):
            loss = objective(batch)["loss"]
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    step(Clock(device))
    return step


def _objective(settings: TrainSettings, model: AutoGaze, pyramid: Pyramid) -> nn.Module:
    if settings.stage == "ntp":
        return NextToken(model, settings.ntp)
    return PolicyGradient(model, pyramid, settings.grpo)


def _making(batches: DrawnBatches) -> Callable[[Clock], object]:
    return lambda _: batches[1]


def main() -> None:
    """Run what the command line asks for."""
    asked = parser(BENCHMARK, __doc__).parse_args()
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes, rounds = (BATCHES[1:2], 1) if asked.quick else (BATCHES, ROUNDS)
    settings = {"device": device.type, "threads": torch.get_num_threads(), "rounds": rounds}
    with (
        Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows,
        progress(len(sizes), BENCHMARK) as bar,
    ):
        for num_frames, num_clips in sizes:
            key = {"frames": num_frames, "batch": num_clips}
            if not rows.find("data", **key):
                clips = MovingClips("training", 0, num_frames)
                batches = DrawnBatches(clips, num_clips, 0, Budgets(), gazes="greedy-gains")
                batch = batches[0]  # it opens the photographs
                batch = replace(batch, table=Pyramid().table(batch.pixels)).to(device)
                found = by_turns(ways_of(batch, device), rounds=rounds, device=device)
                for (stage, model, precision), times in found.items():
                    ms = median_ms([ms for (ms,) in times])
                    way = {"stage": stage, "model": model, "precision": precision}
                    rows.add("step", **way, **key, ms=ms)
                making = by_turns({"data": _making(batches)}, rounds=rounds)["data"]
                rows.add("data", **key, ms=median_ms([ms for (ms,) in making]))
            bar.advance(note=f"{num_clips} clips of {num_frames} frames")


if __name__ == "__main__":
    main()
