"""Sentences that a rule derives from the data: no finding is written by hand, none is chosen.

For each group with an `off` run: what off scores; at each budget the most accurate selector that
looks at the video, against off and against random tokens of the same number; what a privileged
selector reaches at the smallest budget. A selector with a note speaks only where no other does.
For language models, which never see the video: what they score against guessing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hlvid.statistics import MIN_VIDEOS, Comparison, Contrast
from leaderboard import wording
from leaderboard.compare import OFF, RANDOM_MATCHED, Effect, Group, is_off
from leaderboard.entries import Entry
from leaderboard.rules.records import ORACLE
from leaderboard.tables import model_name, role_of

LOOKING = ("selector", "marked")
"""Roles of the arms whose selector looks at the video and at nothing else."""
SEEDS = 5
"""Of `random-matched`, before a gain over it is more than one lucky draw (COMPARISON 15)."""
MAX_BUDGETS = 3
"""Budgets of a group that are spoken of, largest first; the tables have all."""


@dataclass(frozen=True)
class Finding:
    """A sentence, and the numbers it rests on."""

    text: str
    basis: str


@dataclass(frozen=True)
class Findings:
    """What is found about one model on one benchmark."""

    subject: str
    basis: str
    sentences: tuple[Finding, ...]


def findings_of(groups: Iterable[Group]) -> tuple[Findings, ...]:
    """All findings, in the order of the groups."""
    found = []
    for group in groups:
        shown = [e for e in group.entries if _may_speak(e)]
        off = next((e for e in shown if is_off(e) and not e.record.repeat), None)
        if off is None or off.record.model.kind == "control":
            continue
        sentences = tuple(_sentences(group, shown, off))
        name = wording.plain(off.record.benchmark.name)
        found.append(Findings(f"{model_name(off)} on {name}", _basis(off), sentences))
    return tuple(found)


def _sentences(group: Group, shown: Sequence[Entry], off: Entry) -> Iterator[Finding]:
    is_blind = off.record.model.kind == "language"
    start = "Without seeing the video" if is_blind else "With all tokens"
    yield Finding(f"{start} it is right in {_share(off)} of the questions.", f"{_interval(off)}.")
    for at_budget in _by_budget(_effects(group, OFF)):
        best = max(at_budget, key=lambda e: (e.arm.accuracy or 0.0, e.arm.arm))
        yield _against(best, _control(group, best), among=len(at_budget))
    ceilings = [e for e in shown if e.record.arm.selector == ORACLE]
    if ceilings:
        yield _ceiling(min(ceilings, key=lambda e: (e.record.arm.budget or 1.0, e.arm)))


def _effects(group: Group, other: str) -> list[Effect]:
    """The effects of complete runs against one kind of other arm."""
    effects = (e for family in group.families if family.other == other for e in family.effects)
    return [e for e in effects if _may_speak(e.arm)]


def _control(group: Group, best: Effect) -> Effect | None:
    """An arm against as many random tokens, where that many were spent at every question."""
    for effect in _effects(group, RANDOM_MATCHED):
        if effect.arm is best.arm and effect.comparison.contrast is Contrast.ISO_TOKEN:
            return effect
    return None


def _may_speak(entry: Entry) -> bool:
    is_whole = entry.record.status == "complete" and entry.accuracy is not None
    return is_whole and entry.standing.withdrawn is None


def _by_budget(effects: Iterable[Effect]) -> Iterator[list[Effect]]:
    """The effects of selectors that look at the video, largest budgets first, without one last."""
    together: dict[float, list[Effect]] = {}
    for effect in effects:
        if role_of(effect.arm.record.arm) in LOOKING:
            together.setdefault(effect.arm.record.arm.budget or 0.0, []).append(effect)
    for budget in sorted(together, reverse=True)[:MAX_BUDGETS]:
        unmarked = [e for e in together[budget] if role_of(e.arm.record.arm) == "selector"]
        yield unmarked or together[budget]


def _share(entry: Entry) -> str:
    """A run's accuracy in a sentence."""
    return f"{wording.percent(entry.accuracy or 0.0)}{wording.NBSP}%"


def _interval(entry: Entry) -> str:
    summary = entry.record.summary
    if summary is None:
        return ""
    ends = (wording.percent(summary.accuracy_low), wording.percent(summary.accuracy_high))
    return f"95{wording.NBSP}% interval {wording.span(*ends)}"


def _basis(entry: Entry) -> str:
    """What the findings of a group rest on."""
    summary = entry.record.summary
    parts = []
    if summary is not None:
        questions = wording.counted(summary.num_questions, "question")
        parts.append(f"{questions} on {wording.counted(summary.num_videos, 'video')}")
    if entry.record.limit is not None:
        parts.append("limited run")
    if entry.chance is not None:
        parts.append(f"guessing gives {wording.percent(entry.chance)}{wording.NBSP}%")
    return "; ".join(parts)


def _ceiling(entry: Entry) -> Finding:
    return Finding(
        f"Told where the evidence is, it reaches {_share(entry)} with {_kept(entry)} of the "
        "tokens.",
        f"{wording.plain(entry.arm)}, privileged: a ceiling, not a competitor; {_interval(entry)}.",
    )


def _kept(entry: Entry) -> str:
    ratio = entry.kept_ratio if entry.kept_ratio is not None else entry.record.arm.budget or 1.0
    return f"{wording.kept(ratio)}{wording.NBSP}%"


def _against(best: Effect, control: Effect | None, *, among: int) -> Finding:
    """What the best selector of a budget costs against off and gains against random tokens."""
    name = wording.plain(best.arm.arm)
    text = f"{name} keeps {_kept(best.arm)} of the tokens{_against_off(best.comparison)}"
    basis = [f"Against off {_numbers(best.comparison)}"]
    if control is None:
        basis.append("no arm spent as many tokens at random, so nothing shows that it chose well")
    else:
        text += _against_random(control.comparison)
        num = control.num_other
        of = f", mean of {num} seeds," if num > 1 else f", one seed of the {SEEDS} asked for,"
        basis.append(
            f"against {wording.plain(control.other.arm)}{of} {_numbers(control.comparison)}"
        )
    basis += _speed(best)
    if among > 1:
        basis.append(f"the most accurate of {among} selectors at this budget")
    return Finding(f"{text}.", f"{'; '.join(basis)}.")


def _against_off(comparison: Comparison) -> str:
    points = _points(comparison)
    match comparison.verdict:
        case "better":
            return f" and gains {points} against off"
        case "worse":
            return f" and loses {points} against off"
        case "inconclusive":
            return " and is not shown to lose or gain accuracy against off"
        case "non-inferior":
            margin = wording.percent(comparison.margin or 0.0)
            return f" and is no worse than off by the declared margin of {margin} points"
        case verdict:
            return f"; what that costs is undecided: {verdict}"


def _against_random(comparison: Comparison) -> str:
    points = _points(comparison)
    match comparison.verdict:
        case "better":
            return f"; as many random tokens do {points} worse"
        case "worse":
            return f"; as many random tokens do {points} better"
        case "inconclusive" | "non-inferior":
            return "; it is not shown to beat as many random tokens"
        case _:
            return ""


def _points(comparison: Comparison) -> str:
    """The size of a difference, without its sign."""
    accuracy = comparison.accuracy
    return "" if accuracy is None else f"{wording.percent(abs(accuracy.difference))} points"


def _numbers(comparison: Comparison) -> str:
    accuracy, p_adjusted = comparison.accuracy, comparison.p_adjusted
    if accuracy is None or p_adjusted is None:
        return "not known"
    ends = wording.span(wording.points(accuracy.low), wording.points(accuracy.high))
    p = wording.p_value(p_adjusted)
    sign = "" if p.startswith("<") else "= "
    kind = "declared, p" if comparison.is_primary else "Holm p"
    return f"{wording.points(accuracy.difference)} points ({ends}, {kind} {sign}{p})"


def _speed(effect: Effect) -> list[str]:
    speed_up = effect.comparison.speed_up_end_to_end
    if speed_up is None or speed_up.low is None or speed_up.high is None:
        return []
    if speed_up.num_clusters < MIN_VIDEOS:
        return []
    ends = wording.span(wording.factor(speed_up.low), wording.factor(speed_up.high))
    other = wording.plain(effect.timed_against.arm)
    return [f"{wording.factor(speed_up.ratio)} times as fast as {other} end to end ({ends})"]
