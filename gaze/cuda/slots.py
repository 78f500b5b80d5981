"""The device's memory of a wave of clips: caches, slot state, lanes, answers. Allocated once."""

from __future__ import annotations

import torch
from torch import Tensor

from gaze.config import GazeConfig
from gaze.cuda.choose import DONE, PREFILL


class Slots:
    """State of S slots, T frames, and at most m tokens a frame; see the attribute comments.

    A graph bakes in addresses, so nothing here is ever replaced, only written.
    """

    def __init__(
        self,
        config: GazeConfig,
        *,
        num_slots: int,
        frames: int,
        most: int,
        rows: int,
        dtype: torch.dtype,
        product_dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        heads, cells, width = config.tokens_per_forward, config.num_cells, config.width
        self.num_slots, self.frames, self.most, self.rows = num_slots, frames, most, rows

        def ints(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        # Cache, token-major: slot s owns rows s * rows to (s + 1) * rows, each of H * D values.
        shape = (num_slots * rows, config.num_heads, config.head_width)
        self.key = [
            torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.num_layers)
        ]
        self.value = [torch.zeros_like(key) for key in self.key]
        # One entry a slot.
        self.phase, self.frame = ints(num_slots), ints(num_slots)
        self.length, self.frame_end = ints(num_slots), ints(num_slots)
        self.used, self.num_pending = ints(num_slots), ints(num_slots)
        self.pending = ints(num_slots, heads)
        self.taken = torch.zeros(num_slots, cells, dtype=torch.int8, device=device)
        self.forbidden = torch.zeros_like(self.taken)
        # One entry a slot and frame.
        self.cap = ints(num_slots, frames)
        self.threshold = torch.zeros(num_slots, frames, device=device)
        self.count = ints(num_slots, frames)
        self.ids = ints(num_slots, frames, most)
        self.padded = torch.zeros(num_slots, frames, most, dtype=torch.int8, device=device)
        self.forced = ints(num_slots, frames, most)
        self.forced_padded = torch.zeros_like(self.padded)
        tokens = (num_slots, frames, config.vision_tokens, width)
        self.features = torch.zeros(tokens, dtype=product_dtype, device=device)
        # Lanes: which slots run, and what they see. ``counters`` holds lanes in use and live slots.
        self.lane_slot, self.counters = ints(num_slots), ints(2)
        self.k_start, self.k_len = ints(num_slots), ints(num_slots)
        rows_prefill = heads + config.vision_tokens
        lane = torch.arange(num_slots + 1, dtype=torch.int32, device=device)
        self.q_start = {rows: lane * rows for rows in (rows_prefill, heads, 1)}
        # Rows of one forward; the residual stream is fp32.
        most_rows = num_slots * rows_prefill
        self.x = torch.zeros(most_rows, width, device=device)
        self.q = torch.zeros(
            most_rows, config.num_heads, config.head_width, dtype=dtype, device=device
        )
        self.attended = torch.zeros_like(self.q, dtype=product_dtype)
        self.last = torch.zeros(num_slots, width, device=device)

    def begin(
        self, *, clips: int, cap: Tensor, threshold: Tensor, forbidden: Tensor | None
    ) -> None:
        """Make the first ``clips`` slots ready for their first frame, the others idle.

        Args:
            clips: Slots in use.
            cap: (T,) or (clips, T).
            threshold: Likewise, fp32, minus infinity for none.
            forbidden: (clips, cells) bool, or None.
        """
        self.phase.fill_(DONE)
        self.phase[:clips] = PREFILL
        for state in (self.frame, self.length, self.frame_end, self.used, self.num_pending):
            state.zero_()
        self.cap[:clips] = cap
        self.threshold[:clips] = threshold
        self.forbidden.zero_()
        if forbidden is not None:
            self.forbidden[:clips] = forbidden.to(torch.int8)
        self.taken.copy_(self.forbidden)
        self.count.zero_()
        self.counters[0].zero_()
        self.counters[1].fill_(clips)
