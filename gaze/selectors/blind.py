"""Selectors that never look at a pixel."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gaze.selectors.protocol import Chunk, selector
from gaze.views import Ids, Views

GOLDEN = (math.sqrt(5) - 1) / 2
"""Fractional part of the golden ratio: its multiples spread most evenly over [0, 1)."""
STEP = 1 << 32
"""One raster step in fixed-point numbers, which no machine rounds differently."""


def in_turn(rank: NDArray[np.int64], views: Views) -> Ids:
    """Order tokens by their rank within their view, the views taking turns.

    Args:
        rank: Of every token within its view; negative leaves a token out. (rows * cols,)
        views: Of the canvas.
    """
    order = np.lexsort((views.view_of, rank)).astype(np.int32)
    return order[rank[order] >= 0]


@selector(is_control=True, needs_budget=False, takes_budget=False)
def keep_all(chunk: Chunk) -> Sequence[Ids]:
    """Keeps every token."""
    return [np.arange(chunk.views.num_tokens, dtype=np.int32)] * len(chunk.frames)


@selector(is_control=True)
def random(chunk: Chunk) -> Sequence[Ids]:
    """Keeps random tokens of every view."""
    views = chunk.views
    ranks = np.empty((len(chunk.frames), views.num_tokens), dtype=np.int64)
    for view in range(views.num_views):
        tokens = views.tokens(view)
        bits = chunk.random_bits(view, len(chunk.frames) * tokens.size)
        shuffled = np.argsort(bits.reshape(len(chunk.frames), -1), axis=1, kind="stable")
        ranks[:, tokens] = np.argsort(shuffled, axis=1, kind="stable")
    return [in_turn(rank, views) for rank in ranks]


@selector(is_control=True)
def uniform(chunk: Chunk) -> Sequence[Ids]:
    """Keeps even raster steps of every view, shifted by a golden-ratio step a frame."""
    assert chunk.shares is not None, "it needs a budget, which is checked before"
    return [
        even_steps(chunk.views, share, chunk.first_frame + frame)
        for frame, share in enumerate(chunk.shares)
    ]


def even_steps(views: Views, share: NDArray[np.int64], frame: int) -> Ids:
    """Tokens at even raster steps within every view.

    The order of choice spreads as well: any beginning of it is nearly even.

    Args:
        views: Of the canvas.
        share: Tokens of every view, (num_views,).
        frame: Index of the frame, which shifts the raster.
    """
    rank = np.full(views.num_tokens, -1, dtype=np.int64)
    shift = int(frame * GOLDEN % 1.0 * STEP)
    for view, count in enumerate(share):
        tokens = views.tokens(view)
        steps = np.arange(count)
        chosen = tokens[(steps * STEP + shift) * tokens.size // max(int(count) * STEP, 1)]
        rank[chosen] = np.argsort(np.argsort(steps * GOLDEN % 1.0, kind="stable"), kind="stable")
    return in_turn(rank, views)


@selector(is_control=True)
def centre(chunk: Chunk) -> Sequence[Ids]:
    """Keeps the middle of every view."""
    views = chunk.views
    rank = np.empty(views.num_tokens, dtype=np.int64)
    for view in range(views.num_views):
        tokens = views.tokens(view)
        rows, cols = np.divmod(tokens, views.cols)
        order = _from_the_middle(rows - rows[0], cols - cols[0])
        rank[tokens[order]] = np.arange(tokens.size)
    return [in_turn(rank, views)] * len(chunk.frames)


@selector(is_control=True, spends="frame")
def centre_frame(chunk: Chunk) -> Sequence[Ids]:
    """Keeps the middle of the frame."""
    rows, cols = np.divmod(np.arange(chunk.views.num_tokens, dtype=np.int32), chunk.views.cols)
    return [_from_the_middle(rows, cols)] * len(chunk.frames)


def _from_the_middle(rows: Ids, cols: Ids) -> Ids:
    """Order cells by the smallest centred rectangle, of the grid's shape, that holds them."""
    num_rows, num_cols = int(rows.max()) + 1, int(cols.max()) + 1
    down = np.abs(2 * rows - (num_rows - 1)).astype(np.int64)
    across = np.abs(2 * cols - (num_cols - 1)).astype(np.int64)
    rectangle = np.maximum(down * num_cols, across * num_rows)
    return np.lexsort((down * down + across * across, rectangle)).astype(np.int32)
