"""The plan file: which endpoint is the primary one, written down before the run.

Everything else that a run shows is exploratory. A plan is of one exam: the digest that a run's
record carries is that of the plan in its own folder, and of no other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from evaluators.exam import SCRATCH_FOLDER, Exam
from hlvid.console import say
from hlvid.errors import UserError
from hlvid.files import digest, read_json, write_json
from hlvid.runs import RECORD_FILE, GradedRun
from hlvid.statistics import Contrast
from hlvid.types import ArmSettings, BenchmarkId, FrameSettings, ModelId, Record

PLAN_FILE = "plan.json"
DEFAULT_MARGIN = 0.02


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

    @property
    def sha256(self) -> str:
        """What a run's record names it by."""
        return digest(self)

    def is_of(self, exam: Exam) -> bool:
        """Whether it was made for this exam."""
        own = self.model_dump(mode="json", exclude={"schema_version", "arms", "primary"})
        return own == {**exam.same_for_all, "limit": exam.settings.limit}

    def declares(self, arm: GradedRun, reference: GradedRun) -> bool:
        """Whether the comparison of two runs is its primary endpoint."""
        names = arm.record.arm.name, reference.record.arm.name
        is_named = names == (self.primary.arm, self.primary.reference)
        planned = {arm.record.plan_sha256, reference.record.plan_sha256}
        is_first = not (arm.record.repeat or reference.record.repeat)
        return is_named and is_first and planned == {self.sha256}


def make_plan(
    exam: Exam, *, primary: str = "", against: str = "", margin: float = DEFAULT_MARGIN
) -> Plan:
    """A plan of an exam.

    Args:
        exam: With all its arms.
        primary: Name of the arm that is judged; the first gaze arm by default.
        against: Name of the arm it is held against; the first other by default.
        margin: Of non-inferiority, as a share.

    Raises:
        UserError: An arm is none of the exam's, or there is nothing to compare.
    """
    arms = {arm.name: arm for arm in exam.settings.arms}
    gazing = [name for name, arm in arms.items() if arm.gaze == "on"]
    primary = primary or next(iter(gazing), "")
    against = against or next((name for name in arms if name != primary), "")
    for flag, name in (("--primary", primary), ("--against", against)):
        if name not in arms or primary == against:
            raise UserError(
                f"{flag}: {name!r} is not allowed. Allowed are two different arms of: "
                f"{', '.join(arms)}. Add some with --gaze both."
            )
    if not 0 < margin < 1:
        raise UserError(f"--margin: {margin:g}. Allowed is a share above 0 and below 1.")
    return Plan(
        benchmark=exam.benchmark.id,
        model=exam.examinee.model,
        frames=exam.frames,
        generation=exam.generation,
        seed=exam.settings.seed,
        limit=exam.settings.limit,
        arms=tuple(arms),
        primary=Endpoint(
            arm=primary,
            reference=against,
            contrast=_contrast(arms[primary], arms[against]),
            margin=margin,
        ),
    )


def write_plan(plan: Plan, out: Path) -> Path:
    """Write a plan where its runs will lie.

    Raises:
        UserError: Something was answered there already: a plan comes before its run.
    """
    path = out / PLAN_FILE
    if path.exists() and read_json(path, Plan) == plan:
        return path
    ledger = out / SCRATCH_FOLDER / "finished.jsonl"
    has_answers = ledger.exists() and ledger.stat().st_size > 0
    if has_answers or any(out.glob(f"*/{RECORD_FILE}")):
        raise UserError(
            f"{path}: runs lie there already, and a plan is made before its run. Choose another "
            "--out."
        )
    write_json(path, plan)
    return path


def read_plan(out: Path) -> Plan | None:
    """The plan of the runs in a folder; None where there is none."""
    path = out / PLAN_FILE
    return read_json(path, Plan) if path.exists() else None


def find_plan(exam: Exam) -> Plan | None:
    """The plan that an exam is sat by; None where there is none, or only one of another exam."""
    plan = read_plan(exam.settings.out)
    if plan is not None and not plan.is_of(exam):
        say(f"{PLAN_FILE} in {exam.settings.out} is of another exam: this run is exploratory")
        return None
    return plan


def _contrast(arm: ArmSettings, reference: ArmSettings) -> Contrast:
    """Two arms that spend alike are held against each other at equal tokens."""
    spends = arm.budget is not None and arm.budget == reference.budget
    is_copy = bool(reference.selector) and ":" in str(reference.selector)
    return Contrast.ISO_TOKEN if spends or is_copy else Contrast.ISO_INPUT
