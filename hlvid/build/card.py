"""The dataset card and the changelog: pages made of manifests, with everything in them escaped."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hlvid.build.lock import LockLine
from hlvid.build.set_rules import PackageRules
from hlvid.build.work import Tombstone
from hlvid.files import id_order

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~&-])")
_TAG = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def escaped(text: str) -> str:
    """Words from outside on a Markdown page: no markup, no table cell, no line of their own."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def card(
    *,
    name: str,
    version: str,
    rules: PackageRules,
    facts: Mapping[str, Any],
    tombstones: Sequence[Tombstone],
    lines: Sequence[LockLine],
    canary: str,
) -> str:
    """The card.

    Args:
        name: Of the set.
        version: Of the set.
        rules: What the spec says of it.
        facts: As `hlvid.build.facts` gives them.
        tombstones: What was taken down.
        lines: Of the lock.
        canary: What tells that a model has read the set.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Markdown, not HTML: what comes from outside goes through `escaped`.
    page = Environment(
        loader=PackageLoader("hlvid.build", ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    page.filters["md"] = escaped
    tag = rules.license.lower()
    return page.get_template("card.md.j2").render(
        title=rules.title or name,
        description=rules.description,
        limitations=rules.limitations,
        contact=rules.contact,
        license_tag=tag if _TAG.fullmatch(tag) else "other",
        size_category=next((s for n, s in _SIZES if facts["num_questions"] < n), "n>100K"),
        version=version,
        splits=sorted(facts["splits"]),
        facts=facts,
        kinds=sorted(
            {kind for each in facts["audit"].values() for kind in each["shares"]}, key=id_order
        ),
        tombstones=tombstones,
        changelog=changelog(lines, rules, version),
        canary=canary,
        table=_table,
        share=_share,
        number=lambda value: "unknown" if value is None else f"{value:.3f}",
        interval=_interval,
    )


def changelog(lines: Sequence[LockLine], rules: PackageRules, version: str) -> str:
    """What happened in each version up to that of the package, newest first."""
    found = []
    by_version = [(v, list(g)) for v, g in itertools.groupby(lines, key=lambda line: line.version)]
    if lines and lines[-1].version != version:
        by_version.append((version, []))
    for name, group in by_version:
        events: dict[str, list[LockLine]] = {}
        for line in group:
            events.setdefault(line.event, []).append(line)
        text = f"### {name}\n\n"
        if said := rules.changes.get(name):
            text += f"{escaped(said)}\n\n"
        for event, each in events.items():
            numbers = ", ".join(str(line.number) for line in each[:20])
            more = f" and {len(each) - 20} more" if len(each) > 20 else ""
            text += f"- {event}: {len(each)} questions ({numbers}{more})\n"
        reasons = sorted({line.reason for line in events.get("withdrawn", []) if line.reason})
        text += "".join(f"  - {escaped(reason)}\n" for reason in reasons)
        if not group:
            text += f"- no question: the lock is that of {lines[-1].version}\n"
        found.append(text)
    return "\n".join(reversed(found))


def _table(title: str, counts: Mapping[str, int]) -> str:
    rows = "".join(f"| {escaped(str(name))} | {number} |\n" for name, number in counts.items())
    return f"| {title} | number |\n|---|--:|\n{rows}" if rows else ""


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _interval(value: Mapping[str, Any]) -> str:
    bounds = value["interval"]
    shown = f"[{bounds[0]:+.3f}, {bounds[1]:+.3f}]" if bounds else "too few videos"
    return f"{value['mean']:+.3f} {shown} (n {value['num_questions']})"
