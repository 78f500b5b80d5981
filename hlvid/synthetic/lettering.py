"""Text by rules of integers alone: the shipped fonts' own advance widths, unhinted, unkerned."""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from hlvid.synthetic.scene import Box, Colour

FONTS = {
    "sans": "DejaVuSans",
    "bold": "DejaVuSans-Bold",
    "mono": "DejaVuSansMono-Bold",
    "serif": "DejaVuSerif-Bold",
}
UNITS = 2048
"""Units of the em in all four fonts."""
CAP_UNITS = 1493
"""Height of a capital letter in all four fonts."""
_DESCENDING = frozenset("JQ,")
_DESCENT_UNITS = 430
"""How far J, Q and the comma go below the line, at most."""
MIN_SIZE = 25
MAX_SIZE = 44
"""Font sizes in pixels that give capitals of 18 to 32 pixels."""


@functools.cache
def advances() -> dict[str, dict[str, int]]:
    """Font file name -> character -> advance width in units of the em."""
    text = (resources.files("hlvid.synthetic") / "fonts" / "advances.json").read_text("ascii")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return {name: dict(font["advances"]) for name, font in table.items()}


@dataclass(frozen=True)
class Text:
    """One line of capitals and digits.

    Args:
        string: What it says.
        x: Where its first character starts.
        y: Where its capitals start; the baseline is `cap_height` below.
        size: Of the font, in pixels.
        font: A name of `FONTS`.
        colour: Of the letters.
    """

    string: str
    x: int
    y: int
    size: int
    font: str
    colour: Colour

    @property
    def cap_height(self) -> int:
        """Height of its capitals in pixels."""
        return cap_height(self.size)

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each character starts on x, and where the last one ends."""
        table = advances()[FONTS[self.font]]
        total, found = 0, [self.x]
        for character in self.string:
            total += table[character]
            found.append(self.x + _scaled(total, self.size))
        return tuple(found)

    @property
    def box(self) -> Box:
        """Around its characters, with room for the strokes' soft edges."""
        bottom = self.y + self.cap_height + 5
        if set(self.string) & _DESCENDING:
            bottom += _scaled(_DESCENT_UNITS, self.size)
        return self.x - 4, self.y - 4, self.starts[-1] + 4, bottom


def cap_height(size: int) -> int:
    """Height of a capital letter in pixels."""
    return _scaled(CAP_UNITS, size)


def width(string: str, *, size: int, font: str) -> int:
    """How wide a line is, in pixels."""
    table = advances()[FONTS[font]]
    return _scaled(sum(table[character] for character in string), size)


def centred(
    string: str, *, x: int, y: int, size: int, max_width: int, font: str, colour: Colour
) -> Text:
    """A line around x with its capitals starting at y, made smaller until it fits."""
    while size > MIN_SIZE and width(string, size=size, font=font) > max_width:
        size -= 1
    left = x - width(string, size=size, font=font) // 2
    return Text(string, left, y, size, font, colour)


def _scaled(units: int, size: int) -> int:
    return (units * size + UNITS // 2) // UNITS
