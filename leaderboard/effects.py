"""The rows of the tables of paired effects, ready to print, with their forest plot."""

from dataclasses import dataclass

from hlvid.plans import Plan
from hlvid.statistics import MIN_VIDEOS, Contrast, PairedDifference, RatioInterval
from leaderboard import bars, wording
from leaderboard.compare import OFF, PLANNED, RANDOM_MATCHED, Effect, Family, Group, is_off
from leaderboard.tables import NOTHING, Cell, notes_of, role_of

CONTRASTS = {
    Contrast.ISO_INPUT: "Same pixels (iso-input)",
    Contrast.ISO_TOKEN: "Same number of tokens (iso-token)",
    Contrast.ISO_LATENCY: "Same seconds (iso-latency)",
}
CLAIMS = {
    Contrast.ISO_INPUT: "What gaze costs in accuracy, and what it saves in time.",
    Contrast.ISO_TOKEN: "Whether the tokens were chosen well: both arms spend as many, whole "
    "frames and smaller grids at most as many.",
    Contrast.ISO_LATENCY: "What a user gains who waits equally long.",
}


@dataclass(frozen=True)
class EffectRow:
    """One arm against another one."""

    arm: str
    notes: tuple[str, ...]
    role: str
    against: str
    seeds: str
    difference: Cell
    forest: bars.Bar | None
    verdict: str
    p: str
    holm: str
    only_arm: str
    only_other: str
    mcnemar_p: str
    end_to_end: Cell
    without_decode: Cell
    model_only: Cell
    page: str
    """The page that compares the two."""


@dataclass(frozen=True)
class EffectTable:
    """Effects of one contrast against one kind of other arm."""

    anchor: str
    number: int
    caption: str
    is_mixed: bool
    """Whether the rows name what they are held against."""
    axis: bars.Axis
    rows: tuple[EffectRow, ...]


def effect_table(family: Family, *, number: int) -> EffectTable:
    """The table of a family of effects."""
    known = [e.comparison.accuracy for e in family.effects if e.comparison.accuracy is not None]
    axis = bars.forest_axis([bound for a in known for bound in (a.low, a.high)])
    is_mixed = family.other != OFF
    same = " of the same number" if family.contrast is Contrast.ISO_TOKEN else ""
    others = {
        OFF: _without_gaze(family),
        RANDOM_MATCHED: f"random tokens{same} (random-matched)",
        PLANNED: "what the plan holds it against",
    }[family.other]
    caption = (
        f"{CONTRASTS[family.contrast]}: each arm against {others}. {CLAIMS[family.contrast]} "
        "The verdict allows for the number of comparisons, the intervals do not."
        + _noise(family)
        + _timed(family)
    )
    return EffectTable(
        anchor=f"effects-{number}",
        number=number,
        caption=caption,
        is_mixed=is_mixed,
        axis=axis,
        rows=tuple(effect_row(effect, axis) for effect in family.effects),
    )


def _noise(family: Family) -> str:
    """What is known of how far runs differ that ought not to."""
    floors = [effect.comparison.noise_floor for effect in family.effects]
    known = [floor for floor in floors if floor is not None]
    if not known:
        return " How far two equal runs differ (the noise floor) was not measured."
    return (
        f" Runs that ought to answer alike differ in {wording.percent(max(known))}"
        f"{wording.NBSP}% of the questions; nothing smaller counts as an effect."
    )


def _timed(family: Family) -> str:
    """What the speed-ups are against, or why there are none."""
    if all(effect.comparison.speed_up_end_to_end is None for effect in family.effects):
        return " No speed-ups: these arms did not take turns in one command, or were not timed."
    if family.other != OFF:
        return ""
    arms: dict[str, list[str]] = {}
    for effect in family.effects:
        against = wording.plain(effect.timed_against.arm)
        arms.setdefault(against, []).append(wording.plain(effect.arm.arm))
    main, *others = sorted(arms, key=lambda name: -len(arms[name]))
    told = "".join(f"; {wording.listed(arms[name])} as {name}" for name in others)
    return f" Times as fast as {main}{told}."


def _without_gaze(family: Family) -> str:
    """What arms without gaze is held against: off, unless that could not run."""
    other = family.effects[0].other
    if is_off(other):
        return OFF
    return f"{wording.plain(other.arm)}, the best arm without gaze that could run"


def effect_row(effect: Effect, axis: bars.Axis | None = None) -> EffectRow:
    """An effect in words and numbers, drawn on an axis where there is one."""
    comparison, arm = effect.comparison, effect.arm.record.arm
    accuracy = comparison.accuracy
    return EffectRow(
        arm=wording.plain(effect.arm.arm),
        notes=(
            *(("primary endpoint",) if comparison.is_primary else ()),
            *_failed_pairs(comparison.num_failed_pairs),
            *notes_of(arm),
        ),
        role=role_of(arm),
        against=wording.plain(effect.other.arm),
        seeds=seeds_text(effect),
        difference=_difference(accuracy),
        forest=None
        if accuracy is None or axis is None
        else axis.bar(accuracy.difference, accuracy.low, accuracy.high),
        verdict=comparison.verdict,
        p=NOTHING if accuracy is None else wording.p_value(accuracy.p_value),
        holm=NOTHING if effect.holm is None else wording.p_value(effect.holm),
        only_arm=_counted(None if accuracy is None else accuracy.only_a),
        only_other=_counted(None if accuracy is None else accuracy.only_b),
        mcnemar_p=NOTHING
        if accuracy is None or accuracy.mcnemar_p is None
        else wording.p_value(accuracy.mcnemar_p),
        end_to_end=_factor(comparison.speed_up_end_to_end),
        without_decode=_factor(comparison.speed_up_without_decode),
        model_only=_factor(comparison.speed_up_model_only),
        page=f"compare/{effect.arm.slug}-{effect.other.slug}.html",
    )


def plan_text(group: Group) -> str:
    """What was declared before the runs of a group, and what that makes of its comparisons."""
    if group.plan is None:
        if any(entry.record.plan_sha256 for entry in group.entries):
            why = "Not all of these runs show the plan that they name"
        else:
            why = "No plan was declared before these runs"
        return (
            f"{why}. So every comparison is exploratory, and without a margin none can be called "
            "non-inferior."
        )
    declared = (
        f"The plan of these runs declares: {endpoint_text(group.plan)}. That it was written before "
        "them is their maker's word."
    )
    if group.primary is None:
        return f"{declared} No such comparison came of these runs: all of them are exploratory."
    return (
        f"{declared} This primary endpoint is not adjusted; its Holm p is what it would have been "
        "without that word. All other comparisons are exploratory, at the same margin."
    )


def endpoint_text(plan: Plan) -> str:
    """The comparison that a plan declares, and its margin."""
    primary = plan.primary
    return (
        f"{wording.plain(primary.arm, limit=200)} against "
        f"{wording.plain(primary.reference, limit=200)} ({primary.contrast.value}), no worse by "
        f"{wording.percent(primary.margin)} points (plan {plan.sha256[:16]})"
    )


def _failed_pairs(num: int) -> tuple[str, ...]:
    return (f"{wording.counted(num, 'question')} failed in one of the two",) if num else ()


def _difference(accuracy: PairedDifference | None) -> Cell:
    if accuracy is None:
        return Cell(NOTHING)
    low, high = wording.points(accuracy.low), wording.points(accuracy.high)
    return Cell(wording.points(accuracy.difference), wording.span(low, high))


def _counted(number: int | None) -> str:
    return NOTHING if number is None else wording.count(number)


def seeds_text(effect: Effect) -> str:
    """The range of the difference over seeds and repeats, where there are several."""
    differences = effect.seed_differences
    if len(differences) < 2:
        return ""
    ends = (wording.points(min(differences)), wording.points(max(differences)))
    seeds = effect.num_arm * effect.num_other
    of = f"mean of {seeds} pairs of seeds; " if seeds > 1 else ""
    return f"{of}{len(differences)} pairs of runs: {wording.span(*ends)}"


def _factor(speed_up: RatioInterval | None) -> Cell:
    """A speed-up; resampling a handful of videos bounds nothing, so it then has no interval."""
    if speed_up is None:
        return Cell(NOTHING)
    value = wording.factor(speed_up.ratio)
    if speed_up.num_clusters < MIN_VIDEOS or speed_up.low is None or speed_up.high is None:
        return Cell(value, wording.counted(speed_up.num_clusters, "video"))
    ends = (wording.factor(speed_up.low), wording.factor(speed_up.high))
    return Cell(value, wording.span(*ends))
