"""The two controls of a gaze, ratio and threshold, and the checks on what a caller passes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gaze.config import GazeConfig
from hlvid.errors import UserError

Ratio = float | Sequence[float]
Threshold = float | Sequence[float]


def check_video(video: Tensor) -> None:
    """Refuse what is no preprocessed video.

    Raises:
        UserError: Not (B, T, 3, H, W), empty, not floating point, or not finite.
    """
    shape = tuple(video.shape)
    if video.ndim != 5:
        raise UserError(f"video: {video.ndim} dimensions {shape}. Expected is (B, T, 3, H, W).")
    if shape[2] != 3:
        raise UserError(f"video: {shape[2]} channels. Expected is RGB, (B, T, 3, H, W).")
    if 0 in shape:
        raise UserError(
            f"video: nothing in it {shape}. At least one clip, frame and pixel is needed."
        )
    if not video.is_floating_point():
        raise UserError(f"video: {video.dtype}. Preprocess it first: gaze.preprocess.preprocess.")
    if not bool(torch.isfinite(video).all()):
        raise UserError("video: it holds NaN or infinity. Check what it was made from.")


def check_forbidden(forbidden: Tensor | None, shape: tuple[int, int]) -> None:
    """Refuse a mask of another shape or type.

    Raises:
        UserError: Not (clips, cells) bool.
    """
    if forbidden is not None and (tuple(forbidden.shape) != shape or forbidden.dtype != torch.bool):
        raise UserError(
            f"forbidden: {tuple(forbidden.shape)} {forbidden.dtype}. Expected is {shape} bool."
        )


def caps_per_frame(config: GazeConfig, ratio: Ratio, num_frames: int) -> list[int]:
    """Most slots of each frame: max(1, floor(ratio * cells)).

    Raises:
        UserError: A ratio that is not in (0, 1], or not one for each frame.
    """
    ratios = _per_frame("gazing_ratio", ratio, num_frames)
    for value in ratios:
        if not 0 < value <= 1:
            raise UserError(f"gazing_ratio: {value:g}. Allowed is a number above 0 and up to 1.")
    return [config.cap(value) for value in ratios]


def thresholds_per_frame(threshold: Threshold | None, num_frames: int) -> list[float]:
    """Threshold of each frame; minus infinity where there is none.

    Raises:
        UserError: A threshold that is not a finite number, or not one for each frame.
    """
    if threshold is None:
        return [-math.inf] * num_frames
    values = _per_frame("task_loss_requirement", threshold, num_frames)
    for value in values:
        if not math.isfinite(value):
            raise UserError(f"task_loss_requirement: {value}. Allowed is a finite number.")
    return values


def _per_frame(name: str, value: float | Sequence[float], num_frames: int) -> list[float]:
    try:
        values = (
            [float(value)] * num_frames
            if isinstance(value, int | float)
            else [float(one) for one in value]
        )
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{name}: {value!r}. Allowed is a number, or one number a frame."
        ) from error
    if len(values) != num_frames:
        raise UserError(
            f"{name}: {len(values)} values for {num_frames} frames. Pass one, or one a frame."
        )
    return values
