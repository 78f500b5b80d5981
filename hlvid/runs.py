"""The run folder: the one place where those who run models and those who publish results meet.

A folder holds `predictions.jsonl`, `SHA256SUMS` and, written last, `run.json`.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from hlvid.errors import UserError
from hlvid.files import (
    MAX_JSONL_BYTES,
    digest,
    digest_records,
    id_order,
    json_bytes,
    parse_record,
    read_bytes,
    read_json,
    read_jsonl,
    remove_file,
    sha256_file,
    shown,
    write_bytes,
    write_jsonl,
)
from hlvid.grading import grade_all, summarize
from hlvid.prompt import prompt_sha256
from hlvid.statistics.columns import Columns, columns_of
from hlvid.types import (
    ArmSettings,
    BenchmarkId,
    FrameSettings,
    Grade,
    ModelId,
    Prediction,
    Question,
    Record,
    RunRecord,
    Summary,
)

RECORD_FILE = "run.json"
PREDICTIONS_FILE = "predictions.jsonl"
SUMS_FILE = "SHA256SUMS"
MAX_SUMS_BYTES = 4096
MAX_PREDICTIONS = 100_000
"""Of a run; a stranger's file of a few hundred megabytes could hold millions."""

_SUM = re.compile(rf"([0-9a-f]{{64}}) [ *]({re.escape(PREDICTIONS_FILE)}|{re.escape(RECORD_FILE)})")


@dataclass(frozen=True)
class Run:
    """A run as it lies in its folder: its digests checked, its marks not yet."""

    record: RunRecord
    predictions: tuple[Prediction, ...]
    """In the order of `hlvid.files.id_order`."""
    folder: Path


@dataclass(frozen=True)
class GradedRun:
    """A run whose marks were given again and agree with its record."""

    record: RunRecord
    predictions: tuple[Prediction, ...]
    grades: tuple[Grade, ...]
    """One for each prediction, in the same order."""

    @cached_property
    def columns(self) -> Columns:
        """What comparisons read of it."""
        return columns_of(self.predictions, self.grades)


@dataclass(frozen=True, eq=False)
class QuestionSet:
    """What runs were asked, in the order of `hlvid.files.id_order`.

    Make it with `of`: what marking needs of the questions is then computed once for all runs.
    """

    questions: tuple[Question, ...]
    questions_sha256: str
    num_videos: int
    prompts: Mapping[str, str]
    """Question id -> digest of exactly what is sent."""

    @classmethod
    def of(cls, questions: Iterable[Question]) -> Self:
        """All questions of a benchmark, given in any order."""
        ordered = tuple(sorted(questions, key=lambda question: id_order(question.question_id)))
        return cls(
            ordered,
            digest_records(ordered),
            len({question.video_id for question in ordered}),
            {question.question_id: prompt_sha256(question.text) for question in ordered},
        )


def stated(settings: Record) -> dict[str, Any]:
    """What of some settings is not at its default, as JSON: what a digest of them is made of.

    So a setting that comes later, with what was done before as its default, changes no digest.
    """
    return settings.model_dump(mode="json", exclude_defaults=True)


def make_run_id(
    *,
    benchmark: BenchmarkId,
    model: ModelId,
    arm: ArmSettings,
    frames: FrameSettings,
    generation: Mapping[str, str | int | float | bool],
    seed: int,
    limit: int | None,
    repeat: int,
) -> str:
    """The id of a run: 16 hex digits of the digest of everything that can change its answers."""
    parts = {
        "benchmark": stated(benchmark),
        "model": stated(model),
        "arm": stated(arm),
        "frames": stated(frames),
        "generation": dict(generation),
        "seed": seed,
        "limit": limit,
        "repeat": repeat,
    }
    return digest(parts)[:16]


def sort_predictions(predictions: Iterable[Prediction]) -> tuple[Prediction, ...]:
    """Predictions in the order in which a run folder keeps them."""
    return tuple(sorted(predictions, key=lambda prediction: id_order(prediction.question_id)))


def predictions_sha256(predictions: Iterable[Prediction]) -> str:
    """Digest of the `predictions.jsonl` that `write_run` will write: what the record must name."""
    return digest_records(sort_predictions(predictions))


def write_run(folder: Path, record: RunRecord, predictions: Iterable[Prediction]) -> Run:
    """Write a run's folder; until the last step it does not pass for a run.

    Args:
        folder: Made when missing; a run that lies there is replaced.
        record: Its `predictions_sha256` must be that of `predictions`.
        predictions: One a question, in any order.

    Raises:
        UserError: Record and predictions contradict each other, or the disk refuses.
    """
    run = Run(record, sort_predictions(predictions), folder)
    described = json_bytes(record)
    parse_record(described, RunRecord, where=RECORD_FILE)
    found = digest_records(run.predictions)
    _same(RECORD_FILE, "predictions_sha256", record.predictions_sha256, found, PREDICTIONS_FILE)
    _check(run)
    sums = f"{found}  {PREDICTIONS_FILE}\n{hashlib.sha256(described).hexdigest()}  {RECORD_FILE}\n"
    remove_file(folder / RECORD_FILE)
    write_jsonl(folder / PREDICTIONS_FILE, run.predictions)
    write_bytes(folder / SUMS_FILE, [sums.encode()])
    write_bytes(folder / RECORD_FILE, [described])
    return run


def read_run(folder: Path) -> Run:
    """Read a run's folder, trusting nothing in it.

    Raises:
        UserError: A file is missing, is a link, is too big, does not have its digest, or says
            something that another part of the run contradicts. The sentence names the file.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder. A run is a folder with {RECORD_FILE}.")
    name = _name(folder)
    for file in (RECORD_FILE, PREDICTIONS_FILE, SUMS_FILE):
        if (folder / file).is_symlink():
            raise UserError(f"{name}/{file}: is a link. Allowed are regular files.")
        if not (folder / file).exists():
            raise UserError(f"{name}/{file}: is missing. The run was not finished, or is not one.")
        if (folder / file).stat().st_size > MAX_JSONL_BYTES:
            raise UserError(f"{name}/{file}: is too long. Allowed are {MAX_JSONL_BYTES} bytes.")
    sums = _read_sums(folder / SUMS_FILE, f"{name}/{SUMS_FILE}")
    for file, claimed in sums.items():
        found = sha256_file(folder / file, name=f"{name}/{file}")
        _same(f"{name}/{SUMS_FILE}", f"digest of {file}", claimed, found, "the file itself")
    record = read_json(folder / RECORD_FILE, RunRecord, name=f"{name}/{RECORD_FILE}")
    claimed, found = record.predictions_sha256, sums[PREDICTIONS_FILE]
    _same(f"{name}/{RECORD_FILE}", "predictions_sha256", claimed, found, SUMS_FILE)
    predictions = read_jsonl(
        folder / PREDICTIONS_FILE,
        Prediction,
        name=f"{name}/{PREDICTIONS_FILE}",
        may_be_empty=record.status == "infeasible",
        max_records=MAX_PREDICTIONS,
    )
    run = Run(record, sort_predictions(predictions), folder)
    _check(run)
    return run


def grade_run(run: Run, questions: Sequence[Question] | QuestionSet) -> GradedRun:
    """Mark a run's predictions again and hold the result against its record.

    Args:
        run: From `read_run`.
        questions: All of the benchmark that the run names; a limited run sat the first of them.
            For many runs, a `QuestionSet`.

    Raises:
        UserError: The questions are not the ones that were sat, or the summary in the record is
            not what the predictions give; the sentence names the field and both values.
    """
    record, where = run.record, f"{_name(run.folder)}/{RECORD_FILE}"
    asked = questions if isinstance(questions, QuestionSet) else QuestionSet.of(questions)
    for field, gives in (
        ("questions_sha256", asked.questions_sha256),
        ("num_questions", len(asked.questions)),
        ("num_videos", asked.num_videos),
    ):
        claims = getattr(record.benchmark, field)
        _same(where, f"benchmark.{field}", claims, gives, "the benchmark at hand")
    if record.summary is None:
        return GradedRun(record, (), ())
    grades = grade_all(asked.questions[: record.limit], run.predictions)
    if len(grades) != len(run.predictions):
        raise UserError(
            f"{where}: answers {len(run.predictions)} of {len(grades)} questions. "
            "Allowed is one prediction for each; a limited run answers the first ones."
        )
    marked = summarize(grades)
    for field in Summary.model_fields:
        claims, gives = getattr(record.summary, field), getattr(marked, field)
        _same(where, f"summary.{field}", claims, gives, "marking it again")
    return GradedRun(record, run.predictions, tuple(grades))


def _read_sums(path: Path, name: str) -> dict[str, str]:
    """The digests of a SHA256SUMS file, which must name the two other files and nothing else."""
    data = read_bytes(path, max_bytes=MAX_SUMS_BYTES, name=name)
    lines = data.decode(errors="replace").removesuffix("\n").split("\n")
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _SUM.fullmatch(line)
        if match is None or match[2] in sums:
            raise UserError(
                f"{name}:{number}: {shown(line)} is not allowed. Allowed is one line "
                f"'<sha256>  <file>' for each of {PREDICTIONS_FILE} and {RECORD_FILE}."
            )
        sums[match[2]] = match[1]
    for file in (PREDICTIONS_FILE, RECORD_FILE):
        if file not in sums:
            raise UserError(f"{name}: does not name {file}. It must.")
    return sums


def _check(run: Run) -> None:
    """Hold the parts of a run against each other."""
    record, name = run.record, _name(run.folder)
    seen: set[str] = set()
    for prediction in run.predictions:
        where = f"{name}/{PREDICTIONS_FILE}: question {prediction.question_id}"
        if prediction.question_id in seen:
            raise UserError(f"{where}: is answered twice. Allowed is one prediction a question.")
        seen.add(prediction.question_id)
        _same(where, "arm", prediction.arm, record.arm.name, RECORD_FILE)
    where, found = f"{name}/{RECORD_FILE}", len(run.predictions)
    if record.summary is None:
        _same(where, "number of predictions of an infeasible run", 0, found, PREDICTIONS_FILE)
        return
    if record.limit is not None and record.limit < 1:
        raise UserError(f"{where}: limit is {record.limit}. Allowed is 1 and more, or none.")
    claimed = record.summary.num_questions
    _same(where, "summary.num_questions", claimed, found, PREDICTIONS_FILE)
    if record.limit is None:
        claimed = record.benchmark.num_questions
        _same(where, "benchmark.num_questions", claimed, found, PREDICTIONS_FILE)


def _name(folder: Path) -> str:
    """A folder as a message may show it, without the place where it lies."""
    name = folder.name or str(folder)
    return name if name.isprintable() else shown(name)


def _same(where: str, field: str, claimed: object, found: object, source: str) -> None:
    """Refuse a claim that does not hold; numbers may differ by the rounding of another machine."""
    if isinstance(claimed, float) and isinstance(found, float):
        holds = math.isclose(claimed, found, rel_tol=0, abs_tol=1e-9)
    else:
        holds = claimed == found
    if not holds:
        raise UserError(
            f"{where}: {field} is {_spelled(claimed)}, but {source} gives {_spelled(found)}."
        )


def _spelled(value: object) -> str:
    is_digest = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
    return str(value) if is_digest else shown(value)
