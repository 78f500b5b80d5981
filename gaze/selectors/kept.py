"""What a selector kept of a video."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gaze.views import Ids, Views


@dataclass(frozen=True)
class Cells:
    """Cells of several scales that were gazed at in one frame, first choice first.

    Args:
        boxes: Top, left, bottom and right of each in native tokens, float32 (n, 4).
        scale: Of each, 0 the coarsest, int8 (n,).
        sides: Cells along a side of what the selector reads at once, a scale.
    """

    boxes: NDArray[np.float32]
    scale: NDArray[np.int8]
    sides: tuple[int, ...]

    @property
    def num_per_scale(self) -> NDArray[np.int64]:
        """Cells of each scale, coarse to fine."""
        return np.bincount(self.scale, minlength=len(self.sides))


@dataclass(frozen=True)
class Kept:
    """The native tokens that a selector kept, frame by frame, in the order of gazing.

    Args:
        tokens: One int32 array a frame of distinct ids `row * cols + col`, first chosen first.
        rows: Rows of the token grid.
        cols: Columns of the token grid.
        cells: What was gazed at in every frame, where the selector has several scales. A cell too
            coarse to become native tokens is here and nowhere else.
    """

    tokens: tuple[Ids, ...]
    rows: int
    cols: int
    cells: tuple[Cells, ...] | None = None

    def __post_init__(self) -> None:
        for frame, ids in enumerate(self.tokens):
            if ids.dtype != np.int32 or ids.ndim != 1:
                raise ValueError(f"frame {frame}: {ids.dtype} {ids.shape}. Expected int32 (n,)")
            if ids.size and not (int(ids.min()) >= 0 and int(ids.max()) < self.rows * self.cols):
                raise ValueError(f"frame {frame}: ids outside 0..{self.rows * self.cols - 1}")
            if np.unique(ids).size != ids.size:
                raise ValueError(f"frame {frame}: a token occurs twice")

    @property
    def num_frames(self) -> int:
        """Frames that were read."""
        return len(self.tokens)

    @property
    def num_tokens(self) -> int:
        """Tokens kept, all frames together."""
        return sum(ids.size for ids in self.tokens)

    @property
    def kept_ratio(self) -> float:
        """Share of all native tokens that was kept."""
        return self.num_tokens / (self.num_frames * self.rows * self.cols)

    def mask(self, frame: int) -> NDArray[np.bool_]:
        """Which tokens of a frame were kept, (rows, cols)."""
        mask = np.zeros(self.rows * self.cols, dtype=np.bool_)
        mask[self.tokens[frame]] = True
        return mask.reshape(self.rows, self.cols)

    def counts(self, views: Views) -> NDArray[np.int64]:
        """Tokens kept a frame and view, (num_frames, num_views)."""
        return np.stack(
            [np.bincount(views.view_of[ids], minlength=views.num_views) for ids in self.tokens]
        )

    @cached_property
    def sha256(self) -> str:
        """Digest of grid, ids and order: equal exactly when two choices are equal."""
        digest = hashlib.sha256(f"{self.rows} {self.cols} {self.num_frames}\n".encode())
        for ids in self.tokens:
            digest.update(f"{ids.size}\n".encode())
            digest.update(ids.astype("<i4").tobytes())
        return digest.hexdigest()
