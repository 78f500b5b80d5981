"""Selectors that look at pixels and know nothing of their meaning: change and detail.

All arithmetic is in integers, so that results are the same on every machine.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gaze.selectors.budget import cut
from gaze.selectors.protocol import Chunk, selector
from gaze.views import Frame, Ids, Views
from hlvid.errors import UserError

LUMA_WEIGHTS = (77, 150, 29)
"""Of red, green and blue in 256 parts: luma of ITU-R BT.601."""
BAND_ROWS = 16
"""Rows converted at once: what fits a processor's cache."""
VALUE_BLOCK = 4
"""Side in pixels of the blocks whose mean luma makes up a cell's value."""
MID_GREY = 128

Values = NDArray[np.uint8]
"""What cells look like, (blocks of a cell, cells)."""
Differences = NDArray[np.uint32]
"""Sums of absolute differences between cells' values."""


def luma(frame: Frame, views: Views) -> NDArray[np.uint8]:
    """Luma of a frame, its edge replicated to whole tokens, (rows * side, cols * side)."""
    red, green, blue = (np.uint16(weight) for weight in LUMA_WEIGHTS)
    side = views.token_pixels
    out = np.empty((views.rows * side, views.cols * side), dtype=np.uint8)
    height, width = views.height, views.width
    for top in range(0, height, BAND_ROWS):
        band = frame[top : top + BAND_ROWS]
        out[top : top + BAND_ROWS, :width][: band.shape[0]] = (
            band[..., 0] * red + band[..., 1] * green + band[..., 2] * blue
        ) >> 8
    out[:height, width:] = out[:height, width - 1 : width]
    out[height:] = out[height - 1]
    return out


def gradient_energy(frame: Frame, views: Views) -> NDArray[np.int64]:
    """Sum over a cell's pixels of squared luma differences to the right and downwards, (cells,)."""
    grey, side = luma(frame, views), views.token_pixels
    energy = np.empty((views.rows, views.cols), dtype=np.int64)
    for row in range(views.rows):
        band = grey[row * side : (row + 1) * side + 1]
        inside = band[:side]
        down, across = _absolute(band[1:], band[:-1]), _absolute(inside[:, 1:], inside[:, :-1])
        squares = np.square(down, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
        squares[:-1] += np.square(across, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
        energy[row] = squares.reshape(views.cols, side).sum(axis=1, dtype=np.int64)
    return energy.ravel()


@selector(is_control=True)
def detail(chunk: Chunk) -> Sequence[Ids]:
    """Keeps the cells of largest gradient energy."""
    return [by_detail(frame, chunk.views) for frame in chunk.frames]


def by_detail(frame: Frame, views: Views) -> Ids:
    """All tokens of a frame, most gradient energy first."""
    return np.argsort(-gradient_energy(frame, views), kind="stable").astype(np.int32)


def cell_values(frame: Frame, views: Views) -> Values:
    """The mean luma of every block of every cell, (blocks of a cell, cells)."""
    block = math.gcd(views.token_pixels, VALUE_BLOCK)
    side = views.token_pixels // block
    grey = luma(frame, views)
    down = grey.reshape(views.rows * side, block, -1).sum(axis=1, dtype=np.uint16)
    sums = down.reshape(views.rows * side, views.cols * side, block).sum(axis=2, dtype=np.uint16)
    means = (sums // (block * block)).astype(np.uint8)
    blocks = means.reshape(views.rows, side, views.cols, side).transpose(1, 3, 0, 2)
    values: Values = blocks.reshape(side * side, views.num_tokens)
    return values


@selector(is_control=True, spends="clip")
class Change:
    """Keeps the cells that differ most from when they were last kept."""

    def __init__(self) -> None:
        self._last_kept: Values | None = None

    def __call__(self, chunk: Chunk) -> Sequence[Ids]:
        """Spend exactly the share of each clip by searching one threshold for it."""
        views = chunk.views
        assert chunk.shares is not None, "it needs a budget, which is checked before"
        values = [cell_values(frame, views) for frame in chunk.frames]
        if self._last_kept is None:
            self._last_kept = np.full_like(values[0], MID_GREY)
        since = [self._last_kept, *values]
        differences = [
            np.stack([_difference(values[t], since[s]) for s in range(t + 1)])
            for t in range(len(values))
        ]
        share = chunk.shares.sum(axis=0)
        kept, difference = _search(differences, views.view_of, share)
        for frame, is_kept in zip(values, kept, strict=True):
            self._last_kept = np.where(is_kept, frame, self._last_kept)
        return [_largest_first(d, is_kept) for d, is_kept in zip(difference, kept, strict=True)]


def _search(
    differences: list[Differences], view_of: Ids, share: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Find each view's threshold and keep exactly its share.

    The number kept does not fall strictly with the threshold, and several cells may differ by the
    same amount. The search ends at a threshold that keeps no more than the share where the next
    lower one keeps more; what is then left goes to the largest differences not yet kept.

    Args:
        differences: For every frame t, to the value carried in and to frames 0 to t - 1,
            (t + 1, cells).
        view_of: The view of every cell.
        share: Cells that each view keeps, all frames together.

    Returns:
        Whether a cell is kept, and its difference when it was looked at, both (frames, cells).
    """
    num_views = share.size
    low = np.full(num_views, -1, dtype=np.int64)
    high = np.full(num_views, max(int(d.max()) for d in differences), dtype=np.int64)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        kept, _ = _keep_above(differences, middle[view_of])
        counts = np.bincount(view_of, weights=kept.sum(axis=0), minlength=num_views)
        is_too_many = counts > share
        low, high = np.where(is_too_many, middle, low), np.where(is_too_many, high, middle)
    kept, difference = _keep_above(differences, high[view_of])
    left = share - np.bincount(view_of, weights=kept.sum(axis=0), minlength=num_views)
    order = np.argsort(-difference, axis=None, kind="stable")
    waiting = order[~kept.ravel()[order]].astype(np.int32)
    kept.ravel()[cut(waiting, np.tile(view_of, len(differences)), left.astype(np.int64))] = True
    return kept, difference


def _keep_above(
    differences: list[Differences], threshold: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Go through a clip, keeping what differs by more than a threshold from its last kept value."""
    cells = np.arange(threshold.size)
    kept = np.empty((len(differences), threshold.size), dtype=np.bool_)
    difference = np.empty(kept.shape, dtype=np.int64)
    since = np.zeros(threshold.size, dtype=np.int64)
    for frame, of in enumerate(differences):
        difference[frame] = of[since, cells]
        kept[frame] = difference[frame] > threshold
        since[kept[frame]] = frame + 1
    return kept, difference


@selector(
    is_control=True,
    needs_budget=False,
    takes_budget=False,
    needs_threshold=True,
    takes_threshold=True,
)
class ChangeUnbounded:
    """Keeps the cells that changed against the previous frame by more than a threshold.

    The rule of run-length tokenization (arXiv 2411.05222): the first frame is whole, and there is
    no budget. The threshold is a mean absolute difference of luma as a share of its range, 0 to 1.
    """

    def __init__(self) -> None:
        self._previous: Values | None = None

    def __call__(self, chunk: Chunk) -> Sequence[Ids]:
        """Compare each frame with the one before it."""
        threshold = chunk.threshold
        if threshold is None or not 0 <= threshold < 1:
            raise UserError(
                f"selector 'change-unbounded': --threshold {threshold} is out of range. "
                "Allowed are shares of the range of luma in [0, 1)."
            )
        orders = []
        for frame in chunk.frames:
            values = cell_values(frame, chunk.views)
            if self._previous is None:
                orders.append(np.arange(chunk.views.num_tokens, dtype=np.int32))
            else:
                difference = _difference(values, self._previous).astype(np.int64)
                is_kept = difference > threshold * 255 * values.shape[0]
                orders.append(_largest_first(difference, is_kept))
            self._previous = values
        return orders


def _largest_first(difference: NDArray[np.int64], is_kept: NDArray[np.bool_]) -> Ids:
    order = np.argsort(-difference, kind="stable").astype(np.int32)
    return order[is_kept[order]]


def _absolute(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """|a - b| without leaving bytes."""
    return np.maximum(a, b) - np.minimum(a, b)


def _difference(a: Values, b: Values) -> Differences:
    """Sum over a cell's blocks of absolute differences, (cells,)."""
    difference: Differences = _absolute(a, b).sum(axis=0, dtype=np.uint32)
    return difference
