"""Lane picking and token choice on the device: two Triton kernels that replace the host's loop.

A slot is in one of three phases. ``pick`` lists the slots of one phase, in order, and their keys;
``choose`` applies the rules of :mod:`gaze.choose` to one lane a program and does all bookkeeping.
"""

# ruff: noqa: ANN001, ANN201, PLR0913, PLR0915 (a kernel's arguments are pointers and sizes)
# mypy: disable-error-code="import-untyped, no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

PREFILL, BLOCK, DONE = 0, 1, 2


@triton.jit
def pick(
    phase,
    length,
    num_pending,
    lane_slot,
    num_lanes,
    k_start,
    k_len,
    live,
    slots,
    slot_rows,
    fresh,
    WANTED: tl.constexpr,
    FINISHED: tl.constexpr,
    SIZE: tl.constexpr,
):
    """Lanes of the slots in phase WANTED: slot, first key, keys after the forward.

    ``fresh`` is the rows that a forward adds besides the pending tokens. Idle lanes get no keys.
    ``live`` counts the slots that are not finished.
    """
    s = tl.arange(0, SIZE)
    is_slot = s < slots
    now = tl.load(phase + s, mask=is_slot, other=FINISHED)
    is_ready = (now == WANTED).to(tl.int32)
    rank = tl.cumsum(is_ready, 0) - 1
    count = tl.sum(is_ready, 0)
    tl.store(num_lanes, count)
    tl.store(live, tl.sum((now != FINISHED).to(tl.int32), 0))
    n = tl.load(length + s, mask=is_slot, other=0)
    p = tl.load(num_pending + s, mask=is_slot, other=0)
    tl.store(lane_slot + rank, s, mask=is_ready == 1)
    tl.store(k_start + rank, s * slot_rows, mask=is_ready == 1)
    tl.store(k_len + rank, n + p + fresh, mask=is_ready == 1)
    tl.store(k_len + s, 0, mask=is_slot & (s >= count))


@triton.jit
def choose(
    scores,
    lane_slot,
    num_lanes,
    phase,
    frame,
    length,
    frame_end,
    used,
    pending,
    num_pending,
    taken,
    forbidden,
    cap,
    threshold,
    ids,
    padded,
    count,
    forced,
    forced_padded,
    frames,
    most,
    vision,
    COLUMNS: tl.constexpr,
    CELLS: tl.constexpr,
    SIZE: tl.constexpr,
    HEADS: tl.constexpr,
    IS_PREFILL: tl.constexpr,
    FORCED: tl.constexpr,
    TO_PREFILL: tl.constexpr,
    TO_BLOCK: tl.constexpr,
    TO_DONE: tl.constexpr,
):
    """Up to HEADS tokens of one lane, the stop test, the end of the frame, the next phase."""
    lane = tl.program_id(0)
    if lane >= tl.load(num_lanes):
        return
    slot = tl.load(lane_slot + lane).to(tl.int64)
    t = tl.load(frame + slot)
    so_far = tl.load(used + slot)
    most_here = tl.load(cap + slot * frames + t)
    limit = tl.load(threshold + slot * frames + t)
    n = tl.load(length + slot)
    if IS_PREFILL:
        n += vision + tl.load(num_pending + slot)
        tl.store(frame_end + slot, n)
    else:
        n += HEADS
    tl.store(length + slot, n)
    i = tl.arange(0, SIZE)
    is_id = i < CELLS
    gone = tl.load(taken + slot * CELLS + i, mask=is_id, other=1).to(tl.int32)
    left = CELLS - tl.sum(tl.where(is_id, gone, 0), 0)
    row = scores + lane.to(tl.int64) * COLUMNS
    place = (slot * frames + t) * most + so_far
    emitted = 0
    real = 0
    stopped = 0
    for j in tl.static_range(HEADS):
        goes = (so_far + j < most_here) & (left > j)
        score = tl.load(row + j * (CELLS + 1) + i, mask=is_id, other=-float("inf"))
        best = tl.argmax(tl.where(gone == 0, score, -float("inf")), 0)
        stop = goes & (tl.load(row + HEADS * (CELLS + 1) + j) <= limit) & (so_far + j > 0)
        take = best
        if FORCED:
            other = tl.load(forced + place + j, mask=goes, other=-1)
            take = tl.where(other >= 0, other, best)
            stop = goes & (tl.load(forced_padded + place + j, mask=goes, other=0) != 0)
        gone = tl.where((i == take) & goes, 1, gone)
        tl.store(ids + place + j, best, mask=goes)
        tl.store(padded + place + j, stop.to(tl.int8), mask=goes)
        is_real = goes & (stop == 0)
        tl.store(pending + slot * HEADS + real, take, mask=is_real)
        real += is_real.to(tl.int32)
        emitted += goes.to(tl.int32)
        stopped += stop.to(tl.int32)
    tl.store(num_pending + slot, real)
    so_far += emitted
    if (stopped > 0) | (so_far >= most_here) | (left <= emitted):
        tl.store(count + slot * frames + t, so_far)
        tl.store(frame + slot, t + 1)
        tl.store(used + slot, 0)
        tl.store(phase + slot, tl.where(t + 1 == frames, TO_DONE, TO_PREFILL))
        fresh = tl.load(forbidden + slot * CELLS + i, mask=is_id, other=1)
        tl.store(taken + slot * CELLS + i, fresh, mask=is_id)
    else:
        tl.store(used + slot, so_far)
        tl.store(phase + slot, TO_BLOCK)
        tl.store(taken + slot * CELLS + i, gone.to(tl.int8), mask=is_id)
