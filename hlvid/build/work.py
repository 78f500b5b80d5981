"""The work folder: what was done, what is to do, and what came of it, under the spec of now.

    WORK/journal/STAGE/0-of-1.jsonl   what was done, one file a shard; the truth
    WORK/manifests/STAGE.jsonl        what came of it, in order of id; made from the journals
    WORK/media/sha256/ab/abcd...      the store
    WORK/tombstones.jsonl             what was taken down
    WORK/packs/ID.json                 what was handed out to whom, to know it again
    WORK/scratch/                     unfinished files; may be deleted while nothing runs

Entries are what the journals hold of the tasks that the spec of now asks for: after a change of the
spec, what it does not touch is still done.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from hlvid.build import journal
from hlvid.build.codes import CODES, State
from hlvid.build.records import Clip, Entry, Media, Output
from hlvid.build.spec import Spec, read_spec
from hlvid.build.stage import Bench, Item, Stage, Task
from hlvid.build.store import Store
from hlvid.errors import UserError
from hlvid.files import (
    canonical_json,
    digest_records,
    id_order,
    parse_record,
    read_jsonl,
    sha256_file,
    write_jsonl,
)
from hlvid.locking import locked
from hlvid.types import Identifier, Record

TOMBSTONES_FILE = "tombstones.jsonl"

I = TypeVar("I", bound=BaseModel)  # noqa: E741
O = TypeVar("O", bound=Output)  # noqa: E741


class Tombstone(Record):
    """Something that was taken down."""

    id: Identifier
    """Of a candidate or a clip."""
    reason: str
    media: tuple[Media, ...]
    """What was removed for it, and may not come back."""
    candidate: Identifier | None = None
    """Of a clip: the source whose moment may not come back, however it is cut."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    """The moment, on the source's clock; half-open."""

    def holds(self, item: Item[Any]) -> bool:
        """Whether an item is what was taken down, comes from it, or shows it."""
        if self.id in (item.id, item.candidate):
            return True
        clip = item.input
        if not isinstance(clip, Clip):
            return False
        return clip.file in self.media or (
            item.candidate == self.candidate and self.overlaps(clip.span)
        )

    def overlaps(self, span: tuple[float, float]) -> bool:
        """Whether a stretch of the candidate shows some of the moment."""
        if self.start_seconds is None or self.end_seconds is None:
            return False
        return span[0] < self.end_seconds and self.start_seconds < span[1]


class Work:
    """A work folder under a spec.

    Args:
        folder: Made when something is first written.
        spec: The rules of now.
        spec_folder: What paths in the spec are relative to.
        beneath: A work folder whose media are read where this one has none.
        cookies: See `Bench`.
        accept_equivalent: See `Bench`.
    """

    def __init__(
        self,
        folder: Path,
        spec: Spec,
        *,
        spec_folder: Path,
        beneath: "Work | None" = None,
        cookies: Path | None = None,
        accept_equivalent: bool = False,
    ) -> None:
        self.folder = folder
        self.spec = spec
        self._beneath = beneath
        self._spec_folder = spec_folder
        self._cookies = cookies
        self._accept_equivalent = accept_equivalent
        self.reload()
        self._tasks: dict[str, list[Task[Any]]] = {}
        self._lines: dict[str, dict[str, journal.Line]] = {}
        self._entries: dict[str, list[Entry[Any]]] = {}

    def reload(self) -> None:
        """Look again at what was taken down."""
        self.tombstones = _read_tombstones(self.folder)
        self.banned = frozenset(m.sha256 for t in self.tombstones.values() for m in t.media)
        self.store: Store = Store(
            self.folder / "media",
            beneath=self._beneath.store if self._beneath else None,
            banned=self.banned,
        )
        self.bench = Bench(
            self.folder,
            self.spec,
            self._spec_folder,
            self.store,
            self._cookies,
            self._accept_equivalent,
        )

    @classmethod
    def open(
        cls,
        folder: Path,
        spec_path: Path,
        *,
        cookies: Path | None = None,
        accept_equivalent: bool = False,
    ) -> "Work":
        """Read the spec and look at what was done.

        Raises:
            UserError: The spec, or a file of the folder, is not in order.
        """
        spec = read_spec(spec_path)
        return cls(
            folder,
            spec,
            spec_folder=spec_path.absolute().parent,
            cookies=cookies,
            accept_equivalent=accept_equivalent,
        )

    def journal_folder(self, stage: Stage[Any, Any]) -> Path:
        """Where a stage's journals lie."""
        return self.folder / "journal" / stage.name

    def tasks(self, stage: Stage[I, Any]) -> list[Task[I]]:
        """What the stage is to do or has done, in the order of ids; what was taken down too.

        Raises:
            UserError: Two items have one id.
        """
        if stage.name not in self._tasks:
            parameters = stage.parameters(self.spec)
            items = sorted(stage.inputs(self), key=lambda item: id_order(item.id))
            for one, other in itertools.pairwise(items):
                if one.id == other.id:
                    raise UserError(f"{stage.name}: item {one.id} is there twice.", exit_code=1)
            self._tasks[stage.name] = [Task(stage, item, parameters) for item in items]
        return self._tasks[stage.name]

    def lines(self, stage: Stage[Any, Any]) -> dict[str, journal.Line]:
        """What the journals hold of a stage, by task, of earlier specs too."""
        if stage.name not in self._lines:
            self._lines[stage.name] = journal.read(self.journal_folder(stage))
        return self._lines[stage.name]

    def entries(self, stage: Stage[Any, O]) -> list[Entry[O]]:
        """How the stage ended for each item that it is done with, in the order of ids."""
        if stage.name not in self._entries:
            lines = self.lines(stage)
            self._entries[stage.name] = [
                entry for task in self.tasks(stage) if (entry := self._entry(task, lines))
            ]
        return self._entries[stage.name]

    def passed(self, stage: Stage[Any, O]) -> Iterator[tuple[Item[Any], O]]:
        """The items that passed a stage, each with what came of it."""
        items = {task.item.id: task.item for task in self.tasks(stage)}
        for entry in self.entries(stage):
            if entry.output is not None:
                yield items[entry.item], entry.output

    def todo(
        self,
        stage: Stage[I, Any],
        *,
        retry: Sequence[str] = (),
        only: str | None = None,
        anew: frozenset[str] = frozenset(),
    ) -> list[Task[I]]:
        """What is left to do: never done, worth another try, or its media are gone.

        Args:
            stage: The stage.
            retry: Codes that are tried again although they would not be.
            only: An item, or a candidate; None for all.
            anew: Candidates that are done again although they passed.
        """
        known = {entry.item: entry for entry in self.entries(stage)}
        wanted = [
            task for task in self.tasks(stage) if only in (None, task.item.id, task.item.candidate)
        ]
        return [
            task
            for task in wanted
            if self._is_open(known.get(task.item.id), retry)
            or (task.item.candidate in anew and self.tombstone_of(task.item) is None)
        ]

    def num_pending(self, stage: Stage[Any, Any]) -> int:
        """Items that the stage, or one before it, has not ended for."""
        before = self.num_pending(stage.after) if stage.after else 0
        return before + len(self.tasks(stage)) - len(self.entries(stage))

    def tombstone_of(self, item: Item[Any]) -> Tombstone | None:
        """What was taken down that an item is, comes from or shows; None for nothing."""
        return next((tomb for tomb in self.tombstones.values() if tomb.holds(item)), None)

    def refresh(self) -> None:
        """Forget what was read, after something was done."""
        self._tasks.clear()
        self._lines.clear()
        self._entries.clear()

    def publish(self, stage: Stage[Any, Any]) -> str:
        """Write the stage's manifest from the journals; its digest.

        Of processes that publish at once, the last one sees what all have done.
        """
        with self.locked("publish"):
            self.refresh()
            entries, path = self.entries(stage), self.manifest_path(stage)
            sha256 = digest_records(entries)
            if not path.is_file() or sha256_file(path) != sha256:
                write_jsonl(path, entries)
        return sha256

    def manifest_path(self, stage: Stage[Any, Any]) -> Path:
        """Where the stage's manifest is written."""
        return self.folder / "manifests" / f"{stage.name}.jsonl"

    def bury(self, tombstones: Sequence[Tombstone]) -> None:
        """Note what was taken down, all at once; call it before the media are removed."""
        with self.locked("tombstones"):
            known = _read_tombstones(self.folder) | {tomb.id: tomb for tomb in tombstones}
            ordered = [known[key] for key in sorted(known, key=id_order)]
            write_jsonl(self.folder / TOMBSTONES_FILE, ordered)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a lock of the folder against other processes."""
        with locked(self.folder / f".{name}.lock"):
            yield

    def _entry(self, task: Task[Any], lines: dict[str, journal.Line]) -> Entry[Any] | None:
        if tomb := self.tombstone_of(task.item):
            return Entry[Any](
                item=task.item.id,
                candidate=task.item.candidate,
                task=task.key,
                state=State.TOMBSTONED,
                code="takedown",
                detail=tomb.reason,
            )
        line = lines.get(task.key)
        if line is None:
            return None
        type_ = Entry[task.stage.output]  # type: ignore[name-defined]
        where = f"journal of {task.stage.name}, item {task.item.id}"
        return parse_record(canonical_json(line.entry), type_, where=where)

    def _is_open(self, entry: Entry[Any] | None, retry: Sequence[str]) -> bool:
        if entry is None:
            return True
        if entry.output is not None:
            return not all(self.store.has(media) for media in entry.output.media())
        code = entry.code or ""
        return code != "takedown" and (CODES[code].is_retried or code in retry)


def all_media(entries: Iterable[Entry[Any]]) -> list[Media]:
    """The objects of the store that some entries name."""
    return [m for e in entries if e.output is not None for m in e.output.media()]


def _read_tombstones(folder: Path) -> dict[str, Tombstone]:
    path = folder / TOMBSTONES_FILE
    if not path.exists():
        return {}
    return {tomb.id: tomb for tomb in read_jsonl(path, Tombstone, may_be_empty=True)}
