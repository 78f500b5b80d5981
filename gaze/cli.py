"""`hlvid-gaze`: choose tokens of a video file, look at the choice, list the selectors."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from hlvid import console
from hlvid.console import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gaze.selectors import Request, SelectorInfo
    from gaze.video import Gazed, Watch

MAX_SHOWN = 9
"""Frames of a strip."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Video = Annotated[Path, typer.Argument(help="MP4, MKV or WebM file.")]
Selector = Annotated[str, typer.Option(help="See 'hlvid-gaze selectors'.")]
Budget = Annotated[
    float | None, typer.Option(help="Share of the native tokens to keep, in (0, 1].")
]
Threshold = Annotated[float | None, typer.Option(help="Of selectors that take one.")]
Frames = Annotated[int, typer.Option(min=1, max=100_000, help="Frames to sample, evenly.")]
Seed = Annotated[int, typer.Option(min=0, help="Of selectors that draw.")]
Ask = Annotated[str | None, typer.Option(help="Text for selectors that read the question.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback(
    epilog="\b\nExamples:\n"
    "hlvid-gaze selectors\n"
    "hlvid-gaze run street.mp4 --selector change --budget 0.1 --frames 64 --out gaze.npz\n"
    "hlvid-gaze show street.mp4 --selector detail --budget 0.05 --frames 32 --out gaze.png\n"
)
def gaze() -> None:
    """Choose which tokens of a video are worth encoding."""


@app.command(epilog="\b\nhlvid-gaze selectors\nhlvid-gaze selectors --json\n")
def selectors(as_json: AsJson = False) -> None:
    """List the installed selectors."""
    from dataclasses import asdict

    from gaze.selectors import list_selectors

    found = list_selectors().values()
    if as_json:
        _print(json.dumps([asdict(info) for info in found], indent=2))
        return
    width = max(len(info.name) for info in found)
    for info in found:
        _print(f"{info.name:{width}}  {info.summary}.")
        if told := "; ".join([*_needs(info), *info.notes]):
            _print(f"{'':{width}}  ({told})")


@app.command(
    epilog="\b\n"
    "hlvid-gaze run street.mp4 --selector change --budget 0.1 --frames 64 --out gaze.npz\n"
    "hlvid-gaze run street.mp4 --selector change-unbounded --threshold 0.05 --frames 64\n"
)
def run(  # noqa: PLR0913
    video: Video,
    selector: Selector,
    budget: Budget = None,
    threshold: Threshold = None,
    frames: Frames = 16,
    out: Annotated[Path, typer.Option(help=".npz file to write.")] = Path("gaze.npz"),
    seed: Seed = 0,
    question: Ask = None,
    as_json: AsJson = False,
) -> None:
    """Choose tokens of a video and write them to a file.

    Prints how many tokens each frame keeps. The file holds tokens (ids row * cols + col, in gazing
    order), num_per_frame, frame_index, frame_seconds and about (JSON).
    """
    from gaze.video import save

    gazed = _gaze(video, selector, _request(video, budget, threshold, seed, question), frames)
    save(out, gazed)
    counts = [int(ids.size) for ids in gazed.kept.tokens]
    if as_json:
        told = {
            "out": str(out),
            "num_tokens": gazed.kept.num_tokens,
            "kept_ratio": gazed.kept.kept_ratio,
            "kept_sha256": gazed.kept.sha256,
            "num_per_frame": counts,
        }
        _print(json.dumps(told))
        return
    _print("frame  seconds  tokens kept")
    for index, seconds, count in zip(gazed.frame_index, gazed.frame_seconds, counts, strict=True):
        _print(f"{index:5d}  {seconds:7.2f}  {count:11d}")
    say(f"{_summary(gazed)}: {out}")


@app.command(
    epilog="\b\n"
    "hlvid-gaze show street.mp4 --selector detail --budget 0.05 --frames 32 --out gaze.png\n"
)
def show(
    video: Video,
    selector: Selector,
    budget: Budget = None,
    threshold: Threshold = None,
    frames: Frames = 16,
    out: Annotated[Path, typer.Option(help=".png file to write.")] = Path("gaze.png"),
    seed: Seed = 0,
    question: Ask = None,
) -> None:
    """Draw what is kept of a video: a strip of frames, and tokens kept over time."""
    import io

    from gaze.show import Shown, draw_strip, shrink
    from hlvid.files import write_bytes

    shown: list[Shown] = []

    def keep(number: int, seconds: float, pixels: "NDArray[np.uint8]") -> None:
        shown.append(Shown(number, seconds, shrink(pixels)))

    request = _request(video, budget, threshold, seed, question)
    gazed = _gaze(video, selector, request, frames, keep=keep)
    side = gazed.request.token_pixels
    page = draw_strip(
        shown,
        gazed.kept,
        title=f"{video.name}: {_summary(gazed)}",
        frame_seconds=gazed.frame_seconds,
        token_share=(side / gazed.height, side / gazed.width),
    )
    buffer = io.BytesIO()
    page.save(buffer, format="PNG")
    write_bytes(out, [buffer.getvalue()])
    say(f"{_summary(gazed)}: {out}")


def _request(
    video: Path, budget: float | None, threshold: float | None, seed: int, question: str | None
) -> "Request":
    from gaze.selectors import Request

    return Request(
        seed=seed, video_id=video.stem, budget=budget, threshold=threshold, question=question
    )


def _gaze(
    video: Path, selector: str, request: "Request", frames: int, *, keep: "Watch | None" = None
) -> "Gazed":
    """Run a selector over a video; `keep` is shown some frames, spread evenly."""
    from gaze.video import gaze_at
    from hlvid.video import VideoReader, uniform_indices

    with VideoReader(video) as reader:
        index = uniform_indices(reader.info.num_frames, frames)
        if len(index) < frames:
            say(f"{video.name} has {len(index)} frames: all are read.")
        wanted = set(uniform_indices(len(index), MAX_SHOWN).tolist())
        with console.progress(len(index), "gaze") as bar:

            def watch(number: int, seconds: float, pixels: "NDArray[np.uint8]") -> None:
                bar.advance(note=f"{seconds:.1f} s")
                if keep is not None and number in wanted:
                    keep(number, seconds, pixels)

            return gaze_at(reader, index, selector, request, watch=watch)


def _summary(gazed: "Gazed") -> str:
    limits = [
        f"{name} {value:g}"
        for name, value in (
            ("budget", gazed.request.budget),
            ("threshold", gazed.request.threshold),
        )
        if value is not None
    ]
    kept = gazed.kept
    return (
        f"{', '.join([gazed.selector, *limits])}, {kept.num_tokens} of "
        f"{kept.num_frames * kept.rows * kept.cols} tokens kept ({kept.kept_ratio:.2%})"
    )


def _needs(info: "SelectorInfo") -> list[str]:
    told = {
        "control": info.is_control,
        "needs --threshold": info.needs_threshold,
        "needs a partner": info.needs_partner or info.needs_donor,
        "takes no --budget": not info.takes_budget,
    }
    return [text for text, is_so in told.items() if is_so]


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> NoReturn:
    """Run the command."""
    console.run(app)
