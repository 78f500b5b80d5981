"""Which selectors are installed, and what a name on a command line means."""

import functools
import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gaze.selectors.privileged import BUILT_IN
from gaze.selectors.protocol import Privileged, Selector, SelectorInfo, describe
from hlvid.errors import UserError
from hlvid.files import sha256_file

GROUP = "hlvid.selectors"
_OWN = "gaze"


@functools.cache
def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in sorted(
        importlib.metadata.entry_points(group=GROUP), key=lambda e: (e.name, e.value)
    ):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise UserError(
                f"selector {entry.name!r}: two installed packages provide it ({other.value} and "
                f"{entry.value}). Uninstall one."
            )
    return found


@functools.cache
def load(name: str) -> Selector | Privileged:
    """The selector of a name; what follows a colon is its partner's.

    Raises:
        UserError: There is none, it cannot be imported, or it asks for a privilege that it has not.
    """
    base = name.partition(":")[0]
    entry = _entry_points().get(base)
    if entry is None:
        raise UserError(
            f"selector {base!r} is not known. Installed are: {', '.join(sorted(_entry_points()))}."
        )
    try:
        loaded = entry.load()
        found = describe(base, loaded)
    except Exception as error:  # a package of others, which may fail in any way
        raise UserError(
            f"selector {base!r}: {entry.value} cannot be loaded ({type(error).__name__}: {error}). "
            "Reinstall the package that provides it."
        ) from error
    info = found.info
    is_given = info.is_privileged or info.needs_partner or info.needs_donor
    if (is_given or isinstance(found, Privileged)) and not any(loaded is one for one in BUILT_IN):
        raise UserError(
            f"selector {base!r}: {entry.value} asks for evidence, a partner or a donor. "
            "Only built-in selectors are given these."
        )
    if entry.module.partition(".")[0] == _OWN:
        return found
    code = _code(entry)
    notes = (*info.notes, f"from {code}")
    return replace(found, info=replace(info, code=code, notes=notes))


def _code(entry: importlib.metadata.EntryPoint) -> str:
    """What tells a package's selector from another of its name, as far as one file can."""
    package = (
        "an unnamed package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    )
    source = Path(getattr(sys.modules.get(entry.module), "__file__", None) or "")
    return f"{package} ({source.name} {sha256_file(source)[:12]})" if source.is_file() else package


def list_selectors() -> dict[str, SelectorInfo]:
    """All installed selectors by name; one that cannot be loaded says so in its notes."""
    found: dict[str, SelectorInfo] = {}
    for name in sorted(_entry_points()):
        try:
            found[name] = load(name).info
        except UserError as error:
            found[name] = SelectorInfo(name, "cannot be loaded", notes=(str(error),))
    return found


def name_partner(name: str, selectors: Sequence[str]) -> str:
    """Complete a selector's name by its partner's: 'random-matched' -> 'random-matched:autogaze'.

    A bare name takes the first selector of the command that is no control. Where all are controls,
    it takes the first that needs no partner itself. Any other selector with a budget may name a
    partner too, and then spends what that one kept of the video: 'detail:autogaze'. Such a one
    stands for its partner: that is whose counts are to be copied.

    Args:
        name: As typed. One that needs no partner comes back unchanged.
        selectors: All selectors of the command, in the order typed.

    Raises:
        UserError: There is nothing to be partner of, or the partner named needs one itself.
    """
    base, _, partner = name.partition(":")
    info = load(base).info
    if partner:
        of = load(partner).info
        if of.needs_partner or of.needs_donor:
            raise UserError(f"selector {name!r}: {partner} needs a partner itself. Name another.")
        if not info.takes_budget:
            raise UserError(f"selector {name!r}: {base} takes no partner. Write {base!r}.")
        return name
    if not (info.needs_partner or info.needs_donor):
        return name
    leads = [other.partition(":")[2] or other for other in selectors]
    infos = [(lead, load(lead).info) for lead in leads]
    able = [(lead, of) for lead, of in infos if not (of.needs_partner or of.needs_donor)]
    if not able:
        raise UserError(
            f"selector {name!r}: no selector to go with. Name one, such as '{base}:detail'."
        )
    first = next((lead for lead, of in able if not of.is_control), able[0][0])
    return f"{base}:{first}"
