"""The curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from evaluators.train.settings import MiniSettings

WIDTH, HEIGHT = 820, 380
LEFT, RIGHT, TOP, BOTTOM = 48, 220, 36, 40
COLOURS = ("#0b5fa5", "#c2571a", "#5b8c5a", "#7a4fa3", "#b8860b", "#8a8f98")
PREFIX, SUFFIX = "validation_", "_accuracy"


def draw_curves(settings: MiniSettings, log: Sequence[Mapping[str, Any]]) -> str:
    """An SVG: accuracy on held-out draws against the step, a line for each stage and task.

    Args:
        settings: Of the run; the stages' borders are drawn.
        log: Of the run.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in log:
        for name, value in line.items():
            if name.startswith(PREFIX) and name.endswith(SUFFIX):
                short = name.removeprefix(PREFIX).removesuffix(SUFFIX).replace("_", ": ")
                curves.setdefault(short, []).append((line["step"], value))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(step: int, share: float) -> str:
        return f"{LEFT + wide * step / settings.steps:.1f},{TOP + high * (1 - share):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#22252a">',
        "<title>Validation accuracy against the step</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20">Accuracy on held-out draws against the step</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + high * (1 - share)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{LEFT + wide}" stroke="#e3e5e8"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    end = 0
    for stage in settings.stages:
        end += stage.steps
        x = LEFT + wide * end / settings.steps
        parts.append(f'<path d="M{x:.1f} {TOP}V{TOP + high}" stroke="#c9cdd2"/>')
        parts.append(
            f'<text x="{x - 3:.1f}" y="{HEIGHT - 22}" text-anchor="end" font-size="10">'
            f"{escape(stage.name)}</text>"
        )
    for number, (name, points) in enumerate(sorted(curves.items())):
        colour = COLOURS[number % len(COLOURS)]
        dashes = ' stroke-dasharray="5 3"' if number >= len(COLOURS) else ""
        path = " ".join(place(step, value) for step, value in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'
        )
        y = TOP + 14 + 17 * number
        parts.append(f'<text x="{LEFT + wide + 12}" y="{y}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
