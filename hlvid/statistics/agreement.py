"""Whether two instruments rank the same things alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hlvid.statistics.clusters import Clustering, ClusterNames, Floats, upper_tail


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's tau-b of two columns of means, with its interval."""

    tau: float | None
    """1 the same order, -1 the reverse; None where one instrument tells nothing apart."""
    low: float | None
    """None with one cluster, or where more than a tenth of the resamples have no tau."""
    high: float | None


def rank_agreement(
    first: npt.NDArray[np.generic] | Sequence[Sequence[float]],
    second: npt.NDArray[np.generic] | Sequence[Sequence[float]],
    clusters: ClusterNames,
    *,
    confidence: float = 0.95,
    num_bootstrap: int = 2000,
    seed: int = 0,
) -> RankAgreement:
    """Kendall's tau-b between the means that two instruments give to the same arms.

    Ties are counted as in Kendall 1945. The interval is a percentile one over resamples of whole
    clusters, in which both instruments are asked the same questions; it tells of other questions,
    not of other arms.

    Args:
        first: (R, n) what the one gives to each of R arms on each of n questions.
        second: (R, n) what the other gives.
        clusters: The cluster (video id) of each question.
        confidence: Of the interval.
        num_bootstrap: Resamples.
        seed: Of these.

    Raises:
        ValueError: The two are not of one shape, or hold fewer than two arms or no question.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape or one.ndim != 2 or one.shape[0] < 2 or one.shape[1] == 0:
        raise ValueError(
            f"rank_agreement: shapes {one.shape} and {other.shape}. Both need one number for each "
            "of at least two arms and of the same questions."
        )
    tail = upper_tail(confidence)
    clustering = Clustering.of(clusters, one.shape[1])
    sums = [np.stack([clustering.sums(row) for row in table]) for table in (one, other)]
    whole = np.ones((1, clustering.num_clusters))
    tau = float(_taus(*(whole @ table.T for table in sums))[0])
    if np.isnan(tau):
        return RankAgreement(None, None, None)
    if clustering.num_clusters < 2:
        return RankAgreement(tau, None, None)
    shares = np.full(clustering.num_clusters, 1 / clustering.num_clusters)
    draws = np.random.default_rng(seed).multinomial(
        clustering.num_clusters, shares, size=num_bootstrap
    )
    found = _taus(*(draws @ table.T for table in sums))
    known = found[~np.isnan(found)]
    if len(known) < 0.9 * num_bootstrap:
        return RankAgreement(tau, None, None)
    low, high = np.quantile(known, [1 - tail, tail])
    return RankAgreement(tau, float(low), float(high))


def _taus(first: Floats, second: Floats) -> Floats:
    """(B, R) and (B, R) -> (B,) tau-b of each row; NaN where one of the two is all ties."""
    rows, columns = np.triu_indices(first.shape[1], 1)
    one, other = (
        np.sign(np.round(table[:, rows] - table[:, columns], 9)) for table in (first, second)
    )
    untied = np.abs(one).sum(1) * np.abs(other).sum(1)
    with np.errstate(invalid="ignore"):
        return np.asarray((one * other).sum(1) / np.sqrt(untied), dtype=np.float64)
