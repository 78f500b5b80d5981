"""Benchmarks: finding their questions and videos, and writing them down."""

import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from hlvid.errors import UserError
from hlvid.files import (
    cache_dir,
    digest_records,
    explain,
    id_order,
    read_json,
    read_jsonl,
    shown,
    write_json,
    write_jsonl,
)
from hlvid.prompt import Parsed, parse
from hlvid.types import BenchmarkId, Identifier, Question, Record, Video

HLVID = "hlvid"
HLVID_SYNTHETIC = "hlvid-synthetic"
RELEASED_QUESTIONS = 268
RELEASED_VIDEOS = 77
PARQUET_FILE = "data/test-00000-of-00001.parquet"
PARQUET_COLUMNS = ("question_id", "category", "video_path", "question", "answer")
MAX_PARQUET_BYTES = 256 * 2**20

MANIFEST_FILE = "benchmark.json"
QUESTIONS_FILE = "questions.jsonl"
VIDEOS_FILE = "videos.jsonl"


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
    """Video id -> what is known without opening the file; empty for HLVid as released."""
    root: Path | None = None
    """The folder that holds `videos/`; None where no video is at hand."""
    license: str = "unknown"
    description: str = ""
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    questions_sha256: str = field(init=False)
    """Digest of `questions.jsonl` as `write` writes it."""

    def __post_init__(self) -> None:
        """Put the questions in order and hold them against the videos."""
        where = f"benchmark {self.name}"
        if not self.questions:
            raise UserError(f"{where}: has no questions. Allowed is at least one.")
        _check(((where, question) for question in self.questions), self.videos)
        ordered = tuple(sorted(self.questions, key=lambda q: id_order(q.question_id)))
        object.__setattr__(self, "questions", ordered)
        object.__setattr__(self, "questions_sha256", digest_records(ordered))

    @cached_property
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
            UserError: No question is about such a video.
        """
        self._refuse_unknown([video_id])
        known = self.videos.get(video_id)
        relative = (known and known.path) or f"videos/{video_id}"
        if self.root is None:
            where = f"{relative} of benchmark {self.name}"
        elif (self.root / relative).is_file():
            return self.root / relative
        else:
            where = str(self.root / relative)
        raise MissingVideo(f"video {video_id}: {where} is missing. {self._how_to_get()}")

    def subset(
        self, *, video_ids: Collection[str] | None = None, limit: int | None = None
    ) -> "Benchmark":
        """The questions about some videos, or the first `limit` questions, or both.

        Its digest and its `id` are those of the questions that are left.

        Raises:
            UserError: A video is unknown, or nothing would be left.
        """
        wanted = self.video_ids if video_ids is None else video_ids
        self._refuse_unknown(wanted)
        if limit is not None and limit < 1:
            raise UserError(f"limit: {limit} questions are too few. Allowed is 1 and more.")
        questions = [q for q in self.questions if q.video_id in wanted][:limit]
        kept = {question.video_id for question in questions}
        videos = {video_id: v for video_id, v in self.videos.items() if video_id in kept}
        return replace(self, questions=tuple(questions), videos=videos)

    def _refuse_unknown(self, video_ids: Iterable[str]) -> None:
        for video_id in video_ids:
            if video_id not in self.video_ids:
                raise UserError(
                    f"benchmark {self.name}: has no question about video {shown(video_id)}. "
                    f"The first of its {len(self.video_ids)} videos is {self.video_ids[0]}."
                )

    def _how_to_get(self) -> str:
        """The sentence that tells how the videos come onto this machine."""
        if self.name == HLVID:
            return _how_to_get_hlvid(self.root)
        if self.name == HLVID_SYNTHETIC:
            flags = "".join(f" --{name} {value}" for name, value in self.settings.items())
            return f"Render it: hlvid-build render --out {_typed(self.root)}{flags}"
        return "Put it there, or name the folder that holds videos/ (--data or HLVID_DATA)."


def load(name: str, *, data: Path | None = None) -> Benchmark:
    """Load a benchmark.

    Args:
        name: 'hlvid', 'hlvid-synthetic', or a folder with `benchmark.json`.
        data: The folder that holds `videos/`; by default HLVID_DATA, else one in the cache, and
            for a folder the folder itself. 'hlvid-synthetic' is asked with the questions that
            were rendered into it; where it has none, with those that ship.

    Raises:
        UserError: There is no such benchmark, or a file of it is not in order.
    """
    if name in (HLVID, HLVID_SYNTHETIC):
        root = data or Path(os.environ.get("HLVID_DATA") or cache_dir() / name)
        if name == HLVID:
            return _read_released(root)
        if (root / MANIFEST_FILE).exists():
            return _named(read(root, root=root), name)
        with resources.as_file(resources.files("hlvid") / "synthetic" / "questions") as shipped:
            return read(shipped, root=root)
    folder = Path(name)
    if not (folder / MANIFEST_FILE).exists():
        raise UserError(
            f"benchmark {shown(name)}: is not known. Allowed are {HLVID}, {HLVID_SYNTHETIC} "
            f"and a folder with {MANIFEST_FILE}."
        )
    return read(folder, root=data or folder)


def _named(benchmark: Benchmark, name: str) -> Benchmark:
    if benchmark.name != name:
        raise UserError(
            f"{benchmark.root}: holds the benchmark {shown(benchmark.name)}, not {name}. "
            f"Name it by its folder: --benchmark {benchmark.root}."
        )
    return benchmark


def read(folder: Path, *, root: Path | None) -> Benchmark:
    """Read a benchmark's three files.

    Args:
        folder: Holds `benchmark.json`, `questions.jsonl` and `videos.jsonl`.
        root: The folder that holds `videos/`, or None where no video is at hand.

    Raises:
        UserError: A file is missing or not in order; the sentence names file and line.
    """
    manifest = read_json(folder / MANIFEST_FILE, Manifest)
    questions = read_jsonl(folder / QUESTIONS_FILE, Question)
    videos: dict[str, Video] = {}
    for number, video in enumerate(read_jsonl(folder / VIDEOS_FILE, Video), start=1):
        if video.video_id in videos:
            raise UserError(
                f"{VIDEOS_FILE}:{number}: video {video.video_id} is there twice. Allowed is once."
            )
        videos[video.video_id] = video
    numbered = [(f"{QUESTIONS_FILE}:{i}", question) for i, question in enumerate(questions, 1)]
    _check(numbered, videos)
    _check_texts(numbered)
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
    """Write a benchmark's three files, `benchmark.json` last; `read` gives it back.

    Raises:
        UserError: A video has no record yet, a question does not parse back, or the disk refuses.
    """
    for video_id in benchmark.video_ids:
        if video_id not in benchmark.videos:
            raise UserError(
                f"benchmark {benchmark.name}: video {video_id} has no record. "
                "Allowed are benchmarks with a record of each video."
            )
    _check_texts([(f"question {q.question_id}", q) for q in benchmark.questions])
    videos = sorted(benchmark.videos.values(), key=lambda video: id_order(video.video_id))
    manifest = Manifest(
        name=benchmark.name,
        revision=benchmark.revision,
        license=benchmark.license,
        description=benchmark.description,
        settings=benchmark.settings,
    )
    write_jsonl(folder / QUESTIONS_FILE, benchmark.questions)
    write_jsonl(folder / VIDEOS_FILE, videos)
    write_json(folder / MANIFEST_FILE, manifest)


def _check(numbered: Iterable[tuple[str, Question]], videos: Mapping[str, Video]) -> None:
    """Refuse a question that is there twice or whose video is not known."""
    seen: set[str] = set()
    for where, question in numbered:
        if question.question_id in seen:
            raise UserError(
                f"{where}: question {question.question_id} is there twice. Allowed is once."
            )
        seen.add(question.question_id)
        if videos and question.video_id not in videos:
            raise UserError(
                f"{where}: question {question.question_id} is about video {question.video_id}. "
                f"Allowed are the videos in {VIDEOS_FILE}."
            )


def _check_texts(numbered: Sequence[tuple[str, Question]]) -> None:
    """Refuse a question whose stem and choices are not those in its text."""
    for where, question in numbered:
        try:
            parsed = parse(question.text)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        for part in ("stem", "choices"):
            given, found = getattr(question, part), getattr(parsed, part)
            if given != found:
                raise UserError(
                    f"{where}: {part} is {shown(given)}, but the text gives {shown(found)}."
                )


def _read_released(root: Path) -> Benchmark:
    """Read HLVid as it was released: one parquet file of five columns, videos beside it."""
    path = root / PARQUET_FILE
    if not path.is_file():
        raise UserError(f"{path}: is missing. {_how_to_get_hlvid(root)}")
    rows = _read_rows(path)
    questions = tuple(
        _to_question(row, where=f"{path.name}: row {number}") for number, row in enumerate(rows)
    )
    counts = (len(questions), len({question.video_id for question in questions}))
    is_released = counts == (RELEASED_QUESTIONS, RELEASED_VIDEOS)
    return Benchmark(
        name=HLVID,
        revision="released" if is_released else "{} questions on {} videos".format(*counts),
        questions=questions,
        videos={},
        root=root,
        description="HLVid as released: questions on 4K videos of up to five minutes.",
    )


def _how_to_get_hlvid(root: Path | None) -> str:
    return (
        "HLVid is the dataset bfshi/HLVid on Hugging Face (about 152 GB of video, no licence "
        f"named): hf download bfshi/HLVid --repo-type dataset --local-dir {_typed(root)} ; "
        "then unpack its videos_part_*.tar into the folder videos/ there."
    )


def _typed(root: Path | None) -> str:
    """A folder as a shell takes it."""
    return "DIR" if root is None else shlex.quote(str(root))


def _read_rows(path: Path) -> list[dict[str, object]]:
    """The rows of HLVid's parquet file, its columns and size checked before they are read."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            num_bytes = max(path.stat().st_size, sum(group.total_byte_size for group in groups))
            if sorted(columns) != sorted(PARQUET_COLUMNS):
                raise UserError(
                    f"{path.name}: has the columns {', '.join(map(shown, columns))}. "
                    f"Allowed are {', '.join(PARQUET_COLUMNS)}."
                )
            if num_bytes > MAX_PARQUET_BYTES:
                raise UserError(
                    f"{path.name}: holds {num_bytes} bytes. Allowed are {MAX_PARQUET_BYTES}."
                )
            rows: list[dict[str, object]] = file.read().to_pylist()
            return rows
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path.name}: cannot be read as parquet ({shown(str(error))}). "
            "Download it again, or compare its digest with the release's."
        ) from None


def _to_question(row: Mapping[str, object], *, where: str) -> Question:
    """One row of HLVid's parquet file: stem and choices are taken from its text."""
    if type(row["question_id"]) is not int:
        raise UserError(
            f"{where}: question_id is {shown(row['question_id'])}. Allowed are integers."
        )
    text = row["question"]
    try:
        parsed = parse(text) if isinstance(text, str) else Parsed("", (), "")
        return Question.model_validate(
            {
                "question_id": str(row["question_id"]),
                "video_id": row["video_path"],
                "category": row["category"],
                "text": text,
                "stem": parsed.stem,
                "choices": parsed.choices,
                "answer": row["answer"],
            },
            strict=True,
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except ValidationError as error:
        raise UserError(f"{where}: {explain(error)}") from None
