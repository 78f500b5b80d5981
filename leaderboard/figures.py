"""Figures: accuracy against kept tokens, time or evidence recall, with words and numbers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from leaderboard import charts, wording
from leaderboard.compare import OFF, is_off
from leaderboard.entries import Entry
from leaderboard.projections import KEPT, RECALL, SECONDS, Projection
from leaderboard.tables import ROLES, model_name, role_of

FRONTIER = " The stepped line joins what no other arm beats in both: the frontier."
INTERVALS = (
    f"With intervals of 95{wording.NBSP}%. The band is the interval of off, the dotted line is "
    "guessing."
)


@dataclass(frozen=True)
class Kind:
    """What a figure shows along its horizontal axis."""

    projection: Projection
    title: str
    caption: str
    header: str
    """Over the column of its numbers."""
    value: Callable[[Entry], float | None]
    text: Callable[[float], str]


def _median_seconds(entry: Entry) -> float | None:
    """The median, where the interval is bounded: what may not be printed is not drawn."""
    latency = entry.end_to_end
    return latency.p50.value / 1000 if latency is not None and latency.p50.is_bounded else None


KEPT_TOKENS = Kind(
    projection=KEPT,
    title="Accuracy against kept tokens",
    caption=f"Accuracy against kept tokens. {INTERVALS} Arms of one budget stand side by side so "
    "that their intervals can be seen; points of one selector are joined.",
    header="Kept, %",
    value=lambda entry: entry.kept_ratio,
    text=wording.kept,
)
LATENCY = Kind(
    projection=SECONDS,
    title="Accuracy against time",
    caption=f"Accuracy against the median seconds a question, decoding included. {INTERVALS}",
    header="p50, s",
    value=_median_seconds,
    text=lambda seconds: wording.seconds(1000 * seconds),
)
EVIDENCE = Kind(
    projection=RECALL,
    title="Accuracy against evidence recall",
    caption=f"Accuracy against evidence recall, which needs no model. {INTERVALS} Where points "
    "rise to the right, an arm is as good as what it lets the model see.",
    header="Recall, %",
    value=lambda entry: None if entry.recall is None else entry.recall.recall,
    text=wording.percent,
)


@dataclass(frozen=True)
class FigureRow:
    """One point of a figure, in numbers."""

    arm: str
    x: str
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
    """Accuracy against something else for some arms."""

    anchor: str
    number: int
    title: str
    header: str
    description: str
    caption: str
    wide: charts.Scatter
    narrow: charts.Scatter
    """The same for a phone; a style sheet shows one of the two."""
    legend: tuple[LegendItem, ...]
    rows: tuple[FigureRow, ...]


def _drawn(entries: Sequence[Entry], kind: Kind) -> list[tuple[Entry, charts.Point]]:
    """The runs that have both numbers, and where they are drawn."""
    drawn: list[tuple[Entry, charts.Point]] = []
    names = _series_names(entries)
    for entry in entries:
        summary, x = entry.record.summary, kind.value(entry)
        if summary is None or entry.accuracy is None or x is None:
            continue
        if kind.projection.can_show(x):
            point = charts.Point(
                series=names[entry.slug],
                role=role_of(entry.record.arm),
                x=x,
                y=summary.accuracy,
                low=summary.accuracy_low,
                high=summary.accuracy_high,
                is_off=is_off(entry) and not entry.record.repeat,
            )
            drawn.append((entry, point))
    return drawn


def figure_of(
    entries: Sequence[Entry],
    numbers: Iterator[int],
    kind: Kind = KEPT_TOKENS,
    *,
    where: str = "",
    has_frontier: bool = False,
) -> Figure | None:
    """A figure; None where no arm but off has both numbers.

    Args:
        entries: What is drawn, as far as it has both numbers.
        numbers: Gives the figure its number, where there is one.
        kind: What is drawn against accuracy.
        where: Ends the caption, such as the machine.
        has_frontier: Whether the points that no other beats in both are joined.
    """
    drawn = _drawn(entries, kind)
    if len(drawn) < 2 or all(point.role == "off" for _, point in drawn):
        return None
    chance = next((e.chance for e, _ in drawn if e.chance is not None), None)
    points = [point for _, point in drawn]
    number = next(numbers)
    roles = [role for role in ROLES if any(point.role == role for point in points)]
    drawn.sort(key=lambda d: (-d[1].x, -d[1].y, d[0].arm))
    draw = partial(
        charts.scatter,
        points,
        chance=chance,
        projection=kind.projection,
        has_frontier=has_frontier,
    )
    return Figure(
        anchor=f"figure-{number}",
        number=number,
        title=kind.title,
        header=kind.header,
        description=_described(points, kind),
        caption=kind.caption
        + (FRONTIER if has_frontier else "")
        + where
        + _left_out(len(entries) - len(drawn)),
        wide=draw(),
        narrow=draw(width=350, height=400),
        legend=tuple(LegendItem(role, ROLES[role]) for role in roles),
        rows=tuple(
            FigureRow(
                arm=wording.plain(entry.arm),
                x=kind.text(point.x),
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
    """Slug -> label: the selector, without its partner where no other partner is there.

    The model is named where there are several.
    """
    models = {model_name(entry) for entry in entries}
    selectors = {e.slug: e.record.arm.selector or e.record.arm.variant or OFF for e in entries}
    bases = [selector.partition(":")[0] for selector in set(selectors.values())]
    labels = {}
    for entry in entries:
        selector = selectors[entry.slug]
        base = selector.partition(":")[0]
        label = base if bases.count(base) == 1 else selector
        model = f"{entry.record.model.name} " if len(models) > 1 else ""
        labels[entry.slug] = wording.plain(model + label)
    return labels


def _described(points: Sequence[charts.Point], kind: Kind) -> str:
    """The figure in one sentence, for those who do not see it."""
    best, last = max(points, key=lambda p: p.y), min(points, key=lambda p: p.y)
    low, high = min(p.x for p in points), max(p.x for p in points)
    return (
        f"{wording.counted(len(points), 'arm')}; {kind.header} from {kind.text(low)} to "
        f"{kind.text(high)}. The most accurate is {best.series} with {wording.percent(best.y)} %, "
        f"the least {last.series} with {wording.percent(last.y)} %. The table below has all "
        "numbers."
    )
