"""What was done, line by line, on the disk before it counts: append, fsync, one writer a file.

A line holds the entry that goes into the manifest and, beside it, a note that does not: when, how
long, how often, in whose words. Lines are never changed; of one task, the latest attempt counts.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hlvid.appending import AppendFile
from hlvid.errors import UserError
from hlvid.files import canonical_json, digest, parse_record, write_bytes
from hlvid.types import Count, Record, Sha256

_CHECK_DIGITS = 16
_NAME = re.compile(r"[0-9]+-of-[0-9]+\.jsonl")


class Line(Record):
    """One line of a journal."""

    task: Sha256
    attempt: Count
    """0 for the first; a file of another shard may hold an earlier one."""
    entry: Mapping[str, Any]
    note: Mapping[str, Any]
    check: str
    """First digits of the digest of the rest: notices damage, not an attacker."""

    @property
    def order(self) -> tuple[int, bytes]:
        """Of two lines of one task, the larger counts, whoever wrote it."""
        return self.attempt, canonical_json(self.entry)


def make_line(entry: Mapping[str, Any], note: Mapping[str, Any], *, attempt: int) -> Line:
    """Put an entry and its note into a line."""
    body = {"task": entry["task"], "attempt": attempt, "entry": entry, "note": note}
    return Line(task=entry["task"], attempt=attempt, entry=entry, note=note, check=_check(body))


def read(folder: Path) -> dict[str, Line]:
    """All tasks of a folder of journals, each with the line that counts.

    A torn last line is what a killed process leaves, or one that is just writing: it is passed
    over.

    Raises:
        UserError: A line before the last is damaged.
    """
    lines: dict[str, Line] = {}
    for line in read_all(folder):
        known = lines.get(line.task)
        if known is None or line.order > known.order:
            lines[line.task] = line
    return lines


def read_all(folder: Path) -> Iterator[Line]:
    """Every line of a folder of journals, of earlier attempts and specs too.

    Raises:
        UserError: A line before the last is damaged.
    """
    for path in _files(folder):
        yield from _read_file(path)[0]


def drop(folder: Path, items: frozenset[str]) -> None:
    """Write the journals of a folder again without what they say about some items and candidates.

    Raises:
        UserError: Another process is writing to one of them.
    """
    for path in _files(folder):
        with Writer(path):
            lines, _ = _read_file(path)
            left = [line for line in lines if items.isdisjoint(_about(line))]
            if len(left) < len(lines):
                write_bytes(path, (canonical_json(line) + b"\n" for line in left))


class Writer(AppendFile):
    """Appends to one journal, which no other process may write meanwhile.

    Raises:
        UserError: Another process holds it, it is damaged, or the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            count_whole=lambda: _read_file(path)[1],
            program="hlvid-build",
            advice="give each process a --shard of its own",
        )

    def write(self, line: Line) -> None:
        """Append a line; when this returns, it is on the disk."""
        self.append(canonical_json(line) + b"\n")


def _about(line: Line) -> tuple[str, str]:
    """The item of a line, and its candidate."""
    return str(line.entry.get("item")), str(line.entry.get("candidate"))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.jsonl") if _NAME.fullmatch(p.name))


def _read_file(path: Path) -> tuple[list[Line], int]:
    """The lines of a file, and how many of its bytes are in order."""
    lines: list[Line] = []
    size = 0
    try:
        with path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            for data in file:
                where = f"{path.parent.name}/{path.name}:{len(lines) + 1}"
                line = _parse(data, where)
                if line is None:
                    if size + len(data) < end:
                        raise UserError(
                            f"{where}: line is damaged. Put back an undamaged copy, or move the "
                            "file away to do its work again.",
                            exit_code=1,
                        )
                    break
                lines.append(line)
                size += len(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).", exit_code=1) from None
    return lines, size


def _parse(data: bytes, where: str) -> Line | None:
    """The line, or None when it is torn or damaged."""
    if not data.endswith(b"\n"):
        return None
    try:
        line = parse_record(data, Line, where=where)
    except UserError:
        return None
    body = line.model_dump(mode="json", exclude={"check"})
    return line if line.check == _check(body) else None


def _check(body: Mapping[str, Any]) -> str:
    return digest(body)[:_CHECK_DIGITS]
