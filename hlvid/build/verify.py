"""Whether a package is what it says: every byte, every row, every letter, read again from the disk.

Nothing in the package is believed: its files are held against its manifest, its rows against its
lock, and its lock, where an earlier package is at hand, against that one's.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hlvid import datasets
from hlvid.build.codes import Ended
from hlvid.build.lint import check_evidence, same_choices
from hlvid.build.package import MANIFEST_FILE, PackageManifest, read_manifest
from hlvid.build.questions import Draft
from hlvid.build.rows import COLUMNS, Row, content_sha256, default_row
from hlvid.build.split import LOCK_FILE, Lock, LockLine, read_lock
from hlvid.errors import UserError
from hlvid.files import MAX_JSON_BYTES, read_bytes, sha256_file, shown
from hlvid.types import Question, Video

MAX_PROBLEMS = 100
_FOLDERS = {"default": "data", "structured": "structured"}


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
    yield from _claims("version", manifest.version, lock.version)
    found = {"lock": content_sha256([line.model_dump(mode="json") for line in lock.lines])}
    found["clips"] = content_sha256(_read_clips(folder / "clips.jsonl"))
    splits = sorted({line.split for line in lock.active})
    videos: set[str] = set()
    for split in splits:
        benchmark = datasets.read(folder / split, root=folder)
        videos |= set(benchmark.video_ids)
        for config, place in _FOLDERS.items():
            rows = read_rows(folder / place / f"{split}-00000-of-00001.parquet")
            found[f"{config}/{split}"] = content_sha256(rows)
            yield from _same_questions(f"{place}/{split}", rows, benchmark.questions)
        yield from _letters(split, lock, benchmark)
    yield from _claims("num_questions", manifest.num_questions, len(lock.active))
    yield from _claims("num_videos", manifest.num_videos, len(videos))
    for name in sorted({*found, *manifest.content_sha256}):
        claimed, is_now = manifest.content_sha256.get(name), found.get(name)
        if claimed != is_now:
            yield f"content of {shown(name)}: {MANIFEST_FILE} says {claimed}, it is {is_now}"


def read_rows(path: Path) -> list[Row]:
    """The rows of a parquet file of a package.

    Raises:
        UserError: It cannot be read, or is too large.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > 256 * 2**20:
                raise UserError(f"{path.name}: unpacks to more than 256 MiB.")
            rows: list[Row] = file.read().to_pylist()
            return rows
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: cannot be read as parquet ({shown(str(error))}).") from None


def _read_clips(path: Path) -> list[Row]:
    try:
        lines = read_bytes(path, max_bytes=MAX_JSON_BYTES).splitlines()
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        raise UserError(f"{path.name}: is not JSON Lines.") from None


def _same_questions(where: str, rows: list[Row], questions: tuple[Question, ...]) -> Iterator[str]:
    """The rows of a file are the questions of the split; the file's order is that of the lock."""
    if where.startswith("data/"):
        wanted = {q.question_id: dict(default_row(q)) for q in questions}
        for row in rows:
            if tuple(row) != COLUMNS or wanted.get(str(row["question_id"])) != row:
                yield f"{where}: row {shown(row.get('question_id'))} is not in questions.jsonl"
    ids = [str(row.get("question_id")) for row in rows]
    if sorted(ids) != sorted(question.question_id for question in questions):
        yield f"{where}: holds other questions than questions.jsonl"


def _letters(split: str, lock: Lock, benchmark: datasets.Benchmark) -> Iterator[str]:
    """Numbers, letters and evidence of a split, against lock and videos."""
    lines: Mapping[str, LockLine] = {str(e.number): e for e in lock.active if e.split == split}
    groups = {line.group_id for line in lock.active if line.split != split}
    for question in benchmark.questions:
        line = lines.get(question.question_id)
        where = f"{split}: question {question.question_id}"
        if line is None:
            yield f"{where}: is not in {LOCK_FILE}"
            continue
        if (question.answer, len(question.choices)) != (line.letter, len(line.order)):
            yield f"{where}: its letters are not those of {LOCK_FILE}"
        if line.group_id in groups:
            yield f"{where}: its group {line.group_id} has questions in another split"
        yield from _evidence(where, question, benchmark.videos[question.video_id])
    if len(lines) != len(benchmark.questions):
        yield (
            f"{split}: {LOCK_FILE} has {len(lines)} questions, there are {len(benchmark.questions)}"
        )


def _evidence(where: str, question: Question, video: Video) -> Iterator[str]:
    if twice := same_choices(question.choices):
        yield f"{where}: {twice}"
    draft = Draft(
        question_id=question.question_id,
        video_id=question.video_id,
        stem=question.stem,
        choices=question.choices,
        evidence=question.evidence,
        author="verify",
    )
    try:
        check_evidence(draft, video.duration_seconds, video.width, video.height)
    except Ended as end:
        yield f"{where}: {end.code} {end.detail}"


def _claims(what: str, claimed: Any, found: Any) -> Iterator[str]:  # noqa: ANN401
    if claimed != found:
        yield f"{MANIFEST_FILE}: {what} is {claimed}, but there are {found}"


def _ancestry(folder: Path, parent: Path | None) -> Iterator[str]:
    """A lock only ever grows."""
    if parent is None:
        return
    before, now = ((f / LOCK_FILE).read_bytes() for f in (parent, folder))
    if not now.startswith(before):
        yield f"{LOCK_FILE}: does not begin as that of {parent.name}: published lines have moved"
