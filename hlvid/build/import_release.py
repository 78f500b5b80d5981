"""HLVid as released, taken apart into the builder's own files, and held against every check.

Sources and clip times of the release are nowhere written down: its videos cannot be fetched again,
only checked and locked: those at hand are read, and their bytes are in the lock. The lock and the
questions that come out give the release's rows back, exactly and in their order.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlvid import datasets
from hlvid.build.codes import Ended
from hlvid.build.hub import client, content
from hlvid.build.lint import check_evidence, check_rules, flags, letter_balance
from hlvid.build.lock import LOCK_FILE, Lock, LockLine
from hlvid.build.lock import content_sha256 as draft_sha256
from hlvid.build.questions import Draft, add, read_file
from hlvid.build.rows import COLUMNS, Row, content_sha256, default_row, question_of
from hlvid.console import progress
from hlvid.datasets import released
from hlvid.datasets.parquet import read_rows
from hlvid.errors import UserError
from hlvid.files import sha256_file, shown, write_bytes, write_json
from hlvid.index_cache import cached_scan
from hlvid.prompt import parse
from hlvid.types import Count, Question, Record, Seconds, Sha256
from hlvid.video_file import VideoError

VERSION = "1.0.0"
SPLIT = "test"
AUTHOR = "release"
_PIECE = re.compile(r"(.+?)(?:_[0-9]+)?\.[A-Za-z0-9]+")


class Film(Record):
    """A released video as it lies here."""

    sha256: Sha256
    num_bytes: Count
    duration_seconds: Seconds | None = None
    width: Count | None = None
    height: Count | None = None
    codec: str | None = None
    problem: str | None = None
    """Why it cannot be read, or not to its end."""


@dataclass(frozen=True)
class Imported:
    """A release in the builder's words.

    Args:
        drafts: Its questions, right option first, in the order of its rows.
        lock: Its numbers and letters.
        rows_sha256: Digest of the content of its rows.
        report: What every check says of it.
    """

    drafts: tuple[Draft, ...]
    lock: Lock
    rows_sha256: str
    report: Mapping[str, Any]


def import_release(root: Path) -> Imported:
    """Read a release and check it.

    Args:
        root: Holds `data/`, and `videos/` where they are at hand.

    Raises:
        UserError: It is not in order, its labels are withheld, or it would not come out again.
    """
    benchmark = datasets.load(datasets.HLVID, data=root)
    rows = read_rows(root / datasets.PARQUET_FILE, COLUMNS)
    by_id = {question.question_id: question for question in benchmark.questions}
    films = read_films(benchmark.video_ids, root / "videos")
    drafts, lines = [], []
    for row in rows:
        question = by_id[str(row["question_id"])]
        draft = _draft(question)
        drafts.append(draft)
        film = films.get(question.video_id)
        lines.append(_line(question, draft, film.sha256 if film else None))
    lock = Lock(lines)
    again = [default_row(question_of(d, line)) for d, line in zip(drafts, lines, strict=True)]
    for before, after in zip(rows, again, strict=True):
        if dict(before) != dict(after):
            raise UserError(
                f"question {before['question_id']}: comes out as {shown(dict(after))}. "
                "Allowed are releases in HLVid's layout.",
                exit_code=1,
            )
    report = _report(benchmark, drafts, lines, films)
    return Imported(tuple(drafts), lock, content_sha256(rows), report)


def read_films(names: Sequence[str], folder: Path) -> dict[str, Film]:
    """The videos of a release that are at hand.

    Args:
        names: Of the files.
        folder: Where they lie; it need not be there.
    """
    here = [name for name in names if (folder / name).is_file()]
    found = {}
    with progress(len(here), "videos") as bar:
        for name in here:
            path = folder / name
            told: dict[str, Any] = {}
            try:
                info, _ = cached_scan(path)
                told = {
                    "duration_seconds": info.duration_seconds,
                    "width": info.width,
                    "height": info.height,
                    "codec": info.codec,
                    "problem": "breaks off before its end" if info.is_truncated else None,
                }
            except VideoError as error:
                told = {"problem": str(error).replace(f"{folder}/", "")}
            num_bytes = path.stat().st_size
            found[name] = Film(sha256=sha256_file(path, name=name), num_bytes=num_bytes, **told)
            bar.advance(1, name)
    return found


def from_hub() -> Imported:
    """Fetch the questions of the release, no videos, and import them.

    Raises:
        UserError: The hub cannot be asked, or as `import_release`.
    """
    source = released.SOURCE
    with tempfile.TemporaryDirectory() as scratch:
        with client() as api:
            data = content(api, source.repository, source.revision, source.questions)
        write_bytes(Path(scratch) / source.questions, [data])
        return import_release(Path(scratch))


def write(folder: Path, imported: Imported) -> None:
    """Write questions, lock and report; existing ones of another content are not touched.

    Raises:
        UserError: A lock with other lines, or other questions, lie there.
    """
    path, data = folder / LOCK_FILE, imported.lock.to_bytes()
    if path.exists() and path.read_bytes() != data:
        raise UserError(
            f"{path}: holds other lines. Name another folder: a lock is never replaced."
        )
    questions = folder / "questions" / "hlvid.jsonl"
    if questions.exists() and read_file(questions, Draft) != list(imported.drafts):
        raise UserError(
            f"{questions}: was changed since it was imported. Move it away, or name another folder."
        )
    add(folder / "questions", "hlvid", imported.drafts)
    write_json(folder / "report.json", dict(imported.report))
    write_bytes(path, [data])


def rows_of(drafts: Sequence[Draft], lock: Lock) -> list[Row]:
    """The five columns of what a lock holds, in its order."""
    by_id = {draft.question_id: draft for draft in drafts}
    return [default_row(question_of(by_id[line.question_id], line)) for line in lock.active]


def _draft(question: Question) -> Draft:
    if question.answer is None:
        raise UserError(f"question {question.question_id}: its answer is withheld.")
    right = ord(question.answer) - ord("A")
    choices = question.choices
    return Draft(
        question_id=f"hlvid-{question.question_id}",
        video_id=question.video_id,
        stem=question.stem,
        choices=(choices[right], *choices[:right], *choices[right + 1 :]),
        instruction=parse(question.text).instruction,
        author=AUTHOR,
    )


def _line(question: Question, draft: Draft, clip_sha256: str | None) -> LockLine:
    right = ord(question.answer or "A") - ord("A")
    wrong = list(range(1, len(question.choices)))
    return LockLine(
        version=VERSION,
        event="added",
        question_id=draft.question_id,
        number=int(question.question_id),
        split=SPLIT,
        order=(*wrong[:right], 0, *wrong[right:]),
        group_id=source_of(question.video_id),
        category=question.category,
        content_sha256=draft_sha256(draft, clip_sha256),
    )


def source_of(video_id: str) -> str:
    """What a clip was probably cut from: 'clip_av_video_5_001.mp4' from 'clip_av_video_5'."""
    found = _PIECE.fullmatch(video_id)
    return found[1] if found else video_id


def _report(
    benchmark: datasets.Benchmark,
    drafts: Sequence[Draft],
    lines: Sequence[LockLine],
    films: Mapping[str, Film],
) -> dict[str, Any]:
    doubts: dict[str, dict[str, str]] = {}
    broken: dict[str, str] = {}
    num_evidence = 0
    for draft, line in zip(drafts, lines, strict=True):
        film, marked = films.get(draft.video_id), benchmark.evidence.get(str(line.number), ())
        try:
            check_rules(draft)
            if marked and film and film.duration_seconds and film.width and film.height:
                num_evidence += 1
                seen = draft.model_copy(update={"evidence": tuple(marked)})
                check_evidence(seen, film.duration_seconds, film.width, film.height)
        except Ended as end:
            broken[str(line.number)] = f"{end.code}: {end.detail}"
        for flag in flags(draft.stem, draft.choices):
            doubts.setdefault(flag.check, {})[str(line.number)] = flag.detail
    longest = sum(len(d.choices[0]) > max(map(len, d.choices[1:])) for d in drafts)
    return {
        "benchmark": benchmark.id.model_dump(mode="json"),
        "categories": dict(sorted(Counter(line.category for line in lines).items())),
        "videos": {
            "asked_about": len(benchmark.video_ids),
            "at_hand": len(films),
            "not_readable": {n: film.problem for n, film in films.items() if film.problem},
            "files": {
                n: film.model_dump(mode="json", exclude_none=True) for n, film in films.items()
            },
        },
        "evidence": {"marked": len(benchmark.evidence), "held_against_its_video": num_evidence},
        "letters": _letters(lines),
        "right_option_is_longest": longest,
        "broken_rules": broken,
        "flags": {name: found for name, found in sorted(doubts.items())},
        "not_checked": [
            "evidence_outside, box_outside, where no evidence is marked (the release marks none) "
            "or no video is at hand",
            "other_place, answerable_blind and the other audits: name models in a spec",
        ],
    }


def _letters(lines: Sequence[LockLine]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    groups = {"all": list(lines)}
    for line in lines:
        groups.setdefault(line.category, []).append(line)
    for name, mine in groups.items():
        letters = [line.letter for line in mine]
        uneven = letter_balance(letters, max(len(line.order) for line in mine))
        found[name] = {"counts": dict(sorted(Counter(letters).items())), "uneven": uneven}
    return found
