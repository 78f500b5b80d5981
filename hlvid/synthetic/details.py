"""Where on a thing its words, its coloured mark and its countable parts are.

The painters and the evidence boxes both go by what is said here, so that they cannot disagree.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hlvid.synthetic.lettering import MAX_SIZE, MIN_SIZE, Text, cap_height, centred
from hlvid.synthetic.scene import COLOURS, Box, Colour, Thing

DARK: Colour = (30, 30, 34)
LIGHT: Colour = (240, 240, 234)
_PALE = frozenset({"white", "yellow", "orange", "grey"})


@dataclass(frozen=True)
class Details:
    """The parts of a thing, in its layer's pixels.

    Args:
        anchor: The large word that names the thing.
        string: The small text that a question may ask for.
        fixed: Other words on it, the same on every thing of its kind.
        mark: Around the small coloured part; None for kinds that have none.
        counted: Around each of the parts that can be counted.
    """

    anchor: Text
    string: Text
    fixed: tuple[Text, ...] = ()
    mark: Box | None = None
    counted: tuple[Box, ...] = ()

    @property
    def texts(self) -> tuple[Text, ...]:
        """All words on the thing."""
        return self.anchor, self.string, *self.fixed


def details(thing: Thing) -> Details:
    """Where the parts of a thing are.

    Raises:
        KeyError: Things of its kind bear no words.
    """
    return _LAYOUTS[thing.kind](thing)


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
    colour: Colour,
    *,
    size: int,
    tops: tuple[int, int],
    max_width: int,
    fonts: tuple[str, str] = ("bold", "bold"),
) -> tuple[Text, Text]:
    """The anchor in a font size and the small text below it, both centred; `tops` in the thing."""
    middle = thing.x + thing.width // 2
    anchor = centred(
        thing.anchor,
        x=middle,
        y=thing.y + tops[0],
        size=size,
        max_width=max_width,
        font=fonts[0],
        colour=colour,
    )
    string = centred(
        thing.string,
        x=middle,
        y=thing.y + tops[1],
        size=text_size(thing),
        max_width=max_width,
        font=fonts[1],
        colour=colour,
    )
    return anchor, string


def _shop(thing: Thing) -> Details:
    anchor, string = _two_lines(
        thing,
        ink(thing.colour),
        size=84,
        tops=(26, 116),
        max_width=thing.width - 80,
        fonts=("serif" if thing.variant % 2 else "bold", "bold"),
    )
    left, top, _, bottom = shop_window(thing)
    sign = Text("OPEN", left + 73, top + 96, 40, "bold", COLOURS[thing.mark or "white"])
    pots = tuple(
        (left + 24 + 92 * i, bottom - 14, left + 24 + 92 * i + 66, bottom + 62)
        for i in range(thing.count)
    )
    fixed = (sign,) if thing.mark else ()
    return Details(anchor, string, fixed, mark=sign.box, counted=pots)


def shop_window(thing: Thing) -> Box:
    """The display window of a shop; its door is on the left where `variant` is odd."""
    left = thing.x + (310 if thing.variant % 2 else 40)
    return left, thing.y + 290, left + thing.width - 350, thing.y + 590


def bears_its_parts(thing: Thing) -> bool:
    """Whether what can be counted lies on its thing: what does not is not drawn, or cut."""
    left, _, right, _ = thing.box
    return all(left <= x0 and x1 <= right for x0, _, x1, _ in details(thing).counted)


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
    return Details(anchor, string)


def _stop(thing: Thing) -> Details:
    return Details(
        *_two_lines(thing, ink(thing.colour), size=58, tops=(34, 104), max_width=thing.width - 32)
    )


def _menu(thing: Thing) -> Details:
    width = thing.width - 44
    fonts = ("sans", "bold")
    return Details(*_two_lines(thing, LIGHT, size=54, tops=(50, 124), max_width=width, fonts=fonts))


def _poster(thing: Thing) -> Details:
    tops = thing.height - 124, thing.height - 60
    width = thing.width - 32
    fonts = ("serif", "bold")
    return Details(*_two_lines(thing, DARK, size=52, tops=tops, max_width=width, fonts=fonts))


def _book(thing: Thing) -> Details:
    colour = ink(thing.colour)
    middle = thing.y + thing.height // 2
    anchor = Text(thing.anchor, thing.x + 50, middle - 17, 46, "bold", colour)
    size = text_size(thing)
    top = thing.y + (thing.height - cap_height(size)) // 2
    string = Text(thing.string, anchor.starts[-1] + 70, top, size, "serif", colour)
    right = thing.x + thing.width - 40
    stripes = tuple(
        (right - 26 * i, thing.y + 4, right - 26 * i + 12, thing.y + thing.height - 4)
        for i in range(thing.count, 0, -1)
    )
    return Details(anchor, string, counted=stripes)


def _jar(thing: Thing) -> Details:
    tops = thing.height - 196, thing.height - 118
    width = thing.width - 56
    fonts = ("serif", "bold")
    anchor, string = _two_lines(thing, DARK, size=56, tops=tops, max_width=width, fonts=fonts)
    lid = (thing.x + 14, thing.y, thing.x + thing.width - 14, thing.y + 66)
    return Details(anchor, string, mark=lid)


def _parcel(thing: Thing) -> Details:
    left, top, right, _ = parcel_label(thing)
    anchor = Text(thing.anchor, left + 24, top + 22, 50, "bold", DARK)
    string = centred(
        thing.string,
        x=(left + right) // 2,
        y=top + 178,
        size=text_size(thing),
        max_width=right - left - 40,
        font="mono",
        colour=DARK,
    )
    bottom = thing.y + thing.height - 34
    stickers = tuple(
        (thing.x + 36 + 62 * i, bottom - 48, thing.x + 36 + 62 * i + 48, bottom)
        for i in range(thing.count)
    )
    return Details(anchor, string, counted=stickers)


def parcel_label(thing: Thing) -> Box:
    """The white label of a parcel."""
    left = thing.x + thing.width - 430
    return left, thing.y + 60, left + 390, thing.y + 60 + 230


def _note(thing: Thing) -> Details:
    width = thing.width - 44
    fonts = ("bold", "sans")
    anchor, string = _two_lines(thing, DARK, size=50, tops=(82, 158), max_width=width, fonts=fonts)
    middle = thing.x + thing.width // 2
    return Details(anchor, string, mark=(middle - 24, thing.y + 8, middle + 24, thing.y + 56))


def _panel(thing: Thing) -> Details:
    left, right = thing.x + 28, thing.x + thing.width - 28
    anchor = Text(thing.anchor, left, thing.y + 28, 48, "bold", (232, 236, 240))
    size = text_size(thing)
    string = Text(thing.string, left, thing.y + 96, size, "mono", (150, 214, 232))
    return Details(anchor, string, mark=(right - 44, thing.y + 24, right, thing.y + 68))


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
