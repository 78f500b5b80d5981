"""The decoder's linear layers as row-wise Triton kernels of fixed tiles.

At a width of 192 every product is bound by traffic, so norm, product, rotation and scatter are one
kernel, and output projection, residual, norm and MLP another. A row's arithmetic never depends on
its place or on how many rows there are: a clip's result does not depend on its neighbours, bit for
bit. Rows beyond the lanes in use return at once.
"""

# ruff: noqa: ANN001, ANN201, PLR0913, PLR0915, SIM102 (a kernel's arguments are pointers and sizes)
# mypy: disable-error-code="import-untyped, no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def assemble(
    x,
    features,
    embed,
    lane_slot,
    num_lanes,
    frame,
    pending,
    num_pending,
    frames,
    vision,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    HEADS: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    PREFILL: tl.constexpr,
):
    """Rows of a lane: pending tokens right-aligned in the first HEADS rows, then vision tokens."""
    lane = tl.program_id(0)
    if lane >= tl.load(num_lanes):
        return
    slot = tl.load(lane_slot + lane).to(tl.int64)
    r = tl.program_id(1) * TILE + tl.arange(0, TILE)
    c = tl.arange(0, PADDED)
    has_c = (c < WIDTH)[None, :]
    source = r - HEADS + tl.load(num_pending + slot)
    is_token = (r < HEADS) & (source >= 0)
    token = tl.load(pending + slot * HEADS + source, mask=is_token, other=0)
    value = tl.load(
        embed + token[:, None] * WIDTH + c[None, :], mask=is_token[:, None] & has_c, other=0.0
    ).to(tl.float32)
    if PREFILL:
        is_vision = (r >= HEADS) & (r < ROWS)
        at = ((slot * frames + tl.load(frame + slot)) * vision + r - HEADS) * WIDTH
        seen = tl.load(
            features + at[:, None] + c[None, :], mask=is_vision[:, None] & has_c, other=0.0
        )
        value = tl.where(is_vision[:, None], seen.to(tl.float32), value)
    here = (lane.to(tl.int64) * ROWS + r) * WIDTH
    tl.store(x + here[:, None] + c[None, :], value, mask=(r < ROWS)[:, None] & has_c)


@triton.jit
def project(
    x,
    norm,
    weight,
    q,
    key,
    value,
    cosine,
    sine,
    lane_slot,
    num_lanes,
    length,
    frame_end,
    num_pending,
    slot_rows,
    eps,
    WIDTH: tl.constexpr,
    HALF: tl.constexpr,
    HEADS: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    STEP: tl.constexpr,
    PREFILL: tl.constexpr,
    RELEASED: tl.constexpr,
    LAST: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Norm, q, k or v of two heads, rotation, and the scatter into q or the cache.

    ``weight`` is (3 * pairs, 2 halves, WIDTH, 2 * HALF): program (tile, part and pair). In the last
    layer only a lane's last row has a query, and it goes to row ``lane`` of q.
    """
    total = tl.load(num_lanes) * ROWS
    start = tl.program_id(0) * TILE
    if start >= total:
        return
    PAIRS: tl.constexpr = WIDTH // (4 * HALF)
    part = tl.program_id(1) // PAIRS
    pair = tl.program_id(1) % PAIRS
    if LAST:
        if (part == 0) & (start % ROWS + TILE < ROWS):
            return
    g = start + tl.arange(0, TILE)
    has_row = g < total
    lane = g // ROWS
    r = g % ROWS
    slot = tl.load(lane_slot + lane, mask=has_row, other=0).to(tl.int64)
    n = tl.load(length + slot, mask=has_row, other=0)
    if PREFILL:
        skip = HEADS - tl.load(num_pending + slot, mask=has_row, other=0)
        cache_row = n + r - skip
        position = cache_row
        is_kept = has_row & (r >= skip)
    else:
        cache_row = n + r
        position = cache_row
        if RELEASED:
            position = tl.load(frame_end + slot, mask=has_row, other=0) - HEADS + r
        is_kept = has_row
    s = tl.arange(0, STEP)
    c = tl.arange(0, 2 * HALF)
    here = g.to(tl.int64)
    low = tl.zeros([TILE, 2 * HALF], tl.float32)
    high = tl.zeros([TILE, 2 * HALF], tl.float32)
    square = tl.zeros([TILE], tl.float32)
    block = weight + tl.program_id(1) * (2 * WIDTH * 2 * HALF)
    for at in range(0, WIDTH, STEP):
        part_x = tl.load(
            x + here[:, None] * WIDTH + (at + s)[None, :], mask=has_row[:, None], other=0.0
        )
        square += tl.sum(part_x * part_x, 1)
        scaled = (part_x * tl.load(norm + at + s)[None, :]).to(weight.dtype.element_ty)
        inner = block + (at + s)[:, None] * (2 * HALF) + c[None, :]
        low = tl.dot(scaled, tl.load(inner), low, input_precision=PRECISION)
        high = tl.dot(scaled, tl.load(inner + WIDTH * 2 * HALF), high, input_precision=PRECISION)
    rms = tl.rsqrt(square / WIDTH + eps)[:, None]
    low *= rms
    high *= rms
    column = (2 * pair + c // HALF) * (2 * HALF) + c % HALF
    if part < 2:
        where = tl.maximum(position, 0)[:, None] * HALF + (c % HALF)[None, :]
        cos = tl.load(cosine + where, mask=is_kept[:, None], other=1.0)
        sin = tl.load(sine + where, mask=is_kept[:, None], other=0.0)
        low, high = low * cos - high * sin, high * cos + low * sin
    if part == 0:
        if LAST:
            is_last = has_row & (r == ROWS - 1)
            target = q + lane.to(tl.int64)[:, None] * WIDTH + column[None, :]
            mask = is_last[:, None] & (c >= 0)[None, :]
        else:
            target = q + here[:, None] * WIDTH + column[None, :]
            mask = has_row[:, None] & (c >= 0)[None, :]
        tl.store(target, low.to(q.dtype.element_ty), mask=mask)
        tl.store(target + HALF, high.to(q.dtype.element_ty), mask=mask)
    else:
        row = slot * slot_rows + cache_row
        mask = is_kept[:, None] & (c >= 0)[None, :]
        offset = row[:, None] * WIDTH + column[None, :]
        if part == 1:
            tl.store(key + offset, low.to(key.dtype.element_ty), mask=mask)
            tl.store(key + offset + HALF, high.to(key.dtype.element_ty), mask=mask)
        else:
            tl.store(value + offset, low.to(value.dtype.element_ty), mask=mask)
            tl.store(value + offset + HALF, high.to(value.dtype.element_ty), mask=mask)


@triton.jit
def finish(
    x,
    attended,
    out,
    out_weight,
    norm,
    gate_up,
    down,
    num_lanes,
    eps,
    x_stride,
    x_offset,
    WIDTH: tl.constexpr,
    MLP: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    STEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Output projection, residual, norm, gated MLP, residual: three column blocks of STEP.

    Row g reads ``x[g * x_stride + x_offset]`` and writes ``out[g]``; weights are (in, out).
    """
    total = tl.load(num_lanes) * ROWS
    start = tl.program_id(0) * TILE
    if start >= total:
        return
    g = start + tl.arange(0, TILE)
    has_row = (g < total)[:, None]
    here = g.to(tl.int64)[:, None] * WIDTH
    there = (g.to(tl.int64) * x_stride + x_offset)[:, None] * WIDTH
    s = tl.arange(0, STEP)
    y0 = tl.load(x + there + s[None, :], mask=has_row, other=0.0)
    y1 = tl.load(x + there + STEP + s[None, :], mask=has_row, other=0.0)
    y2 = tl.load(x + there + 2 * STEP + s[None, :], mask=has_row, other=0.0)
    inner = s[:, None] * WIDTH + s[None, :]
    for at in range(0, WIDTH, STEP):
        a = tl.load(attended + here + (at + s)[None, :], mask=has_row, other=0.0)
        a = a.to(out_weight.dtype.element_ty)
        w = out_weight + at * WIDTH + inner
        y0 = tl.dot(a, tl.load(w), y0, input_precision=PRECISION)
        y1 = tl.dot(a, tl.load(w + STEP), y1, input_precision=PRECISION)
        y2 = tl.dot(a, tl.load(w + 2 * STEP), y2, input_precision=PRECISION)
    square = tl.sum(y0 * y0, 1) + tl.sum(y1 * y1, 1) + tl.sum(y2 * y2, 1)
    rms = tl.rsqrt(square / WIDTH + eps)[:, None]
    kind = gate_up.dtype.element_ty
    h0 = (y0 * rms * tl.load(norm + s)[None, :]).to(kind)
    h1 = (y1 * rms * tl.load(norm + STEP + s)[None, :]).to(kind)
    h2 = (y2 * rms * tl.load(norm + 2 * STEP + s)[None, :]).to(kind)
    for at in range(0, MLP, STEP):
        w = gate_up + s[:, None] * (2 * MLP) + (at + s)[None, :]
        hop = STEP * 2 * MLP
        gate = tl.dot(h0, tl.load(w), input_precision=PRECISION)
        gate = tl.dot(h1, tl.load(w + hop), gate, input_precision=PRECISION)
        gate = tl.dot(h2, tl.load(w + 2 * hop), gate, input_precision=PRECISION)
        w += MLP
        up = tl.dot(h0, tl.load(w), input_precision=PRECISION)
        up = tl.dot(h1, tl.load(w + hop), up, input_precision=PRECISION)
        up = tl.dot(h2, tl.load(w + 2 * hop), up, input_precision=PRECISION)
        act = (gate * tl.sigmoid(gate) * up).to(kind)
        w = down + at * WIDTH + inner
        y0 = tl.dot(act, tl.load(w), y0, input_precision=PRECISION)
        y1 = tl.dot(act, tl.load(w + STEP), y1, input_precision=PRECISION)
        y2 = tl.dot(act, tl.load(w + 2 * STEP), y2, input_precision=PRECISION)
    tl.store(out + here + s[None, :], y0, mask=has_row)
    tl.store(out + here + STEP + s[None, :], y1, mask=has_row)
    tl.store(out + here + 2 * STEP + s[None, :], y2, mask=has_row)


@triton.jit
def heads(
    x,
    norm,
    weight,
    out,
    num_lanes,
    eps,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILE: tl.constexpr,
    STEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Final norm and all heads: ``weight`` is (WIDTH, COLUMNS), padded to whole steps."""
    total = tl.load(num_lanes)
    start = tl.program_id(0) * TILE
    if start >= total:
        return
    g = start + tl.arange(0, TILE)
    has_row = (g < total)[:, None]
    s = tl.arange(0, STEP)
    column = tl.program_id(1) * STEP + s
    result = tl.zeros([TILE, STEP], tl.float32)
    square = tl.zeros([TILE], tl.float32)
    for at in range(0, WIDTH, STEP):
        part = tl.load(x + g[:, None] * WIDTH + (at + s)[None, :], mask=has_row, other=0.0)
        square += tl.sum(part * part, 1)
        scaled = (part * tl.load(norm + at + s)[None, :]).to(weight.dtype.element_ty)
        w = tl.load(weight + (at + s)[:, None] * COLUMNS + column[None, :])
        result = tl.dot(scaled, w, result, input_precision=PRECISION)
    result *= tl.rsqrt(square / WIDTH + eps)[:, None]
    tl.store(out + g.to(tl.int64)[:, None] * COLUMNS + column[None, :], result, mask=has_row)
