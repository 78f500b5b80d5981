"""Whether a package is what it says: every byte, every row, every letter, read again from the disk.

Nothing in the package is believed: its files are held against its manifest, its rows against its
lock, and its lock, where an earlier package is at hand, against that one's.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hlvid import datasets
from hlvid.build.codes import Ended
from hlvid.build.lint import check_evidence, check_rules
from hlvid.build.lock import LOCK_FILE, Lock, LockLine, read_lock, version_key
from hlvid.build.lock import content_sha256 as draft_sha256
from hlvid.build.package import (
    CARD_FILE,
    CHANGELOG_FILE,
    CLIPS_FILE,
    CROISSANT_FILE,
    FACTS_FILE,
    MANIFEST_FILE,
    MAX_VIDEOS,
    PackageManifest,
    read_manifest,
)
from hlvid.build.records import Media
from hlvid.build.rows import (
    ClipRow,
    Row,
    content_sha256,
    default_row,
    default_schema,
    draft_of,
    structured_row,
    structured_schema,
    video_of,
)
from hlvid.build.work import TOMBSTONES_FILE
from hlvid.datasets.benchmark import MANIFEST_FILE as BENCHMARK_FILE
from hlvid.datasets.benchmark import QUESTIONS_FILE, VIDEOS_FILE
from hlvid.datasets.parquet import read_rows
from hlvid.errors import UserError
from hlvid.files import (
    MAX_JSONL_BYTES,
    digest_records,
    read_bytes,
    read_jsonl,
    sha256_file,
    shown,
)
from hlvid.types import Question, Video

MAX_PROBLEMS = 100
_FOLDERS = {"default": "data", "structured": "structured"}
_PAGES = (
    *(LOCK_FILE, CLIPS_FILE, TOMBSTONES_FILE, FACTS_FILE),
    *(CARD_FILE, CHANGELOG_FILE, CROISSANT_FILE),
)


def verify(folder: Path, *, parent: Path | None = None) -> list[str]:
    """What is wrong with a package: nothing, where all is well.

    Args:
        folder: The package.
        parent: An earlier version of it, whose lock must begin this one's.

    Raises:
        UserError: It is no package.
    """
    manifest = read_manifest(folder)
    problems = []
    for part in (_files(folder, manifest), _content(folder, manifest), _ancestry(folder, parent)):
        try:
            for problem in part:
                problems.append(problem)
                if len(problems) == MAX_PROBLEMS:
                    return problems
        except UserError as error:
            problems.append(str(error))
    return problems


def _files(folder: Path, manifest: PackageManifest) -> Iterator[str]:
    """Every file there, and no other; no links."""
    there = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }
    for name in sorted({*there, *manifest.files} - {MANIFEST_FILE}):
        media, path = manifest.files.get(name), there.get(name)
        if media is None:
            yield f"{shown(name)}: is not in {MANIFEST_FILE}"
        elif path is None:
            yield f"{shown(name)}: is missing"
        elif path.is_symlink() or not path.is_file():
            yield f"{shown(name)}: is no regular file"
        elif path.stat().st_size != media.num_bytes:
            yield f"{shown(name)}: has {path.stat().st_size} bytes, not {media.num_bytes}"
        elif sha256_file(path) != media.sha256:
            yield f"{shown(name)}: its bytes have changed"


def _content(folder: Path, manifest: PackageManifest) -> Iterator[str]:
    lock = read_lock(folder / LOCK_FILE)
    if version_key(manifest.version) < version_key(lock.version):
        yield f"{MANIFEST_FILE}: version {manifest.version} is older than {lock.version}"
    for name in lock.unfounded():
        yield f"{LOCK_FILE}: split and letters of question {name} do not follow from its policy"
    clips = read_jsonl(folder / CLIPS_FILE, ClipRow, max_records=MAX_VIDEOS)
    by_name = {clip.video_path: clip for clip in clips}
    found = {"lock": digest_records(lock.lines), "clips": digest_records(clips)}
    names = {*_PAGES, *(f"videos/{name}" for name in by_name)}
    videos: set[str] = set()
    schemas = {"default": default_schema(), "structured": structured_schema()}
    for split in sorted({line.split for line in lock.active}):
        benchmark = datasets.read(folder / split, root=folder)
        videos |= set(benchmark.video_ids)
        names |= {f"{split}/{name}" for name in (BENCHMARK_FILE, QUESTIONS_FILE, VIDEOS_FILE)}
        for config, wanted in _rows(split, lock, benchmark, manifest.canary).items():
            name = f"{_FOLDERS[config]}/{split}-00000-of-00001.parquet"
            rows = read_rows(folder / name, schemas[config].names, schema=schemas[config])
            yield from _same_rows(name, rows, wanted)
            found[f"{config}/{split}"] = _digest(name, rows)
            names.add(name)
        yield from _letters(split, lock, benchmark, by_name)
    yield from _clips(manifest, clips, videos)
    yield from _claims("num_questions", manifest.num_questions, len(lock.active))
    yield from _claims("num_videos", manifest.num_videos, len(videos))
    yield from (f"{shown(n)}: is no part of a package" for n in sorted(set(manifest.files) - names))
    for name in sorted({*found, *manifest.content_sha256}):
        claimed, is_now = manifest.content_sha256.get(name), found.get(name)
        if claimed != is_now:
            yield f"content of {shown(name)}: {MANIFEST_FILE} says {claimed}, it is {is_now}"


def _rows(
    split: str, lock: Lock, benchmark: datasets.Benchmark, canary: str
) -> Mapping[str, Sequence[Row]]:
    """What the parquet files of a split must hold, in the order of the lock; not all is known."""
    known = {question.question_id: question for question in benchmark.questions}
    lines = [line for line in lock.active if line.split == split and str(line.number) in known]
    pairs = [(known[str(line.number)], line) for line in lines]
    return {
        "default": [default_row(question) for question, _ in pairs],
        "structured": [
            structured_row(question, group_id=line.group_id, canary=canary)
            for question, line in pairs
        ],
    }


def _same_rows(name: str, rows: Sequence[Row], wanted: Sequence[Row]) -> Iterator[str]:
    if len(rows) != len(wanted):
        yield f"{name}: has {len(rows)} rows, and questions.jsonl {len(wanted)} questions"
    for row, each in zip(rows, wanted, strict=False):
        if any(row[column] != value for column, value in each.items()):
            yield f"{name}: row {shown(row['question_id'])} is not in questions.jsonl"


def _digest(name: str, rows: Sequence[Row]) -> str:
    try:
        return content_sha256(rows)
    except ValueError:
        raise UserError(f"{name}: holds what is no number (NaN, or an infinity).") from None


def _letters(
    split: str, lock: Lock, benchmark: datasets.Benchmark, clips: Mapping[str, ClipRow]
) -> Iterator[str]:
    """Numbers, letters and evidence of a split, against lock and videos."""
    mine = [line for line in lock.active if line.split == split]
    lines = {str(line.number): line for line in mine}
    groups = {line.group_id for line in lock.active if line.split != split}
    for name, video in benchmark.videos.items():
        if name not in clips or video_of(clips[name]) != video:
            yield f"{split}: video {name} is not as in {CLIPS_FILE}"
    for question in benchmark.questions:
        line, clip = lines.get(question.question_id), clips.get(question.video_id)
        where = f"{split}: question {question.question_id}"
        if line is None:
            yield f"{where}: is not in {LOCK_FILE}"
            continue
        if line.group_id in groups:
            yield f"{where}: its group {line.group_id} has questions in another split"
        if clip is not None and clip.group_id != line.group_id:
            yield f"{where}: its group is not that of its clip"
        if (question.answer, len(question.choices)) != (line.letter, len(line.order)):
            yield f"{where}: its letters are not those of {LOCK_FILE}"
        else:
            yield from _wording(where, question, line, benchmark.videos[question.video_id])
    if len(mine) != len(benchmark.questions):
        yield (
            f"{split}: {LOCK_FILE} has {len(mine)} questions, there are {len(benchmark.questions)}"
        )


def _wording(where: str, question: Question, line: LockLine, video: Video) -> Iterator[str]:
    """A question is what was locked, and keeps the rules."""
    try:
        draft = draft_of(question, line)
        check_rules(draft)
        check_evidence(draft, video.duration_seconds, video.width, video.height)
    except Ended as end:
        yield f"{where}: {end.code} {end.detail}"
    except UserError as error:
        yield f"{where}: {error}"
    else:
        sha256 = draft_sha256(draft, video.sha256)
        if (sha256, question.category) != (line.content_sha256, line.category):
            yield f"{where}: is not what {LOCK_FILE} holds"


def _clips(
    manifest: PackageManifest, clips: Sequence[ClipRow], videos: Collection[str]
) -> Iterator[str]:
    """Each clip once, as the file that it names; no clip without a question."""
    if sorted(clip.video_path for clip in clips) != sorted(videos):
        yield f"{CLIPS_FILE}: holds other videos than the questions are about"
    for clip in clips:
        media = Media(sha256=clip.sha256, num_bytes=clip.num_bytes)
        if manifest.files.get(f"videos/{clip.video_path}") != media:
            yield f"{CLIPS_FILE}: {clip.video_path} is not the file in {MANIFEST_FILE}"


def _claims(what: str, claimed: Any, found: Any) -> Iterator[str]:  # noqa: ANN401
    if claimed != found:
        yield f"{MANIFEST_FILE}: {what} is {claimed}, but there are {found}"


def _ancestry(folder: Path, parent: Path | None) -> Iterator[str]:
    """A lock only ever grows."""
    if parent is None:
        return
    before, now = (read_bytes(f / LOCK_FILE, max_bytes=MAX_JSONL_BYTES) for f in (parent, folder))
    if not now.startswith(before):
        yield f"{LOCK_FILE}: does not begin as that of {parent.name}: published lines have moved"
