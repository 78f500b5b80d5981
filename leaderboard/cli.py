"""The command `hlvid-leaderboard`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hlvid.console import run, say
from hlvid.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leaderboard.entries import Standings
    from leaderboard.exams import Exam

app = typer.Typer(
    name="hlvid-leaderboard",
    help="Pin up results: verify runs, mark them again, compare them, render pages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUNS...", help="Run folders, or folders that contain some.")
]
Questions = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="What the runs were asked: a questions.jsonl or its folder."),
]
Results = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Published results; this checkout's by default."),
]
Date = Annotated[
    str, typer.Option(metavar="YYYY-MM-DD", help="Of the change in the log. Today by default.")
]


@app.callback()
def leaderboard() -> None:
    """Pin up results: verify runs, mark them again, compare them, render pages."""


@app.command()
def build(
    runs: Runs,
    out: Annotated[
        Path, typer.Option(metavar="SITE", help="Folder for the pages; made when missing.")
    ],
    questions: Questions = None,
    results: Results = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="A:B", help="Two run ids that get a page of comparison as well."),
    ] = None,
    local_only: Annotated[
        bool,
        typer.Option("--local-only", help="Show questions and evidence that may not be published."),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave refused runs out, and list them.")
    ] = False,
) -> None:
    """Verify and re-grade runs, compare them in pairs, and write SITE/index.html and its pages.

    Example: hlvid-leaderboard build runs --out site
    """
    from leaderboard.build import build_site
    from leaderboard.results import SHIPPED
    from leaderboard.wording import counted, plain

    _tell_of_entries(runs, results or SHIPPED)

    built = build_site(
        runs,
        questions or [],
        out,
        published=results or SHIPPED,
        named=compare or [],
        is_local=local_only,
        keep_going=keep_going,
        tell=lambda reason: say(f"refused: {plain(reason, limit=1000)}"),
    )
    typer.echo(built.table)
    typer.echo(f"\n{built.index.resolve()}")
    if built.problems:
        say(
            f"{len(built.problems)} videos give no picture of their evidence, such as "
            f"{plain(built.problems[0])}\n--questions names the folder that holds videos/."
        )
    say("next: open the page in a browser; it needs no network and no server.")
    if built.num_refused:
        raise UserError(
            f"{counted(built.num_refused, 'run')} left out; the page lists them.", exit_code=3
        )


@app.command()
def check(
    runs: Runs,
    questions: Questions = None,
    results: Results = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Hold runs against every rule, as a submission would be; exit 1 where one is broken.

    Of what is published, withdrawn runs are passed over, and of those that were added as
    self-reported only what would refuse them counts.

    Example: hlvid-leaderboard check runs --questions data
    """
    import json

    from leaderboard import check as checking
    from leaderboard import results as published
    from leaderboard.exams import read_exams

    folder, exams = results or published.SHIPPED, read_exams(questions or [])
    folders, standings = _published(runs, folder, exams)
    readings, findings = checking.check(folders, exams, standings=standings)
    if as_json:
        typer.echo(json.dumps(checking.as_json(readings, findings), indent=2))
    else:
        for line in checking.as_lines(findings):
            typer.echo(line)
    passed = sum(not reading.problems for reading in readings)
    say(f"{passed} of {len(readings)} runs pass.")
    if findings:
        raise typer.Exit(1)
    if any(path.resolve() != folder.resolve() for path in runs):
        say(f"next: hlvid-leaderboard add {_typed(runs)}")


@app.command()
def add(
    runs: Runs,
    questions: Questions = None,
    results: Results = None,
    date: Date = "",
    self_reported: Annotated[
        bool,
        typer.Option("--self-reported", help="Add runs whose settings or times break a rule."),
    ] = False,
) -> None:
    """Copy runs that pass every rule into the published results, and log it.

    Example: hlvid-leaderboard add runs --questions data
    """
    from leaderboard import results as published
    from leaderboard.entries import find_runs
    from leaderboard.exams import read_exams

    names = published.add(
        find_runs(runs),
        read_exams(questions or []),
        results=results or published.SHIPPED,
        date=date or _today(),
        is_self_reported=self_reported,
    )
    for name in names:
        typer.echo(f"{published.RUNS}/{name}")
    say("next: commit these files and open a pull request.")


@app.command()
def withdraw(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Of a published run.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What is wrong with it.")],
    results: Results = None,
    date: Date = "",
) -> None:
    """Mark a published run as withdrawn: its row stays, greyed, with the reason.

    Example: hlvid-leaderboard withdraw 15d5e39683c57e36 --reason "frames were read twice"
    """
    from leaderboard import results as published

    name = published.withdraw(
        run_id, reason=reason, results=results or published.SHIPPED, date=date or _today()
    )
    typer.echo(f"{published.ENTRIES}/{name}.json")
    say("next: commit these files and open a pull request.")


@app.command()
def reproduce(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A second run.")],
    questions: Questions = None,
    results: Results = None,
    date: Date = "",
) -> None:
    """Record that a second run of a published run's settings gives the same answers.

    Example: hlvid-leaderboard reproduce runs/15d5e39683c57e36 --questions data
    """
    from leaderboard.exams import read_exams
    from leaderboard.reproduction import reproduce as record_second
    from leaderboard.results import SHIPPED

    found = record_second(
        run_folder,
        results=results or SHIPPED,
        exams=read_exams(questions or []),
        date=date or _today(),
    )
    typer.echo(f"{found.num_agreeing} of {found.num_questions} answers agree")
    say("next: commit these files and open a pull request.")


@app.command()
def export(
    runs: Runs,
    out: Annotated[Path, typer.Option(metavar="PATH", help="The file, or the folder for eee.")],
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="csv, json, parquet or eee.")
    ] = "csv",
    questions: Questions = None,
    results: Results = None,
) -> None:
    """Verify runs and write them for other tools: a row a run, or Every Eval Ever 0.3.0.

    Example: hlvid-leaderboard export runs --questions data --format parquet --out runs.parquet
    """
    from leaderboard import export as exporting
    from leaderboard import results as published
    from leaderboard.entries import read_entries
    from leaderboard.exams import read_exams
    from leaderboard.wording import counted

    if form not in exporting.FORMATS:
        raise UserError(f"--format: {form!r}. Allowed are {', '.join(exporting.FORMATS)}.")
    exams = read_exams(questions or [])
    folders, standings = _published(runs, results or published.SHIPPED, exams)
    entries, refusals = read_entries(folders, exams, standings=standings)
    for refusal in refusals:
        say(f"refused: {refusal.reason}")
    if not entries:
        raise UserError("no run could be verified; nothing was written.", exit_code=1)
    exporting.write_export(entries, exams, out, form)
    typer.echo(str(out))
    if refusals:
        raise UserError(f"{counted(len(refusals), 'run')} left out.", exit_code=3)


@app.command("import")
def import_(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="lmms-eval's *_results.json.")],
    samples: Annotated[
        Path, typer.Argument(metavar="SAMPLES", help="lmms-eval's *_samples_<task>.jsonl.")
    ],
    out: Annotated[Path, typer.Option(metavar="RUNS", help="Gets a folder named like the run.")],
    benchmark: Annotated[
        str, typer.Option(metavar="NAME", help="hlvid, hlvid-synthetic, or a benchmark's folder.")
    ],
    frames: Annotated[int, typer.Option(min=1, help="Frames that the model was given.")],
    machine: Annotated[
        str,
        typer.Option(metavar="TEXT", help="As cpu=NAME,cores=N,memory_gib=N,gpu=NAME."),
    ],
) -> None:
    """Make a run folder from what a stock lmms-eval run left, so that it can be checked and added.

    Example: hlvid-leaderboard import r_results.json s_samples_hlvid.jsonl --out runs
    --benchmark hlvid --frames 64 --machine "cpu=AMD EPYC 9354,cores=32,memory_gib=256,gpu=H100"
    """
    from hlvid.datasets import load
    from leaderboard.exams import exam_of
    from leaderboard.lmms import import_run, parse_machine

    asked = load(benchmark)
    folder = import_run(
        results,
        samples,
        exam_of(asked),
        asked.revision,
        out,
        num_frames=frames,
        hardware=parse_machine(machine),
    )
    typer.echo(str(folder))
    say(f"next: hlvid-leaderboard check {_typed([folder])}")


def _published(
    runs: list[Path], results: Path, exams: "Sequence[Exam]"
) -> "tuple[list[Path], Standings]":
    """The run folders at or below paths, and what the published results say of runs."""
    from leaderboard import results as published
    from leaderboard.reproduction import check_reproductions

    _tell_of_entries(runs, results)
    check_reproductions(results, exams)
    standings = published.standings(published.read_results(results))
    return published.run_folders(runs, results), standings


def _tell_of_entries(runs: list[Path], results: Path) -> None:
    """Say that what a folder states of its own runs is not taken at its word."""
    from leaderboard.results import with_own_entries

    for path in with_own_entries(runs, results):
        say(f"{path}: has entries or a log of its own, which count with --results {path} only.")


def _today() -> str:
    """The date of a change is the one thing here that is read from the clock."""
    from datetime import UTC, datetime

    return datetime.now(UTC).date().isoformat()


def _typed(paths: list[Path]) -> str:
    import shlex

    return shlex.join(map(str, paths))


def main() -> None:
    """Entry point of `hlvid-leaderboard`."""
    run(app)
