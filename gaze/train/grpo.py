"""Stage two: lower the reconstruction's loss itself (arXiv 2603.12254, section 3.2, appendix B).

A simplified GRPO: on-policy, so no ratio is clipped; no KL; the advantage is the return less the
group's mean, not divided by its deviation or by the length (Dr. GRPO, arXiv 2503.20783). The
lengths of a group come from one roll-out with a loss threshold, so that all its members can be
compared cell by cell.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from gaze.model import AutoGaze
from gaze.preprocess import normalize
from gaze.train.batches import Batch
from gaze.train.clips import draws
from gaze.train.pyramid import Pyramid
from gaze.train.reconstruction import Reconstruction
from gaze.train.rollout import roll_out, sample
from gaze.train.sequences import Sequences, score
from hlvid.types import Record

Share = Annotated[float, Field(gt=0, le=1)]


class GrpoSettings(Record):
    """How the second stage explores, and what it is paid for.

    The released code differs from the paper in three of these: `threshold_low` 0.5 and
    `threshold_high` 1.0, and temperatures from 3 to 0.3.
    """

    group: Annotated[int, Field(ge=2)] = 12
    discount: Share = 0.995
    """For each cell gazed at between a choice and the loss that it is paid with."""
    rewarded_frames: Annotated[int, Field(ge=1)] | None = 2
    """How many frames, drawn for each batch, are reconstructed; None for all."""
    threshold_low: float = 0.7
    threshold_high: float = 0.7
    """The threshold that sets the lengths, drawn evenly for each clip."""
    cap_ratio: Share = 0.75
    budget_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of clips whose lengths are drawn as budgets of labels are instead, so that every
    budget is trained and not one loss alone; the paper has none."""
    temperature_start: Annotated[float, Field(gt=0)] = 1.0
    temperature_end: Annotated[float, Field(gt=0)] = 0.01
    schedule: Literal["exponential", "linear"] = "exponential"
    """Of the temperature; the paper does not tell it, the released code's is exponential."""
    loss_weight: float = 1.0
    """Of the squared error of the loss predicted at each rewarded frame's last cell."""
    excludes_chosen: bool = True
    """Whether probabilities are those that are sampled from, without ids that the frame has used;
    the released code counts these in."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Of the advantages."""

    def temperature(self, done: float) -> float:
        """After a share of the steps."""
        start, end = self.temperature_start, self.temperature_end
        if self.schedule == "linear":
            return start + done * (end - start)
        return float(start * (end / start) ** done)


class PolicyGradient(nn.Module):
    """Rolls out, rewards, and scores what was rolled out.

    Attributes:
        done: Share of the run's steps that are behind; it sets the temperature.
    """

    def __init__(
        self,
        model: AutoGaze,
        reconstruction: Reconstruction,
        settings: GrpoSettings,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.reconstruction, self.settings = model, reconstruction, settings
        self.seed, self.done = seed, 0.0

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The objective ("loss") and what it is made of."""
        settings, model = self.settings, self.model
        temperature = settings.temperature(self.done)
        features, _ = model.encoder(normalize(batch.pixels))
        with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
            plain = features.detach().float()
            caps = self._lengths(batch, plain)
            many = plain.repeat_interleave(settings.group, 0)
            caps = caps.repeat_interleave(settings.group, 0)
            seed = int(draws("roll-out", self.seed, batch.number).integers(2**62))
            found = sample(model.decoder, many, caps, temperature=temperature, seed=seed)
            frames = self._frames(batch)
            losses = self._losses(batch.pixels, found, frames)  # (B * G, rewarded)
            advantage = self._advantage(found, losses, frames)  # (B * G, T, M)
        scored = score(
            model.decoder,
            features.repeat_interleave(settings.group, 0),
            found,
            excludes_chosen=settings.excludes_chosen,
            temperature=temperature,
        )
        # Dr. GRPO divides by a constant, not by each sequence's length.
        policy = -(advantage * scored.log_prob).sum() / found.ids[..., 0].numel()
        last = (found.count - 1).unsqueeze(-1)
        predicted = scored.loss.gather(2, last).squeeze(2)[:, frames]
        squared = (predicted - losses).square().mean()
        return {
            "loss": settings.scale * policy + settings.loss_weight * squared,
            "reconstruction": losses.mean(),
            "spread": losses.unflatten(0, (-1, settings.group)).std(1).mean(),
            "cells": found.count.float().mean(),
            "loss_error": squared.detach().sqrt(),
        }

    def _lengths(self, batch: Batch, features: Tensor) -> Tensor:
        """(B, T) cells of each frame: as a threshold has them, or as budgets are drawn."""
        settings, config = self.settings, self.model.config
        clips, num_frames = features.shape[:2]
        rng = draws("lengths", self.seed, batch.number)
        threshold = rng.uniform(settings.threshold_low, settings.threshold_high, clips)
        cap = torch.full((clips, num_frames), config.cap(settings.cap_ratio))
        found = roll_out(
            self.model.decoder,
            features,
            cap.to(features.device),
            threshold=torch.from_numpy(threshold).float().to(features.device),
        )
        lengths = found.count.clamp(min=1)
        if batch.budgets is None:
            return lengths
        is_drawn = torch.from_numpy(rng.random(clips) < settings.budget_share).to(lengths.device)
        return torch.where(is_drawn.unsqueeze(1), batch.budgets, lengths)

    def _frames(self, batch: Batch) -> list[int]:
        num_frames = batch.pixels.shape[1]
        wanted = min(self.settings.rewarded_frames or num_frames, num_frames)
        drawn = draws("rewarded", self.seed, batch.number).choice(num_frames, wanted, replace=False)
        return [int(frame) for frame in np.sort(drawn)]

    def _losses(self, pixels: Tensor, found: Sequences, frames: list[int]) -> Tensor:
        """(B * G, rewarded frames)."""
        if isinstance(self.reconstruction, Pyramid):  # one table serves the whole group
            table = self.reconstruction.table(pixels).repeat(self.settings.group)
            return table.losses(found.mask(table.num_cells))[:, frames]
        gaze = found.gaze(self.reconstruction.cells_per_scale)
        many = pixels.repeat_interleave(self.settings.group, 0)
        return self.reconstruction.losses(many, gaze, frames=frames)

    def _advantage(self, found: Sequences, losses: Tensor, frames: list[int]) -> Tensor:
        """(B * G, T, M) return of each cell less the mean of its group; equation 4."""
        returns = discounted_returns(
            found.count, found.ids.shape[-1], losses, frames, self.settings.discount
        )
        grouped = returns.unflatten(0, (-1, self.settings.group))
        centred = (grouped - grouped.mean(1, keepdim=True)).flatten(0, 1)
        return centred.masked_fill(~found.is_real, 0.0)


def discounted_returns(
    count: Tensor, num_slots: int, losses: Tensor, frames: list[int], discount: float
) -> Tensor:
    """What each cell is paid: minus the losses of its own frame and those after it.

    Args:
        count: (B, T) cells of each frame.
        num_slots: M.
        losses: (B, rewarded frames).
        frames: Which these are.
        discount: For each cell between this one and the last of the rewarded frame.

    Returns:
        (B, T, M); meaningless after a frame's last cell.
    """
    end = count.cumsum(1)  # (B, T) cells up to a frame's last
    slot = torch.arange(num_slots, device=count.device)
    step = (end - count).unsqueeze(-1) + slot  # (B, T, M) number of a cell
    returns = losses.new_zeros(step.shape)
    for column, frame in enumerate(frames):
        away = end[:, frame, None, None] - 1 - step[:, : frame + 1]
        paid = discount ** away.clamp(min=0) * losses[:, column, None, None]
        returns[:, : frame + 1] -= paid
    return returns
