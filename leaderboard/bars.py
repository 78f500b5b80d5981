"""Values and intervals drawn in the cells of a table: every row a line of one plot."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hlvid.plot import Scale
from leaderboard.charts import Tick
from leaderboard.wording import MINUS


@dataclass(frozen=True)
class Bar:
    """A value and its interval on an `Axis`."""

    at: float
    low: float
    high: float
    chance: float | None = None


@dataclass(frozen=True)
class Axis:
    """The common axis of the bars in a column of a table, in percent of the column's width."""

    scale: Scale
    ticks: tuple[Tick, ...]

    @property
    def zero(self) -> float:
        """Where zero lies."""
        return self.scale.at(0)

    @property
    def has_worse(self) -> bool:
        """Whether there is room for a word left of zero."""
        return self.zero - self.scale.low > 20

    @property
    def has_better(self) -> bool:
        """Whether there is room for a word right of zero."""
        return self.scale.high - self.zero > 20

    def bar(self, at: float, low: float, high: float, chance: float | None = None) -> Bar:
        """Where shares, or differences of shares, lie."""
        return Bar(
            at=self.scale.at(100 * at),
            low=self.scale.at(100 * low),
            high=self.scale.at(100 * high),
            chance=None if chance is None else self.scale.at(100 * chance),
        )


def share_axis() -> Axis:
    """An axis from 0 to 100 %."""
    scale = Scale(0, 100, 10, 90)
    return Axis(scale, tuple(Tick(scale.at(value), str(value)) for value in (0, 50, 100)))


def forest_axis(bounds: Iterable[float]) -> Axis:
    """An axis with round ticks that holds zero and all bounds (differences of shares)."""
    values = [0.0, *(100 * bound for bound in bounds)]
    low, high = min(values), max(values)
    step = next((s for s in (1, 2, 5, 10, 20, 25) if high - low <= 4 * s), 50)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        first, last = -1, 1
    scale = Scale(first * step, last * step, 9, 91)
    return Axis(
        scale,
        tuple(
            Tick(scale.at(step * i), _signed(step * i), is_minor=i not in (first, 0, last))
            for i in range(first, last + 1)
        ),
    )


def _signed(value: int) -> str:
    return f"+{value}" if value > 0 else str(value).replace("-", MINUS)
