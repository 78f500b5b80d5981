"""The proof: everything that can be made again is made again, and must come out the same.

What the network said is taken as it was noted; what was computed from it is computed anew, in a
folder of its own that is removed at the end.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hlvid.build.engine import run_stage
from hlvid.build.lock import lock_path, read_lock
from hlvid.build.package import package as make_package
from hlvid.build.package import read_manifest
from hlvid.build.records import Entry
from hlvid.build.report import content_digests
from hlvid.build.stage import Stage
from hlvid.build.stages import STAGES
from hlvid.build.work import TOMBSTONES_FILE, Work, all_media
from hlvid.files import CACHE_VARIABLE

FOLDER = "rebuild"


@dataclass(frozen=True)
class Rebuilt:
    """What came of it.

    Args:
        num_entries: That were compared.
        differences: One sentence each; none where everything is the same.
        digests: Of what was made again: stage, or part of the package, -> digest of its content.
    """

    num_entries: int
    differences: tuple[str, ...]
    digests: Mapping[str, str]


def rebuild(
    work: Work,
    *,
    num_workers: int,
    package: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Rebuilt:
    """Make all stages but the network's again and compare.

    Args:
        work: Left as it is.
        num_workers: Processes; 0 to do all of it in this one.
        package: A package of it, to be made again from the lock too; the lock's splits and letters
            are decided again, from the rules that it holds.
        tell: Called with the name of each stage before it is made.

    Raises:
        UserError: A stage stopped, or the package cannot be read or made.
    """
    folder = work.folder / FOLDER
    with work.locked("rebuild"):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            again = _empty_copy(work)
            with _own_cache(folder / "cache"):
                return _made_again(work, again, num_workers, package, tell)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Forget what earlier commands noted of the store's files: that is to be made again too."""
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[CACHE_VARIABLE]
        else:
            os.environ[CACHE_VARIABLE] = before


def _made_again(
    work: Work,
    again: Work,
    num_workers: int,
    package: Path | None,
    tell: Callable[[str], None] | None,
) -> Rebuilt:
    done = _compared(work, again, num_workers, tell)
    if package is None:
        return done
    if done.differences:
        told = "package: is not made again, since what it is made of differs"
        return replace(done, differences=(*done.differences, told))
    if tell:
        tell("package")
    return _with_package(done, again, package)


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
    return Rebuilt(num_entries, tuple(differences), content_digests(again))


def _with_package(done: Rebuilt, again: Work, package: Path) -> Rebuilt:
    """Make the package again out of what was made again, and the lock's decisions."""
    lock = read_lock(lock_path(again.bench.spec_folder))
    differences = [
        f"split: question {name}: its split or letters do not follow from its rules"
        for name in lock.unfounded()
    ]
    before = read_manifest(package)
    after = make_package(again, again.folder / "package")
    for name in sorted({*before.content_sha256, *after.content_sha256}):
        if before.content_sha256.get(name) != after.content_sha256.get(name):
            differences.append(f"package: {name}: differs")
    if before.made_with == after.made_with:
        differences += [
            f"package: {name}: has other bytes"
            for name in sorted({*before.files, *after.files})
            if before.files.get(name) != after.files.get(name)
        ]
    digests = {f"package {name}": sha256 for name, sha256 in after.content_sha256.items()}
    return Rebuilt(done.num_entries, (*done.differences, *differences), {**done.digests, **digests})


def _changed_media(work: Work, stage: Stage[Any, Any]) -> list[str]:
    """What was fetched cannot be made again, but its digest can."""
    found = []
    for entry in work.entries(stage):
        for media in all_media([entry]):
            if not work.store.has(media):
                found.append(f"{stage.name}: {entry.item}: its file is gone")
            elif media.sha256 not in work.banned and not work.store.is_sound(media):
                found.append(f"{stage.name}: {entry.item}: its bytes have changed")
    return found


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
