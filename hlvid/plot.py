"""Lines in one panel, as an SVG that needs nothing else: what training and measurements draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 820, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 220, 36, 52
COLOURS = ("#0b5fa5", "#c2571a", "#5b8c5a", "#7a4fa3", "#b8860b", "#8a8f98", "#22252a")
LABEL_GAP = 16.0
_FEWEST_TICKS = 3
DODGE = 3.0
"""Pixels between the whiskers of two lines at one place."""


@dataclass(frozen=True)
class Scale:
    """A linear map from values to units of the drawing, clipped at its ends."""

    value_low: float
    value_high: float
    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value lies."""
        share = (value - self.value_low) / (self.value_high - self.value_low)
        return self.low + min(1.0, max(0.0, share)) * (self.high - self.low)


@dataclass(frozen=True)
class Axis:
    """What one axis says.

    Attributes:
        ticks: Labels by value.
        ends: Of the axis.
        label: Of the axis, "" for none.
        is_log: Whether equal ratios are equally far apart; values are above 0 then.
    """

    ticks: Mapping[float, str]
    ends: tuple[float, float]
    label: str = ""
    is_log: bool = False

    def place(self, low: float, high: float) -> Scale:
        """The map from what `value` gives to a stretch of the drawing."""
        first, last = (self.value(end) for end in self.ends)
        return Scale(first, last if last > first else first + 1.0, low, high)

    def value(self, value: float) -> float:
        """What is linear along the axis."""
        return math.log(max(value, self.ends[0])) if self.is_log else value


@dataclass(frozen=True)
class Line:
    """Some points in order.

    Attributes:
        name: Stands at its end.
        points: (x, y).
        whiskers: (low, high) of each point, where it has an interval.
        is_dashed: How it is drawn.
    """

    name: str
    points: Sequence[tuple[float, float]]
    whiskers: Sequence[tuple[float, float]] | None = None
    is_dashed: bool = False


def log_axis(values: Iterable[float], label: str = "") -> Axis:
    """A logarithmic axis with room for values above 0, at round values where there are some."""
    values = list(values)
    low, high = min(values) * 0.95, max(values) * 1.05
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_ = [float(f"{m}e{p}") for p in powers for m in (1, 2, 3, 5, 7)]
    ticks = [tick for tick in round_ if low <= tick <= high]
    if len(ticks) < _FEWEST_TICKS:
        ticks = [low * (high / low) ** share for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return Axis({tick: f"{tick:.3g}" for tick in ticks}, (low, high), label, is_log=True)


def step_axis(last: int) -> Axis:
    """Steps of training from 0."""
    ticks = {last * share / 4: f"{last * share // 4:,}" for share in range(5)}
    return Axis(ticks, (0.0, float(last)), "steps")


def plot_lines(
    lines: Sequence[Line], *, title: str, x: Axis, y: Axis, marks: Mapping[float, str] | None = None
) -> str:
    """An SVG of lines, each named in its colour at the height of its end.

    Args:
        lines: In the order of their colours; those without points are left out.
        title: Of the picture.
        x: The horizontal axis.
        y: The vertical axis.
        marks: Named vertical borders by their place on the horizontal axis.
    """
    lines = [line for line in lines if line.points]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    inset = DODGE * len(lines) / 2 if any(line.whiskers for line in lines) else 0.0
    across, up = x.place(LEFT + inset, right - inset), y.place(bottom, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" font-family="system-ui, sans-serif" '
        'font-size="13" fill="#22252a">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        draw_text(LEFT, 20, title),
        draw_text((LEFT + right) / 2, HEIGHT - 8, x.label, anchor="middle"),
    ]
    for value, label in y.ticks.items():
        at = up.at(y.value(value))
        parts.append(f'<path d="M{LEFT} {at:.1f}H{right}" stroke="#e3e5e8"/>')
        parts.append(draw_text(LEFT - 8, at + 4, label, anchor="end", size=11))
    for value, label in x.ticks.items():
        parts.append(
            draw_text(across.at(x.value(value)), bottom + 18, label, anchor="middle", size=11)
        )
    for number, (value, label) in enumerate((marks or {}).items()):
        at = across.at(x.value(value))
        parts.append(f'<path d="M{at:.1f} {TOP}V{bottom}" stroke="#c9cdd2"/>')
        parts.append(draw_text(at - 3, TOP + 10 + 12 * (number % 2), label, anchor="end", size=10))
    ends = []
    for number, line in enumerate(lines):
        shift = DODGE * (number - (len(lines) - 1) / 2) if inset else 0.0
        places = [(across.at(x.value(a)) + shift, up.at(y.value(b))) for a, b in line.points]
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        dashes = ' stroke-dasharray="5 4"' if line.is_dashed or number >= len(COLOURS) else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'
        )
        for (at, middle), (low, high) in zip(places, line.whiskers or (), strict=False):
            foot, top = (up.at(y.value(end)) for end in (low, high))
            parts.append(f'<path d="M{at:.1f} {foot:.1f}V{top:.1f}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{at:.1f}" cy="{middle:.1f}" r="3" fill="{colour}"/>')
        ends.append((places[-1][1], line.name, colour))
    # A label moves down where another stands; all move up where the last would fall off.
    ends.sort()
    last = min(ends[0][0], bottom - LABEL_GAP * (len(ends) - 1)) - LABEL_GAP if ends else 0.0
    for index, (place, name, colour) in enumerate(ends):
        left = len(ends) - 1 - index
        last = max(last + LABEL_GAP, min(place, bottom - LABEL_GAP * left))
        parts.append(draw_text(right + 12, last + 4, name, colour=colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw_text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, colour: str = ""
) -> str:
    """An SVG text, escaped; x, y and size in units of the drawing, "" for its own colour."""
    fill = f' fill="{colour}"' if colour else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{fill}>'
        f"{escape(text)}</text>"
    )
