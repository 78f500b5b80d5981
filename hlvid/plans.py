"""The plan file: which endpoint is the primary one, written down before the run.

Everything else that a run shows is exploratory. A plan is of one exam: the digest that a run's
record carries is that of the plan it was sat by, and of no other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hlvid.files import digest, read_json
from hlvid.statistics import Contrast
from hlvid.types import BenchmarkId, FrameSettings, ModelId, Record, RunRecord

PLAN_FILE = "plan.json"
_OF_ARMS = {"schema_version", "arms", "primary", "pins"}


class Endpoint(Record):
    """What decides: strict accuracy of one arm against another."""

    arm: str
    reference: str
    contrast: Contrast
    margin: Annotated[float, Field(gt=0, lt=1)]
    """How much less accuracy is still no worse, as a share."""


class Plan(Record):
    """What a run is going to show, and of what exam."""

    schema_version: Literal[1] = 1
    benchmark: BenchmarkId
    model: ModelId
    frames: FrameSettings
    generation: Mapping[str, str | int | float | bool]
    seed: int
    limit: int | None
    arms: tuple[str, ...]
    """Those that were planned; others may be added, and are exploratory."""
    primary: Endpoint
    pins: Mapping[str, str] = {}
    """Of the two arms of the endpoint: what tells their weights, and selectors of other packages,
    from others of the same names."""

    @property
    def sha256(self) -> str:
        """What a run's record names it by; without pins the digest that it always had."""
        return digest(self.model_dump(mode="json", exclude=None if self.pins else {"pins"}))

    def is_of(self, exam: RunRecord | Mapping[str, Any]) -> bool:
        """Whether it was made for this exam.

        Args:
            exam: A run's record, or the fields of an exam as JSON: all of the plan's that are
                neither its version nor about its arms.
        """
        own = self.model_dump(mode="json", exclude=_OF_ARMS)
        if isinstance(exam, RunRecord):
            exam = exam.model_dump(mode="json", include=set(own))
        return own == exam

    def declares(self, arm: RunRecord, reference: RunRecord) -> bool:
        """Whether the comparison of two runs is its primary endpoint."""
        is_named = (arm.arm.name, reference.arm.name) == (self.primary.arm, self.primary.reference)
        is_first = not (arm.repeat or reference.repeat)
        return is_named and is_first and {arm.plan_sha256, reference.plan_sha256} == {self.sha256}


def read_plan(folder: Path) -> Plan | None:
    """The plan in a folder; None where there is none.

    Raises:
        UserError: It is not in order.
    """
    path = folder / PLAN_FILE
    return read_json(path, Plan) if path.exists() else None
