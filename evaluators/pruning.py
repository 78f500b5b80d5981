"""Pruning before the vision tower: which rows it is given, and where each of them belongs.

transformers' Qwen-VL towers read everything that depends on the grid (positions, interpolation,
segments, windows) from keyword arguments where they are given. Here they are computed for the kept
tokens: one slice of the full grid by transformers' own functions, then indexed. A native token of
ours is one merged token of theirs, four patch rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaze.selectors import Kept

MERGE = 2
"""Patches along a side of a merged token, in all Qwen-VL models."""
ROWS = MERGE * MERGE
"""Patch rows of a merged token."""
PAD_TOKENS = 64
"""On CUDA tokens are rounded up to so many, 256 rows: ragged counts make few shapes."""
TEMPORAL = 2
"""Frames of a slice."""


@dataclass(frozen=True)
class Stream:
    """One video stream of a prompt: a grid of merged tokens, some of them kept.

    Args:
        slices: Along time; each holds two frames.
        rows: Of tokens, in every slice.
        cols: Of tokens, in every slice.
        index: int64 (kept,), ascending: `(slice * rows + row) * cols + col`.
    """

    slices: int
    rows: int
    cols: int
    index: NDArray[np.int64]

    @classmethod
    def whole(cls, slices: int, rows: int, cols: int) -> Self:
        """All tokens of a grid."""
        return cls(slices, rows, cols, np.arange(slices * rows * cols, dtype=np.int64))

    @classmethod
    def of(cls, kept: Kept) -> Self:
        """What was kept, one "frame" of `kept` a slice, in the order of the grid."""
        size = kept.rows * kept.cols
        index = [np.sort(ids).astype(np.int64) + i * size for i, ids in enumerate(kept.tokens)]
        return cls(kept.num_frames, kept.rows, kept.cols, np.concatenate(index))

    @property
    def num_all(self) -> int:
        """Tokens of the grid."""
        return self.slices * self.rows * self.cols

    @property
    def grid_thw(self) -> tuple[int, int, int]:
        """Slices, and patches down and across: transformers' `video_grid_thw`."""
        return self.slices, self.rows * MERGE, self.cols * MERGE

    @cached_property
    def per_slice(self) -> NDArray[np.int64]:
        """Kept tokens of every slice, (slices,)."""
        return np.bincount(self.index // (self.rows * self.cols), minlength=self.slices)

    def part(self, first: int, last: int) -> Self:
        """The slices [first, last) as a stream of their own."""
        size = self.rows * self.cols
        low, high = np.searchsorted(self.index, [first * size, last * size])
        return type(self)(last - first, self.rows, self.cols, self.index[low:high] - first * size)


@dataclass(frozen=True)
class Places:
    """Where each kept row belongs: what a tower is given beside the pixels.

    Args:
        hooks: The tower's keyword arguments: tensors, and the rows of the longest segments, which
            the tower would otherwise have to ask the device for.
        num_tokens: Merged tokens that count; those after them are padding.
        num_padding: Merged tokens of padding.
    """

    hooks: dict[str, Tensor | int]
    num_tokens: int
    num_padding: int


def place(streams: Sequence[Stream], tower: Any, *, pad_to: int = 1) -> Places:  # noqa: ANN401
    """Compute a tower's keyword arguments for the kept tokens of some streams.

    Args:
        streams: In the order of the prompt.
        tower: `model.model.visual` of Qwen2.5-VL or Qwen3-VL.
        pad_to: Tokens are rounded up to a multiple of this; the padding is one segment of its own.
    """
    per_stream = [_place_stream(stream, tower) for stream in streams]
    num_tokens = sum(stream.index.size for stream in streams)
    num_padding = -num_tokens % pad_to
    counts = [count for parts in per_stream for count in parts["counts"]]
    hooks: dict[str, Tensor | int] = {
        name: _pad_rows(torch.cat([parts[name] for parts in per_stream]), num_padding * ROWS)
        for name in ("position_ids", "interp_indices", "interp_weights")
        if name in per_stream[0]
    }
    hooks["cu_seqlens"] = _cuts([*counts, num_padding])
    hooks["max_seqlen"] = max(*counts, num_padding) * ROWS
    if "window_order" in per_stream[0]:
        windows = [count for parts in per_stream for count in parts["window_counts"]]
        offsets = np.cumsum([0, *(stream.index.size for stream in streams)])
        orders = [
            parts["window_order"] + int(offset)
            for parts, offset in zip(per_stream, offsets, strict=False)
        ]
        orders.append(torch.arange(num_tokens, num_tokens + num_padding))
        hooks["window_index"] = torch.cat(orders)
        hooks["cu_window_seqlens"] = _cuts([*windows, num_padding])
        hooks["max_window_seqlen"] = max(*windows, num_padding) * ROWS
    return Places(hooks, num_tokens, num_padding)


def _place_stream(stream: Stream, tower: Any) -> dict[str, Any]:  # noqa: ANN401
    size = stream.rows * stream.cols
    whole = _Slice.of(stream.rows, stream.cols, tower)
    local = torch.from_numpy(stream.index % size)
    patches = (local[:, None] * ROWS + torch.arange(ROWS)).flatten()
    parts: dict[str, Any] = {
        "counts": stream.per_slice.tolist(),
        **{name: rows[patches] for name, rows in whole.of_patches.items()},
    }
    if whole.windows is not None:
        order, cuts = whole.windows
        rank = torch.empty(size, dtype=torch.long)
        rank[order] = torch.arange(size)
        window = torch.searchsorted(cuts // ROWS, torch.arange(size), right=True) - 1
        at = torch.from_numpy(stream.index // size) * size + rank[local]
        parts["window_order"] = at.argsort()
        of_token = (at // size) * len(cuts) + window[rank[local]]
        parts["window_counts"] = np.unique(of_token.numpy(), return_counts=True)[1].tolist()
    return parts


@dataclass(frozen=True)
class _Slice:
    """What transformers' own functions say of one slice of a grid, all of it: 0.1 s at 4K.

    Args:
        of_patches: The tower's keyword arguments by patch row.
        windows: Order of the tokens and first rows of the windows; None without windows.
    """

    of_patches: Mapping[str, Tensor]
    windows: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, rows: int, cols: int, tower: Any) -> Self:  # noqa: ANN401
        """Of a grid of tokens, kept for the next video of that size."""
        interpolation = windows = None
        if hasattr(tower, "num_grid_per_side"):
            interpolation = (
                tower.num_grid_per_side,
                tower.interpolation_mode,
                tower.interpolation_align_corners,
            )
        if hasattr(tower, "window_size"):
            windows = tower.window_size, tower.patch_size
        return cls._of(rows, cols, interpolation, windows)

    @classmethod
    @lru_cache(maxsize=8)
    def _of(
        cls,
        rows: int,
        cols: int,
        interpolation: tuple[int, str, bool] | None,
        windows: tuple[int, int] | None,
    ) -> Self:
        from transformers import vision_utils

        grid = torch.tensor([[1, rows * MERGE, cols * MERGE]])
        found = {"position_ids": vision_utils.get_vision_position_ids(grid, MERGE)}
        if interpolation is not None:
            side, mode, align_corners = interpolation
            indices, weights = vision_utils.get_vision_interpolation_indices_and_weights(
                grid,
                num_grid_per_side=side,
                mode=mode,
                align_corners=align_corners,
                spatial_merge_size=MERGE,
            )
            found |= {"interp_indices": indices, "interp_weights": weights}
        if windows is None:
            return cls(found, None)
        return cls(found, vision_utils.get_vision_window_index(grid, MERGE, *windows))


def _cuts(counts: Sequence[int]) -> Tensor:
    """First row of each segment and the number of rows; segments without a token are left out."""
    rows = torch.tensor([0, *(count * ROWS for count in counts if count)])
    return rows.cumsum(0, dtype=torch.int32)


def _pad_rows(rows: Tensor, num: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(num, *rows.shape[1:])]) if num else rows


def gather(
    pixels: NDArray[np.uint8], frames: Sequence[tuple[int, int]], stream: Stream
) -> NDArray[np.uint8]:
    """Read the patches of kept tokens, and nothing else, from the frames.

    Args:
        pixels: (num_frames, height, width, 3), RGB; may be mapped from a file.
        frames: The two frames of every slice of the stream.
        stream: Its grid covers a frame exactly.

    Returns:
        (kept * 4, 2, 3, patch, patch): patch rows in the tower's order, frames before channels.
    """
    side = pixels.shape[1] // stream.rows
    patch = side // MERGE
    rows = np.empty((stream.index.size, MERGE, MERGE, TEMPORAL, 3, patch, patch), dtype=np.uint8)
    first = 0
    for at, pair in enumerate(frames):
        last = first + int(stream.per_slice[at])
        row, col = np.divmod(stream.index[first:last] % (stream.rows * stream.cols), stream.cols)
        for time, frame in enumerate(pair):
            grid = pixels[frame].reshape(stream.rows, side, stream.cols, side, 3)
            cells = grid[row, :, col].reshape(-1, MERGE, patch, MERGE, patch, 3)
            rows[first:last, :, :, time] = cells.transpose(0, 1, 3, 5, 2, 4)
        first = last
    return rows.reshape(-1, TEMPORAL, 3, patch, patch)


def normalise(rows: Tensor, video_processor: Any) -> Tensor:  # noqa: ANN401
    """Patch rows as a tower takes them, by the arithmetic of the model's own video processor.

    Args:
        rows: Of `gather`, on the tower's device.
        video_processor: Of the weights.

    Returns:
        float32 (kept * 4, 3 * 2 * patch * patch): channels before frames.
    """
    values = video_processor.rescale_and_normalize(
        rows.flatten(0, 1),
        video_processor.do_rescale,
        video_processor.rescale_factor,
        video_processor.do_normalize,
        video_processor.image_mean,
        video_processor.image_std,
    )
    ordered: Tensor = values.view(rows.shape).transpose(1, 2).flatten(1)
    return ordered
