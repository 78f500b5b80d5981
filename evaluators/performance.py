"""How long each arm takes: a seeded sample, warmed up, asked again and again, arms taking turns."""

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from evaluators.arms import partner_of
from evaluators.exam import Exam
from evaluators.gazing import reads_question
from evaluators.probing import accuracy_run, differing_answers, sample, sit_again
from evaluators.provenance import hardware, software
from evaluators.ranks import find_ranks
from evaluators.report import align
from evaluators.timing import DECODE, END_TO_END, GAZE
from hlvid.errors import UserError
from hlvid.files import write_json
from hlvid.performance import PERFORMANCE_FILE, Performance, Timed
from hlvid.statistics import RatioInterval, geometric_mean_ratio, quantile_interval
from hlvid.statistics.columns import MODEL_STAGES, Time
from hlvid.types import LOOPED_ATTENTION, STOCK_CODE, ArmSettings, Question

Condition = Time | Literal["per_video"]
"""Per video: decoding and gaze are not charged to each question in full, but divided among all that
are about the video."""
CONDITIONS: tuple[Condition, ...] = (*get_args(Time), "per_video")
REFERENCES = ("off-bare", "off")
"""Arms that speed-ups are quoted against: the first one that was timed."""


@dataclass(frozen=True)
class Times:
    """All that was timed."""

    run_ids: Mapping[str, str]
    """Arm -> its run."""
    arms: tuple[str, ...]
    timed: tuple[Timed, ...]
    num_failed: Mapping[str, int]
    differing: Mapping[str, Sequence[str]]
    """Arm -> questions whose reply was not that of the accuracy run."""
    conditions: Mapping[str, Any]
    questions_per_minute: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Arm -> throughput of each pass."""

    def as_json(self) -> dict[str, Any]:
        """For a file, and for those who want more than the table."""
        return self.as_file().model_dump(mode="json")

    def as_file(self) -> Performance:
        """What is written beside the runs."""
        return Performance(
            run_ids=self.run_ids,
            reference=self.reference,
            conditions=self.conditions,
            num_failed=self.num_failed,
            differing={arm: tuple(ids) for arm, ids in self.differing.items()},
            arms=tuple(self._summary(arm) for arm in self.arms),
            timed=self.timed,
            questions_per_minute=self.questions_per_minute,
        )

    @property
    def reference(self) -> str | None:
        """The arm that speed-ups are quoted against; None where neither way of off was timed."""
        return next((arm for arm in REFERENCES if arm in self.arms), None)

    def _summary(self, arm: str) -> dict[str, Any]:
        own = [one for one in self.timed if one.arm == arm]
        stages = sorted({stage for one in own for stage in one.stage_ms})
        return {
            "arm": arm,
            "num_timed": len(own),
            "mean_stage_ms": {
                stage: sum(one.stage_ms.get(stage, 0.0) for one in own) / len(own)
                for stage in stages
            },
            "p50_ms": self.quantile(arm, 0.5),
            "p90_ms": self.quantile(arm, 0.9),
            **{f"speed_up_{what}": _as_json(self.speed_up(arm, what)) for what in CONDITIONS},
        }

    def quantile(self, arm: str, q: float) -> float | None:
        """Of the end-to-end times of the first pass; None where too few bound it."""
        own = [one for one in self.timed if one.arm == arm and one.number == 0]
        if not own:
            return None
        times = [one.stage_ms[END_TO_END] for one in own]
        found = quantile_interval(times, q, clusters=[one.video_id for one in own])
        return None if found.low is None or found.high is None else found.value

    def speed_up(self, arm: str, what: Condition) -> RatioInterval | None:
        """Time of the reference by this arm's, paired by question and pass; None if none pair.

        Nor where attention is a loop over segments: it would be a speed-up of the loop.
        """
        if self.conditions["generation"].get("attention") == LOOPED_ATTENTION:
            return None
        if arm == STOCK_CODE:  # It has an attention of its own, and that is such a loop.
            return None
        if self.reference is None or arm == self.reference:
            return None
        mine, theirs = self._times(arm, what), self._times(self.reference, what)
        keys = [key for key in mine if key in theirs and mine[key] > 0 and theirs[key] > 0]
        if not keys:
            return None
        videos = {one.question_id: one.video_id for one in self.timed}
        return geometric_mean_ratio(
            [theirs[key] for key in keys],
            [mine[key] for key in keys],
            [videos[question_id] for question_id, _ in keys],
            seed=0,
        )

    def _times(self, arm: str, what: Condition) -> dict[tuple[str, int], float]:
        own = [one for one in self.timed if one.arm == arm]
        return {(one.question_id, one.number): _time(one, what) for one in own}


def measure(
    exam: Exam, *, num: int, warm_up: int, num_passes: int, with_throughput: bool = False
) -> Times:
    """Time all arms of an exam that has been sat.

    Args:
        exam: With its arms.
        num: Questions, drawn by the exam's seed.
        warm_up: Of them, asked once before the clock runs.
        num_passes: How often each is asked.
        with_throughput: Whether each arm then sits the same questions alone, overlapped.

    Raises:
        UserError: There is no accuracy run to hold the replies against, nothing could be timed, or
            this is one of several processes.
    """
    if find_ranks().num > 1:
        raise UserError("perf: times are taken by one process alone. Run it without a launcher.")
    exam, known = accuracy_run(exam)
    questions = sample(exam.sat, num, seed=exam.settings.seed)
    if warm_up:
        sit_again(exam, questions[:warm_up], num_passes=1)
    passes = sit_again(exam, questions, num_passes=num_passes)
    names = tuple(arm.name for arm in exam.settings.arms)
    videos = {question.question_id: question.video_id for question in questions}
    num_of_video = Counter(question.video_id for question in exam.benchmark.questions)
    shared = {arm.name: _shared_stages(exam, arm) for arm in exam.settings.arms}
    timed = tuple(
        Timed(
            question_id=question_id,
            video_id=videos[question_id],
            arm=arm,
            number=number,
            response=prediction.response,
            stage_ms=prediction.stage_ms,
            shared_ms=sum(prediction.stage_ms.get(stage, 0.0) for stage in shared[arm]),
            num_sharing=num_of_video[videos[question_id]],
            peak_memory_bytes=prediction.peak_memory_bytes,
        )
        for number, one in enumerate(passes)
        for (question_id, arm), prediction in one.items()
        if prediction.response is not None
    )
    if not timed:
        error = next(prediction.error for prediction in passes[0].values())
        raise UserError(f"perf: every question FAILED, so nothing was timed. {error}", exit_code=1)
    answered = {arm: sum(one.arm == arm for one in timed) for arm in names}
    return Times(
        run_ids={arm.name: exam.run_id(arm) for arm in exam.settings.arms},
        arms=tuple(arm for arm in names if answered[arm]),
        timed=timed,
        num_failed={arm: len(questions) * num_passes - answered[arm] for arm in names},
        differing=differing_answers(known, passes),
        conditions={
            **exam.same_for_all,
            "num_questions": len(questions),
            "num_passes": num_passes,
            "warm_up": warm_up,
            "stream": "single, batch 1; decoding and gaze of a video charged to each question",
            "per_video": "the same, decoding and gaze of a video divided among its questions",
            "throughput": "each arm alone over these questions, the next video decoded meanwhile",
            "hardware": hardware().model_dump(mode="json"),
            "software": software(),
        },
        questions_per_minute=_throughput(exam, questions, num_passes) if with_throughput else {},
    )


def _shared_stages(exam: Exam, arm: ArmSettings) -> tuple[str, ...]:
    """Stages that are done once for all questions about a video."""
    is_anew = exam.examinee.gazes_itself or reads_question(arm)
    return (DECODE,) if is_anew else (DECODE, GAZE)


def _throughput(
    exam: Exam, questions: Sequence[Question], num_passes: int
) -> dict[str, tuple[float, ...]]:
    """Questions a minute of each arm alone, by the clock on the wall; arms take turns in passes.

    Of these questions: a video is decoded once for those among them that are about it. None of arms
    that copy another: that one's choice would be on their clock.
    """
    rates: dict[str, list[float]] = {}
    arms = [arm for arm in exam.settings.arms if partner_of(arm) is None]
    for number in range(num_passes):
        turn = number % max(len(arms), 1)
        for arm in arms[turn:] + arms[:turn]:
            alone = replace(exam, settings=replace(exam.settings, arms=(arm,)))
            start = time.perf_counter()
            (answers,) = sit_again(alone, questions, num_passes=1, prefetch=True)
            minutes = (time.perf_counter() - start) / 60
            if num_answered := sum(one.response is not None for one in answers.values()):
                rates.setdefault(arm.name, []).append(num_answered / minutes)
    return {arm: tuple(found) for arm, found in rates.items()}


def write(found: Times, out: Path) -> Path:
    """Write all times.

    Raises:
        UserError: The disk refuses.
    """
    path = out / PERFORMANCE_FILE
    write_json(path, found.as_file())
    return path


def table(found: Times) -> str:
    """The arms side by side, in plain text, below the arm that speed-ups are quoted against.

    `per video` is the end-to-end time with decoding and gaze divided among a video's questions.
    """
    quoted = found.reference or f"nothing: neither {' nor '.join(REFERENCES)} was timed"
    rows: list[tuple[str, ...]] = [
        (
            *("arm", "timed", "p50 s", "p90 s"),
            *(what.replace("_", " ") for what in CONDITIONS),
            *(("questions a minute",) if found.questions_per_minute else ()),
            "differ",
        )
    ]
    for arm in found.arms:
        quantiles = [found.quantile(arm, q) for q in (0.5, 0.9)]
        ratios = [found.speed_up(arm, what) for what in CONDITIONS]
        rates = sorted(found.questions_per_minute.get(arm, ()))
        rows.append(
            (
                arm,
                str(sum(one.arm == arm for one in found.timed)),
                *("-" if value is None else f"{value / 1e3:.2f}" for value in quantiles),
                *("-" if ratio is None else f"{ratio.ratio:.2f}x" for ratio in ratios),
                *((_range(rates),) if found.questions_per_minute else ()),
                str(len(found.differing.get(arm, ()))),
            )
        )
    return "\n".join([f"speed-ups against {quoted}", *align(rows)])


def _range(rates: Sequence[float]) -> str:
    """The median of some rates, and between what they lie where there are several."""
    if not rates:
        return "-"
    told = f"{statistics.median(rates):.2f}"
    return told if len(rates) == 1 else f"{told} [{min(rates):.2f}, {max(rates):.2f}]"


def _time(one: Timed, what: Condition) -> float:
    """Milliseconds of one answer; 0 where none of its stages is among those that count."""
    stage_ms = one.stage_ms
    if what == "per_video":
        return stage_ms[END_TO_END] - one.shared_ms * (1 - 1 / one.num_sharing)
    if what == "model_only":
        return sum(stage_ms.get(stage, 0.0) for stage in MODEL_STAGES)
    decoding = stage_ms.get(DECODE, 0.0) if what == "without_decode" else 0.0
    return stage_ms[END_TO_END] - decoding


def _as_json(ratio: RatioInterval | None) -> dict[str, Any] | None:
    return None if ratio is None else asdict(ratio)
