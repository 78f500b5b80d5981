"""Fetching a published benchmark from Hugging Face: file by file, unpacked as it comes.

An archive is deleted once its videos lie where they are looked for, so that the disk holds them
once. What is finished is noted in a file beside it; stopped at any moment, fetching goes on.
"""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hlvid.datasets.archives import unpack
from hlvid.datasets.benchmark import Benchmark
from hlvid.errors import UserError
from hlvid.files import read_json, sha256_file, shown, write_json
from hlvid.types import Question, Record, Sha256

STATE_FILE = "fetched.json"


@dataclass(frozen=True)
class Source:
    """A benchmark as it was published.

    Args:
        name: Of the benchmark.
        repository: Of the dataset on the hub.
        revision: Commit that is fetched.
        about: What it is, how large and under what licence: the start of a sentence.
        questions: Path of its parquet file.
        archives: Patterns of the files that hold its videos.
        num_questions: As published.
        num_videos: As published.
        places: File name in an archive -> path below the folder; nothing else is taken.
    """

    name: str
    repository: str
    revision: str
    about: str
    questions: str
    archives: tuple[str, ...]
    num_questions: int
    num_videos: int
    places: Callable[[Benchmark], Mapping[str, str]]

    def find(self, root: Path) -> Path:
        """The parquet file in a folder.

        Raises:
            UserError: It is not there; the sentence says how to get it.
        """
        path = root / self.questions
        if not path.is_file():
            raise UserError(f"{path}: is missing. {self.how_to_get(root)}")
        return path

    def how_to_get(self, root: Path) -> str:
        """What it is, and the command that fetches it into a folder."""
        return f"{self.about}: hlvid-eval fetch {self.name} --data {shlex.quote(str(root))}"

    def revision_of(self, questions: Sequence[Question]) -> str:
        """'released', or how many questions and videos there are instead."""
        counts = (len(questions), len({question.video_id for question in questions}))
        if counts == (self.num_questions, self.num_videos):
            return "released"
        return "{} questions on {} videos".format(*counts)


class Piece(Record):
    """A file of the repository that is finished."""

    sha256: Sha256
    num_bytes: Mapping[str, int]
    """Path below the folder -> length: of itself, or of what was unpacked from it."""


class Fetched(Record):
    """What lies in a folder that was fetched."""

    repository: str
    revision: str
    """The commit that the hub named."""
    pieces: Mapping[str, Piece]
    """By path in the repository."""

    @property
    def num_bytes(self) -> dict[str, int]:
        """Path below the folder -> length."""
        return {k: v for piece in self.pieces.values() for k, v in piece.num_bytes.items()}


@dataclass(frozen=True)
class Remote:
    """A file on the hub."""

    name: str
    num_bytes: int
    sha256: str | None
    """None for small files, which the hub does not keep by their digest."""


@dataclass(frozen=True)
class Offer:
    """What the hub has of a benchmark."""

    source: Source
    commit: str
    files: tuple[Remote, ...]
    """The questions first."""

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(file.num_bytes for file in self.files)


def ask(source: Source) -> Offer:
    """What the hub has of a benchmark, and how large it is.

    Raises:
        UserError: The hub cannot be reached, or does not have it.
    """
    with _told(source):
        from huggingface_hub import HfApi

        found = HfApi().dataset_info(
            source.repository, revision=source.revision, files_metadata=True
        )
    patterns = (source.questions, *source.archives)
    files = [
        Remote(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else None)
        for one in found.siblings or []
        if any(fnmatchcase(one.rfilename, pattern) for pattern in patterns)
    ]
    files.sort(key=lambda file: (file.name != source.questions, file.name))
    if not files or files[0].name != source.questions:
        raise UserError(
            f"hub: {source.repository} has no {source.questions} at {source.revision}.", exit_code=1
        )
    return Offer(source, found.sha or source.revision, tuple(files))


def fetch(
    offer: Offer,
    root: Path,
    *,
    load: Callable[[Path], Benchmark],
    tell: Callable[[str], None] = lambda text: None,
) -> Benchmark:
    """Fetch what is not here yet, and unpack it.

    Args:
        offer: From `ask`.
        root: Folder, made when missing.
        load: Reads the benchmark once its questions are there.
        tell: Called with a line of narration.

    Raises:
        UserError: The hub cannot be reached, a file is not what the hub says, or the disk is full.
            What is finished stays.
    """
    source = offer.source
    root.mkdir(parents=True, exist_ok=True)
    state = read_state(root) or Fetched(
        repository=source.repository, revision=offer.commit, pieces={}
    )
    missing = [file for file in offer.files if not _is_here(file, state, root)]
    _check_disk(missing, root)
    for number, file in enumerate(missing, start=1):
        tell(f"{number} of {len(missing)}: {file.name}, {file.num_bytes / 1e9:.2f} GB")
        path = _download(offer, file, root)
        digest = sha256_file(path)
        if file.sha256 not in (None, digest):
            path.unlink()
            raise UserError(f"{file.name}: has digest {digest}, the hub says {file.sha256}.")
        sizes = {file.name: path.stat().st_size}
        if file.name != source.questions:
            sizes = unpack(path, root, source.places(load(root)))
            path.unlink()
        state = Fetched(
            repository=source.repository,
            revision=offer.commit,
            pieces={**state.pieces, file.name: Piece(sha256=digest, num_bytes=sizes)},
        )
        write_json(root / STATE_FILE, state)
    return load(root)


def read_state(root: Path) -> Fetched | None:
    """What was fetched into a folder; None for a copy that came another way."""
    path = root / STATE_FILE
    return read_json(path, Fetched) if path.exists() else None


def _is_here(file: Remote, state: Fetched, root: Path) -> bool:
    """Whether all that came of a file still lies there at its full length."""
    piece = state.pieces.get(file.name)
    if piece is None or file.sha256 not in (None, piece.sha256):
        return False
    places = {root / path: num_bytes for path, num_bytes in piece.num_bytes.items()}
    return all(p.is_file() and p.stat().st_size == size for p, size in places.items())


def _check_disk(missing: Sequence[Remote], root: Path) -> None:
    """An archive and what is in it lie side by side until it is unpacked."""
    needed = sum(file.num_bytes for file in missing)
    needed += max((file.num_bytes for file in missing), default=0)
    free = shutil.disk_usage(root).free
    if needed > free:
        raise UserError(
            f"{root}: has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed. Free some "
            "space, or choose another --data.",
            exit_code=1,
        )


def _download(offer: Offer, file: Remote, root: Path) -> Path:
    with _told(offer.source):
        from huggingface_hub import hf_hub_download

        path = hf_hub_download(
            offer.source.repository,
            file.name,
            repo_type="dataset",
            revision=offer.commit,
            local_dir=root,
        )
    return Path(path)


@contextmanager
def _told(source: Source) -> Iterator[None]:
    """Say in one sentence why the hub does not give what is asked for."""
    try:
        from huggingface_hub import constants
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise UserError("hub: huggingface_hub is missing: pip install huggingface_hub") from None
    disable_progress_bars()
    # Whichever HTTP package the hub's client rests on, its errors have that one's as their base.
    unreachable: Any = HfHubHTTPError.__bases__[0]
    try:
        yield
    except (unreachable, OSError, ValueError) as error:
        reason = shown(" ".join(str(error).split()) or type(error).__name__)
        where = os.environ.get("HF_ENDPOINT", constants.ENDPOINT)
        raise UserError(
            f"hub: {source.repository} cannot be had from {where} ({reason}). What is finished "
            "stays: try again later, or name a copy with --data.",
            exit_code=1,
        ) from None
