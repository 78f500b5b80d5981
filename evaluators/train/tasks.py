"""What a batch asks about its looks, from characters to the benchmark's own questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.train import words
from evaluators.train.looks import Cells, Look, log_uniform, pick
from evaluators.train.scenes import COLS, ROWS, draw_scene, draw_slices, elsewhere
from evaluators.train.settings import Stage, Task
from evaluators.train.signs import Line, draw_sign
from hlvid.prompt import render
from hlvid.synthetic.asking import LETTERS, STEMS
from hlvid.synthetic.casting import COUNTED, COUNTS, MARK_COLOURS, MARKED, STRING_KINDS
from hlvid.synthetic.scene import COLOURS

READ = "What is written here?"
SEVERAL = 'What is written under "{anchor}"?'
_KINDS = tuple(STRING_KINDS)


@dataclass(frozen=True)
class Ask:
    """One question of a training example.

    Attributes:
        text: Exactly what is sent.
        answer: What is to be said.
        matches: (place of a byte of the text, 1 or 0): whether, up to that byte of an option, the
            option is what is shown. On the byte after it: whether the whole is.
    """

    text: str
    answer: str
    matches: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Sign:
    """A sign that is going to be drawn, and what can be asked about it."""

    lines: tuple[Line, ...]
    colour: str
    ask: Ask


def draw_task(
    rng: np.random.Generator,
    task: Task,
    stage: Stage,
    split: str,
    *,
    num_asks: int = 1,
    first_scene: int = 0,
) -> tuple[Look, list[Ask]]:
    """A look, and what is asked about it.

    Args:
        rng: Where all draws come from.
        task: What is asked.
        stage: How much is shown.
        split: 'training' or 'validation'.
        num_asks: Questions: of all looks of a batch as many, as they are sent side by side.
        first_scene: Of `draw_scene`.
    """
    if task == "exam":
        look, questions = draw_scene(rng, split, stage, num_asks=num_asks, first_scene=first_scene)
        return look, [
            ask_options(
                question.stem,
                question.choices,
                LETTERS.index(question.answer or ""),
                spells=question.capability == "text",
            )
            for question in questions
        ]
    if task == "dense":
        lines = tuple(_any_line(rng) for _ in range(int(rng.integers(2, 7))))
        return _look(rng, [_Sign(lines, "", Ask("", ""))], stage, split), []
    if task == "read":
        text = words.draw_text(rng)
        return _look(rng, [_Sign((Line(text, True),), "", Ask(READ, text))], stage, split), [
            Ask(READ, text)
        ]
    if task == "several":
        signs = [_several(rng) for _ in range(max(num_asks, int(rng.integers(1, 5))))]
    else:
        signs = _with_options(rng, stage, num_asks)
    asks = [sign.ask for sign in signs[:num_asks]]
    return _look(rng, signs, stage, split), asks


def draw_num_asks(rng: np.random.Generator, task: Task, stage: Stage) -> int:
    """How many questions each look of a batch is asked."""
    if task in ("exam", "several"):
        return stage.asks
    if task == "options" and rng.random() < stage.crowds:
        return int(rng.integers(min(2, stage.asks), stage.asks + 1))
    return 1


def ask_options(stem: str, choices: Sequence[str], key: int, *, spells: bool) -> Ask:
    """A question of four options as the exam sends it.

    Args:
        stem: What is asked.
        choices: In their order.
        key: Which is right.
        spells: Whether every byte of an option can be told from the right one's.
    """
    matches: list[tuple[int, int]] = []
    at = len(stem.encode()) + 1
    for choice in choices:
        at += len("A. ")
        if spells:
            is_same = np.cumprod(
                [a == b for a, b in zip(choice.ljust(99), choices[key].ljust(99), strict=True)]
            )
            matches += [(at + i, int(is_same[i])) for i in range(len(choice))]
        at += len(choice.encode())
        matches.append((at, int(choice == choices[key])))
        at += 1
    return Ask(render(stem, choices), LETTERS[key], tuple(matches))


def _any_line(rng: np.random.Generator) -> Line:
    kind = rng.random()
    if kind < 0.06:
        return Line(mark=_one(rng, MARK_COLOURS), is_about=True)
    if kind < 0.14:
        return Line(count=int(rng.integers(COUNTS.start, COUNTS.stop)), is_about=True)
    is_large = rng.random() < 0.15
    return Line(
        words.draw_word(rng) if is_large else words.draw_line(rng),
        is_about=True,
        is_large=is_large,
    )


def _anchor(rng: np.random.Generator) -> Line:
    """The word by which a question names a sign: often larger than what is asked about."""
    return Line(words.draw_word(rng), is_large=rng.random() < 0.5)


def _several(rng: np.random.Generator) -> _Sign:
    anchor, text = _anchor(rng), words.draw_text(rng)
    ask = Ask(SEVERAL.format(anchor=anchor.text), text)
    return _Sign((anchor, Line(text, is_about=True)), "", ask)


def _with_options(rng: np.random.Generator, stage: Stage, num_asks: int) -> list[_Sign]:
    """Signs, and in a crowd another, now and then of the same kind with another of its options."""
    more = int(rng.random() < stage.crowds)
    signs = [_sign(rng, _capability(rng)) for _ in range(num_asks + more)]
    if len(signs) > 1 and rng.random() < 0.4:
        kind = _one(rng, _KINDS)
        options = words.draw_options(rng, STRING_KINDS[kind])
        keys = rng.permutation(4)
        signs[:2] = [_text_sign(rng, kind, options, int(keys[i])) for i in range(2)]
    return signs


def _capability(rng: np.random.Generator) -> str:
    return str(rng.choice(["text", "colour", "counting"], p=[0.72, 0.12, 0.16]))


def _sign(rng: np.random.Generator, capability: str) -> _Sign:
    if capability == "text":
        kind = _one(rng, _KINDS)
        family = words.draw_options(rng, STRING_KINDS[kind])
        return _text_sign(rng, kind, family, int(rng.integers(4)))
    kind = _one(rng, MARKED if capability == "colour" else COUNTED)
    key = int(rng.integers(4))
    if capability == "colour":
        options = [str(name) for name in rng.permutation(MARK_COLOURS)[:4]]
        shown = Line(mark=options[key], is_about=True)
    else:
        lowest = int(rng.integers(COUNTS.start, COUNTS.stop - 3))
        numbers = [lowest + int(i) for i in rng.permutation(4)]
        options = [str(number) for number in numbers]
        shown = Line(count=numbers[key], is_about=True)
    return _named(rng, kind, capability, options, key, shown)


def _text_sign(rng: np.random.Generator, kind: str, family: Sequence[str], key: int) -> _Sign:
    order = rng.permutation(4)
    options = [family[int(i)] for i in order]
    at = int(np.flatnonzero(order == key)[0])
    return _named(rng, kind, "text", options, at, Line(family[key], is_about=True))


def _named(
    rng: np.random.Generator,
    kind: str,
    capability: str,
    options: Sequence[str],
    key: int,
    shown: Line,
) -> _Sign:
    anchor, colour = _anchor(rng), _one(rng, tuple(COLOURS))
    stem = _one(rng, STEMS[kind, capability]).format(anchor=anchor.text, colour=colour)
    ask = ask_options(stem, options, key, spells=capability == "text")
    return _Sign((anchor, shown), colour, ask)


def _look(rng: np.random.Generator, signs: Sequence[_Sign], stage: Stage, split: str) -> Look:
    """Signs somewhere on a canvas, of which a random part is shown."""
    num_slices = draw_slices(rng, stage)
    rows, cols = (ROWS, COLS) if rng.random() < 0.5 else _grid(rng)
    moves, is_plain = rng.random() < stage.moves, rng.random() < stage.plain
    is_among = stage.others > 0 and rng.random() < 0.5
    parts: list[list[Cells]] = [[] for _ in range(num_slices)]
    for number, sign in enumerate(signs):
        into = parts[number % num_slices]
        for _ in range(8):
            cells = _drawn(rng, sign, split, (rows, cols), moves=moves, is_plain=is_plain)
            taken = np.concatenate([one.ids for one in into]) if into else np.empty(0)
            if not np.isin(cells.ids, taken).any():
                break
        into.append(cells)
    slices = []
    for many in parts:
        if not many:  # more slices than signs: one that shows no question's sign
            blank = _Sign((Line(words.draw_text(rng)),), "", Ask("", ""))
            many = [_drawn(rng, blank, split, (rows, cols), moves=moves, is_plain=is_plain)]
        shown = _part(rng, Cells.join(many), stage)
        if is_among:
            places = rng.integers(rows * cols, size=log_uniform(rng, stage.others))
            shown = Cells.join([shown, elsewhere(rng, split, np.unique(places), cols)])
        slices.append(shown)
    spacing = float(rng.uniform(0.5, 25.0))
    starts = np.arange(num_slices) * spacing + float(rng.uniform(0, 5.0))
    seconds = np.stack([starts, starts + (spacing / 2 if moves else 0.0)], axis=1)
    return Look(rows, cols, tuple(slices), seconds)


def _drawn(
    rng: np.random.Generator,
    sign: _Sign,
    split: str,
    grid: tuple[int, int],
    *,
    moves: bool,
    is_plain: bool,
) -> Cells:
    """A sign at a random place; of two frames, another one is there in one of them."""
    rows, cols = grid
    most = min(8, rows - 1), min(12, cols - 1)
    top, left = int(rng.integers(rows - most[0])), int(rng.integers(cols - most[1]))
    place = top, left, cols
    cells = draw_sign(
        rng,
        sign.lines,
        split=split,
        colour=sign.colour,
        place=place,
        most=most,
        is_plain=is_plain,
    )
    if not moves:
        return cells
    row, col = np.divmod(cells.ids, cols)
    shape = int(row.max()) - top + 1, int(col.max()) - left + 1
    lines = [Line(words.draw_word(rng))]
    other = draw_sign(rng, lines, split=split, place=place, most=shape, is_exact=True)
    return Cells.pair(cells, other) if rng.random() < 0.5 else Cells.pair(other, cells)


def _part(rng: np.random.Generator, cells: Cells, stage: Stage) -> Cells:
    """What is shown of a slice."""
    if rng.random() < stage.whole and len(cells.ids) <= stage.tokens:
        return cells
    num_about = int(cells.is_about.sum())
    return pick(
        cells,
        rng,
        kept=float(rng.uniform(stage.keeps, 1.0)),
        num_others=int(rng.uniform(0, stage.distracts + 0.5) * max(4, num_about)),
        most=stage.tokens,
    )


def _grid(rng: np.random.Generator) -> tuple[int, int]:
    rows = int(rng.integers(12, ROWS + 1))
    return rows, int(rng.integers(16, COLS + 1))


def _one(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]
