"""What is written on things: families of four strings that are equally far from each other.

A family is drawn first, and which of its members is the right answer only afterwards, so that no
look at the options alone can beat a quarter. Every string belongs to one of two splits by its
digest: what a benchmark shows can be kept from whoever trains on scenes of this renderer.
"""

import hashlib
import itertools
from collections.abc import Callable, Collection
from typing import Literal

from hlvid.synthetic.chance import Chance

Split = Literal["benchmark", "training"]
Family = tuple[str, str, str, str]
Token = tuple[str, ...]
"""A place in a string and what may stand there: one fixed text, or texts that look alike."""

_DIGITS = tuple(tuple(quad) for quad in ("3568", "0689", "1247", "3589", "2347", "0368"))
_CONSONANTS = tuple(tuple(quad) for quad in ("BDPR", "FTLP", "HKNM", "CGRK", "VTWL", "DLTN"))
_VOWELS = tuple("AEOU")
_ENDINGS = ("EN", "AR", "ON", "EL", "ET", "OR", "AN", "ER")
_MONTHS = (("MAR", "MAY"), ("JUN", "JUL"), ("JAN", "JUN"))
_ADJECTIVES = (
    "PALE", "COLD", "LAST", "OLD", "DARK", "LONG", "LOST", "FIRST", "QUIET", "SILVER", "GREY",
    "HIGH", "BURNT", "DEEP", "EMPTY", "HIDDEN", "NARROW", "DUSTY", "SECOND", "WILD",
)  # fmt: skip
_NOUNS = (
    ("BARN", "YARN", "DARN", "WARN"), ("LAKE", "RAKE", "WAKE", "CAKE"),
    ("HILL", "MILL", "WILL", "BILL"), ("BOAT", "COAT", "GOAT", "MOAT"),
    ("RING", "KING", "WING", "SING"), ("TOWER", "POWER", "LOWER", "MOWER"),
    ("HOUND", "SOUND", "MOUND", "ROUND"), ("LIGHT", "NIGHT", "FIGHT", "SIGHT"),
    ("STONE", "STOVE", "STOKE", "STORE"), ("BELL", "WELL", "CELL", "TELL"),
    ("ROSE", "ROPE", "ROBE", "ROLE"), ("SAND", "HAND", "LAND", "BAND"),
    ("GATE", "GAME", "GALE", "GAZE"), ("PATCH", "WATCH", "MATCH", "CATCH"),
    ("DOVE", "DOME", "DOSE", "DOLE"), ("PORT", "FORT", "SORT", "MORT"),
)  # fmt: skip


def split_of(string: str) -> Split:
    """The split that a string belongs to; spaces, signs and case do not matter."""
    letters = "".join(c for c in string.upper() if c.isalnum())
    first = hashlib.sha256(b"hlvid-synthetic strings\x1f" + letters.encode()).digest()[0]
    return "benchmark" if first < 128 else "training"


def family(kind: str, chance: Chance, *, split: Split, taken: Collection[str] = ()) -> Family:
    """Four strings of one length, each as near to the other three as any other is.

    Either one place differs in all four, or two places differ in two ways each: so no option is
    the odd one out, and none lies in the middle.

    Args:
        kind: One of `KINDS`.
        chance: Where the draws come from.
        split: The split that all four belong to.
        taken: Strings that may not come again.
    """
    while True:
        tokens = _PATTERNS[kind](chance)
        wide = [i for i, token in enumerate(tokens) if len(token) >= 4]
        double = [i for i, token in enumerate(tokens) if len(token) >= 2]
        if wide and (len(double) < 2 or chance.below(2)):
            varied = {i: chance.sample(tokens[i], 4) for i in [chance.pick(wide)]}
        else:
            varied = {i: chance.sample(tokens[i], 2) for i in sorted(chance.sample(double, 2))}
        places = [varied.get(i) or [chance.pick(token)] for i, token in enumerate(tokens)]
        first, second, third, fourth = ("".join(parts) for parts in itertools.product(*places))
        found = (first, second, third, fourth)
        if all(split_of(s) == split and s not in taken for s in found):
            return found


def _digits(chance: Chance, num: int) -> list[Token]:
    return [chance.pick(_DIGITS) for _ in range(num)]


def _consonants(chance: Chance, num: int) -> list[Token]:
    return [chance.pick(_CONSONANTS) for _ in range(num)]


def _plate(chance: Chance) -> list[Token]:
    return [*_consonants(chance, 3), (" ",), *_digits(chance, 4)]


def _phone(chance: Chance) -> list[Token]:
    return [("0",), *_digits(chance, 2), (" ",), *_digits(chance, 3), (" ",), *_digits(chance, 3)]


def _name(chance: Chance) -> list[Token]:
    start, middle = _consonants(chance, 2)
    tokens = [start, _VOWELS, middle, *_consonants(chance, chance.below(2)), _VOWELS]
    return [*tokens, *_consonants(chance, 1), (chance.pick(_ENDINGS),)]


def _price(chance: Chance) -> list[Token]:
    return [("EUR ",), chance.pick(_DIGITS[2:5]), (".",), *_digits(chance, 2)]


def _day(chance: Chance) -> list[Token]:
    return [("1", "2"), chance.pick(_DIGITS), (" ",), chance.pick(_MONTHS)]


def _evening(chance: Chance) -> list[Token]:
    return [*_day(chance), (" ",), chance.pick(_DIGITS[2:5]), (".",), ("30", "20"), (" PM",)]


def _date(chance: Chance) -> list[Token]:
    return [*_day(chance), (" ",), ("203",), *_digits(chance, 1)]


def _title(chance: Chance) -> list[Token]:
    return [("THE ",), (chance.pick(_ADJECTIVES),), (" ",), chance.pick(_NOUNS)]


def _code(chance: Chance) -> list[Token]:
    start = [*_consonants(chance, 1), *_digits(chance, 2)]
    return [*start, *_consonants(chance, 2), ("-",), *_digits(chance, 3)]


def _serial(chance: Chance) -> list[Token]:
    return [*_digits(chance, 4), ("-",), *_consonants(chance, 2), *_digits(chance, 2)]


_PATTERNS: dict[str, Callable[[Chance], list[Token]]] = {
    "plate": _plate,
    "phone": _phone,
    "name": _name,
    "price": _price,
    "evening": _evening,
    "date": _date,
    "title": _title,
    "code": _code,
    "serial": _serial,
}
KINDS = tuple(_PATTERNS)
