"""The page of two runs: what both have right, and what only one has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hlvid.statistics import Comparison, compare_arms
from leaderboard import wording
from leaderboard.compare import Effect
from leaderboard.effects import CLAIMS, CONTRASTS, EffectRow, effect_row
from leaderboard.entries import Entry
from leaderboard.exams import Exam
from leaderboard.run_page import Fact, comparison_name
from leaderboard.slices import SliceRow, slice_rows
from leaderboard.tables import model_name

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
    table: tuple[tuple[str, str], tuple[str, str]]
    """Both right and only the arm; only the other and neither."""
    facts: tuple[Fact, ...]
    slices: tuple[SliceRow, ...]
    lists: tuple[Listed, ...]


def named_effect(arm: Entry, other: Entry) -> Effect:
    """The comparison of two runs that a user names, whatever commands made them.

    Raises:
        UserError: They are not paired.
    """
    found = compare_arms(arm, other, allow_other_group=True, with_bootstrap=False)
    return Effect(arm, other, found, ())


def compare_page(effect: Effect, exam: Exam) -> ComparePage:
    """The page of an effect."""
    arm, other, found = effect.arm, effect.other, effect.comparison
    ours, theirs = arm.columns, other.columns
    only_arm = ours.is_correct & ~theirs.is_correct
    only_other = theirs.is_correct & ~ours.is_correct
    both = int((ours.is_correct & theirs.is_correct).sum())
    neither = int((~ours.is_correct & ~theirs.is_correct).sum())
    names = (wording.plain(arm.arm), wording.plain(other.arm))
    return ComparePage(
        name=comparison_name(arm, other),
        arm=names[0],
        other=names[1],
        arm_slug=arm.slug,
        other_slug=other.slug,
        subtitle=_subtitle(arm, other),
        contrast=CONTRASTS[found.contrast],
        claim=CLAIMS[found.contrast],
        row=effect_row(effect),
        table=(
            (wording.count(both), wording.count(int(only_arm.sum()))),
            (wording.count(int(only_other.sum())), wording.count(neither)),
        ),
        facts=tuple(_facts(found)),
        slices=slice_rows(exam, arm, other),
        lists=(
            _listed(f"Only {names[0]} is right", ours.question_ids, only_arm),
            _listed(f"Only {names[1]} is right", ours.question_ids, only_other),
        ),
    )


def _subtitle(arm: Entry, other: Entry) -> str:
    models = list(dict.fromkeys((model_name(arm), model_name(other))))
    benchmark = wording.plain(arm.record.benchmark.name)
    return f"{' against '.join(models)} on {benchmark}"


def _facts(found: Comparison) -> list[Fact]:
    facts = []
    if (accuracy := found.accuracy) is not None:
        facts += [
            Fact("Questions", wording.count(accuracy.num_questions)),
            Fact("Videos", wording.count(accuracy.num_clusters)),
        ]
    facts += [
        Fact("Other answers", wording.count(found.num_changed_answers)),
        Fact("Failed in one", wording.count(found.num_failed_pairs)),
        Fact("Noise floor", f"{wording.percent(found.noise_floor)}{wording.NBSP}%"),
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
