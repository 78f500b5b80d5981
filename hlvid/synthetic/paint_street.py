"""How the things of a street look."""

from collections.abc import Callable

from hlvid.synthetic.details import DARK, LIGHT, details, shop_window
from hlvid.synthetic.scene import COLOURS, Box, Colour, Thing
from hlvid.synthetic.sheet import Sheet, darker

_WALLS: dict[str, Colour] = {
    "red": (150, 84, 70),
    "blue": (146, 162, 176),
    "green": (150, 164, 140),
    "yellow": (214, 192, 142),
    "white": (222, 220, 212),
    "orange": (206, 160, 122),
    "purple": (176, 160, 172),
    "black": (120, 118, 116),
    "grey": (172, 172, 170),
    "brown": (160, 132, 108),
}
"""House paints are paler than signs."""
_GLASS: Colour = (38, 46, 54)


def _far(sheet: Sheet, thing: Thing) -> None:
    scale = thing.height / 1440
    sheet.texture(thing.box, "far", 0, scale=scale, blur=1.2)
    sheet.gradient(thing.box, [(214, 226, 238), (200, 210, 220)], alpha=38)


def _pavement(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.texture(thing.box, "pavement", thing.variant, tint=(158, 155, 150), scale=0.6)
    for x in range(x0, x1, 160):
        sheet.fill((x, y0, x + 4, y1 - 34), (92, 90, 88), 150)
    sheet.fill((x0, y0 + 46, x1, y0 + 49), (92, 90, 88), 150)
    sheet.shade((x0, y0, x1, y0 + 30), across=False, start=0.45, end=0.0)
    sheet.fill((x0, y1 - 34, x1, y1 - 12), (188, 186, 180))
    sheet.fill((x0, y1 - 12, x1, y1), (70, 70, 70))


def _road(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.texture(thing.box, "asphalt", thing.variant, tint=(88, 88, 92), scale=1.2)
    sheet.shade(thing.box, across=False, start=0.25, end=0.0)
    for x in range(x0 + 60, x1, 640):
        sheet.fill((x, y0 + 40, x + 14, y0 + 380), (206, 206, 200), 210)
    for x in range(x0 + 100, x1, 480):
        sheet.fill((x, y1 - 44, x + 240, y1 - 28), (216, 216, 208), 220)


def _house(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    wall = _WALLS[thing.colour]
    scale = 0.9 if thing.variant % 3 else 1.3
    sheet.texture(thing.box, "wall", thing.variant, tint=wall, scale=scale)
    sheet.shade(thing.box, across=False, start=0.0, end=0.22)
    sheet.fill((x0, y0, x1, y0 + 34), darker(wall, 0.62))
    sheet.fill((x0, y0 + 34, x1, y0 + 42), darker(wall, 1.12))
    sheet.shade((x0, y0 + 42, x1, y0 + 74), across=False, start=0.4, end=0.0)
    sheet.texture((x0, y1 - 60, x1, y1), "pavement", thing.variant, tint=darker(wall, 0.5))
    num = (x1 - x0 - 240) // 420
    gap = (x1 - x0) // num
    for i in range(num):
        left = x0 + gap * i + (gap - 230) // 2
        for top in range(y1 - 1140, y0 + 60, -460):
            _window(sheet, (left, top, left + 230, top + 320), thing.variant + i)
    sheet.shade((x0, y0, x0 + 14, y1), across=True, start=0.5, end=0.0)
    sheet.shade((x1 - 14, y0, x1, y1), across=True, start=0.0, end=0.35)


def _window(sheet: Sheet, box: Box, variant: int) -> None:
    """An upper window: frame, reflection of the hills, perhaps a curtain, a sill."""
    x0, y0, x1, y1 = box
    sheet.shadow((x0 - 10, y0 - 6, x1 + 14, y1 + 14), 10, 90)
    sheet.fill((x0 - 14, y0 - 14, x1 + 14, y1 + 14), (226, 224, 218))
    sheet.texture(box, "far", variant, scale=0.35, blur=2)
    sheet.fill(box, _GLASS, 150)
    if variant % 3:
        half = (x1 - x0) // 3
        sheet.gradient((x0, y0, x0 + half, y1), [(214, 208, 196), (176, 170, 160)], alpha=190)
        sheet.gradient((x1 - half, y0, x1, y1), [(176, 170, 160), (214, 208, 196)], alpha=190)
    middle = (x0 + x1) // 2
    sheet.fill((middle - 5, y0, middle + 5, y1), (226, 224, 218))
    sheet.fill((x0, y0 + 110, x1, y0 + 118), (226, 224, 218))
    sheet.shade((x0, y0, x1, y0 + 26), across=False, start=0.5, end=0.0)
    sheet.fill((x0 - 26, y1 + 14, x1 + 26, y1 + 30), (198, 195, 188))
    sheet.shade((x0 - 26, y1 + 30, x1 + 26, y1 + 46), across=False, start=0.35, end=0.0)


def _shop(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    parts = details(thing)
    colour = COLOURS[thing.colour]
    wood = darker(colour, 0.72)
    sheet.texture((x0, y0 + 170, x1, y1), "wood", thing.variant, tint=wood, scale=0.8)
    sheet.shadow((x0, y0 + 10, x1, y0 + 176), 14, 120)
    sheet.texture((x0 - 10, y0, x1 + 10, y0 + 170), "wood", thing.variant + 1, tint=colour)
    sheet.gradient((x0 - 10, y0, x1 + 10, y0 + 170), [(255, 255, 255), (0, 0, 0)], alpha=26)
    sheet.fill((x0 - 10, y0, x1 + 10, y0 + 8), darker(colour, 1.25))
    sheet.fill((x0 - 10, y0 + 160, x1 + 10, y0 + 170), darker(colour, 0.55))
    _awning(sheet, (x0 - 4, y0 + 176, x1 + 4, y0 + 262), colour, thing.variant)
    _shop_glass(sheet, thing)
    door = x0 + 50 if thing.variant % 2 else x1 - 260
    _door(sheet, (door, y0 + 270, door + 210, y1), wood, thing.variant)
    if parts.mark:
        left, top, right, bottom = parts.mark
        board = (left - 18, top - 14, right + 18, bottom + 14)
        sheet.fill((left + 20, top - 90, left + 23, top - 14), (180, 180, 176))
        sheet.fill((right - 23, top - 90, right - 20, top - 14), (180, 180, 176))
        sheet.shadow(board, 8, 130)
        sheet.fill(board, (24, 24, 28))
    for i, pot in enumerate(parts.counted):
        _pot(sheet, pot, thing.variant + i)
    sheet.text(*parts.texts)


def _awning(sheet: Sheet, box: Box, colour: Colour, variant: int) -> None:
    """A striped blind over the window, with its shadow."""
    x0, y0, x1, y1 = box
    width = 58
    for i, x in enumerate(range(x0, x1, width)):
        shade = (232, 228, 220) if i % 2 else darker(colour, 0.9)
        right = min(x + width, x1)
        sheet.gradient((x, y0, right, y1 - 14), [darker(shade, 0.82), shade])
        sheet.ellipse((x, y1 - 34, right, y1), darker(shade, 0.94))
    if variant % 4 == 0:
        sheet.fill((x0, y0, x1, y0 + 5), darker(colour, 0.5))
    sheet.shade((x0, y1, x1, y1 + 46), across=False, start=0.55, end=0.0)


def _shop_glass(sheet: Sheet, thing: Thing) -> None:
    """The display window: a room behind glass, and the hills mirrored in it."""
    x0, y0, x1, y1 = shop_window(thing)
    sheet.fill((x0 - 18, y0 - 12, x1 + 18, y1 + 18), darker(COLOURS[thing.colour], 0.5))
    sheet.texture((x0, y0, x1, y1), "room", thing.variant, scale=0.5, blur=3)
    sheet.fill((x0, y0, x1, y1), (26, 28, 32), 120)
    sheet.texture((x0, y0, x1, y1), "far", thing.variant, scale=0.6, blur=4, alpha=60)
    sheet.polygon((x0, y0, x1, y1), [(0.55, 0), (0.8, 0), (0.6, 1), (0.35, 1)], LIGHT, 22)
    for share in (1, 2):
        x = x0 + (x1 - x0) * share // 3
        sheet.fill((x - 5, y0, x + 5, y1), darker(COLOURS[thing.colour], 0.5))
    sheet.shade((x0, y0, x1, y0 + 60), across=False, start=0.6, end=0.0)
    sheet.fill((x0 - 24, y1 + 18, x1 + 24, y1 + 40), (150, 148, 142))
    sheet.shade((x0 - 24, y1 + 40, x1 + 24, y1 + 64), across=False, start=0.5, end=0.0)


def _door(sheet: Sheet, box: Box, colour: Colour, variant: int) -> None:
    x0, y0, x1, y1 = box
    sheet.fill((x0 - 12, y0, x1 + 12, y1), darker(colour, 0.6))
    sheet.texture(box, "wood", variant + 2, tint=darker(colour, 0.85), scale=0.7)
    pane = (x0 + 34, y0 + 40, x1 - 34, y0 + 250)
    sheet.texture(pane, "far", variant, scale=0.4, blur=3)
    sheet.fill(pane, _GLASS, 165)
    sheet.fill((x0 + 34, y0 + 282, x1 - 34, y1 - 40), darker(colour, 0.7))
    sheet.rounded((x0 + 14, y0 + 230, x0 + 24, y0 + 300), 5, (196, 180, 120))
    sheet.fill((x0 - 20, y1 - 14, x1 + 20, y1), (140, 138, 134))


def _pot(sheet: Sheet, box: Box, variant: int) -> None:
    """A terracotta pot with leaves."""
    x0, y0, x1, y1 = box
    clay = (176, 92, 58)
    for i in range(5):
        dx = (i * 13 + variant * 7) % 30 - 15
        dy = (i * 11 + variant * 5) % 14
        green = (52 + 14 * (i % 3), 104 + 12 * ((i + variant) % 3), 48)
        centre = (x0 + x1) // 2 + dx
        sheet.ellipse((centre - 19, y0 + dy - 8, centre + 19, y0 + dy + 28), green)
    sheet.polygon((x0 + 6, y0 + 34, x1 - 6, y1), [(0, 0), (1, 0), (0.82, 1), (0.18, 1)], clay)
    sheet.fill((x0 + 3, y0 + 30, x1 - 3, y0 + 42), darker(clay, 1.12))
    sheet.shade((x0 + 34, y0 + 42, x1 - 8, y1), across=True, start=0.0, end=0.3)


def _hedge(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.texture((x0, y0 + 90, x1, y1), "leaf", thing.variant * 2, scale=0.9)
    for i, x in enumerate(range(x0 - 40, x1, 90)):
        bump = (i * 37 + thing.variant) % 60
        sheet.shape(
            (x, y0 + 30 + bump, x + 180, y0 + 190 + bump),
            lambda d, w, h: d.ellipse((0, 0, w, h), fill=255),
            _leaves(sheet, thing.variant + 2 * i),
        )
    sheet.shade((x0, y0 + 120, x1, y1), across=False, start=0.0, end=0.5)


def _leaves(sheet: Sheet, variant: int):  # noqa: ANN202
    from hlvid.synthetic.sheet import texture

    return texture("leaf", sheet.split, variant * 2, (180, 160), scale=0.9)


def _car(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    parts = details(thing)
    colour = COLOURS[thing.colour]
    sheet.shadow((x0 + 30, y1 - 26, x1 - 30, y1 + 4), 16, 200)
    for left in (x0 + 34, x1 - 34 - 74):
        sheet.rounded((left, y1 - 92, left + 74, y1), 16, (22, 22, 24))
    cabin = (x0 + 44, y0, x1 - 44, y0 + 190)
    sheet.polygon(
        cabin, [(0.2, 0), (0.8, 0), (0.9, 0.1), (1, 1), (0, 1), (0.1, 0.1)], darker(colour, 0.82)
    )
    glass = (x0 + 92, y0 + 26, x1 - 92, y0 + 150)
    sheet.polygon(glass, [(0.1, 0), (0.9, 0), (1, 1), (0, 1)], _GLASS)
    sheet.polygon(glass, [(0.55, 0), (0.75, 0), (0.62, 1), (0.4, 1)], (190, 206, 220), 40)
    body = (x0, y0 + 140, x1, y1 - 38)
    sheet.rounded(body, 44, darker(colour, 0.92))
    sheet.gradient(
        (x0 + 30, y0 + 150, x1 - 30, y0 + 186), [darker(colour, 1.35), colour], alpha=150
    )
    sheet.shade((x0 + 6, y0 + 300, x1 - 6, y1 - 60), across=False, start=0.0, end=0.45)
    sheet.rounded((x0 - 4, y1 - 96, x1 + 4, y1 - 40), 20, darker(colour, 0.62))
    for left in (x0 + 14, x1 - 14 - 62):
        sheet.rounded((left, y0 + 172, left + 62, y0 + 262), 14, (150, 16, 20))
        sheet.rounded((left + 10, y0 + 180, left + 52, y0 + 206), 8, (232, 70, 50))
        sheet.rounded((left + 10, y0 + 236, left + 52, y0 + 254), 6, (236, 170, 60))
    if parts.string:
        left, top, right, bottom = parts.string.box
        plate = (left - 14, top - 10, right + 14, bottom + 8)
        sheet.shadow(plate, 6, 140)
        sheet.rounded(plate, 6, (30, 30, 32))
        inner = (plate[0] + 3, plate[1] + 3, plate[2] - 3, plate[3] - 3)
        sheet.rounded(inner, 5, (242, 214, 96) if thing.variant % 3 == 0 else (238, 238, 232))
    sheet.text(*parts.texts)


def _stop(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    middle = (x0 + x1) // 2
    sheet.shadow((middle - 30, y1 - 10, middle + 40, y1), 8, 140)
    sheet.gradient(
        (middle - 9, y0 + 170, middle + 9, y1), [(96, 98, 100), (190, 192, 194)], across=False
    )
    panel = (x0, y0, x1, y0 + 176)
    sheet.shadow(panel, 10, 110)
    sheet.rounded(panel, 16, (228, 228, 224))
    sheet.rounded((x0 + 6, y0 + 6, x1 - 6, y0 + 170), 12, COLOURS[thing.colour])
    table = (x0 + 40, y0 + 330, x1 - 40, y0 + 560)
    sheet.fill(table, (222, 222, 216))
    for row in range(table[1] + 24, table[3] - 16, 20):
        sheet.fill((table[0] + 16, row, table[2] - 16 - (row * 7) % 50, row + 3), (168, 168, 166))
    sheet.text(*details(thing).texts)


def _menu(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    colour = COLOURS[thing.colour]
    sheet.shadow((x0 + 6, y1 - 18, x1 + 16, y1), 10, 170)
    for left in (x0 + 10, x1 - 30):
        sheet.fill((left, y1 - 60, left + 20, y1), darker(colour, 0.6))
    sheet.texture((x0, y0, x1, y1 - 30), "wood", thing.variant, tint=colour, scale=0.5)
    board = (x0 + 16, y0 + 16, x1 - 16, y1 - 48)
    sheet.fill(board, (34, 40, 38))
    sheet.texture(board, "wall", thing.variant, tint=(60, 66, 62), alpha=90)
    for i in range(2):
        y = y0 + 190 + 26 * i
        sheet.fill((x0 + 50, y, x1 - 50 - 30 * i, y + 3), (170, 172, 166), 150)
    sheet.text(*details(thing).texts)


def _poster(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 4, y0 + 6, x1 + 4, y1 + 6), 8, 120)
    sheet.fill(thing.box, (236, 230, 214))
    art = (x0 + 14, y0 + 14, x1 - 14, y1 - 140)
    role = ("far", "grain", "leaf", "room")[thing.variant % 4]
    sheet.texture(art, role, thing.variant, scale=0.4)
    sheet.fill(art, COLOURS[thing.colour], 70)
    sheet.text(*details(thing).texts)


STREET: dict[str, tuple[int, Callable[[Sheet, Thing], None]]] = {
    "far": (0, _far),
    "pavement": (0, _pavement),
    "road": (0, _road),
    "house": (0, _house),
    "hedge": (0, _hedge),
    "shop": (40, _shop),
    "car": (40, _car),
    "stop": (24, _stop),
    "menu": (24, _menu),
    "poster": (24, _poster),
}
"""Kind -> room around it for what sticks out, in pixels, and how it is painted."""

assert DARK
