"""Which string, colour and count each thing gets, and which of them are asked for."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hlvid.synthetic import strings
from hlvid.synthetic.chance import Chance
from hlvid.synthetic.details import bears_its_parts
from hlvid.synthetic.scene import RenderSettings, Shot, Thing, visible_tenths

STRING_KINDS = {
    "shop": "phone",
    "car": "plate",
    "stop": "name",
    "menu": "price",
    "poster": "evening",
    "book": "title",
    "jar": "date",
    "parcel": "code",
    "note": "phone",
    "panel": "serial",
}
"""Kind of thing -> kind of small text on it."""
MARKED = ("shop", "jar", "note", "panel")
COUNTED = ("shop", "book", "parcel")
MARK_COLOURS = ("red", "blue", "green", "yellow", "white", "orange", "purple")
COUNTS = range(2, 9)
NUM_TEXT_QUESTIONS = 7

Place = tuple[int, int, int]
"""Where a thing is in the scene: (shot, layer, thing)."""


@dataclass(frozen=True)
class Ask:
    """One thing to ask.

    Args:
        place: The thing that is asked about.
        capability: 'text', 'colour' or 'counting'.
        options: Four, in an order that says nothing about the right one.
        key: Index of the right one.
    """

    place: Place
    capability: str
    options: tuple[str, str, str, str]
    key: int


class _Cast:
    """The things of a video while their parts are being handed out."""

    def __init__(self, shots: Sequence[Shot], settings: RenderSettings) -> None:
        self._shots = shots
        self.things: dict[Place, Thing] = {}
        self._tenths: dict[Place, int] = {}
        self._needed_tenths = 10 * (settings.min_evidence_seconds + 1)
        for s, shot in enumerate(shots):
            for la, layer in enumerate(shot.layers):
                for t, thing in enumerate(layer.things):
                    start, end = visible_tenths(shot, layer.speed, thing.box)
                    self.things[s, la, t] = thing
                    self._tenths[s, la, t] = end - start

    def members(self, kind: str) -> list[Place]:
        """The named things of a kind that can be seen for a quarter of an evidence's time."""
        return [
            place
            for place, thing in self.things.items()
            if thing.kind == kind
            and thing.anchor
            and 4 * self._tenths[place] >= self._needed_tenths
        ]

    def can_be_asked(self, place: Place) -> bool:
        """Whether a thing is wholly visible for long enough."""
        return self._tenths[place] >= self._needed_tenths

    def shots(self) -> tuple[Shot, ...]:
        """The shots with the things as they are now."""
        found = []
        for s, shot in enumerate(self._shots):
            layers = tuple(
                replace(
                    layer, things=tuple(self.things[s, la, t] for t in range(len(layer.things)))
                )
                for la, layer in enumerate(shot.layers)
            )
            found.append(replace(shot, layers=layers))
        return tuple(found)


def cast(
    shots: Sequence[Shot], settings: RenderSettings, chance: Chance
) -> tuple[tuple[Shot, ...], list[Ask]] | None:
    """Hand out strings, colours and counts, and choose what is asked.

    Returns:
        The shots with everything on them and nine things to ask, or None where the layout has
        too few things that stay visible for long enough, or no room for what is to be counted.
    """
    state = _Cast(shots, settings)
    texts = _hand_out_strings(state, settings, chance)
    colour = _hand_out_colours(state, chance)
    count = _hand_out_counts(state, chance)
    if len(texts) < NUM_TEXT_QUESTIONS or colour is None or count is None:
        return None
    if not bears_its_parts(state.things[count.place]):
        return None
    return state.shots(), [*texts[:NUM_TEXT_QUESTIONS], colour, count]


def _hand_out_strings(state: _Cast, settings: RenderSettings, chance: Chance) -> list[Ask]:
    """Three things of a kind share a family: one shows the key, two show distractors of it."""
    taken: set[str] = set()
    by_kind: list[list[Ask]] = []
    for kind, string_kind in STRING_KINDS.items():
        visible = chance.shuffled(state.members(kind))
        unseen = [
            place
            for place, thing in state.things.items()
            if thing.kind == kind and thing.anchor and place not in visible
        ]
        groups = [visible[i : i + 3] for i in range(0, len(visible) - len(visible) % 3, 3)]
        singles = [[place] for place in [*visible[len(groups) * 3 :], *unseen]]
        asks = []
        for group in [*groups, *singles]:
            family = strings.family(string_kind, chance, split=settings.split, taken=taken)
            taken.update(family)
            keys = chance.sample(range(4), len(group))
            for place, key in zip(group, keys, strict=True):
                state.things[place] = replace(state.things[place], string=family[key])
                if len(group) == 3 and state.can_be_asked(place):
                    asks.append(Ask(place, "text", family, key))
        by_kind.append(chance.shuffled(asks))
    turns = itertools.zip_longest(*chance.shuffled(by_kind))
    return [ask for turn in turns for ask in turn if ask is not None]


def _hand_out_colours(state: _Cast, chance: Chance) -> Ask | None:
    """Every thing that can bear a mark gets one; one of them is asked for."""
    target, others = _pick_target(state, MARKED, chance)
    for kind in MARKED:
        for place, thing in state.things.items():
            if thing.kind == kind and thing.anchor:
                state.things[place] = replace(thing, mark=chance.pick(MARK_COLOURS))
    if target is None:
        return None
    first, second, third, fourth = chance.sample(MARK_COLOURS, 4)
    options = (first, second, third, fourth)
    order = chance.shuffled(range(4))
    for place, index in zip([target, *others], order, strict=False):
        state.things[place] = replace(state.things[place], mark=options[index])
    return Ask(target, "colour", options, order[0])


def _hand_out_counts(state: _Cast, chance: Chance) -> Ask | None:
    """Every thing that can bear countable parts gets some; one of them is asked for."""
    target, others = _pick_target(state, COUNTED, chance)
    for kind in COUNTED:
        for place, thing in state.things.items():
            if thing.kind == kind and thing.anchor:
                state.things[place] = replace(thing, count=chance.pick(COUNTS))
    if target is None:
        return None
    lowest = chance.between(COUNTS.start, COUNTS.stop - 3)
    order = chance.shuffled(range(4))
    for place, index in zip([target, *others], order, strict=False):
        state.things[place] = replace(state.things[place], count=lowest + index)
    first, second, third, fourth = (str(lowest + i) for i in range(4))
    return Ask(target, "counting", (first, second, third, fourth), order[0])


def _pick_target(
    state: _Cast, kinds: Sequence[str], chance: Chance
) -> tuple[Place | None, list[Place]]:
    """A thing to ask about, and two others of its kind for the distractors."""
    for kind in chance.shuffled(kinds):
        places = chance.shuffled(state.members(kind))
        targets = [place for place in places if state.can_be_asked(place)]
        if targets and len(places) >= 3:
            others = [place for place in places if place != targets[0]]
            return targets[0], others[:2]
    return None, []
