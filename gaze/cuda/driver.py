"""From videos to engines: clips stacked into waves, engines kept while their shape is asked for."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from gaze.cuda.engine import Engine
from gaze.decode import FrameGaze, Positions, slot_rows
from gaze.decoder import Decoder
from gaze.encoder import Encoder

MOST_SLOTS = 1024
"""Clips of one wave: more do not fill an H100 any better."""
CACHE_SHARE = 0.3
"""Share of the card's memory that the cache of one engine may take."""
ENGINES_KEPT = 2


class Driver:
    """Selects on one device for one model; holds the captured engines."""

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        positions: Positions,
        resize: Callable[[Tensor], Tensor],
    ) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.positions: Positions = positions
        self.resize = resize
        self.engines: OrderedDict[tuple[object, ...], Engine] = OrderedDict()

    def select(
        self,
        video: Tensor,
        caps: list[int],
        thresholds: list[float] | None,
        forbidden: Tensor | None,
    ) -> list[FrameGaze]:
        """All frames of (B, T, 3, H, W): whole clips together, then the shorter last one.

        Args:
            video: Preprocessed.
            caps: Most slots of each of the T frames.
            thresholds: Threshold of each frame, or None for none.
            forbidden: (B, cells) bool, or None.
        """
        size = self.decoder.config.clip_frames
        whole = len(caps) // size * size
        found: list[FrameGaze] = []
        for first, last, length in ((0, whole, size), (whole, len(caps), len(caps) - whole)):
            if first == last:
                continue
            limits = None if thresholds is None else thresholds[first:last]
            found += self._clips(video[:, first:last], length, caps[first:last], limits, forbidden)
        return found

    def _clips(
        self,
        video: Tensor,
        length: int,
        caps: list[int],
        thresholds: list[float] | None,
        forbidden: Tensor | None,
    ) -> list[FrameGaze]:
        """Clips of one length, in waves; their answers put back into frames of the video."""
        batch, device = video.shape[0], self.decoder.embed.weight.device
        clips = video.unflatten(1, (-1, length)).flatten(0, 1)  # (B * n, length, 3, H, W)
        per_video = clips.shape[0] // batch
        cap = torch.tensor(caps, dtype=torch.int32).view(per_video, length).repeat(batch, 1)
        limit = None
        if thresholds is not None:
            limit = torch.tensor(thresholds).view(per_video, length).repeat(batch, 1).to(device)
        if forbidden is not None:
            forbidden = forbidden.repeat_interleave(per_video, 0).to(device)
        most = cap.amax(0).tolist()
        at_once, answers = self._wave(most), []
        for first in range(0, clips.shape[0], at_once):
            wave = slice(first, first + at_once)
            part = self.resize(clips[wave])
            engine = self._engine(part.shape[0], most)
            engine.features(part)
            heads = engine.config.tokens_per_forward
            engine.decode(
                clips=part.shape[0],
                cap=cap[wave].to(device, non_blocking=True),
                threshold=None if limit is None else limit[wave],
                forbidden=None if forbidden is None else forbidden[wave],
                blocks_per_frame=None if limit is not None else [-(-m // heads) - 1 for m in most],
            )
            answers.append(engine.answers(part.shape[0]))
        ids, is_padding, count = (torch.cat(parts) for parts in zip(*answers, strict=True))
        shape = (batch, per_video)
        widths = count.unflatten(0, shape).amax(0).tolist()
        ids, is_padding = ids.unflatten(0, shape), is_padding.unflatten(0, shape)
        return [
            FrameGaze(ids[:, c, t, : widths[c][t]], is_padding[:, c, t, : widths[c][t]])
            for c in range(per_video)
            for t in range(length)
        ]

    def _wave(self, caps: list[int]) -> int:
        """Clips of one wave: a power of two whose cache fits its share of the card."""
        config, weight = self.decoder.config, self.decoder.embed.weight
        values = 2 * config.num_layers * config.width * slot_rows(config, caps)
        memory = torch.cuda.get_device_properties(weight.device).total_memory
        fitting = int(CACHE_SHARE * memory / (values * weight.element_size()))
        return int(min(MOST_SLOTS, 1 << max(0, fitting.bit_length() - 1)))

    def _engine(self, clips: int, caps: list[int]) -> Engine:
        """An engine with room for the clips: a power of two of slots, so that few are captured."""
        slots = 1 << (clips - 1).bit_length()
        dtype = self.decoder.embed.weight.dtype
        key = (slots, tuple(caps), dtype, self.positions)
        if key not in self.engines:
            while len(self.engines) >= ENGINES_KEPT:
                self.engines.popitem(last=False)
            self.engines[key] = Engine(
                self.encoder,
                self.decoder,
                num_slots=slots,
                caps=caps,
                dtype=dtype,
                positions=self.positions,
            )
        self.engines.move_to_end(key)
        return self.engines[key]
