"""The curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluators.train.settings import MiniSettings
from hlvid.plot import Axis, Line, plot_lines, step_axis

PREFIX, SUFFIX = "validation_", "_accuracy"


def draw_curves(settings: MiniSettings, log: Sequence[Mapping[str, Any]]) -> str:
    """An SVG: accuracy on held-out draws against the step, a line for each stage and task.

    Args:
        settings: Of the run; the stages' borders are drawn.
        log: Of the run.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in log:
        for name, value in line.items():
            if name.startswith(PREFIX) and name.endswith(SUFFIX):
                short = name.removeprefix(PREFIX).removesuffix(SUFFIX).replace("_", ": ")
                curves.setdefault(short, []).append((line["step"], value))
    end, borders = 0, {}
    for stage in settings.stages:
        end += stage.steps
        borders[float(end)] = stage.name
    return plot_lines(
        [Line(name, points) for name, points in sorted(curves.items())],
        title="Accuracy on held-out draws against the step",
        x=step_axis(settings.steps),
        y=Axis({share: f"{share:.0%}" for share in (0.0, 0.25, 0.5, 0.75, 1.0)}, (0.0, 1.0)),
        marks=borders,
    )
