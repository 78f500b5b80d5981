"""A slice of training as a command tells of it, of AutoGaze or of the MLLM that ships."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import typer

from hlvid.console import say
from hlvid.memory import keep_memory

if TYPE_CHECKING:
    from gaze.train.slices import Slice, Told

PARTIAL = 3
"""Exit code of a slice after which more is to do."""


def go_on(
    train: Callable[[Told], Slice], num_steps: int, *, stage_at: Callable[[int], str] | None = None
) -> None:
    """Train a slice, tell of its steps on stderr and of the run on stdout.

    Args:
        train: The slice; it is given what to call with every line of the log.
        num_steps: Of the whole run.
        stage_at: Names the stage of a step, where a run has several; steps count from 1.

    Raises:
        typer.Exit: With `PARTIAL`: there is more to do.
    """
    keep_memory()

    def tell(step: int, values: Mapping[str, float]) -> None:
        parts = [f"{name} {value:.4g}" for name, value in sorted(values.items())]
        stage = "" if stage_at is None else f"{stage_at(step)}, "
        say(f"{stage}step {step}/{num_steps}: {', '.join(parts)}")

    done = train(tell)
    if done.is_main:
        steps = done.progress.step - done.first_step
        say(
            f"{steps} steps in {done.seconds / 60:.1f} minutes, {done.progress.step} of "
            f"{num_steps} done" + ("" if done.is_done else ": call again to go on")
        )
        sys.stdout.write(json.dumps(done.progress.model_dump(mode="json"), sort_keys=True) + "\n")
    if not done.is_done:
        raise typer.Exit(PARTIAL)
