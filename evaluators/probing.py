"""Sitting a few questions to see what the rest will take, or how long each arm takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evaluators.engine import quiet
from evaluators.exam import Exam
from evaluators.examinee import INFEASIBLE
from evaluators.gazing import reads_question
from evaluators.halting import INTERRUPTED, Stopped, on_signals
from evaluators.item import LookKey, Sight
from evaluators.sitting import sit
from evaluators.timing import DECODE, END_TO_END
from hlvid.console import say
from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.runs import read_run
from hlvid.types import ArmSettings, Prediction, Question

Pass = dict[tuple[str, str], Prediction]
"""(question id, arm name) -> what was answered."""
OnLook = Callable[[str, LookKey, Sight], None]


def first_of_each_video(benchmark: Benchmark, num: int) -> tuple[Question, ...]:
    """The first question of each of the first videos."""
    firsts = {q.video_id: q for q in reversed(benchmark.questions)}
    return tuple(firsts[video_id] for video_id in benchmark.video_ids[:num])


def sample(benchmark: Benchmark, num: int, *, seed: int) -> tuple[Question, ...]:
    """Questions drawn without regard to their order, the same for the same seed."""
    drawn = sorted(benchmark.questions, key=lambda q: digest(["perf", seed, q.question_id]))
    return tuple(drawn[:num])


def sit_again(
    exam: Exam,
    questions: Sequence[Question],
    *,
    num_passes: int,
    on_look: OnLook = lambda video_id, look, sight: None,
    prefetch: bool = False,
) -> list[Pass]:
    """Sit all arms of some questions, so many times, and keep nothing on the disk.

    Args:
        exam: With its arms.
        questions: Which.
        num_passes: How often each is asked.
        on_look: Of `Room`.
        prefetch: Of `Room`.

    Raises:
        UserError: The disk is full, or the user wanted the end.
    """
    quiet()
    items = exam.items(questions)
    with on_signals() as halt:
        room = replace(exam.open_room(None, halt, prefetch=prefetch), on_look=on_look)
        try:
            return [sit(room, items) for _ in range(num_passes)]
        except Stopped:
            raise UserError("stopped; nothing was kept.", exit_code=INTERRUPTED) from None


@dataclass(frozen=True)
class ArmProbe:
    """What a few questions say of an arm."""

    arm: str
    problem: str
    """Why it cannot run, or what went wrong; '' where it ran."""
    visual_tokens: float | None
    """In a prompt, on average."""
    kept_ratio: float | None
    reads_question: bool
    """Whether each question needs a look of its own."""
    seconds_to_decode: float
    """Once a video, for all arms together."""
    seconds_per_look: float
    """What the questions of a video share in this arm, without decoding."""
    seconds_per_answer: float

    @property
    def is_infeasible(self) -> bool:
        """Whether no question can be asked this way."""
        return self.problem.startswith(INFEASIBLE)

    def seconds(self, num_questions: int, num_videos: int) -> float:
        """For a whole benchmark, without decoding."""
        num_looks = num_questions if self.reads_question else num_videos
        return num_looks * self.seconds_per_look + num_questions * self.seconds_per_answer


def seconds_of(probes: Sequence[ArmProbe], num_questions: int, num_videos: int) -> float:
    """For a whole benchmark and all arms that can run; a video is decoded once for all of them."""
    running = [probe for probe in probes if not probe.is_infeasible]
    decoding = num_videos * max((probe.seconds_to_decode for probe in running), default=0.0)
    return decoding + sum(probe.seconds(num_questions, num_videos) for probe in running)


def probe_arms(exam: Exam, questions: Sequence[Question]) -> list[ArmProbe]:
    """Ask all arms a few questions, each on another video."""
    looks: dict[tuple[str, str], Mapping[str, float]] = {}

    def remember(video_id: str, look: LookKey, sight: Sight) -> None:
        looks[video_id, look[0]] = sight.stage_ms

    (found,) = sit_again(exam, questions, num_passes=1, on_look=remember)
    probes = []
    for arm in exam.settings.arms:
        own = [
            (found[q.question_id, arm.name], looks.get((q.video_id, arm.name), {}))
            for q in questions
        ]
        ok = [(p, look) for p, look in own if p.error is None]
        counts = [p.tokens for p, _ in ok if p.tokens is not None]
        decoding = _mean([look.get(DECODE, 0.0) for _, look in ok]) or 0.0
        looking = _mean([sum(look.values()) for _, look in ok]) or 0.0
        totals = _mean([p.stage_ms[END_TO_END] for p, _ in ok]) or 0.0
        probes.append(
            ArmProbe(
                arm=arm.name,
                problem=next((p.error for p, _ in own if p.error is not None), ""),
                visual_tokens=_mean([c.visual for c in counts]),
                kept_ratio=_mean([c.visual / c.visual_off for c in counts]),
                reads_question=reads_question(arm),
                seconds_to_decode=decoding / 1e3,
                seconds_per_look=(looking - decoding) / 1e3,
                seconds_per_answer=(totals - looking) / 1e3,
            )
        )
    return probes


def accuracy_run(exam: Exam) -> tuple[Exam, Pass | None]:
    """The exam without arms that were INFEASIBLE, and what the runs of the others answered.

    An arm that cannot take every question has no answers that count, and so no times.

    Returns:
        No answers with dummy weights, whose replies do not count.

    Raises:
        UserError: An arm has no run, or all were INFEASIBLE.
    """
    if exam.examinee.model.load_format == "dummy":
        return exam, None
    known: Pass = {}
    able: list[ArmSettings] = []
    unable: list[ArmSettings] = []
    for arm in exam.settings.arms:
        folder = exam.settings.out / exam.run_id(arm)
        if not folder.is_dir():
            raise UserError(
                f"arm {arm.name}: no run of it lies in {exam.settings.out}, and what is timed must "
                "answer as the accuracy run did. Run the same command without 'perf' first."
            )
        run = read_run(folder)
        (unable if run.record.status == "infeasible" else able).append(arm)
        known |= {(p.question_id, arm.name): p for p in run.predictions}
    if unable:
        say(f"not timed, since INFEASIBLE: {', '.join(arm.name for arm in unable)}")
    if not able:
        raise UserError("perf: all arms were INFEASIBLE, so nothing can be timed.", exit_code=1)
    return replace(exam, settings=replace(exam.settings, arms=tuple(able))), known


def differing_answers(known: Pass | None, passes: Sequence[Pass]) -> dict[str, list[str]]:
    """Arm -> questions whose reply is not that of the accuracy run in every pass.

    Args:
        known: From `accuracy_run`; None holds the passes against each other.
        passes: From `sit_again`.
    """
    differing: dict[str, list[str]] = {}
    expected = passes[0] if known is None else known
    for key in passes[0]:
        wanted = expected[key].response if key in expected else None
        if any(one[key].response != wanted for one in passes):
            differing.setdefault(key[1], []).append(key[0])
    return differing


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
