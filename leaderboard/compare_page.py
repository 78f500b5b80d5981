"""The page of two runs: what both have right, and what only one has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hlvid.errors import UserError
from hlvid.statistics import compare_arms, find_noise_floor
from hlvid.statistics.columns import Columns
from hlvid.types import STOCK_CODE
from leaderboard import wording
from leaderboard.compare import Effect, common_plan
from leaderboard.effects import CLAIMS, CONTRASTS, EffectRow, effect_row, seeds_text
from leaderboard.entries import Entry
from leaderboard.exams import Exam
from leaderboard.run_page import Fact, comparison_name
from leaderboard.slices import SliceRow, slice_rows
from leaderboard.tables import model_name

OTHER_MODEL = "Two models"
OTHER_MODEL_CLAIM = "How two models differ; of gaze it says nothing."
MAX_LISTED = 400
"""Questions that only one has right which are named; more are counted."""


@dataclass(frozen=True)
class Listed:
    """Questions that one of the two has right and the other has not."""

    heading: str
    questions: tuple[str, ...]
    more: str


@dataclass(frozen=True)
class ComparePage:
    """Everything that the page of two runs prints."""

    name: str
    arm: str
    other: str
    arm_slug: str
    other_slug: str
    subtitle: str
    contrast: str
    claim: str
    row: EffectRow
    p: str
    table: tuple[tuple[str, str], tuple[str, str]] | None
    """Both right and only the arm; only the other and neither. None with random weights."""
    facts: tuple[Fact, ...]
    slices: tuple[SliceRow, ...]
    lists: tuple[Listed, ...]


def named_effect(arm: Entry, other: Entry, entries: Iterable[Entry]) -> Effect:
    """The comparison of two runs that a user names, whatever commands made them.

    Args:
        arm: The run that is judged.
        other: The run it is held against.
        entries: All there are; those of the two runs' groups tell the noise floor.

    Raises:
        UserError: They are not paired, or one is off by stock code.
    """
    if arm.run_id == other.run_id:
        raise UserError(f"--compare: {arm.run_id} against itself. Name two different runs.")
    for entry in (arm, other):
        if entry.record.arm.variant == STOCK_CODE:
            raise UserError(
                f"--compare: {entry.record.run_id} is off-bare by stock code, which tells the "
                "noise floor and is no arm of a comparison."
            )
    groups = {arm.record.group_id, other.record.group_id}
    floor = find_noise_floor(entry for entry in entries if entry.record.group_id in groups)
    plan = common_plan([arm, other])
    margin = None if plan is None else plan.primary.margin
    found = compare_arms(
        arm,
        other,
        margin=margin,
        noise_floor=floor,
        allow_other_group=True,
        with_bootstrap=False,
    )
    return Effect(arm, other, found, (), is_adjusted=False)


def compare_page(effect: Effect, exam: Exam) -> ComparePage:
    """The page of an effect."""
    arm, other, found = effect.arm, effect.other, effect.comparison
    names = _names(arm, other)
    # What random weights answer says nothing, so none of it is shown.
    has_accuracy = found.accuracy is not None
    row = effect_row(effect)
    is_one_model = arm.record.model == other.record.model
    return ComparePage(
        name=comparison_name(arm, other),
        arm=names[0],
        other=names[1],
        arm_slug=arm.slug,
        other_slug=other.slug,
        subtitle=_subtitle(arm, other),
        contrast=CONTRASTS[found.contrast] if is_one_model else OTHER_MODEL,
        claim=CLAIMS[found.contrast] if is_one_model else OTHER_MODEL_CLAIM,
        row=row,
        p=f"{row.p}, {_adjustment(effect, row)}",
        table=_table(arm.columns, other.columns) if has_accuracy else None,
        facts=tuple(_facts(effect)),
        slices=slice_rows(exam, arm, other) if has_accuracy else (),
        lists=_lists(arm.columns, other.columns, names) if has_accuracy else (),
    )


def _names(arm: Entry, other: Entry) -> tuple[str, str]:
    """What the two are called: with their models or runs where their arms are of one name."""
    names = wording.plain(arm.arm), wording.plain(other.arm)
    if model_name(arm) != model_name(other):
        return f"{names[0]} of {model_name(arm)}", f"{names[1]} of {model_name(other)}"
    if names[0] == names[1]:
        return f"{names[0]} ({arm.run_id[:8]})", f"{names[1]} ({other.run_id[:8]})"
    return names


def _adjustment(effect: Effect, row: EffectRow) -> str:
    if effect.comparison.is_primary:
        return f"primary endpoint by its plan, not adjusted; undeclared, Holm {row.holm}"
    return f"Holm {row.holm}" if effect.is_adjusted else "not adjusted"


def _table(ours: Columns, theirs: Columns) -> tuple[tuple[str, str], tuple[str, str]]:
    """How many questions which of the two has right."""

    def counted(is_hit: npt.NDArray[np.bool_]) -> str:
        return wording.count(int(is_hit.sum()))

    a, b = ours.is_correct, theirs.is_correct
    return (counted(a & b), counted(a & ~b)), (counted(~a & b), counted(~a & ~b))


def _lists(ours: Columns, theirs: Columns, names: tuple[str, str]) -> tuple[Listed, ...]:
    """The questions that only one of the two has right."""
    a, b = ours.is_correct, theirs.is_correct
    return (
        _listed(f"Only {names[0]} is right", ours.question_ids, a & ~b),
        _listed(f"Only {names[1]} is right", ours.question_ids, b & ~a),
    )


def _subtitle(arm: Entry, other: Entry) -> str:
    models = list(dict.fromkeys((model_name(arm), model_name(other))))
    benchmark = wording.plain(arm.record.benchmark.name)
    return f"{' against '.join(models)} on {benchmark}"


def _facts(effect: Effect) -> list[Fact]:
    found, facts = effect.comparison, []
    if (accuracy := found.accuracy) is not None:
        facts += [
            Fact("Questions", wording.count(accuracy.num_questions)),
            Fact("Videos", wording.count(accuracy.num_clusters)),
        ]
    if found.speed_up_end_to_end is not None:
        facts.append(Fact("Timed against", wording.plain(effect.timed_against.arm)))
    if by_seed := seeds_text(effect):
        by_seed += ". Counts, lists and parts here are of the lowest seed"
        facts.append(Fact("Seeds", by_seed))
    facts += [
        Fact("Other answers", wording.count(found.num_changed_answers)),
        Fact("Failed in one", wording.count(found.num_failed_pairs)),
        Fact(
            "Noise floor",
            "not known"
            if found.noise_floor is None
            else f"{wording.percent(found.noise_floor)}{wording.NBSP}%",
        ),
    ]
    if found.margin is not None:
        facts.append(Fact("Margin", f"{wording.percent(found.margin)} points"))
    return facts


def _listed(heading: str, question_ids: Sequence[str], is_hit: npt.NDArray[np.bool_]) -> Listed:
    rows = np.flatnonzero(is_hit).tolist()
    more = len(rows) - MAX_LISTED
    return Listed(
        heading=f"{heading} ({wording.count(len(rows))})",
        questions=tuple(question_ids[row] for row in rows[:MAX_LISTED]),
        more=f"and {wording.count(more)} more" if more > 0 else "",
    )
