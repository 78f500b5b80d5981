"""`export`: verified runs as CSV, JSON or parquet, a row a run, for other people's tools."""

import csv
import io
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hlvid.files import write_bytes
from leaderboard import wording
from leaderboard.eee import write_eee
from leaderboard.entries import Entry
from leaderboard.exams import Exam, find_exam
from leaderboard.measures import Latency, mean_stages
from leaderboard.tables import machine_text

FORMATS = ("csv", "json", "parquet", "eee")


def rows_of(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One flat row a run; shares are shares, times are milliseconds, what is unknown is None.

    So is a number of a stranger's that no column of numbers can hold.
    """
    return [{name: _held(value) for name, value in _row(entry).items()} for entry in entries]


def _held(value: Any) -> Any:  # noqa: ANN401
    """A value, or None for a number that is not finite or not one of 64 bits."""
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(entry: Entry) -> dict[str, Any]:
    record = entry.record
    model, arm, frames, summary = record.model, record.arm, record.frames, record.summary
    has_accuracy = summary is not None and entry.accuracy is not None
    return {
        "run_id": record.run_id,
        "group_id": record.group_id,
        "benchmark": record.benchmark.name,
        "benchmark_revision": record.benchmark.revision,
        "questions_sha256": record.benchmark.questions_sha256,
        "model": model.name,
        "kind": model.kind,
        "weights": model.weights,
        "weights_revision": model.revision,
        "adaptation": record.adaptation,
        "arm": arm.name,
        "selector": arm.selector,
        "variant": arm.variant,
        "budget": arm.budget,
        "threshold": arm.threshold,
        "seed": str(arm.seed),
        "privileged": arm.privileged,
        "num_frames": frames.num_frames,
        "canvas": frames.canvas,
        "status": record.status,
        "division": entry.division,
        "badge": entry.badge,
        "unranked_because": "; ".join(entry.unranked_because),
        "problems": "; ".join(f"{p.rule}: {p.message}" for p in entry.problems),
        "num_questions": None if summary is None else summary.num_questions,
        "num_videos": None if summary is None else summary.num_videos,
        "accuracy": summary.accuracy if summary is not None and has_accuracy else None,
        "accuracy_low": summary.accuracy_low if summary is not None and has_accuracy else None,
        "accuracy_high": summary.accuracy_high if summary is not None and has_accuracy else None,
        "parse_rate": entry.parse_rate if has_accuracy else None,
        "official_accuracy": entry.official if has_accuracy else None,
        "chance": entry.chance,
        "kept_ratio": entry.kept_ratio,
        "evidence_recall": None if entry.recall is None else entry.recall.recall,
        "temporal_hit": None if entry.recall is None else entry.recall.temporal_hit,
        **_percentiles("end_to_end", entry.end_to_end),
        **_percentiles("without_decode", entry.without_decode),
        **_percentiles("model_only", entry.model_only),
        "peak_memory_bytes": None
        if entry.peak_memory_bytes is None
        else float(min(entry.peak_memory_bytes, 2**63)),
        "machine": machine_text(entry),
        "git_commit": record.provenance.git_commit,
        "predictions_sha256": record.predictions_sha256,
    }


def _percentiles(name: str, latency: Latency | None) -> dict[str, float | None]:
    """Percentiles in milliseconds; None where too few questions bound them."""
    found: dict[str, float | None] = {}
    for quantile in ("p50", "p90"):
        value = None if latency is None else getattr(latency, quantile)
        found[f"{name}_{quantile}_ms"] = value.value if value and value.is_bounded else None
    return found


def write_export(entries: Sequence[Entry], exams: Sequence[Exam], out: Path, form: str) -> None:
    """Write all runs into one file, or for 'eee' into a folder.

    Args:
        entries: The runs.
        exams: What they were asked.
        out: The file or folder.
        form: One of FORMATS.

    Raises:
        UserError: The disk refuses.
    """
    if form == "eee":
        for entry in entries:
            # Every Eval Ever has no word for a result that was taken back.
            if entry.accuracy is not None and entry.standing.withdrawn is None:
                exam = find_exam(entry.record.benchmark, list(exams))
                write_eee(entry, exam, out, retrieved=int(time.time()))
        return
    rows = rows_of(entries)
    if form == "json":
        detailed = [
            row | {"mean_stage_ms": {k: _held(v) for k, v in mean_stages(e.columns).items()}}
            for row, e in zip(rows, entries, strict=True)
        ]
        data = json.dumps(detailed, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        write_bytes(out, [f"{data}\n".encode()])
    elif form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        write_bytes(out, [text.getvalue().encode()])
    else:
        import pandas as pd

        buffer = io.BytesIO()
        pd.DataFrame(rows).to_parquet(buffer, index=False)
        write_bytes(out, [buffer.getvalue()])


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula, and in which nothing hides."""
    if not isinstance(value, str):
        return value
    text = wording.plain(value, limit=2000)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
