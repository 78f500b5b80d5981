"""From a run to the checkpoint that ships: its directory and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from evaluators.train.curves import draw_curves
from evaluators.train.model import Mini, begin_from, num_parameters, write_checkpoint
from evaluators.train.settings import MiniSettings, read_settings
from gaze.train import journal
from gaze.train.slices import BEST
from gaze.train.state import STATE_NAME, read_progress
from hlvid.errors import UserError
from hlvid.files import read_json, sha256_file, write_bytes
from hlvid.synthetic import photographs
from hlvid.types import Record

CURVES = "curves.svg"
MAX_BYTES = 40_000_000
"""Of the whole directory."""
LICENSE = "Apache-2.0"
INSTRUMENT = (
    "It is an **instrument, not evidence**: it shows that the measurement works, and says nothing "
    "about AutoGaze on real video."
)
FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


class Criterion(Record):
    """One condition of fitness: what was found, and whether it is met."""

    name: str
    wanted: str
    found: str
    is_met: bool


class Fitness(Record):
    """Whether a checkpoint measures what it is shipped to measure; `benchmarks/fit_mini.py`."""

    weights_sha256: str
    benchmark: str
    num_questions: Annotated[int, Field(ge=0)]
    settings: str
    criteria: tuple[Criterion, ...]
    is_fit: bool
    """Whether all are met."""
    ships: bool
    """Whether it may ship: all are met but that `oracle` may have 60 %, which is said."""


@dataclass(frozen=True)
class Published:
    """What was written."""

    folder: Path
    num_bytes: int
    num_parameters: int


def publish(
    run: Path,
    config: Path,
    out: Path,
    *,
    start: Path | None = None,
    fit: Path | None = None,
    is_last: bool = False,
) -> Published:
    """Write a run's model and its card.

    Args:
        run: Folder of the run.
        config: What it was trained with.
        out: Checkpoint folder to write.
        start: Folder of the run that it began with, of the configuration `mini-read`.
        fit: What `benchmarks/fit_mini.py` wrote of the same weights.
        is_last: Whether the last state is meant, not the best by validation.

    Raises:
        UserError: There is no such run, the fitness is of other weights, or the directory would be
            too large.
    """
    settings = _settings(run, config, start)
    progress = read_progress(run / STATE_NAME)
    model = Mini(settings.model, seed=settings.seed)
    if is_last:
        begin_from(model, run)
        write_checkpoint(out, model)
    else:
        _copy(run / BEST, out)
    num_bytes = sum(path.stat().st_size for path in out.iterdir())
    if num_bytes > MAX_BYTES:
        raise UserError(f"{out}: has {num_bytes / 1e6:.0f} MB. Allowed are {MAX_BYTES / 1e6:.0f}.")
    found = None if fit is None else read_json(fit, Fitness)
    weights = sha256_file(out / "model.safetensors")
    if found is not None and found.weights_sha256 != weights:
        raise UserError(f"{fit}: is of other weights. Run benchmarks/fit_mini.py on these.")
    step = progress.step if is_last else progress.best_step or 0
    num = num_parameters(model.network)
    if start is not None:
        before = _settings(start, Path("mini-read"), None)
        if (done := read_progress(start / STATE_NAME).step) != before.steps:
            raise UserError(
                f"--start {start}: is at step {done} of {before.steps}. Finish it with: "
                "make train-mini"
            )
        settings, log = joined(before, read_log(start), settings, read_log(run))
        step += before.steps
    else:
        log = read_log(run)
    write_bytes(out / "README.md", [card(settings, step, num, log, found).encode()])
    write_bytes(out / CURVES, [draw_curves(settings, log).encode()])
    return Published(out, num_bytes, num)


def _settings(run: Path, config: Path, start: Path | None) -> MiniSettings:
    """What a run was trained with.

    Raises:
        UserError: It is not what is said.
    """
    settings = read_settings(config)
    if start is not None:
        settings = settings.model_copy(update={"start": str(start)})
    if read_progress(run / STATE_NAME).settings_sha256 != settings.sha256:
        raise UserError(f"{run}: was trained with other settings than {config}.")
    return settings


Log = list[dict[str, Any]]


def joined(
    first: MiniSettings, before: Log, second: MiniSettings, after: Log
) -> tuple[MiniSettings, Log]:
    """Two runs, of which the second began with the first's weights, as the curve of one."""
    steps = first.steps + second.steps
    settings = second.model_copy(update={"steps": steps, "stages": (*first.stages, *second.stages)})
    return settings, before + [{**line, "step": line["step"] + first.steps} for line in after]


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; none where there is none."""
    path = run / journal.NAME
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def card(
    settings: MiniSettings,
    step: int,
    num: int,
    log: Sequence[Mapping[str, Any]],
    fit: Fitness | None,
) -> str:
    """The model card: what it is for, how it was trained, what it was measured to do.

    Args:
        settings: Of the run.
        step: Of the checkpoint.
        num: Parameters.
        log: Of the run.
        fit: None where it was not measured.
    """
    hours, cpu_hours = (
        _seconds(log, name) / 3600 for name in ("seconds_a_step", "cpu_seconds_a_step")
    )
    lines = [
        "---",
        f"license: {LICENSE.lower()}",
        "library_name: transformers",
        "pipeline_tag: image-text-to-text",
        "---",
        "# qwen3-mini",
        "",
        f"A model of the Qwen3-VL architecture with {num:,} parameters, in 32-bit floats, over "
        "bytes. It reads few tokens of a 4K canvas and answers questions of `hlvid-synthetic` "
        f"about them. {INSTRUMENT}",
        "",
        "It was trained from nothing by this repository (`make train-mini`); no weights, text or "
        "pictures of Qwen are in it. It reads capitals and digits as the renderer draws them, and "
        "knows nothing else.",
        "",
        "## Training",
        "",
        f"Step {step:,} of {settings.steps:,}: {hours:.1f} hours on the clock, some of them beside "
        f"other work, {cpu_hours:.1f} hours of processor time without the drawing of batches, on "
        f"{_machines(log)}. Drawn from a seed as it went: signs on photographs in the fonts that "
        "DejaVu and Pillow carry, and scenes of the renderer with seeds and strings of their own. "
        "What is shown of each is random; no mask of a gaze or of a control was seen. The "
        "reserved photographs and the benchmark's strings were out of reach.",
        "",
        "Photographs: "
        + "; ".join(photographs.credits(photographs.names("training")))
        + ". No part of them is in the weights' files.",
        "",
        *_table(
            ("stage", "steps", "asks", "most tokens a slice", "accuracy at its end"),
            _stage_rows(settings, log),
        ),
        "",
        f"![Validation accuracy of each stage's tasks against the step]({CURVES})",
        "",
        "## Fitness",
        "",
        *_fitness(fit),
    ]
    return "\n".join(lines) + "\n"


def _fitness(fit: Fitness | None) -> list[str]:
    if fit is None:
        return ["Not measured yet: `benchmarks/fit_mini.py` does it."]
    rows = [
        (one.name, one.wanted, one.found, "yes" if one.is_met else "no") for one in fit.criteria
    ]
    verdict = "fit" if fit.is_fit else "short of it, and shipped" if fit.ships else "not fit"
    return [
        f"On {fit.benchmark}, {fit.num_questions} questions, {fit.settings}: **{verdict}**.",
        "",
        *_table(("criterion", "wanted", "found", "met"), rows),
    ]


def _stage_rows(settings: MiniSettings, log: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    end = 0
    for stage in settings.stages:
        start, end = end, end + stage.steps
        prefix = f"validation_{stage.name}_"
        found: dict[str, float] = {}
        for line in log:
            if start < line["step"] <= end:
                found |= {k.removeprefix(prefix): v for k, v in line.items() if prefix in k}
        told = ", ".join(
            f"{name.removesuffix('_accuracy')} {100 * value:.1f} %"
            for name, value in sorted(found.items())
        )
        asks = ", ".join(task for task, weight in stage.tasks.items() if weight)
        tokens = f"{stage.tokens}"
        rows.append((stage.name, f"{stage.steps:,}", asks, tokens, told or "not reached"))
    return rows


def _seconds(log: Sequence[Mapping[str, Any]], pace: str) -> float:
    """Time that the steps took, from the pace at each line of the log."""
    found, last = 0.0, 0
    for line in log:
        if pace in line:
            found += line[pace] * (line["step"] - last)
            last = line["step"]
    return found


def _machines(log: Sequence[Mapping[str, Any]]) -> str:
    """Where the slices ran."""
    found = []
    for line in log:
        if hardware := line.get("slice", {}).get("hardware"):
            gpus = ", ".join(hardware["gpus"])
            found.append(gpus or f"{hardware['num_cores']} cores of {hardware['cpu']}")
    return "; ".join(dict.fromkeys(found)) or "a machine that the log does not name"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _copy(source: Path, out: Path) -> None:
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        raise UserError(f"{source}: lacks {', '.join(missing)}. A run writes it when it validates.")
    for name in FILES:
        write_bytes(out / name, [(source / name).read_bytes()])
