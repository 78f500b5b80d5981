"""`export --format eee`: a run as Every Eval Ever 0.3.0 has it, an aggregate and its samples.

The aggregate carries accuracy with its clustered interval, and the median latency. A question whose
licence forbids publishing it is named by its id alone; the digest of its text stands beside it.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hlvid.files import canonical_json, digest, write_bytes, write_json
from hlvid.statistics.columns import CORRECT
from hlvid.types import Summary
from leaderboard.entries import Entry
from leaderboard.exams import Exam
from leaderboard.measures import END_TO_END

SCHEMA_VERSION = "0.3.0"


def write_eee(entry: Entry, exam: Exam, folder: Path, *, retrieved: int) -> Path:
    """Write the aggregate and its samples where a store of such files has them.

    That is `data/<benchmark>/<developer>/<model>/<uuid>.json`, with its samples beside it; the uuid
    follows from the run, so that the same run is the same file.

    Args:
        entry: A run with an accuracy.
        exam: What it was asked.
        folder: Where to; made when missing.
        retrieved: Seconds since 1970 at which the export is made.

    Returns:
        The aggregate.
    """
    developer, _, model = _model_id(entry).rpartition("/")
    place = Path("data", *map(_file_name, (entry.record.benchmark.name, developer, model)))
    key = bytes.fromhex(digest([entry.run_id, entry.record.predictions_sha256]))[:16]
    name = str(uuid.UUID(bytes=key, version=4))
    samples = (place / f"{name}_samples.jsonl").as_posix()
    lines = [canonical_json(sample) + b"\n" for sample in _samples(entry, exam)]
    write_bytes(folder / samples, lines)
    content = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": _evaluation_id(entry),
        "retrieved_timestamp": str(retrieved),
        "source_metadata": {
            "source_name": "hlvid leaderboard",
            "source_type": "evaluation_run",
            "source_organization_name": "hlvid",
            "evaluator_relationship": "third_party",
            "additional_details": {"badge": entry.badge, "division": entry.division},
        },
        "eval_library": {
            "name": "hlvid",
            "version": entry.record.provenance.software.get("hlvid", "unknown"),
        },
        "model_info": _model(entry),
        "evaluation_results": list(_results(entry)),
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": samples,
            "hash_algorithm": "sha256",
            "checksum": _sha256(lines),
            "total_rows": len(lines),
        },
    }
    target = folder / place / f"{name}.json"
    write_json(target, content)
    return target


def _file_name(text: str) -> str:
    """A stranger's name as that of a file: one step of a path, and never upwards."""
    return re.sub(r"[^A-Za-z0-9_.-]+|\.{2,}", "-", text).strip("-.")[:80] or "unknown"


def _sha256(lines: list[bytes]) -> str:
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _evaluation_id(entry: Entry) -> str:
    record = entry.record
    return f"{record.benchmark.name}/{_model_id(entry)}/{record.run_id}"


def _model_id(entry: Entry) -> str:
    model = entry.record.model
    return model.weights if model.weights and "/" in model.weights else f"hlvid/{model.name}"


def _model(entry: Entry) -> dict[str, Any]:
    record, model = entry.record, entry.record.model
    return {
        "name": model.name,
        "id": _model_id(entry),
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "open_weights" if model.weights else "unknown",
            "arm": record.arm.name,
            "adaptation": record.adaptation,
            "weights": model.weights or "none",
            "revision": model.revision or "unknown",
        },
    }


def _results(entry: Entry) -> Iterator[dict[str, Any]]:
    """Accuracy and, where it is bounded, the median time."""
    record, summary = entry.record, entry.record.summary
    source = {
        "dataset_name": record.benchmark.name,
        "source_type": "other",
        "additional_details": {
            "revision": record.benchmark.revision,
            "questions_sha256": record.benchmark.questions_sha256,
        },
    }
    generation = {
        "generation_args": {"execution_command": " ".join(record.provenance.command)},
        "additional_details": {
            "arm": record.arm.name,
            "num_frames": str(record.frames.num_frames),
            "canvas": record.frames.canvas,
            **{name: str(value) for name, value in record.generation.items()},
        },
    }
    if summary is not None:
        yield {
            "evaluation_name": record.benchmark.name,
            "evaluation_result_id": "accuracy",
            "source_data": source,
            "metric_config": _metric("accuracy", "proportion", lower_is_better=False) | _SHARE,
            "score_details": _accuracy(summary),
            "generation_config": generation,
        }
    if (latency := entry.end_to_end) is not None and latency.p50.is_bounded:
        yield {
            "evaluation_name": record.benchmark.name,
            "evaluation_result_id": "latency_p50",
            "source_data": source,
            "metric_config": _metric("latency_p50", "ms", lower_is_better=True)
            | {"score_type": "continuous", "min_score": 0.0, "max_score": "Infinity"},
            "score_details": {
                "score": latency.p50.value,
                "uncertainty": {
                    "confidence_interval": {
                        "lower": latency.p50.low,
                        "upper": latency.p50.high,
                        "confidence_level": 0.95,
                        "method": "order statistics, clustered by video",
                    }
                },
            },
            "generation_config": generation,
        }


_SHARE = {"score_type": "continuous", "min_score": 0.0, "max_score": 1.0}


def _metric(name: str, unit: str, *, lower_is_better: bool) -> dict[str, Any]:
    return {"metric_id": name, "metric_unit": unit, "lower_is_better": lower_is_better}


def _accuracy(summary: Summary) -> dict[str, Any]:
    uncertainty: dict[str, Any] = {
        "confidence_interval": {
            "lower": summary.accuracy_low,
            "upper": summary.accuracy_high,
            "confidence_level": 0.95,
            "method": "Wilson on the effective number of questions, clustered by video",
        },
        "num_samples": summary.num_questions,
    }
    if summary.standard_error is not None:
        method = "clustered by video"
        uncertainty["standard_error"] = {"value": summary.standard_error, "method": method}
    return {"score": summary.accuracy, "uncertainty": uncertainty}


def _samples(entry: Entry, exam: Exam) -> Iterator[dict[str, Any]]:
    """A line a question: the letter stands for the reply, which the run's own log holds."""
    columns, evaluation = entry.columns, _evaluation_id(entry)
    questions = {question.question_id: question for question in exam.questions}
    times = columns.stage_ms.get(END_TO_END, np.full(len(columns), np.nan))
    for i, question_id in enumerate(columns.question_ids):
        question, letter = questions[question_id], columns.letters[i].decode()
        shown = question.text if exam.is_publishable else f"question {question_id}"
        is_correct = bool(columns.outcomes[i] == CORRECT)
        sample: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": evaluation,
            "model_id": _model_id(entry),
            "evaluation_name": entry.record.benchmark.name,
            "evaluation_result_id": "accuracy",
            "sample_id": question_id,
            "sample_hash": digest([question.text, question.answer]),
            "interaction_type": "single_turn",
            "input": {
                "raw": shown,
                "reference": [question.answer] if exam.is_publishable and question.answer else [],
                "choices": list(question.choices) if exam.is_publishable else None,
            },
            "output": {"raw": [letter]},
            "messages": None,
            "answer_attribution": [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": letter,
                    "extraction_method": "hlvid.grading.extract_letter",
                    "is_terminal": True,
                }
            ],
            "evaluation": {"score": float(is_correct), "is_correct": is_correct},
            "metadata": {"video_id": columns.video_ids[i], "arm": entry.arm},
        }
        if np.isfinite(times[i]):
            sample["performance"] = {"latency_ms": float(times[i])}
        yield sample
