"""What a stage is: where its items come from, what decides about their results, and the work."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from hlvid.build.codes import CODES, Ended
from hlvid.build.pacing import Pacer
from hlvid.build.records import Output
from hlvid.build.spec import Spec
from hlvid.build.store import Store
from hlvid.files import digest
from hlvid.locking import lock
from hlvid.types import Record

if TYPE_CHECKING:
    from hlvid.build.work import Work

I = TypeVar("I", bound=BaseModel)  # noqa: E741
O = TypeVar("O", bound=Output)  # noqa: E741


@dataclass(frozen=True)
class Item(Generic[I]):
    """One thing for a stage to do.

    Args:
        id: An `Identifier`; one a stage.
        candidate: The source that it comes from; None before there are candidates.
        input: All that the result depends on beside the stage's parameters. Media by digest.
    """

    id: str
    candidate: str | None
    input: I


@dataclass(frozen=True)
class Stage(Generic[I, O]):
    """A stage: plain functions of a module, so that any process can be handed it.

    Args:
        name: Of its journal and manifest.
        version: Raised when the same input and parameters give another output than before.
        output: The record of an item that passes.
        inputs: Its items, from the entries of earlier stages: pure and quick.
        parameters: The part of the spec that decides about the output.
        perform: (input, parameters, desk) -> output, or raises `Ended`. It runs in any process.
        runs_on: `cores` for processes of their own; `network` shares one pace, so it stays on one
            host, in threads; `here` for what is done sooner than a process starts.
        after: The stage before it, whose items it waits for.
        needs_all: It starts only when no item of an earlier stage is left to do.
    """

    name: str
    version: int
    output: type[O]
    inputs: "Callable[[Work], Iterable[Item[I]]]"
    parameters: Callable[[Spec], BaseModel]
    perform: "Callable[[I, Any, Desk], O]"
    runs_on: Literal["cores", "network", "here"] = "cores"
    after: "Stage[Any, Any] | None" = None
    needs_all: bool = False


class Nothing(Record):
    """The parameters of a stage that has none."""


def no_parameters(spec: Spec) -> BaseModel:
    """For stages whose output depends on their input alone."""
    return Nothing()


@dataclass(frozen=True)
class Task(Generic[I]):
    """An item with the digest of all that decides about its result."""

    stage: Stage[I, Any]
    item: Item[I]
    parameters: BaseModel

    @cached_property
    def key(self) -> str:
        """SHA-256 of stage, version, parameters, item and input."""
        return digest(
            {
                "stage": self.stage.name,
                "version": self.stage.version,
                "parameters": self.parameters.model_dump(mode="json"),
                "item": self.item.id,
                "input": self.item.input.model_dump(mode="json"),
            }
        )


@dataclass(frozen=True)
class Bench:
    """Where work is done: what every desk of a run shares. Can be handed to another process.

    Args:
        folder: The work folder.
        spec: The spec; what decides about outputs reaches a stage as its parameters.
        spec_folder: What paths in the spec are relative to.
        store: The media.
        cookies: A cookie file for sites; None for none. Never logged, never changed.
        accept_equivalent: Take other bytes of a source than before, where they show the same.
    """

    folder: Path
    spec: Spec
    spec_folder: Path
    store: Store
    cookies: Path | None = None
    accept_equivalent: bool = False


@dataclass(frozen=True)
class Desk:
    """What `Stage.perform` may use beside its input and parameters.

    Args:
        bench: The run's folder, spec and store.
        name: Of its scratch folder.
        pacer: Of network stages: the pace that all of them share.
        pin: Digest of what the same item gave before, where that is known.
        note: What the journal keeps beside the entry; JSON. Nothing here reaches a manifest.
    """

    bench: Bench
    name: str
    pacer: Pacer | None = None
    pin: str | None = None
    note: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The media."""
        return self.bench.store

    @contextmanager
    def scratch(self, *, keep: bool = False) -> Iterator[Path]:
        """A folder for unfinished files of this task alone, on the store's disk.

        Of two processes that are given one task, the second waits: a worker whose parent was killed
        takes a moment to end.

        Args:
            keep: Leave what an earlier attempt left, and leave it after an error that is tried
                again, to go on with.
        """
        folder = self.bench.folder / SCRATCH / self.name
        descriptor = _locked(folder)
        try:
            if not keep:
                _empty(folder)
            yield folder
        except Ended as end:
            keep = keep and CODES[end.code].is_retried
            raise
        else:
            keep = False
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


SCRATCH = "scratch"
_LOCK_FILE = "lock"


def scratch_name(stage: str, key: str) -> str:
    """The name of a task's scratch folder."""
    return f"{stage}-{key[:16]}"


def sweep(folder: Path, stage: str, wanted: frozenset[str]) -> None:
    """Remove scratch folders of a stage that no task wants any more and no process holds."""
    for path in (folder / SCRATCH).glob(f"{stage}-*"):
        if path.name in wanted or path.name.rpartition("-")[0] != stage:
            continue
        try:
            descriptor = _open_lock(path)
        except OSError:
            continue
        try:
            if lock(descriptor, path, waits=False):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def _locked(folder: Path) -> int:
    """Take the lock of a scratch folder, made anew if its last holder removed it meanwhile."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = _open_lock(folder)
        except FileNotFoundError:
            continue
        try:
            lock(descriptor, folder)
            if os.fstat(descriptor).st_ino == (folder / _LOCK_FILE).stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open_lock(folder: Path) -> int:
    return os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != _LOCK_FILE:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
