"""How the things of a room look."""

import math
from collections.abc import Callable

from hlvid.synthetic.details import details, ink, parcel_label
from hlvid.synthetic.scene import COLOURS, Colour, Thing
from hlvid.synthetic.sheet import Sheet, darker

_WALL_PAINTS: tuple[Colour, ...] = (
    (206, 200, 188),
    (186, 196, 198),
    (198, 204, 186),
    (214, 196, 178),
    (196, 190, 200),
)
_SPINES = ("red", "blue", "green", "grey", "brown", "black", "white", "orange", "purple")


def _wall(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    style, variant = thing.variant % 3, thing.variant // 3
    paint = _WALL_PAINTS[variant % len(_WALL_PAINTS)]
    if style == 0:
        sheet.planks(thing.box, variant, tint=paint, height=150 + variant % 60, role="siding")
    else:
        sheet.surface(thing.box, "plaster", 1, tint=paint, scale=1.4, contrast=0.45)
    if style == 1:
        for x in range(x0, x1, 144):
            sheet.fill((x, y0, x + 60, y1), darker(paint, 0.9), 120)
            sheet.fill((x + 70, y0, x + 76, y1), darker(paint, 1.12), 120)
    sheet.shade(thing.box, across=True, start=0.0, end=0.28)
    sheet.shade(thing.box, across=False, start=0.0, end=0.16)


def _floor(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, _ = thing.box
    sheet.planks(thing.box, thing.variant, tint=(146, 106, 70), height=92)
    sheet.fill((x0, y0, x1, y0 + 60), (222, 218, 210))
    sheet.fill((x0, y0 + 6, x1, y0 + 10), (190, 186, 178))
    sheet.shade((x0, y0 + 60, x1, y0 + 130), across=False, start=0.5, end=0.0)


def _board(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0, y1 - 10, x1, y1 + 20), 26, 130)
    sheet.surface(thing.box, "wood", thing.variant, tint=(146, 100, 62))
    sheet.fill((x0, y0, x1, y0 + 5), (190, 146, 104))
    sheet.shade((x0, y1 - 14, x1, y1), across=False, start=0.0, end=0.5)


def _book(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    colour = darker(COLOURS[thing.colour], 0.92)
    sheet.shadow((x0 + 4, y1 - 16, x1 + 10, y1), 8, 150)
    sheet.surface(thing.box, "card", thing.variant, tint=colour)
    sheet.gradient(thing.box, [(255, 255, 255), (128, 128, 128), (0, 0, 0)], alpha=46)
    sheet.fill((x0, y0, x1, y0 + 3), darker(colour, 1.25))
    sheet.shade((x0, y1 - 10, x1, y1), across=False, start=0.0, end=0.5)
    sheet.fill((x0 + 24, y0, x0 + 28, y1), darker(colour, 0.66))
    parts = details(thing)
    for stripe in parts.counted:
        sheet.fill(stripe, ink(thing.colour), 215)
    sheet.text(*parts.texts)


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


def second_hand(sheet: Sheet, thing: Thing, seconds: float) -> None:
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


def _jar(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    parts = details(thing)
    sheet.shadow((x0 + 10, y1 - 24, x1 + 20, y1), 14, 150)
    glass = (x0, y0 + 50, x1, y1)
    sheet.rounded(glass, 46, (176, 188, 190), 235)
    tints = ((206, 180, 130), (232, 226, 208), (120, 72, 44), (176, 60, 40), (196, 150, 80))
    content = (x0 + 14, y0 + 120 + thing.variant % 60, x1 - 14, y1 - 14)
    sheet.surface(
        content, "grain", thing.variant // 5, tint=tints[thing.variant % len(tints)], scale=0.8
    )
    sheet.gradient(glass, [(0, 0, 0), (255, 255, 255), (40, 40, 40)], across=True, alpha=44)
    sheet.fill((x0 + 30, y0 + 90, x0 + 44, y1 - 50), (255, 255, 255), 90)
    lid = (x0 + 14, y0, x1 - 14, y0 + 66)
    colour = COLOURS[thing.mark or "grey"]
    sheet.rounded(lid, 14, colour)
    sheet.gradient(
        (lid[0], lid[1] + 10, lid[2], lid[3] - 8),
        [darker(colour, 0.7), darker(colour, 1.15), darker(colour, 0.6)],
        across=True,
    )
    if thing.anchor:
        label = (x0 + 12, y1 - 226, x1 - 12, y1 - 66)
        sheet.surface(label, "card", thing.variant, tint=(236, 230, 214), contrast=0.4)
        sheet.fill((label[0] + 16, y1 - 136, label[2] - 16, y1 - 133), (120, 110, 96))
    sheet.text(*parts.texts)


def _parcel(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    parts = details(thing)
    sheet.shadow((x0 + 6, y1 - 22, x1 + 26, y1 + 4), 18, 170)
    sheet.surface(thing.box, "card", thing.variant, tint=(178, 138, 92))
    sheet.shade(thing.box, across=True, start=0.0, end=0.16)
    sheet.shade(thing.box, across=False, start=0.0, end=0.2)
    middle = (x0 + x1) // 2 - 120
    sheet.fill((middle, y0, middle + 84, y0 + 110), (206, 186, 140), 170)
    sheet.fill((x0, y0, x1, y0 + 4), (206, 170, 124))
    if parts.anchor:
        label = parcel_label(thing)
        left, top, right, _ = label
        sheet.shadow(label, 6, 90)
        sheet.fill(label, (240, 239, 234))
        sheet.fill((left + 24, top + 72, right - 24, top + 74), (120, 120, 120))
        x, step = left + 40, thing.variant
        while x < right - 44:
            step = (step * 1103 + 12345) % 65521
            wide = 3 + step % 7
            sheet.fill((x, top + 86, x + wide, top + 164), (26, 26, 28))
            x += wide + 3 + step // 7 % 6
    for sticker in parts.counted:
        sheet.ellipse(sticker, (196, 40, 36))
        left, top, right, bottom = sticker
        sheet.ellipse((left + 10, top + 10, right - 10, bottom - 10), (232, 196, 60))
    sheet.text(*parts.texts)


def _cork(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 10, y0 + 16, x1 + 16, y1 + 20), 30, 150)
    sheet.surface(thing.box, "wood", 1, tint=(132, 92, 56))
    inner = (x0 + 44, y0 + 44, x1 - 44, y1 - 44)
    sheet.surface(inner, "cork", 0, tint=(190, 146, 92), scale=0.7, contrast=1.2)
    sheet.shade((x0 + 44, y0 + 44, x1 - 44, y0 + 84), across=False, start=0.4, end=0.0)
    sheet.shade((x0 + 44, y0 + 44, x0 + 74, y1 - 44), across=True, start=0.3, end=0.0)


def _note(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    parts = details(thing)
    sheet.shadow((x0 + 8, y0 + 14, x1 + 10, y1 + 12), 12, 130)
    paper = (246, 226, 120) if thing.colour == "yellow" else (240, 238, 230)
    sheet.surface(thing.box, "card", thing.variant, tint=paper, contrast=0.4)
    for y in range(y0 + 226, y1 - 20, 34):
        sheet.fill((x0 + 30, y, x1 - 30, y + 2), (150, 170, 190), 140)
    if parts.mark:
        left, top, right, bottom = parts.mark
        colour = COLOURS[thing.mark]
        sheet.shadow((left + 12, top + 22, right + 10, bottom + 12), 8, 150)
        sheet.ellipse(parts.mark, darker(colour, 0.8))
        sheet.ellipse((left + 5, top + 3, right - 9, bottom - 11), colour)
        sheet.ellipse((left + 12, top + 8, left + 22, top + 17), (255, 255, 255), 170)
    sheet.text(*parts.texts)


def _postcard(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 6, y0 + 10, x1 + 8, y1 + 10), 10, 130)
    sheet.fill(thing.box, (240, 238, 232))
    role = ("far", "room", "leaf", "far")[thing.variant % 4]
    sheet.picture((x0 + 14, y0 + 14, x1 - 14, y1 - 14), role, thing.variant)
    middle = (x0 + x1) // 2
    sheet.ellipse((middle - 14, y0 + 4, middle + 14, y0 + 32), (90, 92, 96))


def cord(sheet: Sheet, thing: Thing, seconds: float) -> None:
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


def _room(sheet: Sheet, thing: Thing) -> None:
    sheet.picture(thing.box, "room", 0, blur=6)
    sheet.shade(thing.box, across=False, start=0.1, end=0.3)


def _table(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, _ = thing.box
    sheet.surface(thing.box, "wood", thing.variant, tint=(134, 92, 58), scale=2.0)
    sheet.fill((x0, y0, x1, y0 + 6), (196, 150, 108))
    sheet.shade((x0, y0, x1, y0 + 120), across=False, start=0.3, end=0.0)


def _screen(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    middle = (x0 + x1) // 2
    sheet.shadow((middle - 420, y1 + 170, middle + 420, y1 + 200), 24, 170)
    sheet.gradient((middle - 130, y1, middle + 130, y1 + 180), [(46, 46, 50), (90, 90, 94)])
    sheet.rounded((middle - 400, y1 + 160, middle + 400, y1 + 200), 18, (70, 70, 74))
    sheet.rounded(thing.box, 26, (22, 22, 24))
    inner = (x0 + 36, y0 + 36, x1 - 36, y1 - 36)
    sheet.gradient(inner, [(28, 38, 52), (18, 24, 34)])
    sheet.fill((inner[0], inner[1], inner[2], inner[1] + 88), (40, 54, 74))
    for i in range(3):
        left = inner[0] + 30 + 46 * i
        sheet.ellipse((left, inner[1] + 30, left + 28, inner[1] + 58), (110, 124, 144))


def _panel(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    parts = details(thing)
    sheet.rounded(thing.box, 16, (44, 58, 78))
    sheet.fill((x0 + 28, y0 + 84, x1 - 28, y0 + 86), (80, 98, 122))
    if parts.anchor:
        left, step = x0 + 28, thing.variant
        for i in range(14):
            step = (step * 1103 + 12345) % 65521
            height = 20 + step % 110
            bar = (left + 41 * i, y1 - 24 - height, left + 41 * i + 26, y1 - 24)
            sheet.gradient(bar, [(96, 170, 190), (50, 98, 124)])
    if parts.mark:
        sheet.ellipse(parts.mark, COLOURS[thing.mark])
        left, top, _, _ = parts.mark
        sheet.ellipse((left + 8, top + 7, left + 20, top + 18), (255, 255, 255), 110)
    sheet.text(*parts.texts)


def progress(sheet: Sheet, thing: Thing, seconds: float) -> None:
    """A bar on the screen that fills and starts again."""
    x0, y0, x1, y1 = thing.box
    sheet.rounded(thing.box, 12, (40, 54, 74))
    done = x0 + 24 + round((x1 - x0 - 24) * (seconds % 40 / 40))
    sheet.rounded((x0, y0, done, y1), 12, (86, 168, 120))


def lamp(sheet: Sheet, thing: Thing, seconds: float) -> None:
    """A small box on the wall whose light blinks."""
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 4, y0 + 6, x1 + 6, y1 + 8), 10, 120)
    sheet.rounded(thing.box, 18, (226, 224, 218))
    colour = (70, 220, 90) if round(seconds) % 2 else (60, 84, 62)
    sheet.ellipse((x0 + 46, y0 + 30, x0 + 74, y0 + 58), colour)
    for y in range(y0 + 84, y1 - 20, 14):
        sheet.fill((x0 + 24, y, x1 - 24, y + 5), (160, 158, 152))


HOME: dict[str, tuple[int, Callable[[Sheet, Thing], None]]] = {
    "wall": (0, _wall),
    "floor": (0, _floor),
    "board": (48, _board),
    "book": (24, _book),
    "spines": (24, _spines),
    "picture": (40, _picture),
    "plant": (40, _plant),
    "clock": (60, _clock),
    "pan": (40, _pan),
    "bowl": (40, _bowl),
    "mug": (40, _mug),
    "jar": (40, _jar),
    "parcel": (60, _parcel),
    "cork": (64, _cork),
    "note": (40, _note),
    "postcard": (40, _postcard),
    "room": (0, _room),
    "table": (0, _table),
    "screen": (240, _screen),
    "panel": (0, _panel),
}
"""Kind -> room around it for what sticks out, in pixels, and how it is painted."""

MOVING: dict[str, tuple[int, Callable[[Sheet, Thing, float], None]]] = {
    "second hand": (0, second_hand),
    "cord": (0, cord),
    "progress": (0, progress),
    "lamp": (30, lamp),
}
"""The same for things that look different every moment: (sheet, thing, seconds)."""
