"""A file of lines that only grows: one writer at a time, each line on the disk before it counts."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from hlvid.errors import UserError
from hlvid.files import sync_folder
from hlvid.locking import lock


class AppendFile:
    """Appends to a file that no other process may write meanwhile.

    Args:
        path: The file, made with its folders when missing.
        count_whole: Reads the file and says how many of its bytes are in order; called once no
            other process can write. What comes after them is cut off: a killed process leaves a
            torn last line.
        program: Who else may be writing.
        advice: What to do when somebody is, or the file cannot be opened: the end of a sentence.
        error: What is raised, with exit code 1.

    Raises:
        UserError: As `error`: another process holds it, or it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        count_whole: Callable[[], int],
        program: str,
        advice: str,
        error: type[UserError] = UserError,
    ) -> None:
        self._path = path
        self._error = error
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if is_new:
                sync_folder(path.parent)
        except OSError as problem:
            raise error(
                f"{path}: cannot be opened ({problem.strerror}). Make it writable, or {advice}.",
                exit_code=1,
            ) from None
        try:
            self._lock(f"another {program} is writing to it. Wait for it, or {advice}.")
            self._size = count_whole()
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

    def append(self, line: bytes) -> None:
        """Write a line; when this returns, it is on the disk.

        Args:
            line: With its line feed.

        Raises:
            UserError: As `error`: the disk is full or refuses. What was written before stays.
        """
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._descriptor, line[written:], self._size + written)
            os.fsync(self._descriptor)
        except OSError as problem:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise self._error(
                f"{self._path}: cannot be written ({problem.strerror}). What was finished before "
                "is safe: free some space and run the same command again.",
                exit_code=1,
            ) from None
        self._size += len(line)

    def _lock(self, told: str) -> None:
        if not lock(self._descriptor, self._path, waits=False):
            raise self._error(f"{self._path}: {told}", exit_code=1)
        if os.fstat(self._descriptor).st_ino != self._path.stat().st_ino:
            raise self._error(f"{self._path}: was replaced meanwhile. Try again.", exit_code=1)
