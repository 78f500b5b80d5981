"""Surfaces and pictures from parts of the shipped photographs.

A surface is quilted: pieces of a photograph overlap and fade into each other at random places,
keeping their contrast, on a tile that continues at its own edges: no seam, no mirror image.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from hlvid.synthetic import photographs
from hlvid.synthetic.chance import Chance
from hlvid.synthetic.scene import Box, Colour
from hlvid.synthetic.strings import Split

Pixels = NDArray[np.uint8]

_TILE = 1152
"""Side of a quilted tile in pixels."""
_PIECE = 288
_BRICK_WIDTH, _BRICK_HEIGHT = 118, 40
_MORTAR: Colour = (182, 176, 166)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def surface(
    role: str,
    split: Split,
    variant: int,
    size: tuple[int, int],
    *,
    tint: Colour | None = None,
    scale: float = 1.0,
    contrast: float = 1.0,
) -> Image.Image:
    """A surface that fills a size.

    Args:
        role: What the part of a photograph can play, as in `photographs.regions`.
        split: Whose photographs.
        variant: Which part, and where on the tile to start.
        size: (width, height) in pixels.
        tint: The colour that its mean becomes; None leaves the photograph's own colours.
        scale: How much larger than in the photograph it is shown.
        contrast: Of light and dark around the tint.
    """
    known = photographs.regions(role, split)
    file, box = known[variant % len(known)]
    rows = (np.arange(size[1]) + variant * 131) % _TILE
    columns = (np.arange(size[0]) + variant * 197) % _TILE
    if tint is None:
        return Image.fromarray(_tile(file, box, scale)[rows][:, columns])
    return _tinted(_relief(file, box, scale)[rows][:, columns], tint, contrast)


def planks(
    split: Split,
    variant: int,
    size: tuple[int, int],
    *,
    tint: Colour,
    height: int,
    role: str = "plank",
) -> Image.Image:
    """A wall of boards, `height` pixels each, with joints that do not line up."""
    width, total = size
    chance = Chance("planks", variant)
    relief = np.empty((total, width), dtype=np.uint8)
    known = photographs.regions(role, split)
    for top in range(0, total, height):
        bottom = min(top + height, total)
        left = -chance.below(400)
        while left < width:
            file, box = known[chance.below(len(known))]
            board = _board(file, box, height, bool(chance.below(2)))
            shade = chance.between(92, 109)
            start, right = max(0, left), min(left + board.shape[1], width)
            if right > start:
                part = board[: bottom - top, start - left : right - left]
                relief[top:bottom, start:right] = np.minimum(part * (shade / 100), 255)
                relief[top:bottom, start : min(start + 3, right)] //= 2
            left += board.shape[1]
        relief[max(top, bottom - 5) : bottom] //= 2
    return _tinted(relief, tint, 1.0)


def bricks(split: Split, size: tuple[int, int], *, tint: Colour) -> Image.Image:
    """A wall of bricks: the relief of plaster, cut by joints, every brick in a shade of its own."""
    width, height = size
    row, y = np.divmod(np.arange(height), _BRICK_HEIGHT)
    shifted = np.arange(width)[None] + (row % 2 * (_BRICK_WIDTH // 2))[:, None]
    column, x = np.divmod(shifted, _BRICK_WIDTH)
    shade = 84 + (column * 7919 + row[:, None] * 104729 + column * row[:, None] * 31) % 33
    is_joint = (y[:, None] < 6) | (x < 6)
    file, box = photographs.regions("plaster", split)[0]
    rough = _relief(file, box, 0.7)[np.arange(height) % _TILE][:, np.arange(width) % _TILE]
    stone = _tinted(np.minimum(rough * (shade / 100), 255).astype(np.uint8), tint, 1.0)
    mortar = _tinted(rough, _MORTAR, 0.8)
    return Image.composite(mortar, stone, Image.fromarray(is_joint))


def picture(
    role: str, split: Split, variant: int, size: tuple[int, int], *, blur: float = 0.0
) -> Image.Image:
    """A part of a photograph as a picture: upright, cut to the shape of a size."""
    known = photographs.regions(role, split)
    file, (x0, y0, x1, y1) = known[variant % len(known)]
    share = min((x1 - x0) / size[0], (y1 - y0) / size[1])
    width, height = int(size[0] * share), int(size[1] * share)
    left = x0 + variant * 197 % (x1 - x0 - width + 1)
    top = y0 + (y1 - y0 - height) // 3
    image = Image.fromarray(photographs.pixels(file)[top : top + height, left : left + width])
    found = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5)
    return found.filter(ImageFilter.GaussianBlur(blur)) if blur else found


@functools.lru_cache(maxsize=24)
def _tile(file: str, box: Box, scale: float) -> Pixels:
    """A quilted tile, (_TILE, _TILE, 3)."""
    x0, y0, x1, y1 = box
    image = Image.fromarray(photographs.pixels(file)[y0:y1, x0:x1])
    if scale != 1.0:
        scaled = max(8, round(image.width * scale)), max(8, round(image.height * scale))
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    source = _evened(image)
    mean = source.mean(axis=(0, 1))
    height, width = (min(_PIECE, n) for n in source.shape[:2])
    window = np.outer(_window(height), _window(width))[..., None]
    total = np.zeros((_TILE + height, _TILE + width, 3), dtype=np.float32)
    weight = np.zeros((_TILE + height, _TILE + width, 1), dtype=np.float32)
    chance = Chance("quilt", file, *box)
    for top in range(0, _TILE, height * 2 // 5):
        for left in range(0, _TILE, width * 2 // 5):
            y = chance.below(source.shape[0] - height + 1)
            x = chance.below(source.shape[1] - width + 1)
            into = slice(top, top + height), slice(left, left + width)
            total[into] += window * (source[y : y + height, x : x + width] - mean)
            weight[into] += window**2
    total, weight = _folded(total), _folded(weight)
    # Dividing by the root of the squares keeps the contrast that a plain mean would wash out.
    tile: Pixels = np.clip(total / np.sqrt(weight) + mean, 0, 255).astype(np.uint8)
    return tile


def _folded(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add what stands over the right and lower edge of a tile to its left and top."""
    plane[:, : plane.shape[1] - _TILE] += plane[:, _TILE:]
    plane[: plane.shape[0] - _TILE] += plane[_TILE:]
    return plane[:_TILE, :_TILE]


def _window(length: int) -> NDArray[np.float32]:
    """Weights of a piece, falling to almost nothing at its edges."""
    places = (np.arange(length, dtype=np.float32) + 0.5) / length
    return np.sin(np.pi * places) ** 3 + np.float32(1e-3)


def _evened(image: Image.Image) -> NDArray[np.float32]:
    """Take out light that changes slowly over a picture."""
    pixels = np.asarray(image, dtype=np.float32)
    luma = pixels @ _LUMA
    slow = Image.fromarray(luma).resize((8, 8), Image.Resampling.BOX)
    slow = slow.resize(image.size, Image.Resampling.BICUBIC)
    share = luma.mean() / np.maximum(8.0, np.asarray(slow))
    return np.asarray(pixels * share[..., None], dtype=np.float32)


@functools.lru_cache(maxsize=24)
def _relief(file: str, box: Box, scale: float) -> Pixels:
    """Light and dark of a tile: 128 is its mean."""
    luma = _tile(file, box, scale) @ _LUMA
    return _as_relief(luma)


@functools.lru_cache(maxsize=64)
def _board(file: str, box: Box, height: int, is_flipped: bool) -> Pixels:
    """Light and dark of one board, scaled to a height."""
    x0, y0, x1, y1 = box
    image = Image.fromarray(photographs.pixels(file)[y0:y1, x0:x1])
    image = image.resize((image.width * height // image.height, height), Image.Resampling.BICUBIC)
    relief = _as_relief(_evened(image) @ _LUMA)
    return relief[:, ::-1] if is_flipped else relief


def _as_relief(luma: NDArray[np.float32]) -> Pixels:
    relief: Pixels = np.clip(luma / max(1.0, float(luma.mean())) * 128, 0, 255).astype(np.uint8)
    return relief


def _tinted(relief: Pixels, tint: Colour, contrast: float) -> Image.Image:
    """Give each step of relief its colour."""
    image = Image.fromarray(np.ascontiguousarray(relief), "L")
    steps = 1 + contrast * (np.arange(256)[:, None] / 128 - 1)
    table = np.clip(steps * np.array(tint), 0, 255).astype(np.uint8)
    # As a palette: PIL looks colours up many times faster than an index into an array does.
    image.putpalette(table.tobytes())
    return image.convert("RGB")
