"""Finished work that survives the process: one fsynced line an item, read back on the next start.

A ledger knows nothing of questions or arms: it keeps JSON values under string keys. The last line
of a key counts.
"""

import contextlib
import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evaluators.halting import CannotGoOn
from hlvid.files import canonical_json, digest, sync_folder

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
        self._path = path
        self._values: dict[str, Any] = {}
        if base is not None and base.exists():
            self._values, _ = _read(base)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            raise LedgerError(
                f"{path}: cannot be opened ({error.strerror}). Choose another --out.", exit_code=1
            ) from None
        try:
            self._lock()
            values, self._size = _read(path)
            self._values |= values
            os.ftruncate(self._descriptor, self._size)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

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
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._descriptor, line[written:], self._size + written)
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise LedgerError(
                f"{self._path}: cannot be written ({error.strerror}). The {len(self)} items before "
                "are safe: free some space and run the same command again.",
                exit_code=1,
            ) from None
        self._size += len(line)
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

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(
                f"{self._path}: another hlvid-eval is writing to it. Wait for it, or choose "
                "another --out.",
                exit_code=1,
            ) from None


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
