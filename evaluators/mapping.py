"""From what a selector kept, frame by frame, to the tokens of a model that sees frames in pairs.

Qwen's video token covers two frames. Selection is per frame; the two frames of a slice are united,
and the budget is applied after the union, in the order of gazing. A slice's tokens are a `Kept`
again, with a slice where a frame was: controls copy the counts of their partner there.

A selector of several scales has turned its cells into native tokens before (its arm's `mapping`
says how); with `aligned` the coarse cells are served by the context stream.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gaze.selectors import Kept
from gaze.selectors.budget import share
from gaze.selectors.protocol import Spends
from gaze.views import CLIP_FRAMES, Views

Pairing = Literal["none", "stock", "repeat"]
"""Which two frames a token covers: no pairs at all, frames 2i and 2i + 1 (the last of an odd number
stands twice, as in the stock processor), or every frame twice."""


def slice_frames(num_frames: int, pairing: Pairing) -> list[tuple[int, int]]:
    """The two frames of every slice."""
    if pairing == "stock":
        return [(i, min(i + 1, num_frames - 1)) for i in range(0, num_frames, 2)]
    return [(i, i) for i in range(num_frames)]


def first_frames(frames: Any, pairing: Pairing) -> Any:  # noqa: ANN401
    """The first of every slice's frames, a view: what a control that sees no pixels runs over."""
    return frames[::2] if pairing == "stock" else frames


def num_slices(num_frames: int, pairing: Pairing) -> int:
    """Slices that so many frames make."""
    return -(-num_frames // 2) if pairing == "stock" else num_frames


def unite(
    kept: Kept, views: Views, *, pairing: Pairing, num_kept: int | None, spends: Spends
) -> Kept:
    """What a selector kept, slice by slice.

    Args:
        kept: Frame by frame.
        views: Of the canvas.
        pairing: Without pairs nothing changes.
        num_kept: The most tokens of all slices; None keeps the whole union.
        spends: Within what the selector's budget is exact.

    Returns:
        In the order of gazing. Exactly `num_kept` tokens where the selector spent its budget and
        the union has as many.
    """
    if pairing != "stock":
        return kept
    united = [
        _in_turns(kept.tokens[first], kept.tokens[second])
        for first, second in slice_frames(kept.num_frames, pairing)
    ]
    if num_kept is not None:
        is_spent = kept.num_tokens >= num_kept * kept.num_frames // len(united)
        united = _cut(united, views, num_kept, spends, is_spent=is_spent)
    return Kept(tuple(united), kept.rows, kept.cols)


def to_frames(kept: Kept, num_frames: int, pairing: Pairing) -> Kept:
    """What is seen of every frame, from what is kept of its slice."""
    if pairing != "stock":
        return kept
    tokens = tuple(kept.tokens[frame // 2] for frame in range(num_frames))
    return Kept(tokens, kept.rows, kept.cols)


def _in_turns(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int32]:
    """The union of two orders: both first choices, both second ones, and so on."""
    tokens = np.concatenate([first, second])
    rank = np.concatenate([2 * np.arange(first.size), 2 * np.arange(second.size) + 1])
    turns = tokens[np.argsort(rank, kind="stable")]
    _, at = np.unique(turns, return_index=True)
    return turns[np.sort(at)]


def _cut(
    orders: list[NDArray[np.int32]],
    views: Views,
    num_kept: int,
    spends: Spends,
    *,
    is_spent: bool,
) -> list[NDArray[np.int32]]:
    """The first tokens of each order, within the shares that `spends` names.

    Every (slice, view) has its share. Shares that are spent together are one sum, and of it the
    slices' first choices are served first, then their second ones, and so on. What is then left,
    because a share of a slice is rounded otherwise than those of its frames, goes to the first
    choices that were cut, unless the selector itself stopped before its budget was spent.
    """
    shares = share(num_kept, len(orders), views).ravel()
    group = _groups(len(orders), views.num_views, spends).ravel()
    most = np.bincount(group, weights=shares).astype(np.int64)
    slice_of = np.repeat(np.arange(len(orders)), [order.size for order in orders])
    rank = np.concatenate([np.arange(order.size) for order in orders])
    token = np.concatenate(orders)
    of_token = group[slice_of * views.num_views + views.view_of[token]]
    by_group = np.lexsort((slice_of, rank, of_token))
    starts = np.searchsorted(of_token[by_group], np.arange(most.size))
    place = np.arange(token.size) - starts[of_token[by_group]]
    is_kept = np.zeros(token.size, dtype=np.bool_)
    is_kept[by_group[place < most[of_token[by_group]]]] = True
    if is_spent:
        rest = np.flatnonzero(~is_kept)
        in_turn = rest[np.lexsort((slice_of[rest], rank[rest]))]
        is_kept[in_turn[: num_kept - int(is_kept.sum())]] = True
    ends = np.cumsum([order.size for order in orders])[:-1]
    return [order[keep] for order, keep in zip(orders, np.split(is_kept, ends), strict=True)]


def _groups(num_slices: int, num_views: int, spends: Spends) -> NDArray[np.int64]:
    """Which (slice, view) shares are spent together, (num_slices, num_views)."""
    slices = np.arange(num_slices)[:, None]
    views = np.arange(num_views)[None, :]
    zero = np.zeros((num_slices, num_views), dtype=np.int64)
    if spends == "video":
        return zero
    if spends == "frame":
        return zero + slices
    if spends == "clip":
        return slices // (CLIP_FRAMES // 2) * num_views + views
    return slices * num_views + views
