"""Task packs: a folder with clips, questions and one page, for one person; and what comes back.

A pack needs a browser and Python, nothing of this project: `python3 serve.py` in it opens the page.
Whoever answers sees neither which option is right nor where the author saw it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hlvid.build.agreement import box_overlap, overlap
from hlvid.build.codes import Ended
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
from hlvid.files import id_order, read_json, shown, write_bytes, write_json
from hlvid.types import Count, Evidence, Identifier, Question, Record, Seconds, Sha256
from hlvid.video import VideoReader

PACK_FILE = "pack.json"
ANSWERS_FILE = "answers.jsonl"
_PAGE_FILES = ("index.html", "page.css", "page.js", "serve.py")

_PSEUDONYM = re.compile("[A-Za-z0-9]{1,40}")

Kind = Literal["write", "answer"]


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

    name: Identifier
    kind: Kind
    annotator: Identifier
    """A pseudonym."""
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]


class Marked(Record):
    """Where people saw the answer to a published question: no video, no text."""

    question_id: Identifier
    video_id: Identifier
    evidence: tuple[Evidence, ...]
    """Of those who chose the right option; places that overlap are given once."""
    num_annotators: Count
    num_agreeing: Count
    """Who chose the right option."""
    span_overlap: float | None
    """Mean intersection over union of two people's spans; None with fewer than two."""
    box_overlap: float | None
    """The same of their boxes, in the middle of what their spans share."""


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
    name = f"{work.spec.name}-{kind}"
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
    paths = {clip.clip_id: work.store.path(clip.file) for clip in clips}
    return _write(folder, Pack(name=name, kind=kind, annotator=annotator, tasks=tasks), paths)


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
    pack = Pack(name=benchmark.name, kind="answer", annotator=annotator, tasks=tuple(tasks))
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


def _write(folder: Path, pack: Pack, paths: Mapping[str, Path]) -> Pack:
    if folder.exists():
        raise UserError(f"{folder}: is there already. Name a new folder for the pack.")
    for file, video_id in {task.file: task.video_id for task in pack.tasks}.items():
        link_or_copy(paths[video_id], folder / file)
    page = resources.files("hlvid.build") / "task_pack"
    for name in _PAGE_FILES:
        write_bytes(folder / name, [(page / name).read_bytes()])
    write_json(folder / PACK_FILE, pack)
    return pack


# --- what comes back -----------------------------------------------------------------------------


def import_pack(work: Work, folder: Path) -> tuple[str, int]:
    """Take over what somebody wrote into a pack; a later import of it replaces the earlier.

    Returns:
        What it was, `questions` or `replies`, and how many.

    Raises:
        UserError: The pack or a line of it is not in order; then nothing is taken over.
    """
    pack = read_json(folder / PACK_FILE, Pack)
    name = f"{pack.name}-{pack.annotator}"
    path = folder / ANSWERS_FILE
    if not path.is_file():
        raise UserError(f"{folder}: has no {ANSWERS_FILE}. Nothing was saved in it yet.")
    if pack.kind == "write":
        return import_questions(work, read_file(path, Draft), name, author=pack.annotator)
    return import_replies(work, read_file(path, Reply), name, annotator=pack.annotator)


def import_questions(
    work: Work, drafts: Sequence[Draft], name: str, *, author: str | None = None
) -> tuple[str, int]:
    """Take over questions.

    Args:
        work: The work folder.
        drafts: The questions.
        name: Of the file that will hold them.
        author: Who must have written all of them; None for anybody.

    Raises:
        UserError: One is by another author, about an unknown clip, has evidence outside of it, or
            the id of a question in another file.
    """
    clips = {item.id: placed.clip for item, placed in work.passed(DEDUP)}
    taken = _taken(work, name)
    for draft in drafts:
        where = f"question {draft.question_id}"
        clip = clips.get(draft.video_id)
        if clip is None:
            raise UserError(f"{where}: is about {draft.video_id}, which is no clip of this set.")
        if author is not None and draft.author != author:
            raise UserError(f"{where}: is by {draft.author}, and the pack is {author}'s.")
        if draft.question_id in taken:
            raise UserError(f"{where}: is in another file already. Give it an id of its own.")
        try:
            check_evidence(draft, clip.duration_seconds, clip.width, clip.height)
        except Ended as end:
            raise UserError(f"{where}: {end.code} {end.detail}".rstrip() + ".") from None
    add(work.bench.spec_folder / work.spec.questions.folder / "questions", name, drafts)
    return "questions", len(drafts)


def import_replies(
    work: Work, replies: Sequence[Reply], name: str, *, annotator: str | None = None
) -> tuple[str, int]:
    """Take over blind answers.

    Raises:
        UserError: One is by another person, or chooses what is no option of its question.
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
    add(folder / "replies", name, replies)
    return "replies", len(replies)


def _taken(work: Work, name: str) -> set[str]:
    """Ids of the questions in all files but one."""
    folder = work.bench.spec_folder / work.spec.questions.folder / "questions"
    return {
        draft.question_id
        for path in sorted(folder.glob("*.jsonl"))
        if path.stem != name
        for draft in read_file(path, Draft)
    }


def evidence_of(questions: Iterable[Question], packs: Sequence[Path]) -> list[Marked]:
    """What people marked in packs of a published benchmark.

    Args:
        questions: Of the benchmark, with their answers.
        packs: Folders of packs that came back.

    Raises:
        UserError: A pack is not in order, or answers other wordings.
    """
    replies: dict[str, dict[str, Reply]] = {}
    for folder in packs:
        pack = read_json(folder / PACK_FILE, Pack)
        for reply in read_file(folder / ANSWERS_FILE, Reply):
            if reply.annotator != pack.annotator:
                raise UserError(f"{folder.name}: holds a reply of {reply.annotator}.")
            replies.setdefault(reply.question_id, {})[reply.annotator] = reply
    found = []
    for question in sorted(questions, key=lambda q: id_order(q.question_id)):
        said = [each for _, each in sorted(replies.get(question.question_id, {}).items())]
        wording = wording_sha256(question.video_id, question.stem, question.choices)
        if any(each.wording_sha256 != wording for each in said):
            raise UserError(f"question {question.question_id}: was answered in another wording.")
        if said:
            found.append(_marked(question, said))
    return found


def _marked(question: Question, said: Sequence[Reply]) -> Marked:
    right = question.choices[ord(question.answer or "A") - ord("A")]
    agreeing = [reply for reply in said if reply.choice == right]
    places: list[Evidence] = []
    for each in (place for reply in agreeing for place in reply.evidence):
        if all(overlap(_span(each), _span(other)) == 0 for other in places):
            places.append(each)
    firsts = [reply.evidence[0] for reply in agreeing if reply.evidence]
    pairs = list(combinations(firsts, 2))
    return Marked(
        question_id=question.question_id,
        video_id=question.video_id,
        evidence=tuple(sorted(places, key=_span)),
        num_annotators=len(said),
        num_agreeing=len(agreeing),
        span_overlap=_mean([overlap(_span(a), _span(b)) for a, b in pairs]),
        box_overlap=_mean([_boxes(a, b) for a, b in pairs]),
    )


def _span(evidence: Evidence) -> tuple[float, float]:
    return evidence.start_seconds, evidence.end_seconds


def _boxes(one: Evidence, other: Evidence) -> float:
    start = max(one.start_seconds, other.start_seconds)
    middle = (start + min(one.end_seconds, other.end_seconds)) / 2
    boxes = one.box_at(middle), other.box_at(middle)
    return box_overlap(boxes[0], boxes[1]) if boxes[0] and boxes[1] else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 6) if values else None
