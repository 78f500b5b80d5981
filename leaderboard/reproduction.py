"""A second run of a published run's settings: recorded, kept, and counted again at each reading."""

from collections.abc import Sequence
from pathlib import Path

from hlvid.errors import UserError
from hlvid.files import write_json, write_jsonl
from leaderboard.entries import Entry, read_all
from leaderboard.exams import Exam
from leaderboard.results import (
    ENTRIES,
    LOG,
    MIN_AGREEMENT,
    RUNS,
    SECOND,
    Reproduction,
    change_of,
    key,
    place,
    published_run,
    read_results,
)


def reproduce(folder: Path, *, results: Path, exams: Sequence[Exam], date: str) -> Reproduction:
    """Record a second run of a published run's settings, and keep it beside that one.

    Args:
        folder: Of the second run.
        results: The results folder.
        exams: What the runs were asked.
        date: Of the change.

    Raises:
        UserError: There is no such entry, it is the same run, it breaks a rule, or too few answers
            agree.
    """
    again = _read(folder, exams)
    if again.problems:
        raise UserError(
            f"run_id {again.run_id}: the second run breaks a rule itself: "
            f"{again.problems[0].message}",
            exit_code=1,
        )
    known, published, record = published_run(again.run_id, results)
    if again.record.predictions_sha256 == published.predictions_sha256:
        raise UserError(
            f"run_id {again.run_id}: is the published run itself. Times differ in a second one.",
            exit_code=1,
        )
    name = key(record)
    found = _agreement(_read(results / RUNS / name, exams), again)
    place(folder, again, results / SECOND / name)
    update = {"reproduction": found}
    write_json(results / ENTRIES / f"{name}.json", published.model_copy(update=update))
    write_jsonl(results / LOG, [*known.log, change_of("reproduced", record, date)])
    return found


def check_reproductions(results: Path, exams: Sequence[Exam]) -> None:
    """Hold every second run that entries speak of against the published one.

    Args:
        results: The results folder.
        exams: What the runs were asked.

    Raises:
        UserError: A second run is not there, or agrees in other answers than its entry says.
    """
    for entry in read_results(results).entries.values():
        if entry.reproduction is None:
            continue
        name = entry.name
        again = _read(results / SECOND / name, exams)
        if again.record.predictions_sha256 != entry.reproduction.predictions_sha256:
            raise UserError(f"{SECOND}/{name}: is another run than its entry says.", exit_code=1)
        found = _agreement(_read(results / RUNS / name, exams), again)
        if found != entry.reproduction:
            raise UserError(
                f"{ENTRIES}/{name}.json: says that {entry.reproduction.num_agreeing} answers agree "
                f"with the second run; {found.num_agreeing} do.",
                exit_code=1,
            )


def _read(folder: Path, exams: Sequence[Exam]) -> Entry:
    (reading,) = read_all([folder.resolve()], exams)
    if reading.entry is None:
        raise UserError(f"{reading.name}/{reading.problems[0].message}", exit_code=1)
    return reading.entry


def _agreement(first: Entry, again: Entry) -> Reproduction:
    """How many answers of two runs agree, at least as many as reproduced means.

    Raises:
        UserError: They are of other settings or questions, or too few agree.
    """
    ours, theirs = again.columns, first.columns
    if again.run_id != first.run_id or ours.question_ids != theirs.question_ids:
        raise UserError(
            f"run_id {again.run_id}: is of other settings or questions than {first.run_id}.",
            exit_code=1,
        )
    is_same = (ours.letters == theirs.letters) & (ours.outcomes == theirs.outcomes)
    num_agreeing = int(is_same.sum())
    if num_agreeing < MIN_AGREEMENT * len(is_same):
        raise UserError(
            f"run_id {again.run_id}: {num_agreeing} of {len(is_same)} answers agree. "
            f"Reproduced means at least {MIN_AGREEMENT:.0%}.",
            exit_code=1,
        )
    return Reproduction(
        predictions_sha256=again.record.predictions_sha256,
        num_agreeing=num_agreeing,
        num_questions=len(is_same),
    )
