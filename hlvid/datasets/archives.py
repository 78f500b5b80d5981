"""Taking videos out of archives that strangers made: known names only, into known places."""

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from hlvid.errors import UserError
from hlvid.files import shown

BLOCK_BYTES = 2**20
MAX_GROWTH = 20
"""Videos do not shrink in an archive: what grows by more is meant to fill the disk."""
SPARE_BYTES = 2**24


def unpack(archive: Path, root: Path, places: Mapping[str, str]) -> dict[str, int]:
    """Take known files out of a tar or zip file, each whole or not at all.

    Args:
        archive: May hold anything. Folders in it, links and unknown names are passed over.
        root: Folder that gets the files.
        places: Name of a file, without folders -> its path below `root`.

    Returns:
        Path below `root` -> length, of each that was taken.

    Raises:
        UserError: The archive is damaged, holds a name twice or too much, or the disk is full.
    """
    most = MAX_GROWTH * archive.stat().st_size + SPARE_BYTES
    taken: dict[str, int] = {}
    with _told(archive):
        for name, num_bytes, stream in _members(archive):
            place = places.get(PurePosixPath(name).name)
            if place is None:
                continue
            if place in taken:
                raise UserError(f"{archive.name}: holds {shown(name)} twice. Allowed is once.")
            if num_bytes < 0:
                raise UserError(f"{archive.name}: {shown(name)} has no length. Fetch it again.")
            if sum(taken.values()) + num_bytes > most:
                raise UserError(
                    f"{archive.name}: holds more than {most} bytes at {shown(name)}. Allowed are "
                    f"{MAX_GROWTH} times its own length."
                )
            _write(root / place, stream, num_bytes, archive.name)
            taken[place] = num_bytes
    return taken


def _members(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, length and content of every regular file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    with zipped.open(info) as stream:
                        yield info.filename, info.file_size, stream
        return
    with tarfile.open(archive, "r:*") as tarred:
        for member in tarred:
            stream_or_none = tarred.extractfile(member) if member.isreg() else None
            if stream_or_none is not None:
                yield member.name, member.size, stream_or_none


def _write(path: Path, stream: IO[bytes], num_bytes: int, archive_name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            left = num_bytes
            while left and (block := stream.read(min(left, BLOCK_BYTES))):
                file.write(block)
                left -= len(block)
            file.flush()
            os.fsync(file.fileno())
        if left:
            raise UserError(f"{archive_name}: breaks off in {path.name}. Fetch it again.")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(RuntimeError, ValueError),  # an encrypted member, and numbers that are none
)


@contextmanager
def _told(archive: Path) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise UserError(
            f"{archive.name}: cannot be unpacked ({shown(str(error))}). Fetch it again."
        ) from None
    except OSError as error:
        raise UserError(
            f"{archive.name}: cannot be unpacked ({error.strerror or error}). Free some space and "
            "run the same command again.",
            exit_code=1,
        ) from None
