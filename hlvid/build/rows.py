"""Questions as they are published: with letters, as rows of parquet files, with their digests.

And the clips that they are about, as lines of `clips.jsonl`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from hlvid.build.lock import LockLine
from hlvid.build.questions import Draft
from hlvid.build.records import Locator, Text
from hlvid.errors import UserError
from hlvid.files import canonical_json, explain
from hlvid.prompt import parse, render
from hlvid.types import Count, Identifier, Question, Record, Seconds, Sha256, Video

Row = Mapping[str, Any]

COLUMNS = ("question_id", "category", "video_path", "question", "answer")
"""Of the default configuration: those of HLVid as released."""


def video_name(video_id: str) -> str:
    """File name of a clip; as released, it is the id of the video as well."""
    return video_id if video_id.endswith(".mp4") else f"{video_id}.mp4"


class ClipRow(Record):
    """What a clip was cut from, and its digests."""

    video_path: Identifier
    source: Locator
    """A URL; of a file of the curator's its id."""
    source_start_seconds: float
    license: Text
    license_evidence: Literal["spec", "site", "none"]
    group_id: Identifier
    num_bytes: Count
    sha256: Sha256
    packets_sha256: Sha256
    duration_seconds: Seconds
    num_frames: Count
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    fps: Annotated[float, Field(gt=0)]


def video_of(clip: ClipRow) -> Video:
    """A clip as a benchmark names it."""
    return Video(
        video_id=clip.video_path,
        path=f"videos/{clip.video_path}",
        sha256=clip.sha256,
        width=clip.width,
        height=clip.height,
        duration_seconds=clip.duration_seconds,
        fps=clip.fps,
        license=clip.license,
        source=clip.source,
    )


def question_of(draft: Draft, line: LockLine) -> Question:
    """A question with the letters that the lock gives it.

    Raises:
        UserError: It has not as many options as the lock, or its text would not parse back.
    """
    if len(draft.choices) != len(line.order):
        raise UserError(
            f"question {draft.question_id}: has {len(draft.choices)} options, and "
            f"{len(line.order)} in its lock.",
            exit_code=1,
        )
    choices = tuple(draft.choices[i] for i in line.order)
    return Question(
        question_id=str(line.number),
        video_id=video_name(draft.video_id),
        category=line.category,
        capability=draft.capability,
        text=render(draft.stem, choices, draft.instruction),
        stem=draft.stem,
        choices=choices,
        answer=line.letter,
        evidence=draft.evidence,
    )


def draft_of(question: Question, line: LockLine) -> Draft:
    """A published question as it was written; `question_of` gives it back.

    Args:
        question: With as many options as the line.
        line: Its line in the lock.

    Raises:
        UserError: Nobody could have written it so.
    """
    choices = dict(zip(line.order, question.choices, strict=True))
    try:
        return Draft(
            question_id=line.question_id,
            video_id=question.video_id.removesuffix(".mp4"),
            stem=question.stem,
            choices=tuple(choices[i] for i in range(len(choices))),
            evidence=question.evidence,
            capability=question.capability,
            instruction=parse(question.text).instruction,
            author="unknown",
        )
    except ValidationError as error:
        raise UserError(explain(error)) from None


def default_row(question: Question) -> Row:
    """The five columns of a question.

    Raises:
        UserError: Its id is no integer.
    """
    if not question.question_id.isdecimal():
        raise UserError(f"question {question.question_id}: its id is no integer.")
    return {
        "question_id": int(question.question_id),
        "category": question.category,
        "video_path": question.video_id,
        "question": question.text,
        "answer": question.answer,
    }


def structured_row(question: Question, **more: Any) -> Row:  # noqa: ANN401
    """A question taken apart, with whatever else is known of it."""
    evidence = [
        {
            "start_seconds": each.start_seconds,
            "end_seconds": each.end_seconds,
            "boxes": [
                dict(zip(("time_seconds", "x0", "y0", "x1", "y1"), key, strict=True))
                for key in each.boxes
            ],
        }
        for each in question.evidence
    ]
    return {
        "question_id": int(question.question_id),
        "category": question.category,
        "capability": question.capability,
        "video_path": question.video_id,
        "stem": question.stem,
        "choices": list(question.choices),
        "answer": question.answer,
        "answer_index": ord(question.answer or "A") - ord("A"),
        "evidence": evidence,
        **more,
    }


def content_sha256(rows: Iterable[Row]) -> str:
    """Digest of rows whatever file they lie in: each in its canonical spelling, in their order."""
    state = hashlib.sha256()
    for row in rows:
        state.update(canonical_json(row) + b"\n")
    return state.hexdigest()


def default_schema() -> Any:  # noqa: ANN401
    """The pyarrow schema of the five columns."""
    import pyarrow as pa

    types = {"question_id": pa.int64()}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def structured_schema() -> Any:  # noqa: ANN401
    """The pyarrow schema of `structured_row`s."""
    import pyarrow as pa

    box = pa.struct([(n, pa.float64()) for n in ("time_seconds", "x0", "y0", "x1", "y1")])
    evidence = pa.struct(
        [
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("boxes", pa.list_(box)),
        ]
    )
    return pa.schema(
        [
            ("question_id", pa.int64()),
            ("category", pa.string()),
            ("capability", pa.string()),
            ("video_path", pa.string()),
            ("stem", pa.string()),
            ("choices", pa.list_(pa.string())),
            ("answer", pa.string()),
            ("answer_index", pa.int64()),
            ("evidence", pa.list_(evidence)),
            ("group_id", pa.string()),
            ("num_replies", pa.int64()),
            ("num_agreeing", pa.int64()),
            ("flags", pa.list_(pa.string())),
            ("ruling", pa.string()),
            ("blind_gap", pa.float64()),
            ("resolution_slope", pa.float64()),
            ("canary", pa.string()),
        ]
    )


def default_parquet(rows: Sequence[Row], *, canary: str) -> bytes:
    """A parquet file of the five columns; the same bytes for the same pyarrow."""
    return _parquet(rows, default_schema(), canary)


def structured_parquet(rows: Sequence[Row], *, canary: str) -> bytes:
    """A parquet file of `structured_row`s; the same bytes for the same pyarrow."""
    return _parquet(rows, structured_schema(), canary)


def _parquet(rows: Sequence[Row], schema: Any, canary: str) -> bytes:  # noqa: ANN401
    import pyarrow
    import pyarrow.parquet

    schema = schema.with_metadata({"canary": canary})
    table = pyarrow.Table.from_pylist([dict(row) for row in rows], schema=schema)
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
