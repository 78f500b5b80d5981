"""Ranks that say how sure they are: from paired tests of everybody against everybody."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from hlvid.statistics.clusters import Clustering, ClusterNames, Floats
from hlvid.statistics.comparison import MIN_VIDEOS, SIGNIFICANCE
from hlvid.statistics.significance import holm


@dataclass(frozen=True)
class RankRange:
    """The ranks that a run may have, 1 the best."""

    best: int
    """1 + how many are significantly better."""
    worst: int
    """The number of all, less how many are significantly worse."""


def rank_ranges(is_correct: npt.NDArray[np.bool_], clusters: ClusterNames) -> list[RankRange]:
    """The range of ranks of each run among all.

    Each run is compared with every other by the test of `paired_difference`; its p-values are
    Holm-adjusted over the others, so that its own range misses its true rank with a chance of at
    most 5 % (after Neuhof and Benjamini 2026, arXiv 2606.08679). With fewer than `MIN_VIDEOS`
    clusters there is no verdict, and every range holds all ranks.

    Args:
        is_correct: (R, n) for each run and question.
        clusters: The cluster (video id) of each of the n questions.

    Raises:
        ValueError: There is no question.
    """
    num_runs = len(is_correct)
    if num_runs == 0:
        return []
    clustering = Clustering.of(clusters, is_correct.shape[1])
    if clustering.num_clusters < MIN_VIDEOS:
        return [RankRange(1, num_runs)] * num_runs
    differences, p_values = pairwise_tests(is_correct, clustering)
    ranges = []
    for run in range(num_runs):
        others = [other for other in range(num_runs) if other != run]
        adjusted = holm([float(p_values[run, other]) for other in others])
        shown = _shown(differences[run], others, adjusted)
        num_better, num_worse = sum(d < 0 for d in shown), sum(d > 0 for d in shown)
        ranges.append(RankRange(1 + num_better, num_runs - num_worse))
    return ranges


def _shown(differences: Floats, others: Sequence[int], p_values: Sequence[float]) -> list[float]:
    """The differences that are significant."""
    return [
        float(differences[other])
        for other, p_value in zip(others, p_values, strict=True)
        if p_value < SIGNIFICANCE
    ]


def pairwise_tests(
    is_correct: npt.NDArray[np.bool_], clustering: Clustering
) -> tuple[Floats, Floats]:
    """`paired_difference` of every run and every other, in closed form.

    Args:
        is_correct: (R, n) for each run and question.
        clustering: Of the n questions, in at least two clusters.

    Returns:
        (R, R) differences of accuracy, row - column, and their two-sided p-values.
    """
    right = is_correct.astype(np.float64)
    n, sizes = clustering.num_questions, clustering.sizes
    sums = np.stack([clustering.sums(row) for row in right])  # (R, G)
    num_right = right.sum(axis=1)
    both = right @ right.T
    only_row = num_right[:, None] - both
    only_column = num_right[None, :] - both
    differences = (only_row - only_column) / n

    factor = clustering.num_clusters / (clustering.num_clusters - 1)
    variances = np.empty_like(differences)
    for run, own in enumerate(sums):
        residuals = (own - sums) - differences[run][:, None] * sizes  # (R, G)
        variances[run] = factor * np.einsum("rg,rg->r", residuals, residuals) / n**2

    commonest = np.maximum(np.maximum(only_row, only_column), n - only_row - only_column)
    num_unlike = n - commonest
    naive = ((only_row + only_column) / n - differences**2) / (n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimates = np.maximum(1.0, variances / naive)
        effects = (num_unlike * estimates + clustering.largest_design_effect) / (num_unlike + 1)
    effects = np.where(num_unlike == 0, float(np.mean(sizes**2)), effects)
    standard_errors = np.sqrt(variances + 2 * effects / n**2)
    p_values = 2 * stdtr(clustering.num_clusters - 1, -np.abs(differences) / standard_errors)
    return differences, np.asarray(p_values, dtype=np.float64)
