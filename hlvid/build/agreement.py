"""How far people who answer the same questions agree, and whether that is more than chance."""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Units = Sequence[Sequence[Hashable]]
Metric = Literal["nominal", "interval"]


def percent_agreement(units: Units) -> float | None:
    """Share of the pairs of values of one unit that are equal; None where there are no pairs.

    Args:
        units: For each thing that was judged, the values that it was given.
    """
    num_equal = num_pairs = 0
    for values in units:
        num_pairs += len(values) * (len(values) - 1) // 2
        num_equal += sum(values[i] == values[j] for j in range(len(values)) for i in range(j))
    return num_equal / num_pairs if num_pairs else None


def krippendorff_alpha(units: Units, *, metric: Metric = "nominal") -> float | None:
    """Krippendorff's alpha: 1 - observed / expected disagreement, for any number of judges.

    1 is perfect agreement, 0 what chance gives, below 0 is worse than chance. Values may be
    missing: a unit with m values adds each ordered pair of them with weight 1 / (m - 1) to the
    coincidence matrix o; with its margins n_c and their sum n,

        alpha = 1 - (n - 1) * sum(o_ck * d_ck) / sum(n_c * n_k * d_ck),

    where d is 0 or 1 (nominal) or the squared difference (interval). Krippendorff 2011, "Computing
    Krippendorff's Alpha-Reliability", sections C and E.

    Args:
        units: For each thing that was judged, the values that it was given; with fewer than two it
            is passed over.
        metric: What two values are apart; `interval` needs numbers.

    Returns:
        None where nothing can be said: no pairs, or one value alone was ever given.
    """
    paired = [list(values) for values in units if len(values) > 1]
    values = sorted({value for unit in paired for value in unit}, key=_sort_key)
    if len(values) < 2:
        return None
    place = {value: i for i, value in enumerate(values)}
    coincidences = np.zeros((len(values), len(values)))
    for unit in paired:
        counts = np.bincount([place[value] for value in unit], minlength=len(values))
        coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    margins = coincidences.sum(axis=1)
    apart = _apart(values, metric)
    observed = float((coincidences * apart).sum())
    expected = float((np.outer(margins, margins) * apart).sum())
    return 1 - (float(margins.sum()) - 1) * observed / expected


def _apart(values: Sequence[Hashable], metric: Metric) -> npt.NDArray[np.float64]:
    if metric == "nominal":
        return 1 - np.eye(len(values))
    numbers = np.array(values, dtype=np.float64)
    return np.square(numbers[:, None] - numbers[None, :])


def _sort_key(value: Hashable) -> tuple[str, str]:
    return type(value).__name__, str(value)


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union of two stretches (start, end)."""
    common = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    union = (one[1] - one[0]) + (other[1] - other[0]) - common
    return common / union if union > 0 else 0.0


def box_overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other)]
    union = sum(areas) - wide * high
    return wide * high / union if union > 0 else 0.0
