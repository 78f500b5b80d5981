"""What a run's row shows beside its accuracy: tokens, evidence recall, times, memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hlvid.statistics import QuantileInterval, accuracy_interval, quantile_interval
from hlvid.statistics.clusters import Floats
from hlvid.statistics.columns import FAILED, Columns, Time
from hlvid.statistics.pairing import Pairs
from hlvid.types import Prediction

RECALL_COVER = 0.9
"""Share of an evidence box that kept tokens must cover for the question to count as recalled."""
END_TO_END, DECODE, GAZE = "end_to_end", "decode", "gaze"
"""Stages with a meaning of their own."""
CUMULATIVE = (END_TO_END, "first_token")
"""Times since the start of a question: no stages, and nothing that adds up with them."""
TOWER = ("encode", "read")
"""Stages that gaze makes shorter before anything else: a vision tower's, a reader's."""


@dataclass(frozen=True)
class EvidenceRecall:
    """How often the tokens that were kept show the answer: recall = temporal hit x spatial."""

    recall: float
    low: float
    """Of its 95 % interval, clustered by video."""
    high: float
    temporal_hit: float
    """Share of questions with a sampled frame inside an evidence span."""
    spatial_given_hit: float | None
    """Share of those whose box is covered; None without any hit."""
    num_questions: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds a question took: quantiles over all questions that were answered."""

    p50: QuantileInterval
    p90: QuantileInterval
    num_videos: int


@dataclass(frozen=True)
class MeanTokens:
    """The four counts of a question, on average over all that have them."""

    selector: float
    encoded: float
    visual: float
    text: float


def kept_ratio(predictions: Sequence[Prediction]) -> float | None:
    """Visual tokens / visual tokens of `off` on the same canvas; None where an answer has none."""
    counts = [p.tokens for p in predictions if p.tokens is not None]
    if any(p.tokens is None and p.response is not None for p in predictions):
        return None
    # Sums of integers: a stranger's counts may be too large for a double, their ratio is not.
    off = sum(count.visual_off for count in counts)
    if not counts or off == 0:
        return None
    return _ratio(sum(count.visual for count in counts), off)


def visual_off(predictions: Sequence[Prediction]) -> Floats:
    """Visual tokens of `off` on the canvas of each question; NaN where unknown."""
    counts = (None if p.tokens is None else p.tokens.visual_off for p in predictions)
    return np.array([np.nan if count is None else _ratio(count, 1) for count in counts])


def mean_tokens(predictions: Sequence[Prediction]) -> MeanTokens | None:
    """Mean of each of the four counts; None where no question has any."""
    counts = [p.tokens for p in predictions if p.tokens is not None]
    if not counts:
        return None
    sums = [sum(getattr(c, name) for c in counts) for name in MeanTokens.__dataclass_fields__]
    return MeanTokens(*(_ratio(total, len(counts)) for total in sums))


def _ratio(number: int, of: int) -> float:
    try:
        return number / of
    except OverflowError:
        return float("inf")


def evidence_recall(columns: Columns) -> EvidenceRecall | None:
    """Over the questions whose evidence is known; None without any."""
    is_known = ~np.isnan(columns.temporal_hit)
    if not is_known.any():
        return None
    is_hit = columns.temporal_hit[is_known] == 1
    # NaN covers nothing.
    is_covered = is_hit & (columns.spatial_cover[is_known] >= RECALL_COVER)
    found = accuracy_interval(is_covered, columns.clusters[is_known])
    return EvidenceRecall(
        recall=found.accuracy,
        low=found.low,
        high=found.high,
        temporal_hit=float(is_hit.mean()),
        spatial_given_hit=float(is_covered.sum() / is_hit.sum()) if is_hit.any() else None,
        num_questions=int(is_known.sum()),
    )


def latency(columns: Columns, what: Time) -> Latency | None:
    """Quantiles of what a question took; None where an answer has no such time."""
    times = columns.times_ms(what)
    is_timed = columns.outcomes != FAILED
    if not is_timed.any() or not np.isfinite(times[is_timed]).all():
        return None
    videos = columns.clusters[is_timed]
    return Latency(
        p50=quantile_interval(times[is_timed], 0.5, clusters=videos),
        p90=quantile_interval(times[is_timed], 0.9, clusters=videos),
        num_videos=len(np.unique(videos)),
    )


def mean_stages(columns: Columns, which: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
    """Mean milliseconds of each stage over answered questions; one without a stage spent none.

    Empty where not every answer was timed: what is left out is not left out by chance.

    Args:
        columns: Of the run.
        which: (n,) the questions that count; by default all that were answered.
    """
    which = columns.outcomes != FAILED if which is None else which
    total = columns.stage_ms.get(END_TO_END)
    if total is None or not which.any() or not np.isfinite(total[which]).all():
        return {}
    means: dict[str, float] = {}
    for name, times in columns.stage_ms.items():
        spent = times[which]
        if np.isfinite(spent).any():
            with np.errstate(over="ignore"):
                means[name] = float(np.nan_to_num(spent, nan=0.0).mean())
    return means


def selector_tax(pairs: Pairs) -> float | None:
    """t_gaze / (t_tower off - t_tower on): what choosing costs of what it saves in the tower.

    Over the questions that both answered. None where a stage is not known, or nothing is saved.
    """
    ours, theirs = (mean_stages(one, pairs.is_answered) for one in (pairs.arm, pairs.reference))
    tower = next((stage for stage in TOWER if stage in ours and stage in theirs), None)
    if tower is None or GAZE not in ours or theirs[tower] <= ours[tower]:
        return None
    return ours[GAZE] / (theirs[tower] - ours[tower])
