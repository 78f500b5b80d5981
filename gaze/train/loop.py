"""The loop of both stages, in slices that can be stopped anywhere and go on anywhere.

It runs on a CPU, a GPU, or several (`accelerate launch`). Batch m of process r is number
``m * processes + r``: nobody shuffles, so nothing has to be remembered but the step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import AdamW

from gaze.model import AutoGaze
from gaze.train.batches import Batch, load
from gaze.train.clips import draws
from gaze.train.grpo import PolicyGradient
from gaze.train.journal import Journal
from gaze.train.judging import chosen_losses
from gaze.train.ntp import NextToken
from gaze.train.reconstruction import Reconstruction
from gaze.train.settings import TrainSettings
from gaze.train.sources import training_batches, validation_batch
from gaze.train.start import begin
from gaze.train.state import (
    STATE_NAME,
    Progress,
    load_state,
    round_moments,
    save_state,
    write_model,
)
from hlvid.errors import UserError

BEST = "best"
VALIDATION_RATIO = 0.1
"""Kept share of cells at which models of one run are compared."""

PIXEL_SHARE = 0.1
"""Of the learning rate, for the projection of pixels."""

Told = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Slice:
    """What one call of `train` did.

    Attributes:
        first_step: Steps that were done before.
        progress: Where the run is now.
        is_done: Whether nothing is left.
        seconds: It took.
        is_main: Whether this process is the one of several that speaks.
    """

    first_step: int
    progress: Progress
    is_done: bool
    seconds: float
    is_main: bool


def train(
    settings: TrainSettings,
    folder: Path,
    *,
    max_minutes: float | None = None,
    num_workers: int = 0,
    reconstruction: Reconstruction | None = None,
    tell: Told = lambda _step, _values: None,
) -> Slice:
    """Train until the last step, or until the time is over.

    The folder then holds the run's last state (`last.safetensors`), its best model by validation
    (`best/`), its log and TensorBoard's files. Called again with the same settings it goes on, on
    this machine or another.

    Args:
        settings: Of the stage.
        folder: Of the run.
        max_minutes: When to stop; the steps up to the next save are finished first.
        num_workers: Processes that make batches.
        reconstruction: What the second stage lowers; `Pyramid` by default.
        tell: Called with every line of the log.

    Raises:
        UserError: The folder holds another run, or data or weights cannot be read.
    """
    started = time.monotonic()
    run = _Run(settings, folder, reconstruction)
    first_step = run.progress.step
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder, step=first_step)) if run.is_main else None
        batches = run.batches(num_workers)
        while run.progress.step < settings.steps:
            values = run.step(batches)
            step = run.progress.step
            is_last = step == settings.steps
            if step % settings.log_every and not is_last:
                values = {}
            if step % settings.validate_every == 0 or is_last:
                values |= run.validate()
            if values and journal is not None:
                journal.note(step, values)
                tell(step, values)
            if step % settings.save_every == 0 or is_last:
                run.save()
                if run.is_over(started, max_minutes):
                    break
    seconds = time.monotonic() - started
    is_done = run.progress.step == settings.steps
    return Slice(first_step, run.progress, is_done, seconds, run.is_main)


def rates(model: AutoGaze) -> list[dict[str, Any]]:
    """Parameters with the share of the learning rate that each has.

    A step of Adam moves every weight alike, and a sum over many inputs by as many times that. So
    layers of more inputs than the model is wide have a smaller share (Yang et al. 2022,
    arXiv 2203.03466), and the projection of pixels, which are nearly alike, one smaller still:
    otherwise it forgets detail within a hundred steps.
    """
    found = []
    for name, parameter in model.named_parameters():
        num_inputs = parameter[0].numel() if parameter.ndim > 1 else 1
        share = min(1.0, model.config.width / num_inputs)
        if name.startswith("encoder.patch"):
            share *= PIXEL_SHARE
        found.append({"params": [parameter], "share": share})
    return found


class _Run:
    """A run's model and optimiser, and where it is."""

    def __init__(
        self, settings: TrainSettings, folder: Path, reconstruction: Reconstruction | None
    ) -> None:
        self.settings, self.folder = settings, folder
        self.accelerator = Accelerator(
            mixed_precision="no" if settings.precision == "fp32" else settings.precision,
            gradient_accumulation_steps=settings.accumulate,
        )
        self.is_main = self.accelerator.is_main_process
        self.pyramid = settings.model.pyramid()
        judge = reconstruction or self.pyramid
        self.model = begin(settings, loss_kind=judge.kind).to(self.accelerator.device)
        self.optimiser = AdamW(rates(self.model), lr=1.0, weight_decay=0.0, fused=True)
        self.progress = self._progress()
        self.objective: NextToken | PolicyGradient = (
            NextToken(self.model, settings.ntp)
            if settings.stage == "ntp"
            else PolicyGradient(self.model, judge, settings.grpo)
        )
        self.prepared: nn.Module = self.accelerator.prepare_model(self.objective)
        self.prepared_optimiser = self.accelerator.prepare_optimizer(self.optimiser)
        self._validation: Batch | None = None
        self._seen = time.monotonic(), self.progress.step

    def _progress(self) -> Progress:
        """Where the run in the folder is; at the beginning, where there is none."""
        path = self.folder / STATE_NAME
        if not path.exists():
            return Progress(settings_sha256=self.settings.sha256)
        found = load_state(path, self.model, self.optimiser)
        if found.settings_sha256 != self.settings.sha256:
            raise UserError(
                f"{self.folder}: was begun with other settings. Allowed are the ones that it was "
                "begun with; take another folder for these."
            )
        return found

    def batches(self, num_workers: int) -> Iterator[Batch]:
        """The batches of this process that are left."""
        accelerator, num = self.accelerator, self.accelerator.num_processes
        accumulate = self.settings.accumulate
        first = self.progress.step * accumulate * num + accelerator.process_index
        numbers = range(first, self.settings.steps * accumulate * num, num)
        with accelerator.main_process_first():  # it draws scenes that others then find
            batches = training_batches(self.settings)
        on_gpu = accelerator.device.type == "cuda"
        return load(batches, numbers, num_workers=num_workers, pins_memory=on_gpu)

    def step(self, batches: Iterator[Batch]) -> dict[str, float]:
        """One step of the optimiser; what is to be told of it."""
        settings, accelerator = self.settings, self.accelerator
        rate = settings.learning_rate_at(self.progress.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        if isinstance(self.objective, PolicyGradient):
            self.objective.done = self.progress.step / settings.steps
        totals: dict[str, Tensor] = {}
        for _ in range(settings.accumulate):
            batch = next(batches).to(accelerator.device)
            torch.manual_seed(int(draws("step", settings.seed, batch.number).integers(2**62)))
            with accelerator.accumulate(self.prepared):
                found = self.prepared(batch)
                accelerator.backward(found["loss"])
                if settings.clip_norm is not None and accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
                self.prepared_optimiser.step()
                self.prepared_optimiser.zero_grad()
            for name, value in found.items():
                totals[name] = totals.get(name, torch.zeros_like(value)) + value.detach()
        self.progress = self.progress.model_copy(update={"step": self.progress.step + 1})
        if self.progress.step % settings.log_every and self.progress.step != settings.steps:
            return {}
        return self._means(totals) | {"learning_rate": rate, "seconds_a_step": self._pace()}

    def _means(self, totals: Mapping[str, Tensor]) -> dict[str, float]:
        """Of all forwards of a step, on all processes."""
        stacked = torch.stack([value.float() for value in totals.values()])
        mean = self.accelerator.reduce(stacked / self.settings.accumulate, reduction="mean")
        return dict(zip(totals, mean.tolist(), strict=True))

    def _pace(self) -> float:
        """Seconds a step since this was last asked."""
        now, (then, step) = time.monotonic(), self._seen
        self._seen = now, self.progress.step
        return (now - then) / max(1, self.progress.step - step)

    def validate(self) -> dict[str, float]:
        """The model's loss on clips of other sources; a new best is written down."""
        if not self.is_main:
            return {}
        if self._validation is None:
            self._validation = validation_batch(self.settings).to(self.accelerator.device)
        losses = chosen_losses(
            self.model, self._validation.pixels, self.pyramid, ratio=VALIDATION_RATIO
        )
        loss = float(losses.mean())
        best = self.progress.best_loss
        if best is None or loss < best:
            update = {"best_loss": loss, "best_step": self.progress.step}
            self.progress = self.progress.model_copy(update=update)
            write_model(self.folder / BEST, self.model)
        return {"validation_loss": loss}

    def save(self) -> None:
        """Write the last state."""
        round_moments(self.model, self.optimiser)
        if self.is_main:
            save_state(self.folder / STATE_NAME, self.model, self.optimiser, self.progress)

    def is_over(self, started: float, max_minutes: float | None) -> bool:
        """Whether the main process finds that the time is over."""
        is_late = max_minutes is not None and time.monotonic() - started > 60 * max_minutes
        flag = torch.tensor(float(is_late and self.is_main), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, reduction="sum") > 0)
