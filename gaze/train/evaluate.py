"""What AutoGaze's choices lose on clips of other sources, against controls of equal budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaze.model import AutoGaze
from gaze.train.arms import CONTROLS, Held, Scales, oracle
from gaze.train.clips import Clip
from gaze.train.judging import choose
from gaze.train.pyramid import Pyramid
from hlvid.statistics import MeanDifference, mean_difference
from hlvid.types import Record

RATIOS = (0.02, 0.05, 0.1, 0.2)
CURVE_RATIOS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)
"""Where the loss is measured to say which ratio a loss needs."""
MIN_SOURCES = 8
"""Fewer are reported without an interval or a test."""
ORACLE = "greedy oracle"
THIRD = 1 / 3
_CLIPS_AT_ONCE = 4

Floats = NDArray[np.float64]
Tell = Callable[[int], None]


class Estimate(Record):
    """A mean over clips; the interval is cluster-robust, None below eight sources."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, a: Floats, b: Floats, sources: Sequence[str]) -> Estimate:
        """The paired difference of two columns of clips, clustered by source."""
        found: MeanDifference = mean_difference(a, b, sources, num_bootstrap=0)
        if len(set(sources)) < MIN_SOURCES:
            return cls(mean=found.difference, low=None, high=None)
        return cls(mean=found.difference, low=found.low, high=found.high)


class Row(Record):
    """One arm at one ratio."""

    arm: str
    ratio: float
    scales: Scales
    """The better of the two on validation clips."""
    loss: Estimate
    excess: Estimate | None
    """Its loss less that of the model on the same clips; None for the model."""


class Evaluation(Record):
    """Everything that is measured on one set of clips."""

    name: str
    num_clips: int
    num_sources: int
    num_frames: int
    loss_kind: str
    clusters: str
    """What the intervals take for independent: what a source is."""
    rows: tuple[Row, ...]
    third: tuple[tuple[float, Estimate], ...]
    """At each ratio: what the model gains on coarse-first beyond a third of what the oracle gains.
    Above 0 it closes at least a third of the gap."""

    def row(self, arm: str, ratio: float) -> Row:
        """One arm at one ratio."""
        return next(row for row in self.rows if (row.arm, row.ratio) == (arm, ratio))


@dataclass(frozen=True)
class HeldOut:
    """Clips with what they were cut from."""

    pixels: Tensor
    sources: tuple[str, ...]

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> HeldOut:
        """A set of clips of one length."""
        pixels = torch.from_numpy(np.stack([clip.pixels for clip in clips]))
        return cls(pixels, tuple(clip.source for clip in clips))

    def part(self, which: slice) -> HeldOut:
        """Some of the clips."""
        return HeldOut(self.pixels[which], self.sources[which])


def budget_of(ratio: float, num_cells: int) -> int:
    """Cells of a frame at a ratio."""
    return max(1, int(np.float32(ratio) * np.float32(num_cells)))


def control_losses(
    held: HeldOut, pyramid: Pyramid, *, ratios: Sequence[float] = RATIOS, tell: Tell
) -> dict[tuple[str, Scales, float], Floats]:
    """(clips,) the mean loss of each clip, for each control, each choice of scales and ratio."""
    found: dict[tuple[str, Scales, float], list[Floats]] = {}
    for start in range(0, len(held.pixels), _CLIPS_AT_ONCE):
        pixels = held.pixels[start : start + _CLIPS_AT_ONCE]
        here = Held(pixels, pyramid, seed=start)
        for ratio in ratios:
            budget = budget_of(ratio, here.shape[2])
            both: tuple[Scales, ...] = ("all", "finest")
            kept = {
                (name, scales): arm(here, budget, scales)
                for name, arm in CONTROLS.items()
                for scales in both
            }
            kept[ORACLE, "all"] = oracle(here, budget, "all")
            for (name, scales), cells in kept.items():
                losses = here.table.losses(cells).mean(1).double().numpy()
                found.setdefault((name, scales, ratio), []).append(losses)
        tell(len(pixels))
    return {key: np.concatenate(parts) for key, parts in found.items()}


def better_scales(
    losses: Mapping[tuple[str, Scales, float], Floats],
) -> dict[tuple[str, float], Scales]:
    """Of each control and ratio, the choice of scales that loses less; on validation clips."""
    means = {key: float(column.mean()) for key, column in losses.items()}
    found: dict[tuple[str, float], Scales] = {}
    for name, _, ratio in means:
        options = [scales for other, scales, at in means if (other, at) == (name, ratio)]
        found[name, ratio] = min(options, key=lambda scales: means[name, scales, ratio])
    return found


def model_losses(
    model: AutoGaze, held: HeldOut, pyramid: Pyramid, *, ratios: Sequence[float], tell: Tell
) -> dict[float, Floats]:
    """(clips,) the mean loss of each clip at each ratio."""
    found: dict[float, list[Floats]] = {ratio: [] for ratio in ratios}
    for start in range(0, len(held.pixels), _CLIPS_AT_ONCE):
        pixels = held.pixels[start : start + _CLIPS_AT_ONCE]
        table = pyramid.table(pixels)
        for ratio in ratios:
            kept = choose(model, pixels, ratio=ratio).mask(table.num_cells)
            found[ratio].append(table.losses(kept).mean(1).double().numpy())
        tell(len(pixels))
    return {ratio: np.concatenate(parts) for ratio, parts in found.items()}


def compare(
    name: str,
    held: HeldOut,
    ours: Mapping[float, Floats],
    controls: Mapping[tuple[str, Scales, float], Floats],
    scales: Mapping[tuple[str, float], Scales],
    *,
    loss_kind: str,
    clusters: str,
    model_name: str = "autogaze",
) -> Evaluation:
    """Put the model and the controls side by side, clip by clip.

    Args:
        name: Of the set of clips.
        held: The clips.
        ours: The model's losses by ratio.
        controls: Of `control_losses` on the same clips.
        scales: Of `better_scales` on validation clips.
        loss_kind: Kind of all these losses.
        clusters: What a source of these clips is.
        model_name: Of the model's rows.
    """
    rows, third = [], []
    nothing = np.zeros(len(held.sources))
    for ratio, own in ours.items():
        loss = Estimate.of(own, nothing, held.sources)
        rows.append(Row(arm=model_name, ratio=ratio, scales="all", loss=loss, excess=None))
        for control in (*CONTROLS, ORACLE):
            chosen = scales[control, ratio]
            column = controls[control, chosen, ratio]
            rows.append(
                Row(
                    arm=control,
                    ratio=ratio,
                    scales=chosen,
                    loss=Estimate.of(column, nothing, held.sources),
                    excess=Estimate.of(column, own, held.sources),
                )
            )
        plain = controls["coarse-first", scales["coarse-first", ratio], ratio]
        best = controls[ORACLE, "all", ratio]
        third.append((ratio, Estimate.of(plain - own, THIRD * (plain - best), held.sources)))
    return Evaluation(
        name=name,
        num_clips=len(held.sources),
        num_sources=len(set(held.sources)),
        num_frames=held.pixels.shape[1],
        loss_kind=loss_kind,
        clusters=clusters,
        rows=tuple(rows),
        third=tuple(third),
    )


@dataclass(frozen=True)
class Crossing:
    """The ratio at which a mean loss falls to a target.

    Attributes:
        ratio: On all clips.
        resampled: On resamples of whole sources, which are the same for all models; None below
            eight sources.
    """

    ratio: float
    resampled: Floats | None

    def estimate(self, other: Crossing | None = None) -> Estimate:
        """It with its interval, or how many times another's it is."""
        mean = self.ratio / (1.0 if other is None else other.ratio)
        if self.resampled is None:
            return Estimate(mean=mean, low=None, high=None)
        times = 1.0 if other is None or other.resampled is None else other.resampled
        low, high = np.quantile(self.resampled / times, [0.025, 0.975])
        return Estimate(mean=mean, low=float(low), high=float(high))


def needed_ratio(
    curves: Mapping[float, Floats],
    sources: Sequence[str],
    target: float,
    *,
    num_bootstrap: int = 2000,
    seed: int = 0,
) -> Crossing | None:
    """The ratio at which the mean loss falls to a target, and on resamples of the sources.

    Args:
        curves: (clips,) losses at ascending ratios.
        sources: Of each clip.
        target: The loss asked for.
        num_bootstrap: Resamples of whole sources.
        seed: Of the resampling.

    Returns:
        None where the curve does not reach the target. Of a resample beyond the measured ratios,
        the outermost of these.
    """
    ratios = np.array(sorted(curves))
    table = np.stack([curves[ratio] for ratio in ratios], 1)  # (clips, ratios)
    names, codes = np.unique(np.asarray(sources), return_inverse=True)
    sums = np.stack([table[codes == g].sum(0) for g in range(len(names))])
    sizes = np.bincount(codes).astype(np.float64)
    draws = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=num_bootstrap
    )
    found = _crossing(ratios, sums.sum(0) / sizes.sum(), target)
    if found is None:
        return None
    if len(names) < MIN_SOURCES:
        return Crossing(found, None)
    means = (draws @ sums) / (draws @ sizes)[:, None]
    ends = [
        (ratios[-1] if (at := _crossing(ratios, mean, target)) is None else at) for mean in means
    ]
    return Crossing(found, np.array(ends))


def _crossing(ratios: Floats, losses: Floats, target: float) -> float | None:
    """Where a curve first falls to a target, linear in the ratio's logarithm."""
    below = np.flatnonzero(losses <= target)
    if not below.size:
        return None
    after = int(below[0])
    if after == 0:
        return float(ratios[0])
    high, low = losses[after - 1], losses[after]
    share = (high - target) / (high - low)
    x = np.log(ratios[after - 1 : after + 1])
    return float(np.exp(x[0] + share * (x[1] - x[0])))
