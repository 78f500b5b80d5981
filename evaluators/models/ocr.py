"""A pretrained reader as examinee: how far does plain reading of text in the frames go?

It understands nothing. It reads every frame whole, at full size, and answers with the option whose
text it read. Where several options were read, it goes by one rule of place: the stem's words in
quotation marks name a line of text, and what stands nearest to that line counts most.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from rapidfuzz import fuzz

from evaluators.examinee import Answer, Examinee, View
from evaluators.timing import Stopwatch
from gaze.reading import DETECTOR, RECOGNISER, shared_reader
from hlvid.types import ModelId, Question

NOTHING = "No text supports an option."
"""The reply when no option was read, or two equally well: it holds no letter."""

MIN_SUPPORT = 75.0
"""Least similarity, 0 to 100, at which a line supports an option."""
MIN_NAMED = 85.0
"""Least similarity at which a line is the one that the stem quotes."""
MIN_PARTIAL_CHARACTERS = 3
"""Shorter options must be a word of the line: '3' is not supported by '1932'."""

_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]+)[\"”“»]")


@dataclass(frozen=True)
class Seen:
    """A line of text in a frame: its words, and the middle of its box in pixels."""

    text: str
    x: float
    y: float


class Ocr(Examinee):
    """RapidOCR's PP-OCRv6, run by OpenVINO in 32-bit floats."""

    model = ModelId(
        name="ocr",
        kind="reader",
        weights=f"{DETECTOR}+{RECOGNISER}",
        revision=f"rapidocr-{metadata.version('rapidocr')}",
        load_format="weights",
        license="Apache-2.0",
    )
    sees_video = True

    def __init__(self, *, seed: int) -> None:
        del seed
        self._reader = shared_reader()

    def watch(self, view: View, clock: Stopwatch) -> dict[str, Any]:
        """Read every frame of which something is seen.

        Returns:
            `size`, width and height in pixels; `frames`, for each its lines, and for each of these
            [text, x, y] with the middle of its box in pixels.
        """
        frames = []
        for index in range(view.canvas.num_frames):
            with clock.stage("preprocess"):
                pixels = view.frame(index)
            lines: list[list[str | float]] = []
            if pixels is not None:
                with clock.stage("read"):
                    for line in self._reader.read(pixels):
                        x, y = line.box.mean(axis=0).tolist()
                        lines.append([line.text, x, y])
            frames.append(lines)
        return {"size": view.canvas.size, "frames": frames}

    def answer(self, question: Question, notes: Mapping[str, Any], clock: Stopwatch) -> Answer:
        """The letter of the option that the notes support best; `NOTHING` without a best one."""
        with clock.stage("generate"):
            frames = [[Seen(*line) for line in lines] for lines in notes["frames"]]
            letters = dict(zip(question.letters, question.choices, strict=True))
            letter = best_supported(
                question.stem, letters, frames, diagonal=math.hypot(*notes["size"])
            )
            return Answer(letter or NOTHING)


def best_supported(
    stem: str,
    letters: Mapping[str, str],
    frames: Sequence[Sequence[Seen]],
    *,
    diagonal: float,
) -> str | None:
    """The letter whose option the lines support best, None where none does or two do equally.

    An option's score is the largest, over all lines that support it, of similarity (0 to 100) plus
    nearness (0 to 100): 100 where the line stands on one that the stem quotes, 0 a frame's diagonal
    away from it, or where no such line was read.

    Args:
        stem: Of the question.
        letters: Letter -> option.
        frames: The lines read in each frame.
        diagonal: Of a frame, in pixels.
    """
    quoted = [tidy(text) for text in _QUOTED.findall(stem)]
    scores = dict.fromkeys(letters, 0.0)
    for lines in frames:
        named = [
            line
            for line in lines
            if any(similarity(text, line.text) >= MIN_NAMED for text in quoted)
        ]
        for line in lines:
            away = min((math.hypot(line.x - n.x, line.y - n.y) for n in named), default=diagonal)
            nearness = 100 * (1 - away / diagonal)
            for letter, option in letters.items():
                support = similarity(tidy(option), line.text)
                if support >= MIN_SUPPORT:
                    scores[letter] = max(scores[letter], support + nearness)
    first, second = sorted(scores.values(), reverse=True)[:2]
    if first == second:
        return None
    return max(scores, key=scores.__getitem__)


def similarity(option: str, line: str) -> float:
    """How well a line's text holds an option's, 0 to 100.

    Args:
        option: Tidied.
        line: As read. Shorter than the option it cannot hold it: then the whole of both counts.
    """
    if len(option) < MIN_PARTIAL_CHARACTERS:
        words = [tidy(word) for word in line.split()]
        return 100.0 if option and option in words else 0.0
    text = tidy(line)
    if len(text) < len(option):
        return float(fuzz.ratio(option, text))
    return float(fuzz.partial_ratio(option, text))


def tidy(text: str) -> str:
    """Letters and digits only, in one case and one width: readers lose spaces and signs first."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())
