"""How the verbs of `hlvid-build` tell what was done, what came of it, and what to do next."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hlvid.build.codes import UNEXPECTED
from hlvid.console import say
from hlvid.files import shown

if TYPE_CHECKING:
    from hlvid.build.engine import Tally
    from hlvid.build.report import Ending
    from hlvid.build.work import Work

PARTIAL = 3
ORDER = (
    *("discover", "select", "fetch", "probe", "clip", "index", "dedup"),
    *("lint", "audit", "adjudicate"),
)
"""The verbs of media and of questions, as `hlvid.build.stages.VERBS` has them."""


def tell(work: "Work", spec: Path, verb: str, tallies: "list[Tally]", *, as_json: bool) -> None:
    """Say what the stages look like now, what to do next, and leave with the right code."""
    if as_json:
        print_json([{**vars(tally), "counts": dict(tally.counts)} for tally in tallies])
    else:
        for tally in tallies:
            parts = ", ".join(f"{number} {name}" for name, number in tally.counts.items())
            typer.echo(f"{tally.stage:12} {tally.num_items} items: {parts or 'nothing yet'}")
    say_next(work, spec, after=verb)
    leave(work, failures_only=True)


def say_next(work: "Work", spec: Path, after: str | None = None) -> None:
    """Say what failed and what helps, and the command that goes on."""
    from hlvid.build.report import readable, troubles
    from hlvid.build.stages import VERBS

    known = readable(work, tell=say)
    for code, advice in {each.code: each.advice for each in troubles(work, known)}.items():
        say(f"{code}: {advice}")
    where = spec, "--work", work.folder
    for verb in ORDER:
        stages = VERBS[verb]
        if not set(stages) <= set(known):
            return
        if any(len(work.tasks(s)) > len(work.entries(s)) for s in stages):
            then(verb, *where)
            return
        if verb == after and any(work.tasks(s) for s in stages):
            following = ORDER[ORDER.index(verb) + 1 :]
            if following:
                then(following[0], *where)
                return
    if work.entries(VERBS["adjudicate"][0]):
        then("split", *where)
        return
    then("report", *where, "--reconcile")


def then(verb: str, *words: object) -> None:
    """Say which command goes on, ready to be pasted."""
    say(f"next: {shlex.join(['hlvid-build', verb, *map(str, words)])}")


def leave(work: "Work", *, failures_only: bool = False) -> None:
    """Leave with 3 where something failed or is not done, with 1 where nothing came through.

    Candidates and questions that wait for a person's look are no failure. Sources, and the
    comparison of all clips, are: what comes after them lacks something.
    """
    from hlvid.build.report import candidate_endings, readable, source_endings, troubles

    sources, candidates = source_endings(work), candidate_endings(work)
    bad = [
        each
        for each in troubles(work, readable(work))
        if each.state == "failed" or each.blocks or each.code in UNEXPECTED
    ]
    if not failures_only:
        bad += [each for each in (*sources, *candidates) if each.state == "pending"]
    if bad:
        have_failed = all(each.state == "failed" for each in candidates or sources)
        raise typer.Exit(1 if have_failed else PARTIAL)


def print_json(content: object) -> None:
    """Data for a script, on stdout."""
    typer.echo(json.dumps(content, indent=2, sort_keys=True))


def print_counts(found: dict[str, int]) -> None:
    """One line a state and code."""
    for name, number in found.items():
        typer.echo(f"  {number:6} {name}")


def print_items(endings: "list[Ending]", names: Mapping[str, str]) -> None:
    """One line an item, with the address or file that its id stands for."""
    typer.echo("")
    for e in endings:
        told = (e.id, e.state, e.stage, e.code or "", e.detail or "", shown(names.get(e.id, "")))
        typer.echo("  ".join(told))
