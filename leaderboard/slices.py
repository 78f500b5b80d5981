"""Parts of a benchmark: by category, by what is asked for, by size of the evidence, by duration."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hlvid.statistics import MIN_VIDEOS, accuracy_interval, holm, paired_difference
from hlvid.types import Question
from leaderboard import wording
from leaderboard.entries import Entry
from leaderboard.exams import Exam
from leaderboard.tables import NOTHING, Cell, role_of

MAX_SLICES = 12
"""Most parts of one division that are shown; the rest would be too small to say anything."""
SIZES = ((32, "under 32 px"), (64, "32 to 64 px"), (128, "64 to 128 px"), (float("inf"), "larger"))
"""Upper ends of the shorter side of the evidence's largest box, in pixels of the video."""
DURATIONS = ((120, "under 2 min"), (900, "2 to 15 min"), (float("inf"), "longer"))
"""Upper ends in seconds."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Some questions of a benchmark."""

    division: str
    """'category', 'asked for', 'evidence' or 'duration'."""
    name: str
    question_ids: frozenset[str]


@dataclass(frozen=True)
class SliceRow:
    """A slice of one run, or of one run against another."""

    division: str
    name: str
    num_questions: str
    num_videos: str
    value: Cell
    difference: Cell
    p: str
    is_small: bool
    """Whether the run has too few videos of it for a verdict."""


@lru_cache(maxsize=8)
def slices_of(exam: Exam) -> tuple[Slice, ...]:
    """The divisions of a benchmark that have at least two parts."""
    found: list[Slice] = []
    for division, part_of in _divisions(exam):
        parts: dict[str, list[Question]] = {}
        for question in exam.questions:
            if (part := part_of(question)) is not None:
                parts.setdefault(part, []).append(question)
        if not 2 <= len(parts) <= MAX_SLICES:
            continue
        found += [
            Slice(
                division,
                wording.plain(part, limit=60),
                frozenset(question.question_id for question in parts[part]),
            )
            for part in sorted(parts, key=_order)
        ]
    return tuple(found)


def _divisions(exam: Exam) -> Iterator[tuple[str, Callable[[Question], str | None]]]:
    yield "category", lambda question: question.category
    yield "asked for", lambda question: question.capability
    yield "evidence", _size
    if exam.videos:
        yield "duration", lambda question: _duration(exam, question)


def _order(part: str) -> tuple[int, str]:
    names = [name for _, name in (*SIZES, *DURATIONS)]
    return (names.index(part) if part in names else -1), part


def _size(question: Question) -> str | None:
    sides = [min(x1 - x0, y1 - y0) for e in question.evidence for _, x0, y0, x1, y1 in e.boxes]
    return next(name for limit, name in SIZES if max(sides) < limit) if sides else None


def _duration(exam: Exam, question: Question) -> str | None:
    video = exam.videos.get(question.video_id)
    if video is None:
        return None
    return next(name for limit, name in DURATIONS if video.duration_seconds < limit)


def slice_rows(exam: Exam, entry: Entry, other: Entry | None = None) -> tuple[SliceRow, ...]:
    """Accuracy in each slice, and what differs from another run of the same questions.

    The p-values are Holm-adjusted over the slices with enough videos.
    """
    if entry.accuracy is None or not len(entry.columns):
        return ()
    paired = other is not None and other.columns.question_ids == entry.columns.question_ids
    rows: list[SliceRow] = []
    p_values: list[float] = []
    for part in slices_of(exam):
        chosen = _chosen(part, entry.columns.question_ids)
        if not chosen.any():
            continue
        right, clusters = entry.columns.is_correct[chosen], entry.columns.clusters[chosen]
        found = accuracy_interval(right, clusters)
        is_small = found.num_clusters < MIN_VIDEOS
        ends = (wording.percent(found.low), wording.percent(found.high))
        difference, p_value = Cell(NOTHING), NOTHING
        if paired and other is not None:
            theirs = other.columns.is_correct[chosen]
            paired_found = paired_difference(right, theirs, clusters, num_bootstrap=0)
            low, high = wording.points(paired_found.low), wording.points(paired_found.high)
            difference = Cell(wording.points(paired_found.difference), wording.span(low, high))
            if not is_small:
                p_values.append(paired_found.p_value)
                p_value = "known"
        rows.append(
            SliceRow(
                division=part.division,
                name=part.name,
                num_questions=wording.count(found.num_questions),
                num_videos=wording.count(found.num_clusters),
                value=Cell(wording.percent(found.accuracy), wording.span(*ends)),
                difference=difference,
                p=p_value,
                is_small=is_small,
            )
        )
    return _adjusted(rows, p_values)


def _adjusted(rows: Sequence[SliceRow], p_values: Sequence[float]) -> tuple[SliceRow, ...]:
    adjusted = iter(holm(p_values))
    return tuple(
        replace(row, p=wording.p_value(next(adjusted)) if row.p == "known" else row.p)
        for row in rows
    )


def _chosen(part: Slice, question_ids: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    return np.array([question_id in part.question_ids for question_id in question_ids])


@dataclass(frozen=True)
class SliceTable:
    """What each arm of a command gains or loses against off, slice by slice."""

    anchor: str
    number: int
    caption: str
    heads: tuple[SliceRow, ...]
    """One a column: its division, name and numbers."""
    rows: tuple[tuple[str, str, tuple[SliceRow, ...]], ...]
    """(arm, role, one a column)."""


def slice_table(
    exam: Exam, arms: Sequence[Entry], off: Entry, numbers: Iterator[int]
) -> SliceTable | None:
    """Paired differences against off; None where the benchmark has no slices."""
    rows = [
        (wording.plain(arm.arm), role_of(arm.record.arm), slice_rows(exam, arm, off))
        for arm in arms
    ]
    rows = [row for row in rows if row[2]]
    if not rows:
        return None
    number = next(numbers)
    return SliceTable(
        anchor=f"slices-{number}",
        number=number,
        caption="By part of the benchmark: points gained or lost against "
        f"{wording.plain(off.arm)}. No interval allows for the number of parts and arms; each "
        "pair's page has the adjusted p of its parts. Parts with fewer than "
        f"{MIN_VIDEOS} videos are grey: they are shown, and decide nothing.",
        heads=rows[0][2],
        rows=tuple(rows),
    )
