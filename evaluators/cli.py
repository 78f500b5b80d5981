"""`hlvid-eval`: sit the exam with gaze off, on or both, mark runs again, list what there is."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from hlvid import console
from hlvid.console import say
from hlvid.errors import UserError

PARTIAL = 3
FAILED = 1

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Data = Annotated[Path | None, typer.Option(help="Folder that holds videos/.")]
Name = Annotated[str, typer.Option("--benchmark", help="hlvid, hlvid-synthetic or a folder.")]
Frames = Annotated[int, typer.Option(min=1, max=100_000, help="Frames to sample from a video.")]
Out = Annotated[Path, typer.Option(help="Folder for runs; go on with what lies there.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask the first N questions only.")]
Seed = Annotated[int, typer.Option(min=0, help="Of selectors, order and models that draw.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Selector = Annotated[
    str, typer.Option(help="S,...: NAME[:PARTNER][@BUDGET][+THRESHOLD][#SEED or #FIRST-LAST].")
]
Budget = Annotated[str, typer.Option(help="R,...: shares of the native tokens, in (0, 1].")]
Threshold = Annotated[float | None, typer.Option(help="Of selectors that take one.")]
GazeWeights = Annotated[
    str | None,
    typer.Option(help="PATH or hub id of AutoGaze's weights; nvidia/AutoGaze by default."),
]
Also = Annotated[
    str,
    typer.Option(
        help="V,...: off-stock, off-bare, blind, context-only, fewer-frames[@BUDGET], "
        "lower-resolution[@BUDGET], evs[@BUDGET], after-tower[:ARM]."
    ),
]
Weights = Annotated[str, typer.Option(help="PATH or hub id of the model's weights.")]
LoadFormat = Annotated[str, typer.Option(help="weights, or dummy: random values, latency only.")]
CanvasSize = Annotated[str, typer.Option(help="native or WIDTHxHEIGHT, for an MLLM.")]
Pairing = Annotated[str, typer.Option(help="Frames that share a token: stock or repeat.")]
Known = Annotated[str, typer.Option("--benchmark", help="Folder, if the run's was a folder.")]


@app.callback()
def sit(  # noqa: PLR0913
    context: typer.Context,
    model: Annotated[str, typer.Option(help="See 'hlvid-eval models'.")] = "",
    gaze: Annotated[str, typer.Option(help="off, on or both.")] = "off",
    selector: Selector = "",
    budget: Budget = "",
    threshold: Threshold = None,
    gaze_weights: GazeWeights = None,
    also: Also = "",
    weights: Weights = "",
    load_format: LoadFormat = "",
    canvas: CanvasSize = "",
    pairing: Pairing = "",
    benchmark: Name = "hlvid",
    data: Data = None,
    frames: Frames = 16,
    out: Out = Path("runs"),
    limit: Limit = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Let a model sit a benchmark, each gaze setting an arm of one paired run.

    Example: hlvid-eval --model ocr --benchmark hlvid-synthetic --gaze both
    --selector detail,random-matched@0.1#0-4 --budget 0.02,0.1 --frames 6

    Without --selector gaze is AutoGaze, which stops by itself unless --budget or --threshold says
    when. The same command goes on where it was stopped. Exit codes: 0 all answered, 3 some
    questions failed, 1 all failed, 2 usage, 130 stopped.
    """
    if context.invoked_subcommand is not None:
        return
    from evaluators.models import MODELS

    if model not in MODELS:
        raise UserError(
            f"--model: {model!r} is not known. The models are: {', '.join(MODELS)}. This runs "
            "here: hlvid-eval --model ocr --benchmark hlvid-synthetic --gaze both "
            "--selector detail,random-matched"
        )
    if gaze not in ("off", "on", "both"):
        raise UserError(f"--gaze: {gaze!r} is not allowed. Allowed are off, on and both.")
    from evaluators.run import Settings, run
    from evaluators.variants import plan_variants

    options = {"weights": weights, "load_format": load_format, "canvas": canvas, "pairing": pairing}
    settings = Settings(
        model=model,
        arms=(),
        benchmark=benchmark,
        data=data,
        num_frames=frames,
        out=out,
        limit=limit,
        seed=seed,
        gaze_weights=gaze_weights,
        options={name: value for name, value in options.items() if value},
    )
    arms = _plan(settings, gaze, _words(selector), _ratios(budget), threshold)
    arms = plan_variants(_words(also), arms, budgets=_ratios(budget))
    settings = replace(settings, arms=arms)
    _tell(settings, run(settings, _command()), as_json=as_json)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    benchmark: Known = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Mark a run's predictions again, without a model, and check its record."""
    from evaluators import report

    row = report.describe(_graded(run, benchmark, data), run)
    typer.echo(json.dumps(row, indent=2) if as_json else report.table([row]))
    say("the record agrees with its predictions")


@app.command()
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
                _words(selector) or measuring.all_selectors(with_weights=gaze_weights is not None),
                budgets=_ratios(budget) or measuring.BUDGETS,
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


@app.command()
def compare(
    arm: Annotated[Path, typer.Argument(help="The run that is judged.")],
    reference: Annotated[Path, typer.Argument(help="The run it is held against.")],
    margin: Annotated[
        float | None, typer.Option(help="How much less accuracy is still no worse, as a share.")
    ] = None,
    benchmark: Known = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Compare two arms of one command, question by question, clustered by video."""
    from dataclasses import asdict

    from evaluators import report
    from hlvid.statistics import compare_arms

    runs = [_graded(folder, benchmark, data) for folder in (arm, reference)]
    found = compare_arms(*runs, margin=margin)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "verdict": found.verdict}, indent=2))
    else:
        typer.echo(report.comparison(found))


@app.command()
def tasks() -> None:
    """Print the folder that a stock 'lmms-eval --include_path' needs."""
    from evaluators.task import TASK_FOLDER

    say(
        "lmms-eval --include_path FOLDER --model hlvid_ocr --tasks hlvid; not from a folder that "
        "holds one called hlvid, which lmms-eval would take for the task"
    )
    typer.echo(TASK_FOLDER)


@app.command()
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


def main() -> NoReturn:
    """The console script."""
    console.run(app)


def _plan(
    settings: Any,  # noqa: ANN401
    gaze: str,
    selectors: list[str],
    budgets: list[float],
    threshold: float | None,
) -> Any:  # noqa: ANN401
    """The arms; where weights are missing, say of all that is missing what it is, and what runs."""
    from evaluators import models
    from evaluators.arms import plan_arms
    from evaluators.report import command
    from gaze.checkpoint import MissingWeights
    from hlvid.datasets import HLVID_SYNTHETIC, load

    weights, arms = settings.gaze_weights, None
    instead = replace(settings, gaze_weights=None)
    told = models.find(settings.model).missing(settings.options)
    if told:
        instead = replace(instead, model="ocr", options={})
    try:
        arms = plan_arms(gaze, selectors, budgets=budgets, threshold=threshold, weights=weights)  # type: ignore[arg-type]
    except MissingWeights as missing:
        told.append(str(missing))
    if not told:
        return arms
    try:
        load(settings.benchmark, data=settings.data)
    except UserError as error:
        told.append(str(error))
        instead = replace(instead, benchmark=HLVID_SYNTHETIC, data=None)
    what = () if gaze == "off" else ("--selector", "detail,random-matched")
    runs_here = command(instead, "--gaze", gaze, *what)
    raise UserError(f"{' '.join(told)} This runs here: {runs_here}")


def _tell(settings: Any, runs: list[Any], *, as_json: bool) -> None:  # noqa: ANN401
    """Print the arms, where they lie and what to do next; exit 1 or 3 where questions failed."""
    from evaluators import report

    rows = [report.describe(run, folder) for run, folder in runs]
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


def _graded(folder: Path, benchmark: str, data: Path | None) -> Any:  # noqa: ANN401
    """A run, marked again against its benchmark."""
    from hlvid.datasets import load
    from hlvid.runs import grade_run, read_run

    run = read_run(folder)
    return grade_run(run, load(benchmark or run.record.benchmark.name, data=data).questions)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _ratios(text: str) -> list[float]:
    ratios = []
    for word in _words(text):
        try:
            ratios.append(float(word))
        except ValueError:
            raise UserError(
                f"--budget: {word!r} is not a number. Allowed are ratios in (0, 1]."
            ) from None
    return ratios


def _command() -> list[str]:
    """This command as typed, its program without the folder it lies in."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
