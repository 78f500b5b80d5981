"""`hlvid-build`: make the videos and questions of a benchmark, by rendering or from a spec."""

import json
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hlvid.build import commands, set_commands
from hlvid.console import Progress, run, say

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Make the videos and questions of a benchmark.",
)


@app.callback()
def build() -> None:
    """Make the videos and questions of a benchmark."""


@app.command(
    epilog="\b\n"
    "Examples:\n"
    "  hlvid-build render --out demo/data --videos 2 --seconds 100\n"
    "  hlvid-build render --out dense --videos 4 --fps 10\n"
    "  hlvid-build render --videos 24 --seconds 100\n"
    "The last one renders the videos of the shipped questions into the cache.\n"
)
def render(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; by default where hlvid-synthetic is looked for."),
    ] = None,
    videos: Annotated[int, typer.Option(min=1, help="Number of videos.")] = 4,
    seconds: Annotated[int, typer.Option(help="Length of a video.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed, other videos.")] = 0,
    fps: Annotated[int, typer.Option(help="Frames a second; 10 for dense runs.")] = 1,
    min_evidence_seconds: Annotated[
        int, typer.Option(help="How long each evidence can be seen at least.")
    ] = 20,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core by default.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Tell the result as JSON on stdout.")
    ] = False,
) -> None:
    """Render hlvid-synthetic: 4K videos of streets and rooms, and questions about small print."""
    from hlvid.synthetic import RenderSettings
    from hlvid.synthetic import render as render_benchmark

    settings = RenderSettings(
        seed=seed, seconds=seconds, fps=fps, min_evidence_seconds=min_evidence_seconds
    )
    started = time.monotonic()
    bar: Progress | None = None

    def tell(num_drawn: int, num_frames: int) -> None:
        nonlocal bar
        bar = bar or Progress(num_frames, "rendering frames")
        bar.advance(num_drawn)

    done = render_benchmark(
        out,
        settings,
        num_videos=videos,
        num_workers=workers,
        on_progress=tell,
    )
    for video_id in done.damaged:
        say(f"{video_id}: the file in the cache was damaged and has been rendered again")
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "folder": str(done.folder),
                    "videos": list(done.videos),
                    "num_questions": done.num_questions,
                    "num_rendered": done.num_rendered,
                    "damaged": list(done.damaged),
                    "num_bytes": done.num_bytes,
                },
                indent=2,
                sort_keys=True,
            )
        )
    else:
        typer.echo(str(done.folder))
    took = time.monotonic() - started
    reused = len(done.videos) - done.num_rendered
    say(
        f"{len(done.videos)} videos ({done.num_rendered} rendered, {reused} from the cache, "
        f"{done.num_bytes / 1e6:.0f} MB), {done.num_questions} questions, {took:.1f} s"
    )
    say(f"next: hlvid-eval --model ocr --benchmark {done.folder} --frames 6 --gaze off --out runs")


commands.register(app)
set_commands.register(app)


def main() -> NoReturn:
    """Run the command."""
    run(app)
