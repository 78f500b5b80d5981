"""Where on a thing its words, its coloured mark and its countable parts are.

The painters and the evidence boxes both go by what is said here, so that they cannot disagree.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hlvid.synthetic.lettering import MAX_SIZE, MIN_SIZE, Text, centred
from hlvid.synthetic.scene import COLOURS, Box, Colour, Thing

DARK: Colour = (30, 30, 34)
LIGHT: Colour = (240, 240, 234)
_PALE = frozenset({"white", "yellow", "orange", "grey"})


@dataclass(frozen=True)
class Details:
    """The parts of a thing, in its layer's pixels.

    Args:
        string: The small text that a question may ask for.
        anchor: The large word that names the thing.
        fixed: Other words on it, the same on every thing of its kind.
        mark: Around the small coloured part.
        counted: Around each of the things that can be counted, from left to right.
    """

    string: Text | None = None
    anchor: Text | None = None
    fixed: tuple[Text, ...] = ()
    mark: Box | None = None
    counted: tuple[Box, ...] = ()

    @property
    def texts(self) -> tuple[Text, ...]:
        """All words on the thing."""
        return tuple(t for t in (self.anchor, self.string, *self.fixed) if t is not None)


def details(thing: Thing) -> Details:
    """Where the parts of a thing are; empty for things without words."""
    layout = _LAYOUTS.get(thing.kind)
    return layout(thing) if layout else Details()


def ink(colour: str) -> Colour:
    """Letters that stand out on a colour."""
    return DARK if colour in _PALE else LIGHT


def union(*boxes: Box) -> Box:
    """The smallest box around some boxes."""
    lows_x, lows_y, highs_x, highs_y = zip(*boxes, strict=True)
    return min(lows_x), min(lows_y), max(highs_x), max(highs_y)


def text_size(thing: Thing, largest: int = MAX_SIZE) -> int:
    """The font size of a thing's small text, for capitals of 18 to 32 pixels, more often small."""
    num = largest - MIN_SIZE + 1
    return MIN_SIZE + min(thing.variant % num, thing.variant // num % num)


def _two_lines(
    thing: Thing,
    *,
    anchor_at: tuple[int, int],
    string_at: tuple[int, int],
    max_width: int,
    colour: Colour,
    fonts: tuple[str, str] = ("bold", "bold"),
    largest: int = MAX_SIZE,
) -> tuple[Text | None, Text | None]:
    """A large word and a small text below it, each centred; `*_at` are (size or top, top)."""
    size, top = anchor_at
    centre, string_top = string_at
    anchor = string = None
    if thing.anchor:
        anchor = centred(
            thing.anchor,
            x=thing.x + centre,
            y=thing.y + top,
            size=size,
            max_width=max_width,
            font=fonts[0],
            colour=colour,
        )
    if thing.string:
        string = centred(
            thing.string,
            x=thing.x + centre,
            y=thing.y + string_top,
            size=text_size(thing, largest),
            max_width=max_width,
            font=fonts[1],
            colour=colour,
        )
    return anchor, string


def _shop(thing: Thing) -> Details:
    anchor, string = _two_lines(
        thing,
        anchor_at=(84, 26),
        string_at=(thing.width // 2, 116),
        max_width=thing.width - 80,
        colour=ink(thing.colour),
        fonts=("serif" if thing.variant % 2 else "bold", "bold"),
    )
    left, top, _, bottom = shop_window(thing)
    open_sign = centred(
        "OPEN",
        x=left + 130,
        y=top + 96,
        size=40,
        max_width=160,
        font="bold",
        colour=COLOURS[thing.mark or "white"],
    )
    pots = tuple(
        (left + 24 + 92 * i, bottom - 14, left + 24 + 92 * i + 66, bottom + 62)
        for i in range(thing.count)
    )
    is_marked = bool(thing.mark)
    return Details(
        string=string,
        anchor=anchor,
        fixed=(open_sign,) if is_marked else (),
        mark=open_sign.box if is_marked else None,
        counted=pots,
    )


def shop_window(thing: Thing) -> Box:
    """The display window of a shop; its door is on the side where `variant` is even or odd."""
    left = thing.x + (310 if thing.variant % 2 else 40)
    return left, thing.y + 290, left + thing.width - 350, thing.y + 590


def _car(thing: Thing) -> Details:
    badge = (52, 54, 58) if thing.colour in _PALE else (226, 228, 230)
    anchor = Text(thing.anchor, thing.x + 108, thing.y + 196, 32, "bold", badge)
    string = centred(
        thing.string,
        x=thing.x + thing.width // 2,
        y=thing.y + 252,
        size=text_size(thing, 36),
        max_width=thing.width - 200,
        font="mono",
        colour=DARK,
    )
    return Details(string=string if thing.string else None, anchor=anchor if thing.anchor else None)


def _stop(thing: Thing) -> Details:
    anchor, string = _two_lines(
        thing,
        anchor_at=(58, 34),
        string_at=(thing.width // 2, 104),
        max_width=thing.width - 32,
        colour=ink(thing.colour),
    )
    return Details(string=string, anchor=anchor)


def _menu(thing: Thing) -> Details:
    anchor, string = _two_lines(
        thing,
        anchor_at=(54, 50),
        string_at=(thing.width // 2, 124),
        max_width=thing.width - 44,
        colour=LIGHT,
        fonts=("sans", "bold"),
    )
    return Details(string=string, anchor=anchor)


def _poster(thing: Thing) -> Details:
    anchor, string = _two_lines(
        thing,
        anchor_at=(52, thing.height - 124),
        string_at=(thing.width // 2, thing.height - 60),
        max_width=thing.width - 32,
        colour=DARK,
        fonts=("serif", "bold"),
    )
    return Details(string=string, anchor=anchor)


def _book(thing: Thing) -> Details:
    colour = ink(thing.colour)
    anchor = Text(thing.anchor, thing.x + 50, thing.y + thing.height // 2 - 17, 46, "bold", colour)
    string = None
    if thing.string:
        string = Text(thing.string, anchor.starts[-1] + 70, 0, text_size(thing), "serif", colour)
        string = string.moved(0, thing.y + (thing.height - string.cap_height) // 2)
    right = thing.x + thing.width - 40
    top, bottom = thing.y + 4, thing.y + thing.height - 4
    stripes = tuple(
        (right - 26 * i, top, right - 26 * i + 12, bottom) for i in range(thing.count, 0, -1)
    )
    return Details(string=string, anchor=anchor if thing.anchor else None, counted=stripes)


def _jar(thing: Thing) -> Details:
    anchor, string = _two_lines(
        thing,
        anchor_at=(56, thing.height - 196),
        string_at=(thing.width // 2, thing.height - 118),
        max_width=thing.width - 56,
        colour=DARK,
        fonts=("serif", "bold"),
    )
    lid = (thing.x + 14, thing.y, thing.x + thing.width - 14, thing.y + 66)
    return Details(string=string, anchor=anchor, mark=lid if thing.mark else None)


def _parcel(thing: Thing) -> Details:
    left, top, right, _ = parcel_label(thing)
    colour = DARK
    anchor = Text(thing.anchor, left + 24, top + 22, 50, "bold", colour)
    string = None
    if thing.string:
        string = centred(
            thing.string,
            x=(left + right) // 2,
            y=top + 178,
            size=text_size(thing),
            max_width=right - left - 40,
            font="mono",
            colour=colour,
        )
    bottom = thing.y + thing.height - 34
    stickers = tuple(
        (thing.x + 36 + 62 * i, bottom - 48, thing.x + 36 + 62 * i + 48, bottom)
        for i in range(thing.count)
    )
    return Details(string=string, anchor=anchor if thing.anchor else None, counted=stickers)


def parcel_label(thing: Thing) -> Box:
    """The white label of a parcel."""
    left = thing.x + thing.width - 430
    return left, thing.y + 60, left + 390, thing.y + 60 + 230


def _note(thing: Thing) -> Details:
    anchor, string = _two_lines(
        thing,
        anchor_at=(50, 82),
        string_at=(thing.width // 2, 158),
        max_width=thing.width - 44,
        colour=DARK,
        fonts=("bold", "sans"),
    )
    middle = thing.x + thing.width // 2
    pin = (middle - 24, thing.y + 8, middle + 24, thing.y + 56)
    return Details(string=string, anchor=anchor, mark=pin if thing.mark else None)


def _panel(thing: Thing) -> Details:
    anchor = Text(thing.anchor, thing.x + 28, thing.y + 28, 48, "bold", (232, 236, 240))
    string = None
    if thing.string:
        size = text_size(thing)
        string = Text(thing.string, thing.x + 28, thing.y + 96, size, "mono", (150, 214, 232))
    right = thing.x + thing.width - 28
    light = (right - 44, thing.y + 24, right, thing.y + 68)
    return Details(
        string=string,
        anchor=anchor if thing.anchor else None,
        mark=light if thing.mark else None,
    )


_LAYOUTS: dict[str, Callable[[Thing], Details]] = {
    "shop": _shop,
    "car": _car,
    "stop": _stop,
    "menu": _menu,
    "poster": _poster,
    "book": _book,
    "jar": _jar,
    "parcel": _parcel,
    "note": _note,
    "panel": _panel,
}
