"""Task packs: a folder with clips, questions and one page, for one person; and what comes back.

A pack needs a browser and Python, nothing of this project: `python3 serve.py` in it opens the page.
Its tasks are there as JSON Lines, too, and JSON Lines is what comes back, from the page or not.
Whoever answers sees neither which option is right nor where the author saw it.
"""

import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from hlvid.build.codes import Ended, as_sentence
from hlvid.build.dedup import DEDUP
from hlvid.build.linking import link_or_copy
from hlvid.build.lint import LINT, check_evidence
from hlvid.build.probes import orders
from hlvid.build.questions import (
    Choice,
    Draft,
    Reply,
    Stem,
    add,
    read,
    read_file,
    wording_sha256,
)
from hlvid.build.records import Clip
from hlvid.build.rows import video_name
from hlvid.build.work import Work
from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.files import read_json, shown, write_bytes, write_json, write_jsonl
from hlvid.types import Identifier, Record, Seconds, Sha256
from hlvid.video import VideoReader

PACK_FILE = "pack.json"
TASKS_FILE = "tasks.jsonl"
"""The tasks of the pack, one a line, for whoever answers with tools of their own."""
ANSWERS_FILE = "answers.jsonl"
PACKS_FOLDER = "packs"
"""Of the work folder: every pack as it was handed out, by its id."""
_PAGE_FILES = ("index.html", "page.css", "page.js", "serve.py")

_PSEUDONYM = re.compile("[A-Za-z0-9]{1,40}")

Kind = Literal["write", "answer"]

R = TypeVar("R", Draft, Reply)


class AskedQuestion(Record):
    """A question as it is shown to somebody who does not know the answer."""

    question_id: Identifier
    wording_sha256: Sha256
    stem: Stem
    choices: Annotated[tuple[Choice, ...], Field(min_length=2, max_length=26)]
    """In the order of the digests, or of the letters that were published."""


class Task(Record):
    """One clip, with a question or to write some."""

    video_id: Identifier
    file: str
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    duration_seconds: Seconds
    fps: Annotated[float, Field(gt=0)]
    question: AskedQuestion | None = None


class Pack(Record):
    """What one person is to do: `pack.json`."""

    pack_id: Identifier
    """Of this pack alone: part of the ids of questions that are written in it."""
    name: Identifier
    kind: Kind
    annotator: Identifier
    """A pseudonym."""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]


# --- packs ---------------------------------------------------------------------------------------


def export(work: Work, folder: Path, *, kind: Kind, annotator: str) -> Pack:
    """Write a pack for one person.

    Args:
        work: The work folder; `dedup` must have been run, and `lint` for questions to answer.
        folder: Made anew.
        kind: `write` for questions about every clip, `answer` for the questions of others.
        annotator: A pseudonym; who wrote a question, or has answered it, is not asked it.

    Raises:
        UserError: There is nothing to do, or the folder is there.
    """
    if kind == "write":
        clips = [placed.clip for _, placed in work.passed(DEDUP)]
        tasks = tuple(_task(clip, None) for clip in clips)
    else:
        known = read(work.bench.spec_folder / work.spec.questions.folder).replies
        open_ = [
            linted
            for item, linted in work.passed(LINT)
            if linted.draft.author != annotator
            and annotator not in {reply.annotator for reply in known.get(item.id, ())}
        ]
        clips = [linted.clip for linted in open_]
        tasks = tuple(_task(linted.clip, _asked(linted.draft)) for linted in open_)
    if not tasks:
        raise UserError(f"annotate: there is nothing for {annotator} to {kind}.")
    with as_sentence("annotate"):
        paths = {clip.clip_id: work.store.path(clip.file) for clip in clips}
    pack = Pack(
        pack_id=_new_id(),
        name=f"{work.spec.name}-{kind}",
        kind=kind,
        annotator=annotator,
        tasks=tasks,
    )
    write_json(_record_path(work, pack), pack)
    return _write(folder, pack, paths)


def export_release(benchmark: Benchmark, folder: Path, *, annotator: str) -> Pack:
    """Write a pack with the questions of a published benchmark whose videos are at hand.

    Raises:
        UserError: None of the videos is at hand, or the folder is there.
    """
    tasks, paths = [], {}
    for video_id in benchmark.video_ids:
        try:
            path = benchmark.video_path(video_id)
        except UserError:
            continue
        with VideoReader(path, accept_hdr=True) as reader:
            info = reader.info
        paths[video_id] = path
        tasks += [
            Task(
                video_id=video_id,
                file=f"videos/{video_name(video_id)}",
                width=info.width,
                height=info.height,
                duration_seconds=info.duration_seconds,
                fps=info.fps,
                question=AskedQuestion(
                    question_id=question.question_id,
                    wording_sha256=wording_sha256(video_id, question.stem, question.choices),
                    stem=question.stem,
                    choices=question.choices,
                ),
            )
            for question in benchmark.questions
            if question.video_id == video_id
        ]
    if not tasks:
        raise UserError(
            f"annotate: no video of {benchmark.name} is at hand. Name its folder: --data."
        )
    pack = Pack(
        pack_id=_new_id(),
        name=benchmark.name,
        kind="answer",
        annotator=annotator,
        tasks=tuple(tasks),
    )
    return _write(folder, pack, paths)


def check_pseudonym(annotator: str) -> None:
    """Refuse a name that cannot be part of an id and of a file's name.

    Raises:
        UserError: Saying what is allowed.
    """
    if not _PSEUDONYM.fullmatch(annotator):
        raise UserError(
            f"--annotator: {shown(annotator)} is not allowed. Allowed are up to 40 letters and "
            "digits, such as 'ann'."
        )


def _task(clip: Clip, question: AskedQuestion | None) -> Task:
    return Task(
        video_id=clip.clip_id,
        file=f"videos/{video_name(clip.clip_id)}",
        width=clip.width,
        height=clip.height,
        duration_seconds=clip.duration_seconds,
        fps=clip.fps,
        question=question,
    )


def _asked(draft: Draft) -> AskedQuestion:
    return AskedQuestion(
        question_id=draft.question_id,
        wording_sha256=draft.wording_sha256,
        stem=draft.stem,
        choices=tuple(draft.choices[i] for i in orders(draft)[0]),
    )


def _new_id() -> str:
    return secrets.token_hex(4)


def _record_path(work: Work, pack: Pack) -> Path:
    return work.folder / PACKS_FOLDER / f"{pack.pack_id}.json"


def _write(folder: Path, pack: Pack, paths: Mapping[str, Path]) -> Pack:
    if folder.exists():
        raise UserError(f"{folder}: is there already. Name a new folder for the pack.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for file, video_id in {task.file: task.video_id for task in pack.tasks}.items():
        link_or_copy(paths[video_id], part / file)
    page = resources.files("hlvid.build") / "task_pack"
    for name in _PAGE_FILES:
        write_bytes(part / name, [(page / name).read_bytes()])
    write_jsonl(part / TASKS_FILE, pack.tasks)
    write_json(part / PACK_FILE, pack)
    part.rename(folder)
    return pack


# --- what comes back -----------------------------------------------------------------------------


def import_pack(work: Work, folder: Path) -> tuple[str, int]:
    """Take over what somebody wrote into a pack; a later import of that pack replaces the earlier.

    Returns:
        What it was, `questions` or `replies`, and how many.

    Raises:
        UserError: The pack or a line of it is not in order, or it was handed out elsewhere or to
            somebody else; then nothing is taken over.
    """
    pack = _handed_out(work, read_json(folder / PACK_FILE, Pack))
    name = f"{pack.name}-{pack.annotator}-{pack.pack_id}"
    path = folder / ANSWERS_FILE
    if not path.is_file():
        raise UserError(f"{folder}: has no {ANSWERS_FILE}. Nothing was saved in it yet.")
    if pack.kind == "write":
        drafts = read_file(path, Draft)
        return import_questions(work, drafts, name, author=pack.annotator, replace=True)
    replies = read_file(path, Reply)
    return import_replies(work, replies, name, annotator=pack.annotator, replace=True)


def _handed_out(work: Work, returned: Pack) -> Pack:
    """A pack as it left the work folder, whatever its own file says by now."""
    path = _record_path(work, returned)
    if not path.is_file():
        raise UserError(
            f"{PACK_FILE}: pack {returned.pack_id} was not handed out from {work.folder}. "
            "Name the work folder that it is from: --work."
        )
    pack = read_json(path, Pack)
    if returned.annotator != pack.annotator:
        raise UserError(
            f"{PACK_FILE}: pack {pack.pack_id} says {returned.annotator}, and was handed out to "
            f"{pack.annotator}. Export a pack for each person."
        )
    return pack


def import_questions(
    work: Work,
    drafts: Sequence[Draft],
    name: str,
    *,
    author: str | None = None,
    replace: bool = False,
) -> tuple[str, int]:
    """Take over questions.

    Args:
        work: The work folder.
        drafts: The questions.
        name: Of the file that will hold them.
        author: Who must have written all of them; None for anybody.
        replace: Whether those that came under this name before may go.

    Raises:
        UserError: One is by another author, about an unknown clip, has evidence outside of it, or
            the id of another question; or some that came before would go.
    """
    clips = {item.id: placed.clip for item, placed in work.passed(DEDUP)}
    taken, lines = _taken(work, name), dict[str, int]()
    for number, draft in enumerate(drafts, start=1):
        where = f"question {draft.question_id}"
        clip = clips.get(draft.video_id)
        if clip is None:
            raise UserError(f"{where}: is about {draft.video_id}, which is no clip of this set.")
        if author is not None and draft.author != author:
            raise UserError(f"{where}: is by {draft.author}, and the pack is {author}'s.")
        if draft.question_id in taken:
            raise UserError(f"{where}: is in another file already. Give it an id of its own.")
        if (first := lines.setdefault(draft.question_id, number)) != number:
            raise UserError(
                f"{where}: is there twice, in lines {first} and {number}. Give each an id of its "
                "own, or take one out."
            )
        try:
            check_evidence(draft, clip.duration_seconds, clip.width, clip.height)
        except Ended as end:
            raise UserError(f"{where}: {end.code} {end.detail}".rstrip() + ".") from None
    folder = work.bench.spec_folder / work.spec.questions.folder / "questions"
    if not replace:
        _check_kept(folder / f"{name}.jsonl", Draft, drafts)
    add(folder, name, drafts)
    return "questions", len(drafts)


def import_replies(
    work: Work,
    replies: Sequence[Reply],
    name: str,
    *,
    annotator: str | None = None,
    replace: bool = False,
) -> tuple[str, int]:
    """Take over blind answers.

    Raises:
        UserError: One is by another person, or chooses what is no option of its question; or some
            that came under this name before would go, and `replace` does not say so.
    """
    folder = work.bench.spec_folder / work.spec.questions.folder
    drafts = {draft.question_id: draft for draft in read(folder).drafts}
    for reply in replies:
        where = f"reply to {reply.question_id}"
        draft = drafts.get(reply.question_id)
        if annotator is not None and reply.annotator != annotator:
            raise UserError(f"{where}: is by {reply.annotator}, and the pack is {annotator}'s.")
        if draft is None:
            raise UserError(f"{where}: there is no such question.")
        if (
            reply.wording_sha256 == draft.wording_sha256
            and reply.choice is not None
            and reply.choice not in draft.choices
        ):
            raise UserError(f"{where}: {shown(reply.choice)} is none of its options.")
    if not replace:
        _check_kept(folder / "replies" / f"{name}.jsonl", Reply, replies)
    add(folder / "replies", name, replies)
    num_idle = sum(
        reply.wording_sha256 != drafts[reply.question_id].wording_sha256
        or reply.annotator == drafts[reply.question_id].author
        for reply in replies
    )
    idle = f" ({num_idle} do not count: of another wording, or the author's own)"
    return f"replies{idle if num_idle else ''}", len(replies)


def _check_kept(path: Path, type_: type[R], records: Sequence[R]) -> None:
    """Refuse to write a file of people's anew that would lose some of what it holds."""
    known = read_file(path, type_) if path.exists() else []
    if lost := set(map(_key, known)) - set(map(_key, records)):
        question_id, name, _ = min(lost)
        raise UserError(
            f"{path.name}: came before, with {len(lost)} more, such as {question_id} by {name}. "
            "Rename the file, or say --replace to be rid of them."
        )


def _key(record: Draft | Reply) -> tuple[str, str, str]:
    """What a line is: its words may change, this may not."""
    if isinstance(record, Draft):
        return record.question_id, record.author, record.video_id
    return record.question_id, record.annotator, ""


def _taken(work: Work, name: str) -> set[str]:
    """Ids of the questions in all files but one."""
    folder = work.bench.spec_folder / work.spec.questions.folder / "questions"
    return {
        draft.question_id
        for path in sorted(folder.glob("*.jsonl"))
        if path.stem != name
        for draft in read_file(path, Draft)
    }
