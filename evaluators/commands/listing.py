"""What there is: the tasks' folder, the models; and how often selectors keep the evidence."""

import json
from pathlib import Path

import typer

from evaluators.commands.options import (
    FAILED,
    PARTIAL,
    AsJson,
    Budget,
    Data,
    Frames,
    GazeWeights,
    Limit,
    Name,
    Out,
    Seed,
    Selector,
    Threshold,
    ratios,
    words,
)
from hlvid.console import say


def recall(  # noqa: PLR0913
    benchmark: Name = "hlvid-synthetic",
    selector: Selector = "",
    budget: Budget = "",
    threshold: Threshold = None,
    gaze_weights: GazeWeights = None,
    data: Data = None,
    frames: Frames = 16,
    out: Out = Path("runs"),
    limit: Limit = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure how often selectors keep the evidence, without a model.

    All selectors at 2, 5, 10 and 25 % by default, AutoGaze where --gaze-weights is given; the
    oracle and what random tokens are expected to give stand beside them. Single questions go to
    OUT/recall.jsonl. Goes on where it stopped.
    """
    from dataclasses import asdict

    from evaluators import recall as measuring
    from evaluators import report
    from evaluators.arms import plan_arms
    from hlvid.datasets import load

    whole = load(benchmark, data=data)
    survey = measuring.Survey(
        benchmark=whole if limit is None else whole.subset(limit=limit),
        arms=measuring.with_ceiling(
            plan_arms(
                "on",
                words(selector) or measuring.all_selectors(with_weights=gaze_weights is not None),
                budgets=ratios(budget) or measuring.BUDGETS,
                threshold=threshold,
                weights=gaze_weights,
            )
        ),
        num_frames=frames,
        out=out,
        seed=seed,
    )
    rows, failed = measuring.measure(survey)
    if as_json:
        typer.echo("\n".join(json.dumps(asdict(row)) for row in rows))
    else:
        typer.echo(report.recall_table(rows))
    for sentence in failed:
        say(f"left out: {sentence}")
    if failed:
        raise typer.Exit(PARTIAL if rows else FAILED)


def tasks() -> None:
    """Print the folder that a stock 'lmms-eval --include_path' needs."""
    from evaluators.task import TASK_FOLDER

    say(
        "lmms-eval --include_path FOLDER --model hlvid_ocr --tasks hlvid; not from a folder that "
        "holds one called hlvid, which lmms-eval would take for the task"
    )
    typer.echo(TASK_FOLDER)


def models(as_json: AsJson = False) -> None:
    """List the models that can sit the exam."""
    from evaluators.models import MODELS, stock_name

    rows = [
        {"name": name, "kind": m.kind, "lmms_eval": stock_name(name), "summary": m.summary}
        for name, m in MODELS.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['name']:14} {row['kind']:9} {row['lmms_eval']:20} {row['summary']}")
