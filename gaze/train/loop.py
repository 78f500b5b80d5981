"""Both stages of AutoGaze's training, as a course of the loop in `gaze.train.slices`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

from gaze.train.batches import Batch
from gaze.train.grpo import PolicyGradient
from gaze.train.judging import chosen_losses
from gaze.train.ntp import NextToken
from gaze.train.settings import TrainSettings
from gaze.train.slices import LOSS, Slice, Told, run_slice
from gaze.train.sources import training_batches, validation_batch
from gaze.train.start import begin
from gaze.train.state import write_model

VALIDATION_RATIO = 0.1
"""Kept share of cells at which models of one run are compared."""
PIXEL_SHARE = 0.1
"""Of the learning rate, for the projection of pixels."""


def train(
    settings: TrainSettings,
    folder: Path,
    *,
    max_minutes: float | None = None,
    num_workers: int = 0,
    tell: Told = lambda _step, _values: None,
) -> Slice:
    """Train until the last step, or until the time is over: `run_slice` says how.

    Args:
        settings: Of the stage.
        folder: Of the run.
        max_minutes: When to stop; the steps up to the next save are finished first.
        num_workers: Processes that make batches.
        tell: Called with every line of the log.

    Raises:
        UserError: The folder holds another run, or data or weights cannot be read.
    """
    return run_slice(
        lambda: _Gazing(settings),
        settings,
        folder,
        max_minutes=max_minutes,
        num_workers=num_workers,
        tell=tell,
    )


class _Gazing:
    """A course of one of the two stages."""

    weight_decay = 0.0
    rests = False

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings
        self.pyramid = settings.model.pyramid()
        judge = settings.reconstruction.load(self.pyramid)
        self.model = begin(settings, loss_kind=judge.kind)
        self.objective: NextToken | PolicyGradient = (
            NextToken(self.model, settings.ntp)
            if settings.stage == "ntp"
            else PolicyGradient(self.model, judge, settings.grpo, seed=settings.seed)
        )
        self._validation: Batch | None = None

    def batches(self) -> Dataset[Batch]:
        """The batches of the stage."""
        return training_batches(self.settings)

    def share(self, name: str, parameter: nn.Parameter) -> float:
        """Less for layers of more inputs than the model is wide, least for the pixels' own.

        A step of Adam moves every weight alike, and a sum over many inputs by as many times that
        (Yang et al. 2022, arXiv 2203.03466). Pixels are nearly alike besides: with more than this
        their projection forgets detail within a hundred steps.
        """
        num_inputs = parameter[0].numel() if parameter.ndim > 1 else 1
        share = min(1.0, self.settings.model.width / num_inputs)
        return share * PIXEL_SHARE if name.startswith("encoder.patch") else share

    def begin_step(self, step: int) -> None:
        """The temperature of the second stage follows the step."""
        if isinstance(self.objective, PolicyGradient):
            self.objective.done = step / self.settings.steps

    def summarise(self, values: Mapping[str, float]) -> dict[str, float]:
        """Means as they are."""
        return dict(values)

    def validate(self, step: int, device: torch.device) -> Mapping[str, float]:
        """The model's loss on clips of other sources."""
        del step
        if self._validation is None:
            self._validation = validation_batch(self.settings).to(device)
        losses = chosen_losses(
            self.model, self._validation.pixels, self.pyramid, ratio=VALIDATION_RATIO
        )
        return {LOSS: float(losses.mean())}

    def write_best(self, folder: Path) -> None:
        """Write a checkpoint in the released layout."""
        write_model(folder, self.model)
