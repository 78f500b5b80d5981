"""Digests of large files, remembered in the cache folder as long as a file stays as it is."""

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

from hlvid.errors import UserError
from hlvid.files import cache_dir, sha256_file, write_json


def sha256_cached(path: Path, verify: bool = False) -> str:
    """`sha256_file`, remembered as long as the file's path, size and mtime stay the same.

    Args:
        path: A file that may be many gigabytes.
        verify: Read the file again whatever is remembered.

    Raises:
        UserError: It cannot be read.
    """
    path = path.resolve()
    key = _state(path)
    note = cache_dir() / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"
    if key and not verify and (known := _remembered(note, key)):
        return known
    found = sha256_file(path)
    if _state(path) == key:
        # A cache that cannot be written costs time, never the result.
        with suppress(UserError):
            write_json(note, {"key": key, "sha256": found})
    return found


def _state(path: Path) -> list[str | int] | None:
    """What changes when a file does; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [os.fsencode(path).hex(), status.st_size, status.st_mtime_ns]


def _remembered(note: Path, key: list[str | int]) -> str | None:
    try:
        content = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    if isinstance(content, dict) and content.get("key") == key:
        known = content.get("sha256")
        if isinstance(known, str) and re.fullmatch("[0-9a-f]{64}", known):
            return known
    return None
