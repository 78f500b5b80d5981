"""How the things without words of a room look, and those that move."""

import math
from collections.abc import Callable

from hlvid.synthetic.scene import COLOURS, Colour, Thing
from hlvid.synthetic.sheet import Sheet, darker

_SPINES = ("red", "blue", "green", "grey", "brown", "black", "white", "orange", "purple")


def _spines(sheet: Sheet, thing: Thing) -> None:
    """Upright books without words."""
    x0, y0, x1, y1 = thing.box
    x, step = x0, thing.variant
    while x < x1 - 80:
        step = (step * 1103 + 12345) % 65521
        width, top = 64 + step % 58, y0 + step % 130
        colour = darker(COLOURS[_SPINES[step % len(_SPINES)]], 0.8)
        box = (x, top, x + width, y1)
        sheet.surface(box, "card", step, tint=colour)
        sheet.gradient(box, [(0, 0, 0), (255, 255, 255), (0, 0, 0)], across=True, alpha=48)
        for band in (top + 50, y1 - 70):
            sheet.fill((x, band, x + width, band + 8), (206, 180, 110), 190)
        sheet.fill((x, top, x + 3, y1), darker(colour, 0.5))
        x += width
    sheet.shadow((x0, y1 - 14, x, y1), 8, 120)


def _picture(sheet: Sheet, thing: Thing) -> None:
    """A photograph in a frame."""
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 8, y0 + 10, x1 + 10, y1 + 8), 14, 140)
    sheet.surface(thing.box, "wood", thing.variant, tint=(74, 54, 40))
    sheet.fill((x0 + 28, y0 + 28, x1 - 28, y1 - 28), (236, 232, 224))
    inner = (x0 + 64, y0 + 64, x1 - 64, y1 - 64)
    sheet.picture(inner, "far", thing.variant)
    sheet.polygon(inner, [(0.6, 0), (0.9, 0), (0.5, 1), (0.2, 1)], (255, 255, 255), 26)


def _plant(sheet: Sheet, thing: Thing) -> None:
    x0, _, x1, y1 = thing.box
    middle, clay = (x0 + x1) // 2, (188, 178, 164)
    for i in range(17):
        angle = math.pi * (0.06 + 0.88 * ((i * 7 + thing.variant) % 17) / 16)
        length = 150 + (i * 53 + thing.variant) % 110
        tip_x, tip_y = middle + length * math.cos(angle), y1 - 190 - length * math.sin(angle)
        green = (40 + 6 * (i % 5), 88 + 9 * (i % 4), 44)
        _leaf(sheet, (middle, y1 - 190), (round(tip_x), round(tip_y)), green)
    sheet.polygon(
        (middle - 110, y1 - 210, middle + 110, y1), [(0, 0), (1, 0), (0.8, 1), (0.2, 1)], clay
    )
    sheet.shade((middle + 10, y1 - 200, middle + 84, y1), across=True, start=0.0, end=0.3)


def _leaf(sheet: Sheet, root: tuple[int, int], tip: tuple[int, int], colour: Colour) -> None:
    """A pointed leaf from root to tip."""
    dx, dy = tip[0] - root[0], tip[1] - root[1]
    length = max(1.0, math.hypot(dx, dy))
    nx, ny = -dy / length * 24, dx / length * 24
    middle = (root[0] + dx * 0.55, root[1] + dy * 0.55)
    points = [root, (middle[0] + nx, middle[1] + ny), tip, (middle[0] - nx, middle[1] - ny)]
    left, top = (math.floor(min(p[i] for p in points)) for i in (0, 1))
    right, bottom = (math.ceil(max(p[i] for p in points)) + 1 for i in (0, 1))
    shares = [((x - left) / (right - left), (y - top) / (bottom - top)) for x, y in points]
    sheet.polygon((left, top, right, bottom), shares, colour)


def _clock(sheet: Sheet, thing: Thing) -> None:
    """A wall clock; its second hand is a thing of its own."""
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 30, y0 + 40, x1 - 20, y1 - 20), 26, 130)
    sheet.ellipse(thing.box, (52, 50, 50))
    sheet.ellipse((x0 + 18, y0 + 18, x1 - 18, y1 - 18), (238, 236, 228))
    middle = ((x0 + x1) // 2, (y0 + y1) // 2)
    for hour in range(12):
        _hand(sheet, middle, hour / 12, (150, 176), 8, (60, 58, 58))
    minutes = thing.variant % 720
    _hand(sheet, middle, minutes / 720, (-20, 96), 14, (40, 40, 42))
    _hand(sheet, middle, minutes % 60 / 60, (-24, 142), 9, (40, 40, 42))


def _second_hand(sheet: Sheet, thing: Thing, seconds: float) -> None:
    """The second hand of a clock, one step a second."""
    x0, y0, x1, y1 = thing.box
    middle = ((x0 + x1) // 2, (y0 + y1) // 2)
    _hand(sheet, middle, math.floor(seconds) % 60 / 60, (-30, 160), 4, (176, 34, 30))


def _hand(
    sheet: Sheet,
    middle: tuple[int, int],
    turn: float,
    reach: tuple[int, int],
    width: int,
    colour: Colour,
) -> None:
    """A hand of a clock; `turn` in turns from the top, `reach` in pixels from the middle."""
    angle = 2 * math.pi * turn
    sin, cos = math.sin(angle), math.cos(angle)
    box = (middle[0] - 180, middle[1] - 180, middle[0] + 180, middle[1] + 180)
    half = width / 2
    points = []
    for along, side in ((reach[0], -half), (reach[1], -half), (reach[1], half), (reach[0], half)):
        x, y = along * sin + side * cos, -along * cos + side * sin
        points.append(((x + 180) / 360, (y + 180) / 360))
    sheet.polygon(box, points, colour)


def _pan(sheet: Sheet, thing: Thing) -> None:
    """A steel pan with its lid on."""
    x0, y0, x1, y1 = thing.box
    steel = [(70, 72, 76), (206, 208, 210), (128, 130, 134), (232, 234, 236), (84, 86, 90)]
    sheet.shadow((x0 + 20, y1 - 20, x1 + 10, y1), 14, 150)
    for left in (x0 - 30, x1 - 20):
        sheet.rounded((left, y0 + 110, left + 50, y0 + 150), 14, (44, 44, 48))
    middle = (x0 + x1) // 2
    sheet.rounded((middle - 34, y0, middle + 34, y0 + 40), 16, (40, 40, 44))
    body = (x0, y0 + 70, x1, y1)
    metal = sheet.gradient_image((x1 - x0, y1 - y0 - 70), steel, across=True)
    sheet.shape(body, lambda d, w, h: d.rounded_rectangle((0, 0, w, h), h // 8, fill=255), metal)
    lid = sheet.gradient_image((x1 - x0 + 16, 60), steel, across=True)
    sheet.shape(
        (x0 - 8, y0 + 26, x1 + 8, y0 + 86),
        lambda d, w, h: d.polygon([(0, h), (w * 0.1, h * 0.3), (w * 0.3, 0), (w * 0.7, 0),
                                   (w * 0.9, h * 0.3), (w, h)], fill=255),
        lid,
    )  # fmt: skip
    sheet.shade((x0, y0 + 86, x1, y0 + 110), across=False, start=0.4, end=0.0)


def _bowl(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    glazes = ((212, 206, 194), (96, 128, 140), (150, 90, 66))
    glaze = glazes[thing.variant % len(glazes)]
    sheet.shadow((x0 + 90, y1 - 16, x1 - 70, y1), 12, 150)
    clay = sheet.gradient_image(
        (x1 - x0, y1 - y0),
        [darker(glaze, 0.6), darker(glaze, 1.1), darker(glaze, 0.5)],
        across=True,
    )
    sheet.shape(
        thing.box,
        lambda d, w, h: d.chord((0, -h * 0.92, w, h * 0.96), 0, 180, fill=255),
        clay,
    )
    sheet.ellipse((x0 + 2, y0 - 18, x1 - 2, y0 + 22), darker(glaze, 1.15))
    sheet.ellipse((x0 + 14, y0 - 12, x1 - 14, y0 + 17), darker(glaze, 0.55))
    sheet.fill((x0 + 120, y1 - 10, x1 - 120, y1), darker(glaze, 0.5))


def _mug(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    glazes = ((206, 84, 60), (70, 110, 134), (214, 208, 196))
    glaze = glazes[thing.variant % len(glazes)]
    sheet.shadow((x0 + 6, y1 - 20, x1 - 40, y1 + 4), 14, 170)
    sheet.shape(
        (x1 - 90, y0 + 60, x1, y0 + 200),
        lambda d, w, h: d.ellipse((0, 0, w, h), outline=255, width=w // 4),
        darker(glaze, 0.7),
    )
    body = (x0, y0, x1 - 60, y1)
    clay = sheet.gradient_image(
        (body[2] - x0, y1 - y0), [darker(glaze, 0.7), darker(glaze, 1.1), darker(glaze, 0.55)],
        across=True,
    )  # fmt: skip
    sheet.shape(body, lambda d, w, h: d.rounded_rectangle((0, 0, w, h), w // 8, fill=255), clay)
    sheet.ellipse((x0 + 2, y0 - 16, x1 - 62, y0 + 18), darker(glaze, 1.1))
    sheet.ellipse((x0 + 14, y0 - 11, x1 - 74, y0 + 13), (52, 32, 22))


def _postcard(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 6, y0 + 10, x1 + 8, y1 + 10), 10, 130)
    sheet.fill(thing.box, (240, 238, 232))
    role = ("far", "room", "leaf", "far")[thing.variant % 4]
    sheet.picture((x0 + 14, y0 + 14, x1 - 14, y1 - 14), role, thing.variant)
    middle = (x0 + x1) // 2
    sheet.ellipse((middle - 14, y0 + 4, middle + 14, y0 + 32), (90, 92, 96))


def _cord(sheet: Sheet, thing: Thing, seconds: float) -> None:
    """The cord of a blind, swinging a little."""
    x0, y0, x1, y1 = thing.box
    swing = 0.5 + 0.28 * math.sin(2 * math.pi * seconds / 7)
    width = 0.05
    sheet.polygon(
        (x0, y0, x1, y1 - 60),
        [(0.5 - width, 0), (0.5 + width, 0), (swing + width, 1), (swing - width, 1)],
        (214, 208, 196),
    )
    middle = round(x0 + swing * (x1 - x0))
    sheet.ellipse((middle - 18, y1 - 66, middle + 18, y1 - 6), (170, 140, 96))


def _progress(sheet: Sheet, thing: Thing, seconds: float) -> None:
    """A bar on the screen that fills and starts again."""
    x0, y0, x1, y1 = thing.box
    sheet.rounded(thing.box, 12, (40, 54, 74))
    done = x0 + 24 + round((x1 - x0 - 24) * (seconds % 40 / 40))
    sheet.rounded((x0, y0, done, y1), 12, (86, 168, 120))


def _lamp(sheet: Sheet, thing: Thing, seconds: float) -> None:
    """A small box on the wall whose light blinks."""
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 4, y0 + 6, x1 + 6, y1 + 8), 10, 120)
    sheet.rounded(thing.box, 18, (226, 224, 218))
    colour = (70, 220, 90) if round(seconds) % 2 else (60, 84, 62)
    sheet.ellipse((x0 + 46, y0 + 30, x0 + 74, y0 + 58), colour)
    for y in range(y0 + 84, y1 - 20, 14):
        sheet.fill((x0 + 24, y, x1 - 24, y + 5), (160, 158, 152))


DECOR: dict[str, tuple[int, Callable[[Sheet, Thing], None]]] = {
    "spines": (24, _spines),
    "picture": (40, _picture),
    "plant": (40, _plant),
    "clock": (60, _clock),
    "pan": (40, _pan),
    "bowl": (40, _bowl),
    "mug": (40, _mug),
    "postcard": (40, _postcard),
}
"""Kind -> room around it for what sticks out, in pixels, and how it is painted."""

MOVING: dict[str, tuple[int, Callable[[Sheet, Thing, float], None]]] = {
    "second hand": (0, _second_hand),
    "cord": (0, _cord),
    "progress": (0, _progress),
    "lamp": (30, _lamp),
}
"""The same for things that look different every moment: (sheet, thing, seconds of the shot)."""
