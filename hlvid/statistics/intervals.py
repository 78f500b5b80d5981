"""Intervals and tests for questions that come in clusters: the questions of one video.

Two questions on one video are not two independent observations. Everything here therefore takes
the cluster (the video id) of every question beside its value, and is deterministic: the only
random numbers are those of a bootstrap whose seed is an argument.

References: Wilson 1927 (score interval); Kish 1965 (design effect); Liang and Zeger 1986 and
Cameron and Miller 2015, "A Practitioner's Guide to Cluster-Robust Inference" (variance of a
clustered mean, G/(G-1), t with G-1 degrees of freedom); Dean and Pagano 2015 (Wilson's interval
on the effective sample size); Miller 2024, arXiv 2411.00640 (paired, clustered evaluation).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Sequence[bool] | npt.NDArray[np.generic]
Clusters = Sequence[str] | Sequence[int] | npt.NDArray[np.generic]


@dataclass(frozen=True)
class AccuracyInterval:
    """A share of right answers and how far it can be trusted."""

    accuracy: float
    low: float
    high: float
    standard_error: float | None
    """Cluster-robust, to be shown and never turned into an interval. None with one cluster."""
    icc: float | None
    """Intra-cluster correlation (ANOVA estimate). None where it cannot be estimated."""
    design_effect: float
    """Variance of the accuracy / its variance if all questions were independent; at least 1."""
    num_questions: int
    num_clusters: int


@dataclass(frozen=True)
class PairedDifference:
    """How two arms differ on the same questions: mean(a) - mean(b)."""

    difference: float
    low: float
    high: float
    p_value: float
    """Two-sided, cluster-robust t with num_clusters - 1 degrees of freedom."""
    bootstrap_low: float | None
    bootstrap_high: float | None
    """Cluster bootstrap beside the t interval. None with one cluster, or when not asked for."""
    standard_error: float | None
    only_a: int
    """Questions that only a has right."""
    only_b: int
    mcnemar_p: float
    """Exact McNemar, which takes all questions as independent: shown beside, never decisive."""
    num_questions: int
    num_clusters: int


@dataclass(frozen=True)
class MeanDifference:
    """PairedDifference for a real-valued endpoint, such as a log-probability."""

    difference: float
    low: float
    high: float
    p_value: float
    bootstrap_low: float | None
    bootstrap_high: float | None
    standard_error: float | None
    num_questions: int
    num_clusters: int


@dataclass(frozen=True)
class RatioInterval:
    """Paired ratio of positive quantities."""

    ratio: float
    """Geometric mean of numerator / denominator: one long video does not dominate it."""
    low: float | None
    high: float | None
    """Cluster bootstrap. None with one cluster."""
    ratio_of_totals: float
    """sum(numerator) / sum(denominator)."""
    num_questions: int
    num_clusters: int


@dataclass(frozen=True)
class QuantileInterval:
    """A quantile between two order statistics."""

    value: float
    low: float | None
    """None where the sample is too small to bound the quantile on this side."""
    high: float | None

    @property
    def is_bounded(self) -> bool:
        """Whether the sample can bound the quantile on both sides; if not, do not print it."""
        return self.low is not None and self.high is not None


def accuracy_interval(
    is_correct: Values, clusters: Clusters, *, confidence: float = 0.95
) -> AccuracyInterval:
    """Wilson's interval for a share of right answers, on the effective number of questions.

    Wilson's interval needs only k = quantile^2 / effective n. With G clusters, k is the smaller of

    - t(G-1)^2 * max(1, design effect) / n: the design effect is estimated, and t instead of
      normal quantiles pay for the estimate (Dean and Pagano 2015). It is floored at 1, because a
      smaller one is nearly always noise.
    - z^2 * sum(m^2) / n^2, m being the clusters' sizes: the design effect if all answers of a
      cluster were the same. It cannot be larger, nothing is estimated, z is enough.

    So clusters of one question give plain Wilson exactly, and one cluster counts as one question.
    Where all answers are equal the data say nothing about the design effect; the second form is
    then the only one. (Taking 1 there instead, with 24 videos of 8 questions, correlation 0.9 and
    a true accuracy of .95, covers 72 %; this covers 93 %.) For what it covers elsewhere run
    benchmarks/coverage_simulation.py: 95 % is held at 77 videos of 3 to 4 questions, while 24
    videos of 8 with correlation 0.3 cover 91 % at a true accuracy of .95.

    Args:
        is_correct: One 0 or 1 (or bool) a question.
        clusters: The cluster (video id) of each question.
        confidence: Between 0 and 1.

    Raises:
        ValueError: No questions, different lengths, a value that is not 0 or 1, a bad confidence.
    """
    values = _zeros_and_ones(is_correct, "is_correct")
    codes = _cluster_codes(clusters, len(values))
    tail = _upper_tail(confidence)
    sizes = np.bincount(codes).astype(np.float64)
    n, num_clusters = len(values), len(sizes)
    accuracy = float(values.mean())
    standard_error = _clustered_standard_error(values, codes)

    worst_effect = float(sizes @ sizes) / n
    k = float(ndtri(tail)) ** 2 * worst_effect / n
    design_effect = worst_effect
    if standard_error is not None and 0 < accuracy < 1:
        naive_variance = accuracy * (1 - accuracy) / (n - 1)
        design_effect = max(1.0, standard_error**2 / naive_variance)
        k = min(k, float(stdtrit(num_clusters - 1, tail)) ** 2 * design_effect / n)
    centre = (accuracy + k / 2) / (1 + k)
    half = math.sqrt(k * accuracy * (1 - accuracy) + k**2 / 4) / (1 + k)
    return AccuracyInterval(
        accuracy=accuracy,
        low=min(accuracy, max(0.0, centre - half)),
        high=max(accuracy, min(1.0, centre + half)),
        standard_error=standard_error,
        icc=_intra_cluster_correlation(values, codes),
        design_effect=design_effect,
        num_questions=n,
        num_clusters=num_clusters,
    )


def _floats(values: Values, name: str) -> Floats:
    """The values as a float64 array of one dimension, finite and not empty."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"{name}: shape {array.shape}. One number a question and at least one question needed."
        )
    if not np.isfinite(array).all():
        position = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name}[{position}]: {array[position]}. Only finite numbers are allowed.")
    return array


def _zeros_and_ones(values: Values, name: str) -> Floats:
    array = _floats(values, name)
    is_other = (array != 0) & (array != 1)
    if is_other.any():
        position = int(np.flatnonzero(is_other)[0])
        raise ValueError(f"{name}[{position}]: {array[position]}. Only 0 and 1 are allowed.")
    return array


def _same_length(first: Floats, second: Floats) -> None:
    if len(first) != len(second):
        raise ValueError(
            f"paired values: {len(first)} and {len(second)} of them. "
            "Both arms need one for each of the same questions, in the same order."
        )


def _cluster_codes(clusters: Clusters, num_questions: int) -> npt.NDArray[np.intp]:
    """The clusters as integers 0 .. G-1, numbered in sorted order of their names."""
    names = np.asarray(clusters)
    if names.shape != (num_questions,):
        raise ValueError(
            f"clusters: shape {names.shape} for {num_questions} questions. "
            "One cluster (video id) a question needed."
        )
    codes: npt.NDArray[np.intp] = np.unique(names, return_inverse=True)[1]
    return codes


def _upper_tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence}. Between 0 and 1 is allowed, such as 0.95.")
    return (1 + confidence) / 2


def _clustered_standard_error(values: Floats, codes: npt.NDArray[np.intp]) -> float | None:
    """Of the mean: sqrt(G/(G-1) * sum over clusters of (sum of residuals)^2) / n; None if G < 2.

    Liang and Zeger 1986, with the small-sample factor of Cameron and Miller 2015, equation 12.
    """
    sums = np.bincount(codes, weights=values - values.mean())
    num_clusters = len(sums)
    if num_clusters < 2:
        return None
    return math.sqrt(num_clusters / (num_clusters - 1) * float(sums @ sums)) / len(values)


def _intra_cluster_correlation(values: Floats, codes: npt.NDArray[np.intp]) -> float | None:
    """One-way ANOVA estimate for clusters of unequal size (Donner 1986).

    None where it does not exist: one cluster, one question in every cluster, all values equal.
    """
    sizes = np.bincount(codes).astype(np.float64)
    n, num_clusters = len(values), len(sizes)
    if num_clusters < 2 or num_clusters == n:
        return None
    means = np.bincount(codes, weights=values) / sizes
    between = float(sizes @ (means - values.mean()) ** 2) / (num_clusters - 1)
    within = float(np.sum((values - means[codes]) ** 2)) / (n - num_clusters)
    size = (n - float(sizes @ sizes) / n) / (num_clusters - 1)
    spread = between + (size - 1) * within
    return (between - within) / spread if spread > 0 else None
