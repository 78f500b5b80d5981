"""The shots of a `household` video: shelves, labels, screens, notes; each holds still."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hlvid.synthetic.chance import Chance
from hlvid.synthetic.scene import FRAME_HEIGHT, FRAME_WIDTH, Layer, RenderSettings, Shot, Thing

AUTHORS = (
    "MORAN", "HOLLIS", "PETROV", "ASHBY", "KELLER", "DUVAL", "OKORO", "SATOMI", "LINDEN", "CRUZ",
    "BECKER", "NOVAK", "FARROW", "GRECO", "HAAS", "IRVING", "JANSEN", "KOVACS", "LOWELL", "MERTZ",
    "NADIR", "OLSEN", "PRATT", "QUINN", "RINALDI", "STROUD", "THORNE", "UDALL", "VOSS", "WEBER",
)  # fmt: skip
GOODS = (
    "RICE", "OATS", "LENTILS", "FLOUR", "SUGAR", "BEANS", "BARLEY", "PASTA", "RAISINS", "COCOA",
    "PECANS", "MILLET", "COFFEE", "POPCORN", "PEPPER", "CLOVES", "GINGER", "SESAME", "WALNUTS",
    "HONEY", "BULGUR", "MUSTARD", "THYME", "CUMIN",
)  # fmt: skip
TOWNS = (
    "DOVER", "LEEDS", "LISBON", "TURIN", "LYON", "BERGEN", "MALMO", "GHENT", "DELFT", "BASEL",
    "GRAZ", "BRNO", "SPLIT", "CADIZ", "GALWAY", "YORK", "TAMPERE", "KRAKOW", "AARHUS", "NANTES",
)  # fmt: skip
ERRANDS = (
    "DENTIST", "PLUMBER", "SCHOOL", "GARAGE", "LIBRARY", "VET", "BANK", "CHOIR", "PIANO", "TENNIS",
    "LANDLORD", "GRANDMA", "CLINIC", "TAXI", "ROOFER", "GARDEN CLUB", "COURIER", "BABYSITTER",
    "CHIMNEY", "OPTICS", "POOL", "CARPENTER", "MATINEE", "AIRPORT",
)  # fmt: skip
DEVICES = (
    "ROUTER", "PUMP", "BOILER", "CAMERA", "FREEZER", "PRINTER", "LAMP", "SPEAKER", "WASHER",
    "HEATER", "DOORBELL", "SCANNER", "CHARGER", "OVEN", "TV", "BLINDS", "ALARM", "FAN", "KETTLE",
    "MIXER",
)  # fmt: skip

_COVERS = ("red", "blue", "green", "yellow", "white", "orange", "purple", "black", "brown", "grey")


@dataclass
class _Words:
    """Anchors not used yet."""

    book: list[str]
    jar: list[str]
    parcel: list[str]
    note: list[str]
    panel: list[str]

    def next(self, kind: str) -> str:
        pool: list[str] = getattr(self, kind)
        return pool.pop() if pool else ""


def rooms(settings: RenderSettings, chance: Chance) -> tuple[Shot, ...]:
    """Lay out the shots of one video; strings, marks and counts are filled in later."""
    words = _Words(
        book=chance.shuffled(AUTHORS),
        jar=chance.shuffled(GOODS),
        parcel=chance.shuffled(TOWNS),
        note=chance.shuffled(ERRANDS),
        panel=chance.shuffled(DEVICES),
    )
    shots: list[Shot] = []
    places: list[str] = []
    for start, end in _cuts(settings, chance):
        if not places:
            places = chance.shuffled(tuple(_PLACES))
            if shots and places[0] == shots[-1].place:
                places.append(places.pop(0))
        place = places.pop(0)
        things = tuple(_PLACES[place](words, chance))
        shots.append(Shot(start, end, place, (Layer(0, things),)))
    return tuple(shots)


def _cuts(settings: RenderSettings, chance: Chance) -> list[tuple[int, int]]:
    """Shots from one second more to twice the shortest evidence, at least four."""
    seconds, shortest = settings.seconds, settings.min_evidence_seconds
    num = max(4, min(seconds * 10 // (14 * shortest), seconds // (shortest + 1)))
    slack = (seconds // num - shortest - 1) // 2
    cuts = [0]
    for i in range(1, num):
        cuts.append(i * seconds // num + chance.between(-slack, slack + 1))
    return list(zip(cuts, [*cuts[1:], seconds], strict=True))


def _shelf(words: _Words, chance: Chance) -> list[Thing]:
    """Three boards with lying books, upright ones without words, a plant, a clock, a picture."""
    things = [Thing("wall", 0, 0, FRAME_WIDTH, FRAME_HEIGHT, variant=chance.below(10_000))]
    decor = chance.shuffled(("spines", "picture", "plant", "clock", "spines", "spines"))
    for row, surface in enumerate((690, 1350, 2010)):
        things.append(Thing("board", 0, surface, FRAME_WIDTH, 64, variant=row))
        side = chance.below(2)
        left = (120, 2560)[side] + 2 * chance.below(40)
        y = surface
        for _ in range(chance.between(2, 5)):
            width, height = 2 * chance.between(520, 556), 2 * chance.between(50, 61)
            y -= height
            things.append(
                Thing(
                    "book",
                    left + 2 * chance.below(16),
                    y,
                    width,
                    height,
                    chance.pick(_COVERS),
                    anchor=words.next("book"),
                    variant=chance.below(10_000),
                )
            )
        free = (1360, 160)[side]
        for kind in (decor.pop(), decor.pop()):
            things += _decor(kind, free, surface, chance)
            free += 1180
    return things


def _decor(kind: str, x: int, bottom: int, chance: Chance) -> list[Thing]:
    """Something without words; a clock's second hand is a thing of its own."""
    width, height = _DECOR[kind]
    found = [Thing(kind, x, bottom - height, width, height, variant=chance.below(10_000))]
    if kind == "clock":
        found.append(replace(found[0], kind="second hand"))
    return found


_DECOR = {
    "spines": (960, 480),
    "picture": (640, 460),
    "plant": (420, 520),
    "clock": (420, 420),
    "pan": (520, 300),
    "bowl": (380, 190),
    "mug": (250, 270),
}


def _pantry(words: _Words, chance: Chance) -> list[Thing]:
    """Jars with labels on two boards, pans and bowls between them, a lamp that blinks."""
    things = [Thing("wall", 0, 0, FRAME_WIDTH, FRAME_HEIGHT, variant=chance.below(10_000))]
    for row, surface in enumerate((1010, 1840)):
        things.append(Thing("board", 0, surface, FRAME_WIDTH, 70, variant=row))
        x = 2 * chance.between(40, 120)
        while x + 560 < FRAME_WIDTH:
            if not chance.below(4):
                kind = chance.pick(("pan", "bowl", "bowl"))
                width = _DECOR[kind][0]
                things += _decor(kind, x, surface, chance)
            else:
                width, height = 340, 2 * chance.between(220, 300)
                jar = Thing("jar", x, surface - height, width, height, anchor=words.next("jar"))
                things.append(replace(jar, variant=chance.below(10_000)))
            x += width + 2 * chance.between(30, 140)
    things.append(Thing("lamp", 3560, 120, 120, 160))
    return things


def _hall(words: _Words, chance: Chance) -> list[Thing]:
    """Parcels piled up on the floor of a hall, a clock above them."""
    things = [
        Thing("wall", 0, 0, FRAME_WIDTH, 1700, variant=chance.below(10_000)),
        Thing("floor", 0, 1700, FRAME_WIDTH, FRAME_HEIGHT - 1700, variant=chance.below(10_000)),
        *_decor("clock", 3260, 560, chance),
        *_decor("picture", 220, 600, chance),
        *_decor("plant", 3380, 2000, chance),
    ]
    tops: list[tuple[int, int, int]] = []
    x = 2 * chance.between(60, 140)
    while x + 760 < FRAME_WIDTH - 420:
        width, height = 2 * chance.between(330, 380), 2 * chance.between(230, 270)
        things.append(_parcel(x, 1960 - height, width, height, words, chance))
        tops.append((x, width, 1960 - height))
        x += width + 2 * chance.between(30, 120)
    for x, width, top in chance.sample(tops, min(2, len(tops))):
        above = 2 * chance.between(310, 331)
        height = 2 * chance.between(220, 250)
        x += (width - above) // 4 * 2
        things.append(_parcel(x, top - height, above, height, words, chance))
    return things


def _parcel(x: int, y: int, width: int, height: int, words: _Words, chance: Chance) -> Thing:
    return Thing(
        "parcel",
        x,
        y,
        width,
        height,
        "brown",
        anchor=words.next("parcel"),
        variant=chance.below(10_000),
    )


def _pinboard(words: _Words, chance: Chance) -> list[Thing]:
    """Notes pinned to cork; the cord of a blind moves at the edge."""
    things = [
        Thing("wall", 0, 0, FRAME_WIDTH, FRAME_HEIGHT, variant=chance.below(10_000)),
        Thing("cork", 260, 180, 3320, 1800),
        Thing("cord", 3660, 0, 120, 1500),
    ]
    cells = [(column, row) for row in range(3) for column in range(6)]
    for number, (column, row) in enumerate(chance.sample(cells, 12)):
        x = 310 + 540 * column + 2 * chance.below(60)
        y = 220 + 580 * row + 2 * chance.below(80)
        if number >= 8:
            postcard = Thing("postcard", x, y, 410, 290, variant=chance.below(10_000))
            things.append(postcard)
            continue
        height = 2 * chance.between(150, 200)
        colour = chance.pick(("white", "yellow", "white"))
        note = Thing("note", x, y, 400, height, colour, anchor=words.next("note"))
        things.append(replace(note, variant=chance.below(10_000)))
    return things


def _desk(words: _Words, chance: Chance) -> list[Thing]:
    """A large screen with one panel a device, on a table in a room."""
    left, top = 2 * chance.between(340, 500), 260
    things = [
        Thing("room", 0, 0, FRAME_WIDTH, FRAME_HEIGHT, variant=chance.below(10_000)),
        Thing("table", 0, 1780, FRAME_WIDTH, FRAME_HEIGHT - 1780),
        Thing("screen", left - 50, top - 50, 2100, 1420),
        *_decor("mug", left + 2200 + 2 * chance.below(60), 1910, chance),
        *_decor("plant", max(20, left - 600), 1890, chance),
    ]
    for row in range(3):
        for column in range(3):
            things.append(
                Thing(
                    "panel",
                    left + 40 + 650 * column,
                    top + 150 + 350 * row,
                    620,
                    310,
                    anchor=words.next("panel") if chance.below(4) else "",
                    variant=chance.below(10_000),
                )
            )
    things.append(Thing("progress", left + 40, top + 1220, 1920, 40))
    return things


_PLACES: dict[str, Callable[[_Words, Chance], list[Thing]]] = {
    "shelf": _shelf,
    "pantry": _pantry,
    "hall": _hall,
    "pinboard": _pinboard,
    "desk": _desk,
}
