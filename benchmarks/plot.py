"""The break-even map, towers by gazing ratios, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from measure import Row

from hlvid.plot import Scale, draw_text

LEFT, TOP, CELL_WIDTH, CELL_HEIGHT = 250, 62, 92, 46
PANEL_GAP = 40
GAIN, LOSS, PAPER = (33, 102, 172), (178, 90, 20), (255, 255, 255)
"""Colours of ten times faster, ten times slower, and neither."""
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
    parts = [draw_text(14, top + 24, f"A view of {view} pixels: times faster with gaze", size=15)]
    for column, ratio in enumerate(ratios):
        x = LEFT + CELL_WIDTH * (column + 0.5)
        parts.append(draw_text(x, top + TOP - 10, f"gazing {100 * ratio:g} %", anchor="middle"))
    for number, name in enumerate(towers):
        row = cost[name]
        y = top + TOP + CELL_HEIGHT * number
        frames = "" if row["frames"] == 16 else f", {row['frames']} frames"
        millions, seconds = row["parameters"] / 1e6, row["tower_off_ms"] / 1e3
        parts.append(draw_text(14, y + 20, name))
        parts.append(
            draw_text(14, y + 37, f"{millions:.0f} M, {seconds:.3g} s alone{frames}", size=11)
        )
        for found in (row for row in rows if row["tower"] == name):
            parts += _cell(found, LEFT + CELL_WIDTH * ratios.index(found["gazing_ratio"]), y)
    return parts, TOP + CELL_HEIGHT * len(towers)


def _cell(row: Row, x: int, y: int) -> list[str]:
    """A speed-up with its interval on its colour."""
    middle = x + CELL_WIDTH / 2
    parts = [
        f'<rect x="{x}" y="{y}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" '
        f'fill="{_colour(row["speed_up"])}" stroke="#fff"/>',
        draw_text(middle, y + 20, f"{row['speed_up']:.3g}", anchor="middle", size=15),
    ]
    if row["speed_up_low"] is not None:
        interval = f"{row['speed_up_low']:.3g} to {row['speed_up_high']:.3g}"
        parts.append(draw_text(middle, y + 37, interval, anchor="middle", size=11))
    return parts


def _colour(speed_up: float) -> str:
    logarithm = math.log10(speed_up)
    share = STRENGTH.at(abs(logarithm))
    end = GAIN if logarithm > 0 else LOSS
    mixed = (round(p + share * (e - p)) for p, e in zip(PAPER, end, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)
