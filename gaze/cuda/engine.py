"""Many clips at once on one GPU: fixed lanes, captured launches, and no question to the host.

A *slot* is one clip's place in the cache, a *lane* one clip's place in a launch. Two graphs are
captured for a number of slots: a prefill, and a block of ten. Each ends by picking the lanes of the
next block, so a launch whose lanes are all idle returns at once and costs its launches only.

- Without a threshold the number of blocks is known, and the host only replays.
- With one, the host reads a counter that is a few replays old, through pinned memory and an event.
- ``schedule="lock-step"`` keeps all clips at one frame; in ``"rounds"`` a clip that ends a frame
  early goes on to its next. Lock-step was faster for more than one clip (benchmarks/results).
"""

# mypy: disable-error-code="import-untyped, no-untyped-call"

from __future__ import annotations

import math
from typing import Literal

import torch
import triton
from torch import Tensor

from gaze.attention import Backend, Lanes
from gaze.config import GazeConfig
from gaze.cuda import attention, layers, vision
from gaze.cuda.choose import BLOCK, DONE, PREFILL, choose, pick
from gaze.cuda.packed import STEP, PackedWeights, Products
from gaze.cuda.slots import Slots
from gaze.decode import FrameGaze, Positions, slot_rows
from gaze.decoder import Decoder
from gaze.encoder import Encoder
from hlvid.errors import UserError

Schedule = Literal["lock-step", "rounds"]
LAG = 2
"""Replays between a counter's copy and the host's look at it: their lanes may turn out idle."""


def supports(config: GazeConfig) -> bool:
    """Whether the kernels cover this model: the released width, heads that pair up, whole steps."""
    return (
        config.width == 3 * STEP
        and config.head_width == 32
        and config.mlp_width % STEP == 0
        and vision.supports(config)
    )


class Engine:
    """Captured decoding for a number of slots, a clip length and a largest cap."""

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        num_slots: int,
        caps: list[int],
        dtype: torch.dtype,
        positions: Positions = "released",
        prefill_backend: Backend = "triton",
        products: Products = "working",
    ) -> None:
        device = decoder.embed.weight.device
        self.config = config = decoder.config
        self.dtype, self.positions, self.device = dtype, positions, device
        self.prefill_backend = prefill_backend
        rows = slot_rows(config, caps)
        self.weights = PackedWeights.pack(
            decoder, dtype=dtype, most_positions=rows, products=products
        )
        self.vision = vision.VisionKernels(encoder, config, dtype, products=products)
        self.slots = Slots(
            config,
            num_slots=num_slots,
            frames=len(caps),
            most=max(caps),
            rows=rows,
            dtype=dtype,
            product_dtype=self.weights.embed.dtype,
            device=device,
        )
        self.scores = torch.zeros(num_slots, self.weights.heads.shape[1], device=device)
        self.is_forced = False
        self.graphs: dict[tuple[bool, bool], torch.cuda.CUDAGraph] = {}
        self.pinned = torch.zeros(LAG + 1, 2, dtype=torch.int32, pin_memory=device.type == "cuda")

    def features(self, video: Tensor) -> None:
        """Encode (clips, T, 3, S, S) into the slots."""
        self.vision(video, self.slots.features)

    def decode(
        self,
        *,
        clips: int,
        cap: Tensor,
        threshold: Tensor | None = None,
        forbidden: Tensor | None = None,
        schedule: Schedule = "lock-step",
        blocks_per_frame: list[int] | None = None,
    ) -> None:
        """Decode all frames of the encoded clips; the answers are in :attr:`slots`.

        Args:
            clips: Slots in use.
            cap: (T,) or (clips, T) on the device.
            threshold: Likewise; None for none.
            forbidden: (clips, cells) bool, or None.
            schedule: Lock-step or rounds.
            blocks_per_frame: Blocks of each frame after its prefill, when they are known: without a
                threshold. Nothing is asked of the device then.
        """
        slots = self.slots
        none = slots.threshold.new_full((), -math.inf)
        slots.begin(
            clips=clips,
            cap=cap,
            threshold=none if threshold is None else threshold,
            forbidden=forbidden,
        )
        if blocks_per_frame is not None:
            for blocks in blocks_per_frame:
                self._replay(is_prefill=True)
                for _ in range(blocks):
                    self._replay(is_prefill=False)
            return
        if schedule == "rounds":
            self._until_zero(1, (True, False))
            return
        for _ in range(slots.frames):
            self._replay(is_prefill=True)
            self._until_zero(0, (False,))

    def _until_zero(self, counter: int, graphs: tuple[bool, ...]) -> None:
        """Replay these graphs until a counter, read LAG times late, is zero.

        Args:
            counter: 0 lanes in use, 1 slots that are not finished.
            graphs: For each graph of a turn, whether it is the prefill.
        """
        if self.device.type != "cuda":
            while int(self.slots.counters[counter]):
                for is_prefill in graphs:
                    self._replay(is_prefill=is_prefill)
            return
        events: list[torch.cuda.Event] = []
        while True:
            place = len(events) % (LAG + 1)
            self.pinned[place].copy_(self.slots.counters, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            events.append(event)
            if len(events) > LAG:
                events[-1 - LAG].synchronize()
                if int(self.pinned[(len(events) - 1 - LAG) % (LAG + 1), counter]) == 0:
                    return
            for is_prefill in graphs:
                self._replay(is_prefill=is_prefill)

    def answers(self, clips: int) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (clips, T, m), -1 where padded; padding, alike; slots of each frame (clips, T)."""
        slots = self.slots
        if self.dtype == torch.float16 and not bool(self.scores.isfinite().all()):
            raise UserError(
                "select: values beyond float16. Load the model with dtype=torch.bfloat16."
            )
        count = slots.count[:clips].long()
        is_past = torch.arange(slots.most, device=self.device) >= count.unsqueeze(-1)
        is_padding = slots.padded[:clips].bool() | is_past
        return slots.ids[:clips].long().masked_fill(is_padding, -1), is_padding, count

    def frames(self, clips: int) -> list[FrameGaze]:
        """The answers, frame by frame; the one read of the device."""
        ids, is_padding, count = self.answers(clips)
        widths = count.amax(0).tolist()
        return [FrameGaze(ids[:, t, :w], is_padding[:, t, :w]) for t, w in enumerate(widths)]

    def _replay(self, *, is_prefill: bool) -> None:
        if self.device.type != "cuda":
            self._forward(is_prefill=is_prefill)
            return
        key = (is_prefill, self.is_forced)
        if key not in self.graphs:
            self.capture(is_prefill=is_prefill)
        self.graphs[key].replay()

    def capture(self, *, is_prefill: bool) -> None:
        """Capture one graph, after warm-up launches that leave the state as it was."""
        slots = self.slots
        state = [slots.phase, slots.frame, slots.length, slots.frame_end, slots.used]
        state += [slots.pending, slots.num_pending, slots.taken, slots.count, slots.counters]
        state += [slots.lane_slot, slots.k_start, slots.k_len]
        saved = [tensor.clone() for tensor in state]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            slots.phase.fill_(DONE)  # idle lanes: kernels compile and return
            for _ in range(3):
                self._forward(is_prefill=is_prefill)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._forward(is_prefill=is_prefill)
        for tensor, before in zip(state, saved, strict=True):
            tensor.copy_(before)
        self.graphs[is_prefill, self.is_forced] = graph

    def _forward(self, *, is_prefill: bool) -> None:
        """One forward of all lanes in the phase, their choices, and the next block's lanes."""
        if is_prefill:
            self._pick(PREFILL)
        heads, vision_tokens = self.config.tokens_per_forward, self.config.vision_tokens
        rows = heads + vision_tokens if is_prefill else heads
        self._assemble(rows, is_prefill)
        last = len(self.weights.layers) - 1
        for index in range(last + 1):
            self._layer(index, rows, is_prefill, is_last=index == last)
        self._heads_and_choice(is_prefill)
        self._pick(BLOCK)

    def _pick(self, wanted: int) -> None:
        slots = self.slots
        pick[(1,)](
            slots.phase,
            slots.length,
            slots.num_pending,
            slots.lane_slot,
            slots.counters,
            slots.k_start,
            slots.k_len,
            slots.counters[1:],
            slots.num_slots,
            slots.rows,
            self.config.vision_tokens if wanted == PREFILL else 0,
            WANTED=wanted,
            FINISHED=DONE,
            SIZE=max(32, triton.next_power_of_2(slots.num_slots)),
            num_warps=4 if slots.num_slots > 128 else 1,
        )

    def _assemble(self, rows: int, is_prefill: bool) -> None:
        slots, config = self.slots, self.config
        layers.assemble[(slots.num_slots, triton.cdiv(rows, 16))](
            slots.x,
            slots.features,
            self.weights.embed,
            slots.lane_slot,
            slots.counters,
            slots.frame,
            slots.pending,
            slots.num_pending,
            slots.frames,
            config.vision_tokens,
            WIDTH=config.width,
            PADDED=triton.next_power_of_2(config.width),
            HEADS=config.tokens_per_forward,
            ROWS=rows,
            TILE=16,
            PREFILL=is_prefill,
        )

    def _layer(self, index: int, rows: int, is_prefill: bool, *, is_last: bool) -> None:
        slots, config, weights = self.slots, self.config, self.weights.layers[index]
        tile = self._tile(rows)
        total = slots.num_slots * rows
        layers.project[(triton.cdiv(total, tile), weights.qkv.shape[0])](
            slots.x,
            weights.attention_norm,
            weights.qkv,
            slots.q,
            slots.key[index],
            slots.value[index],
            self.weights.cosine,
            self.weights.sine,
            slots.lane_slot,
            slots.counters,
            slots.length,
            slots.frame_end,
            slots.num_pending,
            slots.rows,
            config.norm_eps,
            WIDTH=config.width,
            HALF=config.head_width // 2,
            HEADS=config.tokens_per_forward,
            ROWS=rows,
            TILE=tile,
            STEP=STEP,
            PREFILL=is_prefill,
            RELEASED=self.positions == "released",
            LAST=is_last,
            PRECISION=self.vision.precision,
            num_warps=4,
            num_stages=3,
        )
        self._attend(index, 1 if is_last else rows)
        if is_last:
            self._finish(index, 1, slots.last, x_stride=rows, x_offset=rows - 1)
        else:
            self._finish(index, rows, slots.x, x_stride=1, x_offset=0)

    def _attend(self, index: int, rows: int) -> None:
        slots = self.slots
        count = slots.num_slots * rows
        lanes = Lanes(
            q_start=slots.q_start[rows],
            k_start=slots.k_start,
            k_len=slots.k_len,
            max_q=rows,
            max_k=slots.rows,
            causal=True,
        )
        q, out = slots.q[:count], slots.attended[:count]
        if rows > attention.FEW_ROWS and self.prefill_backend == "flash":
            out.copy_(attention.flash(q, slots.key[index], slots.value[index], lanes))
            return
        attention.launch_attend(q, slots.key[index], slots.value[index], out, lanes)

    def _finish(self, index: int, rows: int, out: Tensor, *, x_stride: int, x_offset: int) -> None:
        slots, config, weights = self.slots, self.config, self.weights.layers[index]
        tile = self._tile(rows)
        layers.finish[(triton.cdiv(slots.num_slots * rows, tile),)](
            slots.x,
            slots.attended,
            out,
            weights.out,
            weights.mlp_norm,
            weights.gate_up,
            weights.down,
            slots.counters,
            config.norm_eps,
            x_stride,
            x_offset,
            WIDTH=config.width,
            MLP=config.mlp_width,
            ROWS=rows,
            TILE=tile,
            STEP=STEP,
            PRECISION=self.vision.precision,
            num_warps=4,
            num_stages=3 if tile == 16 and weights.out.dtype != torch.float32 else 2,
        )

    def _heads_and_choice(self, is_prefill: bool) -> None:
        slots, config = self.slots, self.config
        columns = self.scores.shape[1]
        layers.heads[(triton.cdiv(slots.num_slots, 16), columns // STEP)](
            slots.last,
            self.weights.norm,
            self.weights.heads,
            self.scores,
            slots.counters,
            config.norm_eps,
            WIDTH=config.width,
            COLUMNS=columns,
            TILE=16,
            STEP=STEP,
            PRECISION=self.vision.precision,
            num_warps=4,
        )
        choose[(slots.num_slots,)](
            self.scores,
            slots.lane_slot,
            slots.counters,
            slots.phase,
            slots.frame,
            slots.length,
            slots.frame_end,
            slots.used,
            slots.pending,
            slots.num_pending,
            slots.taken,
            slots.forbidden,
            slots.cap,
            slots.threshold,
            slots.ids,
            slots.padded,
            slots.count,
            slots.forced,
            slots.forced_padded,
            slots.frames,
            slots.most,
            config.vision_tokens,
            COLUMNS=columns,
            CELLS=config.num_cells,
            SIZE=triton.next_power_of_2(config.num_cells),
            HEADS=config.tokens_per_forward,
            IS_PREFILL=is_prefill,
            FORCED=self.is_forced,
            TO_PREFILL=PREFILL,
            TO_BLOCK=BLOCK,
            TO_DONE=DONE,
            num_warps=4,
        )

    def _tile(self, rows: int) -> int:
        """Rows a program takes: a number of the phase, never of how many lanes there are."""
        if rows <= attention.FEW_ROWS or self.vision.precision == "ieee":
            return 16
        return 32 if self.weights.embed.dtype == torch.float32 else 64
