"""Evaluations as a table and a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from gaze.train.evaluate import MIN_SOURCES, ORACLE, Estimate, Evaluation

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 36, 48
COLOURS = ("#0b5fa5", "#8a8f98", "#c2571a", "#7a4fa3", "#b8860b", "#5b8c5a", "#22252a")
Scale = Callable[[float], float]
"""From a value to a place in the picture."""
DODGE = 3.0
"""Pixels between the whiskers of two arms at one ratio."""


def table(evaluation: Evaluation) -> str:
    """Markdown tables: the loss of every arm at every ratio, and what it is beyond the model's."""
    ratios = sorted({row.ratio for row in evaluation.rows})
    arms = list(dict.fromkeys(row.arm for row in evaluation.rows))
    lines = [
        f"`{evaluation.name}`: {evaluation.num_clips} clips of {evaluation.num_frames} frames from "
        f"{evaluation.num_sources} sources; loss `{evaluation.loss_kind}`, lower is better.",
        "",
        "| arm | " + " | ".join(f"{ratio:.0%} kept" for ratio in ratios) + " |",
        "|---|" + "--:|" * len(ratios),
    ]
    for arm in arms:
        cells = [shown(evaluation.row(arm, ratio).loss) for ratio in ratios]
        lines.append(f"| `{arm}` | " + " | ".join(cells) + " |")
    lines += ["", f"Loss beyond that of `{arms[0]}` on the same clips:", "", *lines[2:4]]
    for arm in arms[1:]:
        row = [evaluation.row(arm, ratio) for ratio in ratios]
        cells = [shown(one.excess) if one.excess else "" for one in row]
        finest = [f"{r.ratio:.0%}" for r in row if r.scales == "finest"]
        note = f" (finest cells only at {', '.join(finest)})" if finest else ""
        lines.append(f"| `{arm}`{note} | " + " | ".join(cells) + " |")
    cells = [shown(estimate) for _, estimate in evaluation.third]
    lines.append("| beyond a third of the gap to the oracle | " + " | ".join(cells) + " |")
    lines += ["", f"Clusters of the intervals: {evaluation.clusters}"]
    if evaluation.num_sources < MIN_SOURCES:
        lines += ["", f"Fewer than {MIN_SOURCES} sources: no intervals."]
    return "\n".join(lines) + "\n"


def shown(estimate: Estimate) -> str:
    """A mean with its interval, if it has one."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.3f}"
    return f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def picture(evaluation: Evaluation) -> str:
    """An SVG: loss against kept ratio, both logarithmic, with whiskers."""
    ratios = sorted({row.ratio for row in evaluation.rows})
    arms = list(dict.fromkeys(row.arm for row in evaluation.rows))
    values = [v for row in evaluation.rows for v in _ends(row.loss) if v > 0]
    low, high = min(values) * 0.95, max(values) * 1.05

    def x(ratio: float) -> float:
        share = math.log(ratio / ratios[0]) / max(1e-9, math.log(ratios[-1] / ratios[0]))
        return LEFT + 16 + share * (WIDTH - LEFT - RIGHT - 32)

    def y(loss: float) -> float:
        share = math.log(max(loss, low) / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [*_frame(evaluation), *_axes(ratios, low, high, x, y)]
    labels = _apart([y(evaluation.row(arm, ratios[-1]).loss.mean) for arm in arms])
    for number, (arm, label) in enumerate(zip(arms, labels, strict=True)):
        shift = DODGE * (number - (len(arms) - 1) / 2)
        points = [(x(r) + shift, evaluation.row(arm, r).loss) for r in ratios]
        parts += _line(arm, number, points, label, y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _frame(evaluation: Evaluation) -> list[str]:
    name, kind = escape(evaluation.name), escape(evaluation.loss_kind)
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#22252a">',
        f"<title>{name}: loss against kept ratio</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20">{name} clips: {kind} loss, lower is better</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">'
        "share of cells kept</text>",
    ]


def _axes(ratios: Sequence[float], low: float, high: float, x: Scale, y: Scale) -> list[str]:
    parts = []
    for tick in _ticks(low, high):
        at = y(tick)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#e3e5e8"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for ratio in ratios:
        parts.append(
            f'<text x="{x(ratio):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">'
            f"{ratio:.0%}</text>"
        )
    return parts


def _line(
    arm: str, number: int, points: Sequence[tuple[float, Estimate]], label: float, y: Scale
) -> list[str]:
    """One arm: its line, points with whiskers, and its name at the right."""
    colour = COLOURS[number % len(COLOURS)]
    line = " ".join(f"{at:.1f},{y(loss.mean):.1f}" for at, loss in points)
    dashes = ' stroke-dasharray="5 4"' if arm == ORACLE else ""
    width = 2.5 if number == 0 else 1.5
    parts = [
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'
    ]
    for at, loss in points:
        bottom, top = (y(end) for end in _ends(loss))
        parts.append(f'<path d="M{at:.1f} {bottom:.1f}V{top:.1f}" stroke="{colour}"/>')
        parts.append(f'<circle cx="{at:.1f}" cy="{y(loss.mean):.1f}" r="3" fill="{colour}"/>')
    name = (
        f'<text x="{WIDTH - RIGHT + 12}" y="{label + 4:.1f}" fill="{colour}">{escape(arm)}</text>'
    )
    return [*parts, name]


def _ends(estimate: Estimate) -> tuple[float, float]:
    if estimate.low is None or estimate.high is None:
        return estimate.mean, estimate.mean
    return estimate.low, estimate.high


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{m}e{p}") for p in powers for m in (1, 2, 3, 5, 7)]
    return [tick for tick in found if low <= tick <= high]


def _apart(places: Sequence[float], gap: float = 16.0) -> list[float]:
    """Heights of labels near their places, none over another."""
    found = [0.0] * len(places)
    last = -math.inf
    for index in sorted(range(len(places)), key=lambda i: places[i]):
        last = found[index] = max(places[index], last + gap)
    return found
