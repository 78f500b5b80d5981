"""Locks of files against other processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hlvid.errors import UserError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file against other processes; the file is made with its folder.

    Raises:
        UserError: The file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({error.strerror}).", exit_code=1) from None
    try:
        lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, path: Path, *, waits: bool = True) -> bool:
    """Take the lock of an open file; the system gives it back when the file is closed.

    Args:
        descriptor: Of the file.
        path: Of the file, to be told.
        waits: Whether to wait for another process that holds it.

    Returns:
        False where another process holds it, and it was not waited for.

    Raises:
        UserError: The file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(
            f"{path}: cannot be locked ({error.strerror}). Put its folder on a file system that "
            "has locks; Lustre has them when it is mounted with -o flock.",
            exit_code=1,
        ) from None
    return True
