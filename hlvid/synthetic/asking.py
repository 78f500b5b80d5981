"""From what is asked to a question in HLVid's manner, with its evidence."""

from hlvid.prompt import render
from hlvid.synthetic.casting import Ask
from hlvid.synthetic.chance import Chance
from hlvid.synthetic.details import Details, details, union
from hlvid.synthetic.scene import Box, Scene, Thing, visible_tenths
from hlvid.types import Evidence, Key, Question

LETTERS = "ABCD"

STEMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("shop", "text"): (
        'What phone number is written under "{anchor}" on the {colour} shop sign?',
        'What does the small text under "{anchor}" on the {colour} shop sign say?',
    ),
    ("car", "text"): (
        'What is the licence plate of the {colour} car with the badge "{anchor}"?',
        'What does the plate of the {colour} "{anchor}" car say?',
    ),
    ("stop", "text"): (
        'What name is written under "{anchor}" on the {colour} bus stop sign?',
        'What does the {colour} bus stop sign say below "{anchor}"?',
    ),
    ("menu", "text"): (
        'What price is written under "{anchor}" on the board with the {colour} frame?',
        'What does "{anchor}" cost on the board with the {colour} frame?',
    ),
    ("poster", "text"): (
        'What date and time are written under "{anchor}" on the poster?',
        'What does the line under "{anchor}" on the poster say?',
    ),
    ("book", "text"): (
        'What is the title of the {colour} book by "{anchor}"?',
        'What does the title on the spine of the {colour} book by "{anchor}" say?',
    ),
    ("jar", "text"): (
        'What date is written on the label of the jar of "{anchor}"?',
        'What does the small text under "{anchor}" on the jar say?',
    ),
    ("parcel", "text"): (
        'What code is printed on the label of the parcel for "{anchor}"?',
        'What does the line under the barcode on the parcel for "{anchor}" say?',
    ),
    ("note", "text"): (
        'What number is written on the {colour} note headed "{anchor}"?',
        'What does the note headed "{anchor}" say?',
    ),
    ("panel", "text"): (
        'What does the screen show under "{anchor}"?',
        'What is the serial number of the "{anchor}" on the screen?',
    ),
    ("shop", "colour"): ('What color is the word OPEN in the window of the shop "{anchor}"?',),
    ("jar", "colour"): ('What color is the lid of the jar of "{anchor}"?',),
    ("note", "colour"): ('What color is the pin of the note headed "{anchor}"?',),
    ("panel", "colour"): ('What color is the light beside "{anchor}" on the screen?',),
    ("shop", "counting"): ('How many flower pots are on the window sill of the shop "{anchor}"?',),
    ("book", "counting"): (
        'How many stripes are at the right end of the spine of the book by "{anchor}"?',
    ),
    ("parcel", "counting"): ('How many round stickers are on the parcel for "{anchor}"?',),
}


def questions(scene: Scene, asks: list[Ask], index: int, chance: Chance) -> list[Question]:
    """Write the questions of a video in the order of their evidence.

    Args:
        scene: The video.
        asks: What is asked.
        index: Of the video: which letter comes once more than the others.
        chance: For wording and order.
    """
    letters = chance.shuffled([LETTERS[(i + index) % 4] for i in range(len(asks))])
    numbered = sorted(asks, key=lambda ask: (_evidence(scene, ask).start_seconds, ask.place))
    found = []
    for number, (ask, letter) in enumerate(zip(numbered, letters, strict=True)):
        thing = _thing(scene, ask)
        pattern = chance.pick(STEMS[thing.kind, ask.capability])
        stem = pattern.format(anchor=thing.anchor, colour=thing.colour)
        others = chance.shuffled([o for i, o in enumerate(ask.options) if i != ask.key])
        at = LETTERS.index(letter)
        choices = (*others[:at], ask.options[ask.key], *others[at:])
        found.append(
            Question(
                question_id=f"{scene.video_id}-q{number:02d}",
                video_id=scene.video_id,
                category=scene.category,
                capability=ask.capability,
                text=render(stem, choices),
                stem=stem,
                choices=choices,
                answer=letter,
                evidence=(_evidence(scene, ask),),
            )
        )
    return found


def _thing(scene: Scene, ask: Ask) -> Thing:
    shot, layer, thing = ask.place
    return scene.shots[shot].layers[layer].things[thing]


def _evidence(scene: Scene, ask: Ask) -> Evidence:
    """When the asked part and the word that names its thing are both wholly in the frame."""
    shot = scene.shots[ask.place[0]]
    speed = shot.layers[ask.place[1]].speed
    parts = details(_thing(scene, ask))
    box = _asked_box(parts, ask.capability)
    start, end = visible_tenths(shot, speed, union(box, parts.anchor.box))
    times = (start,) if speed == 0 else (start, end)
    return Evidence(
        start_seconds=start / 10,
        end_seconds=end / 10,
        boxes=tuple(_key(t, box, speed * (t - 10 * shot.start_seconds) // 10) for t in times),
    )


def _asked_box(parts: Details, capability: str) -> Box:
    if capability == "text":
        return parts.string.box
    if capability == "colour" and parts.mark is not None:
        return parts.mark
    return union(*parts.counted)


def _key(tenths: int, box: Box, shift: int) -> Key:
    x0, y0, x1, y1 = box
    return tenths / 10, float(x0 + shift), float(y0), float(x1 + shift), float(y1)
