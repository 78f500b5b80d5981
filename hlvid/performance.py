"""The file of times: questions of runs that were asked again, one at a time, for their times alone.

Whoever reads it can hold its replies against those of the runs, and a question's later times
against its first one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from hlvid.files import read_json
from hlvid.types import Count, Identifier, Milliseconds, Record

PERFORMANCE_FILE = "perf.json"


class Timed(Record):
    """One question in one arm and pass."""

    question_id: Identifier
    video_id: Identifier
    arm: str
    number: Count
    """Of the pass, from 0."""
    response: str
    """The raw text, as it came."""
    stage_ms: Mapping[str, Milliseconds]
    """Charged in full, whatever else of the video it serves."""
    shared_ms: Milliseconds = 0.0
    """Of the end-to-end time, what serves all questions about the video: decoding, and gaze unless
    it reads the question."""
    num_sharing: Annotated[int, Field(gt=0)] = 1
    """Questions that the benchmark asks about the video."""
    peak_memory_bytes: Count | None


class Performance(Record):
    """What `hlvid-eval perf` writes beside the runs whose arms it timed."""

    schema_version: Literal[1] = 1
    run_ids: Mapping[str, str]
    """Arm -> the run that its replies must be those of."""
    reference: str | None
    """The arm that speed-ups are quoted against."""
    conditions: Mapping[str, Any]
    num_failed: Mapping[str, Count]
    differing: Mapping[str, tuple[str, ...]]
    """Arm -> questions whose reply was another one, as the writer found."""
    arms: tuple[Mapping[str, Any], ...]
    """Quantiles and speed-ups of each arm."""
    timed: tuple[Timed, ...]
    questions_per_minute: Mapping[str, tuple[Annotated[float, Field(gt=0)], ...]] = {}
    """Arm -> throughput of each pass, sat alone with the next video decoded meanwhile; empty where
    that was not asked for. It stands beside the times and is never added to them."""

    def of_run(self, run_id: str) -> Self:
        """What it says of one run."""
        names = {arm for arm, known in self.run_ids.items() if known == run_id}
        return self.model_copy(
            update={
                "run_ids": dict.fromkeys(names, run_id),
                "num_failed": {arm: n for arm, n in self.num_failed.items() if arm in names},
                "differing": {arm: ids for arm, ids in self.differing.items() if arm in names},
                "arms": tuple(one for one in self.arms if one.get("arm") in names),
                "timed": tuple(one for one in self.timed if one.arm in names),
                "questions_per_minute": {
                    arm: rates for arm, rates in self.questions_per_minute.items() if arm in names
                },
            }
        )


def read_performance(folder: Path) -> Performance | None:
    """The times in a folder; None where there are none.

    Raises:
        UserError: The file is not in order.
    """
    path = folder / PERFORMANCE_FILE
    return read_json(path, Performance) if path.exists() else None
