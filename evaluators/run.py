"""One command's run: its arms sat side by side, then each written to a run folder of its own."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluators.arms import pins
from evaluators.engine import evaluate, quiet
from evaluators.exam import SCRATCH_FOLDER, Exam, Settings, prepare
from evaluators.examinee import INFEASIBLE
from evaluators.halting import INTERRUPTED, Stopped, on_signals
from evaluators.item import Item
from evaluators.ledger import Ledger
from evaluators.plan import find_plan
from evaluators.provenance import provenance, timed_on
from evaluators.ranks import Ranks, find_ranks
from evaluators.room import Room
from evaluators.sitting import num_left
from hlvid.console import progress, say
from hlvid.errors import UserError
from hlvid.grading import grade_all, is_failure, summarize
from hlvid.plans import Plan
from hlvid.runs import GradedRun, predictions_sha256, read_run, write_run
from hlvid.types import OUT_OF_MEMORY, ArmSettings, Outcome, Prediction, Provenance, RunRecord

LEDGER_FILE = f"{SCRATCH_FOLDER}/finished.jsonl"
MOST_REASONS = 5
"""Of an arm's failures that are told at the end."""
MAX_REASON_CHARACTERS = 500


def run(settings: Settings, command: Sequence[str]) -> list[tuple[GradedRun, Path]]:
    """Sit the exam, or go on with it, and write one run folder an arm.

    As one of several processes it sits its share of the videos, and the first one writes.

    Args:
        settings: What is asked for.
        command: As it was typed, program first, for the record.

    Returns:
        Each arm's run with its folder; none from processes other than the first.

    Raises:
        UserError: Something is missing or not allowed, or the user wanted the end.
    """
    quiet()
    ranks = find_ranks()
    exam = prepare(settings)
    with on_signals() as halt, ranks.open_ledger(settings.out / LEDGER_FILE) as ledger:
        if ranks.is_first:
            _keep_pins(exam, ledger)
        # Several processes, or a decoder beside the model, are no conditions to take times in.
        is_timed = ranks.num == 1 and not settings.prefetch
        conditions = timed_on() if is_timed else ""
        sat = [
            (
                one,
                one.open_room(ledger, halt, timed_on=conditions, prefetch=not is_timed),
                one.items(one.sat.questions),
            )
            for one in exam.sittings
        ]
        given = [_sit(one, room, items, ranks) for one, room, items in sat]
        if ranks.num > 1:
            ranks.join(ledger, settings.out / LEDGER_FILE)
        if not is_timed:
            given = [
                {i.key: p for i in items if (p := room.kept(i)) is not None}
                for _, room, items in sat
            ]
        if not ranks.is_first:
            return []
        for (_, _, items), predictions in zip(sat, given, strict=True):
            _check_all(items, predictions)
        for (_, room, _), predictions in zip(sat, given, strict=True):
            _tell_untimed(predictions.values(), room.sitting)
        for one, predictions in zip(exam.sittings, given, strict=True):
            _tell_failures(one, predictions)
        about = provenance(tuple(command))
        belongs = _join_group(exam, about), find_plan(exam)
        return [
            _write(one, arm, belongs, predictions, about)
            for one, predictions in zip(exam.sittings, given, strict=True)
            for arm in one.settings.arms
        ]


def _sit(
    exam: Exam, room: Room, items: Sequence[Item], ranks: Ranks
) -> dict[tuple[str, str], Prediction]:
    """Answer what this process has to answer, and tell how far it is."""
    settings = exam.settings
    again = ", off again" if exam.repeat else ""
    unit = "look" if exam.examinee.sees_video else "answer"
    num_steps = num_left(room, items)
    shared = f", shared by {ranks.num} processes" if ranks.num > 1 else ""
    if ranks.is_first:
        say(
            f"{settings.model} on {exam.benchmark.name}{again}: {len(exam.sat.questions)} "
            f"questions, {len(settings.arms)} arms, {num_steps} {unit}s to go{shared}"
        )
    with progress(-(-num_steps // ranks.num), settings.model) as bar:

        def tell(kind: str, key: Sequence[str]) -> None:
            if kind == unit and ranks.is_first:
                bar.advance(1, " ".join(key))

        try:
            predictions, _ = evaluate(
                replace(room, on_item=tell),
                exam.sat if ranks.num > 1 else exam.benchmark,
                settings.arms,
                limit=None if ranks.num > 1 else settings.limit,
                num_ranks=ranks.num,
            )
        except Stopped:
            raise UserError(
                f"stopped with {num_left(room, items)} {unit}s to go; what is finished is "
                "kept. The same command goes on from there.",
                exit_code=INTERRUPTED,
            ) from None
    return predictions


def _check_all(items: Sequence[Item], given: Collection[tuple[str, str]]) -> None:
    """Refuse to write a record that lacks answers of other processes.

    Raises:
        UserError: Some are not in the ledger.
    """
    if num := sum(item.key not in given for item in items):
        raise UserError(
            f"{num} of {len(items)} answers that other processes gave are not here. Do all share "
            "--out, and have the same software? What is finished is kept.",
            exit_code=1,
        )


def _tell_untimed(predictions: Collection[Prediction], sitting: str | None) -> None:
    """Say how many answers count for no speed-up.

    One record has the times of one machine, and only arms that took turns are held against each
    other.
    """
    num = sum(one.status == "ok" and not one.stage_ms for one in predictions)
    if num:
        say(
            f"{num} of {len(predictions)} answers stand without times: they were given on another "
            "machine, by several processes at once or with --prefetch. "
            "'hlvid-eval perf' with the same options times the arms here."
        )
    num = sum(bool(one.stage_ms) and one.sitting != sitting for one in predictions)
    if num:
        say(
            f"{num} of {len(predictions)} answers were sat with other arms, or alone after they "
            "had FAILED: no speed-up between them and the others. 'hlvid-eval perf' with the same "
            "options times all."
        )


def _tell_failures(exam: Exam, predictions: Mapping[tuple[str, str], Prediction]) -> None:
    """Say of every arm why it could not answer, each reason once: records have one at most."""
    num, again = len(exam.sat.questions), " again" if exam.repeat else ""
    for arm in exam.settings.arms:
        of_arm = [one for (_, name), one in predictions.items() if name == arm.name]
        why = Counter(reason for one in of_arm if (reason := _why_failed(one)))
        for sentence, times in why.most_common(MOST_REASONS):
            say(f"{arm.name}{again}: {times} of {num} questions: {sentence}")
        if len(why) > MOST_REASONS:
            say(f"{arm.name}{again}: and {len(why) - MOST_REASONS} more reasons")


def _why_failed(one: Prediction) -> str:
    """A sentence, also where a failure came as the text of a reply; '' for an answer."""
    reply = one.response or ""
    return one.error or (" ".join(reply.split())[:200] if is_failure(reply) else "")


def _reason(errors: Sequence[str]) -> str:
    """Of the first question that an arm could not take, as the record has it."""
    for beginning in (INFEASIBLE, OUT_OF_MEMORY):
        told = [error for error in errors if error.startswith(beginning)]
        if told:
            break
    why = told[0]
    return why.removeprefix(INFEASIBLE)[:MAX_REASON_CHARACTERS]


def _keep_pins(exam: Exam, ledger: Ledger) -> None:
    """Refuse other weights, and other code of a selector, than what lies in the folder has.

    Both would have one name, and a control of one would spend what the other kept.

    Raises:
        UserError: They are not those that finished work was done with.
    """
    for arm in exam.settings.arms:
        for what, pin in pins(arm).items():
            key = f"pin/{what}/{exam.config}"
            if (known := ledger.get(key)) is None:
                ledger.append(key, pin)
            elif known != pin:
                raise UserError(
                    f"arm {arm.name}: finished work in {exam.settings.out} has {what} as {known}, "
                    f"and now it is {pin}. Choose another --out, or go on with what it has."
                )


def _join_group(exam: Exam, about: Provenance) -> str:
    """The id of the group that this command's arms make with those that already lie in its folder.

    Arms of an earlier command that sat the same exam on this machine with this software are paired
    with ours: the group grows, and their records are told. Otherwise writing `off` again would tear
    it out of its old group.
    """
    ours = {(arm.name, one.repeat) for one in exam.sittings for arm in one.settings.arms}
    others = []
    for file in sorted(exam.settings.out.glob("*/run.json")):
        try:
            other = read_run(file.parent)
        except UserError as error:
            say(f"left alone: {error}")
            continue
        made = other.record.provenance
        is_here = (made.hardware, made.software) == (about.hardware, about.software)
        is_other = (other.record.arm.name, other.record.repeat) not in ours
        if not (is_other and exam.is_of(other.record)):
            continue
        if is_here:
            others.append(other)
        else:
            say(
                f"{other.record.arm.name}: was sat on another machine or with other software, so "
                "it is paired with none of these arms. Sit it again to pair it."
            )
    arms = {arm.name: arm for arm in (*exam.settings.arms, *(one.record.arm for one in others))}
    group_id = exam.group_id(arms.values())
    for other in others:
        if other.record.group_id != group_id:
            record = other.record.model_copy(update={"group_id": group_id})
            write_run(other.folder, record, other.predictions)
    return group_id


def _write(
    exam: Exam,
    arm: ArmSettings,
    belongs: tuple[str, Plan | None],
    predictions: Mapping[tuple[str, str], Prediction],
    about: Provenance,
) -> tuple[GradedRun, Path]:
    settings, questions, (group_id, plan) = exam.settings, exam.sat.questions, belongs
    given = [predictions[question.question_id, arm.name] for question in questions]
    errors = [one.error or "" for one in given]
    is_infeasible = any(error.startswith(INFEASIBLE) for error in errors)
    is_infeasible |= all(error.startswith(OUT_OF_MEMORY) for error in errors)
    given = [] if is_infeasible else given
    grades = [] if is_infeasible else grade_all(questions, given)
    num_failed = sum(grade.outcome is Outcome.FAILED for grade in grades)
    is_mllm = exam.examinee.model.kind == "mllm"
    status: Any = "complete" if not num_failed else "partial"
    if is_infeasible or num_failed == len(given):
        status = "infeasible" if is_infeasible else "failed"
    run_id = exam.run_id(arm)
    record = RunRecord(
        run_id=run_id,
        group_id=group_id,
        plan_sha256=None if plan is None else plan.sha256,
        adaptation=exam.examinee.adaptation if is_mllm and arm.selector else "none",
        benchmark=exam.benchmark.id,
        model=exam.examinee.model,
        arm=arm,
        frames=exam.frames,
        generation=exam.generation,
        seed=settings.seed,
        limit=settings.limit,
        repeat=exam.repeat,
        provenance=about,
        predictions_sha256=predictions_sha256(given),
        summary=None if is_infeasible else summarize(grades),
        status=status,
        infeasible_because=_reason(errors) if is_infeasible else None,
    )
    written = write_run(settings.out / run_id, record, given)
    return GradedRun(record, written.predictions, tuple(grades)), written.folder
