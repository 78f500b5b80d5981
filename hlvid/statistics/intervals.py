"""Intervals for questions that come in clusters: the questions of one video.

Two questions on one video are not two independent observations. Everything here therefore takes
the cluster (the video id) of every question beside its value, and is deterministic: the only
random numbers are those of a bootstrap whose seed is an argument. What the intervals cover is
measured by benchmarks/coverage_simulation.py.

References: Wilson 1927 (score interval); Dean and Pagano 2015 (on the effective sample size);
Cameron and Miller 2015, "A Practitioner's Guide to Cluster-Robust Inference" (t with G - 1 degrees
of freedom); Agresti and Min 2005 (paired proportions); Miller 2024, arXiv 2411.00640 (paired and
clustered evaluation of language models).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtri, stdtr, stdtrit

from hlvid.statistics.clusters import (
    Clustering,
    ClusterNames,
    Floats,
    Values,
    check_same_length,
    checked_outcomes,
    checked_positive,
    checked_shares,
    checked_values,
    upper_tail,
)
from hlvid.statistics.significance import mcnemar_exact


@dataclass(frozen=True)
class AccuracyInterval:
    """A share of right answers and how far it can be trusted."""

    accuracy: float
    low: float
    high: float
    standard_error: float | None
    """Cluster-robust, to be shown and never turned into an interval. None with one cluster."""
    icc: float | None
    """Intra-cluster correlation. None where it cannot be estimated."""
    design_effect: float
    """Questions / effective questions, at least 1; the largest possible where unknown."""
    num_questions: int
    num_clusters: int


@dataclass(frozen=True)
class MeanDifference:
    """How a and b differ on the same questions: mean(a) - mean(b)."""

    difference: float
    low: float
    high: float
    p_value: float
    """Two-sided, against no difference; 1 with one cluster."""
    standard_error: float | None
    """What interval and p_value rest on, with num_clusters - 1 degrees of freedom."""
    bootstrap_low: float | None
    bootstrap_high: float | None
    """Cluster bootstrap beside it. None with one cluster, or when not asked for."""
    num_questions: int
    num_clusters: int


@dataclass(frozen=True)
class PairedDifference(MeanDifference):
    """MeanDifference of two shares of right answers."""

    only_a: int | None
    """Questions that only a has right; None where a or b is a mean over several runs."""
    only_b: int | None
    mcnemar_p: float | None
    """Takes the questions as independent: shown beside p_value, never decisive."""

    def noninferiority_p(self, margin: float) -> float:
        """One-sided p-value against "a is worse than b by the margin or more".

        Below 0.05 exactly where the lower end of the one-sided 95 % interval is above -margin.

        Raises:
            ValueError: The margin is not a share above 0 and below 1.
        """
        if not 0 < margin < 1:
            raise ValueError(
                f"margin: {margin:g}. A share above 0 and below 1 is allowed, "
                "such as 0.02 for two percentage points."
            )
        if self.standard_error is None:
            return 1.0
        statistic = (self.difference + margin) / self.standard_error
        return float(stdtr(self.num_clusters - 1, -statistic))


@dataclass(frozen=True)
class RatioInterval:
    """Paired ratio of positive quantities, such as times."""

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
    """The smallest value that at least the share q does not exceed."""
    low: float | None
    high: float | None
    """None where the sample is too small to bound the quantile on that side."""

    @property
    def is_bounded(self) -> bool:
        """Whether it is bounded on both sides. If not, it must not be printed."""
        return self.low is not None and self.high is not None


def accuracy_interval(
    is_correct: Values, clusters: ClusterNames, *, confidence: float = 0.95
) -> AccuracyInterval:
    """Wilson's interval for a share of right answers, on the effective number of questions.

    Wilson's interval needs only k = quantile^2 / effective n. With n questions in G clusters of m
    each, k is the smaller of

    - t(G - 1)^2 * design effect / n: a t quantile instead of a normal one pays for the estimate
      (Dean and Pagano 2015; `Clustering.design_effect` says how it is made);
    - z^2 * sum(m^2) / n^2: the largest design effect there can be, that of clusters all of whose
      answers are the same. Nothing is estimated, so z is enough.

    So clusters of one question give Wilson's own interval, one cluster counts as one question, and
    where all answers are equal every cluster does.

    Args:
        is_correct: 0 or 1 for each question.
        clusters: The cluster (video id) of each question.
        confidence: Of the two-sided interval.

    Raises:
        ValueError: No questions, different lengths, a value that is not 0 or 1.
    """
    values = checked_outcomes(is_correct, "is_correct")
    clustering = Clustering.of(clusters, len(values))
    tail = upper_tail(confidence)
    accuracy = float(values.mean())
    design_effect = clustering.design_effect(values)
    k = float(ndtri(tail)) ** 2 * clustering.largest_design_effect / len(values)
    if clustering.num_clusters > 1:
        t = float(stdtrit(clustering.num_clusters - 1, tail))
        k = min(k, t**2 * design_effect / len(values))
    centre = (accuracy + k / 2) / (1 + k)
    half = math.sqrt(k * accuracy * (1 - accuracy) + k**2 / 4) / (1 + k)
    return AccuracyInterval(
        accuracy=accuracy,
        # Rounding must not push an end past 0, 1 or the accuracy itself.
        low=min(accuracy, max(0.0, centre - half)),
        high=max(accuracy, min(1.0, centre + half)),
        standard_error=clustering.standard_error(values),
        icc=clustering.intra_cluster_correlation(values),
        design_effect=design_effect,
        num_questions=len(values),
        num_clusters=clustering.num_clusters,
    )


def mean_difference(
    a: Values,
    b: Values,
    clusters: ClusterNames,
    *,
    confidence: float = 0.95,
    num_bootstrap: int = 10_000,
    seed: int = 0,
) -> MeanDifference:
    """Paired difference of a real-valued endpoint: cluster-robust t with G - 1 degrees of freedom.

    One cluster bounds nothing: the interval is then infinite.

    Raises:
        ValueError: No questions, different lengths, NaN or infinite values.
    """
    first, second = checked_values(a, "a"), checked_values(b, "b")
    check_same_length(first, second)
    differences = first - second
    clustering = Clustering.of(clusters, len(differences))
    standard_error = clustering.standard_error(differences)
    return _mean_difference(
        differences, clustering, standard_error, confidence, num_bootstrap, seed
    )


def paired_difference(
    a: Values,
    b: Values,
    clusters: ClusterNames,
    *,
    confidence: float = 0.95,
    num_bootstrap: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Difference of two shares of right answers on the same questions, mean(a) - mean(b).

    Cluster-robust t with G - 1 degrees of freedom. To the squared standard error comes what one
    more question each way would add, one that only a and one that only b has right: 2 * design
    effect / n^2 (after Agresti and Min 2005, who add half a question to each cell). Without it a
    few discordant questions of one sign give far too short an interval, and none an interval of
    length 0. Where all differences are equal, a whole cluster is added each way, of mean square
    size: nothing then tells questions on one video apart.

    With one cluster the interval is all of [-1, 1].

    Args:
        a: 0 or 1 for each question, or a mean of these over several runs.
        b: Likewise for each of the same questions, in the same order.
        clusters: The cluster (video id) of each question.
        confidence: Of the two-sided intervals.
        num_bootstrap: Resamples of the cluster bootstrap; 0 for none.
        seed: Of the bootstrap.

    Raises:
        ValueError: No questions, different lengths, a value outside [0, 1].
    """
    first, second = checked_shares(a, "a"), checked_shares(b, "b")
    check_same_length(first, second)
    differences = first - second
    clustering = Clustering.of(clusters, len(differences))
    standard_error = clustering.standard_error(differences)
    if standard_error is not None:
        effect = clustering.design_effect(differences)
        if (differences == differences[0]).all():
            effect = float(np.mean(clustering.sizes**2))
        standard_error = math.sqrt(standard_error**2 + 2 * effect / len(differences) ** 2)
    is_mean = bool(((first % 1 != 0) | (second % 1 != 0)).any())
    only_a = None if is_mean else int((differences > 0).sum())
    only_b = None if is_mean else int((differences < 0).sum())
    mean = _mean_difference(
        differences, clustering, standard_error, confidence, num_bootstrap, seed
    )
    return PairedDifference(
        difference=mean.difference,
        low=max(-1.0, mean.low),
        high=min(1.0, mean.high),
        p_value=mean.p_value,
        standard_error=mean.standard_error,
        bootstrap_low=mean.bootstrap_low,
        bootstrap_high=mean.bootstrap_high,
        num_questions=mean.num_questions,
        num_clusters=mean.num_clusters,
        only_a=only_a,
        only_b=only_b,
        mcnemar_p=None if only_a is None or only_b is None else mcnemar_exact(only_a, only_b),
    )


def geometric_mean_ratio(
    numerator: Values,
    denominator: Values,
    clusters: ClusterNames,
    *,
    confidence: float = 0.95,
    num_bootstrap: int = 10_000,
    seed: int = 0,
) -> RatioInterval:
    """exp(mean(log(numerator / denominator))) with a cluster bootstrap, and the ratio of totals.

    Raises:
        ValueError: No questions, different lengths, a value that is not above 0.
    """
    top = checked_positive(numerator, "numerator")
    bottom = checked_positive(denominator, "denominator")
    check_same_length(top, bottom)
    logarithms = np.log(top / bottom)
    clustering = Clustering.of(clusters, len(logarithms))
    interval = clustering.bootstrap_mean(
        logarithms, confidence=confidence, num_bootstrap=num_bootstrap, seed=seed
    )
    return RatioInterval(
        ratio=math.exp(logarithms.mean()),
        low=None if interval is None else math.exp(interval[0]),
        high=None if interval is None else math.exp(interval[1]),
        ratio_of_totals=float(top.sum() / bottom.sum()),
        num_questions=len(logarithms),
        num_clusters=clustering.num_clusters,
    )


def quantile_interval(
    values: Values,
    q: float,
    *,
    clusters: ClusterNames | None = None,
    confidence: float = 0.95,
) -> QuantileInterval:
    """A quantile and the order statistics that bound it, None where there is none that does.

    Of n independent values the l-th and the u-th bound the quantile when l - 1 and u - 1 are
    binomial(n, q) quantiles (David and Nagaraja 2003, chapter 7): at 95 % the 90th percentile
    has an upper bound from 36 values on, the 95th from 72, the 99th from 368.

    Questions on one video share its decoding time and are not independent. Given the clusters, n
    is divided by the design effect of "is at most the quantile" (Woodruff 1952).

    Args:
        values: One for each question, such as milliseconds.
        q: Above 0 and below 1: 0.9 for the 90th percentile.
        clusters: The cluster (video id) of each; None for independent values.
        confidence: Of the two-sided interval.

    Raises:
        ValueError: No values, a value that is not finite, q out of range.
    """
    ordered = np.sort(checked_values(values, "values"))
    if not 0 < q < 1:
        raise ValueError(f"q: {q}. Above 0 and below 1 is allowed, such as 0.9.")
    value = float(np.quantile(ordered, q, method="inverted_cdf"))
    effective = len(ordered)
    if clusters is not None:
        is_below = (checked_values(values, "values") <= value).astype(np.float64)
        effect = Clustering.of(clusters, len(ordered)).design_effect(is_below)
        effective = max(1, math.floor(len(ordered) / effect))

    tail = upper_tail(confidence)
    below = bdtr(np.arange(effective, dtype=np.float64), effective, q)
    num_under_low = int(np.searchsorted(below, 1 - tail, side="right"))
    num_under_high = int(np.searchsorted(below, tail, side="left"))
    # A rank among the effective values -> the rank among all that is at least as far out.
    low_rank = math.floor(len(ordered) * (num_under_low - 1) / effective)
    high_rank = math.ceil(len(ordered) * (num_under_high + 1) / effective) - 1
    return QuantileInterval(
        value=value,
        low=float(ordered[low_rank]) if num_under_low > 0 else None,
        high=float(ordered[high_rank]) if num_under_high < effective else None,
    )


def _mean_difference(
    differences: Floats,
    clustering: Clustering,
    standard_error: float | None,
    confidence: float,
    num_bootstrap: int,
    seed: int,
) -> MeanDifference:
    difference = float(differences.mean())
    half, p_value = math.inf, 1.0
    if standard_error is not None:
        freedom = clustering.num_clusters - 1
        half = float(stdtrit(freedom, upper_tail(confidence))) * standard_error
        if standard_error > 0:
            p_value = float(2 * stdtr(freedom, -abs(difference) / standard_error))
    bootstrap = clustering.bootstrap_mean(
        differences, confidence=confidence, num_bootstrap=num_bootstrap, seed=seed
    )
    return MeanDifference(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p_value=p_value,
        standard_error=standard_error,
        bootstrap_low=None if bootstrap is None else bootstrap[0],
        bootstrap_high=None if bootstrap is None else bootstrap[1],
        num_questions=clustering.num_questions,
        num_clusters=clustering.num_clusters,
    )
