"""Pictures of nothing: leaves of all sizes on coloured noise, sharp or out of focus.

A few photographs teach a model these photographs. Overlapping shapes whose sizes follow a power law
have the statistics of natural images (Lee, Mumford and Huang 2001, doi:10.1023/A:1011109015675),
and there is no end of them.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from gaze.train.clips import Split, draws

PREFIX = "painted "
WIDTH, HEIGHT = 1152, 768
_OCTAVES = 7


def name_of(split: Split, number: int) -> str:
    """What a picture is called, among files of photographs."""
    return f"{PREFIX}{split} {number}"


@functools.lru_cache(maxsize=8)
def picture(name: str) -> NDArray[np.uint8]:
    """The picture of a name, (768, 1152, 3): the same on every machine but for rounding."""
    rng = draws(name)
    palette = rng.uniform(0, 255, (int(rng.integers(2, 9)), 3))
    grey = palette.mean(1, keepdims=True)
    palette = grey + (palette - grey) * rng.uniform(0.0, 0.8)
    image = _noise(rng, palette)
    count = round(_between(rng, 2, 1000))
    soft = int(count * rng.random()) if rng.random() < 0.5 else 0  # those behind the focus
    _leaves(image, rng, palette, soft)
    if soft or rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(_between(rng, 1.0, 24.0)))
    _leaves(image, rng, palette, count - soft)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(_between(rng, 0.4, 3.0)))
    found: NDArray[np.uint8] = np.asarray(image)
    return found


def _noise(rng: np.random.Generator, palette: NDArray[np.float64]) -> Image.Image:
    """Coloured noise whose octaves fall off, smooth or rough, around a colour."""
    fall = rng.uniform(0.4, 1.6)
    layers = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for octave in range(_OCTAVES):
        wide = 3 * 2**octave
        grid = rng.standard_normal((wide * 2 // 3, wide, 3))
        grid = grid * 0.4 + grid.mean(-1, keepdims=True)  # mostly of one colour
        size = (WIDTH, HEIGHT)
        for channel in range(3):
            part = Image.fromarray(grid[..., channel].astype(np.float32))
            large = np.asarray(part.resize(size, Image.Resampling.BICUBIC))
            layers[..., channel] += large * 2.0 ** (-fall * octave)
    layers *= _between(rng, 4.0, 60.0) / max(1e-3, float(layers.std()))
    base = palette[int(rng.integers(len(palette)))]
    return Image.fromarray(np.clip(layers + base, 0, 255).astype(np.uint8))


def _leaves(
    image: Image.Image, rng: np.random.Generator, palette: NDArray[np.float64], count: int
) -> None:
    """Lay shapes over a picture, large ones first."""
    draw = ImageDraw.Draw(image)
    radii = np.minimum(8.0 * (1 - rng.random(count)) ** (-1 / 1.5), 320.0)
    for radius in np.sort(radii)[::-1].tolist():
        x, y = rng.random() * WIDTH, rng.random() * HEIGHT
        colour = palette[int(rng.integers(len(palette)))] + rng.normal(0, 12, 3)
        red, green, blue = (int(part) for part in np.clip(colour, 0, 255))
        stretch = _between(rng, 0.3, 1.0)
        kind = rng.random()
        if kind < 0.4:
            box = (x - radius, y - radius * stretch, x + radius, y + radius * stretch)
            draw.ellipse(box, fill=(red, green, blue))
            continue
        corners = 4 if kind < 0.8 else int(rng.integers(3, 8))
        turn = rng.uniform(0, 2 * math.pi)
        around = np.arange(corners) * 2 * math.pi / corners + math.pi / corners
        points = np.stack([radius * np.cos(around), radius * stretch * np.sin(around)], 1)
        cos, sin = math.cos(turn), math.sin(turn)
        points = points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
        draw.polygon([(float(a), float(b)) for a, b in points], fill=(red, green, blue))


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.random())
