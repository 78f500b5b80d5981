"""What a run must fulfil: each rule finds its own kind of problem.

A run that breaks one of the `REFUSING` rules cannot be believed and gets no row. One that breaks
another is shown, but not as checked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hlvid.statistics.clusters import Floats
from hlvid.statistics.columns import FAILED, Columns
from hlvid.types import RunRecord, Video

REFUSING = {
    "folder": "The folder holds the three files of a run, within their sizes, as strict JSON of "
    "the published schema; every digest is that of the file; every question is answered once.",
    "run-id": "The id of the run is the digest of what the run says about its settings.",
    "benchmark": "The questions are those of a benchmark that is known here, by their digest.",
    "marks": "Marked again, the predictions give exactly the summary.",
    "prompts": "The digest of each prompt is that of the question's text.",
}
"""Rules that reading a run applies -> what they ask for."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with a run."""

    rule: str
    message: str
    """A sentence without the name of the run, so that many runs can share it."""


@dataclass(frozen=True)
class Submission:
    """A run that could be read and marked, as the rules see it."""

    record: RunRecord
    columns: Columns
    visual_off: Floats
    """(n,) visual tokens of `off` on the same canvas, as the run counts them; NaN where unknown."""
    most_memory_bytes: int | None
    videos: Mapping[str, Video] = field(default_factory=dict)
    """What is known of the benchmark's videos."""

    @property
    def is_answered(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each question got a reply, right or wrong."""
        return np.not_equal(self.columns.outcomes, FAILED)


Rule = Callable[[Submission], Iterator[str]]


def at_questions(
    columns: Columns, is_hit: npt.NDArray[np.bool_] | Sequence[bool], what: str
) -> Iterator[str]:
    """One sentence for all questions with one fault, naming how many and the first."""
    rows = np.flatnonzero(np.asarray(is_hit))
    if len(rows):
        first = columns.question_ids[int(rows[0])]
        yield f"{what} at {len(rows)} of {len(columns)} questions, first {first}."


def problems_of(rules: Iterable[tuple[str, Rule]], submission: Submission) -> Iterator[Problem]:
    """What the rules find."""
    for name, rule in rules:
        for message in rule(submission):
            yield Problem(name, message)
