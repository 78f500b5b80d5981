"""The shipped photographs: who made them, under which licence, which parts can serve as what.

A named third is reserved for benchmarks and held-out clips: `names("training")` never gives them.
"""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hlvid.synthetic.scene import Box
from hlvid.synthetic.strings import Split

SHARE_ALIKE = "CC-BY-SA-4.0"
ATTRIBUTION = "CC-BY-4.0"


@dataclass(frozen=True)
class Photograph:
    """One photograph of the package.

    Args:
        file: Its name in the package's folder.
        title: As its author calls it.
        author: Who took it.
        year: Of its publication.
        license: SPDX identifier.
        source_package: The Debian package that it comes from, unchanged.
        sha256: Of the file.
        is_reserved: Kept for benchmarks and held-out clips.
        regions: Role -> parts of the photograph that can play it.
    """

    file: str
    title: str
    author: str
    year: int
    license: str
    source_package: str
    sha256: str
    is_reserved: bool
    regions: dict[str, tuple[Box, ...]]


@functools.cache
def catalogue() -> tuple[Photograph, ...]:
    """All shipped photographs, by file name."""
    folder = resources.files("hlvid.synthetic") / "photographs"
    entries = json.loads((folder / "photographs.json").read_text("utf-8"))
    return tuple(
        Photograph(
            **{
                **entry,
                "regions": {
                    role: tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in boxes)
                    for role, boxes in entry["regions"].items()
                },
            }
        )
        for entry in entries
    )


def names(split: Split) -> tuple[str, ...]:
    """The files that a split may show: the reserved ones, or all the others."""
    is_reserved = split == "benchmark"
    return tuple(photo.file for photo in catalogue() if photo.is_reserved == is_reserved)


def license_of(files: Iterable[str]) -> str:
    """The licence of a video that shows these photographs, as an SPDX identifier."""
    wanted = set(files)
    used = {photo.license for photo in catalogue() if photo.file in wanted}
    return SHARE_ALIKE if SHARE_ALIKE in used else ATTRIBUTION


def credits(files: Iterable[str]) -> tuple[str, ...]:
    """One line of attribution a photograph."""
    wanted = set(files)
    return tuple(
        f'"{photo.title}" by {photo.author} ({photo.year}), {photo.license}'
        for photo in catalogue()
        if photo.file in wanted
    )


@functools.lru_cache(maxsize=16)
def pixels(file: str) -> NDArray[np.uint8]:
    """A whole photograph, (height, width, 3), read-only."""
    path = resources.files("hlvid.synthetic") / "photographs" / file
    with path.open("rb") as opened, Image.open(opened) as image:
        found = np.asarray(image.convert("RGB"))
    found.flags.writeable = False
    return found


@functools.cache
def regions(role: str, split: Split) -> tuple[tuple[str, Box], ...]:
    """Every part of a photograph of the split that can play a role: (file, box).

    Raises:
        LookupError: There is none.
    """
    allowed = set(names(split))
    found = tuple(
        (photo.file, box)
        for photo in catalogue()
        if photo.file in allowed
        for box in photo.regions.get(role, ())
    )
    if not found:
        raise LookupError(f"no photograph plays {role!r} in {split!r}")
    return found
