"""The figure of a group: accuracy against kept tokens, with its words and its numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leaderboard import charts, wording
from leaderboard.compare import OFF
from leaderboard.entries import Entry
from leaderboard.tables import ROLES, role_of

CAPTION = (
    f"Accuracy against kept tokens, with intervals of 95{wording.NBSP}%. The band is the interval "
    "of off, the dotted line is guessing. Arms of one budget stand side by side so that their "
    "intervals can be seen; points of one selector are joined."
)


@dataclass(frozen=True)
class FigureRow:
    """One point of a figure, in numbers."""

    arm: str
    kept: str
    accuracy: str
    low: str
    high: str


@dataclass(frozen=True)
class LegendItem:
    """A marker and its words."""

    role: str
    text: str


@dataclass(frozen=True)
class Figure:
    """Accuracy against kept tokens for the arms of one group."""

    anchor: str
    number: int
    title: str
    description: str
    caption: str
    wide: charts.Scatter
    narrow: charts.Scatter
    """The same for a phone; a style sheet shows one of the two."""
    legend: tuple[LegendItem, ...]
    rows: tuple[FigureRow, ...]


def figure_of(entries: Sequence[Entry], numbers: Iterator[int]) -> Figure | None:
    """The figure of a group; None where no arm but off has both numbers.

    Args:
        entries: The runs of one command.
        numbers: Gives the figure its number, where there is one.
    """
    drawn: list[tuple[Entry, charts.Point]] = []
    names = _series_names(entries)
    for entry in entries:
        summary, ratio = entry.record.summary, entry.kept_ratio
        if summary is not None and entry.accuracy is not None and ratio:
            arm = entry.record.arm
            point = charts.Point(
                series=names[arm.selector or OFF],
                role=role_of(arm),
                x=ratio,
                y=summary.accuracy,
                low=summary.accuracy_low,
                high=summary.accuracy_high,
            )
            drawn.append((entry, point))
    if all(point.role == "off" for _, point in drawn):
        return None
    chance = next((e.chance for e, _ in drawn if e.chance is not None), None)
    points = [point for _, point in drawn]
    number = next(numbers)
    roles = [role for role in ROLES if any(point.role == role for point in points)]
    drawn.sort(key=lambda d: (-d[1].x, -d[1].y, d[0].arm))
    return Figure(
        anchor=f"figure-{number}",
        number=number,
        title="Accuracy against kept tokens",
        description=_described(points),
        caption=CAPTION + _left_out(len(entries) - len(drawn)),
        wide=charts.scatter(points, chance=chance),
        narrow=charts.scatter(points, chance=chance, width=350, height=400),
        legend=tuple(LegendItem(role, ROLES[role]) for role in roles),
        rows=tuple(
            FigureRow(
                arm=wording.plain(entry.arm),
                kept=wording.kept(point.x),
                accuracy=wording.percent(point.y),
                low=wording.percent(point.low),
                high=wording.percent(point.high),
            )
            for entry, point in drawn
        ),
    )


def _left_out(num: int) -> str:
    return f" Not drawn: {wording.counted(num, 'run')} without both numbers." if num else ""


def _series_names(entries: Sequence[Entry]) -> dict[str, str]:
    """Selectors as labels: without their partner where no other partner is there."""
    selectors = {entry.record.arm.selector or OFF for entry in entries}
    bases = [selector.partition(":")[0] for selector in selectors]
    return {
        selector: wording.plain(base if bases.count(base) == 1 else selector)
        for selector, base in zip(selectors, bases, strict=True)
    }


def _described(points: Sequence[charts.Point]) -> str:
    """The figure in one sentence, for those who do not see it."""
    best, last = max(points, key=lambda p: p.y), min(points, key=lambda p: p.y)
    return (
        f"{wording.counted(len(points), 'arm')}, from {wording.kept(min(p.x for p in points))} to "
        f"{wording.kept(max(p.x for p in points))} % of the tokens. The most accurate is "
        f"{best.series} with {wording.percent(best.y)} %, the least {last.series} with "
        f"{wording.percent(last.y)} %. The table below has all numbers."
    )
