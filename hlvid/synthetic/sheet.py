"""A sheet to paint one thing on: textures from photographs, soft-edged shapes, shadows and text."""

import functools
from collections.abc import Callable, Sequence
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from hlvid.synthetic import photographs
from hlvid.synthetic.lettering import FONTS, Text
from hlvid.synthetic.scene import Box, Colour
from hlvid.synthetic.strings import Split

_FINE = 4
"""Shapes are drawn so many times larger and shrunk, for soft edges."""


@functools.cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A shipped font; the basic layout engine, so that no installed library changes it."""
    file = resources.files("hlvid.synthetic") / "fonts" / f"{FONTS[name]}.ttf"
    with file.open("rb") as opened:
        return ImageFont.truetype(opened, size, layout_engine=ImageFont.Layout.BASIC)


def texture(
    role: str,
    split: Split,
    variant: int,
    size: tuple[int, int],
    *,
    tint: Colour | None = None,
    scale: float = 1.0,
    blur: float = 0.0,
) -> Image.Image:
    """A part of a photograph, continued by mirroring until it fills a size.

    Args:
        role: What the part can play, as in `photographs.regions`.
        split: Whose photographs.
        variant: Which part, and where in it to start.
        size: (width, height) to fill, in pixels.
        tint: The colour that its mean becomes; None leaves the photograph's own colours.
        scale: How much larger than in the photograph it is shown.
        blur: Radius in pixels of a blur, as of a lens out of focus.
    """
    image = photographs.crop(role, split, variant)
    if scale != 1.0:
        scaled = (max(2, round(image.width * scale)), max(2, round(image.height * scale)))
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    pixels = np.asarray(image)
    rows = _mirrored(size[1], pixels.shape[0], variant * 131)
    columns = _mirrored(size[0], pixels.shape[1], variant * 197)
    filled = pixels[rows][:, columns]
    return Image.fromarray(_tinted(filled, tint) if tint is not None else filled)


def _mirrored(length: int, period: int, start: int) -> NDArray[np.intp]:
    """Indices 0..period-1 running back and forth, `length` of them."""
    steps = (np.arange(length) + start) % (2 * period)
    return np.where(steps < period, steps, 2 * period - 1 - steps)


def _tinted(pixels: NDArray[np.uint8], tint: Colour) -> NDArray[np.uint8]:
    """Keep the light and dark of a texture, and give it another mean colour."""
    luma = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    relief = luma / max(1.0, float(luma.mean()))
    own = pixels / np.maximum(1.0, luma[..., None])
    neutral = own / np.maximum(0.2, own.mean(axis=(0, 1)))
    coloured = relief[..., None] * neutral * np.array(tint, dtype=np.float32)
    return np.clip(coloured, 0, 255).astype(np.uint8)


def darker(colour: Colour, share: float) -> Colour:
    """A colour with this share of its light."""
    red, green, blue = (max(0, min(255, round(part * share))) for part in colour)
    return red, green, blue


class Sheet:
    """Where one thing is painted, in its layer's coordinates.

    Args:
        box: Of the thing.
        margin: Room around it for shadows and parts that stick out; even.
        split: Whose photographs may be used.
    """

    def __init__(self, box: Box, margin: int, split: Split) -> None:
        x0, y0, x1, y1 = box
        self.left, self.top = x0 - margin, y0 - margin
        self.split = split
        self.image = Image.new("RGBA", (x1 - x0 + 2 * margin, y1 - y0 + 2 * margin), (0, 0, 0, 0))

    def fill(self, box: Box, colour: Colour, alpha: int = 255) -> None:
        """Fill a rectangle."""
        self._paste(Image.new("RGB", _size(box), colour), box, alpha)

    def gradient(
        self, box: Box, stops: Sequence[Colour], *, across: bool = False, alpha: int = 255
    ) -> None:
        """Fill a rectangle with colours that run from top to bottom, or from left to right."""
        self._paste(_gradient(_size(box), stops, across), box, alpha)

    def texture(
        self,
        box: Box,
        role: str,
        variant: int,
        *,
        tint: Colour | None = None,
        scale: float = 1.0,
        blur: float = 0.0,
        alpha: int = 255,
    ) -> None:
        """Fill a rectangle with a part of a photograph."""
        image = texture(role, self.split, variant, _size(box), tint=tint, scale=scale, blur=blur)
        self._paste(image, box, alpha)

    def shade(self, box: Box, *, across: bool, start: float, end: float) -> None:
        """Darken a rectangle, more at one side than at the other; 0 is none, 1 is black."""
        width, height = _size(box)
        ramp = np.linspace(255 * start, 255 * end, width if across else height)
        alpha = np.tile(ramp, (height, 1)) if across else np.tile(ramp[:, None], (1, width))
        self._paste_mask((0, 0, 0), box, Image.fromarray(alpha.astype(np.uint8)))

    def rounded(self, box: Box, radius: int, colour: Colour, alpha: int = 255) -> None:
        """Fill a rectangle with round corners."""
        self.shape(box, lambda d, w, h: d.rounded_rectangle(
            (0, 0, w - 1, h - 1), radius * _FINE, fill=alpha), colour)  # fmt: skip

    def ellipse(self, box: Box, colour: Colour, alpha: int = 255) -> None:
        """Fill an ellipse."""
        self.shape(box, lambda d, w, h: d.ellipse((0, 0, w - 1, h - 1), fill=alpha), colour)

    def polygon(
        self, box: Box, points: Sequence[tuple[float, float]], colour: Colour, alpha: int = 255
    ) -> None:
        """Fill a polygon given in shares of a box, (0, 0) at its top left."""
        self.shape(box, lambda d, w, h: d.polygon(
            [(x * w, y * h) for x, y in points], fill=alpha), colour)  # fmt: skip

    def shape(
        self,
        box: Box,
        draw: Callable[[ImageDraw.ImageDraw, int, int], None],
        colour: Colour | Image.Image,
    ) -> None:
        """Fill what `draw` draws on an enlarged mask, (mask, width, height), with soft edges."""
        self._paste_mask(colour, box, soft_mask(_size(box), draw))

    def shadow(self, box: Box, radius: int, alpha: int) -> None:
        """Darken around a rectangle, softly."""
        x0, y0, x1, y1 = box
        wide = (x0 - 2 * radius, y0 - 2 * radius, x1 + 2 * radius, y1 + 2 * radius)
        mask = Image.new("L", _size(wide), 0)
        inner = (2 * radius, 2 * radius, 2 * radius + x1 - x0, 2 * radius + y1 - y0)
        ImageDraw.Draw(mask).rectangle(inner, fill=alpha)
        self._paste_mask((0, 0, 0), wide, mask.filter(ImageFilter.GaussianBlur(radius / 2)))

    def text(self, *texts: Text | None) -> None:
        """Write lines, each character at its own whole pixel."""
        for text in texts:
            if text is None:
                continue
            baseline = text.y + text.cap_height
            letters = font(text.font, text.size)
            draw = ImageDraw.Draw(self.image)
            for character, x in zip(text.string, text.starts, strict=False):
                place = (x - self.left, baseline - self.top)
                draw.text(place, character, fill=text.colour, font=letters, anchor="ls")

    def _paste(self, image: Image.Image, box: Box, alpha: int) -> None:
        self._paste_mask(image, box, Image.new("L", image.size, alpha))

    def _paste_mask(self, colour: Colour | Image.Image, box: Box, mask: Image.Image) -> None:
        """Lay a colour or picture over what is there."""
        over = Image.new("RGB", mask.size, colour) if isinstance(colour, tuple) else colour
        over = over.convert("RGBA")
        over.putalpha(mask)
        place = (box[0] - self.left, box[1] - self.top)
        # alpha_composite refuses places outside, so the part inside is cut out first.
        cut = (max(0, -place[0]), max(0, -place[1]))
        size = (
            min(over.width, self.image.width - place[0]),
            min(over.height, self.image.height - place[1]),
        )
        if size[0] > cut[0] and size[1] > cut[1]:
            part = over.crop((*cut, *size))
            self.image.alpha_composite(part, (place[0] + cut[0], place[1] + cut[1]))


def soft_mask(
    size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw, int, int], None]
) -> Image.Image:
    """A mask with soft edges: drawn larger, then shrunk."""
    large = Image.new("L", (size[0] * _FINE, size[1] * _FINE), 0)
    draw(ImageDraw.Draw(large), large.width, large.height)
    return large.resize(size, Image.Resampling.BOX)


def multiplied(image: Image.Image, mask: Image.Image) -> Image.Image:
    """A picture with its opacity reduced by a mask."""
    found = image.copy()
    found.putalpha(ImageChops.multiply(image.getchannel("A"), mask))
    return found


def _gradient(size: tuple[int, int], stops: Sequence[Colour], across: bool) -> Image.Image:
    width, height = size
    length = width if across else height
    at = np.linspace(0, 1, len(stops))
    places = np.linspace(0, 1, length)
    line = np.stack(
        [np.interp(places, at, [stop[c] for stop in stops]) for c in range(3)], axis=-1
    ).astype(np.uint8)
    full = np.tile(line[None], (height, 1, 1)) if across else np.tile(line[:, None], (1, width, 1))
    return Image.fromarray(np.ascontiguousarray(full))


def _size(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]
