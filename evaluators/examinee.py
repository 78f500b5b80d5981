"""What sits the exam: a model, seen from the room in which all its arms are asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from evaluators.arms import OFF
from evaluators.canvas import SOURCE, Canvas, Shape
from evaluators.timing import Stopwatch
from gaze.selectors import Kept
from gaze.views import Views
from hlvid.errors import UserError
from hlvid.types import OUT_OF_MEMORY, ArmSettings, ModelId, Question, TokenCounts, Variant

GREY = 128
"""What is painted where nothing was kept: the middle of the range."""
INFEASIBLE = "INFEASIBLE: "
"""Begins the sentence of what an arm cannot run, as opposed to what went wrong."""


class Infeasible(UserError):
    """The model cannot run this arm, whatever it is asked: context, memory."""

    def __init__(self, sentence: str) -> None:
        super().__init__(INFEASIBLE + sentence, exit_code=1)


class OutOfMemory(UserError):
    """Memory ran out at this question; another one may fit."""

    def __init__(self, sentence: str) -> None:
        super().__init__(OUT_OF_MEMORY + sentence, exit_code=1)


@dataclass(frozen=True)
class View:
    """What one arm may see of a video: the kept native tokens at full resolution, grey elsewhere.

    Args:
        canvas: The frames, the same for all arms.
        kept: On that canvas; with pairs of frames, slice by slice.
        views: How the canvas is divided into tokens.
        arm: Which one.
    """

    canvas: Canvas
    kept: Kept
    views: Views
    arm: ArmSettings = OFF

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
        prompt_ids_sha256: Digest of the prompt's ids, every slice's visual tokens as one symbol.
    """

    response: str
    letter_log_probabilities: Mapping[str, float] | None = None
    num_text_tokens: int = 0
    prompt_ids_sha256: str | None = None


class Examinee:
    """A model that can sit the exam. A subclass says what differs and answers.

    Args:
        seed: Of the run, for models that draw.

    Raises:
        UserError: It lacks what it needs; the sentence says what, and how to get it.
    """

    model: ModelId
    sees_video: bool = False
    """Without it no video is decoded, `watch` is never called, and gaze has no meaning."""
    is_privileged: bool = False
    """It is told the right letter: a check of the marking, not a model."""
    gazes_itself: bool = False
    """Its own code runs the arm's selector: ours is not run, and evidence recall is not known."""
    adaptation: Literal["training-free", "fine-tuned"] = "training-free"
    """Whether it was trained with gaze."""
    forgets: bool = False
    """What it takes from a look cannot be written down: a run that goes on looks again."""
    shape: Shape = SOURCE
    """How it wants its frames."""
    options: tuple[str, ...] = ()
    """What else it is made from, beside the seed: all text."""
    variants: tuple[Variant, ...] = ()
    """Arms that it knows beside `off` and the selectors."""
    device: str = "cpu"
    """Where it is timed and its memory counted."""
    settings: Mapping[str, str | int | float | bool] = {}
    """What a record says of how it was run, beside how long its answers may be."""

    def __init__(self, *, seed: int) -> None:
        del seed

    @classmethod
    def make(cls, *, seed: int, options: Mapping[str, str]) -> Self:
        """Make it, refusing what it does not take.

        Raises:
            UserError: It does not take an option, or lacks what it needs.
        """
        for name in options:
            if name not in cls.options:
                raise UserError(f"--{name.replace('_', '-')}: the model takes none. Leave it out.")
        return cls(seed=seed, **options)

    @classmethod
    def missing(cls, options: Mapping[str, str]) -> list[str]:
        """A sentence for each thing that is not on this machine and has to be, without loading."""
        del options
        return []

    def watch(self, view: View, clock: Stopwatch) -> Any:  # noqa: ANN401
        """Take notes on one arm of a video, once for all its questions.

        Returns:
            JSON, which goes to the ledger: a run that goes on does not watch again. Anything, where
            the examinee `forgets`.
        """
        raise TypeError(f"{type(self).__name__} sees no video")

    def count(self, view: View, notes: Any) -> TokenCounts | None:  # noqa: ANN401
        """What an arm costs, without what its selector read and without text; None if not known.

        A reader reads all of every frame that it is shown something of.
        """
        num_shown = sum(tokens.size > 0 for tokens in view.kept.tokens)
        return TokenCounts(
            selector=0,
            encoded=num_shown * view.views.num_tokens,
            visual=view.kept.num_tokens,
            text=0,
            visual_off=view.canvas.num_frames * view.views.num_tokens,
        )

    def answer(self, question: Question, notes: Any, clock: Stopwatch) -> Answer:  # noqa: ANN401
        """Answer one question, whose evidence (and answer, unless privileged) was taken out."""
        raise TypeError(f"{type(self).__name__} does not answer")
