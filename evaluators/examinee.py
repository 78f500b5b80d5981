"""What sits the exam: a model, seen from the room in which all its arms are asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluators.canvas import Canvas
from evaluators.timing import Stopwatch
from gaze.selectors import Kept
from gaze.views import Views
from hlvid.types import ModelId, Question

GREY = 128
"""What is painted where nothing was kept: the middle of the range."""


@dataclass(frozen=True)
class View:
    """What one arm may see of a video: the kept native tokens at full resolution, grey elsewhere.

    Args:
        canvas: The frames, the same for all arms.
        kept: On that canvas.
        views: How the canvas is divided into tokens.
    """

    canvas: Canvas
    kept: Kept
    views: Views

    def frame(self, index: int) -> NDArray[np.uint8] | None:
        """What is seen of one frame, (height, width, 3); None where nothing of it was kept."""
        tokens = self.kept.tokens[index]
        source: NDArray[np.uint8] = self.canvas.pixels[index]
        if tokens.size == 0:
            return None
        if tokens.size == self.views.num_tokens:
            return source
        seen = np.full_like(source, GREY, subok=False)
        side = self.views.token_pixels
        for token in tokens.tolist():
            row, col = divmod(token, self.views.cols)
            cell = np.s_[row * side : (row + 1) * side, col * side : (col + 1) * side]
            seen[cell] = source[cell]
        return seen


@dataclass(frozen=True)
class Answer:
    """A reply to one question.

    Args:
        response: The raw text.
        letter_log_probabilities: Letter -> natural logarithm of its probability, where known.
        num_text_tokens: Prompt tokens other than visual ones.
    """

    response: str
    letter_log_probabilities: Mapping[str, float] | None = None
    num_text_tokens: int = 0


class Examinee(Protocol):
    """A model that can sit the exam."""

    model: ModelId
    sees_video: bool
    """Without it no video is decoded, `watch` is never called, and gaze has no meaning."""
    is_privileged: bool
    """It is told the right letter: a check of the marking, not a model."""

    def __init__(self, *, seed: int) -> None:
        """Make it ready to sit.

        Args:
            seed: Of the run, for models that draw.

        Raises:
            UserError: It lacks what it needs; the sentence says what, and how to get it.
        """
        ...

    def watch(self, view: View, clock: Stopwatch) -> Any:  # noqa: ANN401
        """Take notes on one arm of a video, once for all its questions.

        Returns:
            JSON, which goes to the ledger: a run that goes on does not watch again.
        """
        ...

    def answer(self, question: Question, notes: Any, clock: Stopwatch) -> Answer:  # noqa: ANN401
        """Answer one question, whose evidence (and answer, unless privileged) was taken out."""
        ...
