"""`gazing_labels.json` as the released training reads it.

One object: the last three levels of a video's path -> its ``gazing_pos`` (a list of ids for each
frame, counted within the frame) and its ``task_losses`` (the same shape).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hlvid.appending import AppendFile
from hlvid.errors import UserError
from hlvid.files import explain, read_bytes, write_json

FILE_NAME = "gazing_labels.json"
MAX_BYTES = 4 * 2**30
"""The released file of 250,000 videos holds about 2 GB."""

Ids = list[Annotated[int, Field(strict=True, ge=0)]]
Losses = list[Annotated[float, Field(allow_inf_nan=False)]]


@dataclass(frozen=True, config={"extra": "forbid"})
class Entry:
    """The greedy gaze of one video."""

    gazing_pos: list[Ids]
    task_losses: list[Losses]


def key_of(video: Path) -> str:
    """The name that a video has in the file: the last three levels of its path, however typed."""
    return "/".join(video.resolve().parts[-3:])


class Unfinished:
    """The labels that were found so far, in a file beside the one that is to be written.

    Args:
        path: Of that one.
        frames: Of a video.
        seed: Of the budgets.

    Raises:
        UserError: Another process is at it, or the disk refuses.
    """

    def __init__(self, path: Path, *, frames: int, seed: int) -> None:
        self.entries: dict[str, Entry] = {}
        self._path = path.with_name(f"{path.name}.{frames}-{seed}.part")
        self._file = AppendFile(
            self._path, count_whole=self._read, program="labels", advice="choose another --out"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(None, None, None)

    def add(self, key: str, entry: Entry) -> None:
        """Keep the labels of one more video.

        Raises:
            UserError: The disk refuses.
        """
        line = {"key": key, "gazing_pos": entry.gazing_pos, "task_losses": entry.task_losses}
        self._file.append(json.dumps(line).encode() + b"\n")
        self.entries[key] = entry

    def remove(self) -> None:
        """All is written."""
        self._path.unlink()

    def _read(self) -> int:
        """Bytes of whole lines: of a killed process the last one may be torn."""
        size = 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            try:
                found = json.loads(line)
                key = found.pop("key")
                self.entries[key] = Entry(**found)
            except (ValueError, TypeError, KeyError):
                break
            if not line.endswith(b"\n"):
                break
            size += len(line)
        return size


def write_labels(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write a label file."""
    write_json(
        path,
        {
            key: {"gazing_pos": entry.gazing_pos, "task_losses": entry.task_losses}
            for key, entry in entries.items()
        },
    )


def read_labels(path: Path, *, num_cells: int) -> dict[str, Entry]:
    """Read a label file.

    Args:
        path: The file.
        num_cells: Ids of a frame.

    Raises:
        UserError: It is missing, no such file, or an entry is out of range.
    """
    try:
        raw = json.loads(read_bytes(path, max_bytes=MAX_BYTES))
        entries = _ENTRIES.validate_python(raw)
    except ValidationError as error:
        raise UserError(f"{path.name}: {explain(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path.name}: is not JSON ({error}). Allowed is an object.") from None
    for key, entry in entries.items():
        _check(f"{path.name}: {key[-100:]!r}", entry, num_cells)
    return entries


_ENTRIES = TypeAdapter(dict[str, Entry])


def _check(where: str, entry: Entry, num_cells: int) -> None:
    ids, losses = entry.gazing_pos, entry.task_losses
    if [len(frame) for frame in ids] != [len(frame) for frame in losses]:
        raise UserError(f"{where}: gazing_pos and task_losses have different shapes.")
    if not ids or not all(ids):
        raise UserError(f"{where}: has a frame without ids. Every frame needs one at least.")
    for frame in ids:
        if max(frame) >= num_cells or len(set(frame)) != len(frame):
            raise UserError(
                f"{where}: an id is there twice or is not below {num_cells}. Ids count the cells "
                "of a frame, coarse to fine."
            )
