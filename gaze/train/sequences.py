"""Gazes as training needs them: ragged per clip and frame, and scored by the model in one forward.

Letters: B clips, T frames, M slots of the longest frame, P vision tokens of a frame, K tokens a
forward, V vocabulary, C width, R rows of the longest sequence.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.decode import FrameGaze
from gaze.decoder import Decoder, Layer
from gaze.gazes import Gaze


@dataclass(frozen=True)
class Sequences:
    """What was gazed at, frame by frame.

    Attributes:
        ids: (B, T, M) int64 in gazing order; -1 after the last of a frame.
    """

    ids: Tensor

    @classmethod
    def from_lists(cls, clips: Sequence[Sequence[Sequence[int]]]) -> Sequences:
        """Of plain ids, ``clips[clip][frame][slot]``."""
        longest = max((len(frame) for clip in clips for frame in clip), default=0)
        padded = [[[*f, *[-1] * (longest - len(f))] for f in clip] for clip in clips]
        shape = len(clips), len(clips[0]), longest
        return cls(torch.tensor(padded, dtype=torch.int64).view(shape))

    @classmethod
    def from_frames(cls, frames: Sequence[FrameGaze]) -> Sequences:
        """Of decoded frames, without their padded slots."""
        longest = max(int((~frame.is_padding).sum(1).max()) for frame in frames)
        packed = []
        for frame in frames:
            order = frame.is_padding.to(torch.int8).argsort(dim=1, stable=True)
            ids = frame.ids.masked_fill(frame.is_padding, -1).gather(1, order)[:, :longest]
            packed.append(F.pad(ids, (0, longest - ids.shape[1]), value=-1))
        return cls(torch.stack(packed, 1))

    @property
    def is_real(self) -> Tensor:
        """(B, T, M) bool."""
        return self.ids >= 0

    @property
    def count(self) -> Tensor:
        """(B, T) ids of each frame."""
        return self.is_real.sum(-1)

    def mask(self, num_cells: int) -> Tensor:
        """(B, T, cells) bool: which cells are kept."""
        seen = torch.zeros(
            *self.ids.shape[:2], num_cells + 1, dtype=torch.bool, device=self.ids.device
        )
        where = torch.where(self.is_real, self.ids, num_cells)
        return seen.scatter_(2, where, True)[..., :num_cells]

    def gaze(self, cells_per_scale: tuple[int, ...]) -> Gaze:
        """The same in the slots of a `Gaze`."""
        frames = [FrameGaze(ids, ids < 0) for ids in self.ids.unbind(1)]
        return Gaze.from_frames(frames, cells_per_scale)

    def lists(self) -> list[list[list[int]]]:
        """Plain ids, ``[clip][frame][slot]``."""
        return [
            [[i for i in frame if i >= 0] for frame in clip] for clip in self.ids.cpu().tolist()
        ]


class Scored(NamedTuple):
    """What the model says about finished sequences.

    Attributes:
        log_prob: (B, T, M) of each id given what came before its block; 0 where there is none.
        loss: (B, T, M) predicted loss of the frame once that id is added; 0 where there is none.
        cost: (B, T, M) what drawing an id there would cost on average; None where nobody asked.
    """

    log_prob: Tensor
    loss: Tensor
    cost: Tensor | None = None


class Costs(NamedTuple):
    """What every cell would cost at every place of a sequence.

    Attributes:
        values: (B, T, M, cells).
        temperature: Of the probabilities by which they are averaged, beside the one of `score`.
    """

    values: Tensor
    temperature: float


def score(
    decoder: Decoder,
    features: Tensor,
    sequences: Sequences,
    *,
    excludes_chosen: bool = False,
    temperature: float = 1.0,
    targets: Tensor | None = None,
    costs: Costs | None = None,
) -> Scored:
    """Score sequences with gradients, at natural positions, teacher forced.

    The same numbers as `AutoGaze.log_prob`, with two differences that only cost: the vision tokens
    are given, so that many sequences of one clip share them, and the last layer runs for the rows
    that the heads read.

    Args:
        decoder: The model's.
        features: (B, T, P, C) vision tokens.
        sequences: Of these clips.
        excludes_chosen: Whether an id that the frame has used has no probability, as in decoding;
            the released code counts it.
        temperature: Of the probabilities.
        targets: (B, T, M, cells) how often each cell is wanted instead of the id alone: its
            logarithms are averaged so.
        costs: Of drawing each cell instead.
    """
    ids, num_vision = sequences.ids, features.shape[2]
    count, heads = sequences.count, decoder.config.tokens_per_forward
    end = (count + num_vision).cumsum(1)  # (B, T) rows up to a frame's last
    vision = (end - count - num_vision).unsqueeze(-1) + torch.arange(num_vision, device=ids.device)
    rows = int(end[:, -1].max())
    token = (end - count).unsqueeze(-1) + torch.arange(ids.shape[2], device=ids.device)
    token = torch.where(sequences.is_real, token, rows)  # a row that is cut off again
    where = torch.cat([vision.flatten(1), token.flatten(1)], 1)  # (B, T * (P + M))
    embedded = decoder.embed(ids.clamp(min=0)).to(features.dtype)
    packed = torch.cat([features.flatten(1, 2), embedded.flatten(1, 2)], 1)
    place = where.unsqueeze(-1).expand_as(packed)
    x = packed.new_zeros(ids.shape[0], rows + 1, packed.shape[-1]).scatter(1, place, packed)
    # Block b of a frame is read off the row before its first token; one block more, because the
    # loss after a block's last token is the next block's first.
    block = torch.arange(ids.shape[2] // heads + 1, device=ids.device)
    source = (end - count).unsqueeze(-1) - 1 + heads * block  # (B, T, blocks)
    source = torch.minimum(source, end.unsqueeze(-1) - 1)
    hidden = _hidden_at(decoder, x[:, :rows], source.flatten(1))
    logits, loss = decoder.heads(hidden.unflatten(1, source.shape[1:]))
    logits = logits.flatten(2, 3)[:, :, : ids.shape[2]] / temperature  # (B, T, M, V)
    if excludes_chosen:
        logits = logits.masked_fill(_used_before(sequences, logits.shape[-1]), -torch.inf)
    log_prob = _wanted(logits, ids, targets) - logits.logsumexp(-1)
    losses = loss.flatten(2)[:, :, 1 : ids.shape[2] + 1]
    found = Scored(*(part.masked_fill(~sequences.is_real, 0.0) for part in (log_prob, losses)))
    if costs is None:
        return found
    share = (logits / costs.temperature).softmax(-1)[..., : costs.values.shape[-1]]
    cost = (share * costs.values).sum(-1)
    return found._replace(cost=cost.masked_fill(~sequences.is_real, 0.0))


def _wanted(logits: Tensor, ids: Tensor, targets: Tensor | None) -> Tensor:
    """(B, T, M) the logit of each id, or the mean logit of what is wanted."""
    if targets is None:
        return logits.gather(-1, ids.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    known = logits[..., : targets.shape[-1]]
    return (targets * known.masked_fill(targets == 0, 0.0)).sum(-1)


def _used_before(sequences: Sequences, vocab: int) -> Tensor:
    """(B, T, M, V) bool: ids that a frame has used before a slot, and the end of a sequence."""
    once = F.one_hot(sequences.ids.clamp(min=0), vocab).to(torch.int16)
    once = once * sequences.is_real.unsqueeze(-1)
    used = (once.cumsum(2) - once) > 0
    used[..., -1] = True
    return used & sequences.is_real.unsqueeze(-1)


def _hidden_at(decoder: Decoder, x: Tensor, rows: Tensor) -> Tensor:
    """Causal forward over (B, R, C) of which only some rows (B, r) are wanted: (B, r, C)."""
    cos, sin = decoder.rotary(torch.arange(x.shape[1], device=x.device))
    layers = [layer for layer in decoder.layers if isinstance(layer, Layer)]
    for layer in layers[:-1]:
        q, k, v = (part.transpose(1, 2) for part in layer.project(x, cos, sin))  # (B, H, R, D)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = layer.finish(x, attended.transpose(1, 2))
    q, k, v = (part.transpose(1, 2) for part in layers[-1].project(x, cos, sin))
    q = q.gather(2, rows[:, None, :, None].expand(-1, q.shape[1], -1, q.shape[3]))
    is_seen = torch.arange(x.shape[1], device=x.device) <= rows.unsqueeze(-1)  # (B, r, R)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=is_seen.unsqueeze(1))
    wanted = x.gather(1, rows.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    return layers[-1].finish(wanted, attended.transpose(1, 2))
