"""Which two runs may be compared question by question, and what their comparison is about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

from hlvid.errors import UserError
from hlvid.types import Grade, Outcome, Prediction, RunRecord

if TYPE_CHECKING:  # hlvid.runs grades, and grading needs hlvid.statistics
    from hlvid.runs import GradedRun

NOT_COMPARABLE = ("infeasible", "failed")
"""Status of a run that has no accuracy: gaze never wins because the other arm could not run."""
LATENCY_TOLERANCE = 0.05
"""Median end-to-end times that differ by at most this share count as the same."""


class Contrast(StrEnum):
    """What two arms have in common, and so what their difference is evidence of."""

    ISO_INPUT = "iso-input"
    """The same pixels: gaze may cost no accuracy and should save time."""
    ISO_TOKEN = "iso-token"
    """The same number of visual tokens for every question: better tokens are more accurate."""
    ISO_LATENCY = "iso-latency"
    """The same end-to-end time: what a practitioner gains."""


@dataclass(frozen=True)
class Pair:
    """One question as both runs met it."""

    arm: Prediction
    reference: Prediction
    arm_grade: Grade
    reference_grade: Grade

    @property
    def video_id(self) -> str:
        """The cluster of the question."""
        return self.arm_grade.video_id

    @property
    def is_answered(self) -> bool:
        """Whether neither run failed at the question."""
        return Outcome.FAILED not in (self.arm_grade.outcome, self.reference_grade.outcome)


def run_name(record: RunRecord) -> str:
    """'detail@0.1 (0123456789abcdef)': an arm and the run it is from, for messages."""
    return f"{record.arm.name} ({record.run_id})"


def pair_runs(
    arm: "GradedRun", reference: "GradedRun", *, allow_other_group: bool = False
) -> list[Pair]:
    """The questions of two runs in pairs, in the order of the arm.

    Args:
        arm: The run that is judged.
        reference: The run it is held against.
        allow_other_group: Whether the runs may come from different commands.

    Raises:
        UserError: One of them has no accuracy, or they did not sit the same exam with the same
            prompts and, where they claim it, the same frames and pixels. The first difference is
            named.
    """
    for run in (arm, reference):
        if run.record.status in NOT_COMPARABLE:
            raise UserError(
                f"{run_name(run.record)}: {run.record.status}, so it has no accuracy to compare. "
                "Compare with the best arm that could run."
            )
    for what, of_arm, of_reference in _run_differences(arm, reference, allow_other_group):
        if of_arm != of_reference:
            raise _not_paired(arm, reference, what, of_arm, of_reference)
    references = {prediction.question_id: prediction for prediction in reference.predictions}
    reference_grades = {grade.question_id: grade for grade in reference.grades}
    grades = {grade.question_id: grade for grade in arm.grades}
    pairs = [
        Pair(
            one,
            references[one.question_id],
            grades[one.question_id],
            reference_grades[one.question_id],
        )
        for one in arm.predictions
    ]
    if not pairs:
        raise UserError(f"{run_name(arm.record)}: has no question. Nothing can be compared.")
    for pair in pairs:
        _check_pair(arm, reference, pair)
    return pairs


def derive_contrast(arm: RunRecord, reference: RunRecord, pairs: Sequence[Pair]) -> Contrast:
    """What the comparison of two paired runs is about.

    The first that fits of iso-token (equal visual tokens for every question), iso-input (equal
    frame settings, whose digests `pair_runs` has checked) and iso-latency (median end-to-end times
    within 5 % on one machine).

    Raises:
        UserError: None fits; says what would make the runs comparable.
    """
    answered = [pair for pair in pairs if pair.is_answered]
    if answered and all(
        pair.arm.tokens is not None
        and pair.reference.tokens is not None
        and pair.arm.tokens.visual == pair.reference.tokens.visual
        for pair in answered
    ):
        return Contrast.ISO_TOKEN
    if arm.frames == reference.frames:
        return Contrast.ISO_INPUT
    times = paired_times_ms(answered, "end_to_end")
    found = "are not known"
    if times is not None and on_one_machine(arm, reference):
        ours, theirs = median(times[0]), median(times[1])
        if max(ours, theirs) <= (1 + LATENCY_TOLERANCE) * min(ours, theirs):
            return Contrast.ISO_LATENCY
        found = f"differ ({ours:.0f} and {theirs:.0f} ms)"
    raise UserError(
        f"{run_name(arm)} against {run_name(reference)}: the visual tokens differ, the frame "
        f"settings differ, and the median end-to-end times on one machine {found}. Comparable are "
        "runs with equal visual tokens for every question (iso-token), with equal frame settings "
        "(iso-input), or with median end-to-end times within "
        f"{LATENCY_TOLERANCE:.0%} (iso-latency)."
    )


def on_one_machine(arm: RunRecord, reference: RunRecord) -> bool:
    """Whether the times of two runs can be held against each other: same hardware and software."""
    ours, theirs = arm.provenance, reference.provenance
    return ours.hardware == theirs.hardware and ours.software == theirs.software


def paired_times_ms(
    pairs: Sequence[Pair], stage: str, *, without: str | None = None
) -> tuple[list[float], list[float]] | None:
    """Milliseconds of a stage for (arm, reference), less those of another stage.

    None where there are no pairs, or a time is missing or not above 0.
    """
    columns: tuple[list[float], list[float]] = ([], [])
    for pair in pairs:
        for column, prediction in zip(columns, (pair.arm, pair.reference), strict=True):
            stages = prediction.stage_ms
            if stage not in stages or (without is not None and without not in stages):
                return None
            column.append(stages[stage] - (stages[without] if without is not None else 0.0))
    return columns if columns[0] and min(map(min, columns)) > 0 else None


def _run_differences(
    arm: "GradedRun", reference: "GradedRun", allow_other_group: bool
) -> Iterator[tuple[str, object, object]]:
    """What must be equal in two runs: (what it is, in the arm, in the reference)."""
    ours, theirs = arm.record, reference.record
    for field in ("name", "revision", "questions_sha256"):
        yield (
            f"benchmark {field}",
            getattr(ours.benchmark, field),
            getattr(theirs.benchmark, field),
        )
    yield "kind of model", ours.model.kind, theirs.model.kind
    if not allow_other_group:
        yield "group_id", ours.group_id, theirs.group_id
    our_ids = {prediction.question_id for prediction in arm.predictions}
    their_ids = {prediction.question_id for prediction in reference.predictions}
    only_ours, only_theirs = sorted(our_ids - their_ids), sorted(their_ids - our_ids)
    yield "questions that only one has", only_ours[:3], only_theirs[:3]


def _check_pair(arm: "GradedRun", reference: "GradedRun", pair: Pair) -> None:
    """Raise where one question was not the same for both runs."""
    ours, theirs = pair.arm, pair.reference
    same_frames = (
        arm.record.frames.num_frames == reference.record.frames.num_frames
        and arm.record.frames.sampling == reference.record.frames.sampling
    )
    same_canvas = arm.record.frames == reference.record.frames
    compared = [
        ("video", pair.arm_grade.video_id, pair.reference_grade.video_id, True),
        ("prompt digest", ours.prompt_sha256, theirs.prompt_sha256, True),
        ("frames digest", ours.frames_sha256, theirs.frames_sha256, same_frames),
        ("canvas digest", ours.canvas_sha256, theirs.canvas_sha256, same_canvas),
    ]
    for what, of_arm, of_reference, must_agree in compared:
        if must_agree and None not in (of_arm, of_reference) and of_arm != of_reference:
            where = f"{what} of question {ours.question_id}"
            raise _not_paired(arm, reference, where, of_arm, of_reference)


def _not_paired(
    arm: "GradedRun", reference: "GradedRun", what: str, of_arm: object, of_reference: object
) -> UserError:
    return UserError(
        f"{run_name(arm.record)} against {run_name(reference.record)}: {what} differs "
        f"({of_arm} and {of_reference}). Compare arms of one hlvid-eval command: they sit the "
        "same questions with the same prompts, frames and pixels."
    )
