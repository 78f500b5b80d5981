"""`hlvid-gaze`: choose tokens of a video file, look at the choice, know and check the model."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gaze.train.cli import register
from hlvid import console
from hlvid.console import say
from hlvid.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gaze.selectors import Request, SelectorInfo
    from gaze.show import Shown
    from gaze.video import Gazed, Watch

MAX_SHOWN = 9
"""Frames of a strip."""
FAILED = 1

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Video = Annotated[Path, typer.Argument(help="MP4, MKV or WebM file.")]
Selector = Annotated[str, typer.Option(help="See 'hlvid-gaze selectors'.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--gaze-weights",
        "--weights",
        help="mini, a folder or a hub id; nvidia/AutoGaze by default.",
    ),
]
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
    "hlvid-gaze run street.mp4 --weights mini --frames 64 --out gaze.npz\n"
    "hlvid-gaze show street.mp4 --selector detail --budget 0.05 --frames 32 --out gaze.html\n"
    "hlvid-gaze info mini\n"
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
    "hlvid-gaze run street.mp4 --weights mini --frames 64 --out gaze.npz\n"
    "hlvid-gaze run street.mp4 --selector change --budget 0.1 --frames 64 --out gaze.npz\n"
    "hlvid-gaze run street.mp4 --selector change-unbounded --threshold 0.05 --frames 64\n"
)
def run(  # noqa: PLR0913
    video: Video,
    selector: Selector = "autogaze",
    budget: Budget = None,
    threshold: Threshold = None,
    weights: Weights = None,
    frames: Frames = 16,
    out: Annotated[Path, typer.Option(help=".npz file to write.")] = Path("gaze.npz"),
    seed: Seed = 0,
    question: Ask = None,
    as_json: AsJson = False,
) -> None:
    """Choose tokens of a video and write them to a file.

    Prints how many tokens each frame keeps and, of AutoGaze, how many cells of each scale it gazes
    at. The file holds tokens (ids row * cols + col, in gazing order), num_per_frame, frame_index,
    frame_seconds, the cells where there are scales, and about (JSON).
    """
    from gaze.video import save, table

    request = _request(video, budget, threshold, weights, seed, question)
    gazed = _gaze(video, selector, request, frames)
    save(out, gazed)
    header, rows = table(gazed)
    if as_json:
        told = {
            "out": str(out),
            "num_tokens": gazed.kept.num_tokens,
            "kept_ratio": gazed.kept.kept_ratio,
            "kept_sha256": gazed.kept.sha256,
            "weights": gazed.request.weights,
            "num_per_frame": [int(ids.size) for ids in gazed.kept.tokens],
            "num_per_scale": {
                name.removeprefix("cells "): [int(row[column]) for row in rows]
                for column, name in enumerate(header)
                if name.startswith("cells ")
            },
        }
        _print(json.dumps(told))
        return
    _print_table(header, rows)
    say(f"{_summary(gazed)}: {out}")


@app.command(
    epilog="\b\n"
    "hlvid-gaze show street.mp4 --weights mini --frames 32 --out gaze.html\n"
    "hlvid-gaze show street.mp4 --selector detail --budget 0.05 --frames 32 --out gaze.png\n"
)
def show(  # noqa: PLR0913
    video: Video,
    selector: Selector = "autogaze",
    budget: Budget = None,
    threshold: Threshold = None,
    weights: Weights = None,
    frames: Frames = 16,
    out: Annotated[Path, typer.Option(help=".png for a strip of frames, .html for a page.")] = Path(
        "gaze.png"
    ),
    seed: Seed = 0,
    question: Ask = None,
) -> None:
    """Draw what is kept of a video: frames with their cells, and what is kept over time."""
    from gaze.show import Shown, shrink
    from hlvid.files import write_bytes

    if out.suffix not in (".png", ".html"):
        raise UserError(f"--out: {out.name!r}. Allowed are names that end in .png or .html.")
    shown: list[Shown] = []

    def keep(number: int, seconds: float, pixels: "NDArray[np.uint8]") -> None:
        shown.append(Shown(number, seconds, shrink(pixels)))

    request = _request(video, budget, threshold, weights, seed, question)
    gazed = _gaze(video, selector, request, frames, keep=keep)
    write_bytes(out, [_draw(shown, gazed, f"{video.name}: {_summary(gazed)}", out.suffix)])
    say(f"{_summary(gazed)}: {out}")


@app.command(epilog="\b\nhlvid-gaze info mini\nhlvid-gaze info nvidia/AutoGaze --json\n")
def info(
    weights: Annotated[str, typer.Argument(help="mini, a folder or a hub id.")] = "nvidia/AutoGaze",
    as_json: AsJson = False,
) -> None:
    """Tell what a checkpoint of AutoGaze is: sizes, scales, what stops it, licence, digests."""
    from gaze.checkpoint import find_checkpoint
    from gaze.info import describe, in_words

    told = describe(find_checkpoint(weights))
    if as_json:
        _print(json.dumps(told, indent=2))
        return
    for name, value in in_words(told):
        _print(f"{name:20} {value}")


@app.command(
    epilog="\b\n"
    "hlvid-gaze verify --weights mini\n"
    "hlvid-gaze verify --weights W --upstream AutoGaze --upstream-python env/bin/python\n"
)
def verify(
    weights: Weights = None,
    upstream: Annotated[
        Path | None, typer.Option(help="Checkout of NVlabs/AutoGaze to compare with.")
    ] = None,
    upstream_python: Annotated[
        Path | None, typer.Option(help="Python that has what it needs; this one by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check on your own checkpoint that batches, streams and devices make no difference.

    With a checkout of the released implementation its choices, padding and scores are compared
    too; it runs in a process of its own. Exit codes: 0 all held, 1 one did not.
    """
    from dataclasses import asdict

    from gaze.checkpoint import RELEASED, find_checkpoint
    from gaze.verify import Upstream, checks

    theirs = None
    if upstream is not None:
        theirs = Upstream(upstream, upstream_python or Path(sys.executable))
    elif upstream_python is not None:
        raise UserError("--upstream-python: needs --upstream, the checkout to run with it.")
    told = {True: "ok", False: "WRONG", None: "not made"}
    has_failed = False
    for check in checks(find_checkpoint(weights or RELEASED), theirs):
        has_failed |= check.passed is False
        if as_json:
            _print(json.dumps(asdict(check)))
        else:
            _print(f"{told[check.passed]:8}  {check.name} ({check.detail})")
    if has_failed:
        raise typer.Exit(FAILED)


@app.command(
    epilog="\b\n"
    "hlvid-gaze bench --clips 1,4 --frames 16\n"
    "hlvid-gaze bench --weights mini --clips '' --resolution 3840x2160 --json\n"
)
def bench(
    weights: Annotated[
        str | None,
        typer.Option(
            "--gaze-weights",
            "--weights",
            help="mini, a folder or a hub id; random ones by default.",
        ),
    ] = None,
    clips: Annotated[str, typer.Option(help="N,...: clips at once.")] = "1,4",
    frames: Annotated[str, typer.Option(help="N,...: frames of each.")] = "16",
    resolution: Annotated[
        str, typer.Option(help="WxH,...: the selector on whole frames; needs --weights.")
    ] = "",
    budget: Annotated[float | None, typer.Option(help="Gazing ratio, or budget.")] = 0.1,
    threshold: Threshold = None,
    repeats: Annotated[int, typer.Option(min=1, max=1000)] = 3,
    as_json: AsJson = False,
) -> None:
    """Time gazing on this machine, beside the bound that its matrix products set.

    Without weights the model is of the released size with random values: good for times alone.
    """
    from gaze.bench import in_words, prepare

    cases = prepare(
        weights,
        budget=budget,
        threshold=threshold,
        clips=_counts("--clips", clips),
        frames=_counts("--frames", frames),
        sizes=_sizes(resolution),
        repeats=repeats,
    )
    with console.progress(len(cases), "bench") as bar:
        for case in cases:
            line = case()
            bar.advance(note=line["what"])
            _print(json.dumps(line) if as_json else in_words(line))


def _draw(shown: "Sequence[Shown]", gazed: "Gazed", title: str, suffix: str) -> bytes:
    import io

    from gaze.page import render
    from gaze.show import draw_strip

    if suffix == ".html":
        return render(shown, gazed, title=title)
    page = draw_strip(
        shown,
        gazed.kept,
        title=title,
        frame_seconds=gazed.frame_seconds,
        token_share=gazed.token_share,
    )
    buffer = io.BytesIO()
    page.save(buffer, format="PNG")
    return buffer.getvalue()


def _request(
    video: Path,
    budget: float | None,
    threshold: float | None,
    weights: str | None,
    seed: int,
    question: str | None,
) -> "Request":
    from gaze.selectors import Request

    return Request(
        seed=seed,
        video_id=video.stem,
        budget=budget,
        threshold=threshold,
        question=question,
        weights=weights,
    )


def _gaze(
    video: Path, selector: str, request: "Request", frames: int, *, keep: "Watch | None" = None
) -> "Gazed":
    """Run a selector over a video; `keep` is shown some frames, spread evenly."""
    from gaze.checkpoint import MissingWeights
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

            try:
                return gaze_at(reader, index, selector, request, watch=watch)
            except MissingWeights as error:
                words = ["hlvid-gaze", "run", str(video), "--selector", "detail", "--budget", "0.1"]
                raise UserError(f"{error} This runs here: {shlex.join(words)}") from None


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
        "reads the question": info.reads_question,
    }
    return [text for text, is_so in told.items() if is_so]


def _counts(option: str, text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(re.fullmatch("[1-9][0-9]{0,5}", word) for word in words):
        raise UserError(f"{option}: {text!r}. Allowed are whole numbers from 1, with commas.")
    return [int(word) for word in words]


def _sizes(text: str) -> list[tuple[int, int]]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(re.fullmatch("[1-9][0-9]{0,4}x[1-9][0-9]{0,4}", word) for word in words):
        raise UserError(f"--resolution: {text!r}. Allowed is WIDTHxHEIGHT, with commas.")
    sizes = [word.split("x") for word in words]
    return [(int(width), int(height)) for width, height in sizes]


def _print_table(header: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        _print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


register(app)


def main() -> NoReturn:
    """Run the command."""
    console.run(app)
