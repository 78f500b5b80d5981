"""The variable-length attention that every arm's vision tower goes through.

transformers' towers cut their rows into segments (a slice, a window) and, without a kernel that
reads the cuts, loop over them in Python. An attention function registered under a name that holds
"flash" is given all rows and the cuts at once. Ours is exact on a CPU, and on CUDA the kernels of
`gaze.attention`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hlvid.types import LOOPED_ATTENTION

NAME = "hlvid_flash_varlen"
"""What a model's config is given as `attn_implementation` of its vision tower."""


def register() -> str:
    """Make the attention known to transformers; returns its name."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend_segments)
    return NAME


def backend(device: torch.device, dtype: torch.dtype, head_size: int) -> str:
    """What computes the attention there, for the record: 'segments', 'flash' or 'triton'."""
    if device.type != "cuda":
        return LOOPED_ATTENTION
    from gaze.cuda import attention as kernels

    return kernels.fastest(torch.empty(0, 1, head_size, device=device, dtype=dtype))


def attend_segments(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float,
    **ignored: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Attention within each segment, as transformers calls it.

    Args:
        module: The layer; not used.
        query: (1, heads, rows, size).
        key: As query.
        value: As query.
        attention_mask: None.
        cu_seq_lens_q: (segments + 1,) int32, first row of each segment, then the number of rows.
        max_length_q: Rows of the longest segment.
        scaling: Of the scores; 1 / sqrt(size).
        ignored: What else transformers passes on.

    Returns:
        (1, rows, heads, size), and None for the weights.
    """
    # The kernels have no gradient: in training, segments of a length share a call on CUDA too.
    if query.device.type == "cuda" and not query.requires_grad:
        rows = _attend_cuda(query, key, value, cu_seq_lens_q, max_length_q)
        return rows.unsqueeze(0), None
    return _attend_by_length(query, key, value, cu_seq_lens_q, scaling), None


def _attend_by_length(
    query: Tensor, key: Tensor, value: Tensor, starts: Tensor, scaling: float
) -> Tensor:
    """All segments of one length in one call: as exact as a loop, and threads have work."""
    rows = query.shape[2]
    lengths = starts.diff()
    out = query.new_empty(rows, *query.shape[1::2])  # (rows, heads, size)
    for length in sorted(set(lengths.tolist()) - {0}):
        first = starts[:-1][lengths == length].long()
        index = first[:, None] + torch.arange(length, device=first.device)  # (segments, length)
        q, k, v = (x[0][:, index].transpose(0, 1) for x in (query, key, value))
        result = F.scaled_dot_product_attention(q, k, v, scale=scaling)
        out[index] = result.transpose(1, 2)  # (segments, length, heads, size)
    return out.unsqueeze(0)


def _attend_cuda(query: Tensor, key: Tensor, value: Tensor, starts: Tensor, longest: int) -> Tensor:
    from gaze.attention import Lanes, attend

    q, k, v = (x[0].transpose(0, 1).contiguous() for x in (query, key, value))
    lanes = Lanes(
        q_start=starts,
        k_start=starts[:-1],
        k_len=starts.diff(),
        max_q=longest,
        max_k=longest,
        causal=False,
    )
    return attend(q, k, v, lanes)
