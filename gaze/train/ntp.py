"""Stage one: predict the greedy sequence and its losses (arXiv 2603.12254, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from gaze.model import AutoGaze
from gaze.preprocess import normalize
from gaze.train.batches import Batch
from gaze.train.sequences import score
from hlvid.types import Record


class NtpSettings(Record):
    """What the first stage minimises.

    Args:
        loss_weight: Of the squared error of the predicted losses; the paper does not tell it.
        excludes_chosen: Whether an id that the frame has used already has no probability. The
            paper does not say; the released code leaves it its probability, though it can never be
            chosen. Excluding it makes what is learnt what is decoded.
    """

    loss_weight: float = 1.0
    excludes_chosen: bool = False


class NextToken(nn.Module):
    """Cross-entropy of the ids and squared error of the losses, teacher forced."""

    def __init__(self, model: AutoGaze, settings: NtpSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The objective ("loss") and its parts, each a mean over the ids of the batch."""
        assert batch.labels is not None, "the loader was asked for labels"
        labels, sequences = batch.labels, batch.labels.sequences
        features, _ = self.model.encoder(normalize(batch.pixels))
        scored = score(
            self.model.decoder,
            features,
            sequences,
            excludes_chosen=self.settings.excludes_chosen,
        )
        num_ids = sequences.is_real.sum()
        nll = -scored.log_prob.sum() / num_ids
        squared = (scored.loss - labels.losses).square().sum() / num_ids
        return {
            "loss": nll + self.settings.loss_weight * squared,
            "cross_entropy": nll.detach(),
            "loss_error": squared.detach().sqrt(),
        }
