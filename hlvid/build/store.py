"""Media by content: a file lies under its own digest, is there whole or not at all, never changes.

WORK/media/sha256/ab/abcdef...
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hlvid.build.codes import Ended
from hlvid.build.records import Media
from hlvid.files import sha256_file, sync_folder


class Store:
    """A folder of files named by their SHA-256.

    Args:
        folder: Where new files go.
        beneath: Another store that is read, never written: what it holds is not kept twice.
        banned: Digests of what was taken down and must not come back.
    """

    def __init__(
        self, folder: Path, *, beneath: "Store | None" = None, banned: frozenset[str] = frozenset()
    ) -> None:
        self._folder = folder
        self._beneath = beneath
        self._banned = banned

    def path(self, media: Media) -> Path:
        """Where a file lies, for reading.

        Raises:
            Ended: media_missing, where it is not there in its full size.
        """
        for store in (self, self._beneath):
            if store is not None and (found := store._found(media)):
                return found
        raise Ended("media_missing", f"{media.sha256[:12]} is not in the store")

    def has(self, media: Media) -> bool:
        """Whether a file is there in its full size, or was taken down on purpose."""
        if media.sha256 in self._banned:
            return True
        with suppress(Ended):
            return self.path(media).is_file()
        return False

    def put(self, part: Path, *, pin: str | None = None, may_be_banned: bool = False) -> Media:
        """Move a finished file into the store; when this returns, it is on the disk.

        Args:
            part: On the store's own disk; gone afterwards.
            pin: The digest that it must have.
            may_be_banned: Of bytes that were taken down, only say what they were.

        Raises:
            Ended: source_changed, where it has another digest; takedown, where these bytes were
                taken down.
        """
        sha256 = sha256_file(part)
        if pin is not None and sha256 != pin:
            raise Ended("source_changed", f"sha256 is {sha256[:16]}, not {pin[:16]}")
        media = Media(sha256=sha256, num_bytes=part.stat().st_size)
        if sha256 in self._banned:
            part.unlink()
            if may_be_banned:
                return media
            raise Ended("takedown", "these bytes were taken down")
        if self._beneath is not None and self._beneath._found(media):
            part.unlink()
            return media
        final = self._place(sha256)
        final.parent.mkdir(parents=True, exist_ok=True)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.chmod(0o444)
        part.replace(final)
        sync_folder(final.parent)
        sync_folder(final.parent.parent)
        return media

    def remove(self, media: Media) -> bool:
        """Delete a file; whether it was there."""
        final = self._place(media.sha256)
        was_there = final.is_file()
        final.unlink(missing_ok=True)
        if was_there:
            sync_folder(final.parent)
        return was_there

    def all(self) -> Iterator[Media]:
        """Every file that is there, by name."""
        for path in sorted(self._folder.glob("sha256/[0-9a-f][0-9a-f]/" + "[0-9a-f]" * 64)):
            yield Media(sha256=path.name, num_bytes=path.stat().st_size)

    def is_sound(self, media: Media) -> bool:
        """Whether a file's bytes still have its digest; reads all of them."""
        return sha256_file(self.path(media)) == media.sha256

    def _place(self, sha256: str) -> Path:
        return self._folder / "sha256" / sha256[:2] / sha256

    def _found(self, media: Media) -> Path | None:
        path = self._place(media.sha256)
        try:
            return path if path.stat().st_size == media.num_bytes else None
        except OSError:
            return None
