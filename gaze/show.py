"""Pictures of what was kept: a strip of frames, and how much of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gaze.selectors import Kept
from gaze.views import Frame

THUMB_WIDTH = 640
COLUMNS = 3
MARGIN = 16
CAPTION = 30
TITLE = 44
PLOT_HEIGHT = 200
DIMMED = 0.4
"""Brightness of what was not kept."""
BACKGROUND = (250, 250, 248)
INK = (32, 36, 40)
FAINT = (206, 208, 210)
ACCENT = (214, 120, 0)


@dataclass(frozen=True)
class Shown:
    """One frame of a strip.

    Args:
        number: Of the frame in the sample.
        seconds: When it is shown.
        pixels: At the size of the strip.
    """

    number: int
    seconds: float
    pixels: Frame


def shrink(pixels: Frame) -> Frame:
    """A frame at the size of the strip, with its own shape."""
    height, width = pixels.shape[:2]
    size = (THUMB_WIDTH, max(1, round(THUMB_WIDTH * height / width)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def overlay(
    pixels: Frame, mask: NDArray[np.bool_], *, token_share: tuple[float, float]
) -> Image.Image:
    """Dim what was not kept, take its colour, and draw a line around what was.

    Args:
        pixels: (height, width, 3).
        mask: Kept tokens, (rows, cols).
        token_share: Height and width of a token as shares of the frame's.
    """
    height, width = pixels.shape[:2]
    rows = (np.arange(height) / (height * token_share[0])).astype(np.int64)
    cols = (np.arange(width) / (width * token_share[1])).astype(np.int64)
    is_kept = mask[np.ix_(np.minimum(rows, mask.shape[0] - 1), np.minimum(cols, mask.shape[1] - 1))]
    grey = pixels.mean(axis=2, keepdims=True) * DIMMED
    painted = np.where(is_kept[..., None], pixels, grey).astype(np.uint8)
    is_edge = np.zeros_like(is_kept)
    is_edge[:, 1:] |= is_kept[:, 1:] != is_kept[:, :-1]
    is_edge[1:] |= is_kept[1:] != is_kept[:-1]
    painted[is_edge] = ACCENT
    return Image.fromarray(painted)


def draw_strip(
    shown: Sequence[Shown],
    kept: Kept,
    *,
    title: str,
    frame_seconds: Sequence[float] | NDArray[np.float64],
    token_share: tuple[float, float],
) -> Image.Image:
    """A strip of frames with their kept cells, above a plot of tokens kept a frame.

    Args:
        shown: Frames to draw, in order.
        kept: Of all sampled frames.
        title: Written on top.
        frame_seconds: When every sampled frame is shown.
        token_share: Height and width of a token as shares of the frame's.
    """
    thumb_height = shown[0].pixels.shape[0]
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    width = columns * (THUMB_WIDTH + MARGIN) + MARGIN
    cell = thumb_height + CAPTION + MARGIN
    height = TITLE + lines * cell + PLOT_HEIGHT + MARGIN
    page = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(18)
    draw.text((MARGIN, MARGIN), title, font=ImageFont.load_default(20), fill=INK)
    for place, frame in enumerate(shown):
        row, col = divmod(place, columns)
        x, y = MARGIN + col * (THUMB_WIDTH + MARGIN), TITLE + MARGIN // 2 + row * cell
        picture = overlay(frame.pixels, kept.mask(frame.number), token_share=token_share)
        page.paste(picture, (x, y))
        num, total = kept.tokens[frame.number].size, kept.rows * kept.cols
        caption = f"{frame.seconds:.1f} s    {num} of {total} tokens ({num / total:.1%})"
        draw.text((x, y + thumb_height + 4), caption, font=font, fill=INK)
    counts = [ids.size for ids in kept.tokens]
    box = (MARGIN, TITLE + lines * cell, width - MARGIN, height - MARGIN)
    _plot(draw, box, counts, frame_seconds, {frame.number for frame in shown})
    return page


def _plot(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    counts: Sequence[int],
    seconds: Sequence[float] | NDArray[np.float64],
    marked: set[int],
) -> None:
    """Bars of tokens kept a frame, from 0; the frames of the strip in colour."""
    font = ImageFont.load_default(14)
    most = max(max(counts), 1)
    left, top, right, bottom = box[0] + 60, box[1] + 28, box[2], box[3] - 24
    draw.text(
        (box[0], box[1]),
        "tokens kept in each sampled frame (orange: shown above)",
        font=font,
        fill=INK,
    )
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        draw.line((left, y, right, y), fill=FAINT)
        draw.text((left - 8, y), str(round(share * most)), font=font, fill=INK, anchor="rm")
    step = (right - left) / len(counts)
    for frame, count in enumerate(counts):
        x0, x1 = left + frame * step, left + (frame + 1) * step - min(2.0, step / 4)
        height = count / most * (bottom - top)
        colour = ACCENT if frame in marked else INK
        draw.rectangle((x0, bottom - height, max(x0, x1), bottom), fill=colour)
    last = len(counts) - 1
    for frame in sorted({0, last // 2, last}):
        x = left + (frame + 0.5) * step
        anchor = "rt" if frame == last > 0 else "lt" if frame == 0 else "mt"
        draw.text((x, bottom + 6), f"{seconds[frame]:.1f} s", font=font, fill=INK, anchor=anchor)
