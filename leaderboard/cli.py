"""The command `hlvid-leaderboard`."""

from pathlib import Path
from typing import Annotated

import typer

from hlvid.console import run, say
from hlvid.errors import UserError

app = typer.Typer(
    name="hlvid-leaderboard",
    help="Pin up results: verify runs, mark them again, compare them, render one page.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def leaderboard() -> None:
    """Pin up results: verify runs, mark them again, compare them, render one page."""


@app.command()
def build(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUNS...", help="Run folders, or folders that contain some."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="SITE", help="Folder for index.html; made when missing.")
    ],
    questions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="What the runs were asked: a questions.jsonl or its folder."
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave refused runs out, and list them.")
    ] = False,
) -> None:
    """Verify and re-grade runs, compare them in pairs, and write SITE/index.html.

    Example: hlvid-leaderboard build runs --out site
    """
    from hlvid.files import write_bytes
    from leaderboard.entries import find_runs, read_entries, read_questions
    from leaderboard.page import make_page, render
    from leaderboard.summary import text_table
    from leaderboard.wording import plain

    entries, refusals = read_entries(find_runs(runs), read_questions(questions or []))
    for refusal in refusals:
        say(f"refused: {plain(refusal.reason, limit=1000)}")
    if refusals and not (keep_going and entries):
        raise UserError(
            f"{len(refusals)} of {len(refusals) + len(entries)} runs refused, no page written. "
            "Mend them, or leave them out with --keep-going.",
            exit_code=1,
        )
    target = out / "index.html"
    write_bytes(target, [render(make_page(entries, refusals)).encode()])
    typer.echo(text_table(entries))
    typer.echo(f"\n{target.resolve()}")
    say("next: open the page in a browser; it needs no network and no server.")
    if refusals:
        raise UserError(f"{len(refusals)} runs were left out; the page lists them.", exit_code=3)


def main() -> None:
    """Entry point of `hlvid-leaderboard`."""
    run(app)
