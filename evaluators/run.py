"""One command's run: its arms sat side by side, then each written to a run folder of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluators import models
from evaluators.engine import evaluate, quiet
from evaluators.examinee import INFEASIBLE, Examinee
from evaluators.gazing import Donors
from evaluators.halting import INTERRUPTED, Halt, Stopped, on_signals
from evaluators.ledger import Ledger
from evaluators.provenance import provenance
from evaluators.sitting import Item, Room, num_left
from evaluators.task import GENERATION
from hlvid.console import progress, say
from hlvid.datasets import Benchmark, MissingVideo, load
from hlvid.errors import UserError
from hlvid.files import canonical_json, digest
from hlvid.grading import grade_all, summarize
from hlvid.runs import GradedRun, make_run_id, predictions_sha256, read_run, write_run
from hlvid.types import ArmSettings, Evidence, FrameSettings, Prediction, Provenance, RunRecord

SCRATCH_FOLDER = "ledger"
LEDGER_FILE = f"{SCRATCH_FOLDER}/finished.jsonl"
ID_DIGITS = 16


@dataclass(frozen=True)
class Settings:
    """What a command asks for.

    Args:
        model: Of `evaluators.models.MODELS`.
        arms: Of `evaluators.arms.plan_arms`.
        benchmark: A name or a folder.
        data: Folder that holds `videos/`; None for the benchmark's own.
        num_frames: To sample from a video.
        out: Folder for runs and ledger.
        limit: Questions to ask; None for all.
        seed: Of selectors, of the order of arms, of models that draw.
        gaze_weights: As typed, for the selectors among the arms that are models.
        options: Of the model, as typed: weights, load_format, canvas, pairing.
    """

    model: str
    arms: tuple[ArmSettings, ...]
    benchmark: str
    data: Path | None
    num_frames: int
    out: Path
    limit: int | None = None
    seed: int = 0
    gaze_weights: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exam:
    """A command's settings with what they name.

    Args:
        settings: What is asked for.
        benchmark: All of it: donors of transplanted masks come from the whole.
        sat: The questions that are asked.
        examinee: Who is asked.
    """

    settings: Settings
    benchmark: Benchmark
    sat: Benchmark
    examinee: Examinee

    @property
    def frames(self) -> FrameSettings:
        """How frames are taken."""
        return self.examinee.shape.settings(self.settings.num_frames)

    @property
    def generation(self) -> Mapping[str, str | int | float | bool]:
        """How answers are generated, and on what."""
        return {**GENERATION, **self.examinee.settings}

    @property
    def same_for_all(self) -> dict[str, Any]:
        """What all arms and any limit have in common, as JSON."""
        return {
            "benchmark": self.benchmark.id.model_dump(mode="json"),
            "model": self.examinee.model.model_dump(mode="json"),
            "frames": self.frames.model_dump(mode="json"),
            "generation": dict(self.generation),
            "seed": self.settings.seed,
        }

    @property
    def config(self) -> str:
        """What the ledger's items are kept under: another version of ours may answer otherwise."""
        parts = {**self.same_for_all, "version": metadata.version("hlvid")}
        return digest(parts)[:ID_DIGITS]

    def group_id(self, arms: Iterable[ArmSettings]) -> str:
        """What tells these arms, which are paired, from others."""
        sorted_arms = sorted((arm.model_dump(mode="json") for arm in arms), key=canonical_json)
        parts = {**self.same_for_all, "limit": self.settings.limit, "arms": sorted_arms}
        return digest(parts)[:ID_DIGITS]

    def is_of(self, record: RunRecord) -> bool:
        """Whether a run sat the same exam, so that its arm is paired with ours."""
        theirs = {
            "benchmark": record.benchmark.model_dump(mode="json"),
            "model": record.model.model_dump(mode="json"),
            "frames": record.frames.model_dump(mode="json"),
            "generation": dict(record.generation),
            "seed": record.seed,
        }
        return theirs == self.same_for_all and record.limit == self.settings.limit


def run(settings: Settings, command: Sequence[str]) -> list[tuple[GradedRun, Path]]:
    """Sit the exam, or go on with it, and write one run folder an arm.

    Args:
        settings: What is asked for.
        command: As it was typed, program first, for the record.

    Returns:
        Each arm's run with its folder.

    Raises:
        UserError: Something is missing or not allowed, or the user wanted the end.
    """
    quiet()
    exam = prepare(settings)
    items = [Item(question, arm, None) for question in exam.sat.questions for arm in settings.arms]
    with on_signals() as halt, Ledger(settings.out / LEDGER_FILE) as ledger:
        _keep_weights(exam, ledger)
        room = _room(exam, ledger, halt)
        unit = "look" if exam.examinee.sees_video else "answer"
        num_steps = num_left(room, items)
        say(
            f"{settings.model} on {exam.benchmark.name}: {len(exam.sat.questions)} questions, "
            f"{len(settings.arms)} arms, {num_steps} {unit}s to go"
        )
        with progress(num_steps, settings.model) as bar:

            def tell(kind: str, key: Sequence[str]) -> None:
                if kind == unit:
                    bar.advance(1, " ".join(key))

            try:
                predictions, _ = evaluate(
                    replace(room, on_item=tell),
                    exam.benchmark,
                    settings.arms,
                    limit=settings.limit,
                )
            except Stopped:
                raise UserError(
                    f"stopped with {num_left(room, items)} {unit}s to go; what is finished is "
                    "kept. The same command goes on from there.",
                    exit_code=INTERRUPTED,
                ) from None
        about = provenance(tuple(command))
        group_id = _join_group(exam, about)
        return [_write(exam, arm, group_id, predictions, about) for arm in settings.arms]


def prepare(settings: Settings) -> Exam:
    """Load what the settings name.

    Raises:
        UserError: Benchmark, model or videos are not there, or gaze has no meaning for the model.
    """
    benchmark = load(settings.benchmark, data=settings.data)
    sat = benchmark if settings.limit is None else benchmark.subset(limit=settings.limit)
    model = models.find(settings.model)
    if model.sees_video:
        tell_missing(sat)
    elif gazing := [arm.name for arm in settings.arms if arm.selector is not None]:
        raise UserError(
            f"--gaze: {settings.model} never looks at the video, so {', '.join(gazing)} would "
            "all be one and the same. Use --gaze off."
        )
    for arm in settings.arms:
        if arm.variant is not None and arm.variant not in model.variants:
            raise UserError(f"--also: {settings.model} knows no {arm.variant}. Leave it out.")
    examinee = model.make(seed=settings.seed, options=settings.options)
    return Exam(settings, benchmark, sat, examinee)


def tell_missing(benchmark: Benchmark) -> None:
    """Say which videos are missing.

    Raises:
        MissingVideo: All are.
    """
    missing = [video_id for video_id, path in video_paths(benchmark).items() if path is None]
    if len(missing) == len(benchmark.video_ids):
        benchmark.video_path(missing[0])
    if missing:
        named = ", ".join(missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        say(f"{len(missing)} videos are missing, their questions will be FAILED: {named}{more}")


def video_paths(benchmark: Benchmark) -> dict[str, Path | None]:
    """Every video's path, None where its file is missing."""
    paths: dict[str, Path | None] = {}
    for video_id in benchmark.video_ids:
        try:
            paths[video_id] = benchmark.video_path(video_id)
        except MissingVideo:
            paths[video_id] = None
    return paths


def evidence_by_video(benchmark: Benchmark) -> dict[str, dict[str, Sequence[Evidence]]]:
    """Video id -> question id -> evidence, where there is any."""
    evidence: dict[str, dict[str, Sequence[Evidence]]] = {}
    for question in benchmark.questions:
        if question.evidence:
            evidence.setdefault(question.video_id, {})[question.question_id] = question.evidence
    return evidence


def _keep_weights(exam: Exam, ledger: Ledger) -> None:
    """Refuse to go on with an arm of other weights: both would have one name.

    Raises:
        UserError: The weights are not those that the arm's finished work was done with.
    """
    for arm in exam.settings.arms:
        if arm.weights is None:
            continue
        key = f"weights/{arm.name}/{exam.config}"
        if (known := ledger.get(key)) is None:
            ledger.append(key, arm.weights)
        elif known != arm.weights:
            raise UserError(
                f"--gaze-weights: arm {arm.name} in {exam.settings.out} has weights {known}, not "
                f"{arm.weights}. Choose another --out, or give the weights that it has."
            )


def _room(exam: Exam, ledger: Ledger, halt: Halt) -> Room:
    settings, scratch = exam.settings, exam.settings.out / SCRATCH_FOLDER
    donors = Donors(
        video_paths(exam.benchmark),
        num_frames=settings.num_frames,
        scratch=scratch,
        seed=settings.seed,
        shape=exam.examinee.shape,
    )
    return Room(
        examinee=exam.examinee,
        frames=exam.frames,
        seed=settings.seed,
        donors=donors,
        scratch=scratch,
        evidence=evidence_by_video(exam.benchmark),
        ledger=ledger,
        config=exam.config,
        halt=halt,
    )


def _join_group(exam: Exam, about: Provenance) -> str:
    """The id of the group that this command's arms make with those that already lie in its folder.

    Arms of an earlier command that sat the same exam on this machine are paired with ours: the
    group grows, and their records are told. Otherwise writing `off` again would tear it out of its
    old group.
    """
    arms = {arm.name: arm for arm in exam.settings.arms}
    others = []
    for file in sorted(exam.settings.out.glob("*/run.json")):
        try:
            other = read_run(file.parent)
        except UserError as error:
            say(f"left alone: {error}")
            continue
        is_ours = other.record.provenance.hardware == about.hardware
        if is_ours and exam.is_of(other.record) and other.record.arm.name not in arms:
            others.append(other)
    group_id = exam.group_id([*arms.values(), *(other.record.arm for other in others)])
    for other in others:
        if other.record.group_id != group_id:
            record = other.record.model_copy(update={"group_id": group_id})
            write_run(other.folder, record, other.predictions)
    return group_id


def _write(
    exam: Exam,
    arm: ArmSettings,
    group_id: str,
    predictions: Mapping[tuple[str, str], Prediction],
    about: Provenance,
) -> tuple[GradedRun, Path]:
    settings, questions = exam.settings, exam.sat.questions
    given = [predictions[question.question_id, arm.name] for question in questions]
    is_infeasible = any((one.error or "").startswith(INFEASIBLE) for one in given)
    given = [] if is_infeasible else given
    grades = [] if is_infeasible else grade_all(questions, given)
    num_failed = sum(prediction.status == "failed" for prediction in given)
    is_mllm = exam.examinee.model.kind == "mllm"
    status: Any = "complete" if not num_failed else "partial"
    if is_infeasible or num_failed == len(given):
        status = "infeasible" if is_infeasible else "failed"
    run_id = make_run_id(
        benchmark=exam.benchmark.id,
        model=exam.examinee.model,
        arm=arm,
        frames=exam.frames,
        generation=exam.generation,
        seed=settings.seed,
        limit=settings.limit,
        repeat=0,
    )
    record = RunRecord(
        run_id=run_id,
        group_id=group_id,
        adaptation="training-free" if is_mllm and arm.selector is not None else "none",
        benchmark=exam.benchmark.id,
        model=exam.examinee.model,
        arm=arm,
        frames=exam.frames,
        generation=exam.generation,
        seed=settings.seed,
        limit=settings.limit,
        provenance=about,
        predictions_sha256=predictions_sha256(given),
        summary=None if is_infeasible else summarize(grades),
        status=status,
    )
    written = write_run(settings.out / run_id, record, given)
    return GradedRun(record, written.predictions, tuple(grades)), written.folder
