"""Questions as they are published: with letters, as rows of parquet files, with their digests."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hlvid.build.questions import Draft
from hlvid.build.split import LockLine
from hlvid.errors import UserError
from hlvid.files import canonical_json
from hlvid.prompt import render
from hlvid.types import Question

Row = Mapping[str, Any]

COLUMNS = ("question_id", "category", "video_path", "question", "answer")
"""Of the default configuration: those of HLVid as released."""


def video_name(video_id: str) -> str:
    """File name of a clip; as released, it is the id of the video as well."""
    return video_id if video_id.endswith(".mp4") else f"{video_id}.mp4"


def question_of(draft: Draft, line: LockLine) -> Question:
    """A question with the letters that the lock gives it.

    Raises:
        UserError: The text would not parse back.
    """
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


def default_parquet(rows: Sequence[Row], *, canary: str) -> bytes:
    """A parquet file of the five columns; the same bytes for the same pyarrow."""
    import pyarrow as pa

    types = {"question_id": pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    return _parquet(rows, schema, canary)


def structured_parquet(rows: Sequence[Row], *, canary: str) -> bytes:
    """A parquet file of `structured_row`s; the same bytes for the same pyarrow."""
    import pyarrow as pa

    box = pa.struct([(n, pa.float64()) for n in ("time_seconds", "x0", "y0", "x1", "y1")])
    evidence = pa.struct(
        [
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("boxes", pa.list_(box)),
        ]
    )
    types = {
        "question_id": pa.int64(),
        "choices": pa.list_(pa.string()),
        "answer_index": pa.int64(),
        "evidence": pa.list_(evidence),
        "num_replies": pa.int64(),
        "num_agreeing": pa.int64(),
        "flags": pa.list_(pa.string()),
        "blind_gap": pa.float64(),
        "resolution_slope": pa.float64(),
    }
    names = list(rows[0]) if rows else list(types)
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    return _parquet(rows, schema, canary)


def _parquet(rows: Sequence[Row], schema: Any, canary: str) -> bytes:  # noqa: ANN401
    import pyarrow
    import pyarrow.parquet

    schema = schema.with_metadata({"canary": canary})
    table = pyarrow.Table.from_pylist([dict(row) for row in rows], schema=schema)
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
