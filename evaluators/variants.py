"""Arms beside `off` and the selectors: off as it is run elsewhere, floors, diagnostics.

Only models that encode the video know them. Each is written as tables print it: `off-bare`,
`evs@0.1`, `after-tower:detail@0.1`, and `fewer-frames:autogaze` for what that arm kept of a video.
"""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from evaluators import arms as gazing_arms
from evaluators.arms import DEFAULT_BUDGET, leads_of, partner_of
from hlvid.errors import UserError
from hlvid.types import SPENDING, STOCK_CODE, ArmSettings, Variant

NAMES: tuple[Variant, ...] = get_args(Variant)
AFTER_TOWER: Variant = "after-tower"
REQUIRED: tuple[Variant, ...] = ("fewer-frames", "lower-resolution")
"""Controls behind the sentence 'gaze helps', beside those that are selectors."""
SHOW_KEPT: tuple[Variant | None, ...] = (None, "off-bare", STOCK_CODE, AFTER_TOWER)
"""Arms that show what was kept of the canvas, be it all of it."""
NOTES: Mapping[Variant, str] = {
    "off-stock": "the same frames at the stock processor's default size",
    "off-bare": "keep-all without the context stream",
    "off-generate": "diagnostic: off-bare by the stock model's own code; its attention is sdpa",
    "blind": "sees nothing",
    "context-only": "sees the low-resolution context stream only",
    "fewer-frames": "whole pairs of frames",
    "fewer-and-lower": "fewer pairs of frames on a smaller grid, as much less of each",
    "evs": "diagnostic: encodes all tokens and prunes after the tower; keeps one slice at least",
    "after-tower": "diagnostic: encodes all tokens and prunes after the tower",
}
"""What every table must say beside them."""


def plan_variants(
    texts: Sequence[str], arms: Sequence[ArmSettings], *, budgets: Sequence[float] = ()
) -> tuple[ArmSettings, ...]:
    """The arms of a command with the variants it asks for behind them, each once.

    Args:
        texts: As typed: 'off-bare', 'evs', 'evs@0.1', 'evs:detail@0.1' for what a gaze arm of the
            command keeps, 'after-tower' for all gaze arms, 'after-tower:detail@0.1' for one.
        arms: The others of the command.
        budgets: For variants that need one and name none.

    Raises:
        UserError: A variant is not known, names an arm that is not there, or names a budget or an
            arm that it does not use.
    """
    found = list(arms)
    for text in texts:
        head, colon, partner = text.partition(":")
        name, at, budget = head.partition("@")
        if name not in NAMES:
            raise UserError(f"--also: {text!r} is not known. Allowed are: {', '.join(NAMES)}.")
        if at and name not in SPENDING:
            raise UserError(f"--also: {text!r}: {name} takes no budget. Leave it out.")
        if colon and name not in (AFTER_TOWER, *SPENDING):
            raise UserError(f"--also: {text!r}: {name} takes no arm. Leave it out.")
        if colon and not partner:
            raise UserError(f"--also: {text!r}: names no arm behind its colon.")
        if at and colon:
            raise UserError(f"--also: {text!r}: {name} takes a budget or an arm. Leave one out.")
        if name == AFTER_TOWER:
            found += [make_variant(name, base=arm) for arm in _gazing(text, partner, arms)]
        elif colon:
            found += [make_variant(name, partner=arm) for arm in _gazing(text, partner, arms)]
        elif name in SPENDING:
            ratios = [_ratio(text, budget)] if at else budgets or (DEFAULT_BUDGET,)
            found += [make_variant(name, budget=ratio) for ratio in ratios]
        else:
            found.append(make_variant(name))
    return tuple({arm.name: arm for arm in found}.values())


def missing_variants(
    arms: Sequence[ArmSettings], known: Sequence[Variant]
) -> tuple[ArmSettings, ...]:
    """What still has to stand beside gaze arms, beside `evaluators.arms.missing_controls`.

    Args:
        arms: All of the command.
        known: Variants that the model knows.
    """
    needed = [
        make_variant(variant, partner=lead)
        for lead in leads_of([arm for arm in arms if arm.variant is None])
        for variant in REQUIRED
        if variant in known
    ]
    names = {arm.name for arm in arms}
    return tuple(arm for arm in needed if arm.name not in names)


def make_variant(
    variant: Variant,
    *,
    base: ArmSettings | None = None,
    partner: ArmSettings | None = None,
    budget: float | None = None,
) -> ArmSettings:
    """One variant, with what tables must say of it.

    Args:
        variant: Which one.
        base: The gaze arm that is pruned after the tower.
        partner: The gaze arm that says how many tokens may be spent.
        budget: Share of the native tokens, of variants that need one and have no partner.

    Raises:
        UserError: The partner copies another one itself.
    """
    note = (NOTES[variant],) if variant in NOTES else ()
    if base is not None:
        notes = tuple(dict.fromkeys((*base.notes, *note)))
        return base.model_copy(update={"variant": variant, "notes": notes})
    if partner is not None:
        if ":" in str(partner.selector):
            raise UserError(f"--also: {partner.name} copies another arm. Name that one.")
        return ArmSettings(
            gaze="off",
            variant=variant,
            partner=partner.selector,
            weights=partner.weights,
            budget=partner.budget,
            threshold=partner.threshold,
            notes=note,
        )
    return ArmSettings(gaze="off", variant=variant, budget=budget, notes=note)


def to_generation_kwargs(arm: ArmSettings) -> dict[str, Any]:
    """What a task sends beside `evaluators.arms.to_generation_kwargs`."""
    if arm.variant is None:
        return {}
    spends: dict[str, Any] = {} if arm.budget is None else {"budget": arm.budget}
    if arm.partner is not None:
        partner = partner_of(arm)
        assert partner is not None
        sent = gazing_arms.to_generation_kwargs(partner)
        spends = {"partner": sent.pop("selector"), **sent, "gaze": "off"}
    return {"variant": arm.variant, **spends}


def from_generation_kwargs(arm: ArmSettings, kwargs: Mapping[str, Any]) -> ArmSettings:
    """The arm of `evaluators.arms.from_generation_kwargs` as the variant that the task asks for.

    Raises:
        UserError: There is no such variant.
    """
    variant = kwargs.get("variant")
    if variant is None:
        return arm
    if variant not in NAMES or (variant == AFTER_TOWER) != (arm.gaze == "on"):
        raise UserError(f"generation_kwargs: variant {variant!r} with gaze {arm.gaze!r}.")
    if variant == AFTER_TOWER:
        return make_variant(variant, base=arm)
    if "partner" in kwargs:
        sent = {**kwargs, "gaze": "on", "selector": kwargs["partner"]}
        return make_variant(variant, partner=gazing_arms.from_generation_kwargs(sent))
    needs_budget = variant in SPENDING
    budget = _ratio(f"{variant}@", str(kwargs.get("budget"))) if needs_budget else None
    return make_variant(variant, budget=budget)


def _gazing(text: str, partner: str, arms: Sequence[ArmSettings]) -> list[ArmSettings]:
    """The gaze arm of a name, or all where none is named."""
    gazing = {arm.name: arm for arm in arms if arm.gaze == "on"}
    wanted = [partner] if partner else list(gazing)
    if not gazing or not set(wanted) <= set(gazing):
        raise UserError(
            f"--also: {text!r}: names no gaze arm of this command. "
            f"They are: {', '.join(gazing) or 'none'}."
        )
    return [gazing[name] for name in wanted]


def _ratio(text: str, budget: str) -> float:
    try:
        ratio = float(budget)
    except ValueError:
        ratio = 0.0
    if not 0 < ratio <= 1:
        raise UserError(f"--also: {text!r}: the budget is out of range. Allowed are (0, 1].")
    return ratio
