"""Pictures of what was kept: a strip of frames, how much of each, and at which scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gaze.selectors import Cells, Kept
from gaze.views import Frame

THUMB_WIDTH = 640
COLUMNS = 3
MARGIN = 16
CAPTION = 30
TITLE = 44
LEGEND = 30
PLOT_HEIGHT = 200
DIMMED = 0.4
"""Brightness of what was not kept."""
COARSE = 0.7
"""Brightness under a cell that is too coarse to keep tokens."""
THICK_FROM = 16
"""Pixels of a cell from which its line is two pixels wide."""
BACKGROUND = (250, 250, 248)
INK = (32, 36, 40)
FAINT = (206, 208, 210)
ACCENT = (214, 120, 0)
SCALE_COLOURS = ((86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0))
"""Coarse to fine; told apart by those who cannot tell red from green."""

Colour = tuple[int, int, int]


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


@dataclass(frozen=True)
class Bars:
    """One part of a stacked plot.

    Args:
        label: What is counted.
        colour: Of the bars.
        counts: One a frame.
    """

    label: str
    colour: Colour
    counts: NDArray[np.int64]


def shrink(pixels: Frame) -> Frame:
    """A frame at the size of the strip, with its own shape."""
    height, width = pixels.shape[:2]
    size = (THUMB_WIDTH, max(1, round(THUMB_WIDTH * height / width)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def scale_names(cells: Cells) -> list[str]:
    """What the scales are called, coarse to fine: '2x2', '4x4', ..."""
    return [f"{side}x{side}" for side in cells.sides]


def scale_colour(scale: int) -> Colour:
    """The colour of a scale."""
    return SCALE_COLOURS[scale % len(SCALE_COLOURS)]


def overlay(
    pixels: Frame,
    mask: NDArray[np.bool_],
    *,
    token_share: tuple[float, float],
    cells: Cells | None = None,
) -> Image.Image:
    """Dim what was not kept, take its colour, and draw a line around what was.

    Args:
        pixels: (height, width, 3).
        mask: Kept tokens, (rows, cols).
        token_share: Height and width of a token as shares of the frame's.
        cells: Gazed at in this frame; each has a line of its own then, in the colour of its scale.
    """
    height, width = pixels.shape[:2]
    rows = (np.arange(height) / (height * token_share[0])).astype(np.int64)
    cols = (np.arange(width) / (width * token_share[1])).astype(np.int64)
    is_kept = mask[np.ix_(np.minimum(rows, mask.shape[0] - 1), np.minimum(cols, mask.shape[1] - 1))]
    brightness = np.full((height, width, 1), DIMMED)
    places = [] if cells is None else _places(cells, height, width, token_share)
    for top, left, bottom, right, _ in places:
        brightness[top:bottom, left:right] = COARSE
    grey = pixels.mean(axis=2, keepdims=True) * brightness
    painted = np.where(is_kept[..., None], pixels, grey).astype(np.uint8)
    if cells is None:
        is_edge = np.zeros_like(is_kept)
        is_edge[:, 1:] |= is_kept[:, 1:] != is_kept[:, :-1]
        is_edge[1:] |= is_kept[1:] != is_kept[:-1]
        painted[is_edge] = ACCENT
        return Image.fromarray(painted)
    image = Image.fromarray(painted)
    draw = ImageDraw.Draw(image)
    for top, left, bottom, right, scale in sorted(places, key=lambda place: place[4]):
        thick = 2 if right - left >= THICK_FROM else 1
        draw.rectangle((left, top, right - 1, bottom - 1), outline=scale_colour(scale), width=thick)
    return image


def _places(
    cells: Cells, height: int, width: int, token_share: tuple[float, float]
) -> list[tuple[int, int, int, int, int]]:
    """Top, left, bottom, right in pixels and scale of every cell, cut at the frame's edge."""
    down, across = height * token_share[0], width * token_share[1]
    scaled = cells.boxes * np.array([down, across, down, across])
    limited = np.minimum(np.round(scaled).astype(np.int64), [height, width, height, width])
    return [
        (top, left, bottom, right, scale)
        for (top, left, bottom, right), scale in zip(
            limited.tolist(), cells.scale.tolist(), strict=True
        )
        if top < bottom and left < right
    ]


def draw_strip(
    shown: Sequence[Shown],
    kept: Kept,
    *,
    title: str,
    frame_seconds: Sequence[float] | NDArray[np.float64],
    token_share: tuple[float, float],
) -> Image.Image:
    """A strip of frames with their kept cells, above plots of what was kept of every frame.

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
    plots = draw_plots(kept, frame_seconds, {frame.number for frame in shown}, width=width)
    head = TITLE + (LEGEND if kept.cells else 0)
    page = Image.new("RGB", (width, head + lines * cell + plots.height), BACKGROUND)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(18)
    draw.text((MARGIN, MARGIN), title, font=ImageFont.load_default(20), fill=INK)
    if kept.cells:
        _legend(draw, kept.cells[0])
    for place, frame in enumerate(shown):
        row, col = divmod(place, columns)
        x, y = MARGIN + col * (THUMB_WIDTH + MARGIN), head + MARGIN // 2 + row * cell
        page.paste(draw_frame(frame, kept, token_share=token_share), (x, y))
        draw.text((x, y + thumb_height + 4), caption(frame, kept), font=font, fill=INK)
    page.paste(plots, (0, head + lines * cell))
    return page


def draw_frame(frame: Shown, kept: Kept, *, token_share: tuple[float, float]) -> Image.Image:
    """One frame of a strip with what was kept of it."""
    cells = None if kept.cells is None else kept.cells[frame.number]
    return overlay(frame.pixels, kept.mask(frame.number), token_share=token_share, cells=cells)


def caption(frame: Shown, kept: Kept) -> str:
    """When a frame is shown, and how much of it was kept."""
    num, total = kept.tokens[frame.number].size, kept.rows * kept.cols
    return f"{frame.seconds:.1f} s    {num} of {total} tokens ({num / total:.1%})"


def _legend(draw: ImageDraw.ImageDraw, cells: Cells) -> None:
    x, font = MARGIN, ImageFont.load_default(16)
    draw.text((x, TITLE), "cells gazed at:", font=font, fill=INK)
    x += round(draw.textlength("cells gazed at:", font=font)) + MARGIN
    for scale, name in enumerate(scale_names(cells)):
        draw.rectangle((x, TITLE + 2, x + 16, TITLE + 18), fill=scale_colour(scale), outline=INK)
        draw.text((x + 24, TITLE), name, font=font, fill=INK)
        x += 24 + round(draw.textlength(name, font=font)) + MARGIN


def draw_plots(
    kept: Kept,
    frame_seconds: Sequence[float] | NDArray[np.float64],
    marked: set[int],
    *,
    width: int,
) -> Image.Image:
    """Tokens kept of every frame over time and, where there are scales, cells of each.

    Args:
        kept: Of all sampled frames.
        frame_seconds: When every sampled frame is shown.
        marked: Frames whose bar of tokens is drawn in colour.
        width: In pixels.
    """
    tokens = np.array([ids.size for ids in kept.tokens], dtype=np.int64)
    is_marked = np.isin(np.arange(tokens.size), list(marked))
    plots = {
        "tokens kept in each sampled frame (orange: shown above)": [
            Bars("other frames", INK, np.where(is_marked, 0, tokens)),
            Bars("shown above", ACCENT, np.where(is_marked, tokens, 0)),
        ]
    }
    if kept.cells:
        counts = np.stack([cells.num_per_scale for cells in kept.cells])
        plots["cells gazed at in each sampled frame, coarse (below) to fine"] = [
            Bars(name, scale_colour(scale), counts[:, scale])
            for scale, name in enumerate(scale_names(kept.cells[0]))
        ]
    page = Image.new("RGB", (width, len(plots) * (PLOT_HEIGHT + MARGIN)), BACKGROUND)
    draw = ImageDraw.Draw(page)
    for number, (title, bars) in enumerate(plots.items()):
        top = number * (PLOT_HEIGHT + MARGIN)
        box = (MARGIN, top, width - MARGIN, top + PLOT_HEIGHT)
        _plot(draw, box, title, bars, frame_seconds)
    return page


def _plot(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    title: str,
    parts: Sequence[Bars],
    seconds: Sequence[float] | NDArray[np.float64],
) -> None:
    """Stacked bars, one a frame, from 0."""
    font = ImageFont.load_default(14)
    total = np.sum([part.counts for part in parts], axis=0)
    most = max(int(total.max()), 1)
    left, top, right, bottom = box[0] + 60, box[1] + 28, box[2], box[3] - 24
    draw.text((box[0], box[1]), title, font=font, fill=INK)
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        draw.line((left, y, right, y), fill=FAINT)
        draw.text((left - 8, y), f"{share * most:g}", font=font, fill=INK, anchor="rm")
    step = (right - left) / total.size
    below = np.zeros_like(total)
    for part in parts:
        for frame in np.flatnonzero(part.counts):
            x0, x1 = left + frame * step, left + (frame + 1) * step - min(2.0, step / 4)
            low, high = (
                bottom - count / most * (bottom - top)
                for count in (below[frame], below[frame] + part.counts[frame])
            )
            draw.rectangle((x0, high, max(x0, x1), low), fill=part.colour)
        below += part.counts
    last = total.size - 1
    for frame in sorted({0, last // 2, last}):
        x = left + (frame + 0.5) * step
        anchor = "rt" if frame == last > 0 else "lt" if frame == 0 else "mt"
        draw.text((x, bottom + 6), f"{seconds[frame]:.1f} s", font=font, fill=INK, anchor=anchor)
