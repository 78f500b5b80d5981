"""Finished work that survives the process: one fsynced line an item, read back on the next start.

A ledger knows nothing of questions or arms: it keeps JSON values under string keys. The last line
of a key counts.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evaluators.halting import CannotGoOn
from hlvid.appending import AppendFile
from hlvid.files import canonical_json, digest

CHECK_DIGITS = 16
"""Hex digits of the digest that every line carries: enough to notice damage, not an attacker."""


class LedgerError(CannotGoOn):
    """The ledger cannot be read or written; no later work may go on as if it could."""


class Ledger:
    """An append-only file that one process at a time may write.

    Use it as a context manager. What `get` returns is what was last appended under that key, by
    this process or an earlier one.

    Args:
        path: The file, made with its folders when missing.
        base: Another ledger, whose values count until they are appended here. It is only read.

    Raises:
        LedgerError: Another process holds it, it cannot be opened, or a line other than the last is
            damaged. A torn last line is what a killed process leaves: it is cut off.
    """

    def __init__(self, path: Path, *, base: Path | None = None) -> None:
        self._values: dict[str, Any] = {}
        if base is not None and base.exists():
            self._values, _ = _read(base)
        self._file = AppendFile(
            path,
            count_whole=lambda: self._take(path),
            program="hlvid-eval",
            advice="choose another --out",
            error=LedgerError,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Any | None:  # noqa: ANN401
        """The value last kept under a key, or None."""
        return self._values.get(key)

    def append(self, key: str, value: object) -> None:
        """Keep a value; when this returns, it is on the disk.

        Args:
            key: Anything; the same key again replaces the value.
            value: JSON: finite numbers, text, lists and objects.

        Raises:
            LedgerError: The disk is full or refuses; what was kept before stays kept.
        """
        body = {"key": key, "value": value}
        line = canonical_json({**body, "check": digest(body)[:CHECK_DIGITS]}) + b"\n"
        self._file.append(line)
        self._values[key] = json.loads(line)["value"]

    def absorb(self, path: Path) -> None:
        """Take over what another ledger holds, and delete it.

        Raises:
            LedgerError: It is damaged, or the disk refuses.
        """
        values, _ = _read(path)
        for key, value in values.items():
            if self._values.get(key) != value:
                self.append(key, value)
        path.unlink()

    def _take(self, path: Path) -> int:
        values, size = _read(path)
        self._values |= values
        return size


def _read(path: Path) -> tuple[dict[str, Any], int]:
    """The values of all lines, and the number of bytes that are in order."""
    values: dict[str, Any] = {}
    size = 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        item = _parse(line)
        if item is None:
            if number == len(lines):
                break
            raise LedgerError(
                f"{path.name}:{number}: line is damaged. Move {path} away to start "
                "again from nothing, or put back an undamaged copy."
            )
        values[item[0]] = item[1]
        size += len(line)
    return values, size


def _parse(line: bytes) -> tuple[str, Any] | None:
    """Key and value of a line, or None when it is torn or damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
        body = {"key": content["key"], "value": content["value"]}
        is_whole = content["check"] == digest(body)[:CHECK_DIGITS] and isinstance(body["key"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (body["key"], body["value"]) if is_whole else None
