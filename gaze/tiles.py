"""Sub-tiles: gazing for a vision tower whose scales or patches are not AutoGaze's own.

The frame is padded with zeros at the right and bottom and cut into tiles of as many finest cells
as AutoGaze sees at once; each is gazed at as a clip of its own, and the masks are put together,
scale by scale, and cropped. The order of gazing is lost (as in the released code).
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.config import GazeConfig
from gaze.decode import FrameGaze
from gaze.gazes import Gaze
from hlvid.errors import UserError


@dataclass(frozen=True)
class Tiling:
    """How a frame is cut.

    Attributes:
        side: Tiles a side.
        tile_pixels: Pixels of a tile's side.
        tile_cells: Cells of a tile's side at each scale.
        frame_cells: Cells of the frame's side at each scale.
        is_identity: Whether the tower's cells are AutoGaze's own, so nothing has to be cut.
    """

    side: int
    tile_pixels: int
    tile_cells: tuple[int, ...]
    frame_cells: tuple[int, ...]
    is_identity: bool

    @classmethod
    def plan(
        cls, config: GazeConfig, video: Tensor, scales: tuple[int, ...], patch_size: int
    ) -> Tiling:
        """The cut for a tower of these scales and patch size.

        Raises:
            UserError: The scales are not as many as ours, not ascending, or not the video's size.
        """
        height, width = video.shape[-2:]
        expected = len(config.scales)
        is_ascending = all(a < b for a, b in itertools.pairwise(scales))
        if len(scales) != expected or not is_ascending or patch_size < 1 or scales[0] < patch_size:
            raise UserError(
                f"target_scales: {scales} with patches of {patch_size}. "
                f"Expected are {expected} ascending sizes of at least one patch."
            )
        if not height == width == scales[-1]:
            raise UserError(
                f"video: {width}x{height} pixels. "
                f"With target_scales it must be {scales[-1]} square."
            )
        tile_cells = tuple(math.isqrt(count) for count in config.cells_per_scale)
        frame_cells = tuple(scale // patch_size for scale in scales)
        return cls(
            side=math.ceil(frame_cells[-1] / tile_cells[-1]),
            tile_pixels=tile_cells[-1] * patch_size,
            tile_cells=tile_cells,
            frame_cells=frame_cells,
            is_identity=scales == config.scales and frame_cells == tile_cells,
        )

    def cut(self, video: Tensor) -> Tensor:
        """(B, T, 3, S, S) to (B * side * side, T, 3, tile, tile), row by row."""
        margin = self.side * self.tile_pixels - video.shape[-1]
        batch, frames = video.shape[:2]
        if margin > 0:
            video = F.pad(video, (0, margin, 0, margin))
        side, tile = self.side, self.tile_pixels
        video = video[..., : side * tile, : side * tile]
        grid = video.reshape(batch, frames, 3, side, tile, side, tile)
        return grid.permute(0, 3, 5, 1, 2, 4, 6).reshape(-1, frames, 3, tile, tile)


def merge_tiles(gaze: Gaze, tiling: Tiling) -> Gaze:
    """Put the sub-tiles' masks together into one gaze of the whole frame, in order of id."""
    side, whole = tiling.side, []
    for mask, tile, frame in zip(gaze.masks, tiling.tile_cells, tiling.frame_cells, strict=True):
        grid = mask.unflatten(2, (tile, tile)).unflatten(0, (-1, side, side))
        # (B, side, side, T, tile, tile) to (B, T, rows, columns)
        grid = grid.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
        whole.append(grid[:, :, :frame, :frame].flatten(2))
    mask = torch.cat(whole, dim=2)  # (B, T, cells)
    frames = []
    for t in range(mask.shape[1]):
        counts = mask[:, t].sum(1)
        order = (~mask[:, t]).to(torch.int8).argsort(dim=1, stable=True)[:, : int(counts.max())]
        is_padding = torch.arange(order.shape[1], device=order.device) >= counts.unsqueeze(1)
        frames.append(FrameGaze(order.masked_fill(is_padding, -1), is_padding))
    cells = tuple(part.shape[2] for part in whole)
    return Gaze.from_frames(frames, cells, is_ordered=False)
