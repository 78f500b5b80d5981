"""Making the plan of an exam, and finding the one that it is sat by: see `hlvid.plans`."""

from pathlib import Path

from evaluators.arms import pins
from evaluators.exam import SCRATCH_FOLDER, Exam
from hlvid.console import say
from hlvid.errors import UserError
from hlvid.files import write_json
from hlvid.plans import PLAN_FILE, Endpoint, Plan, read_plan
from hlvid.runs import RECORD_FILE
from hlvid.statistics import Contrast
from hlvid.statistics.pairing import OTHER_PIXELS
from hlvid.types import STOCK_CODE, ArmSettings

DEFAULT_MARGIN = 0.02


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
    alone = (STOCK_CODE, *OTHER_PIXELS)
    able = [a.name for a in arms.values() if a.variant not in alone or a.partner is not None]
    against = against or next((name for name in able if name != primary), "")
    for flag, name in (("--primary", primary), ("--against", against)):
        if name not in arms or primary == against:
            raise UserError(
                f"{flag}: {name!r} is not allowed. Allowed are two different arms of: "
                f"{', '.join(arms)}. Add some with --gaze both."
            )
    if STOCK_CODE in (primary, against):
        raise UserError(
            f"{STOCK_CODE}: tells the noise floor and is no arm of a comparison. Name off-bare."
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
        pins={**pins(arms[against]), **pins(arms[primary])},
    )


def write_plan(plan: Plan, out: Path) -> Path:
    """Write a plan where its runs will lie.

    Raises:
        UserError: Something was answered there already: a plan comes before its run.
    """
    path = out / PLAN_FILE
    if read_plan(out) == plan:
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


def find_plan(exam: Exam) -> Plan | None:
    """The plan that an exam is sat by; None where there is none, or only one of another exam."""
    plan = read_plan(exam.settings.out)
    if plan is None:
        return None
    same_exam = {**exam.same_for_all, "limit": exam.settings.limit}
    named = (plan.primary.arm, plan.primary.reference)
    ours = [pins(arm) for arm in exam.settings.arms if arm.name in named]
    is_other = any(plan.pins.get(what, pin) != pin for one in ours for what, pin in one.items())
    if is_other or not plan.is_of(same_exam):
        what = "other weights or selectors" if is_other else "another exam"
        say(f"{PLAN_FILE} in {exam.settings.out} is of {what}: this run is exploratory")
        return None
    return plan


def _contrast(arm: ArmSettings, reference: ArmSettings) -> Contrast:
    """What the comparison will be about, as far as that is known before the run.

    Two arms spend alike where one copies the other, or both choose tokens by one budget. Whole
    frames or smaller grids come near a budget only.

    Raises:
        UserError: The arms see other pixels and spend other tokens, or may: no contrast is sure.
    """
    both = arm, reference
    names = {_named(one) for one in both} - {None}
    is_copy = len(names) == 1 and arm.gaze == reference.gaze == "on"
    is_copy |= any(_copied(one) in names for one in both)
    if is_copy:
        return Contrast.ISO_TOKEN
    if others := [one.name for one in both if one.variant in OTHER_PIXELS]:
        raise UserError(
            f"{' and '.join(others)}: shows other pixels than what it is held against, and not as "
            "many tokens. Name another arm; fewer-frames:ARM and its like are held against ARM."
        )
    if _copied(arm) == _copied(reference) is not None:
        return Contrast.ISO_TOKEN
    if arm.budget is None or arm.budget != reference.budget:
        return Contrast.ISO_INPUT
    if early := [one.name for one in both if one.weights is not None and _copied(one) is None]:
        raise UserError(
            f"{' and '.join(early)}: may keep less than its budget, so equal tokens are not known "
            "before the run. Hold it against an arm that copies it, such as random:autogaze."
        )
    return Contrast.ISO_TOKEN


def _named(arm: ArmSettings) -> tuple[object, ...] | None:
    """What an arm that gazes is copied by."""
    return None if arm.selector is None else (arm.selector, arm.budget, arm.threshold)


def _copied(arm: ArmSettings) -> tuple[object, ...] | None:
    """What an arm copies; None where it copies nothing."""
    partner = arm.partner or str(arm.selector or "").partition(":")[2]
    return (partner, arm.budget, arm.threshold) if partner else None
