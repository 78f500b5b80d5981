"""What is sat: one question for one arm, and the look at a video that it needs."""

from dataclasses import dataclass
from pathlib import Path

from evaluators.gazing import reads_question
from hlvid.types import ArmSettings, Question

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
