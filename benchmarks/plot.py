"""Pictures of measurements: the break-even map (towers by gazing ratios), and curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape

from measure import Row

from leaderboard.charts import Scale

LEFT, TOP, CELL_WIDTH, CELL_HEIGHT = 250, 62, 92, 46
PANEL_GAP = 40
GAIN, LOSS, PAPER = (33, 102, 172), (178, 90, 20), (255, 255, 255)
"""Colours of ten times faster, ten times slower, and neither."""
COLOURS = ("#0b5fa5", "#b25a14", "#5b8c5a", "#7a4fa3")
STRENGTH = Scale(0.0, 1.0, 0.0, 0.75)
"""How far from white, by the decimal logarithm of the speed-up."""


def break_even_map(rows: Sequence[Row]) -> str:
    """An SVG of the rows of break_even.py, one panel for each size of view, below each other.

    Towers by gazing ratios, coloured by what gazing gains.
    """
    views = sorted({row["view"] for row in rows})
    parts, top = [], 0
    ratios = sorted({row["gazing_ratio"] for row in rows})
    for view in views:
        here = [row for row in rows if row["view"] == view]
        drawn, height = _panel(here, ratios, view, top)
        parts += drawn
        top += height + PANEL_GAP
    width, height = LEFT + CELL_WIDTH * len(ratios) + 20, top - PANEL_GAP + 20
    return _svg(
        "How many times faster gaze and tower are than the tower alone", width, height, parts
    )


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], title: str, *, x_label: str) -> str:
    """An SVG of lines in one panel, each named at its end; the vertical axis is logarithmic.

    Args:
        lines: (x, y) by name, y above 0.
        title: Of the picture.
        x_label: Of the horizontal axis.
    """
    width, height, left, right, top, bottom = 720, 320, 64, 190, 40, 48
    lines = {name: points for name, points in lines.items() if points}
    points = [point for line in lines.values() for point in line]
    low, high = min(y for _, y in points), max(y for _, y in points)
    across = Scale(0.0, max(x for x, _ in points), left, width - right)
    up = Scale(math.log(low / 1.05), math.log(high * 1.05), height - bottom, top)
    parts = [_text(14, 22, title, size=15)]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = low * (high / low) ** share
        y = up.at(math.log(value))
        parts.append(f'<path d="M{left} {y:.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(_text(left - 8, y + 4, f"{value:.3g}", anchor="end", size=11))
        x = across.value_high * share
        parts.append(_text(across.at(x), height - 26, f"{x:,.0f}", anchor="middle", size=11))
    parts.append(_text((left + width - right) / 2, height - 8, x_label, anchor="middle"))
    ends = []
    for (name, line), colour in zip(lines.items(), itertools.cycle(COLOURS), strict=False):
        path = " ".join(f"{across.at(x):.1f},{up.at(math.log(y)):.1f}" for x, y in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        ends.append((up.at(math.log(line[-1][1])), across.at(line[-1][0]), name, colour))
    last = -math.inf
    for y, x, name, colour in sorted(ends):
        last = max(y, last + 16)
        parts.append(_text(x + 8, last + 4, name, colour=colour))
    return _svg(title, width, height, parts)


def _svg(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    """A picture of its parts on white."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" font-family="sans-serif" '
            'font-size="13" fill="#222">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _panel(
    rows: Sequence[Row], ratios: Sequence[float], view: int, top: int
) -> tuple[list[str], int]:
    """The map of one size of view, and how high it is."""
    cost: dict[str, Row] = {}
    for row in rows:
        cost.setdefault(row["tower"], row)
    towers = sorted(cost, key=lambda name: (cost[name]["parameters"], name))
    parts = [_text(14, top + 24, f"A view of {view} pixels: times faster with gaze", size=15)]
    for column, ratio in enumerate(ratios):
        x = LEFT + CELL_WIDTH * (column + 0.5)
        parts.append(_text(x, top + TOP - 10, f"gazing {100 * ratio:g} %", anchor="middle"))
    for number, name in enumerate(towers):
        row = cost[name]
        y = top + TOP + CELL_HEIGHT * number
        frames = "" if row["frames"] == 16 else f", {row['frames']} frames"
        millions, seconds = row["parameters"] / 1e6, row["tower_off_ms"] / 1e3
        parts.append(_text(14, y + 20, name))
        parts.append(_text(14, y + 37, f"{millions:.0f} M, {seconds:.3g} s alone{frames}", size=11))
        for found in (row for row in rows if row["tower"] == name):
            parts += _cell(found, LEFT + CELL_WIDTH * ratios.index(found["gazing_ratio"]), y)
    return parts, TOP + CELL_HEIGHT * len(towers)


def _cell(row: Row, x: int, y: int) -> list[str]:
    """A speed-up with its interval on its colour."""
    middle = x + CELL_WIDTH / 2
    parts = [
        f'<rect x="{x}" y="{y}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" '
        f'fill="{_colour(row["speed_up"])}" stroke="#fff"/>',
        _text(middle, y + 20, f"{row['speed_up']:.3g}", anchor="middle", size=15),
    ]
    if row["speed_up_low"] is not None:
        interval = f"{row['speed_up_low']:.3g} to {row['speed_up_high']:.3g}"
        parts.append(_text(middle, y + 37, interval, anchor="middle", size=11))
    return parts


def _colour(speed_up: float) -> str:
    logarithm = math.log10(speed_up)
    share = STRENGTH.at(abs(logarithm))
    end = GAIN if logarithm > 0 else LOSS
    mixed = (round(p + share * (e - p)) for p, e in zip(PAPER, end, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, colour: str = ""
) -> str:
    fill = f' fill="{colour}"' if colour else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{fill}>'
        f"{escape(text)}</text>"
    )
