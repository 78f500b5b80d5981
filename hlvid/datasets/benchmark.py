"""A benchmark: its questions, what is known of their videos, where these lie; as three files."""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hlvid.errors import UserError
from hlvid.files import (
    digest_records,
    id_order,
    read_json,
    read_jsonl,
    remove_file,
    shown,
    write_json,
    write_jsonl,
)
from hlvid.prompt import parse
from hlvid.types import BenchmarkId, Evidence, Identifier, Marked, Question, Record, Video

HLVID_SYNTHETIC = "hlvid-synthetic"
"""The benchmark that is rendered, not fetched."""
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
    files: Mapping[str, str] = field(default_factory=dict)
    """Video id -> path below `root`, of videos without a record that are named otherwise."""
    how_to_get: str = ""
    """The sentence that tells how the videos come onto this machine, where it is a special one."""
    num_frames: int | None = None
    """Frames that have to be sampled from a video, where the questions depend on it."""
    license: str = "unknown"
    description: str = ""
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    marked: tuple[Marked, ...] = ()
    """Where people saw answers, of questions that do not say so themselves: kept beside them, so
    that the exam is the one that was published, whoever knows what of it."""
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

    @cached_property
    def evidence(self) -> Mapping[str, Sequence[Evidence]]:
        """Question id -> its evidence, where there is any: its own, else what was marked."""
        found = {each.question_id: each.evidence for each in self.marked}
        found |= {q.question_id: q.evidence for q in self.questions if q.evidence}
        asked = (question.question_id for question in self.questions)
        return {question_id: found[question_id] for question_id in asked if found.get(question_id)}

    @property
    def marked_sha256(self) -> str | None:
        """Digest of what was marked beside the questions; None where nothing was."""
        return digest_records(self.marked) if self.marked else None

    def with_marked(self, path: Path) -> "Benchmark":
        """The same exam with what a file of `hlvid.types.Marked` says of it.

        Raises:
            UserError: The file is not in order, or is about other questions.
        """
        name = f"{path.parent.name}/{path.name}"
        videos = {question.question_id: question.video_id for question in self.questions}
        seen: set[str] = set()
        marked = read_jsonl(path, Marked, name=name, max_records=len(videos))
        for number, each in enumerate(marked, start=1):
            if videos.get(each.question_id) != each.video_id:
                raise UserError(
                    f"{name}:{number}: question {each.question_id} about video {each.video_id} is "
                    f"none of benchmark {self.name}. Allowed are its own."
                )
            if each.question_id in seen:
                raise UserError(
                    f"{name}:{number}: question {each.question_id} is there twice. Allowed is once."
                )
            seen.add(each.question_id)
        return replace(self, marked=tuple(marked))

    def video_path(self, video_id: str) -> Path:
        """Where a video's file lies: at its record's path or in `files`, else `videos/<video_id>`.

        Raises:
            MissingVideo: It is not there; the sentence says how to get it.
            UserError: No question is about such a video.
        """
        self._refuse_unknown([video_id])
        known = self.videos.get(video_id)
        named = self.files.get(video_id, f"videos/{video_id}")
        relative = (known and known.path) or named
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
        if self.name == HLVID_SYNTHETIC:
            flags = "".join(f" --{name} {value}" for name, value in self.settings.items())
            root = "DIR" if self.root is None else shlex.quote(str(self.root))
            return f"Render it: hlvid-build render --out {root}{flags}"
        generic = "Put it there, or name the folder that holds videos/ (--data or HLVID_DATA)."
        return self.how_to_get or generic


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


VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv")
"""Of files in a folder, those that are taken for videos: what `hlvid.video` can open."""


def read_alone(file: Path, *, root: Path) -> Benchmark:
    """Read a file of questions that has no manifest and no records of videos beside it.

    Args:
        file: Its name is the benchmark's, or, where that is `questions.jsonl`, its folder's is.
        root: The folder that holds `videos/`, each named by its id, with or without an ending.

    Raises:
        UserError: The file is not in order, or its name is none for a benchmark.
    """
    path = file.resolve()
    name = path.parent.name if path.name == QUESTIONS_FILE else path.stem
    try:
        TypeAdapter(Identifier).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{file}: {shown(name)} cannot name a benchmark. Allowed are letters, digits and "
            "._:@#+- without a space: rename it, or its folder."
        ) from None
    questions = read_jsonl(file, Question)
    _check_texts([(f"{file.name}:{i}", question) for i, question in enumerate(questions, 1)])
    folder = root / "videos"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    wanted = {question.video_id for question in questions} - {one.name for one in found}
    by_stem: dict[str, str] = {}
    for one in found:
        if one.suffix.lower() not in VIDEO_SUFFIXES or one.stem not in wanted:
            continue
        if other := by_stem.get(one.stem):
            raise UserError(
                f"{folder}: {one.name} and {Path(other).name} could both be video {one.stem}. "
                "Take one away."
            )
        by_stem[one.stem] = f"videos/{one.name}"
    return Benchmark(
        name=name,
        revision="",
        questions=tuple(questions),
        videos={},
        root=root,
        files={video_id: by_stem[video_id] for video_id in wanted if video_id in by_stem},
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
    remove_file(folder / MANIFEST_FILE)  # It must not stand over other questions.
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
