"""The best that off does with as many tokens as gaze keeps, chosen on another set.

Fewer frames, a smaller grid, and some of both spend a gaze arm's tokens without looking. Which of
them is best depends on the questions, so it is chosen by runs on another benchmark: chosen on the
same one it would be the best of several by luck (COMPARISON.md 15).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.arms import leads_of
from evaluators.variants import make_variant
from hlvid.errors import UserError
from hlvid.runs import RECORD_FILE, read_run
from hlvid.types import CHEAPER_OFF, ArmSettings, BenchmarkId, ModelId, RunRecord


@dataclass(frozen=True)
class Choice:
    """What was chosen for a gaze arm, and by what.

    Attributes:
        arm: The candidate, with a note that says so.
        records: Of all candidates, best first; of equals the first of `CHEAPER_OFF`.
    """

    arm: ArmSettings
    records: Sequence[RunRecord]


def choose(runs: Path, arms: Sequence[ArmSettings]) -> list[Choice]:
    """The best candidate for every gaze arm that something is to be said of.

    Args:
        runs: Folder of one command's runs, with all candidates for these arms.
        arms: Of the command that the choice is for; it must pass `check_choices`.

    Raises:
        UserError: There are no such runs, or one did not answer everything.
    """
    records = [read_run(path.parent).record for path in sorted(runs.glob(f"*/{RECORD_FILE}"))]
    found = []
    for lead in leads_of([arm for arm in arms if arm.variant is None]):
        names = [make_variant(variant, partner=lead).name for variant in CHEAPER_OFF]
        of_name = {record.arm.name: record for record in records if record.repeat == 0}
        for name in names:
            if name not in of_name:
                raise UserError(
                    f"--best-off {runs}: holds no run of {name}. Sit all candidates there: "
                    f"--also {','.join(names)}"
                )
        candidates = [of_name[name] for name in names]
        for record in candidates:
            _check(record, runs, lead, group=candidates[0].group_id)
        ranked = sorted(candidates, key=_accuracy, reverse=True)
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
