"""Which arms are held against which, and in which tables: the comparing itself is hlvid's.

A group is what one command ran. Within it every arm is compared with `off`, and every gaze
arm with the `random-matched` control of its own budget.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.statistics import Comparison, Contrast, compare_arms, flip_rate, holm
from leaderboard.entries import Entry
from leaderboard.parallel import in_processes

RANDOM_MATCHED = "random-matched"
OFF = "off"
MIN_QUESTIONS_FOR_PROCESSES = 50_000
"""Fewer are compared faster than processes start."""


@dataclass(frozen=True)
class Effect:
    """An arm against another one. Where either has several seeds, those of the lowest."""

    arm: Entry
    other: Entry
    comparison: Comparison
    seed_differences: tuple[float, ...]
    """Differences of strict accuracy over all seeds and repeats of both arms."""
    is_adjusted: bool = True
    """Whether its p value knows of the others in its table; a pair that a user names has none."""


@dataclass(frozen=True)
class Family:
    """The effects of one table: one contrast, one kind of other arm, adjusted together."""

    contrast: Contrast
    other: str
    """'off' or 'random-matched'."""
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
    by_arm = _seeds_together([e for e in entries if e.standing.withdrawn is None])
    off = next((seeds for seeds in by_arm if is_off(seeds[0])), None)
    noise_floor = _noise_floor(off)
    found: list[tuple[str, Effect]] = []
    uncompared: dict[Uncompared, None] = {}
    for arms in by_arm:
        for kind, others in ((OFF, off), (RANDOM_MATCHED, _control_of(arms[0], by_arm))):
            if others is None or arms is off:
                continue
            try:
                found.append((kind, _effect(arms, others, noise_floor)))
            except UserError as error:
                uncompared[Uncompared(arms[0].arm, str(error))] = None
    return Group(tuple(entries), _families(found), tuple(uncompared))


def _seeds_together(entries: Sequence[Entry]) -> list[tuple[Entry, ...]]:
    """Entries in order, those that differ only by the seed of their arm or repeat together.

    Those that ran come first, lowest seed first: the first one speaks for the others.
    """
    together: dict[str, list[Entry]] = {}
    for entry in entries:
        record = entry.record
        settings = record.model_dump(mode="json", include={"model", "arm", "frames", "generation"})
        settings["arm"]["seed"] = 0
        together.setdefault(digest(settings), []).append(entry)
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


def _noise_floor(off: Sequence[Entry] | None) -> float:
    """The largest share of questions that two runs of `off` mark differently."""
    if off is None:
        return 0.0
    rates = []
    for repeat in off[1:]:
        try:
            rates.append(flip_rate(repeat, off[0]))
        except UserError:
            continue
    return max(rates, default=0.0)


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


def _effect(arms: Sequence[Entry], others: Sequence[Entry], noise_floor: float) -> Effect:
    comparison = compare_arms(arms[0], others[0], noise_floor=noise_floor, with_bootstrap=False)
    differences = (
        ours.accuracy - theirs.accuracy
        for ours, theirs in itertools.product(arms, others)
        if ours.accuracy is not None and theirs.accuracy is not None
    )
    return Effect(arms[0], others[0], comparison, tuple(differences))


def _families(found: Sequence[tuple[str, Effect]]) -> tuple[Family, ...]:
    """Effects in tables of one contrast and one kind of other arm each."""
    families = []
    for contrast, kind in itertools.product(Contrast, (OFF, RANDOM_MATCHED)):
        effects = [e for k, e in found if k == kind and e.comparison.contrast == contrast]
        if effects:
            families.append(Family(contrast, kind, _adjusted(effects)))
    return tuple(families)


def _adjusted(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """The effects with p values that Holm adjusted over all of them, largest difference first."""
    known = [(e, e.comparison.accuracy) for e in effects if e.comparison.accuracy is not None]
    known.sort(key=lambda pair: (-pair[1].difference, pair[0].arm.arm))
    p_values = holm([accuracy.p_value for _, accuracy in known])
    adjusted = [
        dataclasses.replace(e, comparison=dataclasses.replace(e.comparison, p_adjusted=p_value))
        for (e, _), p_value in zip(known, p_values, strict=True)
    ]
    return (*adjusted, *(e for e in effects if e.comparison.accuracy is None))
