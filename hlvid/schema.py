"""JSON Schemas of the files that strangers write and read: `python -m hlvid.schema docs/schema`."""

import sys
from pathlib import Path

from hlvid.datasets import Manifest
from hlvid.errors import UserError
from hlvid.files import json_bytes, write_bytes
from hlvid.performance import Performance
from hlvid.plans import Plan
from hlvid.types import Marked, Prediction, Probe, ProbeAnswer, Question, Record, RunRecord, Video

SCHEMAS: dict[str, type[Record]] = {
    "benchmark.schema.json": Manifest,
    "evidence.schema.json": Marked,
    "performance.schema.json": Performance,
    "plan.schema.json": Plan,
    "prediction.schema.json": Prediction,
    "probe.schema.json": Probe,
    "probe_answer.schema.json": ProbeAnswer,
    "question.schema.json": Question,
    "run.schema.json": RunRecord,
    "video.schema.json": Video,
}
"""File name -> the record that one file, or one line of a file, holds."""


def schema_bytes(name: str) -> bytes:
    """The content of one schema file; the same on every machine."""
    schema = SCHEMAS[name].model_json_schema()
    return json_bytes({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def main(arguments: list[str]) -> int:
    """Write all schemas into the folder that is named; the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m hlvid.schema FOLDER\n")
        return 2
    try:
        for name in SCHEMAS:
            write_bytes(Path(arguments[0]) / name, [schema_bytes(name)])
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
