"""What is written in training: no string that a benchmark of the renderer may show."""

from __future__ import annotations

import string

import numpy as np

from hlvid.synthetic.chance import Chance
from hlvid.synthetic.strings import KINDS, Family, family, split_of

_VOWELS, _CONSONANTS = "AEIOUY", "BCDFGHJKLMNPQRSTVWXZ"
_ALIKE = ("BDPR", "FTLP", "HKNM", "CGRK", "VTWL", "DLTN", "AEOU")
"""Letters of which one may stand for another in options that are near each other."""
_CODE = string.ascii_uppercase + string.digits + string.digits


def draw_family(rng: np.random.Generator, kind: str) -> Family:
    """Four strings that are equally far from each other, in the manner of the benchmark's."""
    return family(kind, Chance("qwen3-mini", int(rng.integers(2**62))), split="training")


def draw_options(rng: np.random.Generator, kind: str) -> Family:
    """As `draw_family`; titles, of which the renderer has few, are made of any words too."""
    if kind != "title" or rng.random() < 0.5:
        return draw_family(rng, kind)
    while True:
        words = [draw_word(rng), draw_word(rng)]
        which = int(rng.integers(2))
        letters = list(words[which])
        at = int(rng.integers(len(letters)))
        alike = [group for group in _ALIKE if letters[at] in group]
        if not alike:
            continue
        found = []
        for letter in rng.permutation(list(alike[int(rng.integers(len(alike)))])):
            letters[at] = str(letter)
            words[which] = "".join(letters)
            found.append(" ".join(words))
        if all(split_of(title) == "training" for title in found):
            first, second, third, fourth = found
            return first, second, third, fourth


def draw_word(rng: np.random.Generator) -> str:
    """A word that nobody knows, three to nine letters."""
    while True:
        length, turn = int(rng.integers(3, 10)), int(rng.integers(2))
        letters = [
            _any(rng, string.ascii_uppercase if rng.random() < 0.2 else _pool(i + turn))
            for i in range(length)
        ]
        if split_of(word := "".join(letters)) == "training":
            return word


def draw_text(rng: np.random.Generator) -> str:
    """Anything that a sign may say: a word, one of the renderer's kinds, letters and digits."""
    kind = rng.random()
    if kind < 0.3:
        return draw_word(rng)
    if kind < 0.6:
        return draw_family(rng, KINDS[int(rng.integers(len(KINDS)))])[int(rng.integers(4))]
    while True:
        length = int(rng.integers(2, 13))
        marks = " " if rng.random() < 0.5 else " .-"
        letters = [_any(rng, marks if rng.random() < 0.12 else _CODE) for _ in range(length)]
        text = " ".join("".join(letters).split())
        if any(c.isalnum() for c in text) and split_of(text) == "training":
            return text


def draw_line(rng: np.random.Generator) -> str:
    """A text, or several until a line is full: more characters for the same number of tokens."""
    text = draw_text(rng)
    while len(text) < 9 and rng.random() < 0.8:
        longer = f"{text} {draw_text(rng)}"
        text = longer if split_of(longer) == "training" else text
    return text


def _pool(place: int) -> str:
    return _VOWELS if place % 2 else _CONSONANTS


def _any(rng: np.random.Generator, letters: str) -> str:
    return letters[int(rng.integers(len(letters)))]
