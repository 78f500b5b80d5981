"""How the things of a street look."""

from collections.abc import Callable

from hlvid.synthetic.details import DARK, LIGHT, details, ink, shop_window
from hlvid.synthetic.scene import COLOURS, Box, Colour, Thing
from hlvid.synthetic.sheet import Sheet, darker

_PLASTERS: tuple[Colour, ...] = (
    (226, 220, 204),
    (214, 190, 142),
    (202, 160, 128),
    (176, 186, 190),
    (196, 202, 180),
)
_BRICKS: tuple[Colour, ...] = ((158, 88, 66), (140, 98, 80), (178, 130, 96))
_BOARDS: tuple[Colour, ...] = ((206, 210, 212), (152, 170, 182), (168, 178, 152), (190, 176, 152))
_GLASS: Colour = (38, 46, 54)
_STONE: Colour = (168, 164, 156)


def _far(sheet: Sheet, thing: Thing) -> None:
    """The hills behind the town; every other tile is mirrored, so that they go on without end."""
    is_mirrored = bool(thing.variant % 2)
    sheet.picture(thing.box, "far", thing.variant // 2, blur=1.4, is_mirrored=is_mirrored)
    sheet.gradient(thing.box, [(214, 226, 238), (200, 210, 220)], alpha=34)


def _pavement(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.surface(thing.box, "pavement", thing.variant, tint=(156, 153, 148), scale=0.7)
    for x in range(x0, x1, 160):
        sheet.fill((x, y0, x + 4, y1 - 34), (92, 90, 88), 150)
    sheet.fill((x0, y0 + 46, x1, y0 + 49), (92, 90, 88), 150)
    sheet.shade((x0, y0, x1, y0 + 30), across=False, start=0.45, end=0.0)
    sheet.surface((x0, y1 - 34, x1, y1 - 12), "pavement", 3, tint=(190, 188, 182))
    sheet.fill((x0, y1 - 12, x1, y1), (66, 66, 66))


def _road(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.surface(thing.box, "asphalt", thing.variant, tint=(84, 84, 88), scale=1.4)
    sheet.shade(thing.box, across=False, start=0.3, end=0.0)
    for x in range(x0 + 60, x1, 640):
        sheet.polygon((x, y0 + 40, x + 26, y0 + 380), [(0.4, 0), (0.8, 0), (0.6, 1), (0, 1)],
                      (206, 206, 200), 190)  # fmt: skip
    for x in range(x0 + 100, x1, 480):
        sheet.fill((x, y1 - 44, x + 240, y1 - 26), (216, 216, 208), 200)


def _house(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    wall = _wall(sheet, thing)
    sheet.shade(thing.box, across=False, start=0.0, end=0.2)
    sheet.fill((x0, y0, x1, y0 + 34), darker(wall, 0.6))
    sheet.fill((x0, y0 + 6, x1, y0 + 12), darker(wall, 0.8))
    sheet.fill((x0, y0 + 34, x1, y0 + 42), darker(wall, 1.1))
    sheet.shade((x0, y0 + 42, x1, y0 + 84), across=False, start=0.42, end=0.0)
    sheet.surface((x0, y1 - 60, x1, y1), "plaster", thing.variant, tint=darker(wall, 0.5))
    num = (x1 - x0 - 240) // 420
    gap = (x1 - x0) // num
    for i in range(num):
        left = x0 + gap * i + (gap - 230) // 2
        for top in range(y1 - 1140, y0 + 60, -460):
            _window(sheet, (left, top, left + 230, top + 320), thing.variant + i)
    pipe = x0 + 26
    sheet.shadow((pipe, y0 + 50, pipe + 22, y1), 8, 110)
    sheet.gradient((pipe, y0 + 42, pipe + 22, y1), [darker(wall, 0.5), darker(wall, 0.9),
                   darker(wall, 0.45)], across=True)  # fmt: skip
    sheet.shade((x0, y0, x0 + 14, y1), across=True, start=0.5, end=0.0)
    sheet.shade((x1 - 14, y0, x1, y1), across=True, start=0.0, end=0.35)


def _wall(sheet: Sheet, thing: Thing) -> Colour:
    """Paint the wall of a house; its colour."""
    style, variant = thing.variant % 4, thing.variant // 4
    if style == 0:
        colour = _BRICKS[variant % len(_BRICKS)]
        sheet.bricks(thing.box, tint=colour)
    elif style == 1:
        colour = _BOARDS[variant % len(_BOARDS)]
        role = "siding" if variant % 3 else "plank"
        sheet.planks(thing.box, variant, tint=colour, height=74 + variant % 40, role=role)
    else:
        colour = _PLASTERS[variant % len(_PLASTERS)]
        sheet.surface(thing.box, "plaster", variant, tint=colour, scale=0.9, contrast=0.8)
    return colour


def _window(sheet: Sheet, box: Box, variant: int) -> None:
    """An upper window: frame, the hills mirrored in it, perhaps curtains, a sill."""
    x0, y0, x1, y1 = box
    sheet.shadow((x0 - 10, y0 - 6, x1 + 14, y1 + 14), 10, 90)
    sheet.fill((x0 - 14, y0 - 14, x1 + 14, y1 + 14), (226, 224, 218))
    sheet.picture(box, "far", variant, blur=2)
    sheet.fill(box, _GLASS, 165)
    if variant % 3:
        third = (x1 - x0) // 3
        sheet.gradient((x0, y0, x0 + third, y1), [(204, 198, 186), (156, 150, 140)],
                       across=True, alpha=170)  # fmt: skip
        sheet.gradient((x1 - third, y0, x1, y1), [(156, 150, 140), (204, 198, 186)],
                       across=True, alpha=170)  # fmt: skip
    middle = (x0 + x1) // 2
    sheet.fill((middle - 5, y0, middle + 5, y1), (226, 224, 218))
    sheet.fill((x0, y0 + 110, x1, y0 + 118), (226, 224, 218))
    sheet.shade((x0, y0, x1, y0 + 26), across=False, start=0.5, end=0.0)
    sheet.surface((x0 - 26, y1 + 14, x1 + 26, y1 + 32), "plaster", variant, tint=(196, 193, 186))
    sheet.shade((x0 - 26, y1 + 32, x1 + 26, y1 + 50), across=False, start=0.4, end=0.0)


def _shop(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    parts = details(thing)
    colour = COLOURS[thing.colour]
    wood = darker(colour, 0.7)
    sheet.surface((x0, y0 + 170, x1, y1), "wood", thing.variant, tint=wood, contrast=0.5)
    sheet.shade((x0, y0 + 170, x1, y1), across=False, start=0.0, end=0.3)
    sheet.shadow((x0, y0 + 10, x1, y0 + 176), 14, 120)
    board = (x0 - 10, y0, x1 + 10, y0 + 170)
    sheet.surface(board, "wood", thing.variant + 1, tint=colour, contrast=0.4)
    sheet.gradient(board, [(255, 255, 255), (0, 0, 0)], alpha=24)
    sheet.fill((x0 - 10, y0, x1 + 10, y0 + 8), darker(colour, 1.25))
    sheet.fill((x0 - 10, y0 + 160, x1 + 10, y0 + 170), darker(colour, 0.55))
    _shop_glass(sheet, thing)
    _awning(sheet, (x0 - 4, y0 + 176, x1 + 4, y0 + 262), colour)
    door = x0 + 50 if thing.variant % 2 else x1 - 260
    _door(sheet, (door, y0 + 270, door + 210, y1), wood, thing.variant)
    if thing.mark and parts.mark:
        left, top, right, bottom = parts.mark
        board = (left - 18, top - 14, right + 18, bottom + 14)
        for x in (left + 20, right - 23):
            sheet.fill((x, top - 76, x + 3, top - 14), (180, 180, 176))
        sheet.shadow(board, 8, 130)
        sheet.fill(board, (24, 24, 28) if ink(thing.mark) == DARK else (238, 238, 232))
    for i, pot in enumerate(parts.counted):
        _pot(sheet, pot, thing.variant + i)
    sheet.text(*parts.texts)


def _awning(sheet: Sheet, box: Box, colour: Colour) -> None:
    """A striped blind over the window, with its shadow."""
    x0, y0, x1, y1 = box
    sheet.shade((x0, y1 - 20, x1, y1 + 46), across=False, start=0.6, end=0.0)
    width = 58
    for i, x in enumerate(range(x0, x1, width)):
        shade = (228, 224, 214) if i % 2 else darker(colour, 0.9)
        right = min(x + width, x1)
        sheet.ellipse((x, y1 - 34, right, y1), darker(shade, 0.86))
        sheet.gradient((x, y0, right, y1 - 16), [darker(shade, 0.7), shade, darker(shade, 0.95)])


def _shop_glass(sheet: Sheet, thing: Thing) -> None:
    """The display window: a room behind glass, and the hills mirrored in it."""
    x0, y0, x1, y1 = shop_window(thing)
    frame = darker(COLOURS[thing.colour], 0.5)
    sheet.fill((x0 - 18, y0 - 12, x1 + 18, y1 + 18), frame)
    sheet.picture((x0, y0, x1, y1), "room", thing.variant, blur=5)
    sheet.fill((x0, y0, x1, y1), (26, 28, 32), 130)
    sheet.picture((x0, y0, x1, y1), "far", thing.variant, blur=5, alpha=56)
    sheet.polygon((x0, y0, x1, y1), [(0.55, 0), (0.8, 0), (0.6, 1), (0.35, 1)], LIGHT, 22)
    for share in (1, 2):
        x = x0 + (x1 - x0) * share // 3
        sheet.fill((x - 5, y0, x + 5, y1), frame)
    sheet.surface((x0 - 24, y1 + 18, x1 + 24, y1 + 40), "plaster", 1, tint=(158, 156, 150))
    sheet.shade((x0 - 24, y1 + 40, x1 + 24, y1 + 64), across=False, start=0.5, end=0.0)


def _door(sheet: Sheet, box: Box, colour: Colour, variant: int) -> None:
    x0, y0, x1, y1 = box
    sheet.fill((x0 - 12, y0, x1 + 12, y1), darker(colour, 0.6))
    sheet.surface(box, "wood", variant + 2, tint=darker(colour, 0.85), contrast=0.6)
    pane = (x0 + 34, y0 + 40, x1 - 34, y0 + 250)
    sheet.picture(pane, "far", variant, blur=3)
    sheet.fill(pane, _GLASS, 175)
    sheet.fill((x0 + 34, y0 + 282, x1 - 34, y1 - 40), darker(colour, 0.7))
    sheet.fill((x0 + 38, y0 + 286, x1 - 38, y1 - 44), darker(colour, 0.8))
    sheet.rounded((x0 + 14, y0 + 230, x0 + 24, y0 + 300), 5, (196, 180, 120))
    sheet.surface((x0 - 20, y1 - 14, x1 + 20, y1), "plaster", 1, tint=(140, 138, 134))


def _pot(sheet: Sheet, box: Box, variant: int) -> None:
    """A clay pot with leaves."""
    x0, y0, x1, y1 = box
    clay = (176, 92, 58)
    for i in range(9):
        dx = (i * 13 + variant * 7) % 38 - 19
        dy = (i * 11 + variant * 5) % 22
        green = (44 + 12 * (i % 4), 92 + 14 * ((i + variant) % 4), 42)
        centre = (x0 + x1) // 2 + dx
        sheet.ellipse((centre - 13, y0 + dy - 8, centre + 13, y0 + dy + 18), green)
    sheet.polygon((x0 + 6, y0 + 34, x1 - 6, y1), [(0, 0), (1, 0), (0.82, 1), (0.18, 1)], clay)
    sheet.fill((x0 + 3, y0 + 30, x1 - 3, y0 + 42), darker(clay, 1.12))
    sheet.shade((x0 + 34, y0 + 42, x1 - 16, y1), across=True, start=0.0, end=0.3)


def _hedge(sheet: Sheet, thing: Thing) -> None:
    """A garden between two houses: grass and a low wall."""
    x0, _, x1, y1 = thing.box
    sheet.surface((x0, y1 - 270, x1, y1 - 120), "leaf", thing.variant * 2, contrast=1.2)
    sheet.shade((x0, y1 - 270, x1, y1 - 120), across=False, start=0.1, end=0.55)
    sheet.bricks((x0, y1 - 120, x1, y1), tint=_BRICKS[1])
    sheet.surface((x0, y1 - 132, x1, y1 - 112), "plaster", 1, tint=_STONE)


def _car(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    paint = COLOURS[thing.colour]
    sheet.shadow((x0 + 10, y1 - 34, x1 - 10, y1 - 6), 22, 215)
    for left in (x0 + 30, x1 - 30 - 70):
        sheet.rounded((left, y1 - 96, left + 70, y1), 18, (20, 20, 22))
        sheet.rounded((left + 8, y1 - 90, left + 30, y1 - 6), 10, (40, 40, 42))
    cabin = (x0 + 40, y0, x1 - 40, y0 + 210)
    roof = [(0.22, 0.02), (0.5, 0), (0.78, 0.02), (0.87, 0.1), (1, 0.9), (1, 1), (0, 1), (0, 0.9),
            (0.13, 0.1)]  # fmt: skip
    sheet.polygon(cabin, roof, darker(paint, 0.8))
    sheet.polygon((x0 + 100, y0 + 4, x1 - 100, y0 + 16), [(0.1, 0), (0.9, 0), (1, 1), (0, 1)],
                  darker(paint, 1.3), 150)  # fmt: skip
    _car_glass(sheet, (x0 + 88, y0 + 28, x1 - 88, y0 + 152))
    _car_body(sheet, (x0, y0 + 136, x1, y1 - 30), paint)
    for left, is_left in ((x0 + 8, True), (x1 - 8 - 84, False)):
        _tail_light(sheet, (left, y0 + 176, left + 84, y0 + 258), is_left)
    parts = details(thing)
    if thing.string:
        left, top, right, bottom = parts.string.box
        plate = (left - 14, top - 10, right + 14, bottom + 8)
        sheet.rounded((plate[0] - 16, plate[1] - 12, plate[2] + 16, plate[3] + 12), 14,
                      darker(paint, 0.6))  # fmt: skip
        sheet.rounded(plate, 6, (30, 30, 32))
        inner = (plate[0] + 3, plate[1] + 3, plate[2] - 3, plate[3] - 3)
        sheet.rounded(inner, 5, (242, 214, 96) if thing.variant % 3 == 0 else (238, 238, 232))
    sheet.text(*parts.texts)


def _car_glass(sheet: Sheet, box: Box) -> None:
    """The rear window: seats behind it, houses and sky mirrored in it."""
    x0, y0, x1, y1 = box
    pane = [(0.1, 0), (0.9, 0), (1, 1), (0, 1)]
    sheet.polygon((x0 - 6, y0 - 6, x1 + 6, y1 + 6), pane, (18, 18, 20))
    sheet.polygon(box, pane, _GLASS)
    for share in (0.3, 0.7):
        middle = x0 + round((x1 - x0) * share)
        sheet.rounded((middle - 28, y0 + 62, middle + 28, y1 - 8), 16, (24, 28, 34))
    mirrored = sheet.picture_image("far", 5, (x1 - x0, y1 - y0), blur=3)
    sheet.shape(
        box,
        lambda d, w, h: d.polygon([(x * w, y * h) for x, y in pane], fill=74),
        mirrored,
    )
    sheet.polygon(box, [(0.55, 0), (0.75, 0), (0.62, 1), (0.4, 1)], (210, 222, 232), 34)


def _car_body(sheet: Sheet, box: Box, paint: Colour) -> None:
    """Boot and bumper, lit from above."""
    x0, y0, x1, y1 = box
    size = (x1 - x0, y1 - y0)
    stops = [darker(paint, 1.3), paint, darker(paint, 0.92), darker(paint, 0.62)]
    ramp = sheet.gradient_image(size, stops)
    sheet.shape(
        box, lambda d, w, h: d.rounded_rectangle((0, 0, w - 1, h - 1), h // 5, fill=255), ramp
    )
    shine = sheet.picture_image("far", 9, size, blur=6)
    sheet.shape(
        (x0 + 20, y0 + 6, x1 - 20, y0 + 60),
        lambda d, w, h: d.rounded_rectangle((0, 0, w - 1, h - 1), h // 3, fill=60),
        shine.crop((20, 6, size[0] - 20, 60)),
    )
    line = darker(paint, 0.45)
    sheet.fill((x0 + 96, y0 + 26, x0 + 99, y0 + 150), line, 200)
    sheet.fill((x1 - 99, y0 + 26, x1 - 96, y0 + 150), line, 200)
    sheet.fill((x0 + 96, y0 + 150, x1 - 96, y0 + 153), line, 200)
    sheet.fill((x0 + 14, y1 - 76, x1 - 14, y1 - 73), line, 200)
    sheet.rounded((x0 + 60, y1 - 40, x1 - 60, y1 - 6), 12, (36, 36, 38))
    for left in (x0 + 36, x1 - 36 - 46):
        sheet.rounded((left, y1 - 62, left + 46, y1 - 48), 5, (150, 20, 22))
    sheet.ellipse((x1 - 130, y1 - 26, x1 - 92, y1 - 6), (150, 150, 152))
    sheet.ellipse((x1 - 124, y1 - 22, x1 - 98, y1 - 8), (14, 14, 14))


def _tail_light(sheet: Sheet, box: Box, is_left: bool) -> None:
    x0, y0, x1, y1 = box
    sheet.rounded((x0 - 3, y0 - 3, x1 + 3, y1 + 3), 20, (60, 10, 12))
    ramp = sheet.gradient_image((x1 - x0, y1 - y0), [(228, 52, 44), (150, 14, 20), (96, 8, 14)])
    sheet.shape(
        box, lambda d, w, h: d.rounded_rectangle((0, 0, w - 1, h - 1), h // 4, fill=255), ramp
    )
    inner = x1 - 34 if is_left else x0 + 8
    sheet.rounded((inner, y0 + 14, inner + 26, y0 + 40), 8, (238, 170, 70))
    sheet.rounded((inner, y0 + 46, inner + 26, y0 + 66), 8, (226, 224, 222))
    sheet.rounded((x0 + 14, y0 + 8, x1 - 14, y0 + 13), 2, (255, 190, 180), 150)


def _stop(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    middle = (x0 + x1) // 2
    sheet.shadow((middle - 30, y1 - 10, middle + 40, y1), 8, 140)
    pole = (middle - 9, y0 + 170, middle + 9, y1)
    sheet.gradient(pole, [(96, 98, 100), (196, 198, 200), (84, 86, 88)], across=True)
    panel = (x0, y0, x1, y0 + 176)
    sheet.shadow(panel, 10, 110)
    sheet.rounded(panel, 16, (228, 228, 224))
    sheet.rounded((x0 + 6, y0 + 6, x1 - 6, y0 + 170), 12, COLOURS[thing.colour])
    sheet.gradient((x0 + 14, y0 + 6, x1 - 14, y0 + 170), [(255, 255, 255), (0, 0, 0)], alpha=20)
    table = (x0 + 50, y0 + 330, x1 - 50, y0 + 560)
    sheet.shadow(table, 6, 110)
    sheet.fill(table, (210, 212, 206))
    for row in range(table[1] + 24, table[3] - 16, 20):
        sheet.fill((table[0] + 16, row, table[2] - 16 - (row * 7) % 50, row + 3), (168, 168, 166))
    sheet.text(*details(thing).texts)


def _menu(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    colour = COLOURS[thing.colour]
    sheet.shadow((x0 + 6, y1 - 18, x1 + 16, y1), 10, 170)
    for left in (x0 + 10, x1 - 30):
        sheet.fill((left, y1 - 60, left + 20, y1), darker(colour, 0.6))
    sheet.surface((x0, y0, x1, y1 - 30), "wood", thing.variant, tint=colour, contrast=0.7)
    board = (x0 + 16, y0 + 16, x1 - 16, y1 - 48)
    sheet.surface(board, "plaster", thing.variant, tint=(48, 54, 52), contrast=0.5)
    sheet.shade((board[0], board[1], board[2], board[1] + 16), across=False, start=0.5, end=0.0)
    for i in range(2):
        y = y0 + 190 + 26 * i
        sheet.fill((x0 + 50, y, x1 - 50 - 30 * i, y + 3), (170, 172, 166), 150)
    sheet.text(*details(thing).texts)


def _poster(sheet: Sheet, thing: Thing) -> None:
    x0, y0, x1, y1 = thing.box
    sheet.shadow((x0 + 4, y0 + 6, x1 + 4, y1 + 6), 8, 120)
    sheet.surface(thing.box, "card", thing.variant, tint=(234, 228, 212), contrast=0.4)
    art = (x0 + 14, y0 + 14, x1 - 14, y1 - 140)
    sheet.picture(art, ("far", "grain", "leaf", "room")[thing.variant % 4], thing.variant)
    sheet.fill(art, COLOURS[thing.colour], 80)
    sheet.text(*details(thing).texts)


STREET: dict[str, tuple[int, Callable[[Sheet, Thing], None]]] = {
    "far": (0, _far),
    "pavement": (0, _pavement),
    "road": (0, _road),
    "house": (0, _house),
    "hedge": (0, _hedge),
    "shop": (40, _shop),
    "car": (60, _car),
    "stop": (24, _stop),
    "menu": (40, _menu),
    "poster": (24, _poster),
}
"""Kind -> room around it for what sticks out, in pixels, and how it is painted."""
