"""The bare command, and what is done with the runs that it leaves: mark, compare."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluators.commands.options import (
    FAILED,
    PARTIAL,
    AsJson,
    Asked,
    Data,
    Known,
    asks,
    typed,
)
from hlvid.console import say

if TYPE_CHECKING:
    from evaluators.exam import Settings
    from hlvid.datasets import Benchmark
    from hlvid.runs import GradedRun


@asks
def sit(called: typer.Context, asked: Asked, as_json: AsJson = False) -> None:
    """Let a model sit a benchmark, each gaze setting an arm of one paired run.

    Example: hlvid-eval --model ocr --benchmark hlvid-synthetic --gaze both
    --selector detail,random-matched@0.1#0-4 --budget 0.02,0.1 --frames 6

    Without --selector gaze is AutoGaze, which stops by itself unless --budget or --threshold says
    when. The same command goes on where it was stopped. Exit codes: 0 all answered, 3 some
    questions failed, 1 all failed, 2 usage, 130 stopped.
    """
    if called.invoked_subcommand is not None:
        return
    from evaluators.run import run

    settings = asked.settings()
    tell(settings, run(settings, typed()), as_json=as_json)


def score(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    benchmark: Known = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Mark a run's predictions again, without a model, and check its record.

    Says also what each category scored and, where the benchmark has a marking of its own, what
    that gives.
    """
    from evaluators import report

    exam, graded = _graded(run, benchmark, data)
    row = report.describe(graded, run, exam)
    if as_json:
        typer.echo(json.dumps(row, indent=2))
    else:
        typer.echo(report.table([row]))
        typer.echo(report.categories(row))
    say("the record agrees with its predictions")


def compare(
    arm: Annotated[Path, typer.Argument(help="The run that is judged.")],
    reference: Annotated[Path, typer.Argument(help="The run it is held against.")],
    margin: Annotated[
        float | None,
        typer.Option(help="How much less accuracy is still no worse; the plan's by default."),
    ] = None,
    benchmark: Known = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Compare two arms of one command, question by question, clustered by video.

    The endpoint that the plan declared before the run stands as it is. Any other comparison is
    exploratory: Holm-adjusted over all arms in the folder that can be held against the reference
    in the same way.
    """
    from dataclasses import asdict

    from evaluators import report
    from evaluators.judging import judge

    exam, judged = _graded(arm, benchmark, data)
    _, against = _graded(reference, benchmark, data)
    found = judge(judged, against, arm.parent, exam, margin=margin)
    if as_json:
        body = {**asdict(found.comparison), "verdict": found.comparison.verdict}
        counts = {"num_adjusted_for": found.num_adjusted_for, "num_repeats": found.num_repeats}
        typer.echo(json.dumps({**body, **counts}, indent=2))
    else:
        typer.echo(report.comparison(found.comparison))
        typer.echo(found.noise)
        typer.echo(found.standing)


def tell(settings: "Settings", runs: "list[tuple[GradedRun, Path]]", *, as_json: bool) -> None:
    """Print the arms, where they lie and what to do next; exit 1 or 3 where questions failed."""
    from evaluators import report
    from hlvid.datasets import load

    if not runs:
        # The first of several processes tells.
        return
    benchmark = load(settings.benchmark, data=settings.data)
    rows = [report.describe(run, folder, benchmark) for run, folder in runs]
    following = report.next_command(settings)
    if as_json:
        typer.echo(json.dumps({"runs": rows, "next": following}, indent=2))
    else:
        typer.echo(report.table(rows))
        say(f"runs: in {settings.out}, a folder each; run again, the command finds them finished")
        say(f"next: {following}")
    states = {row["status"] for row in rows}
    if states <= {"failed", "infeasible"}:
        raise typer.Exit(FAILED)
    if not states <= {"complete", "infeasible"}:
        say("some questions FAILED; the same command tries them again")
        raise typer.Exit(PARTIAL)


def _graded(folder: Path, benchmark: str, data: Path | None) -> "tuple[Benchmark, GradedRun]":
    """A run, marked again against its benchmark."""
    from hlvid.datasets import load
    from hlvid.runs import grade_run, read_run

    run = read_run(folder)
    exam = load(benchmark or run.record.benchmark.name, data=data)
    return exam, grade_run(run, exam.questions)
