"""Rules about several runs: the arms of a group are paired, and asking again changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.statistics.pairing import (
    NOT_COMPARABLE,
    Pairs,
    on_one_machine,
    pair_runs,
    paired_times_ms,
    run_name,
)
from hlvid.types import RunRecord
from leaderboard.rules import Problem, Submission, at_questions
from leaderboard.rules.again import remembered

MAX_CHANGED = 0.01
"""Share of answers that may change when they are given again."""
PLAN = "plan"
"""The rule whose first half, about a single run, reading it applies."""


def group_problems(submissions: Sequence[Submission]) -> Iterator[tuple[str, Problem]]:
    """What is wrong between runs: (run_id, problem), told of the later one of two."""
    able = [s for s in submissions if s.record.status not in NOT_COMPARABLE]
    for same in _together(able, lambda record: record.group_id):
        yield from pairing(same)
        yield from controls(same)
        yield from plans(same)
    for same in _together(able, _all_but_repeat):
        yield from _repeated(sorted(same, key=lambda s: (s.record.repeat, s.record.run_id)))


def _together(
    submissions: Sequence[Submission], key: Callable[[RunRecord], str]
) -> Iterator[list[Submission]]:
    found: dict[str, list[Submission]] = {}
    for submission in submissions:
        found.setdefault(key(submission.record), []).append(submission)
    yield from (same for same in found.values() if len(same) > 1)


def _all_but_repeat(record: RunRecord) -> str:
    names = {"benchmark", "model", "arm", "frames", "generation", "seed", "limit"}
    return digest(record.model_dump(mode="json", include=names))


def _first(group: Sequence[Submission]) -> Submission:
    """The run that the others are held against: off, where there is one."""
    return min(group, key=lambda s: (s.record.arm.name != "off", s.record.run_id))


def pairing(group: Sequence[Submission]) -> Iterator[tuple[str, Problem]]:
    """Arms of one command sat the same questions with the same prompts, frames, pixels and grid."""
    first = _first(group)
    for other in group:
        if other is first:
            continue
        if other.record.model != first.record.model:
            message = f"run.json: its group {other.record.group_id} holds two models."
            yield other.record.run_id, Problem("pairing", message)
            continue
        try:
            pair_runs(other, first)
        except UserError as error:
            said = str(error).removeprefix(
                f"{other.record.arm.name} ({other.record.run_id}) against "
            )
            yield other.record.run_id, Problem("pairing", f"against {said}")
            continue
        for message in _uneven(other, first):
            yield other.record.run_id, Problem("pairing", message)


def _uneven(other: Submission, first: Submission) -> Iterator[str]:
    """What two arms that are paired, question by question, tell differently."""
    name = run_name(first.record)
    is_answered = other.is_answered & first.is_answered

    def at(is_hit: npt.NDArray[np.bool_], what: str) -> Iterator[str]:
        yield from at_questions(other.columns, is_answered & is_hit, f"predictions.jsonl: {what}")

    has_ids, has_theirs = other.columns.prompt_ids != b"", first.columns.prompt_ids != b""
    yield from at(has_ids != has_theirs, f"digest of the ids in only one of it and {name}")
    if other.record.frames == first.record.frames:
        ours, theirs = other.visual_off, first.visual_off
        is_other = (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
        yield from at(is_other, f"tokens.visual_off is not that of {name}")


def controls(group: Sequence[Submission]) -> Iterator[tuple[str, Problem]]:
    """A matched control spends its partner's tokens, question by question."""
    for control in group:
        base, _, partner = (control.record.arm.selector or "").partition(":")
        if not base.endswith("-matched"):
            continue
        for other in group:
            theirs, ours = other.record.arm, control.record.arm
            is_partner = theirs.selector == partner and theirs.seed in (0, ours.seed)
            if not is_partner or (theirs.budget, theirs.threshold) != (ours.budget, ours.threshold):
                continue
            spent, allowed = control.columns.visual, other.columns.visual
            if control.columns.question_ids != other.columns.question_ids:
                continue
            is_other = np.isfinite(spent) & np.isfinite(allowed) & (spent != allowed)
            if is_other.any():
                row = int(np.flatnonzero(is_other)[0])
                message = (
                    f"predictions.jsonl: question {control.columns.question_ids[row]}: spends "
                    f"{spent[row]:.0f} visual tokens, its partner {allowed[row]:.0f}. "
                    "A matched control spends as many."
                )
                yield control.record.run_id, Problem("controls", message)


def plans(group: Sequence[Submission]) -> Iterator[tuple[str, Problem]]:
    """A plan that a run names is there and of its exam; arms of one command name the same."""
    first = _first(group).record
    for other in group:
        if other.record.plan_sha256 != first.plan_sha256:
            message = (
                f"run.json: plan_sha256 is {_plan(other.record)}, that of {run_name(first)} is "
                f"{_plan(first)}. Arms of one command have one plan, or none."
            )
            yield other.record.run_id, Problem(PLAN, message)


def _plan(record: RunRecord) -> str:
    return record.plan_sha256 or "not given"


def _repeated(runs: Sequence[Submission]) -> Iterator[tuple[str, Problem]]:
    """Each further run against the first."""
    first = runs[0]
    for again in runs[1:]:
        if again.record.repeat == first.record.repeat:
            continue
        try:
            pairs = pair_runs(again, first, allow_other_group=True)
        except UserError as error:
            yield again.record.run_id, Problem("repeats", str(error))
            continue
        for rule, find in (("repeats", repeats), ("caching", caching)):
            for message in find(again.record, first.record, pairs):
                yield again.record.run_id, Problem(rule, message)


def repeats(again: RunRecord, first: RunRecord, pairs: Pairs) -> Iterator[str]:
    """A run that was made again gives the same answers, but for one in a hundred."""
    changed, of = pairs.num_changed, len(pairs)
    if changed > MAX_CHANGED * of:
        yield (
            f"predictions.jsonl: {changed} of {of} answers differ from those of repeat "
            f"{first.repeat}. Allowed are {MAX_CHANGED:.0%}."
        )


def caching(again: RunRecord, first: RunRecord, pairs: Pairs) -> Iterator[str]:
    """A question is not over a tenth faster when it is asked again: nothing was remembered."""
    times = paired_times_ms(pairs, "end_to_end")
    if times is None or not on_one_machine(again, first):
        return
    yield from remembered(times[0] / times[1], "predictions.jsonl")


RULES: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("pairing", pairing),
    ("controls", controls),
    (PLAN, plans),
    ("repeats", repeats),
    ("caching", caching),
)
"""Rules about several runs, for those who list them."""
