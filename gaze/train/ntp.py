"""Stage one: predict the greedy sequence and its losses (arXiv 2603.12254, section 3.2)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from gaze.model import AutoGaze
from gaze.preprocess import normalize
from gaze.train.batches import Batch
from gaze.train.labels import Labels, along
from gaze.train.rollout import roll_out
from gaze.train.sequences import Costs, score
from hlvid.types import Record

_LEAST = 1e-5
"""A smaller gain is none: half precision does not tell it from others."""


class NtpSettings(Record):
    """What the first stage minimises.

    Args:
        loss_weight: Of the squared error of the predicted losses; the paper does not tell it.
        loss_delta: Error from which on it counts linearly and no longer squared (Huber 1964): a
            flat clip begins at a hundred times the loss of others, and its first cells would decide
            the step. None, the paper's: squared throughout.
        sharpness: The target at each place of a sequence is every cell's gain to this power, their
            sum 1, instead of the greedy cell alone, which is the limit of large powers. Many cells
            gain almost as much as the best one, and which of them is first is noise. Needs gains,
            so not labels from a file. None, the paper's: the greedy cell alone.
        excludes_chosen: Whether an id that the frame has used already has no probability. The
            paper does not say; the released code leaves it its probability, though it can never be
            chosen. Excluding it makes what is learnt what is decoded.
        own: Whether the sequences are what the model itself gazes at, and the targets what would
            have been best there, as DAgger does it (Ross et al. 2011, arXiv 1011.0686): a model
            that gazes meets what its own gazes left out, which greedy ones never show. For a model
            that was taught greedy sequences before. Needs sharpness. False, the paper's.
        regret_weight: Of what the model's probabilities give away: at each place of a sequence
            the gain of the best cell less the mean gain of the cells drawn by them, summed over a
            frame. Cross-entropy counts a place where every cell gains next to nothing like one
            where the choice decides the frame; this counts each by what is at stake (the
            cost-sensitive side of imitation, Ross and Bagnell 2014, arXiv 1406.5979). Needs
            sharpness. 0, the paper's.
        regret_temperature: Of these probabilities; small ones ask for the likeliest cell alone.
        cross_entropy_weight: Of the cross-entropy.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        {"regret_weight", "regret_temperature", "cross_entropy_weight"}
    )

    loss_weight: float = 1.0
    loss_delta: Annotated[float, Field(gt=0)] | None = None
    sharpness: Annotated[float, Field(gt=0)] | None = None
    excludes_chosen: bool = False
    own: bool = False
    regret_weight: Annotated[float, Field(ge=0)] = 0.0
    regret_temperature: Annotated[float, Field(gt=0)] = 1.0
    cross_entropy_weight: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _check_gains(self) -> NtpSettings:
        if self.own and self.sharpness is None:
            raise ValueError("own: needs sharpness: one's own gazes are no targets")
        if self.regret_weight and self.sharpness is None:
            raise ValueError("regret_weight: needs sharpness, with which gains are noted")
        if not self.regret_weight and not self.cross_entropy_weight:
            raise ValueError("cross_entropy_weight: 0 needs regret_weight, or no choice is learnt")
        return self


class NextToken(nn.Module):
    """Cross-entropy of the ids and squared error of the losses, teacher forced."""

    def __init__(self, model: AutoGaze, settings: NtpSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The objective ("loss") and its parts, each a mean over the ids of the batch."""
        features, _ = self.model.encoder(normalize(batch.pixels))
        labels = self._own(batch, features) if self.settings.own else batch.labels
        assert labels is not None, "the loader was asked for labels"
        sequences = labels.sequences
        scored = score(
            self.model.decoder,
            features,
            sequences,
            excludes_chosen=self.settings.excludes_chosen,
            targets=self._targets(labels),
            costs=self._costs(labels),
        )
        num_ids = sequences.is_real.sum()
        nll = -scored.log_prob.sum() / num_ids
        off = scored.loss - labels.losses
        squared = off.square()
        if (delta := self.settings.loss_delta) is not None:
            squared = torch.where(off.abs() > delta, delta * (2 * off.abs() - delta), squared)
        error = squared.sum() / num_ids
        settings = self.settings
        found = {
            "loss": settings.cross_entropy_weight * nll + settings.loss_weight * error,
            "cross_entropy": nll.detach(),
            "loss_error": error.detach().sqrt(),
        }
        if scored.cost is not None:
            regret = scored.cost.sum() / sequences.ids[..., 0].numel()
            found["loss"] = found["loss"] + settings.regret_weight * regret
            found["regret"] = regret.detach()
        return found

    @torch.no_grad()
    def _own(self, batch: Batch, features: Tensor) -> Labels:
        """Labels along what the model gazes at now."""
        assert batch.table is not None, "the loader was asked for tables"
        assert batch.budgets is not None, "the loader was asked for budgets"
        with torch.autocast(features.device.type, enabled=False):
            gazes = roll_out(self.model.decoder, features.float(), batch.budgets)
            return along(batch.table, gazes)

    def _costs(self, labels: Labels) -> Costs | None:
        """What is given away by every cell instead of the best."""
        settings = self.settings
        if not settings.regret_weight:
            return None
        assert labels.gains is not None, "the loader was asked for gains"
        gains = labels.gains.float()
        best = gains.amax(-1, keepdim=True)
        # A clip without contrast begins at a hundred times the loss of others.
        return Costs((best - gains) / best.clamp(min=1.0), settings.regret_temperature)

    def _targets(self, labels: Labels) -> Tensor | None:
        """(B, T, M, cells) shares, or None for the greedy cells alone."""
        sharpness = self.settings.sharpness
        if sharpness is None:
            return None
        assert labels.gains is not None, "the loader was asked for gains"
        gains = labels.gains.float()
        powers = (gains / gains.amax(-1, keepdim=True).clamp(min=_LEAST)) ** sharpness
        best = F.one_hot(labels.sequences.ids.clamp(min=0), gains.shape[-1])
        is_flat = gains.amax(-1, keepdim=True) < _LEAST
        powers = torch.where(is_flat, best, powers)
        return powers / powers.sum(-1, keepdim=True)
