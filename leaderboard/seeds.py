"""Runs of one arm that differ by the seed of its draws alone."""

from collections.abc import Sequence

from hlvid.files import digest
from hlvid.types import RunRecord
from leaderboard.entries import Entry


def arm_key(record: RunRecord) -> str:
    """What runs of one arm have in common, whatever their seed or repeat."""
    settings = record.model_dump(mode="json", include={"model", "arm", "frames", "generation"})
    settings["arm"]["seed"] = 0
    return digest(settings)


def further_seeds(entries: Sequence[Entry]) -> dict[str, str]:
    """Runs for which one of a lower seed stands, by their page's name: why they have no rank.

    An arm has one rank, however often it was drawn.
    """
    lowest: dict[tuple[str, ...], Entry] = {}
    keys = {entry.slug: _place(entry) for entry in entries if not entry.unranked_because}
    for entry in entries:
        if (key := keys.get(entry.slug)) is None:
            continue
        known = lowest.get(key)
        if known is None or entry.record.arm.seed < known.record.arm.seed:
            lowest[key] = entry
    return {
        entry.slug: f"ranked by its lowest seed, {lowest[keys[entry.slug]].record.arm.seed}"
        for entry in entries
        if entry.slug in keys and lowest[keys[entry.slug]] is not entry
    }


def _place(entry: Entry) -> tuple[str, ...]:
    record = entry.record
    return record.benchmark.questions_sha256, record.group_id, arm_key(record)
