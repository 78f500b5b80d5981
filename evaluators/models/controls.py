"""Two examinees whose scores are known beforehand: they check the marking, not a model."""

from evaluators.examinee import Answer, Examinee
from evaluators.timing import Stopwatch
from hlvid.files import digest
from hlvid.types import ModelId, Question


class Gold(Examinee):
    """Is told the right letter and says it: anything but 100 % is a fault of the marking."""

    model = ModelId(name="gold", kind="control")
    is_privileged = True

    def answer(self, question: Question, notes: None, clock: Stopwatch) -> Answer:
        """The right letter; nothing where the labels are withheld."""
        return Answer(question.answer or "No answer is known.")


class RandomLetter(Examinee):
    """Draws a letter by the digest of seed and question: the same for any order and subset."""

    model = ModelId(name="random-letter", kind="control")

    def __init__(self, *, seed: int) -> None:
        self._seed = seed

    def answer(self, question: Question, notes: None, clock: Stopwatch) -> Answer:
        """One of the question's letters."""
        drawn = int(digest(["letter", self._seed, question.question_id]), 16)
        return Answer(question.letters[drawn % len(question.letters)])
