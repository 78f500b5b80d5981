"""What is asked: videos, questions, and where their evidence is."""

import itertools
from typing import Annotated, Self

from pydantic import Field, model_validator

from hlvid.types.values import Count, Identifier, Key, Letter, Record, Seconds, Sha256


class Video(Record):
    """One video of a benchmark, without its bytes."""

    video_id: Identifier
    path: str | None = None
    """Relative to the benchmark's folder, forward slashes, never leaving it."""
    url: str | None = None
    sha256: Sha256 | None = None
    width: Annotated[int, Field(gt=0)]
    """Pixels of the displayed frame, rotation applied."""
    height: Annotated[int, Field(gt=0)]
    duration_seconds: Seconds
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    license: str
    """SPDX identifier, or 'unknown'."""
    source: str
    """Where the pixels come from: a URL, a source id, or the command that rendered them."""

    @model_validator(mode="after")
    def _path_stays_inside(self) -> Self:
        if self.path is not None:
            parts = self.path.split("/")
            if self.path.startswith("/") or "\\" in self.path or not all(parts) or ".." in parts:
                raise ValueError(
                    f"path {self.path!r} leaves the benchmark's folder. "
                    "Allowed are relative paths with forward slashes and no '..'"
                )
        return self


class Evidence(Record):
    """Where in a video the answer can be seen. Never reaches a model.

    Seconds count from the video's first frame, also where its file's own clock starts later.
    """

    start_seconds: Seconds
    end_seconds: Seconds
    """Half-open: the evidence is visible at t when start_seconds <= t < end_seconds."""
    boxes: Annotated[tuple[Key, ...], Field(min_length=1)]
    """Keys in order of time; between two keys the box moves linearly, outside them it stays."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.end_seconds <= self.start_seconds:
            raise ValueError(
                f"end_seconds {self.end_seconds} is not after start_seconds {self.start_seconds}"
            )
        times = [key[0] for key in self.boxes]
        if times != sorted(times):
            raise ValueError("boxes are not in order of time")
        for _, x0, y0, x1, y1 in self.boxes:
            if not (0 <= x0 < x1 and 0 <= y0 < y1):
                raise ValueError(f"box ({x0}, {y0}, {x1}, {y1}) is empty or starts outside")
        return self

    def box_at(self, time_seconds: float) -> tuple[float, float, float, float] | None:
        """The box (x0, y0, x1, y1) in pixels at a moment, or None outside the span."""
        if not self.start_seconds <= time_seconds < self.end_seconds:
            return None
        keys = self.boxes
        if time_seconds <= keys[0][0]:
            return keys[0][1:]
        for before, after in itertools.pairwise(keys):
            if time_seconds <= after[0]:
                span = after[0] - before[0]
                share = (time_seconds - before[0]) / span if span > 0 else 1.0
                x0, y0, x1, y1 = (
                    a + share * (b - a) for a, b in zip(before[1:], after[1:], strict=True)
                )
                return x0, y0, x1, y1
        return keys[-1][1:]


Overlap = Annotated[float, Field(ge=0, le=1)]


class Marked(Record):
    """Where people saw the answer to a published question: no video, no text."""

    question_id: Identifier
    video_id: Identifier
    evidence: tuple[Evidence, ...]
    """Of those who chose the right option; places that overlap are given once."""
    num_annotators: Count
    num_agreeing: Count
    """Who chose the right option."""
    span_overlap: Overlap | None
    """Mean intersection over union of two people's spans; None with fewer than two."""
    box_overlap: Overlap | None
    """The same of their boxes, in the middle of what their spans share."""


class Question(Record):
    """One multiple-choice question. The order of its choices is data and never shuffled."""

    question_id: Identifier
    video_id: Identifier
    category: str
    capability: str | None = None
    """What it asks for, where known: 'text', 'colour' or 'counting'."""
    text: str
    """Exactly what is sent to a model: stem, lettered choices, instruction."""
    stem: str
    choices: Annotated[tuple[str, ...], Field(min_length=2, max_length=26)]
    answer: Letter | None
    """The letter of the right choice, or None where the labels are withheld."""
    evidence: tuple[Evidence, ...] = ()
    """Alternatives: seeing any one of them is enough to answer."""

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of the choices, ('A', 'B', ...)."""
        return tuple(chr(ord("A") + i) for i in range(len(self.choices)))

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.answer is not None and self.answer not in self.letters:
            raise ValueError(f"answer {self.answer!r} is not one of {'/'.join(self.letters)}")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"choices {list(self.choices)} are not distinct")
        if (
            not self.text.strip()
            or not self.stem.strip()
            or not all(c.strip() for c in self.choices)
        ):
            raise ValueError("text, stem and choices must not be empty")
        return self
