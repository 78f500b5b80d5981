"""The best that off does with as many tokens as gaze keeps, chosen on another set.

Fewer frames, a smaller grid, and some of both spend a gaze arm's tokens without looking. Which of
them is best depends on the questions, so it is chosen by runs on another benchmark: chosen on the
same one it would be the best of several by luck (COMPARISON.md 15). One that could not run there,
because its least is more than gaze kept, is not chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.arms import leads_of
from evaluators.variants import make_variant
from hlvid.errors import UserError
from hlvid.runs import RECORD_FILE, Run, read_run
from hlvid.types import CHEAPER_OFF, ArmSettings, BenchmarkId, ModelId, RunRecord


@dataclass(frozen=True)
class Choice:
    """What was chosen for a gaze arm, and by what.

    Attributes:
        arm: The candidate, with a note that says so.
        records: Of all candidates that could run, best first; of equals the first of `CHEAPER_OFF`.
    """

    arm: ArmSettings
    records: Sequence[RunRecord]


def choose(runs: Path, arms: Sequence[ArmSettings]) -> list[Choice]:
    """The best candidate for every gaze arm that something is to be said of.

    Args:
        runs: Folder of one command's runs, with these arms and all candidates for them.
        arms: Of the command that the choice is for; it must pass `check_choices`.

    Raises:
        UserError: There are no such runs, one did not answer everything, or spent more than gaze
            kept.
    """
    folders = [path.parent for path in sorted(runs.glob(f"*/{RECORD_FILE}"))]
    by_name = {run.record.arm.name: run for run in map(read_run, folders) if not run.record.repeat}
    found = []
    for lead in leads_of([arm for arm in arms if arm.variant is None]):
        names = [make_variant(variant, partner=lead).name for variant in CHEAPER_OFF]
        for name in (*names, lead.name):
            if name not in by_name:
                raise UserError(
                    f"--best-off {runs}: holds no run of {name}. Sit {lead.name} and all "
                    f"candidates there: --also {','.join(names)}"
                )
        partner, candidates = by_name[lead.name], [by_name[name] for name in names]
        able = [run for run in candidates if run.record.status != "infeasible"]
        if not able:
            raise UserError(f"--best-off {runs}: no candidate for {lead.name} could run there.")
        for run in able:
            _check(run.record, runs, lead, group=partner.record.group_id)
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
    runs: Path, choices: Sequence[Choice], *, benchmark: BenchmarkId, model: ModelId
) -> None:
    """Refuse what was chosen on the same questions or by another model.

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


def _check(record: RunRecord, runs: Path, lead: ArmSettings, *, group: str) -> None:
    where = f"--best-off {runs}: {record.arm.name}"
    if record.status != "complete" or record.limit is not None:
        raise UserError(
            f"{where}: is {record.status}{' and limited' if record.limit else ''}. Sit all of it."
        )
    if record.model.load_format == "dummy":
        raise UserError(f"{where}: was answered by random values, which cannot choose.")
    if record.group_id != group:
        raise UserError(f"{where}: is from another command than the others. Sit them together.")
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
