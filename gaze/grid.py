"""The pyramid of cells that AutoGaze chooses from: ids, places and masks.

A view is seen at several scales, each a square of cells. Ids count all cells of a frame, coarse to
fine and in raster order within a scale: in the released 4 + 16 + 49 + 196 pyramid the 2 x 2 cells
are 0-3, the 4 x 4 cells 4-19, the 7 x 7 cells 20-68 and the 14 x 14 cells 69-264. A position counts
the cells of a clip: `frame * num_cells + id`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RELEASED_SIDES = (2, 4, 7, 14)
"""Cells along a side, a scale; of the released model."""

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Place(NamedTuple):
    """Where cells are; four arrays of one shape."""

    frame: Integers
    scale: Integers
    """Index of the scale, 0 the coarsest."""
    row: Integers
    col: Integers


@dataclass(frozen=True)
class Pyramid:
    """Scales of square grids over one view.

    Args:
        sides: Cells along a side of each scale, strictly growing.
    """

    sides: tuple[int, ...] = RELEASED_SIDES

    def __post_init__(self) -> None:
        is_growing = all(a < b for a, b in itertools.pairwise(self.sides))
        if not self.sides or self.sides[0] < 1 or not is_growing:
            raise ValueError(f"sides {self.sides}: must be positive and strictly growing")

    @property
    def starts(self) -> tuple[int, ...]:
        """First id of each scale, and the number of all cells at the end."""
        return tuple(itertools.accumulate((side * side for side in self.sides), initial=0))

    @property
    def num_cells(self) -> int:
        """Cells of a frame, all scales together."""
        return self.starts[-1]

    def locate(self, positions: ArrayLike) -> Place:
        """Where positions are; ids of a single frame are positions in frame 0.

        Raises:
            ValueError: A position is negative.
        """
        frame, cell = np.divmod(np.asarray(positions, dtype=np.int64), self.num_cells)
        if np.any(frame < 0):
            raise ValueError("a position is negative")
        starts = np.asarray(self.starts)
        scale = np.searchsorted(starts, cell, side="right") - 1
        row, col = np.divmod(cell - starts[scale], np.asarray(self.sides)[scale])
        return Place(frame, scale, row, col)

    def positions(
        self, frame: ArrayLike, scale: ArrayLike, row: ArrayLike, col: ArrayLike
    ) -> Integers:
        """The positions of places; the inverse of `locate`.

        Raises:
            ValueError: A place does not exist.
        """
        frame, scale, row, col = (np.asarray(x, dtype=np.int64) for x in (frame, scale, row, col))
        if np.any((scale < 0) | (scale >= len(self.sides)) | (frame < 0)):
            raise ValueError(f"there are {len(self.sides)} scales, and no negative frames")
        side = np.asarray(self.sides)[scale]
        if np.any((row < 0) | (row >= side) | (col < 0) | (col >= side)):
            raise ValueError(f"a row or column lies outside its scale; sides are {self.sides}")
        start = np.asarray(self.starts)[scale]
        found: Integers = frame * self.num_cells + start + row * side + col
        return found

    def masks(self, positions: ArrayLike, num_frames: int) -> tuple[Mask, ...]:
        """Which cells are chosen, a scale: (num_frames, side, side) each.

        Raises:
            ValueError: A position lies outside the frames.
        """
        wanted = np.asarray(positions, dtype=np.int64).ravel()
        if np.any((wanted < 0) | (wanted >= num_frames * self.num_cells)):
            raise ValueError(f"a position lies outside {num_frames} frames of {self.num_cells}")
        flat = np.zeros((num_frames, self.num_cells), dtype=np.bool_)
        flat.ravel()[wanted] = True
        return tuple(
            flat[:, start:end].reshape(num_frames, side, side)
            for side, (start, end) in zip(self.sides, itertools.pairwise(self.starts), strict=True)
        )

    def chosen(self, masks: Sequence[Mask]) -> Integers:
        """The positions that masks choose, ascending; the inverse of `masks` but for the order.

        Raises:
            ValueError: A mask does not fit its scale.
        """
        num_frames = len(masks[0]) if masks else 0
        if [mask.shape for mask in masks] != [(num_frames, side, side) for side in self.sides]:
            raise ValueError(
                f"masks {[mask.shape for mask in masks]} do not fit scales of sides {self.sides}"
            )
        flat = np.concatenate([mask.reshape(num_frames, -1) for mask in masks], axis=1)
        return np.flatnonzero(flat)
