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
    VIDEOS_FILE,
    Benchmark,
    Manifest,
    MissingVideo,
    read,
    write,
)
from hlvid.datasets.hub import Source
from hlvid.datasets.videomme import OfficialScore
from hlvid.errors import UserError
from hlvid.files import cache_dir, shown
from hlvid.types import Prediction, Question

HLVID = released.NAME
PARQUET_FILE = released.SOURCE.questions

_PUBLISHED: dict[str, tuple[Source, Callable[[Path], Benchmark]]] = {
    released.NAME: (released.SOURCE, released.read),
    **{name: (videomme.SOURCE, partial(videomme.read, name=name)) for name in videomme.PROMPTS},
}
"""What is read in the layout in which it was published."""
BUILT_IN = (HLVID, HLVID_SYNTHETIC, *videomme.PROMPTS)
"""Benchmarks that are known by name."""

__all__ = [
    "BUILT_IN",
    "HLVID",
    "HLVID_SYNTHETIC",
    "MANIFEST_FILE",
    "PARQUET_FILE",
    "QUESTIONS_FILE",
    "VIDEOS_FILE",
    "Benchmark",
    "Manifest",
    "MissingVideo",
    "folder_of",
    "load",
    "official_score",
    "read",
    "source_of",
    "write",
]


def load(name: str, *, data: Path | None = None) -> Benchmark:
    """Load a benchmark.

    Args:
        name: One of `BUILT_IN`, or a folder with `benchmark.json`.
        data: The folder that holds the videos; by default that of `folder_of`, and for a folder
            the folder itself. 'hlvid-synthetic' is asked with the questions that were rendered
            into it; where it has none, with those that ship.

    Raises:
        UserError: There is no such benchmark, or a file of it is not in order.
    """
    if name in _PUBLISHED:
        _, read_published = _PUBLISHED[name]
        return read_published(data or folder_of(name))
    if name == HLVID_SYNTHETIC:
        return _load_synthetic(data or folder_of(name))
    folder = Path(name)
    if not (folder / MANIFEST_FILE).exists():
        raise UserError(
            f"benchmark {shown(name)}: is not known. Allowed are {', '.join(BUILT_IN)} "
            f"and a folder with {MANIFEST_FILE}."
        )
    return read(folder, root=data or folder)


def folder_of(name: str) -> Path:
    """Where a built-in benchmark is looked for: HLVID_DATA, else its own place in the cache."""
    own = videomme.NAME if name in videomme.PROMPTS else name
    return Path(os.environ.get("HLVID_DATA") or cache_dir() / own)


def source_of(name: str) -> Source | None:
    """Where a benchmark can be fetched from; None where it is made here, or is a folder."""
    return _PUBLISHED[name][0] if name in _PUBLISHED else None


def official_score(
    name: str, questions: Iterable[Question], predictions: Iterable[Prediction]
) -> OfficialScore | None:
    """What a benchmark's own script would say of replies; None where it has no other marking.

    Args:
        name: Of the benchmark.
        questions: All of it.
        predictions: Of one run.
    """
    if name not in videomme.PROMPTS:
        return None
    return videomme.official_score(questions, predictions)


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
