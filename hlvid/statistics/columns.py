"""A marked run as columns: what comparing reads, in a tenth of the memory of its records.

Two runs are paired by comparing their columns, whole arrays at a time.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from hlvid.statistics.clusters import Clustering, Floats
from hlvid.types import OUT_OF_MEMORY, Grade, Outcome, Prediction, RunRecord

OUTCOMES = tuple(Outcome)
"""A column of outcomes holds positions in this."""
CORRECT, FAILED = OUTCOMES.index(Outcome.CORRECT), OUTCOMES.index(Outcome.FAILED)
MAX_STAGES = 24
"""Most names of stages that are kept, the commonest first: a stranger may invent any number."""

Time = Literal["end_to_end", "without_decode", "model_only"]
"""Of an answer (COMPARISON.md 17): from the file on, from the frames on (gaze, resizing and
gathering included), and the model's own stages alone."""
MODEL_STAGES = ("encode", "read", "prune", "prefill", "generate")
"""A vision tower's or a reader's, pruning behind it, and a language model's."""

Texts = npt.NDArray[np.bytes_]


@dataclass(frozen=True, eq=False)
class Columns:
    """n questions in the order of the run, one array (n,) a field."""

    question_ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    categories: tuple[str, ...]
    letters: Texts
    """b'' where the reply left a doubt."""
    outcomes: npt.NDArray[np.int8]
    """Positions in OUTCOMES."""
    out_of_memory: npt.NDArray[np.bool_]
    """Whether memory ran out at the question."""
    prompts: Texts
    prompt_ids: Texts
    frames: Texts
    canvases: Texts
    """Digests in hex, b'' where unknown."""
    visual: Floats
    """Visual tokens; NaN where unknown."""
    spatial_cover: Floats
    """NaN where no evidence is known."""
    temporal_hit: Floats
    """0 or 1, NaN where no evidence is known."""
    stage_ms: Mapping[str, Floats]
    """Milliseconds of each stage, NaN where it was not timed."""
    sittings: Texts
    """In which each was timed, b'' where unknown."""
    log_probabilities: tuple[Mapping[str, float] | None, ...]
    """Of the letters; empty where no question has any."""

    @cached_property
    def is_correct(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is right."""
        return np.equal(self.outcomes, CORRECT)

    @cached_property
    def clusters(self) -> npt.NDArray[np.intp]:
        """The video of each question as a number, in the order of the videos' names."""
        return Clustering.of(self.video_ids, len(self.video_ids)).codes

    def __len__(self) -> int:
        return len(self.question_ids)

    def times_ms(self, what: Time) -> Floats:
        """(n,) milliseconds that an answer took; NaN where that is not known."""
        unknown = np.full(len(self), np.nan)
        if what == "model_only":
            own = [self.stage_ms[name] for name in MODEL_STAGES if name in self.stage_ms]
            is_known = np.isfinite([unknown, *own]).any(axis=0)
            with np.errstate(over="ignore"):
                return np.where(is_known, np.nansum([unknown, *own], axis=0), np.nan)
        times = self.stage_ms.get("end_to_end", unknown)
        return times - self.stage_ms.get("decode", unknown) if what == "without_decode" else times

    def taken(self, order: Sequence[int]) -> Self:
        """The same columns with their rows in another order."""
        rows = np.asarray(order, dtype=np.intp)

        def take(value: Any) -> Any:  # noqa: ANN401
            if isinstance(value, tuple):
                return tuple(value[i] for i in order) if value else value
            if isinstance(value, Mapping):
                return {name: column[rows] for name, column in value.items()}
            return value[rows]

        return replace(self, **{f.name: take(getattr(self, f.name)) for f in fields(self)})


class Graded(Protocol):
    """A run that was marked again: `hlvid.runs.GradedRun`, or its columns with its record."""

    @property
    def record(self) -> RunRecord:
        """What the run says about itself."""

    @property
    def columns(self) -> Columns:
        """What it answered."""


def columns_of(predictions: Sequence[Prediction], grades: Sequence[Grade]) -> Columns:
    """The columns of a run.

    Args:
        predictions: One a question.
        grades: Of the same questions, in any order.
    """
    by_id = {grade.question_id: grade for grade in grades}
    marked = [by_id[prediction.question_id] for prediction in predictions]
    position = {outcome: i for i, outcome in enumerate(OUTCOMES)}
    log_probabilities = tuple(p.letter_log_probabilities for p in predictions)
    return Columns(
        question_ids=tuple(p.question_id for p in predictions),
        video_ids=tuple(grade.video_id for grade in marked),
        categories=tuple(grade.category for grade in marked),
        letters=_texts((grade.letter for grade in marked), 1),
        outcomes=np.array([position[grade.outcome] for grade in marked], dtype=np.int8),
        out_of_memory=np.array(
            [(p.error or "").startswith(OUT_OF_MEMORY) for p in predictions], dtype=np.bool_
        ),
        prompts=_texts((p.prompt_sha256 for p in predictions), 64),
        prompt_ids=_texts((p.prompt_ids_sha256 for p in predictions), 64),
        frames=_texts((p.frames_sha256 for p in predictions), 64),
        canvases=_texts((p.canvas_sha256 for p in predictions), 64),
        visual=_floats(None if p.tokens is None else p.tokens.visual for p in predictions),
        spatial_cover=_floats(p.spatial_cover for p in predictions),
        temporal_hit=_floats(p.temporal_hit for p in predictions),
        stage_ms={
            name: _floats(p.stage_ms.get(name) for p in predictions)
            for name in _stages(predictions)
        },
        sittings=_texts((p.sitting for p in predictions), 16),
        log_probabilities=log_probabilities if any(log_probabilities) else (),
    )


def _stages(predictions: Iterable[Prediction]) -> list[str]:
    found = Counter(name for prediction in predictions for name in prediction.stage_ms)
    common = sorted(found, key=lambda name: (-found[name], name))
    return common[:MAX_STAGES]


def _texts(values: Iterable[str | None], width: int) -> Texts:
    return np.array([(value or "").encode() for value in values], dtype=f"S{width}")


def _floats(values: Iterable[float | None]) -> Floats:
    """Numbers, NaN for None; an integer that no double can hold is infinite."""
    known = [np.nan if value is None else value for value in values]
    try:
        return np.array(known, dtype=np.float64)
    except OverflowError:
        return np.array([_double(value) for value in known], dtype=np.float64)


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf
