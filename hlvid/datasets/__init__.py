"""Benchmarks: finding their questions and videos, fetching them, writing them down."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from importlib import resources
from pathlib import Path

from hlvid.datasets import released, videomme
from hlvid.datasets.benchmark import (
    HLVID_SYNTHETIC,
    MANIFEST_FILE,
    QUESTIONS_FILE,
    VIDEO_SUFFIXES,
    VIDEOS_FILE,
    Benchmark,
    Manifest,
    MissingVideo,
    read,
    read_alone,
    write,
)
from hlvid.datasets.hub import Source
from hlvid.datasets.videomme import OfficialScore
from hlvid.errors import UserError
from hlvid.files import cache_dir, shown
from hlvid.types import Prediction, Question

HLVID = released.NAME
PARQUET_FILE = released.SOURCE.questions

BUILT_IN = (HLVID, HLVID_SYNTHETIC, *videomme.PROMPTS, f"{videomme.SUBTITLES}-FRAMES")
"""Benchmarks that are known by name, as messages list them."""

__all__ = [
    "BUILT_IN",
    "HLVID",
    "HLVID_SYNTHETIC",
    "MANIFEST_FILE",
    "PARQUET_FILE",
    "QUESTIONS_FILE",
    "VIDEOS_FILE",
    "VIDEO_SUFFIXES",
    "Benchmark",
    "Manifest",
    "MissingVideo",
    "folder_of",
    "is_built_in",
    "load",
    "official_score",
    "read",
    "read_folder",
    "source_of",
    "write",
]


def load(name: str, *, data: Path | None = None) -> Benchmark:
    """Load a benchmark.

    Args:
        name: That `is_built_in` knows, a folder with `benchmark.json`, or a `questions.jsonl` or
            its folder.
        data: The folder that holds the videos; by default that of `folder_of`, and for a folder
            the folder itself. 'hlvid-synthetic' is asked with the questions that were rendered
            into it; where it has none, with those that ship.

    Raises:
        UserError: There is no such benchmark, or a file of it is not in order.
    """
    if (published := _published(name)) is not None:
        _, read_published = published
        return read_published(data or folder_of(name))
    if name == HLVID_SYNTHETIC:
        return _load_synthetic(data or folder_of(name))
    folder = Path(name)
    if (folder / MANIFEST_FILE).exists():
        return read_folder(folder, root=data or folder)
    file = folder if folder.suffix == ".jsonl" else folder / QUESTIONS_FILE
    if not file.is_file():
        raise UserError(
            f"benchmark {shown(name)}: is not known. Allowed are {', '.join(BUILT_IN)} "
            f"and a folder with {MANIFEST_FILE} or {QUESTIONS_FILE}, or that file."
        )
    alone = read_alone(file, root=data or file.parent)
    if is_built_in(alone.name):
        raise UserError(f"{file}: {alone.name} is another benchmark. Rename the file's folder.")
    return alone


def read_folder(folder: Path, *, root: Path) -> Benchmark:
    """Read a folder with a manifest, which may not call itself the released HLVid.

    Raises:
        UserError: A file is not in order, or the name is taken.
    """
    found = read(folder, root=root)
    if found.name == HLVID:
        raise UserError(
            f"{folder / MANIFEST_FILE}: {found.name} is another benchmark, read as it was "
            "released. Give this one a name of its own."
        )
    return found


def is_built_in(name: str) -> bool:
    """Whether a benchmark is known by that name."""
    return name == HLVID_SYNTHETIC or _published(name) is not None


def folder_of(name: str) -> Path:
    """Where a built-in benchmark is looked for: HLVID_DATA, else its own place in the cache."""
    own = videomme.NAME if videomme.is_name(name) else name
    return Path(os.environ.get("HLVID_DATA") or cache_dir() / own)


def source_of(name: str) -> Source | None:
    """Where a benchmark can be fetched from; None where it is made here, or is a folder."""
    published = _published(name)
    return None if published is None else published[0]


def official_score(
    name: str, questions: Iterable[Question], predictions: Iterable[Prediction]
) -> OfficialScore | None:
    """What a benchmark's own script would say of replies; None where it has no other marking.

    Args:
        name: Of the benchmark.
        questions: All of it.
        predictions: Of one run.
    """
    if not videomme.is_name(name):
        return None
    return videomme.official_score(questions, predictions)


def _published(name: str) -> tuple[Source, Callable[[Path], Benchmark]] | None:
    """What is read in the layout in which it was published: where it is from, and how to read."""
    if name == released.NAME:
        return released.SOURCE, released.read
    if videomme.is_name(name):
        return videomme.SOURCE, partial(videomme.read, name=name)
    return None


def _load_synthetic(root: Path) -> Benchmark:
    if not (root / MANIFEST_FILE).exists():
        with resources.as_file(resources.files("hlvid") / "synthetic" / "questions") as shipped:
            return read(shipped, root=root)
    found = read(root, root=root)
    if found.name != HLVID_SYNTHETIC:
        raise UserError(
            f"{root}: holds the benchmark {shown(found.name)}, not {HLVID_SYNTHETIC}. "
            f"Name it by its folder: --benchmark {root}."
        )
    return found
