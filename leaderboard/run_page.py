"""A run's own page: what a stranger needs to make it again, and what it answered."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from hlvid.types import RunRecord
from leaderboard import divisions, wording
from leaderboard.compare import Effect
from leaderboard.effects import endpoint_text
from leaderboard.entries import Entry
from leaderboard.exams import Exam
from leaderboard.outcomes import Outcomes, outcomes_of
from leaderboard.pictures import Album
from leaderboard.slices import SliceRow, slice_rows
from leaderboard.tables import NOTHING, Cell, machine_text, model_name, run_rows

MAX_WORD_CHARACTERS = 2000


@dataclass(frozen=True)
class Fact:
    """A name and a value."""

    name: str
    value: str


@dataclass(frozen=True)
class Link:
    """Another page."""

    href: str
    text: str


@dataclass(frozen=True)
class RunPage:
    """Everything that the page of a run prints."""

    slug: str
    title: str
    subtitle: str
    badge: str
    badge_reason: str
    warnings: tuple[str, ...]
    numbers: tuple[Fact, ...]
    settings: tuple[Fact, ...]
    command: tuple[str, ...]
    """Its words, quoted for a shell."""
    software: tuple[Fact, ...]
    slices: tuple[SliceRow, ...]
    compared_with: str
    comparisons: tuple[Link, ...]
    outcomes: Outcomes | None
    """None with random weights: what they answer says nothing."""


def run_page(
    entry: Entry,
    exam: Exam,
    *,
    off: Entry | None,
    effects: Sequence[Effect],
    album: Album | None,
) -> RunPage:
    """The page of a run.

    Args:
        entry: The run.
        exam: What it was asked.
        off: The run of its command that keeps all tokens, if there is one.
        effects: Those in which it is the arm or the other.
        album: Pictures of the evidence; None where the questions may not be shown.
    """
    record, made = entry.record, entry.record.provenance
    return RunPage(
        slug=entry.slug,
        title=f"{wording.plain(entry.arm)}",
        subtitle=f"{model_name(entry)} on {wording.plain(record.benchmark.name)}",
        badge=entry.badge,
        badge_reason=_badge_reason(entry),
        warnings=(
            *(wording.plain(reason) for reason in entry.unranked_because),
            *(wording.plain(f"{p.rule}: {p.message}", limit=600) for p in entry.problems),
        ),
        numbers=tuple(_numbers(entry, off)),
        settings=tuple(
            Fact(name, wording.plain(value)) for name, value in _settings(record, entry) if value
        ),
        command=tuple(
            wording.plain(shlex.quote(word), limit=MAX_WORD_CHARACTERS) for word in made.command
        ),
        software=tuple(
            Fact(wording.plain(name, limit=60), wording.plain(version, limit=60))
            for name, version in sorted(made.software.items())
        ),
        slices=slice_rows(exam, entry, off if off is not entry else None),
        compared_with="" if off is None or off is entry else wording.plain(off.arm),
        comparisons=tuple(_link(effect) for effect in effects),
        outcomes=None if entry.has_random_weights else outcomes_of(entry, exam, album),
    )


def comparison_name(arm: Entry, other: Entry) -> str:
    """The file of the page that compares two runs."""
    return f"{arm.slug}-{other.slug}.html"


def _link(effect: Effect) -> Link:
    text = f"{wording.plain(effect.arm.arm)} against {wording.plain(effect.other.arm)}"
    return Link(f"../compare/{comparison_name(effect.arm, effect.other)}", text)


def _badge_reason(entry: Entry) -> str:
    if entry.badge == "reproduced":
        return f"A second run was made: {entry.standing.reproduced}."
    if entry.badge == "logs-checked":
        return "Marked again from its raw replies; every rule for submissions holds."
    return "Marked again from its raw replies, but it breaks a rule for submissions."


def _numbers(entry: Entry, off: Entry | None) -> list[Fact]:
    """The row of the run in the main table, and what has no column there."""
    ranked, unranked = run_rows([entry])
    row = (*ranked, *unranked)[0]
    summary, tokens = entry.record.summary, entry.mean_tokens
    facts = [Fact("Status", entry.record.status)]
    if summary is not None and entry.accuracy is not None:
        facts += [
            Fact("Accuracy, %", _spelled(row.accuracy)),
            Fact("Right", wording.count(summary.num_correct)),
            Fact("Wrong", wording.count(summary.num_wrong)),
            Fact("Not parsed", wording.count(summary.num_unparsed)),
            Fact("Failed", wording.count(summary.num_failed)),
        ]
    facts.append(Fact("Kept, %", row.kept))
    if tokens is not None:
        names = ("selector", "encoded", "visual", "text")
        means = (wording.number(getattr(tokens, name), digits=0) for name in names)
        facts.append(Fact("Tokens: selector, encoded, visual, text", ", ".join(means)))
    facts.append(Fact("Evidence recall, %", _spelled(row.recall)))
    for name, cells in (
        ("End to end", row.end_to_end),
        ("Without decode", row.without_decode),
        ("Model only", row.model_only),
    ):
        facts.append(Fact(f"{name}, s: p50, p90", ", ".join(_spelled(cell) for cell in cells)))
    facts.append(Fact("Memory, GiB", row.memory))
    return [fact for fact in facts if fact.value not in (NOTHING, f"{NOTHING}, {NOTHING}")]


def _spelled(cell: Cell) -> str:
    """A value with what bounds it."""
    return f"{cell.value} ({cell.span})" if cell.span else cell.value


def _settings(record: RunRecord, entry: Entry) -> list[tuple[str, str | None]]:
    """What the settings block lists, in its order; what is not known is left out."""
    model, frames, made, arm = record.model, record.frames, record.provenance, record.arm
    commit = made.git_commit and made.git_commit + (" with changes" if made.git_dirty else "")
    generation = ", ".join(f"{key} = {value}" for key, value in sorted(record.generation.items()))
    why_open = divisions.why_open(record)
    return [
        ("Division", f"open ({'; '.join(why_open)})" if why_open else "closed"),
        ("Weights", model.weights),
        ("Revision of the weights", model.revision),
        ("Licence of the weights", model.license or (model.weights and "not known")),
        ("Digest of the weights", model.weights_sha256),
        ("Loaded as", None if model.load_format == "none" else model.load_format),
        ("Adaptation", None if record.adaptation == "none" else record.adaptation),
        ("Mapping", arm.mapping if arm.selector else None),
        ("Weights of the selector", arm.weights),
        ("Seed of the selector", wording.count(arm.seed) if arm.selector else None),
        ("Frames", f"{wording.count(frames.num_frames)}, {frames.sampling}"),
        ("Canvas", f"{frames.canvas}, tokens of {wording.count(frames.token_pixels)} px"),
        ("Frame pairs", None if frames.pairing == "none" else frames.pairing),
        ("Context", wording.count(frames.context) if frames.context else None),
        ("Generation", generation),
        ("Seed", wording.count(record.seed)),
        ("Limit", None if record.limit is None else wording.count(record.limit)),
        ("Repeat", wording.count(record.repeat) if record.repeat else None),
        ("Plan", record.plan_sha256),
        ("Primary endpoint", None if entry.plan is None else endpoint_text(entry.plan)),
        ("Machine", machine_text(entry)),
        ("Platform", made.hardware.platform),
        ("Commit", commit or "not known"),
        ("Run", record.run_id),
        ("Group", record.group_id),
        ("Digest of the predictions", record.predictions_sha256),
        ("Digest of the questions", record.benchmark.questions_sha256),
        ("Revision of the benchmark", record.benchmark.revision),
    ]
