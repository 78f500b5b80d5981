"""The training of `qwen3-mini`, as a course of the loop that AutoGaze is trained by too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from evaluators.train.batches import Batch, Batches
from evaluators.train.model import Mini, begin_from, write_checkpoint
from evaluators.train.objective import Answering, summarise
from evaluators.train.settings import MiniSettings, Task
from gaze.train.slices import LOSS, Slice, Told, run_slice


def train(
    settings: MiniSettings,
    folder: Path,
    *,
    max_minutes: float | None = None,
    num_workers: int = 0,
    about: Mapping[str, Any] | None = None,
    tell: Told = lambda _step, _values: None,
) -> Slice:
    """Train until the last step, or until the time is over: `gaze.train.slices.run_slice` says how.

    Args:
        settings: Of the run.
        folder: Of the run.
        max_minutes: When to stop; the steps up to the next save are finished first.
        num_workers: Processes that draw batches.
        about: Of this slice, for the log.
        tell: Called with every line of the log.

    Raises:
        UserError: The folder holds another run, or what it starts from cannot be read.
    """
    return run_slice(
        lambda: Lessons(settings),
        settings,
        folder,
        max_minutes=max_minutes,
        num_workers=num_workers,
        about=about,
        tell=tell,
    )


UNASKED = 100.0
"""Added to the loss of a model that was taught characters alone."""


class Lessons:
    """The curriculum: its model, its batches, and what it is judged by.

    Args:
        settings: Of the run.
    """

    rests = True

    def __init__(self, settings: MiniSettings) -> None:
        self.settings = settings
        self.weight_decay = settings.weight_decay
        self.model = Mini(settings.model, seed=settings.seed)
        if settings.start is not None:
            begin_from(self.model, Path(settings.start))
        self.objective = Answering(self.model, settings)
        self._validation: dict[tuple[str, Task], list[Batch]] = {}

    def batches(self) -> Dataset[Batch]:
        """The batches of all stages."""
        from accelerate import PartialState

        per_step = self.settings.accumulate * PartialState().num_processes
        return Batches(self.settings, per_step=per_step)

    def share(self, name: str, parameter: nn.Parameter) -> float:
        """All of it for every parameter."""
        del name, parameter
        return 1.0

    def begin_step(self, step: int) -> None:
        """Some stages leave the tower as it is."""
        self.objective.freezes_tower = self.settings.stage_at(step).freezes

    def summarise(self, values: Mapping[str, float]) -> dict[str, float]:
        """Counts as shares."""
        return summarise(values)

    def validate(self, step: int, device: torch.device) -> Mapping[str, float]:
        """The tasks of this stage and of the last one, on photographs and scenes of their own.

        What chooses the best model is the loss of the last stage's tasks; before anything is
        asked, every model is worse than all that come later.
        """
        stages = self.settings.stages
        now, last = self.settings.stage_at(step - 1), stages[-1]
        found: dict[str, float] = {}
        if set(now.tasks) == {"dense"} and now != last:
            loss, told = self._examine(now.name, "dense", device)
            return {f"validation_{now.name}_{k}": v for k, v in told.items()} | {
                LOSS: UNASKED + loss
            }
        total = 0.0
        for stage in dict.fromkeys(one.name for one in (now, last)):
            (here,) = (one for one in stages if one.name == stage)
            for task, weight in sorted(here.tasks.items()):
                if weight == 0:
                    continue
                loss, told = self._examine(stage, task, device)
                found |= {f"validation_{stage}_{name}": value for name, value in told.items()}
                if stage == last.name:
                    total += loss * weight / sum(last.tasks.values())
        return found | {LOSS: total}

    def write_best(self, folder: Path) -> None:
        """Write a directory that stock transformers loads."""
        write_checkpoint(folder, self.model)

    def _examine(
        self, stage_name: str, task: Task, device: torch.device
    ) -> tuple[float, dict[str, float]]:
        """Loss and accuracies of one task of one stage."""
        (stage,) = (one for one in self.settings.stages if one.name == stage_name)
        key = (stage_name, task)
        if key not in self._validation:
            batches = Batches(self.settings, split="validation", stage=stage, task=task)
            num = -(-self.settings.validation_looks // stage.looks)
            self._validation[key] = [batches[number] for number in range(num)]
        sums: dict[str, float] = {}
        self.objective.eval()
        with torch.no_grad():
            for batch in self._validation[key]:
                for name, value in self.objective(batch.to(device)).items():
                    sums[name] = sums.get(name, 0.0) + float(value)
        self.objective.train()
        num = len(self._validation[key])
        parts = ("loss", "dense_loss", "answer_loss", "match_loss")
        sums = {name: value / num if name in parts else value for name, value in sums.items()}
        told = summarise(sums)
        names = [name for name in told if name.endswith("_accuracy")]
        loss = sums["dense_loss"] if task == "dense" else sums["answer_loss"]
        return loss, {name: told[name] for name in names}
