"""One arm against another as a reader may take it: the primary endpoint, or one of many looks."""

from dataclasses import dataclass
from pathlib import Path

from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.plans import read_plan
from hlvid.runs import RECORD_FILE, GradedRun, grade_run, read_run
from hlvid.statistics import Comparison, Contrast, compare_group, find_noise_floor
from hlvid.statistics.noise import are_implementations, flip_rate, is_repeat
from hlvid.statistics.pairing import (
    NOT_COMPARABLE,
    check_memory,
    derive_contrast,
    pair_runs,
    run_name,
)
from hlvid.types import STOCK_CODE


@dataclass(frozen=True)
class Judgement:
    """A comparison, and what it counts for."""

    comparison: Comparison
    num_adjusted_for: int
    """Comparisons that share the chance of a false claim; 1 for the primary endpoint."""
    num_repeats: int
    """Further runs of the reference's arm."""
    standing: str
    """What it counts for, in a sentence."""

    @property
    def noise(self) -> str:
        """How far two runs of the reference differ, in a sentence."""
        one = self.comparison
        if one.noise_floor is None:
            return (
                "noise floor: not known, nothing was sat twice (--repeat-off: off twice; "
                "--also off-bare,off-generate: by our code and by stock)"
            )
        return (
            f"noise floor: runs that ought to answer alike differ at {one.noise_floor:.1%} of the "
            "questions"
        )


def judge(
    arm: GradedRun,
    reference: GradedRun,
    folder: Path,
    benchmark: Benchmark,
    *,
    margin: float | None = None,
) -> Judgement:
    """Compare two runs among those that they were made with.

    Args:
        arm: The run that is judged.
        reference: The run it is held against.
        folder: Holds the runs of the group and, where there is one, the plan.
        benchmark: What they sat.
        margin: Of non-inferiority; that of the plan by default.

    Raises:
        UserError: The runs are not paired or not comparable, or one had too little memory.
    """
    is_again = is_repeat(arm, reference)
    if is_again or are_implementations(arm, reference):
        alike = "two runs of one arm" if is_again else "one arm by our code and by stock code"
        raise UserError(
            f"{run_name(arm.record)} and {run_name(reference.record)}: are {alike}, "
            f"and differ at {flip_rate(arm, reference):.1%} of the questions: the noise floor of "
            "the other comparisons. Compare two different arms."
        )
    for run in (arm, reference):
        if run.record.repeat:
            raise UserError(
                f"{run_name(run.record)}: is a second run, which tells the noise floor. Compare "
                "the first one."
            )
        if run.record.arm.variant == STOCK_CODE:
            raise UserError(
                f"{run_name(run.record)}: is off-bare by stock code, which tells the noise floor "
                "and is no arm of a comparison. Compare with off-bare or off."
            )
    contrast = _contrast(arm, reference)
    plan = read_plan(folder)
    if plan is not None and {arm.record.plan_sha256, reference.record.plan_sha256} != {plan.sha256}:
        plan = None
    declared = plan if plan is not None and plan.declares(arm.record, reference.record) else None
    why = "no plan declared it before the run"
    if declared is not None and declared.primary.contrast != contrast:
        why = f"the plan declared {declared.primary.contrast.value}, the runs are {contrast.value}"
        declared = None
    if declared is not None and margin not in (None, declared.primary.margin):
        why = f"the plan declared a margin of {declared.primary.margin:g}"
        declared = None
    if margin is None and plan is not None:
        margin = plan.primary.margin
    others = _others(arm, reference, folder, benchmark)
    repeats = [run for run in others if is_repeat(run, reference)]
    siblings = [run for run in others if _is_sibling(run, reference, contrast)]
    found = compare_group(
        [arm, *repeats, *([] if declared else siblings)],
        reference,
        margin=margin,
        noise_floor=find_noise_floor([arm, reference, *others]),
        primary=arm.record.run_id if declared else None,
        answers={q.question_id: q.answer for q in benchmark.questions if q.answer is not None},
    )
    comparison = next(one for one in found if one.arm_run_id == arm.record.run_id)
    if declared:
        standing = f"primary endpoint, declared before the run (plan {declared.sha256[:16]})"
        return Judgement(comparison, 1, len(repeats), standing)
    adjusted = f"Holm-adjusted over {len(found)} comparison{'s' if len(found) > 1 else ''}"
    standing = f"exploratory: {why}; {adjusted}"
    return Judgement(comparison, len(found), len(repeats), standing)


def _contrast(arm: GradedRun, reference: GradedRun) -> Contrast:
    pairs = pair_runs(arm, reference)
    check_memory(arm.record, reference.record, pairs)
    return derive_contrast(arm.record, reference.record, pairs)


def _others(
    arm: GradedRun, reference: GradedRun, folder: Path, benchmark: Benchmark
) -> list[GradedRun]:
    """The other runs of the group that could run."""
    found = []
    known = {arm.record.run_id, reference.record.run_id}
    for file in sorted(folder.glob(f"*/{RECORD_FILE}")):
        run = read_run(file.parent)
        record = run.record
        is_able = record.status not in NOT_COMPARABLE
        if record.group_id == arm.record.group_id and record.run_id not in known and is_able:
            known.add(record.run_id)
            found.append(grade_run(run, benchmark.questions))
    return found


def _is_sibling(run: GradedRun, reference: GradedRun, contrast: Contrast) -> bool:
    """Whether a run is another look: an arm in the same contrast to the reference."""
    if run.record.repeat or is_repeat(run, reference) or run.record.arm.variant == STOCK_CODE:
        return False
    try:
        return _contrast(run, reference) == contrast
    except UserError:
        # It cannot be held against this reference, so it is none of the looks.
        return False
