"""The proof: everything that can be made again is made again, and must come out the same.

What the network said is taken as it was noted; what was computed from it is computed anew, in a
folder of its own that is removed at the end.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hlvid.build.engine import run_stage
from hlvid.build.records import Entry
from hlvid.build.stage import Stage
from hlvid.build.stages import STAGES
from hlvid.build.work import TOMBSTONES_FILE, Work, all_media

FOLDER = "rebuild"


@dataclass(frozen=True)
class Rebuilt:
    """What came of it.

    Args:
        num_entries: That were compared.
        differences: One sentence each; none where everything is the same.
    """

    num_entries: int
    differences: tuple[str, ...]


def rebuild(work: Work, *, num_workers: int, tell: Callable[[str], None] | None = None) -> Rebuilt:
    """Make all stages but the network's again and compare.

    Args:
        work: Left as it is.
        num_workers: Processes; 0 to do all of it in this one.
        tell: Called with the name of each stage before it is made.

    Raises:
        UserError: A stage stopped.
    """
    folder = work.folder / FOLDER
    with work.locked("rebuild"):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            return _compared(work, _empty_copy(work), num_workers, tell)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _empty_copy(work: Work) -> Work:
    """A work folder that knows what the network said, and nothing else."""
    folder = work.folder / FOLDER
    folder.mkdir(parents=True)
    tombstones = work.folder / TOMBSTONES_FILE
    if tombstones.exists():
        shutil.copyfile(tombstones, folder / TOMBSTONES_FILE)
    for stage in STAGES:
        source = work.journal_folder(stage)
        if stage.runs_on == "network" and source.is_dir():
            shutil.copytree(source, folder / "journal" / stage.name)
    return Work(folder, work.spec, spec_folder=work.bench.spec_folder, beneath=work)


def _compared(
    work: Work, again: Work, num_workers: int, tell: Callable[[str], None] | None
) -> Rebuilt:
    num_entries = 0
    differences: list[str] = []
    for stage in STAGES:
        if tell:
            tell(stage.name)
        if stage.runs_on == "network":
            differences += _changed_media(work, stage)
        else:
            run_stage(again, stage, num_workers=num_workers)
        before = {entry.item: entry for entry in work.entries(stage)}
        after = {entry.item: entry for entry in again.entries(stage)}
        num_entries += len(before)
        for item in sorted({*before, *after}):
            if before.get(item) != after.get(item):
                what = _difference(before.get(item), after.get(item))
                differences.append(f"{stage.name}: {item}: {what}")
    return Rebuilt(num_entries, tuple(differences))


def _changed_media(work: Work, stage: Stage[Any, Any]) -> list[str]:
    """What was fetched cannot be made again, but its digest can."""
    return [
        f"{stage.name}: {entry.item}: its bytes have changed"
        for entry in work.entries(stage)
        for media in all_media([entry])
        if media.sha256 not in work.banned and not work.store.is_sound(media)
    ]


def _difference(before: Entry[Any] | None, after: Entry[Any] | None) -> str:
    if before is None:
        return "was not there"
    if after is None:
        return "does not come again"
    if before.state != after.state:
        return f"was {before.state} {before.code or ''}, is {after.state} {after.code or ''}"
    one, other = (e.model_dump(mode="json") for e in (before, after))
    names = [name for name in one if one[name] != other[name]]
    if names == ["output"] and before.output is not None:
        names = [f"output.{n}" for n in one["output"] if one["output"][n] != other["output"][n]]
    return f"differs in {', '.join(names)}"
