"""What a command asks for, and the exam that this names: questions, model, room."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from evaluators import models, provenance
from evaluators.arms import OFF
from evaluators.best_off import check_choices, choose
from evaluators.examinee import Examinee
from evaluators.gazing import Donors
from evaluators.halting import Halt
from evaluators.item import Item
from evaluators.ledger import Ledger
from evaluators.room import Room
from evaluators.task import GENERATION
from hlvid.console import say
from hlvid.datasets import Benchmark, MissingVideo, load
from hlvid.errors import UserError
from hlvid.files import canonical_json, digest
from hlvid.runs import make_run_id, stated
from hlvid.types import ArmSettings, Evidence, FrameSettings, Question, Record, RunRecord

SCRATCH_FOLDER = "ledger"
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
        options: Of the model, as typed: weights, load_format, canvas, pairing, ...
        repeat_off: Sit `off` a second time: how far both differ is the noise floor.
        prefetch: Decode the next video while one is sat: answers without times.
        best_off: Folder of runs that chose the best off configuration; see `evaluators.best_off`.
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
    repeat_off: bool = False
    prefetch: bool = False
    best_off: Path | None = None


@dataclass(frozen=True)
class Exam:
    """A command's settings with what they name.

    Args:
        settings: What is asked for.
        benchmark: All of it: donors of transplanted masks come from the whole.
        sat: The questions that are asked.
        examinee: Who is asked.
        repeat: How often these arms were sat before.
    """

    settings: Settings
    benchmark: Benchmark
    sat: Benchmark
    examinee: Examinee
    repeat: int = 0

    @property
    def sittings(self) -> tuple[Self, ...]:
        """This exam and, where that is asked for, `off` again."""
        if not self.settings.repeat_off:
            return (self,)
        return self, replace(self, settings=replace(self.settings, arms=(OFF,)), repeat=1)

    @property
    def frames(self) -> FrameSettings:
        """How frames are taken."""
        return self.examinee.shape.settings(self.settings.num_frames)

    @property
    def generation(self) -> Mapping[str, str | int | float | bool]:
        """How answers are generated, on what, and by which marks the oracle and recall go."""
        marks = self.benchmark.marked_sha256
        return {
            **GENERATION,
            **self.examinee.settings,
            **({} if marks is None else {"evidence_sha256": marks}),
        }

    @property
    def same_for_all(self) -> dict[str, Any]:
        """What all arms and any limit have in common, as JSON."""
        return self._common(partial(Record.model_dump, mode="json"))

    def _common(self, spell: Callable[[Record], dict[str, Any]]) -> dict[str, Any]:
        return {
            "benchmark": spell(self.benchmark.id),
            "model": spell(self.examinee.model),
            "frames": spell(self.frames),
            "generation": dict(self.generation),
            "seed": self.settings.seed,
        }

    @property
    def config(self) -> str:
        """What the ledger's items are kept under: other software may answer otherwise."""
        parts = {**self._common(stated), "software": provenance.software()}
        return digest({**parts, "repeat": self.repeat} if self.repeat else parts)[:ID_DIGITS]

    def group_id(self, arms: Iterable[ArmSettings]) -> str:
        """What tells these arms, which are paired, from others."""
        return self._with_arms(arms, limit=self.settings.limit)

    @property
    def sitting_id(self) -> str:
        """What tells the arms that take turns here from others, to however many questions."""
        return self._with_arms(self.settings.arms)

    def _with_arms(self, arms: Iterable[ArmSettings], **more: int | None) -> str:
        sorted_arms = sorted(map(stated, arms), key=canonical_json)
        return digest({**self._common(stated), **more, "arms": sorted_arms})[:ID_DIGITS]

    def run_id(self, arm: ArmSettings) -> str:
        """What an arm's run is called, and its folder."""
        return make_run_id(
            benchmark=self.benchmark.id,
            model=self.examinee.model,
            arm=arm,
            frames=self.frames,
            generation=self.generation,
            seed=self.settings.seed,
            limit=self.settings.limit,
            repeat=self.repeat,
        )

    def items(self, questions: Iterable[Question]) -> list[Item]:
        """Every question for every arm, with its video."""
        items = []
        for question in questions:
            path, problem = None, ""
            try:
                path = self.benchmark.video_path(question.video_id)
            except MissingVideo as error:
                problem = str(error)
            items += [Item(question, arm, path, problem) for arm in self.settings.arms]
        return items

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

    def open_room(
        self, ledger: Ledger | None, halt: Halt, *, timed_on: str = "", prefetch: bool = False
    ) -> Room:
        """Where it is sat.

        Args:
            ledger: Where finished items are kept; None keeps nothing.
            halt: Whether the user wants the end.
            timed_on: Of `Room`.
            prefetch: Of `Room`.
        """
        settings, scratch = self.settings, self.settings.out / SCRATCH_FOLDER
        scratch.mkdir(parents=True, exist_ok=True)
        donors = Donors(
            video_paths(self.benchmark),
            first_questions(self.benchmark.questions),
            num_frames=settings.num_frames,
            scratch=scratch,
            seed=settings.seed,
            shape=self.examinee.shape,
        )
        return Room(
            examinee=self.examinee,
            frames=self.frames,
            seed=settings.seed,
            donors=donors,
            scratch=scratch,
            evidence=evidence_by_video(self.benchmark),
            ledger=ledger,
            config=self.config,
            timed_on=timed_on,
            sitting=self.sitting_id if timed_on else None,
            halt=halt,
            prefetch=prefetch,
        )


def prepare(settings: Settings) -> Exam:
    """Load what the settings name.

    Raises:
        UserError: Benchmark, model or videos are not there, answers are withheld, or gaze has no
            meaning for the model.
    """
    benchmark = load(settings.benchmark, data=settings.data)
    if benchmark.num_frames not in (None, settings.num_frames):
        raise UserError(
            f"--frames: {settings.num_frames}, but the questions of {benchmark.name} are on "
            f"{benchmark.num_frames} frames. Use --frames {benchmark.num_frames}."
        )
    sat = benchmark if settings.limit is None else benchmark.subset(limit=settings.limit)
    _check_answers(sat)
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
    if settings.repeat_off and OFF not in settings.arms:
        raise UserError("--repeat-off: off is none of the arms. Use --gaze off or both.")
    examinee = model.make(seed=settings.seed, options=settings.options)
    exam = Exam(settings, benchmark, sat, examinee)
    if (runs := settings.best_off) is not None:
        choices = choose(
            runs, settings.arms, benchmark=benchmark.name, num_frames=settings.num_frames
        )
        check_choices(
            runs,
            choices,
            benchmark=benchmark.id,
            model=examinee.model,
            frames=exam.frames,
            generation=exam.generation,
        )
    return exam


def _check_answers(sat: Benchmark) -> None:
    """Refuse questions that nobody here can mark, before hours are spent on them.

    Raises:
        UserError: Answers are withheld.
    """
    num = sum(question.answer is None for question in sat.questions)
    if num:
        raise UserError(
            f"--benchmark {sat.name}: the answers of {num} of {len(sat.questions)} questions are "
            "withheld, so no run of them can be marked. Leave these questions out, or ask them as "
            "probes with 'hlvid-eval answer' and send its replies to whoever has the answers."
        )


def tell_missing(benchmark: Benchmark, *, silent: bool = False) -> None:
    """Say which videos are missing.

    Args:
        benchmark: Whose.
        silent: Only raise.

    Raises:
        MissingVideo: All are.
    """
    missing = [video_id for video_id, path in video_paths(benchmark).items() if path is None]
    if len(missing) == len(benchmark.video_ids):
        benchmark.video_path(missing[0])
    if missing and not silent:
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


def first_questions(questions: Sequence[Question]) -> dict[str, str]:
    """Video id -> the text of the first question about it."""
    return {question.video_id: question.text for question in reversed(questions)}


def evidence_by_video(benchmark: Benchmark) -> dict[str, dict[str, Sequence[Evidence]]]:
    """Video id -> question id -> evidence, where there is any."""
    evidence: dict[str, dict[str, Sequence[Evidence]]] = {}
    for question in benchmark.questions:
        if found := benchmark.evidence.get(question.question_id):
            evidence.setdefault(question.video_id, {})[question.question_id] = found
    return evidence
