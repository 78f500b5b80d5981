"""Sizes: the canvas by the model's own resize rule, and what its stock processor makes of it."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hlvid.errors import UserError


def native_size(width: int, height: int, *, side: int) -> tuple[int, int]:
    """The canvas of a video at its own size: the model's rule without its limits.

    Args:
        width: Of the video, in pixels.
        height: Of the video, in pixels.
        side: Of a merged token, in pixels; both sides become multiples of it.

    Raises:
        UserError: One side is 200 times the other.
    """
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

    try:
        rows, cols = smart_resize(
            num_frames=2, height=height, width=width, factor=side, min_pixels=1, max_pixels=2**62
        )
    except ValueError as error:
        raise UserError(f"video of {width}x{height}: {error}.") from None
    return cols, rows


def stock_pixels(pixels: NDArray[np.uint8], video_processor: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Frames at the size that the stock processor gives them by its own limits, by its own resize.

    Args:
        pixels: (num_frames, height, width, 3).
        video_processor: Of the weights.
    """
    video = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)[None]
    resized = video_processor.resize(
        video,
        size=video_processor.size,
        resample=video_processor.resample,
        factor=video_processor.patch_size * video_processor.merge_size,
        temporal_factor=video_processor.temporal_patch_size,
        cap_pixels_per_frame=bool(video_processor.cap_pixels_per_frame),
    )
    frames: NDArray[np.uint8] = resized[0].permute(0, 2, 3, 1).contiguous().numpy()
    return frames
