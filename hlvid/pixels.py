"""From decoded frames to RGB pixels: every choice that a scaler would make by itself is made here.

The matrix and range are those that the frame declares. Where it declares none, the rule is: limited
range; BT.709 from 720 lines or 1280 columns on, BT.601 below, as television has it and players do.
"""

import struct
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

Pixels = npt.NDArray[np.uint8]

BT709, UNSPECIFIED, BT601 = 1, 2, 5
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

_EXACT = 0x40000 | 0x80000 | 0x2000
"""libswscale's accurate rounding, bit-exactness and full horizontal chroma: the same bytes on
every CPU, and no error of more than a rounding."""
SCALER_FLAGS = int(Interpolation.BICUBIC) | _EXACT


def matrix_of(colorspace: int, *, width: int, height: int) -> int:
    """The matrix to use for a frame, by H.273's number.

    Args:
        colorspace: What the frame declares.
        width: Stored pixels.
        height: Stored pixels.
    """
    if colorspace != UNSPECIFIED:
        return colorspace
    return BT709 if width >= 1280 or height >= 720 else BT601


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether luma 0 is black and 255 white; undeclared means no."""
    return bool(frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"))


@dataclass(frozen=True)
class Orientation:
    """How stored pixels are turned to be seen: transposed first, then mirrored."""

    is_transposed: bool = False
    flips_x: bool = False
    flips_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """Read a frame's display matrix, which maps stored (x, y) to (ax + cy, bx + dy).

        Raises:
            ValueError: The matrix turns by an angle that is no multiple of 90 degrees.
        """
        try:
            data = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
        except KeyError:
            return cls()
        a, b, _, c, d, *_ = struct.unpack("<9i", data)
        straight, crossed = min(abs(a), abs(d)), min(abs(b), abs(c))
        small = max(abs(a), abs(b), abs(c), abs(d)) // 100
        if straight > small >= max(abs(b), abs(c)):
            return cls(flips_x=a < 0, flips_y=d < 0)
        if crossed > small >= max(abs(a), abs(d)):
            return cls(is_transposed=True, flips_x=c < 0, flips_y=b < 0)
        raise ValueError(f"display matrix ({a}, {b}, {c}, {d}) is no quarter turn")

    @property
    def degrees(self) -> int:
        """Clockwise turn of the stored picture: 0, 90, 180 or 270; a mirror image counts as 0."""
        if self.is_mirrored:
            return 0
        if self.is_transposed:
            return 90 if self.flips_x else 270
        return 180 if self.flips_x else 0

    @property
    def is_mirrored(self) -> bool:
        """Whether writing would be seen reversed without the matrix."""
        return (self.flips_x != self.flips_y) != self.is_transposed

    def apply(self, pixels: Pixels) -> Pixels:
        """Turn pixels (rows, columns, 3); copies only where something turns."""
        if self.is_transposed:
            pixels = pixels.transpose(1, 0, 2)
        pixels = pixels[:: -1 if self.flips_y else 1, :: -1 if self.flips_x else 1]
        return np.ascontiguousarray(pixels)


class ToRgb:
    """Turns decoded frames into upright RGB of one size.

    Args:
        width: Columns of the result.
        height: Rows of the result.
        orientation: How to turn the stored pixels.
    """

    def __init__(self, *, width: int, height: int, orientation: Orientation) -> None:
        self._stored = (height, width) if orientation.is_transposed else (width, height)
        self._orientation = orientation
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """Convert one frame.

        Args:
            frame: An av.VideoFrame of any size and pixel format.

        Returns:
            uint8 (height, width, 3), its own memory.
        """
        width, height = self._stored
        matrix = matrix_of(frame.colorspace, width=frame.width, height=frame.height)
        rgb = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=matrix,
            # Has no meaning for RGB, but PyAV ignores the source's where the two are equal.
            dst_colorspace=BT709 if matrix != BT709 else BT601,
            src_color_range=ColorRange.JPEG if is_full_range(frame) else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=SCALER_FLAGS,
        )
        pixels: Pixels = rgb.to_ndarray()  # type: ignore[assignment]  # rgb24 has bytes only
        return self._orientation.apply(pixels)
