"""What a set of grades can and cannot show: intervals, paired tests, comparisons of arms."""

from hlvid.statistics.agreement import RankAgreement, rank_agreement
from hlvid.statistics.comparison import (
    MIN_VIDEOS,
    Comparison,
    adjust,
    by_contrast,
    compare_arms,
    compare_group,
)
from hlvid.statistics.intervals import (
    AccuracyInterval,
    MeanDifference,
    PairedDifference,
    QuantileInterval,
    RatioInterval,
    accuracy_interval,
    geometric_mean_ratio,
    mean_difference,
    paired_difference,
    quantile_interval,
)
from hlvid.statistics.noise import find_noise_floor, flip_rate
from hlvid.statistics.pairing import Contrast
from hlvid.statistics.significance import holm, mcnemar_exact, minimum_detectable_effect

__all__ = [
    "MIN_VIDEOS",
    "AccuracyInterval",
    "Comparison",
    "Contrast",
    "MeanDifference",
    "PairedDifference",
    "QuantileInterval",
    "RankAgreement",
    "RatioInterval",
    "accuracy_interval",
    "adjust",
    "by_contrast",
    "compare_arms",
    "compare_group",
    "find_noise_floor",
    "flip_rate",
    "geometric_mean_ratio",
    "holm",
    "mcnemar_exact",
    "mean_difference",
    "minimum_detectable_effect",
    "paired_difference",
    "quantile_interval",
    "rank_agreement",
]
