"""Where everything in a scatter plot goes: pure geometry, in the user units of an SVG.

Nothing here knows about runs, and nothing is drawn here: the templates turn these shapes into
SVG, and the style sheet gives them their colours.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hlvid.plot import Scale
from leaderboard.projections import KEPT, Projection

CHARACTER_WIDTH = 7.6
"""Generous width of a character of a label, so that an unknown font still fits."""
LABEL_HEIGHT = 15.0
LABEL_GAP = 9.0
MAX_LABEL_CHARACTERS = 26
MARKER_WIDTH = 8.0
LANE_WIDTH = 9.0
"""Between two series of one budget, where there is room."""


@dataclass(frozen=True)
class Point:
    """One arm in the plane of cost and accuracy."""

    series: str
    """Points of one series are joined and share a label."""
    role: str
    """Decides the marker: 'off', 'selector', 'marked', 'content-free' or 'privileged'."""
    x: float
    y: float
    low: float
    high: float
    is_off: bool = False
    """Whether it is `off` itself, of which the interval is drawn across the plot."""


@dataclass(frozen=True)
class Tick:
    """A gridline and its label."""

    at: float
    text: str
    is_minor: bool = False
    """Whether the label may be left out where there is little room."""


@dataclass(frozen=True)
class Mark:
    """A marker with its whisker."""

    role: str
    x: float
    y: float
    low_y: float
    high_y: float


@dataclass(frozen=True)
class Label:
    """A series' name beside its last point, joined to it by a leader line."""

    role: str
    text: str
    x: float
    y: float
    from_x: float
    from_y: float


@dataclass(frozen=True)
class Line:
    """The line through a series."""

    role: str
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """As the `points` of an SVG polyline."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Scatter:
    """Accuracy against something else."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
    band: Mark | None
    """The interval of `off`, drawn across the plot; None without one `off`, or with several."""
    chance_y: float | None
    x_label: str
    frontier: Line | None
    """Steps through the points that no other point beats in both directions."""


@dataclass(frozen=True)
class Placed:
    """A point and where it is drawn."""

    point: Point
    x: float
    y: float
    cluster: int
    """Points of one budget stand in one cluster; clusters are numbered from the left."""


def scatter(
    points: Sequence[Point],
    *,
    chance: float | None,
    projection: Projection = KEPT,
    has_frontier: bool = False,
    width: float = 740,
    height: float = 430,
) -> Scatter:
    """Lay out accuracy against kept tokens, seconds or recall, labels beside their series.

    Points of one budget would hide each other's whiskers, so where the axis has lanes they are set
    side by side in a fixed order of series, centred on their common place. Labels stand in one
    column right of the last points, pushed apart until none overlap; where the next points leave
    no room, in the margin.

    Args:
        points: At least one; `projection.can_show` their x.
        chance: Accuracy of guessing, drawn as a line; None where it is not known.
        projection: What the horizontal axis shows.
        has_frontier: Whether to join the points that are not beaten: smaller x, higher accuracy.
        width: Of the drawing, in its own units.
        height: Likewise; more where the labels need it.
    """
    names = _series_in_order(points)
    height = max(height, LABEL_HEIGHT * len(names) + 80)
    left, top, bottom, margin = 38.0, 30.0, height - 42.0, 20.0
    y_scale, y_ticks = _accuracy_axis(points, chance, top=top, bottom=bottom)
    for _ in range(3):
        x_scale, x_ticks = _x_axis(points, projection, left=left, right=width - margin)
        placed = _side_by_side(points, names, projection, x_scale, y_scale)
        labels = _labels(placed, top=top, bottom=bottom - LABEL_HEIGHT / 2)
        outside = max(label.x + _width_of(label.text) for label in labels) - width
        if outside <= 0:
            break
        margin += outside
    marks = tuple(
        Mark(p.point.role, p.x, p.y, y_scale.at(p.point.low), y_scale.at(p.point.high))
        for p in placed
    )
    offs = [mark for p, mark in zip(placed, marks, strict=True) if p.point.is_off]
    return Scatter(
        width=width,
        height=height,
        left=left,
        right=width - margin,
        top=top,
        bottom=bottom,
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        lines=_lines(placed) if projection.has_lanes else (),
        marks=marks,
        labels=labels,
        band=offs[0] if len(offs) == 1 else None,
        chance_y=None if chance is None else y_scale.at(chance),
        x_label=projection.label,
        frontier=_frontier(placed) if has_frontier else None,
    )


def _frontier(placed: Sequence[Placed]) -> Line | None:
    """Steps along the points that no other is both faster and more accurate than."""
    best: list[Placed] = []
    for p in sorted(placed, key=lambda p: (p.point.x, -p.point.y)):
        if not best or p.point.y > best[-1].point.y:
            best.append(p)
    steps: list[tuple[float, float]] = []
    for p in best:
        steps += [(p.x, steps[-1][1])] if steps else []
        steps.append((p.x, p.y))
    return Line("frontier", tuple(steps)) if len(best) > 1 else None


def _series_in_order(points: Sequence[Point]) -> list[str]:
    """Series by falling accuracy at their last point, so that neighbours stay neighbours."""
    last: dict[str, tuple[float, float]] = {}
    for point in points:
        last[point.series] = max(last.get(point.series, (0.0, 0.0)), (point.x, point.y))
    return sorted(last, key=lambda name: (-last[name][1], name))


def _accuracy_axis(
    points: Sequence[Point], chance: float | None, *, top: float, bottom: float
) -> tuple[Scale, tuple[Tick, ...]]:
    """Tens of percent around all whiskers and the line of chance."""
    values = [v for p in points for v in (p.low, p.high)] + ([] if chance is None else [chance])
    low = max(0, math.floor(10 * min(values) - 0.2))
    high = max(low + 1, min(10, math.ceil(10 * max(values) + 0.2)))
    scale = Scale(low / 10, high / 10, bottom, top)
    step = 2 if high - low > 6 else 1
    tenths = (tenth for tenth in range(low, high + 1) if tenth % step == 0)
    return scale, tuple(Tick(scale.at(tenth / 10), str(10 * tenth)) for tenth in tenths)


def _x_axis(
    points: Sequence[Point], projection: Projection, *, left: float, right: float
) -> tuple[Scale, tuple[Tick, ...]]:
    low, high = projection.range([p.x for p in points])
    scale = Scale(low, high, left, right)
    return scale, tuple(Tick(scale.at(at), text) for at, text in projection.ticks(low, high))


def _side_by_side(
    points: Sequence[Point],
    names: Sequence[str],
    projection: Projection,
    x_scale: Scale,
    y_scale: Scale,
) -> list[Placed]:
    """Every point's place; where there are lanes, each series at one place has its own."""
    placed: list[Placed] = []

    def place(point: Point) -> float:
        return x_scale.at(projection.at(point.x))

    clusters = list(_clusters(points, place))
    centres = [math.fsum(map(place, cluster)) / len(cluster) for cluster in clusters]
    room = 0.7 * min((b - a for a, b in itertools.pairwise(centres)), default=math.inf)
    for number, (cluster, centre) in enumerate(zip(clusters, centres, strict=True)):
        lanes = [name for name in names if any(p.series == name for p in cluster)]
        step = min(LANE_WIDTH, room / max(1, len(lanes) - 1))
        for point in cluster:
            lane = lanes.index(point.series) - (len(lanes) - 1) / 2
            x = centre + lane * step if projection.has_lanes else place(point)
            placed.append(Placed(point, x, y_scale.at(point.y), number))
    return placed


def _clusters(points: Sequence[Point], place: Callable[[Point], float]) -> Iterable[list[Point]]:
    """Points from left to right, cut where two neighbours are further than a marker apart."""
    cluster: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, p.series, p.y)):
        if cluster and place(point) - place(cluster[-1]) > MARKER_WIDTH:
            yield cluster
            cluster = []
        cluster.append(point)
    yield cluster


def _by_series(placed: Sequence[Placed]) -> dict[str, list[tuple[Placed, float]]]:
    """For each series its clusters from the left: a point, and the mean height of all seeds."""
    found: dict[str, list[tuple[Placed, float]]] = {}

    def key(p: Placed) -> tuple[str, int]:
        return p.point.series, p.cluster

    for (series, _), same in itertools.groupby(sorted(placed, key=key), key):
        seeds = list(same)
        height = math.fsum(p.y for p in seeds) / len(seeds)
        found.setdefault(series, []).append((seeds[0], height))
    return found


def _lines(placed: Sequence[Placed]) -> tuple[Line, ...]:
    """A line through each series of two budgets or more."""
    return tuple(
        Line(stops[0][0].point.role, tuple((stop.x, height) for stop, height in stops))
        for stops in _by_series(placed).values()
        if len(stops) > 1
    )


def _labels(placed: Sequence[Placed], *, top: float, bottom: float) -> tuple[Label, ...]:
    """The series' names beside their last points."""
    left_of: dict[int, float] = {}
    right_of: dict[int, float] = {}
    for p in placed:
        left_of[p.cluster] = min(p.x, left_of.get(p.cluster, p.x))
        right_of[p.cluster] = max(p.x, right_of.get(p.cluster, p.x))
    last = max(right_of)
    columns: dict[int, list[tuple[Placed, float]]] = {}
    for stops in _by_series(placed).values():
        columns.setdefault(stops[-1][0].cluster, []).append(stops[-1])
    for cluster in sorted(columns, reverse=True):
        widest = max(_width_of(end.point.series) for end, _ in columns[cluster])
        free = left_of.get(cluster + 1, math.inf) - right_of[cluster] - 3 * LABEL_GAP
        if cluster != last and widest > free:
            columns.setdefault(last, []).extend(columns.pop(cluster))
    return tuple(
        Label(
            role=end.point.role,
            text=shortened(end.point.series),
            x=right_of[cluster] + 1.6 * LABEL_GAP,
            y=y,
            from_x=end.x,
            from_y=height,
        )
        for cluster, column in sorted(columns.items())
        for end, height, y in _apart(column, top=top, bottom=bottom)
    )


def _apart(
    column: Sequence[tuple[Placed, float]], *, top: float, bottom: float
) -> list[tuple[Placed, float, float]]:
    """Points, their heights and their labels' heights: pushed apart, kept inside the plot."""
    ordered = sorted(column, key=lambda end: (end[1], end[0].point.series))
    places: list[float] = []
    for _, height in ordered:
        places.append(max(height, places[-1] + LABEL_HEIGHT if places else top))
    ceiling = bottom
    for i in reversed(range(len(places))):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - LABEL_HEIGHT
    return [(end, height, y) for (end, height), y in zip(ordered, places, strict=True)]


def _width_of(text: str) -> float:
    return CHARACTER_WIDTH * len(shortened(text))


def shortened(text: str) -> str:
    """A label's text, cut where it would leave the plot."""
    if len(text) <= MAX_LABEL_CHARACTERS:
        return text
    return text[: MAX_LABEL_CHARACTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
