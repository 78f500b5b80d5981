"""From run folders to entries: every run is verified and marked again before it may have a row.

Nothing a run says about itself is taken on trust that can be recomputed from its predictions.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hlvid import datasets, runs
from hlvid.errors import UserError
from hlvid.files import read_jsonl
from hlvid.statistics import QuantileInterval, quantile_interval
from hlvid.types import BenchmarkId, Outcome, Prediction, Question, RunRecord

RECALL_COVER = 0.9
"""Share of an evidence box that kept tokens must cover for the question to count as recalled."""
KNOWN_BENCHMARKS = (datasets.HLVID, datasets.HLVID_SYNTHETIC)
"""Names whose questions can be found without `--questions`."""


@dataclass(frozen=True)
class QuestionSet:
    """What runs were asked."""

    name: str
    questions_sha256: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class EvidenceRecall:
    """How often the tokens that were kept show the answer: recall = temporal hit x spatial."""

    recall: float
    temporal_hit: float
    """Share of questions with a sampled frame inside an evidence span."""
    spatial_given_hit: float | None
    """Share of those whose box is covered; None without any hit."""
    num_questions: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds a question took: quantiles over all questions with a timing."""

    p50: QuantileInterval
    p90: QuantileInterval
    num_videos: int


@dataclass(frozen=True)
class Entry:
    """A run that passed, and what its row shows."""

    graded: runs.GradedRun
    kept_ratio: float | None
    """Visual tokens / visual tokens of `off` on the same canvas, over all questions."""
    parse_rate: float
    """Share of all questions whose reply yielded a letter."""
    recall: EvidenceRecall | None
    end_to_end: Latency | None
    model_only: Latency | None
    peak_memory_bytes: int | None
    chance: float | None
    """Expected accuracy of guessing: the mean of 1 / number of choices."""

    @property
    def record(self) -> RunRecord:
        """The run's own record."""
        return self.graded.record

    @property
    def arm(self) -> str:
        """The arm's name, 'off' or 'detail@0.1'."""
        return self.record.arm.name

    @property
    def accuracy(self) -> float | None:
        """Strict accuracy; None where none may be shown: the arm failed, or has random weights."""
        record = self.record
        if record.summary is None or record.status == "failed":
            return None
        return None if record.model.load_format == "dummy" else record.summary.accuracy

    @property
    def unranked_because(self) -> tuple[str, ...]:
        """Why the run is shown without a rank; empty for a ranked one."""
        record = self.record
        reasons = []
        if record.status == "infeasible":
            reasons.append("infeasible: this arm could not run at all")
        if record.status in ("partial", "failed") and record.summary is not None:
            failed, of = record.summary.num_failed, record.summary.num_questions
            reasons.append(f"{record.status}: {failed} of {of} questions failed")
        if record.limit is not None:
            reasons.append(f"limited run (--limit {record.limit})")
        if record.model.load_format == "dummy":
            reasons.append("random weights: latency only")
        if record.arm.privileged:
            reasons.append("privileged selector")
        return tuple(reasons)


@dataclass(frozen=True)
class Refusal:
    """A run folder that has no row, and why."""

    name: str
    reason: str


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """All run folders (those with a run.json) at or below the paths, each once, sorted.

    Links are not followed below the paths given.

    Raises:
        UserError: A path does not exist, or there is no run in or below it.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: not found. Give run folders, or folders that contain some.")
        inside = []
        for folder, subfolders, files in os.walk(path):
            if "run.json" in files:
                inside.append(Path(folder).resolve())
                subfolders.clear()
        if not inside:
            raise UserError(f"{path}: no run in or below it. A run folder holds a run.json.")
        found.update(dict.fromkeys(inside))
    return sorted(found)


def read_questions(paths: Iterable[Path]) -> list[QuestionSet]:
    """Question sets that the user brought.

    Args:
        paths: Each a questions.jsonl, a folder with a benchmark.json, or HLVid as released: the
            folder or its parquet file.

    Raises:
        UserError: A path does not exist or does not hold questions.
    """
    return [_read_question_set(path) for path in paths]


def _read_question_set(path: Path) -> QuestionSet:
    if not path.exists():
        raise UserError(f"--questions: {path} is not there. Give a questions.jsonl or its folder.")
    if path.is_dir() and (path / "benchmark.json").exists():
        return _question_set(datasets.read(path, root=None))
    if path.is_dir() or path.suffix == ".parquet":
        root = path if path.is_dir() else path.parent.parent
        return _question_set(datasets.load(datasets.HLVID, data=root))
    questions = tuple(read_jsonl(path, Question))
    return _question_set(
        datasets.Benchmark(name=path.stem, revision="", questions=questions, videos={})
    )


def _question_set(benchmark: datasets.Benchmark) -> QuestionSet:
    return QuestionSet(benchmark.name, benchmark.questions_sha256, benchmark.questions)


def read_entries(
    folders: Sequence[Path], question_sets: Sequence[QuestionSet]
) -> tuple[list[Entry], list[Refusal]]:
    """Verify and re-grade runs.

    Args:
        folders: Run folders.
        question_sets: What the runs were asked, as far as the user brought it; the benchmarks in
            KNOWN_BENCHMARKS are found without.

    Returns:
        Entries in an order that depends on their contents only, and what was refused.
    """
    known = list(question_sets)
    entries: dict[str, Entry] = {}
    refusals: list[Refusal] = []
    for folder in folders:
        try:
            run = runs.read_run(folder)
            asked = _questions_of(run.record.benchmark, known)
            entry = _entry(runs.grade_run(run, asked), asked)
            _refuse_double(folder, entry, entries.get(run.record.run_id))
        except UserError as error:
            refusals.append(Refusal(folder.name, _without_parents(str(error), folder)))
            continue
        entries[run.record.run_id] = entry
    return sorted(entries.values(), key=_by_model), sorted(
        refusals, key=lambda r: (r.name, r.reason)
    )


def _by_model(entry: Entry) -> tuple[str, ...]:
    """Sort key: benchmark, model, command, arm."""
    record, model = entry.record, entry.record.model
    names = (record.benchmark.name, model.name, model.weights or "", record.group_id)
    return (*names, entry.arm, record.run_id)


def _questions_of(benchmark: BenchmarkId, known: list[QuestionSet]) -> tuple[Question, ...]:
    """The questions that the run names: by digest, else by name, which marking will hold it to."""

    def find() -> QuestionSet | None:
        same = [s for s in known if s.questions_sha256 == benchmark.questions_sha256]
        same += [s for s in known if s.name == benchmark.name]
        return next(iter(same), None)

    if find() is None and benchmark.name in KNOWN_BENCHMARKS:
        known.append(_question_set(datasets.load(benchmark.name)))
    if (found := find()) is None:
        raise UserError(
            f"run.json: benchmark {benchmark.name} is not known here (questions "
            f"{benchmark.questions_sha256}). Bring its questions with --questions FILE."
        )
    return found.questions


def _refuse_double(folder: Path, entry: Entry, other: Entry | None) -> None:
    """The same run twice is one row; two different results under one run_id are none."""
    if other is None or other.record == entry.record:
        return
    raise UserError(
        f"{folder.name}/run.json: run_id {entry.record.run_id}: another run of this name has "
        f"predictions {other.record.predictions_sha256}, this one has "
        f"{entry.record.predictions_sha256}. "
        "One run_id stands for one run: leave one of the two out."
    )


def _without_parents(message: str, folder: Path) -> str:
    """A message without the place of the run on this machine."""
    return message.replace(f"{folder.parent}{os.sep}", "")


def _entry(graded: runs.GradedRun, asked: Sequence[Question]) -> Entry:
    predictions = graded.predictions
    outcomes = [grade.outcome for grade in graded.grades]
    num_parsed = sum(o in (Outcome.CORRECT, Outcome.WRONG) for o in outcomes)
    memory = [p.peak_memory_bytes for p in predictions if p.peak_memory_bytes is not None]
    answered = {p.question_id for p in predictions}
    choices = [len(q.choices) for q in asked if q.question_id in answered]
    return Entry(
        graded=graded,
        kept_ratio=_kept_ratio(predictions),
        parse_rate=num_parsed / len(outcomes) if outcomes else 0.0,
        recall=_evidence_recall(predictions),
        end_to_end=_latency(graded, minus=None),
        model_only=_latency(graded, minus="decode"),
        peak_memory_bytes=max(memory, default=None),
        chance=sum(1 / n for n in choices) / len(choices) if choices else None,
    )


def _kept_ratio(predictions: Sequence[Prediction]) -> float | None:
    counts = [p.tokens for p in predictions if p.tokens is not None]
    num_off = sum(c.visual_off for c in counts)
    try:
        return sum(c.visual for c in counts) / num_off if num_off else None
    except OverflowError:
        return None


def _evidence_recall(predictions: Sequence[Prediction]) -> EvidenceRecall | None:
    """Over the questions whose evidence is known."""
    known = [p for p in predictions if p.temporal_hit is not None]
    if not known:
        return None
    hits = [p for p in known if p.temporal_hit]
    num_covered = sum((p.spatial_cover or 0.0) >= RECALL_COVER for p in hits)
    return EvidenceRecall(
        recall=num_covered / len(known),
        temporal_hit=len(hits) / len(known),
        spatial_given_hit=num_covered / len(hits) if hits else None,
        num_questions=len(known),
    )


def _latency(graded: runs.GradedRun, *, minus: str | None) -> Latency | None:
    """Quantiles of the end-to-end time, less one stage; None where no question was timed.

    Args:
        graded: The run.
        minus: The stage to take off. A question without that stage has no such time.
    """
    values, videos = [], []
    for prediction, grade in zip(graded.predictions, graded.grades, strict=True):
        stages = prediction.stage_ms
        if "end_to_end" in stages and (minus is None or minus in stages):
            values.append(stages["end_to_end"] - (stages[minus] if minus else 0.0))
            videos.append(grade.video_id)
    if not values:
        return None
    return Latency(
        p50=quantile_interval(values, 0.5, clusters=videos),
        p90=quantile_interval(values, 0.9, clusters=videos),
        num_videos=len(set(videos)),
    )
