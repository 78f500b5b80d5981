"""How walls, furniture and the things with words of a room look."""

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
    if thing.anchor:
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
    if thing.mark and parts.mark:
        left, top, right, bottom = parts.mark
        colour = COLOURS[thing.mark]
        sheet.shadow((left + 12, top + 22, right + 10, bottom + 12), 8, 150)
        sheet.ellipse(parts.mark, darker(colour, 0.8))
        sheet.ellipse((left + 5, top + 3, right - 9, bottom - 11), colour)
        sheet.ellipse((left + 12, top + 8, left + 22, top + 17), (255, 255, 255), 170)
    sheet.text(*parts.texts)


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
    if thing.anchor:
        left, step = x0 + 28, thing.variant
        for i in range(14):
            step = (step * 1103 + 12345) % 65521
            height = 20 + step % 110
            bar = (left + 41 * i, y1 - 24 - height, left + 41 * i + 26, y1 - 24)
            sheet.gradient(bar, [(96, 170, 190), (50, 98, 124)])
    if thing.mark and parts.mark:
        sheet.ellipse(parts.mark, COLOURS[thing.mark])
        left, top, _, _ = parts.mark
        sheet.ellipse((left + 8, top + 7, left + 20, top + 18), (255, 255, 255), 110)
    sheet.text(*parts.texts)


HOME: dict[str, tuple[int, Callable[[Sheet, Thing], None]]] = {
    "wall": (0, _wall),
    "floor": (0, _floor),
    "board": (48, _board),
    "book": (24, _book),
    "jar": (40, _jar),
    "parcel": (60, _parcel),
    "cork": (64, _cork),
    "note": (40, _note),
    "room": (0, _room),
    "table": (0, _table),
    "screen": (240, _screen),
    "panel": (0, _panel),
}
"""Kind -> room around it for what sticks out, in pixels, and how it is painted."""
