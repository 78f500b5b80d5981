"""Arms: one gaze setting each, as typed on a command line, as named in tables, as sent to a model.

An arm is written the same way everywhere: `detail@0.1`, `random-matched:detail@0.1#3`. On the
command line its budget, threshold and seed may be left out, and `#0-4` means five seeds. Weights
are no part of the name: all arms of a command, and all that lie in one folder, share theirs.
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from gaze.checkpoint import find_checkpoint
from gaze.selectors import SelectorInfo, list_selectors, name_partner
from hlvid.errors import UserError
from hlvid.types import ArmSettings

DEFAULT_SELECTOR = "autogaze"
"""What gaze means where no selector is named."""
DEFAULT_BUDGET = 0.1
"""Of every selector that cannot stop by itself."""
REQUIRED_CONTROLS = {"random-matched": 5, "transplanted": 1, "change": 1, "detail": 1, "text": 1}
"""Controls behind the sentence 'gaze helps', and how many seeds of each, from 0."""

OFF = ArmSettings(gaze="off")

Gaze = Literal["off", "on", "both"]
Limits = tuple[float | None, float | None]
"""Budget and threshold."""

_WRITTEN = re.compile(
    r"(?P<selector>[^@+#\s]+)(?:@(?P<budget>[^+#\s]+))?(?:\+(?P<threshold>[^#\s]+))?"
    r"(?:#(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9}))?)?"
)
_MAX_SEEDS = 1000


def plan_arms(
    gaze: Gaze,
    selectors: Sequence[str],
    *,
    budgets: Sequence[float] = (),
    threshold: float | None = None,
    weights: str | None = None,
) -> tuple[ArmSettings, ...]:
    """All arms that a command asks for, each once, `off` first.

    Args:
        gaze: 'off' alone, the selectors' arms alone ('on'), or 'both'.
        selectors: As typed: 'detail', 'random-matched:detail', 'random-matched@0.1#0-4'. None are
            AutoGaze.
        budgets: For the selectors that take one and name none; the default where there are none. A
            copying control that names none has those of the arms it copies.
        threshold: For the selectors that take one and name none.
        weights: For the selectors that are models; their own default where None is given.

    Raises:
        MissingWeights: A selector's weights cannot be had.
        UserError: A selector, budget or threshold is not allowed, or gaze and selectors disagree.
    """
    if gaze == "off":
        if selectors:
            raise UserError(
                f"--selector: {','.join(selectors)} with --gaze off. Use --gaze on or both."
            )
        return (OFF,)
    parsed = [_parse(text) for text in selectors or (DEFAULT_SELECTOR,)]
    bases = [written["selector"] for written in parsed]
    arms = [OFF] if gaze == "both" else []
    for name, limits, seeds in _limited(parsed, bases, budgets=budgets, threshold=threshold):
        own = weights if _has_weights(name) else None
        arms += [
            make_arm(name, budget=budget, threshold=limit, seed=seed, weights=own)
            for budget, limit in limits
            for seed in seeds
        ]
    if weights is not None and all(arm.weights is None for arm in arms):
        raise UserError(f"--gaze-weights: none of {', '.join(bases)} has any. Leave them out.")
    if threshold is not None and all(arm.threshold is None for arm in arms):
        raise UserError(f"--threshold: none of {', '.join(bases)} takes one. Leave it out.")
    return tuple({arm.name: arm for arm in arms}.values())


def make_arm(
    selector: str,
    *,
    budget: float | None,
    threshold: float | None = None,
    seed: int = 0,
    weights: str | None = None,
) -> ArmSettings:
    """One gaze arm, checked against what its selector, and the one it copies, can do.

    Its weights are pinned: by what they held now, they will be told from any others.

    Raises:
        MissingWeights: The weights cannot be had.
        UserError: The selector is not known, or budget and threshold do not suit it.
    """
    info = list_selectors()[known(selector).partition(":")[0]]
    lead = leading(selector)
    own_weights = info.weights or lead.weights
    if weights is not None and own_weights is None:
        raise UserError(f"selector {selector}: has no weights ({weights}). Leave them out.")
    if info.needs_donor and lead.is_privileged:
        raise UserError(f"selector {selector}: what {lead.name} keeps cannot be transplanted.")
    for name, value, is_taken, is_needed in (
        ("budget", budget, lead.takes_budget, lead.needs_budget),
        ("threshold", threshold, lead.takes_threshold, lead.needs_threshold),
    ):
        if value is None and is_needed:
            raise UserError(f"selector {selector}: needs a {name}. Add --{name}.")
        if value is not None and not is_taken:
            raise UserError(f"selector {selector}: takes no {name} ({value:g}). Leave it out.")
    if budget is not None and not 0 < budget <= 1:
        raise UserError(f"--budget: {budget:g} is out of range. Allowed are ratios in (0, 1].")
    if threshold is not None and not math.isfinite(threshold):
        raise UserError(f"--threshold: {threshold:g}. Allowed is a finite number.")
    return ArmSettings(
        gaze="on",
        selector=selector,
        weights=own_weights and find_checkpoint(weights or own_weights).pinned,
        budget=budget,
        threshold=threshold,
        seed=seed,
        mapping=lead.mapping,
        privileged=info.is_privileged or lead.is_privileged,
        notes=tuple(dict.fromkeys((*info.notes, *lead.notes))),
    )


def partner_of(arm: ArmSettings) -> ArmSettings | None:
    """The arm whose choice another copies: the same weights and limits, first seed."""
    partner = arm.partner or (arm.selector or "").partition(":")[2]
    if not partner:
        return None
    has_weights = list_selectors()[partner].weights is not None
    return ArmSettings(
        gaze="on",
        selector=partner,
        weights=arm.weights if has_weights else None,
        budget=arm.budget,
        threshold=arm.threshold,
    )


def pins(arm: ArmSettings) -> dict[str, str]:
    """What tells an arm's selectors from others of their names: weights, and code of others.

    Returns:
        Of models the checkpoint by 'weights DEFAULT'; of other packages' their code by name.
    """
    of_partner = arm.partner or (arm.selector or "").partition(":")[2]
    names = filter(None, ((arm.selector or "").partition(":")[0], of_partner))
    infos = [info for name in names if (info := list_selectors().get(name)) is not None]
    weights = {
        f"weights {one.weights}": arm.weights for one in infos if one.weights and arm.weights
    }
    return weights | {f"selector {one.name}": one.code for one in infos if one.code}


def leading(selector: str) -> SelectorInfo:
    """About the selector whose choice decides: a copying one's partner, else itself."""
    base, _, partner = selector.partition(":")
    return list_selectors()[partner or base]


def to_generation_kwargs(arm: ArmSettings) -> dict[str, Any]:
    """What a task sends to a model so that it runs this arm. All values survive YAML as strings."""
    kwargs: dict[str, Any] = {"gaze": arm.gaze}
    if arm.selector is not None:
        kwargs |= {"selector": arm.selector, "selector_seed": arm.seed}
        kwargs |= {} if arm.budget is None else {"budget": arm.budget}
        kwargs |= {} if arm.threshold is None else {"threshold": arm.threshold}
        kwargs |= {} if arm.weights is None else {"gaze_weights": arm.weights}
    return kwargs


def from_generation_kwargs(kwargs: Mapping[str, Any]) -> ArmSettings:
    """The arm that a task asks for; without `gaze` it is off.

    Raises:
        UserError: `gaze` is no string (bare on and off are booleans in YAML), or the arm is not
            allowed.
    """
    gaze = kwargs.get("gaze", "off")
    if gaze not in ("on", "off") or not isinstance(gaze, str):
        raise UserError(
            f"generation_kwargs: gaze is {gaze!r}. Allowed are the strings 'on' and 'off'; in YAML "
            "they need quotes."
        )
    if gaze == "off":
        return OFF
    selector = kwargs.get("selector")
    if not isinstance(selector, str):
        raise UserError(
            f"generation_kwargs: selector is {selector!r}. {_allowed(list_selectors())}"
        )
    weights = kwargs.get("gaze_weights")
    if not isinstance(weights, str | None):
        raise UserError(f"generation_kwargs: gaze_weights is {weights!r}. Allowed is a string.")
    return make_arm(
        selector,
        budget=_number("budget", kwargs.get("budget")),
        threshold=_number("threshold", kwargs.get("threshold")),
        seed=int(_number("selector_seed", kwargs.get("selector_seed")) or 0),
        weights=weights,
    )


def missing_controls(arms: Sequence[ArmSettings]) -> list[str]:
    """What still has to stand beside these arms before anyone may say that gaze helps.

    Every one of `leads_of` needs its own. They name it as their partner, because then they spend
    what it kept, also where that is less than its budget.

    Returns:
        Selectors as `--selector` takes them: those of the arms first, then the required ones.
    """
    typed = [arm.name for arm in arms if arm.selector is not None]
    for lead in leads_of(arms):
        for control, num_seeds in REQUIRED_CONTROLS.items():
            if control == lead.selector or control not in list_selectors():
                continue
            copy = lead.model_copy(update={"selector": f"{control}:{lead.selector}"})
            seeded = [copy.model_copy(update={"seed": seed}).name for seed in range(num_seeds)]
            if left := [seed for seed, name in enumerate(seeded) if name not in typed]:
                seeds = f"#{left[0]}-{left[-1]}" if left[-1] else ""
                typed.append(f"{copy.name}{seeds}")
    return typed


def leads_of(arms: Sequence[ArmSettings]) -> list[ArmSettings]:
    """The gaze arms of which something is to be said: each limit once, whatever its seeds.

    Those whose selector is no control; where all are controls, those of the first.
    """
    infos = list_selectors()
    gazing = [arm.model_copy(update={"seed": 0}) for arm in arms if arm.selector is not None]
    alone = [arm for arm in gazing if ":" not in str(arm.selector) and not arm.privileged]
    able = [arm for arm in alone if not infos[str(arm.selector)].is_control]
    leads = able or [arm for arm in alone if arm.selector == alone[0].selector]
    return list({arm.name: arm for arm in leads}.values())


def known(selector: str) -> str:
    """The selector's name unchanged, if it and its partner are installed.

    Raises:
        UserError: It is not; the sentence names the nearest and all others.
    """
    infos = list_selectors()
    for name in selector.split(":", 1):
        if name not in infos:
            near = difflib.get_close_matches(name, infos, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UserError(f"--selector: {name!r} is not known. {hint}{_allowed(infos)}")
    return selector


def _parse(text: str) -> dict[str, Any]:
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise UserError(
            f"--selector: {text!r} cannot be read. Allowed is NAME[:PARTNER][@BUDGET][+THRESHOLD]"
            "[#SEED or #FIRST-LAST], several separated by commas."
        )
    first = int(match["first"] or 0)
    last = int(match["last"] or first)
    if not first <= last < first + _MAX_SEEDS:
        raise UserError(f"--selector: {text!r} asks for no seeds, or more than {_MAX_SEEDS}.")
    return {
        "selector": match["selector"],
        "budget": _number("--budget", match["budget"]),
        "threshold": _number("--threshold", match["threshold"]),
        "seeds": range(first, last + 1),
    }


def _limited(
    parsed: Sequence[Mapping[str, Any]],
    bases: Sequence[str],
    *,
    budgets: Sequence[float],
    threshold: float | None,
) -> Iterator[tuple[str, Sequence[Limits], Sequence[int]]]:
    """Every selector's full name, limits and seeds.

    One that copies a selector of the command, and names no limits, has all limits of that one; if
    only other copies of it are in the command, those of these.
    """
    named = [(name_partner(known(written["selector"]), bases), written) for written in parsed]
    own = [_limits(name, one, budgets=budgets, threshold=threshold) for name, one in named]
    alone: dict[str, list[Limits]] = {}
    copies: dict[str, list[Limits]] = {}
    for (name, written), limits in zip(named, own, strict=True):
        partner = name.partition(":")[2]
        if not partner:
            alone.setdefault(name, []).extend(limits)
        elif not _is_bare(written):
            copies.setdefault(partner, []).extend(limits)
    for (name, written), limits in zip(named, own, strict=True):
        partner = name.partition(":")[2]
        copied = (alone.get(partner) or copies.get(partner)) if _is_bare(written) else None
        yield name, copied or limits, written["seeds"]


def _is_bare(written: Mapping[str, Any]) -> bool:
    return written["budget"] is None and written["threshold"] is None


def _limits(
    name: str,
    written: Mapping[str, Any],
    *,
    budgets: Sequence[float],
    threshold: float | None,
) -> list[Limits]:
    lead = leading(name)
    ratios: Sequence[float | None] = [written["budget"]]
    if written["budget"] is None and lead.takes_budget:
        ratios = budgets or [DEFAULT_BUDGET if lead.needs_budget else None]
    limit = written["threshold"]
    if limit is None and lead.takes_threshold:
        limit = threshold
    return [(ratio, limit) for ratio in ratios]


def _has_weights(name: str) -> bool:
    own = list_selectors()[name.partition(":")[0]]
    return bool(leading(name).weights or own.weights)


def _number(name: str, value: object) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(f"{name}: {value!r} is not a number.") from None


def _allowed(infos: Mapping[str, SelectorInfo]) -> str:
    return f"The selectors are: {', '.join(infos)}."
