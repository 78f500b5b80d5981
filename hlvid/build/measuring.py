"""What a model's replies show of a question, and what they give to doubt."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hlvid.build.lint import Flag, Linted
from hlvid.build.set_rules import AuditRules
from hlvid.files import shown
from hlvid.grading import extract_letter, is_failure
from hlvid.types import Identifier, Probe, ProbeAnswer, Record

SEEING = ("mllm", "reader")
"""Kinds of models that look at the video."""


class Measured(Record):
    """What one model shows of a question."""

    model: Identifier
    kind: str
    """'mllm', 'reader', 'language' or 'control'."""
    shares: Mapping[str, float]
    """Kind of probe, of a ladder each rung -> share of its probes that were answered rightly."""
    blind_gap: float
    """Share right with the video less share right without it, over the same orders of options."""
    resolution_slope: float
    """Change of the share right for twice the lines, by least squares over the ladder."""


def judge(
    model: str,
    linted: Linted,
    probes: Sequence[Probe],
    answers: Mapping[str, ProbeAnswer],
    rules: AuditRules,
) -> tuple[Measured, list[Flag]]:
    """What a model's replies show of a question, and what they give to doubt.

    Args:
        model: Its name in the spec.
        linted: The question.
        probes: All of it.
        answers: Probe -> reply, for every probe.
        rules: What gives to doubt.
    """
    measured = _measure(model, linted, probes, answers)
    return measured, list(_doubts(measured, linted, probes, answers, rules))


def has_replied(probe: Probe, answer: ProbeAnswer | None) -> bool:
    """Whether there is a reply: an error, or the text of one, is none, as in any marking."""
    if answer is None or answer.response is None:
        return False
    return not is_failure(answer.response) or _chosen(probe, answer) is not None


def _is_right(probe: Probe, answer: ProbeAnswer, right: str) -> bool:
    return _chosen(probe, answer) == right


def _chosen(probe: Probe, answer: ProbeAnswer) -> str | None:
    letters = {chr(ord("A") + i): choice for i, choice in enumerate(probe.choices)}
    letter = extract_letter(answer.response or "", letters)
    return letters[letter] if letter else None


def _measure(
    model: str, linted: Linted, probes: Sequence[Probe], answers: Mapping[str, ProbeAnswer]
) -> Measured:
    right = linted.draft.choices[0]
    marks: dict[str, list[bool]] = {}
    ladder: list[tuple[int, bool]] = []
    for probe in probes:
        is_right = _is_right(probe, answers[probe.probe_id], right)
        marks.setdefault(_rung(probe), []).append(is_right)
        if probe.kind == "resolution" and probe.height is not None:
            ladder.append((probe.height, is_right))
    shares = {kind: round(sum(each) / len(each), 6) for kind, each in sorted(marks.items())}
    return Measured(
        model=model,
        kind=answers[probes[0].probe_id].model.kind,
        shares=shares,
        blind_gap=round(shares["permuted"] - shares["blind"], 6),
        resolution_slope=slope(ladder),
    )


def _rung(probe: Probe) -> str:
    """What its replies are counted under: the kind, and of a ladder the rung."""
    if probe.kind == "resolution":
        return f"resolution-{probe.height}"
    if probe.kind == "context":
        seconds = probe.frame_seconds or (0.0,)
        gaps = max(len(seconds) - 1, 1)
        return f"context-{(seconds[-1] - seconds[0]) * len(seconds) / gaps:.0f}s"
    return probe.kind


def slope(ladder: Sequence[tuple[int, bool]]) -> float:
    """Change of the share right for twice the lines, by least squares; 0 with one rung."""
    if len({height for height, _ in ladder}) < 2:
        return 0.0
    doublings = np.log2([height for height, _ in ladder])
    marks = np.array([float(is_right) for _, is_right in ladder])
    centred = doublings - doublings.mean()
    return round(float(centred @ (marks - marks.mean()) / (centred @ centred)), 6)


def _doubts(
    measured: Measured,
    linted: Linted,
    probes: Sequence[Probe],
    answers: Mapping[str, ProbeAnswer],
    rules: AuditRules,
) -> Iterator[Flag]:
    """What one model gives to doubt. Models that never see anything speak of `blind` alone."""
    name, shares = measured.model, measured.shares
    if shares["blind"] > rules.max_blind_share:
        share = f"{shares['blind']:.0%}"
        yield Flag(check="answerable_blind", detail=f"{name}: right without the video in {share}")
    if measured.kind not in SEEING or shares["blind"] > rules.max_blind_share:
        return
    chosen = {p.probe_id: _chosen(p, answers[p.probe_id]) for p in probes}
    right = linted.draft.choices[0]
    lowest = min((p for p in probes if p.kind == "resolution"), key=_lines, default=None)
    if lowest and chosen[lowest.probe_id] == right and _lines(lowest) < linted.clip.height:
        detail = f"{name}: right on {lowest.height} lines"
        yield Flag(check="answerable_small", detail=detail)
    if shares["oracle-crop"] < 1:
        yield Flag(check="unanswerable_crop", detail=f"{name}: wrong with the evidence cut out")
    for probe in probes:
        # A reader says nothing where it reads no option; others always say something.
        said = chosen[probe.probe_id] if probe.kind == "elsewhere" else None
        if said == right or (said is not None and measured.kind == "reader"):
            detail = f"{name}: {shown(said)} outside the evidence"
            yield Flag(check="other_place", detail=detail)


def _lines(probe: Probe) -> int:
    return probe.height or 0


def intervals(measured: Sequence[tuple[str, Sequence[Measured]]]) -> dict[str, Any]:
    """Model -> shares by kind of probe, and mean blind gap and slope with 95 % intervals by video.

    Args:
        measured: (video id, what models show) for each question.
    """
    rows = [(video, m) for video, each in measured for m in each]
    found: dict[str, Any] = {}
    for model in sorted({m.model for _, m in rows}):
        mine = [(video, m) for video, m in rows if m.model == model]
        kinds = sorted({kind for _, m in mine for kind in m.shares})
        found[model] = {
            "shares": {
                kind: round(
                    float(np.mean([m.shares[kind] for _, m in mine if kind in m.shares])), 6
                )
                for kind in kinds
            },
            "blind_gap": _interval([(video, m.blind_gap) for video, m in mine]),
            "resolution_slope": _interval([(video, m.resolution_slope) for video, m in mine]),
        }
    return found


def _interval(values: Sequence[tuple[str, float]]) -> dict[str, Any]:
    from hlvid.statistics import mean_difference

    videos, numbers = zip(*values, strict=True)
    result = mean_difference(numbers, [0.0] * len(numbers), videos, num_bootstrap=0)
    bounds = [round(result.low, 6), round(result.high, 6)]
    return {
        "mean": round(result.difference, 6),
        "interval": bounds if np.isfinite(bounds).all() else None,
        "num_questions": result.num_questions,
        "num_videos": result.num_clusters,
    }
