"""What is sat: one question for one arm, the look at a video that it needs, and what that gave."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluators.gazing import reads_question
from hlvid.types import ArmSettings, Question, Record, TokenCounts

LookKey = tuple[str, ...]
"""What a look at a video is told by: the arm's name and, where that is read, the question's id."""


@dataclass(frozen=True)
class Item:
    """One question for one arm.

    Args:
        question: With its answer, for examinees that are told.
        arm: What is asked with.
        video: Path of the file; None where it is missing.
        problem: Why it is missing.
    """

    question: Question
    arm: ArmSettings
    video: Path | None
    problem: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What the item's prediction is found under."""
        return self.question.question_id, self.arm.name

    @property
    def look(self) -> LookKey:
        """What the look that it needs is found under."""
        asked = (self.question.question_id,) if reads_question(self.arm) else ()
        return self.arm.name, *asked


class Sight(Record):
    """What one look at a video gave: the same for all questions that share it; kept once."""

    notes: Any
    """JSON of the examinee's own; anything, where it cannot be written down."""
    frames_sha256: str
    canvas_sha256: str
    tokens: TokenCounts | None
    """None where the model does not tell what it made of the frames."""
    recalls: Mapping[str, tuple[bool, float | None]]
    """Question id -> temporal hit and spatial cover; none where something else was shown."""
    stage_ms: Mapping[str, float]
    """Empty where it was taken under other conditions than those of this run."""
    peak_memory_bytes: int | None
    """While the arm's selector chose, or while it was looked."""
    sitting: str | None = None
    """Of `evaluators.room.Room`, when it was taken."""

    def tokens_beside(self, num_text_tokens: int) -> TokenCounts | None:
        """Its counts with those of a prompt's text."""
        return self.tokens and self.tokens.model_copy(update={"text": num_text_tokens})
