"""One attention primitive over lanes, with the backends that compute it.

A *lane* is a run of query rows that sees a run of keys: lane i owns rows
``q[q_start[i] : q_start[i + 1]]`` and sees keys ``k[k_start[i] : k_start[i] + k_len[i]]``.
``causal`` is aligned to the end: of R rows, row r sees the keys ``j <= k_len - R + r``. The
decoder's cache and every attention pattern of the vision tower are lane tables over this one
function. It never pads and never builds a mask that it does not need.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

FEW_ROWS = 16
"""So many rows of one lane are attended in one piece on a CPU."""
Backend = Literal["auto", "split", "masked", "triton", "flash"]


@dataclass(frozen=True)
class Lanes:
    """Which rows see which keys.

    Attributes:
        q_start: (lanes + 1,) int32, first query row of each lane; the last entry is the row count.
        k_start: (lanes,) int32, first key row of each lane.
        k_len: (lanes,) int32, number of keys of each lane; 0 gives zeros.
        max_q: Upper bound of a lane's rows.
        max_k: Upper bound of a lane's keys.
        causal: Whether row r of R sees only the keys up to ``k_len - R + r``.
    """

    q_start: Tensor
    k_start: Tensor
    k_len: Tensor
    max_q: int
    max_k: int
    causal: bool

    @cached_property
    def groups(self) -> list[Group]:
        """Neighbouring lanes of equal shape and stride, in order; read from the device once."""
        starts, keys, lengths = self.q_start.tolist(), self.k_start.tolist(), self.k_len.tolist()
        rows = [after - before for before, after in itertools.pairwise(starts)]
        found, first = [], 0
        while first < len(keys):
            stop = first + 1
            stride = max(0, keys[stop] - keys[first]) if stop < len(keys) else 0
            while (
                stop < len(keys)
                and rows[stop] == rows[first]
                and lengths[stop] == lengths[first]
                and keys[stop] == keys[first] + stride * (stop - first)
            ):
                stop += 1
            found.append(
                Group(
                    num=stop - first,
                    first_row=starts[first],
                    rows=rows[first],
                    first_key=keys[first],
                    keys=lengths[first],
                    stride=stride,
                )
            )
            first = stop
        return found


@dataclass(frozen=True)
class Group:
    """Lanes that go through one call.

    Attributes:
        num: Of lanes.
        first_row: Of the first lane; those of the others follow.
        rows: Of each lane.
        first_key: Of the first lane.
        keys: Of each lane.
        stride: From one lane's first key to the next one's.
    """

    num: int
    first_row: int
    rows: int
    first_key: int
    keys: int
    stride: int


def attend(q: Tensor, k: Tensor, v: Tensor, lanes: Lanes, *, backend: Backend = "auto") -> Tensor:
    """Attention of every lane's rows over its keys, scaled by 1 / sqrt(D).

    Args:
        q: (rows, H, D) queries.
        k: (keys, H, D) keys; lanes may share, skip or overlap them.
        v: (keys, H, D) values.
        lanes: The lane table, on the device of ``q``.
        backend: ``auto`` takes the fastest that is exact for the device and type: ``split`` on CPU,
            ``flash`` or ``triton`` on CUDA. ``masked`` is the oracle.

    Returns:
        (rows, H, D), in the type of ``q``. Rows that see no key are zero.
    """
    if backend == "auto":
        backend = _fastest(q)
    if backend == "split":
        return _split(q, k, v, lanes)
    if backend == "masked":
        return _masked(q, k, v, lanes)
    from gaze.cuda import attention as cuda_attention

    if backend == "flash":
        return cuda_attention.flash(q, k, v, lanes)
    return cuda_attention.triton_attend(q, k, v, lanes)


def _fastest(q: Tensor) -> Backend:
    if q.device.type == "cpu":
        return "masked" if q.requires_grad or q.dtype == torch.float16 else "split"
    if q.device.type != "cuda" or q.requires_grad:
        return "masked"
    from gaze.cuda import attention as cuda_attention

    return cuda_attention.fastest(q)


def _masked(q: Tensor, k: Tensor, v: Tensor, lanes: Lanes) -> Tensor:
    """Lane by lane with an explicit mask: slow, plain, differentiable."""
    starts, keys, lengths = lanes.q_start.tolist(), lanes.k_start.tolist(), lanes.k_len.tolist()
    out = [q.new_zeros(0, *q.shape[1:])]
    for i, (first, length) in enumerate(zip(keys, lengths, strict=True)):
        rows = q[starts[i] : starts[i + 1]].transpose(0, 1)  # (H, R, D)
        num_rows = rows.shape[1]
        if num_rows == 0:
            continue
        if length == 0:
            out.append(torch.zeros_like(q[starts[i] : starts[i + 1]]))
            continue
        seen = torch.ones(num_rows, length, dtype=torch.bool, device=q.device)
        if lanes.causal:
            seen = seen.tril(length - num_rows)
        lane_k = k[first : first + length].transpose(0, 1)
        lane_v = v[first : first + length].transpose(0, 1)
        scores = (rows @ lane_k.transpose(1, 2)).float() * rows.shape[-1] ** -0.5  # (H, R, keys)
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1).nan_to_num(0.0)
        out.append((weights.to(q.dtype) @ lane_v).transpose(0, 1))
    return torch.cat(out)


_flash_cpu: Callable[..., tuple[Tensor, Tensor]] = (
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
)


def _split(q: Tensor, k: Tensor, v: Tensor, lanes: Lanes) -> Tensor:
    """CPU: past keys without a mask, own rows causal, merged by log-sum-exp.

    Neighbouring lanes of equal shape and stride go through one call: a mask would halve the speed
    of the CPU kernel, and a loop over lanes would leave its threads idle.
    """
    out = torch.empty_like(q)
    for group in lanes.groups:
        rows = slice(group.first_row, group.first_row + group.num * group.rows)
        shape = (group.num, group.rows, *q.shape[1:])
        span = (group.num, group.keys, *q.shape[1:])
        lane_k = _windows(k, group.first_key, group.stride, span)
        lane_v = _windows(v, group.first_key, group.stride, span)
        _split_group(q[rows].view(shape), lane_k, lane_v, lanes.causal, out[rows].view(shape))
    return out


def _windows(k: Tensor, first: int, stride: int, shape: tuple[int, ...]) -> Tensor:
    """(n, keys, H, D) view of n runs of rows, ``stride`` rows apart, without a copy."""
    row, head, value = k.stride()
    return k.as_strided(shape, (stride * row, row, head, value), k.storage_offset() + first * row)


def _few_rows(q: Tensor, k: Tensor, v: Tensor, causal: bool, out: Tensor) -> None:
    """One lane of few rows: q (R, H, D), k and v (keys, H, D); writes ``out`` (R, H, D).

    The scores of a few rows are small: made whole, they need neither two parts nor a mask.
    """
    num_rows = q.shape[0]
    heads_q = (q * q.shape[-1] ** -0.5).transpose(0, 1)  # (H, R, D)
    scores = torch.bmm(heads_q, k.permute(1, 2, 0))  # (H, R, keys)
    if causal and num_rows > 1:
        scores[:, :, -num_rows:].masked_fill_(_unseen(num_rows), -torch.inf)
    attended = torch.bmm(scores.softmax(-1), v.transpose(0, 1))  # (H, R, D)
    out.copy_(attended.transpose(0, 1))


@cache
def _unseen(num_rows: int) -> Tensor:
    """(R, R) which of their own keys rows do not see."""
    return torch.ones(num_rows, num_rows, dtype=torch.bool).triu(1)


def _split_group(q: Tensor, k: Tensor, v: Tensor, causal: bool, out: Tensor) -> None:
    """Equal lanes: q (n, R, H, D), k and v (n, keys, H, D); writes ``out`` (n, R, H, D)."""
    num_rows, num_keys = q.shape[1], k.shape[1]
    if num_rows == 0:
        return
    if num_keys == 0:
        out.zero_()
        return
    heads_q, heads_k, heads_v = (x.transpose(1, 2) for x in (q, k, v))  # (n, H, R, D)
    is_exact = q.dtype != torch.bfloat16  # Its sums would differ between one lane and several.
    if q.shape[0] == 1 and num_rows <= min(FEW_ROWS, num_keys) and is_exact:
        _few_rows(q[0], k[0], v[0], causal, out[0])
        return
    if not causal or num_rows == 1:
        out.copy_(_flash_cpu(heads_q, heads_k, heads_v)[0].transpose(1, 2))
        return
    past = num_keys - num_rows
    if past < 0:  # rows that see nothing, in front of those that see their own keys
        out[:, :-past].zero_()
        q, out, num_rows, past = q[:, -past:], out[:, -past:], num_keys, 0
        heads_q = q.transpose(1, 2)
    own, own_lse = _flash_cpu(heads_q, heads_k[:, :, past:], heads_v[:, :, past:], is_causal=True)
    if past == 0:
        out.copy_(own.transpose(1, 2))
        return
    old, old_lse = _flash_cpu(heads_q, heads_k[:, :, :past], heads_v[:, :, :past])
    weight = torch.sigmoid(own_lse - old_lse).unsqueeze(-1)  # share of the own rows, fp32
    merged = torch.lerp(old.float(), own.float(), weight)
    out.copy_(merged.transpose(1, 2))


def masked_sdpa(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """Dense attention of (B, H, N, D) tensors, with gradients: the training and scoring path."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
