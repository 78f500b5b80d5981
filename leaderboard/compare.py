"""Which arms are held against which, and in which tables: the comparing itself is hlvid's.

A group is what one command ran. Within it every arm is compared with `off`, and every gaze
arm with the `random-matched` control of its own budget. What the group's plan declared before the
run is compared as well, stands first in its table and is not adjusted; its margin is that of all.
Where `off-bare` ran, how many times as fast an arm is stands against that, in the table against
`off`: the context stream that off carries beside all its tokens would make it slow.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hlvid.errors import UserError
from hlvid.plans import Plan
from hlvid.statistics import Comparison, Contrast, adjust, compare_arms, find_noise_floor
from hlvid.statistics.pairing import NOT_COMPARABLE
from hlvid.types import CHEAPER_OFF, STOCK_CODE
from leaderboard.entries import Entry
from leaderboard.parallel import in_processes
from leaderboard.seeds import arm_key

RANDOM_MATCHED = "random-matched"
OFF = "off"
BARE = "off-bare"
OFF_VARIANTS = ("off-stock", BARE, *CHEAPER_OFF)
"""What else a model can be shown without gaze, where memory or context is too small for off."""
PLANNED = "planned"
KINDS = (OFF, RANDOM_MATCHED, PLANNED)
"""What arms are held against: all tokens, as many random ones, and what else a plan declares."""
MIN_QUESTIONS_FOR_PROCESSES = 50_000
"""Fewer are compared faster than processes start."""


@dataclass(frozen=True)
class Effect:
    """An arm against another one.

    Where either has several seeds, accuracy is that of their mean, question by question; times and
    letters are those of the lowest.
    """

    arm: Entry
    other: Entry
    comparison: Comparison
    seed_differences: tuple[float, ...]
    """Differences of strict accuracy over all seeds and repeats of both arms."""
    num_arm: int = 1
    """Seeds of the arm that its accuracy is the mean of."""
    num_other: int = 1
    is_adjusted: bool = True
    """Whether its p value knows of the others in its table; a pair that a user names has none."""
    holm: float | None = None
    """Of the difference: the p value that it has, or would have had it not been declared."""
    timed: Entry | None = None
    """What its speed-ups are against, where that is not the other arm."""

    @property
    def timed_against(self) -> Entry:
        """What its speed-ups are against."""
        return self.timed or self.other


@dataclass(frozen=True)
class Family:
    """The effects of one table: one contrast, one kind of other arm, adjusted together."""

    contrast: Contrast
    other: str
    """One of KINDS."""
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Uncompared:
    """An arm that could not be compared, and why."""

    arm: str
    reason: str


@dataclass(frozen=True)
class Group:
    """The runs of one command and what they show about each other."""

    entries: tuple[Entry, ...]
    families: tuple[Family, ...]
    uncompared: tuple[Uncompared, ...]
    plan: Plan | None
    """What was declared before the runs; None without, or where they do not agree on it."""

    @property
    def primary(self) -> Effect | None:
        """The comparison that the plan declared; None where it did not come about."""
        effects = (effect for family in self.families for effect in family.effects)
        return next((e for e in effects if e.comparison.is_primary), None)


def is_off(entry: Entry) -> bool:
    """Whether a run is `off` itself: the same canvas, all tokens kept."""
    return entry.record.arm.gaze == "off" and entry.record.arm.variant is None


def compare_groups(entries: Iterable[Entry]) -> tuple[Group, ...]:
    """Compare the arms of each group, in the order in which the groups first appear."""
    together: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        record = entry.record
        benchmark = record.benchmark
        key = (benchmark.name, benchmark.revision, benchmark.questions_sha256)
        together.setdefault((*key, record.model.kind, record.group_id), []).append(entry)
    groups = list(together.values())
    num_questions = sum(len(entry.columns) for group in groups for entry in group)
    is_worth_it = num_questions > MIN_QUESTIONS_FOR_PROCESSES
    return tuple(in_processes(_compare_group, groups, is_worth_it=is_worth_it))


def _compare_group(entries: Sequence[Entry]) -> Group:
    stand = [e for e in entries if e.standing.withdrawn is None]
    by_arm = _seeds_together(stand)
    off = _comparator(by_arm)
    plan = common_plan(stand)
    settings = {
        "noise_floor": find_noise_floor(stand),
        "margin": None if plan is None else plan.primary.margin,
    }
    found: list[tuple[str, Effect]] = []
    uncompared: dict[Uncompared, None] = {}
    bare = next((s for s in by_arm if s[0].record.arm.variant == BARE), None)
    for kind, arms, others in _pairs(by_arm, off, plan):
        try:
            effect = _effect(arms, others, settings)
            found.append((kind, _timed(effect, bare) if kind == OFF else effect))
        except UserError as error:
            uncompared[Uncompared(arms[0].arm, str(error))] = None
    return Group(tuple(entries), _families(found, plan), tuple(uncompared), plan)


def _comparator(by_arm: Sequence[tuple[Entry, ...]]) -> tuple[Entry, ...] | None:
    """The runs that arms are held against: off, or where that could not run the best that could.

    Without off itself, the most accurate arm without gaze that shows the model something else than
    off does: no arm wins because another could not start.
    """
    off = next((seeds for seeds in by_arm if is_off(seeds[0])), None)
    if off is None or off[0].record.status not in NOT_COMPARABLE:
        return off
    able = [
        seeds
        for seeds in by_arm
        if seeds[0].record.arm.variant in OFF_VARIANTS
        and seeds[0].record.status not in NOT_COMPARABLE
        and seeds[0].accuracy is not None
    ]
    return max(able, key=lambda seeds: (seeds[0].accuracy or 0.0, seeds[0].arm), default=off)


def common_plan(entries: Sequence[Entry]) -> Plan | None:
    """The plan that all of the runs name; None where they do not, or it is not there."""
    plans = {entry.record.plan_sha256: entry.plan for entry in entries}
    return next(iter(plans.values())) if len(plans) == 1 else None


def _pairs(
    by_arm: Sequence[tuple[Entry, ...]], off: tuple[Entry, ...] | None, plan: Plan | None
) -> Iterator[tuple[str, tuple[Entry, ...], tuple[Entry, ...]]]:
    """What is compared with what: (kind, seeds of the arm, seeds of the other)."""
    is_declared = False
    for arms in by_arm:
        if arms[0].record.arm.variant == STOCK_CODE:
            continue
        for kind, others in ((OFF, off), (RANDOM_MATCHED, _control_of(arms[0], by_arm))):
            if others is not None and arms is not off:
                is_declared |= _is_declared(plan, arms[0], others[0])
                yield kind, arms, others
    if plan is None or is_declared:
        return
    for arm, other in itertools.permutations(itertools.chain(*by_arm), 2):
        if _is_declared(plan, arm, other):
            yield PLANNED, (arm,), (other,)


def _is_declared(plan: Plan | None, arm: Entry, other: Entry) -> bool:
    return plan is not None and plan.declares(arm.record, other.record)


def _seeds_together(entries: Sequence[Entry]) -> list[tuple[Entry, ...]]:
    """Entries in order, those that differ only by the seed of their arm or repeat together.

    Those that ran come first, lowest seed first: the first one speaks for the others.
    """
    together: dict[str, list[Entry]] = {}
    for entry in entries:
        together.setdefault(arm_key(entry.record), []).append(entry)
    return [
        tuple(
            sorted(
                same,
                key=lambda e: (
                    e.record.status in ("infeasible", "failed"),
                    e.record.arm.seed,
                    e.record.repeat,
                    e.record.run_id,
                ),
            )
        )
        for same in together.values()
    ]


def _control_of(arm: Entry, by_arm: Sequence[tuple[Entry, ...]]) -> tuple[Entry, ...] | None:
    """The random-matched runs at a gaze arm's budget: its own, else those of another partner."""
    ours = arm.record.arm
    if ours.selector is None:
        return None
    same_budget = [
        seeds
        for seeds in by_arm
        if (other := seeds[0].record.arm).selector is not None
        and other.selector.partition(":")[0] == RANDOM_MATCHED
        and (other.budget, other.threshold) == (ours.budget, ours.threshold)
    ]
    if any(seeds[0] is arm for seeds in same_budget):
        return None
    own = [
        s for s in same_budget if s[0].record.arm.selector == f"{RANDOM_MATCHED}:{ours.selector}"
    ]
    return next(iter(own or sorted(same_budget, key=lambda seeds: seeds[0].arm)), None)


def _effect(arms: Sequence[Entry], others: Sequence[Entry], settings: Mapping[str, Any]) -> Effect:
    ours, theirs = _seeds(arms), _seeds(others)
    comparison = compare_arms(ours, theirs, with_bootstrap=False, **settings)
    differences = (
        one.accuracy - two.accuracy
        for one, two in itertools.product(arms, others)
        if one.accuracy is not None and two.accuracy is not None
    )
    return Effect(
        arms[0],
        others[0],
        comparison,
        tuple(differences),
        num_arm=len(ours),
        num_other=len(theirs),
    )


def _timed(effect: Effect, bare: Sequence[Entry] | None) -> Effect:
    """An effect with its speed-ups against off-bare, where that was timed beside the arm."""
    if bare is None or effect.arm is bare[0] or not is_off(effect.other):
        return effect
    try:
        found = compare_arms(effect.arm, bare[0], with_bootstrap=False)
    except UserError:  # off-bare could not run, or not at every question
        return effect
    if found.speed_up_end_to_end is None:
        return effect
    names = ("speed_up_end_to_end", "speed_up_without_decode", "speed_up_model_only")
    times = {name: getattr(found, name) for name in names}
    comparison = dataclasses.replace(effect.comparison, **times)
    return dataclasses.replace(effect, comparison=comparison, timed=bare[0])


def _seeds(same: Sequence[Entry]) -> list[Entry]:
    """Of the runs of one arm the first, and those with other seeds that can be compared too."""
    first, *others = same
    return [first] + [
        entry
        for entry in others
        if entry.record.arm.seed != first.record.arm.seed
        and entry.record.repeat == first.record.repeat
        and entry.record.status not in NOT_COMPARABLE
    ]


def _families(found: Sequence[tuple[str, Effect]], plan: Plan | None) -> tuple[Family, ...]:
    """Effects in tables of one contrast and one kind of other arm each."""
    families = []
    for contrast, kind in itertools.product(Contrast, KINDS):
        effects = [e for k, e in found if k == kind and e.comparison.contrast == contrast]
        if effects:
            families.append(Family(contrast, kind, _adjusted(effects, plan)))
    return tuple(families)


def _adjusted(effects: Sequence[Effect], plan: Plan | None) -> tuple[Effect, ...]:
    """The effects, p-values adjusted over all of them: the primary one, then by difference."""

    def order(effect: Effect) -> tuple[float, str]:
        accuracy = effect.comparison.accuracy
        return (math.inf if accuracy is None else -accuracy.difference), effect.arm.arm

    ordered = {(e.arm.run_id, e.other.run_id): e for e in sorted(effects, key=order)}
    primary = next((e.arm.run_id for e in ordered.values() if _is_primary(plan, e)), None)
    table = [effect.comparison for effect in ordered.values()]
    undeclared = {one.arm_run_id: one.p_adjusted for one in adjust(table, None)}
    return tuple(
        dataclasses.replace(
            ordered[one.arm_run_id, one.reference_run_id],
            comparison=one,
            holm=undeclared[one.arm_run_id] if one.is_primary else one.p_adjusted,
        )
        for one in adjust(table, primary)
    )


def _is_primary(plan: Plan | None, effect: Effect) -> bool:
    """Whether an effect is what the plan declared, and of the contrast that it declared."""
    if plan is None or not _is_declared(plan, effect.arm, effect.other):
        return False
    return plan.primary.contrast == effect.comparison.contrast
