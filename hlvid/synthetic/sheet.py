"""A sheet to paint one thing on: textures from photographs, soft-edged shapes, shadows and text."""

import functools
import io
from collections.abc import Callable, Sequence
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hlvid.synthetic import textures
from hlvid.synthetic.lettering import FONTS, Text
from hlvid.synthetic.scene import Box, Colour
from hlvid.synthetic.strings import Split

_FINE = 3
"""Shapes are drawn so many times larger and shrunk, for soft edges."""


@functools.cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A shipped font; the basic layout engine, so that no installed library changes it."""
    file = resources.files("hlvid.synthetic") / "fonts" / f"{FONTS[name]}.ttf"
    content = io.BytesIO(file.read_bytes())
    return ImageFont.truetype(content, size, layout_engine=ImageFont.Layout.BASIC)


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
        if alpha == 255:
            x0, y0, x1, y1 = box
            place = (x0 - self.left, y0 - self.top, x1 - self.left, y1 - self.top)
            self.image.paste((*colour, 255), place)
        else:
            self._paste_mask(colour, box, Image.new("L", _size(box), alpha))

    def gradient(
        self, box: Box, stops: Sequence[Colour], *, across: bool = False, alpha: int = 255
    ) -> None:
        """Fill a rectangle with colours that run from top to bottom, or from left to right."""
        self._paste(self.gradient_image(_size(box), stops, across=across), box, alpha)

    def surface(
        self,
        box: Box,
        role: str,
        variant: int,
        *,
        tint: Colour | None = None,
        scale: float = 1.0,
        contrast: float = 1.0,
    ) -> None:
        """Fill a rectangle with a surface."""
        image = self.surface_image(
            role, variant, _size(box), tint=tint, scale=scale, contrast=contrast
        )
        self._paste(image, box, 255)

    def planks(
        self, box: Box, variant: int, *, tint: Colour, height: int, role: str = "plank"
    ) -> None:
        """Fill a rectangle with boards."""
        image = textures.planks(
            self.split, variant, _size(box), tint=tint, height=height, role=role
        )
        self._paste(image, box, 255)

    def bricks(self, box: Box, *, tint: Colour) -> None:
        """Fill a rectangle with bricks."""
        self._paste(textures.bricks(self.split, _size(box), tint=tint), box, 255)

    def picture(
        self,
        box: Box,
        role: str,
        variant: int,
        *,
        blur: float = 0.0,
        alpha: int = 255,
        is_mirrored: bool = False,
    ) -> None:
        """Fill a rectangle with an upright part of a photograph."""
        image = self.picture_image(role, variant, _size(box), blur=blur)
        if is_mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        self._paste(image, box, alpha)

    def surface_image(
        self,
        role: str,
        variant: int,
        size: tuple[int, int],
        *,
        tint: Colour | None = None,
        scale: float = 1.0,
        contrast: float = 1.0,
    ) -> Image.Image:
        """A surface as `textures.surface` makes it, to fill a shape with."""
        return textures.surface(
            role, self.split, variant, size, tint=tint, scale=scale, contrast=contrast
        )

    def picture_image(
        self, role: str, variant: int, size: tuple[int, int], *, blur: float = 0.0
    ) -> Image.Image:
        """A picture as `textures.picture` makes it, to fill a shape with."""
        return textures.picture(role, self.split, variant, size, blur=blur)

    @staticmethod
    def gradient_image(
        size: tuple[int, int], stops: Sequence[Colour], *, across: bool = False
    ) -> Image.Image:
        """Colours that run from top to bottom, or from left to right, to fill a shape with."""
        width, height = size
        at = np.linspace(0, 1, len(stops))
        places = np.linspace(0, 1, width if across else height)
        line = np.stack(
            [np.interp(places, at, [stop[c] for stop in stops]) for c in range(3)], axis=-1
        ).astype(np.uint8)
        one = line[None] if across else line[:, None]
        return Image.fromarray(np.ascontiguousarray(np.broadcast_to(one, (height, width, 3))))

    def shade(self, box: Box, *, across: bool, start: float, end: float) -> None:
        """Darken a rectangle, more at one side than at the other; 0 is none, 1 is black."""
        width, height = _size(box)
        ramp = np.linspace(255 * start, 255 * end, width if across else height).astype(np.uint8)
        line = Image.fromarray(ramp[None] if across else ramp[:, None])
        self._darken(box, line.resize((width, height), Image.Resampling.NEAREST))

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
        self._darken(wide, mask.filter(ImageFilter.GaussianBlur(radius / 2)))

    def text(self, *texts: Text) -> None:
        """Write lines, each character at its own whole pixel."""
        for text in texts:
            baseline = text.y + text.cap_height
            letters = font(text.font, text.size)
            draw = ImageDraw.Draw(self.image)
            for character, x in zip(text.string, text.starts, strict=False):
                place = (x - self.left, baseline - self.top)
                draw.text(place, character, fill=text.colour, font=letters, anchor="ls")

    def _paste(self, image: Image.Image, box: Box, alpha: int) -> None:
        if alpha == 255:
            self.image.paste(image, (box[0] - self.left, box[1] - self.top))
        else:
            self._paste_mask(image, box, Image.new("L", image.size, alpha))

    def _darken(self, box: Box, mask: Image.Image) -> None:
        """Lay black over what is there; a plain paste does it, many times faster."""
        self.image.paste((0, 0, 0, 255), (box[0] - self.left, box[1] - self.top), mask)

    def _paste_mask(self, colour: Colour | Image.Image, box: Box, mask: Image.Image) -> None:
        """Lay a colour or picture over what is there."""
        if isinstance(colour, tuple):
            over = Image.new("RGBA", mask.size, colour)
        else:
            over = colour.convert("RGBA")
        over.putalpha(mask)
        x, y = box[0] - self.left, box[1] - self.top
        # alpha_composite refuses places to the left and above: that part is left out.
        start = max(0, -x), max(0, -y)
        if start[0] < over.width and start[1] < over.height:
            self.image.alpha_composite(over, (max(0, x), max(0, y)), start)


def soft_mask(
    size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw, int, int], None]
) -> Image.Image:
    """A mask with soft edges: drawn larger, then shrunk."""
    large = Image.new("L", (size[0] * _FINE, size[1] * _FINE), 0)
    draw(ImageDraw.Draw(large), large.width, large.height)
    return large.resize(size, Image.Resampling.BOX)


def _size(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]
