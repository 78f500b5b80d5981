"""The choose kernel by itself, for comparison with :func:`gaze.choose.choose`."""

# mypy: disable-error-code="import-untyped, no-untyped-call"

from __future__ import annotations

import torch
import triton
from torch import Tensor

from gaze.choose import Choice
from gaze.cuda.choose import BLOCK, DONE, PREFILL, choose


def choose_on_device(
    logits: Tensor,
    losses: Tensor,
    *,
    used: Tensor,
    cap: Tensor,
    threshold: Tensor,
    taken: Tensor,
) -> Choice:
    """The kernel's answer for lanes in the given states.

    Arguments as of :func:`gaze.choose.choose`. Lane i is slot i, at the first of two frames.
    """
    lanes, heads, vocab = logits.shape
    device, cells, most = logits.device, vocab - 1, int(cap.max()) + heads

    def ints(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int32, device=device)

    scores = torch.cat([logits.flatten(1), losses], dim=1).contiguous()
    phase, frame, length, frame_end = (ints(lanes) for _ in range(4))
    pending, num_pending, count = ints(lanes, heads), ints(lanes), ints(lanes, 2)
    ids, padded = ints(lanes, 2, most), torch.zeros(lanes, 2, most, dtype=torch.int8, device=device)
    so_far = used.to(torch.int32)
    choose[(lanes,)](
        scores,
        torch.arange(lanes, dtype=torch.int32, device=device),
        ints(1) + lanes,
        phase,
        frame,
        length,
        frame_end,
        so_far,
        pending,
        num_pending,
        taken.to(torch.int8),
        torch.zeros(lanes, cells, dtype=torch.int8, device=device),
        cap.to(torch.int32).unsqueeze(1).repeat(1, 2),
        threshold.float().unsqueeze(1).repeat(1, 2),
        ids,
        padded,
        count,
        ids,
        padded,
        2,
        most,
        196,
        COLUMNS=scores.shape[1],
        CELLS=cells,
        SIZE=triton.next_power_of_2(cells),
        HEADS=heads,
        IS_PREFILL=False,
        FORCED=False,
        TO_PREFILL=PREFILL,
        TO_BLOCK=BLOCK,
        TO_DONE=DONE,
        num_warps=1,
    )
    is_end = phase == PREFILL
    slot = used.unsqueeze(1) + torch.arange(heads, device=device)
    return Choice(
        ids=ids[:, 0].long().gather(1, slot),
        is_padded=padded[:, 0].bool().gather(1, slot),
        num_emitted=torch.where(is_end, count[:, 0], so_far).long() - used,
        is_end=is_end,
        pending=pending.long(),
        num_pending=num_pending.long(),
    )
