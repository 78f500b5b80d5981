"""Training the MLLM that ships: `hlvid-eval train mini`, and `publish` of what came of it."""

from pathlib import Path
from typing import Annotated

import typer

from gaze.train.telling import go_on
from hlvid.console import say

training = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@training.callback()
def train() -> None:
    """Train the MLLM that ships, in slices that go on where they were stopped."""


@training.command(
    epilog="\b\n"
    "hlvid-eval train mini --config mini-read --out training/qwen3-mini/read --max-minutes 100\n"
    "hlvid-eval train mini --config mini --start training/qwen3-mini/read \\\n"
    "    --out training/qwen3-mini/answer\n"
    "Several GPUs: accelerate launch -m evaluators.commands.train mini --config mini-read\n"
)
def mini(
    config: Annotated[
        Path, typer.Option(help="TOML or JSON file, or one that ships: mini-read, then mini.")
    ] = Path("mini-read"),
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path(
        "training/qwen3-mini/read"
    ),
    start: Annotated[
        Path | None, typer.Option(help="Folder of a run whose last weights are where it begins.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after so long; the next call goes on.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw batches.")] = 1,
) -> None:
    """Go on with qwen3-mini from its last state, or begin. Exit code 3: there is more to do."""
    import sys

    from evaluators.engine import quiet
    from evaluators.provenance import provenance

    quiet()
    from evaluators.train.course import train as train_slice
    from evaluators.train.settings import read_settings

    settings = read_settings(config)
    if start is not None:
        settings = settings.model_copy(update={"start": str(start)})
    if settings.start is not None:
        say(f"{out}: begins with {settings.start}")
    here = provenance(tuple(sys.argv))
    about = here.model_dump(mode="json", exclude={"command"})
    go_on(
        lambda tell: train_slice(
            settings, out, max_minutes=max_minutes, num_workers=workers, about=about, tell=tell
        ),
        settings.steps,
        stage_at=lambda step: settings.stage_at(step - 1).name,
    )


@training.command(
    epilog="\b\n"
    "hlvid-eval train publish training/qwen3-mini/answer --start training/qwen3-mini/read\n"
    "hlvid-eval train publish training/qwen3-mini/answer --start training/qwen3-mini/read \\\n"
    "    --fit docs/mini/fit.json\n"
)
def publish(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    config: Annotated[Path, typer.Option(help="What it was trained with.")] = Path("mini"),
    start: Annotated[Path | None, typer.Option(help="Run that it began with.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint folder; by default where 'mini' is looked for.")
    ] = None,
    fit: Annotated[
        Path | None, typer.Option(help="What benchmarks/fit_mini.py wrote, for the card.")
    ] = None,
    is_last: Annotated[
        bool, typer.Option("--last", help="The last state instead of the best by validation.")
    ] = False,
) -> None:
    """Write a run's model, with its card, as a directory that stock transformers loads."""
    from evaluators.engine import quiet

    quiet()
    from evaluators.models.qwen.weights import SHIPPED
    from evaluators.train.publishing import publish as write

    written = write(run, config, out or SHIPPED, start=start, fit=fit, is_last=is_last)
    say(f"{written.folder}: {written.num_bytes / 1e6:.1f} MB, {written.num_parameters} parameters")


if __name__ == "__main__":
    from hlvid import console

    console.run(training)
