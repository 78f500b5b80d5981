"""What people write about clips: questions, blind answers to them, rulings on disputes.

All of it lies in one folder beside the spec, in JSON Lines files of any name:

    FOLDER/questions/*.jsonl   `Draft`: a question as its author wrote it
    FOLDER/replies/*.jsonl     `Reply`: what somebody answered without knowing the right option
    FOLDER/rulings/*.jsonl     `Ruling`: what was decided where they differed
    FOLDER/answers/MODEL/COMMAND/*.jsonl   `hlvid.types.ProbeAnswer`: what a model replied in the
                                           audit, a file for each shard that asked

Every field is from outside; nothing here is trusted before `read` has looked at it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints

from hlvid.errors import UserError
from hlvid.files import (
    MAX_JSONL_BYTES,
    canonical_json,
    digest,
    id_order,
    parse_record,
    read_jsonl,
    shown,
    write_jsonl,
)
from hlvid.grading import is_failure
from hlvid.locking import locked
from hlvid.prompt import INSTRUCTION
from hlvid.types import Evidence, Identifier, ProbeAnswer, Record, Sha256

MAX_LINES = 50_000
"""Of one file of people's: far more than anybody writes, and little enough to hold in memory."""
MAX_ANSWERS = 2_000_000
ANSWERS_FOLDER = "answers"
_BLOCK_BYTES = 2**20
_MEAN_LINE_BYTES = 2048
"""Lines may be longer, but not all of them: parsed, they take many times the room."""

Stem = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Choice = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500)]

R = TypeVar("R", bound=Record)


class Draft(Record):
    """A question as it was written: no letters yet, the right choice first."""

    question_id: Identifier
    video_id: Identifier
    """Of the clip."""
    stem: Stem
    choices: Annotated[tuple[Choice, ...], Field(min_length=2, max_length=26)]
    """The right one first."""
    evidence: tuple[Evidence, ...] = ()
    capability: Annotated[str, StringConstraints(max_length=100)] | None = None
    instruction: Annotated[str, StringConstraints(max_length=500)] = INSTRUCTION
    author: Identifier
    """A pseudonym."""

    @property
    def wording_sha256(self) -> str:
        """Digest of what is asked: a reply to another wording does not count."""
        return wording_sha256(self.video_id, self.stem, self.choices)


class Reply(Record):
    """What somebody answered who was not told which option is right."""

    question_id: Identifier
    wording_sha256: Sha256
    annotator: Identifier
    """A pseudonym."""
    choice: Choice | None
    """The words of the option; None where the video does not tell."""
    evidence: tuple[Evidence, ...] = ()
    note: Annotated[str, StringConstraints(max_length=1000)] = ""


class Ruling(Record):
    """What was decided about a question that was flagged or disputed."""

    question_id: Identifier
    wording_sha256: Sha256
    decision: Literal["accept", "reject"]
    reason: Reason
    """It is published, so it names nobody."""
    adjudicator: Identifier


@dataclass(frozen=True)
class Written:
    """Everything that people and models wrote."""

    drafts: tuple[Draft, ...]
    replies: Mapping[str, tuple[Reply, ...]]
    """Question -> its replies, one a person."""
    rulings: Mapping[str, Ruling]
    """Question -> the last ruling on its wording of now, where all who ruled are of one mind."""
    contested: Mapping[str, tuple[str, ...]]
    """Question -> who ruled on it differently."""


def wording_sha256(video_id: str, stem: str, choices: Iterable[str]) -> str:
    """Digest of what is asked, whatever the order of the options."""
    return digest([video_id, stem, sorted(choices)])


def read(folder: Path) -> Written:
    """Read what people wrote.

    Raises:
        UserError: A file is not in order, a question is there twice, somebody replied twice.
    """
    drafts = {d.question_id: d for d in _distinct(read_all(folder / "questions", Draft))}
    replies: dict[str, dict[str, Reply]] = {}
    for reply in read_all(folder / "replies", Reply):
        draft = drafts.get(reply.question_id)
        if draft is None or draft.wording_sha256 != reply.wording_sha256:
            continue
        if reply.choice is not None and reply.choice not in draft.choices:
            raise UserError(
                f"reply of {reply.annotator} to {reply.question_id}: {shown(reply.choice)} is none "
                "of its options. Import the annotator's file again."
            )
        if reply.annotator != draft.author:
            replies.setdefault(reply.question_id, {})[reply.annotator] = reply
    rulings, contested = _rulings(folder, drafts)
    return Written(
        drafts=tuple(sorted(drafts.values(), key=lambda d: id_order(d.question_id))),
        replies={q: tuple(by[name] for name in sorted(by)) for q, by in replies.items()},
        rulings=rulings,
        contested=contested,
    )


def _rulings(
    folder: Path, drafts: Mapping[str, Draft]
) -> tuple[dict[str, Ruling], dict[str, tuple[str, ...]]]:
    """The last word of those who ruled with one mind; who did not, by question."""
    found: dict[str, dict[str, Ruling]] = {}
    for ruling in read_all(folder / "rulings", Ruling):
        draft = drafts.get(ruling.question_id)
        if draft is not None and draft.wording_sha256 == ruling.wording_sha256:
            found.setdefault(ruling.question_id, {})[ruling.adjudicator] = ruling
    contested = {
        question_id: tuple(sorted(by))
        for question_id, by in found.items()
        if len({ruling.decision for ruling in by.values()}) > 1
    }
    settled = {name: by[max(by)] for name, by in found.items() if name not in contested}
    return settled, contested


def read_all(folder: Path, type_: type[R], *, max_lines: int = MAX_LINES) -> list[R]:
    """The records of every JSON Lines file in a folder, in the order of names and lines.

    Raises:
        UserError: A file is too long or not in order.
    """
    found: list[R] = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            found += read_file(path, type_, max_lines=max_lines)
        except UserError as error:
            raise UserError(f"{folder.name}/{error}", exit_code=error.exit_code) from None
    return found


def read_file(path: Path, type_: type[R], *, max_lines: int = MAX_LINES) -> list[R]:
    """The records of one JSON Lines file, its lines and bytes counted before any is parsed.

    Raises:
        UserError: It is too long, or not in order.
    """
    num_lines, max_bytes = 0, min(MAX_JSONL_BYTES, max_lines * _MEAN_LINE_BYTES)
    try:
        with path.open("rb") as file:
            if path.stat().st_size > max_bytes:
                raise UserError(f"{path.name}: is longer than {max_bytes} bytes. Split it.")
            while block := file.read(_BLOCK_BYTES):
                num_lines += block.count(b"\n")
                if num_lines > max_lines:
                    raise UserError(
                        f"{path.name}: has more than {max_lines} lines. That is the most allowed; "
                        "put what belongs elsewhere into a file of its own."
                    )
    except OSError as error:
        raise UserError(f"{path.name}: cannot be read ({error.strerror}).") from None
    return read_jsonl(path, type_, may_be_empty=True)


def read_answers(folder: Path) -> dict[str, ProbeAnswer]:
    """Probe -> what a model replied, out of the files of all who asked it.

    Where several asked, a reply counts before a failure, and else the same one whoever came first.
    """
    found: dict[str, ProbeAnswer] = {}
    for answer in read_all(folder, ProbeAnswer, max_lines=MAX_ANSWERS):
        known = found.get(answer.probe_id)
        if known is None or _standing(answer) > _standing(known):
            found[answer.probe_id] = answer
    return found


def _standing(answer: ProbeAnswer) -> tuple[bool, bool, bytes]:
    said = answer.response
    return said is not None, said is not None and not is_failure(said), canonical_json(answer)


def add(folder: Path, name: str, records: Sequence[Record]) -> Path:
    """Write records into a file of their own beneath the folder, replacing one of that name."""
    path = folder / f"{name}.jsonl"
    write_jsonl(path, records)
    return path


def give_ruling(
    folder: Path, question_id: str, decision: str, *, reason: str, adjudicator: str
) -> Ruling:
    """Append a ruling on a question's wording of now; one caller at a time.

    Raises:
        UserError: There is no such question, or the ruling is not in order.
    """
    drafts = _distinct(read_all(folder / "questions", Draft))
    draft = next((d for d in drafts if d.question_id == question_id), None)
    if draft is None:
        raise UserError(f"rule: {shown(question_id)} is no question. See: hlvid-build questions.")
    fields = {
        "question_id": question_id,
        "wording_sha256": draft.wording_sha256,
        "decision": decision,
        "reason": reason,
        "adjudicator": adjudicator,
    }
    ruling = parse_record(canonical_json(fields), Ruling, where="rule")
    path = folder / "rulings" / f"{adjudicator}.jsonl"
    with locked(path.with_name(f".{path.name}.lock")):
        before = read_file(path, Ruling) if path.exists() else []
        add(folder / "rulings", adjudicator, [*before, ruling])
    return ruling


def _distinct(drafts: Sequence[Draft]) -> Sequence[Draft]:
    seen: set[str] = set()
    for draft in drafts:
        if draft.question_id in seen:
            raise UserError(
                f"question {draft.question_id}: is there twice. Take one of the two out of the "
                "folder of questions."
            )
        seen.add(draft.question_id)
    return drafts
