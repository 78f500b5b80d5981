"""`import`: a run folder from what a stock lmms-eval run leaves behind.

Its samples say which reply each question got; nothing else of it is believed. A run made this way
has no times, tokens or digests of frames: it is ranked by accuracy, and no time of it is shown.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hlvid.errors import UserError
from hlvid.files import read_bytes, read_jsonl, shown
from hlvid.grading import grade_all, summarize
from hlvid.prompt import prompt_sha256
from hlvid.runs import make_run_id, predictions_sha256, write_run
from hlvid.types import (
    ArmSettings,
    BenchmarkId,
    FrameSettings,
    Hardware,
    ModelId,
    Prediction,
    Provenance,
    Question,
    RunRecord,
)
from leaderboard.exams import Exam
from leaderboard.rules.records import marked_status

MAX_RESULTS_BYTES = 64 * 2**20


class Sample(BaseModel):
    """A line of lmms-eval's samples, as far as it is read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    doc_id: Annotated[int, Field(ge=0)]
    filtered_resps: Any
    target: Any = None
    input: str = ""


def import_run(
    results_file: Path,
    samples_file: Path,
    exam: Exam,
    revision: str,
    out: Path,
    *,
    num_frames: int,
    hardware: Hardware,
) -> Path:
    """Write a run folder from lmms-eval's results and samples.

    Args:
        results_file: `*_results.json`.
        samples_file: `*_samples_<task>.jsonl`.
        exam: What was asked, in the order of the dataset that was evaluated.
        revision: Of the benchmark.
        out: The folder that gets a folder named like the run.
        num_frames: How many frames the model was given, which lmms-eval does not record.
        hardware: The machine, which it does not record either.

    Returns:
        The run's folder.

    Raises:
        UserError: The files are not lmms-eval's, or are not about these questions.
    """
    about = _results(results_file)
    samples = read_jsonl(samples_file, Sample)
    predictions = [
        _prediction(sample, question, samples_file.name)
        for sample, question in _paired(samples, exam.questions, samples_file.name)
    ]
    config = about.get("config")
    config = config if isinstance(config, dict) else {}
    model = _model(config)
    benchmark = BenchmarkId(
        name=exam.name,
        revision=revision,
        questions_sha256=exam.asked.questions_sha256,
        num_questions=len(exam.questions),
        num_videos=exam.asked.num_videos,
    )
    settings: dict[str, Any] = {
        "benchmark": benchmark,
        "model": model,
        "arm": ArmSettings(gaze="off", variant="off-stock"),
        "frames": FrameSettings(num_frames=num_frames, canvas="own"),
        "generation": _generation(about, config),
        "seed": 0,
        "limit": None,
        "repeat": 0,
    }
    run_id = make_run_id(**settings)
    summary = summarize(grade_all(exam.questions, predictions))
    record = RunRecord(
        run_id=run_id,
        group_id=run_id,
        provenance=_provenance(about, config, hardware),
        predictions_sha256=predictions_sha256(predictions),
        summary=summary,
        status=marked_status(summary),
        **settings,
    )
    return write_run(out / run_id, record, predictions).folder


def parse_machine(text: str) -> Hardware:
    """A machine as it is typed: 'cpu=AMD EPYC 9354,cores=32,memory_gib=256,gpu=H100'.

    Raises:
        UserError: A part is missing, unknown or not a number above 0.
    """
    pairs = [part.partition("=")[::2] for part in text.split(",")]
    found = {name.strip(): value.strip() for name, value in pairs if name.strip() != "gpu"}
    try:
        if set(found) != {"cpu", "cores", "memory_gib"}:
            raise ValueError
        return Hardware(
            cpu=found["cpu"],
            num_cores=int(found["cores"]),
            memory_bytes=int(float(found["memory_gib"]) * 2**30),
            gpus=tuple(value.strip() for name, value in pairs if name.strip() == "gpu"),
            platform="not recorded",
        )
    except (ValueError, OverflowError):
        raise UserError(
            f"--machine: {shown(text)} is not a machine. Allowed is cpu=NAME,cores=N,memory_gib=N, "
            "and gpu=NAME once for each GPU."
        ) from None


def _results(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path, max_bytes=MAX_RESULTS_BYTES))
    except (ValueError, RecursionError):
        raise UserError(f"{path.name}: is not JSON. Give lmms-eval's *_results.json.") from None
    if not isinstance(content, dict) or "results" not in content:
        raise UserError(f"{path.name}: has no results. Give lmms-eval's *_results.json.")
    return content


def _paired(
    samples: Sequence[Sample], questions: Sequence[Question], name: str
) -> list[tuple[Sample, Question]]:
    """Each sample with its question, by its place in the dataset; the texts must agree."""
    by_place: dict[int, Sample] = {}
    for sample in samples:
        if sample.doc_id in by_place:
            raise UserError(f"{name}: doc_id {sample.doc_id} is there twice. Allowed is once.")
        by_place[sample.doc_id] = sample
    if sorted(by_place) != list(range(len(questions))):
        raise UserError(
            f"{name}: has {len(by_place)} of {len(questions)} questions. Allowed is one sample for "
            "each, from a run without --limit."
        )
    pairs = [(by_place[place], question) for place, question in enumerate(questions)]
    for sample, question in pairs:
        if question.text not in sample.input:
            raise UserError(
                f"{name}: doc_id {sample.doc_id}: its input {shown(sample.input)} does not hold "
                f"the text of question {question.question_id}. The prompt must be sent as it is."
            )
    return pairs


def _prediction(sample: Sample, question: Question, name: str) -> Prediction:
    reply = sample.filtered_resps
    while isinstance(reply, list) and len(reply) == 1:
        reply = reply[0]
    if not isinstance(reply, str):
        raise UserError(
            f"{name}: doc_id {sample.doc_id}: filtered_resps is {shown(sample.filtered_resps)}. "
            "Allowed is one text."
        )
    return Prediction(
        question_id=question.question_id,
        arm="off-stock",
        prompt_sha256=prompt_sha256(question.text),
        response=reply,
        status="ok",
    )


def _model(config: Mapping[str, Any]) -> ModelId:
    arguments = config.get("model_args")
    pairs = dict(
        part.split("=", 1) for part in str(arguments or "").split(",") if part.count("=") >= 1
    )
    weights = pairs.get("pretrained") or pairs.get("model")
    if not weights:
        raise UserError(
            f"config.model_args: {shown(arguments)} names no weights. "
            "Allowed is pretrained=<hub id>, as lmms-eval was given it."
        )
    name = re.sub("[^A-Za-z0-9._-]", "-", str(config.get("model") or ""))[:64]
    revision = pairs.get("revision") or "not recorded"
    return ModelId(
        name=name.strip("-._") or "lmms-eval",
        kind="mllm",
        weights=weights,
        revision=revision,
        load_format="weights",
    )


def _generation(
    about: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, str | int | float | bool]:
    """Plain settings of the task's generation; what is nested is left out."""
    found: dict[str, str | int | float | bool] = {}
    tasks = about.get("configs")
    for task in tasks.values() if isinstance(tasks, dict) else ():
        settings = task.get("generation_kwargs") if isinstance(task, dict) else None
        for name, value in settings.items() if isinstance(settings, dict) else ():
            is_plain = isinstance(value, str | int | bool) or (
                isinstance(value, float) and math.isfinite(value)
            )
            if is_plain:
                found[str(name)] = value
    batch = config.get("batch_size")
    if str(batch).isdigit():
        found["batch_size"] = int(str(batch))
    return found


def _provenance(
    about: Mapping[str, Any], config: Mapping[str, Any], hardware: Hardware
) -> Provenance:
    words = ["lmms-eval", "--model", str(config.get("model"))]
    words += ["--model_args", str(config.get("model_args"))]
    version = about.get("lmms_eval_version")
    return Provenance(
        command=tuple(words),
        git_commit=None,
        git_dirty=None,
        software={"lmms_eval": str(version or "unknown")},
        hardware=hardware,
    )
