"""From ten heads to chosen tokens: the arg max, the stop test and the end of a frame.

The rules, in the order they act on one clip's forward:

- Head j takes the best id that this frame has not used; the id is used at once, so that head
  j + 1 cannot take it. Ties go to the lowest id. The end-of-sequence id is never chosen.
- A token is padded when its predicted loss is at or below the threshold, except the first of a
  frame. The test is per token: a block may read real, padded, real.
- A frame ends after the block in which any token is padded, the cap is reached or no id is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
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
    """Choose up to K tokens a lane; a vectorised form of the rules above.

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
    num_heads = logits.shape[1]
    left = taken.shape[1] - taken.sum(-1)  # (lanes,)
    scores = logits[..., :-1].masked_fill(taken.unsqueeze(1), -torch.inf)
    picks = []
    chosen = []
    for head in range(num_heads):
        pick = scores[:, head].argmax(-1, keepdim=True)  # (lanes, 1)
        picks.append(pick)
        if forced is not None:
            pick = torch.where(forced[:, head : head + 1] >= 0, forced[:, head : head + 1], pick)
        chosen.append(pick)
        scores.scatter_(2, pick.unsqueeze(1).expand(-1, num_heads, -1), -torch.inf)
    ids, took = torch.cat(picks, 1), torch.cat(chosen, 1)  # (lanes, K)
    head_index = torch.arange(num_heads, device=logits.device)
    num_emitted = torch.minimum(cap - used, left).clamp(0, num_heads)
    is_emitted = head_index < num_emitted.unsqueeze(1)
    is_first = (used.unsqueeze(1) == 0) & (head_index == 0)
    is_padded = is_emitted & (losses <= threshold.unsqueeze(1)) & ~is_first
    is_end = is_padded.any(1) | (used + num_emitted >= cap) | (left <= num_emitted)
    newly = torch.zeros_like(taken, dtype=torch.int8)
    newly.scatter_reduce_(1, took, is_emitted.to(torch.int8), "amax")
    taken |= newly.bool()
    is_real = is_emitted & ~is_padded
    order = (~is_real).to(torch.int8).argsort(dim=1, stable=True)
    return Choice(
        ids=ids,
        is_padded=is_padded,
        num_emitted=num_emitted,
        is_end=is_end,
        pending=took.gather(1, order),
        num_pending=is_real.sum(1),
    )
