"""Signs on photographs: lines of text, a coloured mark or things to count, cheap and endless.

A sign is a few milliseconds of work, so that a model sees millions of characters in fonts, sizes,
colours, slants, blur, noise and compression of many kinds before it sees a scene.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from evaluators.train.looks import SIDE, Box, Cells, Glyph, Pixels, cells_of
from gaze.train.moving import names
from hlvid.synthetic import photographs
from hlvid.synthetic.lettering import FONTS
from hlvid.synthetic.scene import COLOURS, Colour
from hlvid.synthetic.sheet import font as shipped_font

PILLOW = "pillow"
"""The font that Pillow carries."""
FACES = (*FONTS, PILLOW)
MIN_CAPITAL, MAX_CAPITAL, LARGE_CAPITAL = 15, 38, 64
"""Height of a capital letter in pixels; the renderer's small text has 18 to 32, its headings have
up to 61."""
PAPER: Colour = (225, 225, 220)
INK: Colour = (30, 30, 34)
_MARGIN = 5
_MIN_CONTRAST = 70.0
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """What stands on one line of a sign.

    Args:
        text: Words; '' where it is a mark or things to count.
        is_about: Whether a question is about it.
        is_large: Whether its letters may be as large as the renderer's headings.
        mark: Name of a colour that is shown there.
        count: Things to count.
    """

    text: str = ""
    is_about: bool = False
    is_large: bool = False
    mark: str = ""
    count: int = 0


@dataclass(frozen=True)
class _Set:
    """A line in its place: x and y of its left end and its base line."""

    line: Line
    face: str
    size: int
    x: float
    y: float
    capital: float
    width: float


def draw_sign(
    rng: np.random.Generator,
    lines: Sequence[Line],
    *,
    split: str,
    colour: str = "",
    place: tuple[int, int, int] = (0, 0, 0),
    most: tuple[int, int] = (8, 12),
    is_exact: bool = False,
    is_plain: bool = False,
) -> Cells:
    """Draw a sign.

    Args:
        rng: Where all draws come from.
        lines: From top to bottom.
        split: 'training' or 'validation': whose photographs are behind it.
        colour: Name of the plate's; '' for any, or none.
        place: As in `cells_of`.
        most: Rows and columns of the largest sign.
        is_exact: Whether it has that size.
        is_plain: Whether it is dark on light, seen straight, and clean: easy to begin with.
    """
    set_lines, rows, cols = _set(rng, lines, most, is_exact)
    width, height = cols * SIDE, rows * SIDE
    image = _behind(rng, split, width, height)
    if is_plain:
        image.paste(_jittered(rng, PAPER, 20), (0, 0, width, height))
    elif colour or rng.random() < 0.9:
        _lay_plate(rng, image, COLOURS[colour] if colour else _any_colour(rng))
    warp = None if is_plain else _warp(rng, width, height)
    glyphs: list[Glyph] = []
    about: list[Box] = []
    marks: list[tuple[Box, str]] = []
    counted: list[Box] = []
    for number, one in enumerate(set_lines):
        box = _moved_box(warp, (one.x, one.y - one.capital, one.x + one.width, one.y))
        ink = _jittered(rng, INK, 20) if is_plain else _ink(rng, image, box)
        if one.line.text:
            glyphs += _write(image, one, ink, warp, number)
        elif one.line.mark:
            ink = _jittered(rng, COLOURS[one.line.mark], 10)
            _shapes(rng, image, [(one.x, one.y - one.capital, one.x + one.width, one.y)], ink, warp)
            marks.append((box, one.line.mark))
        else:
            boxes = _row_of(one)
            _shapes(rng, image, boxes, ink, warp)
            counted += [_moved_box(warp, each) for each in boxes]
        if one.line.is_about:
            x0, y0, x1, y1 = box
            about.append((x0 - 3, y0 - 3, x1 + 3, y1 + 3))
    pixels = np.asarray(image) if is_plain else worn(rng, image)
    return cells_of(pixels, glyphs, about=about, marks=marks, counted=counted, place=place)


def worn(rng: np.random.Generator, image: Image.Image, *, is_blurred: bool = True) -> Pixels:
    """A picture as a camera and a codec leave it: blurred, noisy, compressed, each now and then."""
    if is_blurred and rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 1.2))))
    pixels = np.asarray(image, dtype=np.float32)
    if rng.random() < 0.7:
        noise = rng.standard_normal(pixels.shape[:2], dtype=np.float32)[..., None]
        pixels = pixels + noise * np.float32(rng.uniform(0.5, 5.0))
    found: Pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        buffer = io.BytesIO()
        Image.fromarray(found).save(buffer, "JPEG", quality=int(rng.integers(35, 96)))
        with Image.open(buffer) as opened:
            found = np.asarray(opened.convert("RGB"))
    return found


@functools.cache
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    if face != PILLOW:
        return shipped_font(face, size)
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


@functools.cache
def _capital(face: str, size: int) -> float:
    """Height of a capital letter in pixels."""
    _, top, _, bottom = _font(face, size).getbbox("H", anchor="ls")
    return float(bottom - top)


def _set(
    rng: np.random.Generator, lines: Sequence[Line], most: tuple[int, int], is_exact: bool
) -> tuple[list[_Set], int, int]:
    """Choose fonts and places, and the number of rows and columns that they need."""
    widest = most[1] * SIDE - 2 * _MARGIN
    tallest = (most[0] * SIDE - 2 * _MARGIN) / max(1, len(lines))
    sized = []
    for line in lines:
        face = FACES[int(rng.integers(len(FACES)))]
        largest = min(LARGE_CAPITAL if line.is_large else MAX_CAPITAL, tallest / 1.5)
        share = float(rng.random()) ** (0.7 if line.is_large else 1.5)
        capital = MIN_CAPITAL + (largest - MIN_CAPITAL) * share
        size = max(12, round(capital * 1.37))
        width = _font(face, size).getlength(line.text) if line.text else 0.0
        if width > widest:
            size = int(size * widest / width)
            width = _font(face, size).getlength(line.text)
        capital = _capital(face, size)
        if line.mark:
            width = capital * float(rng.uniform(1.0, 5.0))
        elif line.count:
            width = min(widest, line.count * capital * float(rng.uniform(1.0, 1.9)))
        sized.append((line, face, size, capital, width))
    gaps = [float(rng.uniform(0.35, 1.0)) * capital for *_, capital, _ in sized]
    need = max(width for *_, width in sized) + 2 * _MARGIN
    high = sum(capital for *_, capital, _ in sized) + sum(gaps) + 2 * _MARGIN
    cols = min(most[1], -(-int(need) // SIDE) + int(rng.integers(2)))
    rows = min(most[0], -(-int(high) // SIDE) + int(rng.integers(2)))
    rows, cols = most if is_exact else (rows, cols)
    slack = max(0.0, rows * SIDE - high)
    y = _MARGIN + slack * float(rng.random())
    is_centred = rng.random() < 0.5
    found = []
    for (line, face, size, capital, width), gap in zip(sized, gaps, strict=True):
        y += capital
        free = max(0.0, cols * SIDE - 2 * _MARGIN - width)
        x = _MARGIN + free * (0.5 if is_centred else float(rng.random()))
        found.append(_Set(line, face, size, x, y, capital, width))
        y += gap
    return found, rows, cols


def _behind(rng: np.random.Generator, split: str, width: int, height: int) -> Image.Image:
    """A window of a photograph, at some size."""
    files = names("validation" if split == "validation" else "training")
    photo = photographs.pixels(files[int(rng.integers(len(files)))])
    zoom = float(rng.uniform(0.5, 2.0))
    wide = min(photo.shape[1], int(width * zoom))
    high = min(photo.shape[0], int(height * zoom))
    left = int(rng.integers(photo.shape[1] - wide + 1))
    top = int(rng.integers(photo.shape[0] - high + 1))
    window = Image.fromarray(photo[top : top + high, left : left + wide])
    return window.resize((width, height), Image.Resampling.BILINEAR)


def _lay_plate(rng: np.random.Generator, image: Image.Image, colour: Colour) -> None:
    """A plate over most of the picture, a little seen through."""
    plate = Image.new("RGB", image.size, _jittered(rng, colour, 14))
    mask = Image.new("L", image.size, 0)
    inset = int(rng.integers(0, _MARGIN))
    right, bottom = image.width - inset, image.height - inset
    ImageDraw.Draw(mask).rectangle((inset, inset, right, bottom), fill=int(rng.integers(215, 256)))
    image.paste(plate, (0, 0), mask)


def _ink(rng: np.random.Generator, image: Image.Image, box: Box) -> Colour:
    """A colour that stands out where a line is."""
    x0, y0, x1, y1 = (round(side) for side in box)
    part = np.asarray(image)[max(0, y0) : max(1, y1), max(0, x0) : max(1, x1)]
    here = float(part.mean()) if part.size else 128.0
    for _ in range(20):
        colour = _any_colour(rng)
        if abs(sum(colour) / 3 - here) >= _MIN_CONTRAST:
            return colour
    return (28, 28, 32) if here > 128 else (238, 238, 234)


def _any_colour(rng: np.random.Generator) -> Colour:
    if rng.random() < 0.5:
        named = tuple(COLOURS.values())
        return _jittered(rng, named[int(rng.integers(len(named)))], 14)
    red, green, blue = (int(part) for part in rng.integers(0, 256, 3))
    return red, green, blue


def _jittered(rng: np.random.Generator, colour: Colour, most: int) -> Colour:
    moved = np.clip(np.array(colour) + rng.integers(-most, most + 1, 3), 0, 255)
    red, green, blue = (int(part) for part in moved)
    return red, green, blue


def _warp(rng: np.random.Generator, width: int, height: int) -> Matrix | None:
    """From a place on the flat sign to where it is seen, (3, 3); None for a sign seen straight."""
    if rng.random() < 0.5:
        return None
    turn, slant = rng.normal(0, 0.03), rng.normal(0, 0.06)
    tilt = rng.normal(0, 0.15, 2) / np.array([width, height])
    middle = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.array([[cos, -sin + slant, 0], [sin, cos, 0], [tilt[0] / 2, tilt[1] / 2, 1]])
    matrix: Matrix = middle @ turned @ np.linalg.inv(middle)
    return matrix


def _moved(warp: Matrix | None, x: float, y: float) -> tuple[float, float]:
    if warp is None:
        return x, y
    u, v, w = (warp @ np.array([x, y, 1.0])).tolist()
    return u / w, v / w


def _moved_box(warp: Matrix | None, box: Box) -> Box:
    """The upright box around a moved one."""
    x0, y0, x1, y1 = box
    corners = [_moved(warp, x, y) for x in (x0, x1) for y in (y0, y1)]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _stamp(image: Image.Image, mask: Image.Image, ink: Colour, warp: Matrix | None) -> None:
    """Lay a colour over a picture where a mask says, seen as the warp says."""
    if warp is not None:
        back = np.linalg.inv(warp)
        parts = (back / back[2, 2]).ravel()[:8].tolist()
        mask = mask.transform(
            image.size, Image.Transform.PERSPECTIVE, parts, Image.Resampling.BILINEAR
        )
    image.paste(ink, (0, 0, *image.size), mask)


def _write(
    image: Image.Image, one: _Set, ink: Colour, warp: Matrix | None, number: int
) -> list[Glyph]:
    """Write a line; returns its characters' middles."""
    letters = _font(one.face, one.size)
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).text((one.x, one.y), one.line.text, fill=255, font=letters, anchor="ls")
    _stamp(image, mask, ink, warp)
    ends = [one.x + letters.getlength(one.line.text[:i]) for i in range(len(one.line.text) + 1)]
    found = []
    for character, (start, end) in zip(one.line.text, itertools.pairwise(ends), strict=True):
        x, y = _moved(warp, (start + end) / 2, one.y - one.capital / 2)
        found.append(Glyph(character, x, y, number, end - start, one.capital))
    return found


def _row_of(one: _Set) -> list[Box]:
    """Boxes of things to count, side by side, with gaps."""
    pitch = one.width / one.line.count
    wide = min(pitch * 0.72, one.capital)
    return [
        (one.x + i * pitch, one.y - one.capital, one.x + i * pitch + wide, one.y)
        for i in range(one.line.count)
    ]


def _shapes(
    rng: np.random.Generator,
    image: Image.Image,
    boxes: Sequence[Box],
    ink: Colour,
    warp: Matrix | None,
) -> None:
    """Fill boxes, round ones or not."""
    mask = Image.new("L", image.size, 0)
    draw = ImageDraw.Draw(mask)
    is_round, radius = rng.random() < 0.4, int(rng.integers(0, 9))
    for box in boxes:
        if is_round:
            draw.ellipse(box, fill=255)
        else:
            draw.rounded_rectangle(box, radius, fill=255)
    _stamp(image, mask, ink, warp)
