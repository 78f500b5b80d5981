"""The street of an `av` video: a slow drive past shops, signs and parked cars, with parallax."""

from dataclasses import dataclass, replace

from hlvid.synthetic.chance import Chance
from hlvid.synthetic.scene import COLOURS, FRAME_WIDTH, Layer, RenderSettings, Shot, Thing

SHOPS = (
    "BAKERY", "PHARMACY", "FLORIST", "BARBER", "TAILOR", "BUTCHER", "OPTICIAN", "HARDWARE",
    "LAUNDRY", "BOOKSHOP", "JEWELLER", "TOYSHOP", "CYCLES", "MUSIC", "PRINTER", "LOCKSMITH",
    "STATIONER", "GROCER", "SHOES", "TRAVEL", "GALLERY", "TEA ROOM", "ANTIQUES", "FISHMONGER",
)  # fmt: skip
BADGES = (
    "VELTO", "KARUN", "OSTIA", "MIRAN", "SOLEK", "TAVORA", "ZEPHYR", "QUINTO", "BREVA", "FALUX",
    "JUNIX", "LUPINO", "NIVEO", "PRIMUS", "ROVIX", "STRADO", "ULTRIX", "VARGO", "WENDA", "YUKON",
)  # fmt: skip
DISHES = (
    "SOUP", "CURRY", "TOAST", "PANCAKES", "RAVIOLI", "SALAD", "NOODLES", "BURGER", "WAFFLES",
    "OMELETTE", "RISOTTO", "GOULASH", "FALAFEL", "TROUT",
)  # fmt: skip
EVENTS = (
    "CIRCUS", "OPERA", "BALLET", "MARKET", "REGATTA", "CHESS", "JAZZ", "RODEO", "AUCTION",
    "PARADE", "MARATHON", "PUPPETS", "CINEMA", "BAZAAR",
)  # fmt: skip
STOPS = (
    "HARBOUR", "AIRPORT", "STADIUM", "CASTLE", "MUSEUM", "HOSPITAL", "TERMINAL", "FERRY",
    "COLLEGE", "ABBEY", "CENTRAL", "BRIDGE",
)  # fmt: skip

GROUND_Y = 1560
"""Where the fronts meet the pavement."""
SHOP_HEIGHT = 700
MAX_SHOP_WIDTH = 1100
CAR_WIDTH, CAR_HEIGHT = 480, 390
TILE_WIDTH = 1920
FAR_TILE_WIDTH = 3320
_SPEED_STEP = 20
"""Speeds are multiples of it, so that places at 1 and 10 frames a second are whole and even."""
_SHOP_COLOURS = ("red", "blue", "green", "yellow", "white", "orange", "purple", "black")
_SIGN_COLOURS = ("blue", "green", "red", "yellow", "white", "purple")


def speed_for(settings: RenderSettings, width: int, at_most: int) -> int:
    """The fastest speed at which something this wide stays wholly visible long enough."""
    fastest = (FRAME_WIDTH - width) // (settings.min_evidence_seconds + 1)
    return max(_SPEED_STEP, min(at_most, fastest // _SPEED_STEP * _SPEED_STEP))


@dataclass
class _Words:
    """Anchors not used yet."""

    shops: list[str]
    badges: list[str]
    dishes: list[str]
    events: list[str]
    stops: list[str]


def drive(settings: RenderSettings, chance: Chance) -> tuple[Shot, ...]:
    """Lay out the street of one video; strings, marks and counts are filled in later."""
    words = _Words(
        shops=chance.shuffled(SHOPS),
        badges=chance.shuffled(BADGES),
        dishes=chance.shuffled(DISHES),
        events=chance.shuffled(EVENTS),
        stops=chance.shuffled(STOPS),
    )
    near = speed_for(settings, CAR_WIDTH + 20, 10_000)
    front = max(_SPEED_STEP, min(near - _SPEED_STEP, speed_for(settings, MAX_SHOP_WIDTH, near)))
    layers = [
        Layer(-_SPEED_STEP, _far(settings, chance)),
        Layer(-front, _ground("pavement", GROUND_Y, 130, front, settings)),
        Layer(-front, tuple(_fronts(_length(front, settings), words, chance))),
        Layer(-near, _ground("road", GROUND_Y + 130, 470, near, settings)),
        Layer(-near, tuple(_cars(_length(near, settings), words, chance))),
    ]
    if chance.below(2):
        layers = [_mirrored(layer) for layer in layers]
    return (Shot(0, settings.seconds, "street", tuple(layers)),)


def _length(speed: int, settings: RenderSettings) -> int:
    """How much of a layer passes the camera, in pixels."""
    return FRAME_WIDTH + speed * settings.seconds


def _mirrored(layer: Layer) -> Layer:
    """The same layer seen from a car that goes the other way; things keep their own sides."""
    things = tuple(replace(t, x=FRAME_WIDTH - t.x - t.width) for t in layer.things)
    return Layer(-layer.speed, things)


def _far(settings: RenderSettings, chance: Chance) -> tuple[Thing, ...]:
    """One landscape, as it is and mirrored by turns."""
    tiles = -(-_length(_SPEED_STEP, settings) // FAR_TILE_WIDTH)
    landscape = 2 * chance.below(1000)
    return tuple(
        Thing("far", i * FAR_TILE_WIDTH, 0, FAR_TILE_WIDTH, GROUND_Y, variant=landscape + i % 2)
        for i in range(tiles)
    )


def _ground(
    kind: str, y: int, height: int, speed: int, settings: RenderSettings
) -> tuple[Thing, ...]:
    tiles = -(-_length(speed, settings) // TILE_WIDTH)
    return tuple(
        Thing(kind, i * TILE_WIDTH, y, TILE_WIDTH, height, variant=i % 2) for i in range(tiles)
    )


def _fronts(length: int, words: _Words, chance: Chance) -> list[Thing]:
    """Buildings with or without a shop, gaps between them, and what stands before them."""
    houses: list[Thing] = []
    before: list[Thing] = []
    x = -2 * chance.below(200)
    while x < length:
        margins = [2 * chance.between(150, 200) for _ in range(2)]
        shop_width = 2 * chance.between(460, MAX_SHOP_WIDTH // 2 + 1)
        width = margins[0] + shop_width + margins[1]
        top = 2 * chance.pick((-20, 60, 130, 220, 300, 340))
        house = Thing("house", x, top, width, GROUND_Y - top, chance.pick(tuple(COLOURS)))
        houses.append(replace(house, variant=chance.below(10_000)))
        if words.shops and chance.below(8):
            shop = Thing(
                "shop",
                x + margins[0],
                GROUND_Y - SHOP_HEIGHT,
                shop_width,
                SHOP_HEIGHT,
                chance.pick(_SHOP_COLOURS),
                anchor=words.shops.pop(),
                variant=chance.below(10_000),
            )
            houses.append(shop)
        for start, margin in ((x, margins[0]), (x + width - margins[1], margins[1])):
            before.extend(_beside(start, margin, words, chance))
        x += width
        if not chance.below(3):
            gap = 2 * chance.between(130, 320)
            houses.append(
                Thing("hedge", x, 1240, gap, GROUND_Y - 1240, variant=chance.below(10_000))
            )
            x += gap
    return houses + before


def _beside(start: int, margin: int, words: _Words, chance: Chance) -> list[Thing]:
    """What is put between a shop and the edge of its building: a poster, a board or a stop."""
    kind = chance.pick(("poster", "menu", "stop", "poster", "menu", "stop", "nothing"))
    sizes = {"poster": (240, 360), "menu": (220, 300), "stop": (270, 780)}
    pool = {"poster": words.events, "menu": words.dishes, "stop": words.stops}
    if kind == "nothing" or not pool[kind]:
        return []
    width, height = sizes[kind]
    y = 1080 if kind == "poster" else GROUND_Y + 66 - height
    thing = Thing(
        kind,
        start + (margin - width) // 4 * 2,
        y,
        width,
        height,
        chance.pick(_SIGN_COLOURS),
        anchor=pool[kind].pop(),
        variant=chance.below(10_000),
    )
    return [thing]


def _cars(length: int, words: _Words, chance: Chance) -> list[Thing]:
    """Cars parked nose in, their backs to the camera."""
    cars = []
    x = 2 * chance.between(20, 300)
    while x < length:
        car = Thing(
            "car",
            x,
            GROUND_Y + 96,
            CAR_WIDTH,
            CAR_HEIGHT,
            chance.pick(tuple(COLOURS)),
            anchor=words.badges.pop() if words.badges else "",
            variant=chance.below(10_000),
        )
        cars.append(car)
        x += CAR_WIDTH + 2 * chance.between(40, 500)
    return cars
