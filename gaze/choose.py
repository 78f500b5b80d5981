"""From ten heads to chosen tokens: the arg max, the stop test and the end of a frame.

On the host, whatever the device: its caller asks what was chosen after every forward anyway, and so
few numbers are faster in NumPy. `gaze.cuda` has a kernel that never asks.

The rules, in the order they act on one clip's forward:

- Head j takes the best id that this frame has not used; the id is used at once, so that head
  j + 1 cannot take it. Ties go to the lowest id. The end-of-sequence id is never chosen.
- A token is padded when its predicted loss is at or below the threshold, except the first of a
  frame. The test is per token: a block may read real, padded, real.
- A frame ends after the block in which any token is padded, the cap is reached or no id is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Choice:
    """What one forward chose, a row a lane.

    Attributes:
        ids: (lanes, K) ids in gazing order; meaningless from ``num_emitted`` on.
        is_padded: (lanes, K) whether the token became a padded slot.
        num_emitted: (lanes,) slots written, padded ones included.
        is_end: (lanes,) whether the frame ends here.
        pending: (lanes, K) the real ids, moved to the front.
        num_pending: (lanes,) how many there are.
    """

    ids: Tensor
    is_padded: Tensor
    num_emitted: Tensor
    is_end: Tensor
    pending: Tensor
    num_pending: Tensor


def choose(
    logits: Tensor,
    losses: Tensor,
    *,
    used: Tensor,
    cap: Tensor,
    threshold: Tensor,
    taken: Tensor,
    forced: Tensor | None = None,
) -> Choice:
    """Choose up to K tokens a lane by the rules above.

    Args:
        logits: (lanes, K, V) fp32.
        losses: (lanes, K) fp32 predicted losses.
        used: (lanes,) slots this frame has written already.
        cap: (lanes,) most slots of this frame.
        threshold: (lanes,) fp32; minus infinity for none.
        taken: (lanes, V - 1) bool, ids that may not be chosen; updated in place.
        forced: (lanes, K) ids to take instead of the arg max, where not negative.

    Returns:
        The choice. ``ids`` holds the arg max even where another id was forced, so that the two can
        be compared; ``pending`` holds what was taken.
    """
    scores, is_taken = logits[..., :-1].numpy(force=True), taken.numpy(force=True)
    most_used, most = used.numpy(force=True), cap.numpy(force=True)
    num_heads = scores.shape[1]
    left = is_taken.shape[1] - is_taken.sum(-1)  # (lanes,)
    ids, took = _in_turn(np.where(is_taken[:, None], -np.inf, scores), forced)
    num_emitted = np.minimum(most - most_used, left).clip(0, num_heads)
    head = np.arange(num_heads)
    is_emitted = head < num_emitted[:, None]  # (lanes, K)
    is_below = losses.numpy(force=True) <= threshold.numpy(force=True)[:, None]
    is_first = (most_used[:, None] == 0) & (head == 0)
    is_padded = is_emitted & is_below & ~is_first
    is_end = is_padded.any(1) | (most_used + num_emitted >= most) | (left <= num_emitted)
    lane, slot = is_emitted.nonzero()
    is_taken[lane, took[lane, slot]] = True
    is_real = is_emitted & ~is_padded
    order = np.argsort(~is_real, axis=1, kind="stable")
    pending = np.take_along_axis(took, order, 1)
    if taken.device.type != "cpu":
        taken.copy_(torch.from_numpy(is_taken))
    parts = (ids, is_padded, num_emitted, is_end, pending, is_real.sum(1))
    return Choice(*(torch.from_numpy(part).to(taken.device) for part in parts))


def _in_turn(
    scores: NDArray[np.float32], forced: Tensor | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every head's best id that no head before it took, and what it took: each (lanes, K)."""
    num_lanes, num_heads = scores.shape[:2]
    ids = np.empty((num_lanes, num_heads), dtype=np.int64)
    took = np.empty_like(ids)
    lanes = np.arange(num_lanes)
    wanted = None if forced is None else forced.numpy(force=True)
    for head in range(num_heads):
        pick = ids[:, head] = scores[:, head].argmax(-1)
        if wanted is not None:
            pick = np.where(wanted[:, head] >= 0, wanted[:, head], pick)
        took[:, head] = pick
        scores[lanes, :, pick] = -np.inf
    return ids, took
