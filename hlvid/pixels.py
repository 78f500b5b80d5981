"""From decoded frames to RGB pixels: every choice that a scaler would make by itself is made here.

*Matrix and range* are those that a frame declares. Where it declares none, the rule is: limited
range; BT.709 from 1280 columns or 720 lines on, BT.601 below, as television has it and players do.

*Scaling* is bicubic, widened where it shrinks so that nothing aliases. At the stored size only the
chroma planes of 4:2:0 video are scaled, linearly. Rounding is accurate and the same on every CPU.
"""

import struct

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

Pixels = npt.NDArray[np.uint8]

BT709, UNSPECIFIED, BT601, BT2020 = 1, 2, 5, 9
MATRICES = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
"""The matrix coefficients of ITU-T H.273 that the scaler knows."""

_ACCURATE_ROUNDING, _BIT_EXACT, _FULL_CHROMA = 0x40000, 0x80000, 0x2000
_EXACT = _ACCURATE_ROUNDING | _BIT_EXACT | _FULL_CHROMA
"""Flags of libswscale for which PyAV has no names."""


def matrix_of(frame: av.VideoFrame) -> int:
    """The matrix to use for a frame, by H.273's number; declared, or by the module's rule."""
    if frame.colorspace != UNSPECIFIED:
        return frame.colorspace
    return BT709 if frame.width >= 1280 or frame.height >= 720 else BT601


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether luma 0 is black and 255 white; undeclared means no."""
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")


def orientation_of(frame: av.VideoFrame) -> tuple[int, bool]:
    """Read how a stored frame is to be shown from its display matrix.

    The matrix maps stored (x, y) to (ax + cy, bx + dy).

    Returns:
        Clockwise degrees to turn by (0, 90, 180 or 270), and whether to mirror left and right then.

    Raises:
        ValueError: The matrix does something else.
    """
    try:
        data = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
    except KeyError:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("<9i", data)
    signs = tuple(0 if abs(v) <= max(map(abs, (a, b, c, d))) // 100 else v for v in (a, b, c, d))
    match tuple(int(np.sign(v)) for v in signs):
        case (1, 0, 0, 1):
            return 0, False
        case (0, 1, -1, 0):
            return 90, False
        case (-1, 0, 0, -1):
            return 180, False
        case (0, -1, 1, 0):
            return 270, False
        case (-1, 0, 0, 1):
            return 0, True
        case (0, 1, 1, 0):
            return 90, True
        case (1, 0, 0, -1):
            return 180, True
        case (0, -1, -1, 0):
            return 270, True
    raise ValueError(f"display matrix ({a}, {b}, {c}, {d}) is no quarter turn")


class ToRgb:
    """Turns decoded frames into upright RGB of one size.

    Args:
        width: Columns of the result.
        height: Rows of the result.
        rotation_degrees: Clockwise turn of the stored frame: 0, 90, 180 or 270.
        is_mirrored: Whether to mirror left and right after the turn.
    """

    def __init__(
        self, *, width: int, height: int, rotation_degrees: int = 0, is_mirrored: bool = False
    ) -> None:
        self._stored_size = (width, height) if rotation_degrees % 180 == 0 else (height, width)
        self._num_turns = rotation_degrees // 90
        self._is_mirrored = is_mirrored
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """Convert one frame.

        Args:
            frame: Of any size and pixel format.

        Returns:
            uint8 (height, width, 3), its own memory.
        """
        width, height = self._stored_size
        is_same_size = (frame.width, frame.height) == self._stored_size
        matrix = matrix_of(frame)
        rgb = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=matrix,
            # Has no meaning for RGB, but where it equals the source's PyAV sets neither.
            dst_colorspace=BT709 if matrix != BT709 else BT601,
            src_color_range=ColorRange.JPEG if is_full_range(frame) else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=_EXACT
            | (Interpolation.BILINEAR if is_same_size else Interpolation.BICUBIC),
        )
        pixels: Pixels = rgb.to_ndarray()  # type: ignore[assignment]  # rgb24 is bytes
        pixels = np.rot90(pixels, -self._num_turns)
        return np.ascontiguousarray(pixels[:, ::-1] if self._is_mirrored else pixels)
