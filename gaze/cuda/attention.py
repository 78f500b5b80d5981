"""Variable-length attention on CUDA: the library's flash kernel, and a Triton kernel of our own.

Both read a lane table (:class:`gaze.attention.Lanes`) and neither asks the host for a length.
"""

# ruff: noqa: ANN001, ANN202, PLR0913, PLR0915 (a kernel's arguments are pointers and sizes)
# mypy: disable-error-code="import-untyped, no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import functools
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from gaze.attention import Backend, Lanes

FEW_ROWS = 16
"""Lanes of at most so many rows use tiles of 16 rows: a block of ten, or one last row."""


@functools.cache
def has_flash() -> bool:
    """Whether this torch has a flash operator that takes ``seqused_k``, the ragged key lengths."""
    if not torch.cuda.is_available():
        return False
    schema = torch.ops.aten._flash_attention_forward.default._schema
    return "seqused_k" in {argument.name for argument in schema.arguments}


def fastest(q: Tensor) -> Backend:
    """Flash where type and head size allow it, else Triton."""
    is_half = q.dtype in (torch.float16, torch.bfloat16)
    return "flash" if is_half and q.shape[-1] % 8 == 0 and has_flash() else "triton"


def flash(q: Tensor, k: Tensor, v: Tensor, lanes: Lanes) -> Tensor:
    """The flash operator, with ``k_start`` as key offsets and ``k_len`` as used lengths.

    Offsets and lengths need not meet: any slot of a cache is read in place. ``max_q`` and ``max_k``
    are numbers of the launch, and stay as they were when a graph was captured.
    """
    ends = torch.nn.functional.pad(lanes.k_start, (0, 1))  # the operator wants lanes + 1 offsets
    out: Tensor = torch.ops.aten._flash_attention_forward(
        q,
        k,
        v,
        lanes.q_start,
        ends,
        lanes.max_q,
        lanes.max_k,
        0.0,
        lanes.causal,
        False,
        scale=q.shape[-1] ** -0.5,
        seqused_k=lanes.k_len,
    )[0]
    return out


def triton_attend(q: Tensor, k: Tensor, v: Tensor, lanes: Lanes) -> Tensor:
    """One program per (tile of rows, head, lane); the loop over keys ends at ``k_len``."""
    out = torch.empty_like(q)
    launch_attend(q, k, v, out, lanes)
    return out


def launch_attend(q: Tensor, k: Tensor, v: Tensor, out: Tensor, lanes: Lanes) -> None:
    """Enqueue the kernel; ``out`` is written, nothing is allocated."""
    num_lanes = lanes.k_len.shape[0]
    if num_lanes == 0 or lanes.max_q == 0:
        return
    heads, width = q.shape[1:]
    padded = max(16, triton.next_power_of_2(width))
    is_fp32 = q.dtype == torch.float32
    if lanes.max_q <= FEW_ROWS:
        tile, keys, warps, stages = 16, (64 if is_fp32 else 256), 4, 3
    else:
        tile, keys, warps, stages = (32, 32, 4, 2) if is_fp32 else (64, 64, 4, 3)
    if padded > 64:
        keys, stages = min(keys, 64), 2
    _attend[(triton.cdiv(lanes.max_q, tile), heads, num_lanes)](
        q,
        k,
        v,
        out,
        lanes.q_start,
        lanes.k_start,
        lanes.k_len,
        math.log2(math.e) / math.sqrt(width),
        q.stride(0),
        k.stride(0),
        out.stride(0),
        WIDTH=width,
        PADDED=padded,
        TILE=tile,
        KEYS=keys,
        CAUSAL=lanes.causal,
        PRECISION="ieee" if is_fp32 else "tf32",
        num_warps=warps,
        num_stages=stages,
    )


@triton.jit
def _attend(
    q,
    k,
    v,
    out,
    q_start,
    k_start,
    k_len,
    scale,
    q_row,
    k_row,
    out_row,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
    KEYS: tl.constexpr,
    CAUSAL: tl.constexpr,
    PRECISION: tl.constexpr,
):
    head = tl.program_id(1)
    lane = tl.program_id(2)
    first = tl.load(q_start + lane)
    rows = tl.load(q_start + lane + 1) - first
    row = tl.program_id(0) * TILE
    if row >= rows:
        return
    length = tl.load(k_len + lane)
    start = tl.load(k_start + lane).to(tl.int64)
    r = row + tl.arange(0, TILE)
    d = tl.arange(0, PADDED)
    j = tl.arange(0, KEYS)
    has_row = r < rows
    here = (first + r).to(tl.int64)
    has_q = has_row[:, None] & (d < WIDTH)[None, :]
    tile_q = tl.load(q + here[:, None] * q_row + head * WIDTH + d[None, :], mask=has_q, other=0.0)
    k_tile = k + (start + j[:, None]) * k_row + head * WIDTH + d[None, :]
    v_tile = v + (start + j[:, None]) * k_row + head * WIDTH + d[None, :]
    has_d = (d < WIDTH)[None, :]
    total = tl.zeros([TILE, PADDED], tl.float32)
    peak = tl.full([TILE], -float("inf"), tl.float32)
    norm = tl.zeros([TILE], tl.float32)
    if CAUSAL:
        last = length - rows + r  # the last key that a row sees
        end = tl.minimum(length, length - rows + row + TILE)
        whole = tl.maximum(length - rows + row + 1, 0) // KEYS * KEYS
    else:
        last = length - 1 + 0 * r
        end = length
        whole = length // KEYS * KEYS
    # Keys that every row of the tile sees need no mask.
    for at in range(0, whole, KEYS):
        tile_k = tl.load(k_tile + at * k_row.to(tl.int64), mask=has_d, other=0.0)
        score = tl.dot(tile_q, tl.trans(tile_k), input_precision=PRECISION)
        new = tl.maximum(peak, tl.max(score, 1))
        weight = tl.exp2(score * scale - (new * scale)[:, None])
        fade = tl.exp2((peak - new) * scale)
        norm = norm * fade + tl.sum(weight, 1)
        tile_v = tl.load(v_tile + at * k_row.to(tl.int64), mask=has_d, other=0.0)
        total = total * fade[:, None]
        total = tl.dot(weight.to(tile_v.dtype), tile_v, total, input_precision=PRECISION)
        peak = new
    for at in range(whole, end, KEYS):
        has_key = at + j < length
        mask = has_key[:, None] & has_d
        tile_k = tl.load(k_tile + at * k_row.to(tl.int64), mask=mask, other=0.0)
        score = tl.dot(tile_q, tl.trans(tile_k), input_precision=PRECISION)
        score = tl.where((at + j)[None, :] <= last[:, None], score, -float("inf"))
        new = tl.maximum(peak, tl.max(score, 1))
        safe = tl.where(new == -float("inf"), 0.0, new)
        weight = tl.exp2(score * scale - (safe * scale)[:, None])
        fade = tl.exp2((peak - safe) * scale)
        norm = norm * fade + tl.sum(weight, 1)
        tile_v = tl.load(v_tile + at * k_row.to(tl.int64), mask=mask, other=0.0)
        total = total * fade[:, None]
        total = tl.dot(weight.to(tile_v.dtype), tile_v, total, input_precision=PRECISION)
        peak = new
    total = total / tl.where(norm == 0.0, 1.0, norm)[:, None]
    tl.store(
        out + here[:, None] * out_row + head * WIDTH + d[None, :],
        total.to(out.dtype.element_ty),
        mask=has_q,
    )
