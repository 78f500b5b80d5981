"""Where the time goes: the mean milliseconds of each stage as one stacked bar a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hlvid.statistics.columns import FAILED
from leaderboard import wording
from leaderboard.entries import Entry
from leaderboard.measures import DECODE, END_TO_END, GAZE, mean_stages
from leaderboard.tables import NOTHING, machine_key, role_of

OTHER = "other"
SHOWN = (
    DECODE,
    "preprocess",
    GAZE,
    "encode",
    "read",
    "prune",
    "prefill",
    "generate",
)
"""Stages with a column of their own, in the order in which they happen."""
NOT_IN_TURNS = (
    " These runs did not all take turns on one machine, as far as they say: their seconds are not "
    "to be held against each other."
)
MAX_BAR = 97.0
"""Percent of a cell that the longest bar fills."""


@dataclass(frozen=True)
class Segment:
    """A stage's part of a bar, in percent of the cell."""

    stage: str
    x: float
    width: float


@dataclass(frozen=True)
class StageRow:
    """A run."""

    arm: str
    role: str
    segments: tuple[Segment, ...]
    seconds: tuple[str, ...]
    total: str


@dataclass(frozen=True)
class StageTable:
    """The runs of one command."""

    anchor: str
    number: int
    caption: str
    stages: tuple[str, ...]
    rows: tuple[StageRow, ...]


def stage_table(entries: Sequence[Entry], numbers: Iterator[int]) -> StageTable | None:
    """The bars of a command's runs; None where no run has stages beside its total."""
    spent = {entry.slug: _parts(entry) for entry in entries}
    timed = [entry for entry in entries if len(spent[entry.slug]) > 1]
    if not timed:
        return None
    names = [name for name in (*SHOWN, OTHER) if any(name in spent[e.slug] for e in timed)]
    longest = max(sum(spent[entry.slug].values()) for entry in timed)
    number = next(numbers)
    return StageTable(
        anchor=f"stages-{number}",
        number=number,
        caption="Where the time goes: mean seconds a question in each stage. Gaze has a colour and "
        "a pattern of its own. What no stage accounts for is other."
        + ("" if took_turns(timed) else NOT_IN_TURNS),
        stages=tuple(names),
        rows=tuple(
            _row(entry, spent[entry.slug], names, longest)
            for entry in sorted(timed, key=lambda e: (-sum(spent[e.slug].values()), e.slug))
        ),
    )


def took_turns(entries: Sequence[Entry]) -> bool:
    """Whether runs were timed in one sitting on one machine; not where one does not say so."""
    answered = (e.columns.sittings[e.columns.outcomes != FAILED] for e in entries)
    sittings = {sitting for column in answered for sitting in column.tolist()}
    is_one = len(sittings) == 1 and b"" not in sittings
    return is_one and len({machine_key(entry) for entry in entries}) == 1


def _parts(entry: Entry) -> dict[str, float]:
    """Milliseconds of each shown stage and of all else; empty without a total."""
    means = mean_stages(entry.columns)
    total = means.pop(END_TO_END, None)
    if total is None or not 0 < total < 1e12:
        return {}
    parts = {name: means[name] for name in SHOWN if means.get(name, 0.0) > 0}
    other = total - sum(parts.values())
    return parts | ({OTHER: other} if other > 0.005 * total else {})


def _row(entry: Entry, spent: dict[str, float], names: Sequence[str], longest: float) -> StageRow:
    segments, x = [], 0.0
    for name in names:
        width = MAX_BAR * spent.get(name, 0.0) / longest
        if width > 0:
            segments.append(Segment(name, x, width))
        x += width
    return StageRow(
        arm=wording.plain(entry.arm),
        role=role_of(entry.record.arm),
        segments=tuple(segments),
        seconds=tuple(wording.seconds(spent[n]) if n in spent else NOTHING for n in names),
        total=wording.seconds(sum(spent.values())),
    )
