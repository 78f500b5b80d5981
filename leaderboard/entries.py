"""From run folders to entries: every run is verified and marked again before it may have a row.

Nothing a run says about itself is taken on trust that can be recomputed from its predictions.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hlvid import runs
from hlvid.datasets import official_score
from hlvid.errors import UserError
from hlvid.plans import Plan
from hlvid.statistics.clusters import Floats
from hlvid.statistics.columns import Columns
from hlvid.types import STOCK_CODE, RunRecord
from leaderboard import divisions, measures
from leaderboard.beside import read_beside
from leaderboard.exams import Exam, find_exam
from leaderboard.measures import EvidenceRecall, Latency, MeanTokens
from leaderboard.parallel import in_processes
from leaderboard.rules import Problem, Rule, Submission, answers, problems_of, records
from leaderboard.rules.grids import grids
from leaderboard.rules.groups import group_problems

RULES: tuple[tuple[str, Rule], ...] = (
    ("status", records.status),
    ("settings", records.settings),
    ("privileged", records.privileged),
    ("division", records.division),
    ("hardware", records.hardware),
    ("text", records.text),
    ("digests", answers.digests),
    ("tokens", answers.tokens),
    ("grids", grids),
    ("timings", answers.timings),
)
"""Rules about one run that cost it its badge, not its row."""
MIN_BYTES_FOR_PROCESSES = 16 * 2**20
"""Less than this is read faster than processes start."""


@dataclass(frozen=True)
class Standing:
    """What the published results say about a run."""

    withdrawn: str | None = None
    """Why the run was withdrawn; its row stays, greyed and unranked."""
    reproduced: str | None = None
    """How a second run of the same settings agreed, where one did."""
    is_self_reported: bool = False
    """Whether it was published although it breaks a rule."""


@dataclass(frozen=True)
class Entry:
    """A run that passed, and what its row shows."""

    record: RunRecord
    """As it was sent, but for its status, which is that of its marks, and for `privileged` of an
    arm that hides it."""
    columns: Columns
    visual_off: Floats
    """Visual tokens of `off` at each question, as the run counts them; NaN where unknown."""
    kept_ratio: float | None
    """Visual tokens / visual tokens of `off` on the same canvas, over all questions."""
    mean_tokens: MeanTokens | None
    parse_rate: float
    """Share of all questions whose reply yielded a letter."""
    official: float | None
    """What the benchmark's own script would give, where it has one."""
    recall: EvidenceRecall | None
    end_to_end: Latency | None
    without_decode: Latency | None
    model_only: Latency | None
    peak_memory_bytes: int | None
    chance: float | None
    """Expected accuracy of guessing: the mean of 1 / number of choices."""
    plan: Plan | None = None
    """What was declared before the run; None where its record names nothing that is there."""
    problems: tuple[Problem, ...] = ()
    """What `check` finds: with any, the run counts as self-reported."""
    standing: Standing = Standing()

    @property
    def arm(self) -> str:
        """The arm's name, 'off' or 'detail@0.1'."""
        return self.record.arm.name

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.record.run_id

    @property
    def slug(self) -> str:
        """What its page is called; a withdrawn run leaves its id to the one that replaces it."""
        if self.standing.withdrawn is None:
            return self.run_id
        return f"{self.run_id}-{self.record.predictions_sha256[:12]}"

    @property
    def division(self) -> str:
        """'closed' or 'open'; open too where the run broke the division's own rule."""
        is_open = any(problem.rule == "division" for problem in self.problems)
        return "open" if is_open else divisions.division_of(self.record)

    @property
    def badge(self) -> str:
        """How far the numbers were verified, in words."""
        if self.problems:
            return "self-reported"
        return "logs-checked" if self.standing.reproduced is None else "reproduced"

    @property
    def accuracy(self) -> float | None:
        """Strict accuracy; None where none may be shown: the arm failed, or has random weights."""
        record = self.record
        if record.summary is None or record.status == "failed":
            return None
        return None if self.has_random_weights else record.summary.accuracy

    @property
    def has_random_weights(self) -> bool:
        """Whether the weights are random values: such a run has times, and answers nothing."""
        return self.record.model.load_format == "dummy"

    @property
    def unranked_because(self) -> tuple[str, ...]:
        """Why the run is shown without a rank; empty for a ranked one."""
        record = self.record
        reasons = []
        if self.standing.withdrawn is not None:
            reasons.append(f"withdrawn: {self.standing.withdrawn}")
        if record.status == "infeasible":
            why = record.infeasible_because
            reasons.append(f"infeasible: {why or 'this arm could not run at all'}")
        if record.status in ("partial", "failed") and record.summary is not None:
            failed, of = record.summary.num_failed, record.summary.num_questions
            reasons.append(f"{record.status}: {failed} of {of} questions failed")
        if record.limit is not None:
            reasons.append(f"limited run (--limit {record.limit})")
        if self.has_random_weights:
            reasons.append("random weights: latency only")
        if record.arm.privileged:
            reasons.append("privileged selector")
        if record.repeat:
            reasons.append(f"repeat {record.repeat}")
        if record.arm.variant == STOCK_CODE:
            reasons.append("diagnostic: off-bare by stock code")
        return tuple(reasons)


@dataclass(frozen=True)
class Refusal:
    """A run folder that has no row, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """What came of one folder: an entry, or the problem that stood in its way."""

    name: str
    entry: Entry | None
    problems: tuple[Problem, ...]


@dataclass
class _Desk:
    """What a reading process has at hand."""

    exams: list[Exam] = field(default_factory=list)


_DESK = _Desk()


def find_runs(paths: Iterable[Path], *, may_be_empty: bool = False) -> list[Path]:
    """All run folders (those with a run.json) at or below the paths, each once, sorted.

    Links are not followed below the paths given.

    Args:
        paths: Run folders, or folders that contain some.
        may_be_empty: Whether a folder without any run is in order.

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
        if not inside and not may_be_empty:
            raise UserError(f"{path}: no run in or below it. A run folder holds a run.json.")
        found.update(dict.fromkeys(inside))
    return sorted(found)


Standings = Mapping[tuple[str, str], Standing]
"""(run_id, digest of the predictions) -> what is published about that run."""


def read_all(
    folders: Sequence[Path], exams: Sequence[Exam], *, standings: Standings | None = None
) -> list[Reading]:
    """Verify and re-grade runs, on all cores where there is much to read.

    Args:
        folders: Run folders.
        exams: What the runs were asked, as far as the user brought it; benchmarks that are known
            by name are found without.
        standings: What is published about them.

    Returns:
        One reading a folder, in their order; what is wrong between runs is told of the later one.
    """
    num_bytes = sum(_size(folder / runs.PREDICTIONS_FILE) for folder in folders)
    readings = in_processes(
        read_one,
        folders,
        is_worth_it=num_bytes > MIN_BYTES_FOR_PROCESSES,
        prepare=_prepare,
        given=(list(exams),),
    )
    standing = (_standing(reading, standings or {}) for reading in readings)
    return list(_with_group_problems(_shared(_without_doubles(standing))))


def _standing(reading: Reading, standings: Standings) -> Reading:
    if (entry := reading.entry) is None:
        return reading
    known = standings.get((entry.run_id, entry.record.predictions_sha256), Standing())
    return replace(reading, entry=replace(entry, standing=known))


def read_entries(
    folders: Sequence[Path], exams: Sequence[Exam], *, standings: Standings | None = None
) -> tuple[list[Entry], list[Refusal]]:
    """`read_all`, sorted out.

    Returns:
        Entries in an order that depends on their contents only, and what was refused.
    """
    entries: dict[str, Entry] = {}
    refusals = []
    for reading in read_all(folders, exams, standings=standings):
        if reading.entry is not None:
            entries[reading.entry.slug] = reading.entry
        else:
            reason = f"{reading.name}/{reading.problems[0].message}"
            refusals.append(Refusal(reading.name, reason))
    return sorted(entries.values(), key=_by_model), sorted(
        refusals, key=lambda r: (r.name, r.reason)
    )


def _by_model(entry: Entry) -> tuple[str, ...]:
    """Sort key: benchmark, model, command, arm."""
    record, model = entry.record, entry.record.model
    names = (record.benchmark.name, model.name, model.weights or "", record.group_id)
    return (*names, entry.arm, record.run_id)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _prepare(exams: list[Exam]) -> None:
    _DESK.exams = exams


def read_one(folder: Path) -> Reading:
    """Verify one run with what the process has at hand; never raises for what a run says."""
    name = folder.name

    def refused(rule: str, message: str) -> Reading:
        return Reading(name, None, (Problem(rule, message.removeprefix(f"{name}/")),))

    try:
        run = runs.read_run(folder)
        for message in records.run_id(run.record):
            return refused("run-id", message)
    except UserError as error:
        return refused("folder", str(error).replace(f"{folder.parent}{os.sep}", ""))
    try:
        exam = find_exam(run.record.benchmark, _DESK.exams)
    except UserError as error:
        return refused("benchmark", str(error))
    try:
        graded = runs.grade_run(run, exam.asked)
    except UserError as error:
        return refused("marks", str(error))
    entry = _entry(graded, exam)
    for message in answers.prompts(entry.columns, exam.asked):
        return refused("prompts", message)
    as_sent = replace(submission_of(entry), record=graded.record, videos=exam.videos)
    plan, problems = read_beside(run)
    problems = (*problems_of(RULES, as_sent), *problems)
    return Reading(name, replace(entry, plan=plan, problems=problems), problems)


def submission_of(entry: Entry) -> Submission:
    """The run as the rules see it."""
    return Submission(entry.record, entry.columns, entry.visual_off, entry.peak_memory_bytes)


def _entry(graded: runs.GradedRun, exam: Exam) -> Entry:
    predictions, columns = graded.predictions, replace(graded.columns, log_probabilities=())
    memory = [p.peak_memory_bytes for p in predictions if p.peak_memory_bytes is not None]
    answered = set(columns.question_ids)
    official = official_score(exam.name, exam.questions, predictions)
    choices = [len(q.choices) for q in exam.questions if q.question_id in answered]
    return Entry(
        record=records.as_marked(graded.record),
        columns=columns,
        visual_off=measures.visual_off(predictions),
        kept_ratio=measures.kept_ratio(predictions),
        mean_tokens=measures.mean_tokens(predictions),
        parse_rate=float((columns.letters != b"").mean()) if len(columns) else 0.0,
        official=None if official is None else official.accuracy,
        recall=measures.evidence_recall(columns),
        end_to_end=measures.latency(columns, "end_to_end"),
        without_decode=measures.latency(columns, "without_decode"),
        model_only=measures.latency(columns, "model_only"),
        peak_memory_bytes=max(memory, default=None),
        chance=sum(1 / n for n in choices) / len(choices) if choices else None,
    )


def _without_doubles(readings: Iterable[Reading]) -> Iterator[Reading]:
    """The same run twice is one row; of two results under one run_id the second is refused."""
    first: dict[str, RunRecord] = {}
    for reading in readings:
        if reading.entry is None:
            yield reading
            continue
        record = reading.entry.record
        other = first.setdefault(reading.entry.slug, record)
        if other == record:
            yield reading
            continue
        message = (
            f"run.json: run_id {record.run_id}: another run of this name has predictions "
            f"{other.predictions_sha256}, this one has {record.predictions_sha256}. "
            "One run_id stands for one run: leave one of the two out."
        )
        yield Reading(reading.name, None, (Problem("run-id", message),))


def _shared(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Readings whose equal columns are one object: hundreds of runs then fit into memory."""
    seen: dict[object, Any] = {}

    def shared(key: object, value: Any) -> Any:  # noqa: ANN401
        return seen.setdefault(key, value)

    for reading in readings:
        if (entry := reading.entry) is None:
            yield reading
            continue
        columns = entry.columns
        texts = ("question_ids", "video_ids", "categories")
        arrays = ("prompts", "prompt_ids", "frames", "canvases")
        changes = {name: shared(getattr(columns, name), getattr(columns, name)) for name in texts}
        changes |= {
            name: shared(getattr(columns, name).tobytes(), getattr(columns, name))
            for name in arrays
        }
        off = shared(("visual_off", entry.visual_off.tobytes()), entry.visual_off)
        shares = replace(entry, columns=replace(columns, **changes), visual_off=off)
        yield replace(reading, entry=shares)


def _with_group_problems(readings: Iterable[Reading]) -> Iterator[Reading]:
    held = list(readings)
    stand = [r.entry for r in held if r.entry and r.entry.standing.withdrawn is None]
    entries = {entry.run_id: entry for entry in stand}
    found: dict[str, list[Problem]] = {}
    for run_id, problem in group_problems([submission_of(e) for e in entries.values()]):
        found.setdefault(run_id, []).append(problem)
    for reading in held:
        if reading.entry is None or reading.entry.slug not in found:
            yield reading
            continue
        problems = (*reading.problems, *dict.fromkeys(found[reading.entry.run_id]))
        yield Reading(reading.name, replace(reading.entry, problems=problems), problems)
