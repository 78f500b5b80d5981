"""Sitting a few questions to see what the rest will take, or how long each arm takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluators.engine import quiet
from evaluators.exam import Exam
from evaluators.examinee import INFEASIBLE
from evaluators.gazing import reads_question
from evaluators.halting import INTERRUPTED, Stopped, on_signals
from evaluators.sitting import sit
from evaluators.timing import END_TO_END, GENERATE, PREFILL
from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.runs import read_run
from hlvid.types import Prediction, Question

Pass = dict[tuple[str, str], Prediction]
"""(question id, arm name) -> what was answered."""


def first_of_each_video(benchmark: Benchmark, num: int) -> tuple[Question, ...]:
    """The first question of each of the first videos."""
    firsts = {q.video_id: q for q in reversed(benchmark.questions)}
    return tuple(firsts[video_id] for video_id in benchmark.video_ids[:num])


def sample(benchmark: Benchmark, num: int, *, seed: int) -> tuple[Question, ...]:
    """Questions drawn without regard to their order, the same for the same seed."""
    drawn = sorted(benchmark.questions, key=lambda q: digest(["perf", seed, q.question_id]))
    return tuple(drawn[:num])


def sit_again(exam: Exam, questions: Sequence[Question], *, num_passes: int) -> list[Pass]:
    """Sit all arms of some questions, so many times, and keep nothing on the disk.

    Raises:
        UserError: The disk is full, or the user wanted the end.
    """
    quiet()
    items = exam.items(questions)
    with on_signals() as halt:
        room = exam.open_room(None, halt)
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
    seconds_per_look: float
    """What the questions of a video share, once a video."""
    seconds_per_answer: float

    @property
    def is_infeasible(self) -> bool:
        """Whether no question can be asked this way."""
        return self.problem.startswith(INFEASIBLE)

    def seconds(self, num_questions: int, num_videos: int) -> float:
        """For a whole benchmark."""
        num_looks = num_questions if self.reads_question else num_videos
        return num_looks * self.seconds_per_look + num_questions * self.seconds_per_answer


OWN_STAGES = (PREFILL, GENERATE)
"""Stages that every question has to itself; the others belong to a look."""


def seconds_of(probes: Sequence[ArmProbe], num_questions: int, num_videos: int) -> float:
    """For a whole benchmark and all arms that can run."""
    running = [probe for probe in probes if not probe.is_infeasible]
    return sum(probe.seconds(num_questions, num_videos) for probe in running)


def probe_arms(exam: Exam, questions: Sequence[Question]) -> list[ArmProbe]:
    """Ask all arms a few questions, each on another video."""
    (found,) = sit_again(exam, questions, num_passes=1)
    probes = []
    for arm in exam.settings.arms:
        own = [found[q.question_id, arm.name] for q in questions]
        ok = [p for p in own if p.error is None]
        counts = [p.tokens for p in ok if p.tokens is not None]
        answers = _mean([sum(p.stage_ms.get(stage, 0.0) for stage in OWN_STAGES) for p in ok])
        totals = _mean([p.stage_ms[END_TO_END] for p in ok])
        probes.append(
            ArmProbe(
                arm=arm.name,
                problem=next((p.error for p in own if p.error is not None), ""),
                visual_tokens=_mean([c.visual for c in counts]),
                kept_ratio=_mean([c.visual / c.visual_off for c in counts]),
                reads_question=reads_question(arm),
                seconds_per_look=((totals or 0.0) - (answers or 0.0)) / 1e3,
                seconds_per_answer=(answers or 0.0) / 1e3,
            )
        )
    return probes


def accuracy_answers(exam: Exam) -> Pass | None:
    """What the runs of all arms answered; None with dummy weights, whose answers do not count.

    Raises:
        UserError: An arm has no run.
    """
    if exam.examinee.model.load_format == "dummy":
        return None
    known: Pass = {}
    for arm in exam.settings.arms:
        folder = exam.settings.out / exam.run_id(arm)
        if not folder.is_dir():
            raise UserError(
                f"arm {arm.name}: no run of it lies in {exam.settings.out}, and what is timed must "
                "answer as the accuracy run did. Run the same command without 'perf' first."
            )
        known |= {(p.question_id, arm.name): p for p in read_run(folder).predictions}
    return known


def differing_answers(known: Pass | None, passes: Sequence[Pass]) -> dict[str, list[str]]:
    """Arm -> questions whose reply is not that of the accuracy run in every pass.

    Args:
        known: From `accuracy_answers`; None holds the passes against each other.
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
