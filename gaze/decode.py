"""Decoding in lock-step: all clips at the same frame, one frame a call.

This is the plain path, on any device: it asks the host how many lanes are left after each forward.
Streaming is the same call with one frame at a time; the state is all that is carried over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gaze.attention import Backend, Lanes
from gaze.choose import Choice, choose
from gaze.config import GazeConfig
from gaze.config import Positions as Positions
from gaze.decoder import Cache, Decoder, Step
from gaze.encoder import History

BatchRule = Literal["alone", "released"]
"""Whether a clip is decoded as if alone, or as the released code decodes it among its batch."""


@dataclass
class GazeState:
    """Everything that one run of frames leaves for the next.

    Attributes:
        cache: Keys and values, one slot a clip.
        length: (B,) cache rows in use.
        pending: (B, K) chosen ids that are not in the cache yet.
        num_pending: (B,) how many there are.
        history: The encoder's last frames.
        num_frames: Frames of this clip so far.
    """

    cache: Cache
    length: Tensor
    pending: Tensor
    num_pending: Tensor
    history: History | None = None
    num_frames: int = 0

    def restart(self) -> None:
        """Begin a new clip in the same memory."""
        self.length.zero_()
        self.num_pending.zero_()
        self.history = None
        self.num_frames = 0


def slot_rows(config: GazeConfig, caps: list[int]) -> int:
    """Cache rows that a clip with these caps can need, rounded up to 64."""
    rows = sum(config.vision_tokens + cap for cap in caps) + config.tokens_per_forward
    return -(-rows // 64) * 64


def new_state(decoder: Decoder, *, batch: int, rows: int) -> GazeState:
    """An empty state for ``batch`` clips of at most ``rows`` cached tokens."""
    weight = decoder.embed.weight
    like = weight.detach()
    heads = decoder.config.tokens_per_forward
    return GazeState(
        cache=Cache.allocate(decoder.config, num_slots=batch, slot_rows=rows, like=like),
        length=torch.zeros(batch, dtype=torch.int64, device=weight.device),
        pending=torch.zeros(batch, heads, dtype=torch.int64, device=weight.device),
        num_pending=torch.zeros(batch, dtype=torch.int64, device=weight.device),
    )


@dataclass(frozen=True)
class FrameGaze:
    """One frame's slots of all clips.

    Attributes:
        ids: (B, slots) ids in gazing order; meaningless where padded.
        is_padding: (B, slots).
    """

    ids: Tensor
    is_padding: Tensor


class FrameDecoder:
    """One frame of a batch: the prefill, then blocks until every clip has ended the frame."""

    def __init__(
        self,
        decoder: Decoder,
        state: GazeState,
        *,
        positions: Positions = "released",
        batch_rule: BatchRule = "alone",
        backend: Backend = "auto",
    ) -> None:
        self.decoder, self.state = decoder, state
        self.positions, self.batch_rule, self.backend = positions, batch_rule, backend
        self.device = state.length.device

    def frame(
        self,
        features: Tensor,
        *,
        cap: Tensor,
        threshold: Tensor,
        forbidden: Tensor | None = None,
    ) -> FrameGaze:
        """Gaze at one frame.

        Args:
            features: (B, P, C) vision tokens.
            cap: (B,) most slots.
            threshold: (B,) fp32, minus infinity for none.
            forbidden: (B, V - 1) bool ids that must not be chosen, or None.
        """
        batch = features.shape[0]
        config = self.decoder.config
        taken = torch.zeros(batch, config.num_cells, dtype=torch.bool, device=self.device)
        if forbidden is not None:
            taken |= forbidden
        used = torch.zeros(batch, dtype=torch.int64, device=self.device)
        everyone = torch.arange(batch, device=self.device)
        logits, losses = self._prefill(features)
        frame_end = self.state.length.clone()
        live, blocks = everyone, []
        while True:
            picked = taken[live]
            choice = choose(
                logits,
                losses,
                used=used[live],
                cap=cap[live],
                threshold=threshold[live],
                taken=picked,
            )
            taken[live] = picked
            used[live] += choice.num_emitted
            blocks.append((live, choice))
            self.state.pending[live] = choice.pending
            self.state.num_pending[live] = choice.num_pending
            going = live[~choice.is_end]
            if going.numel() == 0:
                break
            if self.batch_rule == "released":
                self._forward_ended(live, choice, frame_end)
            live = going
            logits, losses = self._block(live, frame_end)
        self.state.num_frames += 1
        return _gather(batch, blocks, self.device)

    def _prefill(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Pending tokens right-aligned in the first rows, then the frame's vision tokens."""
        state, heads = self.state, self.decoder.config.tokens_per_forward
        batch, num_vision = features.shape[:2]
        row = torch.arange(heads + num_vision, device=self.device)
        num_pending, length = state.num_pending.unsqueeze(1), state.length.unsqueeze(1)
        # Row r holds pending token r - heads + num_pending; earlier rows are dummies.
        source = (row[:heads] - heads + num_pending).clamp(min=0)  # (B, heads)
        pending = self.decoder.embed(state.pending.gather(1, source))
        x = torch.cat([pending.to(features.dtype), features], dim=1)  # (B, R, C)
        position = length + row - heads + num_pending  # (B, R)
        is_valid = row >= heads - num_pending
        state.length = state.length + num_vision + state.num_pending
        state.num_pending = torch.zeros_like(state.num_pending)
        everyone = torch.arange(batch, device=self.device)
        return self._forward(x, everyone, position, position, is_valid, state.length)

    def _block(self, live: Tensor, frame_end: Tensor) -> tuple[Tensor, Tensor]:
        """Forward the ten newest tokens of the clips that go on."""
        state = self.state
        x = self.decoder.embed(state.pending[live])  # (lanes, K, C)
        row = torch.arange(x.shape[1], device=self.device)
        cache_row = state.length[live].unsqueeze(1) + row  # (lanes, K)
        position = cache_row
        if self.positions == "released":
            position = frame_end[live].unsqueeze(1) - x.shape[1] + row
        state.length[live] += x.shape[1]
        state.num_pending[live] = 0
        is_valid = torch.ones_like(cache_row, dtype=torch.bool)
        return self._forward(x, live, cache_row, position, is_valid, state.length[live])

    def _forward(
        self,
        x: Tensor,
        slots: Tensor,
        cache_row: Tensor,
        position: Tensor,
        is_valid: Tensor,
        k_len: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Rows (lanes, R, C) of some slots; cache rows are counted from the slot's first."""
        cache = self.state.cache
        lanes, rows = x.shape[:2]
        start = slots * cache.slot_rows
        trash = cache.key[0].shape[0] - 1
        where = torch.where(is_valid, start.unsqueeze(1) + cache_row, trash)
        step = Step(
            lanes=_lanes(rows, start, k_len, cache.slot_rows),
            last=_lanes(1, start, k_len, cache.slot_rows),
            cache_row=where.flatten(),
            position=position.clamp(min=0).flatten(),
        )
        return self.decoder(x.reshape(lanes * rows, -1), cache, step, backend=self.backend)  # type: ignore[no-any-return]

    def _forward_ended(self, live: Tensor, choice: Choice, frame_end: Tensor) -> None:
        """The released batch rule: a clip that ends before the slowest is forwarded here.

        Its padded slots are end-of-sequence embeddings, visible within the block; only its real
        rows stay in the cache, and nothing is left pending.
        """
        ended = live[choice.is_end]
        if ended.numel() == 0:
            return
        state, config = self.state, self.decoder.config
        ids = torch.where(choice.is_padded, config.num_cells, choice.ids)[choice.is_end]
        x = self.decoder.embed(ids)  # (lanes, K, C)
        row = torch.arange(x.shape[1], device=self.device)
        cache_row = state.length[ended].unsqueeze(1) + row
        position = cache_row
        if self.positions == "released":
            position = frame_end[ended].unsqueeze(1) - x.shape[1] + row
        is_valid = torch.ones_like(cache_row, dtype=torch.bool)
        self._forward(x, ended, cache_row, position, is_valid, state.length[ended] + x.shape[1])
        for slot, padded in zip(ended.tolist(), choice.is_padded[choice.is_end], strict=True):
            first = slot * state.cache.slot_rows + int(state.length[slot])
            keep = (~padded).nonzero().flatten()
            for rows in (*state.cache.key, *state.cache.value):
                rows[first : first + keep.numel()] = rows[first + keep]
            state.length[slot] += keep.numel()
        state.num_pending[ended] = 0


def _lanes(rows: int, start: Tensor, k_len: Tensor, max_k: int) -> Lanes:
    q_start = torch.arange(start.shape[0] + 1, device=start.device, dtype=torch.int32) * rows
    return Lanes(
        q_start=q_start,
        k_start=start.to(torch.int32),
        k_len=k_len.to(torch.int32),
        max_q=rows,
        max_k=max_k,
        causal=True,
    )


def _gather(batch: int, blocks: list[tuple[Tensor, Choice]], device: torch.device) -> FrameGaze:
    """Put the blocks of a frame side by side; slots that a clip did not reach are padding."""
    widths = [int(choice.num_emitted.max()) for _, choice in blocks]
    ids = torch.full((batch, sum(widths)), -1, dtype=torch.int64, device=device)
    is_padding = torch.ones((batch, sum(widths)), dtype=torch.bool, device=device)
    first = 0
    for width, (live, choice) in zip(widths, blocks, strict=True):
        slot = torch.arange(width, device=device)
        is_real = (slot < choice.num_emitted.unsqueeze(1)) & ~choice.is_padded[:, :width]
        ids[live, first : first + width] = torch.where(is_real, choice.ids[:, :width], -1)
        is_padding[live, first : first + width] = ~is_real
        first += width
    return FrameGaze(ids=ids, is_padding=is_padding)
