"""Evaluations as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence

from gaze.train.calibrate import Asked
from gaze.train.evaluate import MIN_SOURCES, ORACLE, Estimate, Evaluation
from hlvid.plot import Axis, Line, log_axis, plot_lines


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


def asked_table(asked: Sequence[Asked]) -> list[str]:
    """Lines of a Markdown table: losses asked for by threshold, and what they gave."""
    lines = [
        "| loss asked for | given | cells kept | frames that it ended | given there |",
        "|--:|--:|--:|--:|--:|",
    ]
    for one in asked:
        there = "" if one.given_where_decided is None else f"{one.given_where_decided:.3f}"
        lines.append(
            f"| {one.asked:.3f} | {one.given:.3f} | {one.ratio:.1%} | {one.decided:.0%} | {there} |"
        )
    return [
        *lines,
        "",
        "The other frames were below it with their first cell, or took as many as a frame may.",
    ]


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
    lines = []
    for arm in arms:
        losses = [evaluation.row(arm, ratio).loss for ratio in ratios]
        lines.append(
            Line(
                arm,
                [(ratio, loss.mean) for ratio, loss in zip(ratios, losses, strict=True)],
                whiskers=[_ends(loss) for loss in losses],
                is_dashed=arm == ORACLE,
            )
        )
    return plot_lines(
        lines,
        title=f"{evaluation.name} clips: {evaluation.loss_kind} loss, lower is better",
        x=Axis(
            {ratio: f"{ratio:.0%}" for ratio in ratios},
            (ratios[0], ratios[-1]),
            "share of cells kept",
            is_log=True,
        ),
        y=log_axis(values),
    )


def _ends(estimate: Estimate) -> tuple[float, float]:
    if estimate.low is None or estimate.high is None:
        return estimate.mean, estimate.mean
    return estimate.low, estimate.high
