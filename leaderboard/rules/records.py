"""Rules about what a run says of itself: settings, machine, provenance, text."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hlvid.files import shown
from hlvid.runs import make_run_id
from hlvid.types import ArmSettings, RunRecord, Summary
from leaderboard import divisions, wording
from leaderboard.rules import Submission

ORACLE = "oracle"
"""The selector that is told where the evidence is."""
MIN_MEMORY_BYTES = 2**26
UNKNOWN = frozenset(("", "unknown", "none", "n/a"))


def settings(submission: Submission) -> Iterator[str]:
    """All settings that a stranger needs are there: weights, decoding, adaptation."""
    record, model = submission.record, submission.record.model
    if model.kind != "control":
        if not model.weights:
            yield "run.json: model.weights is not named. Name what was loaded."
        if model.load_format == "weights" and not (model.revision or model.weights_sha256):
            yield "run.json: model.revision and model.weights_sha256 are both missing. Give one."
        if model.load_format == "none":
            yield "run.json: model.load_format is 'none' for a model with weights."
    if model.kind in ("mllm", "language"):
        for name in ("do_sample", "max_new_tokens"):
            if name not in record.generation:
                yield f"run.json: generation.{name} is missing. Say how replies were made."
    if model.kind == "mllm" and record.arm.gaze == "on" and record.adaptation == "none":
        yield "run.json: adaptation is 'none' for an MLLM with gaze. Say training-free or tuned."


def privileged(submission: Submission) -> Iterator[str]:
    """An arm that is told where the evidence is says so."""
    if is_told(arm := submission.record.arm) and not arm.privileged:
        yield (
            f"run.json: arm.privileged is false, but {ORACLE} is told where the evidence is. "
            "Say true; the row is shown so, and without a rank."
        )


def is_told(arm: ArmSettings) -> bool:
    """Whether an arm keeps what `oracle` keeps, whatever it says of itself."""
    choosing = [arm.selector or ""]
    choosing += [arm.partner or ""] if arm.variant == "after-tower" else []
    return any(ORACLE in name.split(":") for name in choosing)


def division(submission: Submission) -> Iterator[str]:
    """A benchmark's closed division asks for a clean, known commit."""
    record = submission.record
    if divisions.why_open(record):
        return
    if record.provenance.git_commit is None:
        yield "run.json: provenance.git_commit is not known. The closed division needs it."
    if record.provenance.git_dirty:
        yield "run.json: provenance.git_dirty is true. The closed division needs a clean checkout."


def status(submission: Submission) -> Iterator[str]:
    """The status agrees with the outcomes: complete means that nothing failed."""
    record = submission.record
    if (summary := record.summary) is None:
        return
    if record.status != marked_status(summary):
        failed = f"{summary.num_failed} of {summary.num_questions}"
        yield f"run.json: status is '{record.status}', but {failed} questions failed."


def as_marked(record: RunRecord) -> RunRecord:
    """A record with the status that its marks give, and `privileged` where its arm is told."""
    is_privileged = record.arm.privileged or is_told(record.arm)
    arm = record.arm.model_copy(update={"privileged": is_privileged})
    return record.model_copy(update={"status": marked_status(record.summary), "arm": arm})


def marked_status(
    summary: Summary | None,
) -> Literal["complete", "partial", "failed", "infeasible"]:
    """The status of a run as its marks give it, whatever it says itself."""
    if summary is None:
        return "infeasible"
    if summary.num_failed == 0:
        return "complete"
    return "failed" if summary.num_failed == summary.num_questions else "partial"


def hardware(submission: Submission) -> Iterator[str]:
    """Machine and software are named, and the machine can hold what the run says it used."""
    made = submission.record.provenance
    machine = made.hardware
    for name, value in (("cpu", machine.cpu), ("platform", machine.platform)):
        if value.strip().casefold() in UNKNOWN:
            yield f"run.json: provenance.hardware.{name} is {shown(value)}. Name it."
    if machine.memory_bytes < MIN_MEMORY_BYTES:
        yield f"run.json: provenance.hardware.memory_bytes is {machine.memory_bytes}: too little."
    most = submission.most_memory_bytes
    if most is not None and not machine.gpus and most > machine.memory_bytes:
        yield "predictions.jsonl: peak_memory_bytes is more than the machine has."
    for name in ("hlvid", "python"):
        if name not in made.software:
            yield f"run.json: provenance.software.{name} is missing. Give its version."
    has_frames = bool((submission.columns.frames != b"").any())
    if has_frames and "libavcodec" not in made.software:
        yield "run.json: provenance.software.libavcodec is missing, but frames were decoded."
    if not made.command:
        yield "run.json: provenance.command is empty. Give the command as it was typed."


def text(submission: Submission) -> Iterator[str]:
    """No text hides, reorders or piles up characters."""
    for place, value in _texts(submission.record.model_dump(mode="json"), ""):
        if wording.plain(value, limit=len(value)) != value:
            yield (
                f"run.json: {wording.plain(place, limit=120)} holds characters that cannot be "
                f"seen: {wording.plain(value, limit=60)}. Allowed is text that shows all it says."
            )


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """All texts of a record, keys included, with their places."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield place, key
            yield from _texts(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _texts(inner, f"{place}.{position}")


def run_id(record: RunRecord) -> Iterator[str]:
    """The id is the digest of the settings."""
    names = ("benchmark", "model", "arm", "frames", "generation", "seed", "limit", "repeat")
    found = make_run_id(**{name: getattr(record, name) for name in names})
    if found != record.run_id:
        yield (
            f"run.json: run_id is {record.run_id}, but the settings give {found}. It was altered, "
            "or written by another version of hlvid-eval: run that command again with this one."
        )
