"""Pixels to what AutoGaze reads: resize, [-1, 1], then ImageNet statistics.

The statistics are applied to data in [-1, 1], as the released processor does; they look
misplaced, but the weights were trained on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from hlvid.errors import UserError

SHORTEST_EDGE = 224
RESCALE = 1 / 127.5
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Size = int | tuple[int, int]
"""Pixels of the shorter side, the aspect ratio kept; or (height, width)."""


def preprocess(
    frames: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], *, size: Size = SHORTEST_EDGE
) -> Tensor:
    """Prepare RGB frames exactly as the released processor does, on CPU.

    Args:
        frames: (T, H, W, 3) uint8, or a list of (H, W, 3) frames of one size.
        size: Size after resizing (bilinear with antialiasing, on uint8, by Pillow).

    Returns:
        (T, 3, height, width) float32.

    Raises:
        UserError: No frames, or frames that are not (H, W, 3) uint8.
    """
    resized = [_resize(np.asarray(frame), size) for frame in frames]
    if not resized:
        raise UserError("preprocess: no frames. At least one (H, W, 3) uint8 frame is needed.")
    if len({frame.shape for frame in resized}) > 1:
        raise UserError("preprocess: frames of different sizes. Pass the frames of one video.")
    return normalize(torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2))


def normalize(pixels: Tensor) -> Tensor:
    """(..., 3, H, W) values from 0 to 255, any type, to what the model reads, float32."""
    scaled = pixels.float() * RESCALE - 1.0
    mean = scaled.new_tensor(MEAN).view(3, 1, 1)
    std = scaled.new_tensor(STD).view(3, 1, 1)
    return (scaled - mean) / std


def preprocess_on_device(frames: Tensor, *, size: Size = SHORTEST_EDGE) -> Tensor:
    """Prepare (T, 3, H, W) uint8 frames where they are, without Pillow.

    Resizing is bilinear with antialiasing, as Pillow's, in fp32 and rounded to whole values; it
    differs from :func:`preprocess` by at most one step of 256.

    Returns:
        (T, 3, height, width) float32, on the frames' device.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8:
        raise UserError(
            f"preprocess: {tuple(frames.shape)} {frames.dtype}. Expected is (T, 3, H, W) uint8."
        )
    target = target_size(frames.shape[2], frames.shape[3], size)
    if target == tuple(frames.shape[2:]):
        return normalize(frames)
    resized = F.interpolate(frames.float(), size=target, mode="bilinear", antialias=True)
    return normalize(resized.round().clamp(0, 255))


def target_size(height: int, width: int, size: Size) -> tuple[int, int]:
    """(height, width) after resizing; the longer side is rounded down."""
    if isinstance(size, tuple):
        return size
    if height <= width:
        return size, int(size * width / height)
    return int(size * height / width), size


def _resize(frame: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise UserError(
            f"preprocess: a frame is {frame.shape} {frame.dtype}. Expected is (H, W, 3) uint8 RGB."
        )
    height, width = target_size(frame.shape[0], frame.shape[1], size)
    if (height, width) == frame.shape[:2]:
        return frame
    image = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)
