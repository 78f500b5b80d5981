"""Which two runs may be compared question by question, and what their comparison is about."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hlvid.errors import UserError
from hlvid.statistics.clusters import Floats
from hlvid.statistics.columns import FAILED, Columns, Graded, Time
from hlvid.types import LOOPED_ATTENTION, STOCK_CODE, ArmSettings, RunRecord

NOT_COMPARABLE = ("infeasible", "failed")
"""Status of a run that has no accuracy: gaze never wins because the other arm could not run."""
SEEING = ("mllm", "reader")
"""Kinds of models that are shown frames."""
OTHER_FRAMES = frozenset(("fewer-frames", "fewer-and-lower", "off-stock"))
OTHER_PIXELS = OTHER_FRAMES | {"lower-resolution"}
"""Variants of an arm that see other frames, or the same ones at another size, by what they are."""
SAME_PROMPT = frozenset((None, "after-tower"))
"""Variants whose prompt has the same ids as that of `off`."""
LEAST_SPENT = 0.5
"""Of what another arm kept, whole frames or a smaller grid spend at least so much: half is the
least that a whole number can be of one above it."""
LATENCY_TOLERANCE = 0.05
"""Median end-to-end times that differ by at most this share count as the same."""


class Contrast(StrEnum):
    """What two arms have in common, and so what their difference is evidence of."""

    ISO_INPUT = "iso-input"
    """The same pixels: gaze may cost no accuracy and should save time."""
    ISO_TOKEN = "iso-token"
    """The same number of visual tokens for every question: better tokens are more accurate. Whole
    frames, or a smaller grid, come as near below it as they can."""
    ISO_LATENCY = "iso-latency"
    """The same end-to-end time: what a practitioner gains."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """The questions of two runs side by side, in the order of the arm."""

    arm: Columns
    reference: Columns

    def __len__(self) -> int:
        return len(self.arm)

    @cached_property
    def is_answered(self) -> npt.NDArray[np.bool_]:
        """(n,) whether neither run failed at the question."""
        is_failed = np.equal(self.arm.outcomes, FAILED) | np.equal(self.reference.outcomes, FAILED)
        return np.logical_not(is_failed)

    @property
    def num_changed(self) -> int:
        """Questions with another letter or outcome in the two runs."""
        is_changed = (self.arm.letters != self.reference.letters) | (
            self.arm.outcomes != self.reference.outcomes
        )
        return int(is_changed.sum())

    @property
    def answered_clusters(self) -> npt.NDArray[np.intp]:
        """The video of each question that both answered."""
        return self.arm.clusters[self.is_answered]


def run_name(record: RunRecord) -> str:
    """'detail@0.1 (0123456789abcdef)': an arm and the run it is from, for messages."""
    return f"{record.arm.name} ({record.run_id})"


def pair_runs(arm: Graded, reference: Graded, *, allow_other_group: bool = False) -> Pairs:
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
            raise _not_paired(arm.record, reference.record, what, of_arm, of_reference)
    if not len(arm.columns):
        raise UserError(f"{run_name(arm.record)}: has no question. Nothing can be compared.")
    pairs = Pairs(arm.columns, _in_order_of(arm.columns, reference.columns))
    _check_pairs(arm.record, reference.record, pairs)
    return pairs


def _in_order_of(first: Columns, other: Columns) -> Columns:
    if first.question_ids == other.question_ids:
        return other
    places = {question_id: i for i, question_id in enumerate(other.question_ids)}
    return other.taken([places[question_id] for question_id in first.question_ids])


def derive_contrast(arm: RunRecord, reference: RunRecord, pairs: Pairs) -> Contrast:
    """What the comparison of two paired runs is about.

    The first that fits of iso-token (equal visual tokens for every question, or one arm spends what
    the other kept as near below as whole frames or a smaller grid come), iso-input (equal frame
    settings, whose digests `pair_runs` has checked) and iso-latency (median end-to-end times within
    5 % in one sitting).

    Raises:
        UserError: None fits; says what would make the runs comparable.
    """
    answered = pairs.is_answered
    ours, theirs = pairs.arm.visual[answered], pairs.reference.visual[answered]
    # Unknown counts are NaN, which equals nothing.
    if len(ours) and bool((ours == theirs).all()):
        return Contrast.ISO_TOKEN
    for control, spent, other, kept in (
        (arm.arm, ours, reference.arm, theirs),
        (reference.arm, theirs, arm.arm, ours),
    ):
        is_near = (spent <= kept) & (spent >= LEAST_SPENT * kept)
        if _spends_that_of(control, other) and len(spent) and bool(is_near.all()):
            return Contrast.ISO_TOKEN
    has_same_pixels = _has_same_pixels(arm, reference)
    if has_same_pixels and _shows_pixels(arm, pairs):
        return Contrast.ISO_INPUT
    times = paired_times_ms(pairs, "end_to_end")
    found = "are not known" if times is None else "may not be compared"
    if times is not None and may_time(arm, reference, pairs):
        medians = [float(np.median(column)) for column in times]
        if max(medians) <= (1 + LATENCY_TOLERANCE) * min(medians):
            return Contrast.ISO_LATENCY
        found = "differ ({:.0f} and {:.0f} ms)".format(*medians)
    pixels = "the frame settings differ"
    if has_same_pixels:
        pixels = "answers have no digest of the canvas"
    raise UserError(
        f"{run_name(arm)} against {run_name(reference)}: the visual tokens differ, {pixels}, and "
        f"the median end-to-end times in one sitting {found}. Comparable are "
        "runs with equal visual tokens for every question (iso-token), with equal frame settings "
        "(iso-input), or with median end-to-end times within "
        f"{LATENCY_TOLERANCE:.0%} (iso-latency)."
    )


def _spends_that_of(control: ArmSettings, other: ArmSettings) -> bool:
    """Whether a variant of off has a gaze arm as its partner."""
    if control.partner is None or control.partner != other.selector or other.variant is not None:
        return False
    fields = ("weights", "budget", "threshold")
    return all(getattr(control, field) == getattr(other, field) for field in fields)


def check_memory(arm: RunRecord, reference: RunRecord, pairs: Pairs) -> None:
    """Refuse to compare accuracy where one of two runs had too little memory for a question.

    Raises:
        UserError: Memory ran out at a question for one of them only.
    """
    num = int((pairs.arm.out_of_memory != pairs.reference.out_of_memory).sum())
    if num and not is_dummy(arm, reference):
        raise UserError(
            f"{run_name(arm)} against {run_name(reference)}: memory ran out for only one of them "
            f"at {num} of {len(pairs)} questions, and no arm wins because another could not run. "
            "Run both with fewer --frames, or compare with the best arm that could run."
        )


def is_dummy(arm: RunRecord, reference: RunRecord) -> bool:
    """Whether one of two runs has random weights, so that their accuracy means nothing."""
    return "dummy" in (arm.model.load_format, reference.model.load_format)


def on_one_machine(arm: RunRecord, reference: RunRecord) -> bool:
    """Whether the times of two runs can be held against each other: same hardware and software."""
    ours, theirs = arm.provenance, reference.provenance
    return ours.hardware == theirs.hardware and ours.software == theirs.software


def in_one_sitting(arm: RunRecord, reference: RunRecord, pairs: Pairs) -> bool:
    """Whether two runs took turns on one machine at every question that both answered.

    Arms of an earlier command can be paired with those of a later one, and their accuracy compared;
    their times were taken at another time of day, beside other work.
    """
    ours, theirs = (columns.sittings[pairs.is_answered] for columns in (pairs.arm, pairs.reference))
    is_one = bool(((ours == theirs) & (ours != b"")).all())
    return is_one and on_one_machine(arm, reference)


def may_time(arm: RunRecord, reference: RunRecord, pairs: Pairs) -> bool:
    """Whether the times of two runs can be held against each other: taken in turns, none looped."""
    is_looped = any(
        record.generation.get("attention") == LOOPED_ATTENTION or record.arm.variant == STOCK_CODE
        for record in (arm, reference)
    )
    return in_one_sitting(arm, reference, pairs) and not is_looped


def paired_times_ms(pairs: Pairs, what: Time) -> tuple[Floats, Floats] | None:
    """Milliseconds of an answer for (arm, reference).

    Over the questions that both answered. None where there are none, or a time is missing or not
    above 0.
    """
    if not pairs.is_answered.any():
        return None
    found = []
    for columns in (pairs.arm, pairs.reference):
        times = columns.times_ms(what)[pairs.is_answered]
        if not (np.isfinite(times).all() and (times > 0).all()):
            return None
        found.append(times)
    return found[0], found[1]


def _run_differences(
    arm: Graded, reference: Graded, allow_other_group: bool
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
    if arm.columns.question_ids != reference.columns.question_ids:
        our_ids, their_ids = set(arm.columns.question_ids), set(reference.columns.question_ids)
        only_ours, only_theirs = sorted(our_ids - their_ids), sorted(their_ids - our_ids)
        yield "questions that only one has", only_ours[:3], only_theirs[:3]


def _has_same_pixels(arm: RunRecord, reference: RunRecord) -> bool:
    variants = {arm.arm.variant, reference.arm.variant}
    return arm.frames == reference.frames and not variants & OTHER_PIXELS


def _shows_pixels(arm: RunRecord, pairs: Pairs) -> bool:
    """Whether both runs tell which pixels a model that sees was shown: equal where they tell."""
    if arm.model.kind not in SEEING:
        return True
    known = (pairs.arm.canvases != b"") & (pairs.reference.canvases != b"")
    return bool(known[pairs.is_answered].all())


def _check_pairs(arm: RunRecord, reference: RunRecord, pairs: Pairs) -> None:
    """Raise where one question was not the same for both runs: the first one is named."""
    ours, theirs = pairs.arm, pairs.reference
    variants = {arm.arm.variant, reference.arm.variant}
    same_frames = (
        arm.frames.num_frames == reference.frames.num_frames
        and arm.frames.sampling == reference.frames.sampling
        and not variants & OTHER_FRAMES
    )
    found: list[tuple[int, str, object, object]] = []
    if ours.video_ids != theirs.video_ids:
        differ = [
            i
            for i, (a, b) in enumerate(zip(ours.video_ids, theirs.video_ids, strict=True))
            if a != b
        ]
        found.append((differ[0], "video", ours.video_ids[differ[0]], theirs.video_ids[differ[0]]))
    for what, first, second, must_agree in (
        ("prompt digest", ours.prompts, theirs.prompts, True),
        ("frames digest", ours.frames, theirs.frames, same_frames),
        ("canvas digest", ours.canvases, theirs.canvases, _has_same_pixels(arm, reference)),
        ("digest of the ids", ours.prompt_ids, theirs.prompt_ids, variants <= SAME_PROMPT),
    ):
        is_other = (first != second) & (first != b"") & (second != b"")
        if must_agree and is_other.any():
            row = int(np.flatnonzero(is_other)[0])
            found.append((row, what, first[row].decode(), second[row].decode()))
    if found:
        row, what, of_arm, of_reference = min(found, key=lambda difference: difference[0])
        where = f"{what} of question {ours.question_ids[row]}"
        raise _not_paired(arm, reference, where, of_arm, of_reference)


def _not_paired(
    arm: RunRecord, reference: RunRecord, what: str, of_arm: object, of_reference: object
) -> UserError:
    return UserError(
        f"{run_name(arm)} against {run_name(reference)}: {what} differs "
        f"({of_arm} and {of_reference}). Compare arms of one hlvid-eval command: they sit the "
        "same questions with the same prompts, frames and pixels."
    )
