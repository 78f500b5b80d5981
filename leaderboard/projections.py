"""Horizontal axes of scatter plots: where a value lies, and which ticks are round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.wording import NBSP

MAX_DECADE = 300
"""Beyond this, powers of ten leave the range of a double: there are no ticks."""


@dataclass(frozen=True)
class Projection:
    """How one quantity is laid along an axis."""

    label: str
    is_logarithmic: bool
    factor: float
    """Labels show values times this."""
    has_lanes: bool
    """Whether points at one place may be set side by side: only where few places are taken."""
    holds: tuple[float, ...] = ()
    """Values that the axis reaches whatever is drawn."""

    def at(self, value: float) -> float:
        """The coordinate of a value, in decades where the axis is logarithmic."""
        return math.log10(value) if self.is_logarithmic else value

    def can_show(self, value: float) -> bool:
        """Whether a value has a place on the axis."""
        return math.isfinite(value) and (value > 0 or not self.is_logarithmic)

    def range(self, values: Sequence[float]) -> tuple[float, float]:
        """The coordinates of the axis' ends, with room beside the outermost points."""
        places = [self.at(value) for value in (*values, *self.holds)]
        low, high = min(places), max(places)
        if self.is_logarithmic:
            low = min(low, high - (0.5 if self.holds else 0.15))
        elif low == high:
            low, high = low - 0.05, high + 0.05
        room = 0.13 * (high - low)
        return low - room, high + (room / 6 if self.holds else room)

    def ticks(self, low: float, high: float) -> list[tuple[float, str]]:
        """Round values between two coordinates: (coordinate, text)."""
        found = self._decades(low, high) if self.is_logarithmic else self._steps(low, high)
        return [(at, text) for at, text in found if low <= at <= high + 1e-9]

    def _decades(self, low: float, high: float) -> list[tuple[float, str]]:
        shift = round(math.log10(self.factor))
        first, last = math.floor(low) - 1, math.ceil(high)
        decades = range(max(first, -MAX_DECADE), min(last, MAX_DECADE) + 1)
        steps: tuple[float, ...] = (1, 2, 5) if len(decades) <= 4 else (1,)
        if high - low < 0.7:
            steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
        thinned = decades[:: max(1, math.ceil(len(decades) / 8))]
        return [(d + math.log10(s), f"{s * 10.0 ** (d + shift):g}") for d in thinned for s in steps]

    def _steps(self, low: float, high: float) -> list[tuple[float, str]]:
        ends = (low * self.factor, high * self.factor)
        step = next((s for s in (1, 2, 5, 10, 20, 25, 50) if ends[1] - ends[0] <= 6 * s), 100)
        values = range(math.ceil(ends[0] / step) * step, math.floor(ends[1]) + 1, step)
        return [(value / self.factor, str(value)) for value in values if value >= 0]


KEPT = Projection(
    label="kept tokens, % of off (logarithmic)",
    is_logarithmic=True,
    factor=100,
    has_lanes=True,
    holds=(1.0,),
)
SECONDS = Projection(
    label="end to end, s a question, p50 (logarithmic)",
    is_logarithmic=True,
    factor=1,
    has_lanes=False,
)
RECALL = Projection(
    label=f"evidence recall,{NBSP}%", is_logarithmic=False, factor=100, has_lanes=False
)
