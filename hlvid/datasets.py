"""Benchmarks: finding their questions and videos, and writing them down."""

import itertools
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from hlvid.errors import UserError
from hlvid.files import (
    cache_dir,
    digest_records,
    id_order,
    read_json,
    read_jsonl,
    shown,
    write_json,
    write_jsonl,
)
from hlvid.prompt import parse
from hlvid.types import BenchmarkId, Identifier, Question, Record, Video

HLVID = "hlvid"
HLVID_SYNTHETIC = "hlvid-synthetic"
RELEASED_QUESTIONS = 268
RELEASED_VIDEOS = 77
PARQUET_FILE = "data/test-00000-of-00001.parquet"
PARQUET_COLUMNS = ("question_id", "category", "video_path", "question", "answer")
MAX_PARQUET_BYTES = 256 * 2**20

_MANIFEST_FILE = "benchmark.json"
_QUESTIONS_FILE = "questions.jsonl"
_VIDEOS_FILE = "videos.jsonl"


class MissingVideo(UserError):
    """A video of a benchmark is not on this machine."""


class Manifest(Record):
    """What `benchmark.json` says about the questions and videos beside it."""

    name: Identifier
    revision: str
    license: str
    description: str
    settings: Mapping[str, str | int | float | bool | None]
    """What the set was made with, enough to make it again."""


@dataclass(frozen=True)
class Benchmark:
    """Questions, what is known of their videos, and where these lie."""

    name: str
    revision: str
    questions: tuple[Question, ...]
    """In the order of `hlvid.files.id_order`, whatever order they are given in."""
    videos: Mapping[str, Video]
    """Video id -> what is known without opening the file; empty for released HLVid."""
    root: Path | None = None
    """The folder that holds `videos/`; None where no video is at hand."""
    license: str = "unknown"
    description: str = ""
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    questions_sha256: str = field(init=False)
    """Digest of `questions.jsonl` as `write` writes it."""

    def __post_init__(self) -> None:
        """Put the questions in order and hold them against the videos."""
        ordered = tuple(sorted(self.questions, key=lambda q: id_order(q.question_id)))
        if not ordered:
            raise UserError(f"benchmark {self.name}: has no questions.")
        for before, after in itertools.pairwise(ordered):
            if before.question_id == after.question_id:
                raise UserError(
                    f"benchmark {self.name}: question {after.question_id} is there twice."
                )
        for question in ordered:
            if self.videos and question.video_id not in self.videos:
                raise UserError(
                    f"benchmark {self.name}: question {question.question_id} asks about video "
                    f"{question.video_id}, which {_VIDEOS_FILE} does not have."
                )
        object.__setattr__(self, "questions", ordered)
        object.__setattr__(self, "questions_sha256", digest_records(ordered))

    @property
    def video_ids(self) -> tuple[str, ...]:
        """The videos that are asked about, in the order of the questions."""
        return tuple(dict.fromkeys(question.video_id for question in self.questions))

    @property
    def id(self) -> BenchmarkId:
        """What a run record says about its exam."""
        return BenchmarkId(
            name=self.name,
            revision=self.revision,
            questions_sha256=self.questions_sha256,
            num_questions=len(self.questions),
            num_videos=len(self.video_ids),
        )

    def video_path(self, video_id: str) -> Path:
        """Where a video's file lies: at its record's path, else at `videos/<video_id>`.

        Raises:
            MissingVideo: It is not there; the sentence says how to get it.
            UserError: The benchmark has no such video, or its path leads out of the folder.
        """
        if video_id not in self.video_ids:
            raise UserError(f"benchmark {self.name}: has no video {shown(video_id)}.")
        known = self.videos.get(video_id)
        relative = (known and known.path) or f"videos/{video_id}"
        if self.root is None:
            raise MissingVideo(f"video {video_id}: {self.name} has no folder. {_how_to_get(self)}")
        path = self.root / relative
        if not path.is_file():
            raise MissingVideo(f"video {video_id}: {path} is missing. {_how_to_get(self)}")
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise UserError(f"video {video_id}: {path} is a link that leaves {self.root}.")
        return path

    def subset(
        self, *, video_ids: Collection[str] | None = None, limit: int | None = None
    ) -> "Benchmark":
        """The questions about some videos, or the first `limit` questions, or both."""
        wanted = self.video_ids if video_ids is None else video_ids
        for video_id in wanted:
            if video_id not in self.video_ids:
                raise UserError(f"benchmark {self.name}: has no video {shown(video_id)}.")
        if limit is not None and limit < 1:
            raise UserError(f"limit: {limit} questions are too few. Allowed is 1 and more.")
        questions = [q for q in self.questions if q.video_id in wanted][:limit]
        kept = {question.video_id for question in questions}
        videos = {video_id: v for video_id, v in self.videos.items() if video_id in kept}
        return replace(self, questions=tuple(questions), videos=videos)


def load(name: str, *, data: Path | None = None) -> Benchmark:
    """Load a benchmark.

    Args:
        name: 'hlvid', 'hlvid-synthetic', or a folder with `benchmark.json`.
        data: The folder that holds `videos/`; by default HLVID_DATA, else one in the cache.

    Raises:
        UserError: There is no such benchmark, or a file of it is not in order.
    """
    if name in (HLVID, HLVID_SYNTHETIC):
        root = data or Path(os.environ.get("HLVID_DATA") or cache_dir() / name)
        return _load_released(root) if name == HLVID else _load_synthetic(root)
    folder = Path(name)
    if not folder.is_dir():
        raise UserError(
            f"benchmark {shown(name)}: is unknown. Allowed are {HLVID}, {HLVID_SYNTHETIC} "
            f"and a folder with {_MANIFEST_FILE}."
        )
    return read(folder, root=data or folder)


def read(folder: Path, *, root: Path | None) -> Benchmark:
    """Read a benchmark's three files from `folder`; its videos lie under `root`."""
    manifest = read_json(folder / _MANIFEST_FILE, Manifest)
    questions = read_jsonl(folder / _QUESTIONS_FILE, Question)
    videos: dict[str, Video] = {}
    for number, video in enumerate(read_jsonl(folder / _VIDEOS_FILE, Video), start=1):
        if video.video_id in videos:
            raise UserError(f"{_VIDEOS_FILE}:{number}: video {video.video_id} is there twice.")
        videos[video.video_id] = video
    for number, question in enumerate(questions, start=1):
        _check_parts(question, where=f"{_QUESTIONS_FILE}:{number}")
    return Benchmark(
        name=manifest.name,
        revision=manifest.revision,
        questions=tuple(questions),
        videos=videos,
        root=root,
        license=manifest.license,
        description=manifest.description,
        settings=manifest.settings,
    )


def write(folder: Path, benchmark: Benchmark) -> None:
    """Write a benchmark's three files; what `read` reads back is equal to it.

    Raises:
        UserError: A video of the benchmark has no record yet.
    """
    for video_id in benchmark.video_ids:
        if video_id not in benchmark.videos:
            raise UserError(f"benchmark {benchmark.name}: video {video_id} has no record yet.")
    for question in benchmark.questions:
        _check_parts(question, where=f"question {question.question_id}")
    videos = sorted(benchmark.videos.values(), key=lambda video: id_order(video.video_id))
    manifest = Manifest(
        name=benchmark.name,
        revision=benchmark.revision,
        license=benchmark.license,
        description=benchmark.description,
        settings=benchmark.settings,
    )
    write_jsonl(folder / _QUESTIONS_FILE, benchmark.questions)
    write_jsonl(folder / _VIDEOS_FILE, videos)
    write_json(folder / _MANIFEST_FILE, manifest)


def _load_synthetic(root: Path) -> Benchmark:
    with resources.as_file(resources.files("hlvid") / "synthetic" / "questions") as folder:
        return read(folder, root=root)


def _load_released(root: Path) -> Benchmark:
    """Read HLVid as it was released: one parquet file of five columns, videos beside it."""
    path = root / PARQUET_FILE
    if not path.is_file():
        raise UserError(f"{path}: is missing. {_HOW_TO_GET_HLVID.format(root=root)}")
    questions = []
    for number, row in enumerate(_read_rows(path)):
        where = f"{path.name}: row {number}"
        try:
            parsed = parse(str(row["question"]))
            question = Question(
                question_id=str(row["question_id"]),
                video_id=str(row["video_path"]),
                category=str(row["category"]),
                text=str(row["question"]),
                stem=parsed.stem,
                choices=parsed.choices,
                answer=str(row["answer"]),
            )
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise UserError(f"{where}: {first['msg']} ({shown(first['input'])}).") from None
        questions.append(question)
    num_videos = len({question.video_id for question in questions})
    is_released = (len(questions), num_videos) == (RELEASED_QUESTIONS, RELEASED_VIDEOS)
    return Benchmark(
        name=HLVID,
        revision="released" if is_released else f"other-{len(questions)}-{num_videos}",
        questions=tuple(questions),
        videos={},
        root=root,
    )


def _read_rows(path: Path) -> list[dict[str, object]]:
    """The rows of HLVid's parquet file, its size and columns checked before they are read."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = range(file.metadata.num_row_groups)
            num_bytes = sum(file.metadata.row_group(i).total_byte_size for i in groups)
            columns = tuple(file.schema_arrow.names)
            if sorted(columns) != sorted(PARQUET_COLUMNS):
                raise UserError(
                    f"{path.name}: has columns {shown(columns)}. "
                    f"Allowed are {', '.join(PARQUET_COLUMNS)}."
                )
            if num_bytes > MAX_PARQUET_BYTES:
                raise UserError(f"{path.name}: holds more than {MAX_PARQUET_BYTES} bytes.")
            rows: list[dict[str, object]] = file.read().to_pylist()
            return rows
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path.name}: is not a parquet file that can be read ({error}).") from None


def _check_parts(question: Question, *, where: str) -> None:
    """Refuse a question whose stem and choices are not those in its text."""
    try:
        parsed = parse(question.text)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if (parsed.stem, parsed.choices) != (question.stem, question.choices):
        raise UserError(f"{where}: stem and choices are not those of the text.")


_HOW_TO_GET_HLVID = (
    "HLVid is the dataset bfshi/HLVid on Hugging Face (about 152 GB of video, no licence named): "
    "'hf download bfshi/HLVid --repo-type dataset --local-dir {root}', "
    "then unpack videos_part_*.tar into {root}/videos."
)


def _how_to_get(benchmark: Benchmark) -> str:
    """The sentence that tells how a benchmark's videos come onto this machine."""
    root = benchmark.root or Path("DIR")
    if benchmark.name == HLVID:
        return _HOW_TO_GET_HLVID.format(root=root)
    if benchmark.name == HLVID_SYNTHETIC:
        settings = benchmark.settings
        flags = " ".join(
            f"--{key} {settings[key]}" for key in ("videos", "seconds", "seed") if key in settings
        )
        return f"Render it with 'hlvid-build render --out {root} {flags}'.".replace(" '.", "'.")
    return f"Put it there, or name the folder that holds videos/ ({root} does not)."
