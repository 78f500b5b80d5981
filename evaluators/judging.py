"""One arm against another as a reader may take it: the primary endpoint, or one of many looks."""

from dataclasses import dataclass
from pathlib import Path

from evaluators.plan import read_plan
from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.runs import RECORD_FILE, GradedRun, grade_run, read_run
from hlvid.statistics import Comparison, Contrast, compare_group
from hlvid.statistics.pairing import check_memory, derive_contrast, pair_runs


@dataclass(frozen=True)
class Judgement:
    """A comparison, and what it counts for."""

    comparison: Comparison
    num_adjusted_for: int
    """Comparisons that share the chance of a false claim; 1 for the primary endpoint."""
    standing: str
    """What it counts for, in a sentence."""


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
    contrast = _contrast(arm, reference)
    plan = read_plan(folder)
    declared = plan if plan is not None and plan.declares(arm, reference) else None
    why = "no plan declared it before the run"
    if declared is not None and declared.primary.contrast != contrast:
        why = f"the plan declared {declared.primary.contrast.value}, the runs are {contrast.value}"
        declared = None
    if declared is not None and margin not in (None, declared.primary.margin):
        why = f"the plan declared a margin of {declared.primary.margin:g}"
        declared = None
    if margin is None and plan is not None:
        margin = plan.primary.margin
    family = [arm, *_siblings(arm, reference, folder, benchmark, contrast)]
    found = compare_group(
        [arm] if declared else family,
        reference,
        margin=margin,
        primary=arm.record.run_id if declared else None,
        answers={q.question_id: q.answer for q in benchmark.questions if q.answer is not None},
    )
    comparison = next(one for one in found if one.arm_run_id == arm.record.run_id)
    if declared:
        standing = f"primary endpoint, declared before the run (plan {declared.sha256[:16]})"
        return Judgement(comparison, 1, standing)
    adjusted = f"Holm-adjusted over {len(found)} comparison{'s' if len(found) > 1 else ''}"
    return Judgement(comparison, len(found), f"exploratory: {why}; {adjusted}")


def _contrast(arm: GradedRun, reference: GradedRun) -> Contrast:
    pairs = pair_runs(arm, reference)
    check_memory(arm.record, reference.record, pairs)
    return derive_contrast(arm.record, reference.record, pairs)


def _siblings(
    arm: GradedRun, reference: GradedRun, folder: Path, benchmark: Benchmark, contrast: Contrast
) -> list[GradedRun]:
    """The other runs of the group that stand in the same contrast to the reference."""
    found = []
    known = {arm.record.run_id, reference.record.run_id}
    for file in sorted(folder.glob(f"*/{RECORD_FILE}")):
        run = read_run(file.parent)
        record = run.record
        if record.group_id != arm.record.group_id or record.run_id in known:
            continue
        known.add(record.run_id)
        sibling = grade_run(run, benchmark.questions)
        try:
            if _contrast(sibling, reference) == contrast:
                found.append(sibling)
        except UserError:
            # It cannot be held against this reference, so it is none of the looks.
            continue
    return found
