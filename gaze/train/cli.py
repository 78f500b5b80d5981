"""`hlvid-gaze labels`, `train` and `evaluate`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gaze.train.telling import go_on
from hlvid import console
from hlvid.console import say
from hlvid.errors import UserError

Config = Annotated[
    Path, typer.Option(help="TOML or JSON file, or one that ships, such as mini-ntp.")
]
Out = Annotated[Path, typer.Option(help="Folder of the run.")]
Start = Annotated[
    str | None, typer.Option(help="Checkpoint to begin with, instead of the configuration's.")
]
Minutes = Annotated[
    float | None, typer.Option(min=0, help="Stop after so long; the next call goes on.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that make batches.")]

training = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of training to `hlvid-gaze`."""
    app.add_typer(training, name="train")
    app.command(
        epilog="\b\n"
        "hlvid-gaze labels videos --out gazing_labels.json\n"
        "hlvid-gaze labels videos --out gazing_labels.json --frames 16 --seed 1\n"
    )(labels)
    app.command(
        epilog="\b\n"
        "hlvid-gaze evaluate --weights training/autogaze-mini/grpo/best --out evaluation\n"
        "hlvid-gaze evaluate --weights best --folder videos --clips 64 --out evaluation\n"
        "hlvid-gaze evaluate --weights best --also ntp=training/autogaze-mini/ntp/best "
        "--out evaluation\n"
    )(evaluate)
    app.command(
        epilog="\b\nhlvid-gaze publish training/autogaze-mini/grpo/best --out autogaze-mini\n"
    )(publish)


@training.callback(
    epilog="\b\nExamples:\n"
    "hlvid-gaze train ntp --config mini-ntp --out training/autogaze-mini/ntp --max-minutes 100\n"
    "hlvid-gaze train grpo --config mini-grpo --start training/autogaze-mini/regret/best "
    "--out training/autogaze-mini/grpo\n"
    "Several GPUs: accelerate launch -m gaze.train.cli ntp --config mini-ntp --out run\n"
)
def train() -> None:
    """Train AutoGaze, in slices that go on where they were stopped."""


@training.command(
    epilog="\b\nhlvid-gaze train ntp --config mini-ntp --out run/ntp --max-minutes 100\n"
)
def ntp(
    config: Config,
    out: Out,
    start: Start = None,
    max_minutes: Minutes = None,
    workers: Workers = 1,
) -> None:
    """First stage: predict greedy gazes."""
    _train("ntp", config, out, start, max_minutes, workers)


@training.command(
    epilog="\b\nhlvid-gaze train grpo --config mini-grpo --out run/grpo --max-minutes 60\n"
)
def grpo(
    config: Config,
    out: Out,
    start: Start = None,
    max_minutes: Minutes = None,
    workers: Workers = 1,
) -> None:
    """Second stage: lower the loss of the reconstruction itself."""
    _train("grpo", config, out, start, max_minutes, workers)


def _train(
    stage: str,
    config: Path,
    out: Path,
    start: str | None,
    max_minutes: float | None,
    num_workers: int,
) -> None:
    from gaze.checkpoint import MINI, spelled
    from gaze.train.loop import train
    from gaze.train.settings import read_settings

    settings = read_settings(config)
    if settings.stage != stage:
        raise UserError(f"--config {config}: is of stage {settings.stage!r}, not {stage!r}.")
    if start is not None:
        settings = settings.model_copy(
            update={"start": start if start == MINI else spelled(Path(start))}
        )
    if settings.start is not None:
        say(f"{out}: begins with {settings.start}")
    go_on(
        lambda tell: train(
            settings, out, max_minutes=max_minutes, num_workers=num_workers, tell=tell
        ),
        settings.steps,
    )


def labels(
    folder: Annotated[Path, typer.Argument(help="Folder of videos.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("gazing_labels.json"),
    frames: Annotated[int, typer.Option(min=1, max=256, help="Frames of a video.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the budgets.")] = 0,
) -> None:
    """Find greedy gazes of videos, each as one clip, and write them as upstream's training reads.

    The loss is `Pyramid`'s. Budgets are drawn as in the paper. The same command goes on where it
    was stopped.
    """
    import torch

    from gaze.train.clips import draws
    from gaze.train.films import films_in, whole_film
    from gaze.train.label_file import Entry, Unfinished, key_of, write_labels
    from gaze.train.labels import Budgets, greedy
    from gaze.train.pyramid import Pyramid

    pyramid, left_out = Pyramid(), []
    films = films_in(folder)
    num_cells = sum(pyramid.cells_per_scale)
    named: set[str] = set()
    with (
        Unfinished(out, frames=frames, seed=seed) as unfinished,
        console.progress(len(films), "labels") as bar,
    ):
        for film in films:
            key = key_of(film)
            bar.advance(note=key)
            if key in unfinished.entries and key not in named:
                named.add(key)
                continue
            try:
                if key in named:
                    raise UserError(f"{film}: another film is called {key} too, all that is kept.")
                whole = whole_film(film, num_frames=frames, size=pyramid.size)
            except UserError as error:
                left_out.append(str(error))
                say(f"left out: {error}")
                continue
            named.add(key)
            budget = Budgets().draw(draws("budget", seed, key), frames, num_cells)
            pixels = torch.from_numpy(whole).unsqueeze(0)
            found = greedy(pyramid.table(pixels), torch.tensor([budget]))
            unfinished.add(key, Entry(found.sequences.lists()[0], found.loss_lists()[0]))
        entries = {key: one for key, one in unfinished.entries.items() if key in named}
        if not entries:
            unfinished.remove()
            raise UserError(f"{folder}: none of its videos can be labelled. {left_out[0]}")
        write_labels(out, entries)
        unfinished.remove()
    say(f"{len(entries)} of {len(films)} videos: {out}")


def evaluate(
    weights: Annotated[str, typer.Option(help="Checkpoint: mini, a folder or a hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("evaluation"),
    also: Annotated[
        list[str] | None, typer.Option(help="NAME=WEIGHTS, for the ratio that a loss needs.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Real videos that were not trained on.")
    ] = None,
    clips: Annotated[int, typer.Option(min=2, help="Clips of each set.")] = 96,
    frames: Annotated[int, typer.Option(min=1, max=64, help="Frames of a clip.")] = 16,
    scenes: Annotated[int, typer.Option(min=1, help="Rendered scenes to cut clips from.")] = 24,
) -> None:
    """Measure the loss against the kept ratio on held-out clips, beside controls.

    Writes evaluation.json, evaluation.md and an SVG for each set of clips; prints the tables.
    """
    from gaze.train.measure import measure

    named = dict(_named(text) for text in also or [])
    text = measure(
        weights,
        out,
        also=named,
        folder=folder,
        num_clips=clips,
        num_frames=frames,
        num_scenes=scenes,
    )
    sys.stdout.write(text)


def publish(
    weights: Annotated[Path, typer.Argument(help="Checkpoint folder, such as a run's best.")],
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
    ratio: Annotated[
        float, typer.Option(help="The default threshold is the loss at this kept ratio.")
    ] = 0.1,
    clips: Annotated[int, typer.Option(min=2, help="Validation clips.")] = 96,
) -> None:
    """Calibrate a checkpoint's threshold on validation clips, and write it with it."""
    from gaze.train.measure import publish as publish_model

    calibration = publish_model(weights, out, ratio=ratio, num_clips=clips)
    sys.stdout.write(json.dumps(calibration.model_dump(mode="json"), indent=2) + "\n")


def _named(text: str) -> tuple[str, str]:
    name, equals, weights = text.partition("=")
    if not (name and equals and weights):
        raise UserError(f"--also {text}: Allowed is NAME=WEIGHTS.")
    return name, weights


if __name__ == "__main__":
    console.run(training)
