"""What every clustered estimate needs: checked values, the clusters' sums, their resampling.

The clusters are the videos. Results do not depend on the order of the questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Sequence[bool] | npt.NDArray[np.generic]
ClusterNames = Sequence[str] | Sequence[int] | npt.NDArray[np.generic]


@dataclass(frozen=True)
class Clustering:
    """Which of G clusters each of n questions belongs to."""

    codes: npt.NDArray[np.intp]
    """(n,) cluster of each question, 0 .. G-1 in the order of the clusters' names."""
    sizes: Floats
    """(G,) questions in each cluster."""

    @classmethod
    def of(cls, names: ClusterNames, num_questions: int) -> Self:
        """The clustering that one name (video id) a question describes.

        Raises:
            ValueError: Not one name a question.
        """
        array = np.asarray(names)
        if array.shape != (num_questions,):
            raise ValueError(
                f"clusters: shape {array.shape} for {num_questions} questions. "
                "One cluster (video id) a question is needed."
            )
        codes = np.unique(array, return_inverse=True)[1]
        return cls(codes, np.bincount(codes).astype(np.float64))

    @property
    def num_questions(self) -> int:
        """Number of all questions, n."""
        return len(self.codes)

    @property
    def num_clusters(self) -> int:
        """Number of clusters, G."""
        return len(self.sizes)

    @property
    def largest_design_effect(self) -> float:
        """Of a mean, if all values of a cluster were the same: sum(m^2) / n (Kish 1965)."""
        return float(self.sizes @ self.sizes) / self.num_questions

    def sums(self, values: Floats) -> Floats:
        """(n,) values -> (G,) sums."""
        return np.bincount(self.codes, weights=values).astype(np.float64)

    def standard_error(self, values: Floats) -> float | None:
        """Of the mean: sqrt(G/(G-1) * sum over clusters of (sum of residuals)^2) / n.

        Liang and Zeger 1986, with the factor for few clusters of Cameron and Miller 2015. None
        with one cluster.
        """
        if self.num_clusters < 2:
            return None
        residuals = self.sums(values) - values.mean() * self.sizes
        factor = self.num_clusters / (self.num_clusters - 1)
        return math.sqrt(factor * float(residuals @ residuals)) / self.num_questions

    def design_effect(self, values: Floats) -> float:
        """Variance of the mean / what it were if all questions were independent; at least 1.

        It cannot be estimated from equal values, and badly from few that are not: a single wrong
        answer always looks like independence. The estimate therefore counts as often as there are
        values unlike the commonest one, and `largest_design_effect` counts once. That holds the
        coverage of `accuracy_interval` where the plain estimate loses it: 24 clusters of 8,
        correlation 0.3, accuracy .95: 97 % instead of 90 %; equal answers need no rule of their
        own. In large samples it is the plain estimate.
        """
        standard_error = self.standard_error(values)
        num_unlike = self.num_questions - int(np.unique(values, return_counts=True)[1].max())
        if standard_error is None or num_unlike == 0:
            return self.largest_design_effect
        naive_variance = float(values.var()) / (self.num_questions - 1)
        estimate = max(1.0, standard_error**2 / naive_variance)
        return (num_unlike * estimate + self.largest_design_effect) / (num_unlike + 1)

    def intra_cluster_correlation(self, values: Floats) -> float | None:
        """One-way ANOVA estimate for clusters of unequal size (Donner 1986).

        None where it cannot be estimated: one cluster, one question in each, all values equal.
        """
        n, num_clusters = self.num_questions, self.num_clusters
        if num_clusters in (1, n):
            return None
        means = self.sums(values) / self.sizes
        between = float(self.sizes @ (means - values.mean()) ** 2) / (num_clusters - 1)
        within = float(np.sum((values - means[self.codes]) ** 2)) / (n - num_clusters)
        mean_size = (n - self.largest_design_effect) / (num_clusters - 1)
        spread = between + (mean_size - 1) * within
        return (between - within) / spread if spread > 0 else None

    def bootstrap_mean(
        self, values: Floats, *, confidence: float, num_bootstrap: int, seed: int
    ) -> tuple[float, float] | None:
        """Percentile interval of the mean when whole clusters are drawn with replacement.

        None with one cluster, whose every resample is itself, or with num_bootstrap 0.
        """
        if self.num_clusters < 2 or num_bootstrap == 0:
            return None
        draws = _bootstrap_draws(self.num_clusters, num_bootstrap, seed)
        drawn_sizes = _drawn_sizes(self.sizes.tobytes(), num_bootstrap, seed)
        means = (draws @ self.sums(values)) / drawn_sizes
        tail = upper_tail(confidence)
        low, high = np.quantile(means, [1 - tail, tail])
        return float(low), float(high)


@lru_cache(maxsize=1)
def _bootstrap_draws(num_clusters: int, num_bootstrap: int, seed: int) -> Floats:
    """(B, G): how often each resample draws each cluster.

    The last is kept: a table of arms asks for the same one again and again.
    """
    shares = np.full(num_clusters, 1 / num_clusters)
    draws = np.random.default_rng(seed).multinomial(num_clusters, shares, size=num_bootstrap)
    return draws.astype(np.float64)


@lru_cache(maxsize=1)
def _drawn_sizes(sizes: bytes, num_bootstrap: int, seed: int) -> Floats:
    """(B,) questions in each resample; kept like the draws. `sizes` are the bytes of (G,)."""
    array = np.frombuffer(sizes)
    return _bootstrap_draws(len(array), num_bootstrap, seed) @ array


def checked_values(values: Values, name: str) -> Floats:
    """The values as an array (n,) of finite numbers, n > 0.

    Raises:
        ValueError: There are none, not one a question, or one is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"{name}: shape {array.shape}. At least one question and one number each are needed."
        )
    _refuse(array, ~np.isfinite(array), f"{name}: %s. Only finite numbers are allowed.")
    return array


def checked_outcomes(values: Values, name: str) -> Floats:
    """Like checked_values, and every value is 0 or 1."""
    array = checked_values(values, name)
    _refuse(array, (array != 0) & (array != 1), f"{name}: %s. Only 0 and 1 are allowed.")
    return array


def checked_shares(values: Values, name: str) -> Floats:
    """Like checked_values, and every value is a share."""
    array = checked_values(values, name)
    _refuse(array, (array < 0) | (array > 1), f"{name}: %s. Only shares from 0 to 1 are allowed.")
    return array


def checked_positive(values: Values, name: str) -> Floats:
    """Like checked_values, and every value is above 0."""
    array = checked_values(values, name)
    _refuse(array, array <= 0, f"{name}: %s. Only numbers above 0 are allowed.")
    return array


def check_same_length(first: Floats, second: Floats) -> None:
    """Raises ValueError unless there is one value of each for every question."""
    if len(first) != len(second):
        raise ValueError(
            f"paired values: {len(first)} and {len(second)} of them. "
            "Both sides need one for each of the same questions, in the same order."
        )


def upper_tail(confidence: float) -> float:
    """0.95 -> 0.975: the level of the upper end of a two-sided interval."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: {confidence}. Between 0 and 1 is allowed, such as 0.95.")
    return (1 + confidence) / 2


def _refuse(array: Floats, is_bad: npt.NDArray[np.bool_], message: str) -> None:
    if is_bad.any():
        position = int(np.flatnonzero(is_bad)[0])
        raise ValueError(message % f"{array[position]:g} at position {position}")
