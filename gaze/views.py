"""The canvas as tokens and views: what a selector reads, and where its tokens lie.

A native token is a square of `token_pixels` of the canvas. A view is a square of 14 x 14 tokens,
the field that a selector such as AutoGaze reads at once. Views tile the canvas from its top left
corner; those on the right and at the bottom may reach beyond it. Tokens partly outside the canvas
exist, tokens wholly outside do not: they are forbidden, and no budget is spent on them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

VIEW_CELLS = 14
"""Tokens along one side of a view."""
CLIP_FRAMES = 16
"""Frames of a clip; the last clip of a video may be shorter."""
TOKEN_PIXELS = 32
"""Side of a native token, in pixels of the canvas."""

Frame = NDArray[np.uint8]
Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Views:
    """How a canvas is divided into tokens and views.

    Args:
        height: Of the canvas, in pixels.
        width: Of the canvas, in pixels.
        token_pixels: Side of a native token, in pixels.
        size: Side of a view, in tokens.
    """

    height: int
    width: int
    token_pixels: int = TOKEN_PIXELS
    size: int = VIEW_CELLS

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.token_pixels, self.size) < 1:
            raise ValueError(f"{self}: sizes must be positive")

    @property
    def rows(self) -> int:
        """Rows of the token grid."""
        return -(-self.height // self.token_pixels)

    @property
    def cols(self) -> int:
        """Columns of the token grid."""
        return -(-self.width // self.token_pixels)

    @property
    def num_tokens(self) -> int:
        """Tokens of one frame."""
        return self.rows * self.cols

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of views."""
        return -(-self.rows // self.size), -(-self.cols // self.size)

    @property
    def num_views(self) -> int:
        """Views of one frame."""
        return self.shape[0] * self.shape[1]

    @cached_property
    def view_of(self) -> Ids:
        """The view of every token, (rows * cols,), read-only."""
        view_rows = np.arange(self.rows, dtype=np.int32) // self.size
        view_cols = np.arange(self.cols, dtype=np.int32) // self.size
        view_of = (view_rows[:, None] * self.shape[1] + view_cols).ravel()
        view_of.flags.writeable = False
        return view_of

    @cached_property
    def num_cells(self) -> Ids:
        """Tokens that exist in every view, (num_views,), read-only."""
        num_cells = np.bincount(self.view_of, minlength=self.num_views).astype(np.int32)
        num_cells.flags.writeable = False
        return num_cells

    def origin(self, view: int) -> tuple[int, int]:
        """Row and column of the token in a view's top left corner."""
        row, col = divmod(view, self.shape[1])
        return row * self.size, col * self.size

    def tokens(self, view: int) -> Ids:
        """Ids of the tokens that exist in a view, in raster order."""
        grid = self.ids_in_view(view)
        return grid[grid >= 0]

    def ids_in_view(self, view: int) -> Ids:
        """Token id of every cell of a view, -1 where the cell is forbidden, (size, size)."""
        row, col = self.origin(view)
        rows = row + np.arange(self.size, dtype=np.int32)[:, None]
        cols = col + np.arange(self.size, dtype=np.int32)
        is_inside = (rows < self.rows) & (cols < self.cols)
        return np.where(is_inside, rows * self.cols + cols, -1).astype(np.int32)

    def forbidden(self, view: int) -> NDArray[np.bool_]:
        """Cells of a view that lie wholly outside the canvas, (size, size)."""
        return self.ids_in_view(view) < 0

    def cut(self, frame: Frame) -> Frame:
        """Cut a frame into its views, replicating the canvas's edge outside it.

        Args:
            frame: (height, width, channels).

        Returns:
            (num_views, side, side, channels) with side = size * token_pixels; a copy.
        """
        origins = [self.origin(view) for view in range(self.num_views)]
        return np.stack([self.square(frame, row, col, self.size) for row, col in origins])

    def square(self, frame: Frame, row: int, col: int, size: int) -> Frame:
        """Cut a square of tokens out of a frame, replicating the canvas's edge outside it.

        Args:
            frame: (height, width, channels).
            row: Of the token in its top left corner, inside the canvas.
            col: Of that token.
            size: Tokens along its side.

        Returns:
            (side, side, channels) with side = size * token_pixels; no copy where it lies inside.
        """
        if frame.shape[:2] != (self.height, self.width):
            raise ValueError(f"frame {frame.shape[:2]} is not {(self.height, self.width)}")
        side, top, left = (number * self.token_pixels for number in (size, row, col))
        inside = frame[top : top + side, left : left + side]
        down, across = side - inside.shape[0], side - inside.shape[1]
        if not (down or across):
            return inside
        return np.pad(inside, ((0, down), (0, across), (0, 0)), mode="edge")


def chunks(frames: Iterable[Frame]) -> Iterator[tuple[Frame, ...]]:
    """Group a stream of frames into chunks of 16: one clip of every view; the last may be shorter.

    At most one chunk is held here at a time.
    """
    held: list[Frame] = []
    for frame in frames:
        held.append(frame)
        if len(held) == CLIP_FRAMES:
            chunk, held = tuple(held), []
            yield chunk
            del chunk
    if held:
        yield tuple(held)
