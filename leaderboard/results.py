"""The folder of published results: runs, an entry a run, quoted tables, and a log of all changes.

    runs/<run_id>-<digest>/      the run as it was sent; its plan and times, if any
    second/<run_id>-<digest>/    a second run of the same settings, where one reproduced it
    entries/<run_id>-<digest>.json
    quoted/*.json                tables from papers and audits, shown and never ranked
    log.jsonl                    every change, oldest first

It is changed by pull requests. Nothing is ever taken out: what is withdrawn says why.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from hlvid import runs
from hlvid.errors import UserError
from hlvid.files import read_json, read_jsonl, sync_folder, write_json, write_jsonl
from hlvid.performance import PERFORMANCE_FILE
from hlvid.plans import PLAN_FILE
from hlvid.types import Count, Record, RunRecord, Sha256
from leaderboard.beside import performance_of
from leaderboard.check import as_lines, check
from leaderboard.entries import Entry, Standing, Standings, find_runs
from leaderboard.exams import Exam

SHIPPED = Path(__file__).parent / "results"
"""The results that this checkout holds."""
RUNS, SECOND, ENTRIES, QUOTED, LOG = "runs", "second", "entries", "quoted", "log.jsonl"
DIGEST_DIGITS = 12
MIN_AGREEMENT = 0.99
"""Share of answers that a second run must give alike for the first to count as reproduced."""

RunId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Date = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=400)]


class Reproduction(Record):
    """A second run of the same settings, and how far it agrees."""

    predictions_sha256: Sha256
    num_agreeing: Count
    num_questions: Annotated[int, Field(gt=0)]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        least = MIN_AGREEMENT * self.num_questions
        if not least <= self.num_agreeing <= self.num_questions:
            raise ValueError(
                f"num_agreeing: {self.num_agreeing} of {self.num_questions}. Allowed are shares "
                f"from {MIN_AGREEMENT:.0%} to all."
            )
        return self


class ResultEntry(Record):
    """What is published of a run beside the run itself."""

    schema_version: Literal[1] = 1
    run_id: RunId
    predictions_sha256: Sha256
    reproduction: Reproduction | None = None
    is_self_reported: bool = False
    """Whether it was added although it breaks a rule, which its row says."""
    withdrawn: Reason | None = None
    """Why its row is greyed and has no rank."""

    @property
    def name(self) -> str:
        """Of its file, and of the run's folder."""
        return _name(self.run_id, self.predictions_sha256)


class Change(Record):
    """A line of the log."""

    date: Date
    change: Literal["added", "withdrawn", "reproduced"]
    run_id: RunId
    predictions_sha256: Sha256
    what: str
    """Benchmark, model and arm, for those who read the log alone."""
    reason: str | None = None


class QuotedRow(Record):
    """A row of a table that others published; None where they give no number."""

    name: str
    cells: tuple[str | None, ...]
    note: str = ""


class QuotedTable(Record):
    """A table that others published, as they did."""

    title: str
    source: str
    url: Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9./_~#%?=&+-]+$")]
    badge: Literal["paper", "third party"]
    note: str = ""
    columns: tuple[str, ...]
    rows: tuple[QuotedRow, ...]


@dataclass(frozen=True)
class Results:
    """What a results folder says about runs."""

    entries: dict[tuple[str, str], ResultEntry]
    """(run_id, digest of the predictions) -> entry."""
    quoted: tuple[QuotedTable, ...]
    log: tuple[Change, ...]


def key(record: RunRecord) -> str:
    """How a run and its entry are called: '<run_id>-<digest>'."""
    return _name(record.run_id, record.predictions_sha256)


def _name(run_id: str, predictions_sha256: str) -> str:
    return f"{run_id}-{predictions_sha256[:DIGEST_DIGITS]}"


def read_results(folder: Path) -> Results:
    """Read entries, quoted tables and the log; what is not there is empty.

    Raises:
        UserError: A file is not in order.
    """
    entries = {}
    for path in sorted((folder / ENTRIES).glob("*.json")):
        entry = read_json(path, ResultEntry)
        again = entry.reproduction
        if again is not None and again.predictions_sha256 == entry.predictions_sha256:
            raise UserError(f"{path.name}: its second run is the published run itself.")
        entries[entry.run_id, entry.predictions_sha256] = entry
    log = folder / LOG
    return Results(
        entries=entries,
        quoted=tuple(read_json(p, QuotedTable) for p in sorted((folder / QUOTED).glob("*.json"))),
        log=tuple(read_jsonl(log, Change, may_be_empty=True)) if log.exists() else (),
    )


def published_at(folder: Path) -> Results:
    """Entries and log of a results folder; the quoted tables of this checkout, then those of it."""
    given, shipped = read_results(folder), read_results(SHIPPED)
    return replace(given, quoted=tuple(dict.fromkeys((*shipped.quoted, *given.quoted))))


def run_folders(paths: Sequence[Path], results: Path) -> list[Path]:
    """Run folders at or below paths; of the results folder itself what is published, or nothing.

    Raises:
        UserError: A path does not exist, or holds no run.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.resolve() != results.resolve():
            found.update(dict.fromkeys(find_runs([path])))
        elif (runs_folder := path / RUNS).is_dir():
            found.update(dict.fromkeys(find_runs([runs_folder], may_be_empty=True)))
    return sorted(found)


def with_own_entries(paths: Sequence[Path], results: Path) -> list[Path]:
    """Paths that hold entries or a log of their own, which count only where they are asked for."""
    others = [path for path in paths if path.resolve() != results.resolve()]
    return [path for path in others if (path / ENTRIES).is_dir() or (path / LOG).exists()]


def standings(results: Results) -> Standings:
    """What the entries say about their runs; `leaderboard.reproduction` holds it against them."""
    found = {}
    for place, entry in results.entries.items():
        again = entry.reproduction
        agreed = (
            None
            if again is None
            else f"{again.num_agreeing} of {again.num_questions} answers agree"
        )
        found[place] = Standing(entry.withdrawn, agreed, entry.is_self_reported)
    return found


def add(
    folders: Sequence[Path],
    exams: Sequence[Exam],
    *,
    results: Path,
    date: str,
    is_self_reported: bool = False,
) -> list[str]:
    """Copy runs into the results, once they pass every rule.

    Args:
        folders: Run folders; the arms of one command belong together.
        exams: What they were asked.
        results: The results folder.
        date: Of the change, as in 2026-11-23.
        is_self_reported: Whether runs may be added that break a rule which does not refuse them;
            their rows say so.

    Returns:
        The names of the entries made.

    Raises:
        UserError: A run breaks a rule, is there already, or is given twice.
    """
    readings, findings = check(folders, exams)
    barring = [f for f in findings if f.is_refusing or not is_self_reported]
    if barring:
        raise UserError("\n".join(["nothing was added:", *as_lines(barring)]), exit_code=1)
    known = read_results(results)
    pairs = [(f, r.entry) for f, r in zip(folders, readings, strict=True) if r.entry is not None]
    live = {run_id for (run_id, _), entry in known.entries.items() if entry.withdrawn is None}
    names: set[str] = set()
    for _, entry in pairs:
        name = key(entry.record)
        if name in names:
            raise UserError(f"run_id {entry.run_id}: is given twice. Leave one out.", exit_code=1)
        names.add(name)
        if entry.run_id in live:
            raise UserError(
                f"run_id {entry.run_id}: is published already. Withdraw that entry first, or "
                "record a second run of it with: hlvid-leaderboard reproduce RUN",
                exit_code=1,
            )
        if (entry.run_id, entry.record.predictions_sha256) in known.entries:
            raise UserError(
                f"run_id {entry.run_id}: this very run is in the results already, but does not "
                "stand. What was withdrawn does not come back: leave it out, or run it again.",
                exit_code=1,
            )
    log = list(known.log)
    for folder, entry in pairs:
        record = entry.record
        place(folder, entry, results / RUNS / key(record))
        change = change_of("added", record, date)
        known_lines = {(one.change, one.run_id, one.predictions_sha256) for one in known.log}
        if (change.change, change.run_id, change.predictions_sha256) not in known_lines:
            # Else a call before this one, which has no entry yet, was killed after it.
            log.append(change)
            write_jsonl(results / LOG, log)
        published = ResultEntry(
            run_id=record.run_id,
            predictions_sha256=record.predictions_sha256,
            is_self_reported=bool(entry.problems),
        )
        write_json(results / ENTRIES / f"{key(record)}.json", published)
    return [key(entry.record) for _, entry in pairs]


def withdraw(run_id: str, *, reason: str, results: Path, date: str) -> str:
    """Mark an entry as withdrawn; its run and its row stay.

    Raises:
        UserError: There is no such entry, or it is withdrawn already.
    """
    known, published, record = published_run(run_id, results)
    if not 3 <= len(reason) <= 400:
        raise UserError("--reason: 3 to 400 characters are allowed. Say what is wrong with it.")
    write_json(
        results / ENTRIES / f"{key(record)}.json",
        published.model_copy(update={"withdrawn": reason}),
    )
    write_jsonl(results / LOG, [*known.log, change_of("withdrawn", record, date, reason)])
    return key(record)


def published_run(run_id: str, results: Path) -> tuple[Results, ResultEntry, RunRecord]:
    """What is published, of a run that stands its entry, and its record.

    Raises:
        UserError: There is no such entry.
    """
    known = read_results(results)
    live = [e for e in known.entries.values() if e.run_id == run_id and e.withdrawn is None]
    if not live:
        raise UserError(f"run_id {run_id[:60]!r}: has no entry in {results} that stands.")
    return known, live[0], runs.read_run(results / RUNS / live[0].name).record


def place(folder: Path, entry: Entry, target: Path) -> None:
    """Copy a run's three files as they are, its plan and its times: all of them, or nothing.

    Without an entry a folder of that name is what a call that was killed has left.

    Raises:
        UserError: The disk refuses.
    """
    unfinished = target.with_name(f".{target.name}.part")
    try:
        for left in (unfinished, target):
            if left.exists():
                shutil.rmtree(left)
        unfinished.mkdir(parents=True)
        for name in (runs.PREDICTIONS_FILE, runs.SUMS_FILE, runs.RECORD_FILE):
            shutil.copyfile(folder / name, unfinished / name, follow_symlinks=False)
        if entry.plan is not None:
            write_json(unfinished / PLAN_FILE, entry.plan)
        if (timed := performance_of(folder, entry.record)) is not None:
            write_json(unfinished / PERFORMANCE_FILE, timed)
        runs.read_run(unfinished)
        unfinished.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}).", exit_code=1) from None


def change_of(
    change: Literal["added", "withdrawn", "reproduced"],
    record: RunRecord,
    date: str,
    reason: str | None = None,
) -> Change:
    """The line of the log for a change of a run."""
    what = f"{record.benchmark.name}, {record.model.name}, {record.arm.name}"
    return Change(
        date=date,
        change=change,
        run_id=record.run_id,
        predictions_sha256=record.predictions_sha256,
        what=what,
        reason=reason,
    )
