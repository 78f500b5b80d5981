"""The best that off does with as many tokens as gaze keeps, chosen on another set.

Fewer frames, a smaller grid, and some of both spend a gaze arm's tokens without looking. Which of
them is best depends on the questions, so it is chosen by runs on another benchmark: chosen on the
same one it would be the best of several by luck (COMPARISON.md 15). One that could not run there,
because its least is more than gaze kept, is not chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.arms import leads_of
from evaluators.variants import make_variant
from hlvid.errors import UserError
from hlvid.runs import RECORD_FILE, Run, read_run
from hlvid.types import (
    CHEAPER_OFF,
    ArmSettings,
    BenchmarkId,
    FrameSettings,
    ModelId,
    RunRecord,
)


@dataclass(frozen=True)
class Choice:
    """What was chosen for a gaze arm, and by what.

    Attributes:
        arm: The candidate, with a note that says so.
        records: Of all candidates that could run, best first; of equals the first of `CHEAPER_OFF`.
    """

    arm: ArmSettings
    records: Sequence[RunRecord]


def choose(
    runs: Path, arms: Sequence[ArmSettings], *, benchmark: str, num_frames: int
) -> list[Choice]:
    """The best candidate for every gaze arm that something is to be said of.

    Args:
        runs: Folder of runs, those of one command with these arms and all candidates among them;
            trials of fewer questions, and runs on other frames, may lie there too.
        arms: Of the command that the choice is for; it must pass `check_choices`.
        benchmark: Name of the one that it is for, on which nothing may be chosen.
        num_frames: That it samples from a video.

    Raises:
        UserError: There are no such runs, or of several commands; one did not answer everything, or
            spent more than gaze kept.
    """
    groups: dict[str, dict[str, Run]] = {}
    for path in sorted(runs.glob(f"*/{RECORD_FILE}")):
        run = read_run(path.parent)
        record = run.record
        is_trial = record.repeat or record.limit is not None
        is_meant = record.frames.num_frames == num_frames and record.benchmark.name != benchmark
        if is_meant and not is_trial:
            groups.setdefault(record.group_id, {})[record.arm.name] = run
    found = []
    for lead in leads_of([arm for arm in arms if arm.variant is None]):
        names = [make_variant(variant, partner=lead).name for variant in CHEAPER_OFF]
        holding = [group for group in groups.values() if {*names, lead.name} <= set(group)]
        if len(holding) != 1:
            raise UserError(
                f"--best-off {runs}: holds {len(holding) or 'no'} groups of whole runs of "
                f"{lead.name} and all candidates for it, on {num_frames} frames and another "
                f"benchmark than {benchmark}. One is needed: --also {','.join(names)}"
            )
        (by_name,) = holding
        partner, candidates = by_name[lead.name], [by_name[name] for name in names]
        able = [run for run in candidates if run.record.status != "infeasible"]
        if not able:
            raise UserError(f"--best-off {runs}: no candidate for {lead.name} could run there.")
        for run in able:
            _check(run.record, runs, lead)
            _check_spent(run, partner, runs)
        ranked = sorted((run.record for run in able), key=_accuracy, reverse=True)
        found.append(Choice(_noted(ranked, lead), ranked))
    if not found:
        raise UserError("--best-off: is for gaze arms, and there are none. Add --gaze both.")
    return found


def with_chosen(arms: Sequence[ArmSettings], choices: Sequence[Choice]) -> tuple[ArmSettings, ...]:
    """Arms and what was chosen, each once: the note of a choice stays."""
    by_name = {arm.name: arm for arm in arms}
    return tuple((by_name | {choice.arm.name: choice.arm for choice in choices}).values())


def check_choices(
    runs: Path,
    choices: Sequence[Choice],
    *,
    benchmark: BenchmarkId,
    model: ModelId,
    frames: FrameSettings,
    generation: Mapping[str, str | int | float | bool],
) -> None:
    """Refuse what was chosen on the same questions, by another model, or asked in another way.

    Raises:
        UserError: It was, or by the same model with other weights.
    """
    for record in (record for choice in choices for record in choice.records):
        theirs = record.benchmark
        if theirs.name == benchmark.name or theirs.questions_sha256 == benchmark.questions_sha256:
            raise UserError(
                f"--best-off {runs}: was sat on {benchmark.name} too. Choose on another benchmark."
            )
        if record.model != model:
            raise UserError(
                f"--best-off {runs}: was sat by {_written(record.model)}, and this is "
                f"{_written(model)}. Choose with the same model and weights."
            )
        ours, others = _asked(frames, generation), _asked(record.frames, record.generation)
        for name in sorted({*ours, *others}):
            if ours.get(name) != others.get(name):
                raise UserError(
                    f"--best-off {runs}: was sat with {name} {others.get(name)!r}, and this is "
                    f"{ours.get(name)!r}. Choose with the same settings."
                )


def _asked(
    frames: FrameSettings, generation: Mapping[str, str | int | float | bool]
) -> dict[str, object]:
    """What decides about an answer beside model and arm, without what belongs to the questions."""
    told = {**frames.model_dump(mode="json"), **generation}
    return {name: value for name, value in told.items() if name != "evidence_sha256"}


def _check(record: RunRecord, runs: Path, lead: ArmSettings) -> None:
    where = f"--best-off {runs}: {record.arm.name}"
    if record.status != "complete":
        raise UserError(f"{where}: is {record.status}. Sit all of it.")
    if record.model.load_format == "dummy":
        raise UserError(f"{where}: was answered by random values, which cannot choose.")
    if record.arm.weights != lead.weights:
        raise UserError(
            f"{where}: spent what {record.arm.weights} kept, and this is {lead.weights}. Choose "
            "with the same gaze weights."
        )


def _check_spent(run: Run, partner: Run, runs: Path) -> None:
    """Refuse a candidate that was shown more of a video than its partner kept of it."""
    kept = {p.question_id: p.tokens.visual for p in partner.predictions if p.tokens is not None}
    spent = {p.question_id: p.tokens.visual for p in run.predictions if p.tokens is not None}
    num = sum(tokens > kept.get(question_id, 0) for question_id, tokens in spent.items())
    if num:
        raise UserError(
            f"--best-off {runs}: {run.record.arm.name}: spent more tokens than "
            f"{partner.record.arm.name} kept at {num} of {len(spent)} questions. Sit them again."
        )


def _noted(ranked: Sequence[RunRecord], lead: ArmSettings) -> ArmSettings:
    best = ranked[0]
    assert best.arm.variant is not None
    arm = make_variant(best.arm.variant, partner=lead)
    told = ", ".join(f"{one.arm.variant} {_accuracy(one):.1%}" for one in ranked)
    note = f"best off configuration at equal tokens, chosen on {best.benchmark.name} ({told})"
    return arm.model_copy(update={"notes": (*arm.notes, note)})


def _accuracy(record: RunRecord) -> float:
    assert record.summary is not None
    return record.summary.accuracy


def _written(model: ModelId) -> str:
    parts = (model.name, model.weights, model.revision and model.revision[:12], model.load_format)
    return " ".join(part for part in parts if part)
