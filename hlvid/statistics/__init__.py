"""What a set of grades can and cannot show: intervals, paired tests, comparisons of arms."""

from hlvid.statistics.intervals import (
    AccuracyInterval,
    MeanDifference,
    PairedDifference,
    QuantileInterval,
    RatioInterval,
    accuracy_interval,
)

__all__ = [
    "AccuracyInterval",
    "MeanDifference",
    "PairedDifference",
    "QuantileInterval",
    "RatioInterval",
    "accuracy_interval",
]
