"""Gazing as the model that is being trained does it: with a threshold, or by drawing cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gaze.config import Positions
from gaze.decode import FrameDecoder, new_state, slot_rows
from gaze.decoder import Decoder
from gaze.train.sequences import Sequences


def roll_out(
    decoder: Decoder,
    features: Tensor,
    caps: Tensor,
    *,
    threshold: Tensor | None = None,
    positions: Positions = "natural",
) -> Sequences:
    """Gaze at clips, always taking the likeliest cell.

    Args:
        decoder: The model's.
        features: (B, T, P, C) vision tokens.
        caps: (B, T) most cells of each frame.
        threshold: (B,) predicted loss at which a frame ends.
        positions: Those that the model was made for; all training here is at natural ones.
    """
    batch, num_frames = features.shape[:2]
    rows = slot_rows(decoder.config, caps.amax(0).tolist())
    state = new_state(decoder, batch=batch, rows=rows)
    engine = FrameDecoder(decoder, state, positions=positions)
    limit = features.new_full((batch,), -torch.inf) if threshold is None else threshold
    return Sequences.from_frames(
        [engine.frame(features[:, t], cap=caps[:, t], threshold=limit) for t in range(num_frames)]
    )


def sample(
    decoder: Decoder, features: Tensor, caps: Tensor, *, temperature: float, seed: int
) -> Sequences:
    """Gaze at clips, drawing cells from the model's probabilities without those already used.

    Args:
        decoder: The model's.
        features: (B, T, P, C) vision tokens.
        caps: (B, T) cells of each frame.
        temperature: Of the probabilities.
        seed: Of the draws.
    """
    return roll_out(_Drawing(decoder, temperature, seed), features, caps)


class _Drawing(Decoder):
    """A decoder whose largest logit is a draw from its probabilities (Gumbel's trick)."""

    def __init__(self, decoder: Decoder, temperature: float, seed: int) -> None:
        nn.Module.__init__(self)  # it shares the other's parts, and has none of its own
        self.config, self.embed, self.rotary = decoder.config, decoder.embed, decoder.rotary
        self.layers, self.norm = decoder.layers, decoder.norm
        self.token_head, self.loss_head = decoder.token_head, decoder.loss_head
        self._temperature = temperature
        device = decoder.embed.weight.device
        self._generator = torch.Generator(device).manual_seed(seed)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Perturbed logits (..., K, V) and losses (..., K)."""
        logits, losses = super().heads(x)
        noise = torch.empty_like(logits).exponential_(generator=self._generator)
        return logits / self._temperature - noise.clamp(min=1e-30).log(), losses
