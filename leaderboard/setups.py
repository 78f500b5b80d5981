"""What a stranger needs to make runs again: commands, settings, machines, versions, licences."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from hlvid.files import digest
from hlvid.types import RunRecord
from leaderboard import wording
from leaderboard.entries import Entry
from leaderboard.tables import NOTHING, model_name

MAX_WORD_CHARACTERS = 2000


@dataclass(frozen=True)
class Fact:
    """A name and a value."""

    name: str
    value: str


@dataclass(frozen=True)
class SetupRun:
    """One run of a setup."""

    anchor: str
    arm: str
    run_id: str
    status: str
    num_correct: str
    num_wrong: str
    num_unparsed: str
    num_failed: str
    settings: str
    digest: str


@dataclass(frozen=True)
class Setup:
    """Runs made by one command on one machine."""

    anchor: str
    title: str
    caption: str
    command: tuple[str, ...]
    """Its words, quoted for a shell."""
    facts: tuple[Fact, ...]
    software: tuple[Fact, ...]
    runs: tuple[SetupRun, ...]


def setups(entries: Sequence[Entry]) -> tuple[Setup, ...]:
    """Entries that share everything but their arm, together; in the order of the entries."""
    together: dict[str, list[Entry]] = {}
    for entry in entries:
        together.setdefault(_key(entry.record), []).append(entry)
    return tuple(_setup(number, same) for number, same in enumerate(together.values(), start=1))


def _key(record: RunRecord) -> str:
    """Digest of what runs of one command have in common."""
    own = {"run_id", "arm", "adaptation", "predictions_sha256", "summary", "status"}
    return digest(record.model_dump(mode="json", exclude=own))


def _setup(number: int, entries: Sequence[Entry]) -> Setup:
    first = entries[0]
    record, made = first.record, first.record.provenance
    title = f"{model_name(first)} on {wording.plain(record.benchmark.name)}"
    ordered = sorted(entries, key=lambda e: (e.record.arm.gaze != "off", e.arm, e.record.run_id))
    return Setup(
        anchor=f"setup-{number}",
        title=title,
        caption=f"{wording.counted(len(ordered), 'run')} of {title}, command {number}.",
        command=tuple(
            wording.plain(shlex.quote(word), limit=MAX_WORD_CHARACTERS) for word in made.command
        ),
        facts=tuple(Fact(name, wording.plain(value)) for name, value in _facts(record)),
        software=tuple(
            Fact(wording.plain(name, limit=60), wording.plain(version, limit=60))
            for name, version in sorted(made.software.items())
        ),
        runs=tuple(_run(entry.record) for entry in ordered),
    )


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    """What the settings block lists, in its order; what is not known is left out."""
    model, frames, made = record.model, record.frames, record.provenance
    machine = made.hardware
    commit = made.git_commit and made.git_commit + (" with changes" if made.git_dirty else "")
    generation = ", ".join(f"{key} = {value}" for key, value in sorted(record.generation.items()))
    facts = [
        ("Weights", model.weights),
        ("Revision of the weights", model.revision),
        ("Licence of the weights", model.license or (model.weights and "not known")),
        ("Digest of the weights", model.weights_sha256),
        ("Loaded as", None if model.load_format == "none" else model.load_format),
        ("Frames", f"{wording.count(frames.num_frames)}, {frames.sampling}"),
        ("Canvas", f"{frames.canvas}, tokens of {wording.count(frames.token_pixels)} px"),
        ("Frame pairs", None if frames.pairing == "none" else frames.pairing),
        ("Generation", generation),
        ("Seed", wording.count(record.seed)),
        ("Limit", None if record.limit is None else wording.count(record.limit)),
        ("Repeat", wording.count(record.repeat) if record.repeat else None),
        ("Plan", record.plan_sha256),
        ("Processor", f"{machine.cpu}, {wording.counted(machine.num_cores, 'core')}"),
        ("Memory", f"{wording.gibibytes(machine.memory_bytes)} GiB"),
        ("GPU", wording.listed(list(machine.gpus)) or "none"),
        ("Platform", machine.platform),
        ("Commit", commit or "not known"),
        ("Group", record.group_id),
    ]
    return [(name, value) for name, value in facts if value]


def _run(record: RunRecord) -> SetupRun:
    summary, arm = record.summary, record.arm
    settings = [f"seed {wording.count(arm.seed)}" if arm.selector else ""]
    settings.append(f"mapping {wording.plain(arm.mapping, limit=60)}" if arm.selector else "")
    settings.append(f"weights {wording.plain(arm.weights, limit=60)}" if arm.weights else "")
    settings.append("" if record.adaptation == "none" else record.adaptation)

    counts = [NOTHING] * 4
    if summary is not None:
        nums = (summary.num_correct, summary.num_wrong, summary.num_unparsed, summary.num_failed)
        counts = [wording.count(num) for num in nums]
    return SetupRun(
        anchor=f"run-{record.run_id}",
        arm=wording.plain(arm.name),
        run_id=record.run_id,
        status=record.status,
        num_correct=counts[0],
        num_wrong=counts[1],
        num_unparsed=counts[2],
        num_failed=counts[3],
        settings=", ".join(part for part in settings if part) or NOTHING,
        digest=f"{record.predictions_sha256[:16]}\N{HORIZONTAL ELLIPSIS}",
    )
