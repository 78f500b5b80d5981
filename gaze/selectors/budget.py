"""How many tokens may be kept, and where: exact integers, never rounded twice."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from gaze.views import Ids, Views
from hlvid.errors import UserError

Shares = NDArray[np.int64]
"""Tokens a frame and view may keep, (num_frames, num_views)."""


def budget_tokens(budget: float, total: int) -> int:
    """floor(budget * total), with the budget taken as the decimal number that was typed.

    In binary 0.29 * 100 is 28.999999999999996; here it is 29.

    Raises:
        UserError: The budget is not in (0, 1].
    """
    if not 0 < budget <= 1:
        raise UserError(f"--budget: {budget} is out of range. Allowed are ratios in (0, 1].")
    return math.floor(Fraction(repr(float(budget))) * total)


def share(num_kept: int | Sequence[int] | Shares, num_frames: int, views: Views) -> Shares:
    """Share tokens equally over frames and views.

    A frame gets floor or ceil of its equal part, the odd ones spread evenly over the video. Within
    a frame every view gets the same part of the cells it has, rounded down; what is left over goes
    to the views with the largest remainder first. What a view is still owed counts in the next
    frame, so that none is always rounded down.

    Args:
        num_kept: For the whole video, or one number a frame, or one a frame and view.
        num_frames: Frames of the video.
        views: Of the canvas.

    Returns:
        (num_frames, num_views), summing to exactly what was asked for.

    Raises:
        UserError: More is asked for than there is, or the shape fits neither frames nor views.
    """
    wanted = np.asarray(num_kept, dtype=np.int64)
    if wanted.ndim == 0:
        wanted = np.diff(np.arange(num_frames + 1, dtype=np.int64) * int(wanted) // num_frames)
    if wanted.shape == (num_frames,):
        most: int | Ids = views.num_tokens
    elif wanted.shape == (num_frames, views.num_views):
        most = views.num_cells
    else:
        raise UserError(
            f"num_kept: shape {wanted.shape}. Allowed are a number, ({num_frames},) for frames, or "
            f"({num_frames}, {views.num_views}) for frames and views."
        )
    if np.any((wanted < 0) | (wanted > most)):
        raise UserError(
            f"num_kept: {int(wanted.sum())} tokens do not fit. "
            f"There are {num_frames} frames of {views.num_tokens}."
        )
    return wanted if wanted.ndim == 2 else _share_frames(wanted, views)


def _share_frames(wanted: NDArray[np.int64], views: Views) -> Shares:
    cells = views.num_cells.astype(np.int64)
    owed = np.zeros(views.num_views, dtype=np.int64)
    shares = np.empty((wanted.size, views.num_views), dtype=np.int64)
    for frame, num_kept in enumerate(wanted.tolist()):
        shares[frame], remainder = np.divmod(num_kept * cells, views.num_tokens)
        owed += remainder
        raised = np.argsort(-owed, kind="stable")[: num_kept - int(shares[frame].sum())]
        shares[frame, raised] += 1
        owed[raised] -= views.num_tokens
    return shares


def cut(order: Ids, view_of: Ids, part: NDArray[np.int64]) -> Ids:
    """The first tokens of an order that fit each view's part, in that order.

    Args:
        order: Distinct token ids, first chosen first.
        view_of: The view of every token.
        part: Tokens that each view may keep, (num_views,).
    """
    view = view_of[order]
    by_view = np.argsort(view, kind="stable")
    num = np.bincount(view, minlength=part.size)
    rank = np.empty(order.size, dtype=np.int64)
    rank[by_view] = np.arange(order.size) - np.repeat(np.cumsum(num) - num, num)
    return order[rank < part[view]]
