"""What an arm shows of a video: streams of slices, and where the pixels of each come from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluators.examinee import Infeasible, View
from evaluators.mapping import Pairing, slice_frames
from evaluators.models.qwen.geometry import stock_pixels
from evaluators.pruning import Stream
from gaze.selectors.budget import budget_tokens
from gaze.views import Views
from hlvid.types import CHEAPER_OFF, STOCK_CODE, Variant
from hlvid.video import uniform_indices

WITHOUT_CONTEXT: tuple[Variant, ...] = ("off-stock", "off-bare", STOCK_CODE, "blind")
KEEPS_AFTER: tuple[Variant, ...] = ("after-tower", "evs")
"""Arms whose tower encodes all tokens."""


@dataclass(frozen=True)
class Shown:
    """One video stream of a prompt.

    Args:
        stream: Its grid, and which tokens of it are shown.
        pixels: (num_frames, height, width, 3) uint8, RGB; the grid covers a frame exactly.
        frames: The two frames of every slice.
        seconds: When each frame is shown, (num_frames,).
    """

    stream: Stream
    pixels: NDArray[np.uint8]
    frames: Sequence[tuple[int, int]]
    seconds: NDArray[np.float64]

    @property
    def slice_seconds(self) -> list[float]:
        """When the frames of all slices are shown, two a slice."""
        return [float(self.seconds[frame]) for pair in self.frames for frame in pair]

    def without_pixels(self) -> "Shown":
        """What a prompt needs of it, after the tower."""
        return replace(self, pixels=np.empty((0, 0, 0, 3), dtype=np.uint8))

    def part(self, first: int, last: int) -> "Shown":
        """The slices [first, last)."""
        part = self.stream.part(first, last)
        return Shown(part, self.pixels, self.frames[first:last], self.seconds)


def show(view: View, video_processor: Any) -> list[Shown]:  # noqa: ANN401
    """The streams of an arm, in the order of the prompt: the context, then the video.

    Args:
        view: What the arm may see.
        video_processor: Of the weights, for the arm that is run as people run it.
    """
    variant = view.arm.variant
    shown = []
    if variant not in WITHOUT_CONTEXT and (grid := context_grid(view)) is not None:
        shown.append(_resized(view, *grid))
    if variant in ("blind", "context-only"):
        return shown
    if variant == "off-stock":
        return [_stock(view, video_processor)]
    if variant in CHEAPER_OFF:
        return [*shown, _spent_without_looking(view)]
    return [*shown, _video(view, is_whole=view.arm.gaze == "off" or variant in KEEPS_AFTER)]


def context_grid(view: View) -> tuple[int, int] | None:
    """Columns and rows of the context stream, the same for every arm; None where there is none."""
    wide = view.canvas.shape.context
    return None if wide == 0 else (-(-view.views.cols // wide), -(-view.views.rows // wide))


def shrink(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Frames at another size, bicubic, widened where it shrinks; the same on every CPU."""
    resized = np.empty((len(pixels), height, width, 3), dtype=np.uint8)
    for i in range(len(pixels)):
        image = Image.fromarray(np.asarray(pixels[i]))
        resized[i] = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    return resized


def _video(view: View, *, is_whole: bool) -> Shown:
    canvas = view.canvas
    frames = slice_frames(canvas.num_frames, canvas.shape.pairing)
    if is_whole:
        stream = Stream.whole(len(frames), view.views.rows, view.views.cols)
    else:
        stream = Stream.of(view.kept)
    return Shown(stream, canvas.pixels, frames, canvas.frame_seconds)


def _resized(view: View, cols: int, rows: int) -> Shown:
    """All frames on a smaller grid, all tokens of it."""
    canvas, side = view.canvas, view.views.token_pixels
    frames = slice_frames(canvas.num_frames, canvas.shape.pairing)
    pixels = shrink(canvas.pixels, cols * side, rows * side)
    return Shown(Stream.whole(len(frames), rows, cols), pixels, frames, canvas.frame_seconds)


def _stock(view: View, video_processor: Any) -> Shown:  # noqa: ANN401
    """The same frames, paired and sized as the stock processor does by default."""
    canvas, side = view.canvas, view.views.token_pixels
    pixels = stock_pixels(canvas.pixels, video_processor)
    frames = slice_frames(canvas.num_frames, "stock")
    rows, cols = pixels.shape[1] // side, pixels.shape[2] // side
    return Shown(Stream.whole(len(frames), rows, cols), pixels, frames, canvas.frame_seconds)


def _spent_without_looking(view: View) -> Shown:
    """Uniform slices on a grid of about the same shape, never more than an arm may spend.

    Raises:
        Infeasible: The least that it can show is more than that.
    """
    canvas, views, pairing = view.canvas, view.views, view.canvas.shape.pairing
    num_slices, tokens, least = view.kept.num_frames, allowed(view), 1
    if view.arm.variant == "fewer-frames":
        num_slices, least = tokens // views.num_tokens, views.num_tokens
    elif view.arm.variant == "fewer-and-lower":
        share = tokens / (num_slices * views.num_tokens)
        num_slices = min(tokens, max(1, round(num_slices * math.sqrt(share))))
    _check_spending(max(1, num_slices), least, tokens, pairing)
    per_slice = 2 if pairing == "stock" else 1
    chosen = uniform_indices(canvas.num_frames, min(num_slices * per_slice, canvas.num_frames))
    frames = [
        (int(chosen[first]), int(chosen[second]))
        for first, second in slice_frames(len(chosen), pairing)
    ]
    if view.arm.variant == "fewer-frames":
        cols, rows, pixels = views.cols, views.rows, canvas.pixels
    else:
        cols, rows = _lower(views, tokens // len(frames))
        pixels = shrink(canvas.pixels, cols * views.token_pixels, rows * views.token_pixels)
    return Shown(Stream.whole(len(frames), rows, cols), pixels, frames, canvas.frame_seconds)


def _check_spending(num_slices: int, least: int, tokens: int, pairing: Pairing) -> None:
    """Refuse what spends too much even with the least of a slice.

    Raises:
        Infeasible: It does.
    """
    if num_slices * least > tokens:
        name = "pair of frames" if pairing == "stock" else "frame"
        told = f"a {name} has {least} tokens", "more --frames"
        if least == 1:
            told = f"a token for each {name} makes {num_slices}", "a larger --canvas"
        raise Infeasible(f"{told[0]}, more than the {tokens} that may be spent. Use {told[1]}.")


def _lower(views: Views, most: int) -> tuple[int, int]:
    """Columns and rows of the largest grid of about the same shape with so many tokens."""
    rows = max(1, min(most, math.floor(views.rows * math.sqrt(most / views.num_tokens))))
    return max(1, min(views.cols, most // rows)), rows


def allowed(view: View) -> int:
    """Tokens of the video that an arm may spend: as many as its partner kept, or a share of all."""
    if view.arm.partner is not None:
        return view.kept.num_tokens
    assert view.arm.budget is not None
    return budget_tokens(view.arm.budget, view.kept.num_frames * view.views.num_tokens)
