"""The loop of every training here, in slices that can be stopped anywhere and go on anywhere.

It runs on a CPU, a GPU, or several (`accelerate launch`). Batch m of process r is number
``m * processes + r``: nobody shuffles, so nothing has to be remembered but the step. What is
trained, on what, and how it is judged is a `Course`.
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from pydantic import Field
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import Dataset

from gaze.train.batches import load
from gaze.train.clips import draws
from gaze.train.journal import Journal
from gaze.train.state import (
    STATE_NAME,
    Progress,
    fill_moments,
    load_state,
    round_moments,
    save_state,
)
from hlvid.errors import UserError
from hlvid.files import MAX_JSON_BYTES, digest, parse_record, read_bytes
from hlvid.types import Record

BEST = "best"
LOSS = "validation_loss"
"""Of what `Course.validate` finds, that by which the best model is chosen."""

Told = Callable[[int, Mapping[str, float]], None]
Count = Annotated[int, Field(ge=1)]
T = TypeVar("T", bound=Record)


class SliceSettings(Record):
    """What the curve of any run depends on."""

    later: ClassVar[frozenset[str]] = frozenset()
    """Settings that came when runs had been made: at their default, they change no digest."""

    steps: Count
    seed: Annotated[int, Field(ge=0)] = 0
    accumulate: Count = 1
    """Forwards of a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    final_learning_rate: Annotated[float, Field(ge=0)] = 1e-5
    """Reached linearly."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of a gradient."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """'auto' is bf16 on a GPU and fp32 elsewhere."""
    log_every: Count = 10
    save_every: Count = 100
    """Steps; a slice ends after one of these."""
    validate_every: Count = 500

    def learning_rate_at(self, step: int) -> float:
        """Linear from nothing over the warm-up, then linear down to the last step's."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate + done * (self.final_learning_rate - self.learning_rate)

    @property
    def sha256(self) -> str:
        """Of all that the curve depends on."""
        content = _told(self)
        del content["log_every"]
        return digest(content)


def _told(record: Record) -> dict[str, Any]:
    """Settings as JSON, without those that came later and are at their default."""
    fields, later = type(record).model_fields, getattr(record, "later", ())
    content = record.model_dump(mode="json")
    for name in fields:
        value = getattr(record, name)
        if name in later and value == fields[name].default:
            del content[name]
        elif isinstance(value, Record):
            content[name] = _told(value)
    return content


def read_config(path: Path, type_: type[T], *, shipped: Path) -> T:
    """Read a configuration in TOML or JSON.

    Args:
        path: The file, or the name of one that ships.
        type_: What it has to be.
        shipped: Folder of those that ship.

    Raises:
        UserError: There is no such file, or it is not one of ours.
    """
    if not path.exists() and path.parent == Path() and (shipped / f"{path}.toml").is_file():
        path = shipped / f"{path}.toml"
    elif not path.exists():
        names = ", ".join(sorted(file.stem for file in shipped.glob("*.toml")))
        raise UserError(f"--config {path}: there is no such file. Shipped are {names}.")
    data = read_bytes(path, max_bytes=MAX_JSON_BYTES)
    if path.suffix == ".toml":
        try:
            data = json.dumps(tomllib.loads(data.decode())).encode()
        except (ValueError, TypeError) as error:
            raise UserError(f"{path.name}: is not TOML ({error}).") from None
    return parse_record(data, type_, where=path.name)


class Course(Protocol):
    """What is trained, on what, and how it is judged."""

    @property
    def model(self) -> nn.Module:
        """Its parameters are what is trained and kept."""
        ...

    @property
    def objective(self) -> nn.Module:
        """Gives "loss" and what else is told, all scalars, for a batch."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of the optimiser."""
        ...

    @property
    def rests(self) -> bool:
        """Whether some parameters are without a gradient in some steps."""
        ...

    def batches(self) -> Dataset[Any]:
        """Batches by number; each has `number` and `to(device)`."""
        ...

    def share(self, name: str, parameter: nn.Parameter) -> float:
        """The share of the learning rate that a parameter has."""
        ...

    def begin_step(self, step: int) -> None:
        """Told of a step before its batches."""
        ...

    def summarise(self, values: Mapping[str, float]) -> dict[str, float]:
        """What is told of a step, from the means of what `objective` gave."""
        ...

    def validate(self, step: int, device: torch.device) -> Mapping[str, float]:
        """What the model does on data that it is not trained on, `LOSS` among it."""
        ...

    def write_best(self, folder: Path) -> None:
        """Write the model as it is now."""
        ...


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


def run_slice(
    make: Callable[[], Course],
    settings: SliceSettings,
    folder: Path,
    *,
    max_minutes: float | None = None,
    num_workers: int = 0,
    about: Mapping[str, Any] | None = None,
    tell: Told = lambda _step, _values: None,
) -> Slice:
    """Train until the last step, or until the time is over.

    The folder then holds the run's last state (`last.safetensors`), its best model by validation
    (`best/`), its log and TensorBoard's files. Called again with the same settings it goes on, on
    this machine or another.

    Args:
        make: Makes what is trained, once the machine is known.
        settings: Of the run.
        folder: Of the run.
        max_minutes: When to stop; the steps up to the next save are finished first.
        num_workers: Processes that make batches.
        about: What the log says of this slice: machine, software, commit.
        tell: Called with every line of the log.

    Raises:
        UserError: The folder holds another run, or data or weights cannot be read.
    """
    started = time.monotonic()
    run = _Run(make, settings, folder)
    first_step = run.progress.step
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder, step=first_step)) if run.is_main else None
        if journal is not None:
            journal.begin(first_step, about or {})
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


class _Run:
    """A run's course and optimiser, and where it is."""

    def __init__(self, make: Callable[[], Course], settings: SliceSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        precision = settings.precision
        if precision == "auto":
            precision = "bf16" if torch.cuda.is_available() else "fp32"
        self.course = make()
        rests = DistributedDataParallelKwargs(find_unused_parameters=self.course.rests)
        self.accelerator = Accelerator(
            mixed_precision="no" if precision == "fp32" else precision,
            gradient_accumulation_steps=settings.accumulate,
            kwargs_handlers=[rests],
        )
        self.is_main = self.accelerator.is_main_process
        self.model = self.course.model.to(self.accelerator.device)
        groups = [
            {"params": [parameter], "share": self.course.share(name, parameter)}
            for name, parameter in self.model.named_parameters()
        ]
        self.optimiser = AdamW(
            groups, lr=settings.learning_rate, weight_decay=self.course.weight_decay, fused=True
        )
        self.progress = self._progress()
        self.prepared: nn.Module = self.accelerator.prepare_model(self.course.objective)
        self.prepared_optimiser = self.accelerator.prepare_optimizer(self.optimiser)
        self._seen = time.monotonic(), time.process_time(), self.progress.step

    def _progress(self) -> Progress:
        """Where the run in the folder is; at the beginning, where there is none."""
        path = self.folder / STATE_NAME
        if not path.exists():
            fill_moments(self.model, self.optimiser)
            return Progress(settings_sha256=self.settings.sha256)
        found = load_state(path, self.model, self.optimiser)
        if found.settings_sha256 != self.settings.sha256:
            raise UserError(
                f"{self.folder}: was begun with other settings. Allowed are the ones that it was "
                "begun with; take another folder for these."
            )
        return found

    def batches(self, num_workers: int) -> Iterator[Any]:
        """The batches of this process that are left."""
        accelerator, num = self.accelerator, self.accelerator.num_processes
        accumulate = self.settings.accumulate
        first = self.progress.step * accumulate * num + accelerator.process_index
        numbers = range(first, self.settings.steps * accumulate * num, num)
        with accelerator.main_process_first():  # it draws what others then find
            batches = self.course.batches()
        on_gpu = accelerator.device.type == "cuda"
        return load(batches, numbers, num_workers=num_workers, pins_memory=on_gpu)

    def step(self, batches: Iterator[Any]) -> dict[str, float]:
        """One step of the optimiser; what is to be told of it."""
        settings, accelerator = self.settings, self.accelerator
        rate = settings.learning_rate_at(self.progress.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.course.begin_step(self.progress.step)
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
        told = self.course.summarise(self._means(totals))
        return told | {"learning_rate": rate} | self._pace()

    def _means(self, totals: Mapping[str, Tensor]) -> dict[str, float]:
        """Of all forwards of a step, on all processes."""
        stacked = torch.stack([value.float() for value in totals.values()])
        mean = self.accelerator.reduce(stacked / self.settings.accumulate, reduction="mean")
        return dict(zip(totals, mean.tolist(), strict=True))

    def _pace(self) -> dict[str, float]:
        """Seconds a step since this was last asked, on the clock and of this process."""
        now = time.monotonic(), time.process_time(), self.progress.step
        clock, busy, steps = (a - b for a, b in zip(now, self._seen, strict=True))
        self._seen = now
        num = max(1, steps)
        return {"seconds_a_step": clock / num, "cpu_seconds_a_step": busy / num}

    def validate(self) -> dict[str, float]:
        """What the model does on other data; a new best is written down."""
        if not self.is_main:
            return {}
        found = dict(self.course.validate(self.progress.step, self.accelerator.device))
        best = self.progress.best_loss
        if best is None or found[LOSS] < best:
            update = {"best_loss": found[LOSS], "best_step": self.progress.step}
            self.progress = self.progress.model_copy(update=update)
            self.course.write_best(self.folder / BEST)
        return found

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
