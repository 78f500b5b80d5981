"""A run's own page: what a stranger needs to make it again, and what it answered."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from hlvid.statistics.columns import OUTCOMES
from hlvid.types import Outcome, RunRecord
from leaderboard import divisions, wording
from leaderboard.compare import Effect
from leaderboard.effects import endpoint_text
from leaderboard.entries import Entry
from leaderboard.exams import Exam
from leaderboard.measures import END_TO_END
from leaderboard.slices import SliceRow, slice_rows
from leaderboard.tables import NOTHING, Cell, machine_text, model_name, run_rows

MAX_WORD_CHARACTERS = 2000
MAX_DETAILED = 600
"""With more questions, a row is a video."""
MARKS = {
    Outcome.CORRECT: "\N{CHECK MARK}",
    Outcome.WRONG: "\N{MULTIPLICATION X}",
    Outcome.UNPARSED: "?",
    Outcome.FAILED: "!",
}


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
    is_by_video: bool
    has_text: bool
    outcomes: Markup
    """The rows of the table of outcomes; empty with random weights."""
    outcome_note: str


def run_page(
    entry: Entry, exam: Exam, *, off: Entry | None, effects: Sequence[Effect], is_local: bool
) -> RunPage:
    """The page of a run.

    Args:
        entry: The run.
        exam: What it was asked.
        off: The run of its command that keeps all tokens, if there is one.
        effects: Those in which it is the arm or the other.
        is_local: Whether questions may be printed whatever their licence.
    """
    record, made = entry.record, entry.record.provenance
    is_by_video = len(entry.columns) > MAX_DETAILED
    has_text = not is_by_video and (exam.is_publishable or is_local)
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
        is_by_video=is_by_video,
        has_text=has_text,
        outcomes=_outcomes(entry, exam, is_by_video=is_by_video, has_text=has_text),
        outcome_note=_outcome_note(exam, is_by_video, has_text),
    )


def comparison_name(arm: Entry, other: Entry) -> str:
    """The file of the page that compares two runs."""
    return f"{arm.slug}-{other.slug}.html"


def _link(effect: Effect) -> Link:
    text = f"{wording.plain(effect.arm.arm)} against {wording.plain(effect.other.arm)}"
    return Link(f"../compare/{comparison_name(effect.arm, effect.other)}", text)


def _badge_reason(entry: Entry) -> str:
    if entry.badge == "reproduced":
        return f"A second run was made elsewhere: {entry.standing.reproduced}."
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
    for name, cells in (("End to end", row.end_to_end), ("Model only", row.model_only)):
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


def _outcome_note(exam: Exam, is_by_video: bool, has_text: bool) -> str:
    if is_by_video:
        return "One row a video: its questions in the order of their ids, with the letter given."
    if has_text:
        return f"One row a question. Licence of the questions: {wording.plain(exam.license)}."
    return "One row a question. The licence of the questions does not allow printing them."


def _outcomes(entry: Entry, exam: Exam, *, is_by_video: bool, has_text: bool) -> Markup:
    if entry.has_random_weights:
        return Markup("")
    return _by_video(entry) if is_by_video else _by_question(entry, exam, has_text)


def _by_question(entry: Entry, exam: Exam, has_text: bool) -> Markup:
    """A row a question, built without a template: there may be hundreds of thousands."""
    columns = entry.columns
    texts = {q.question_id: q.stem for q in exam.questions} if has_text else {}
    times = columns.stage_ms.get(END_TO_END, np.full(len(columns), np.nan))
    rows = []
    for i, question_id in enumerate(columns.question_ids):
        outcome = OUTCOMES[columns.outcomes[i]]
        cover = columns.spatial_cover[i]
        cells = [
            f'<th scope="row"><code>{escape(question_id)}</code></th>',
            f'<td class="text">{_safe(columns.categories[i])}</td>',
            f"<td>{escape(columns.letters[i].decode()) or NOTHING}</td>",
            f'<td class="text {outcome.value}">{MARKS[outcome]} {outcome.value}</td>',
            f"<td>{_seconds(times[i])}</td>",
            f"<td>{_count(columns.visual[i])}</td>",
            f"<td>{NOTHING if np.isnan(cover) else wording.percent(float(cover), digits=0)}</td>",
        ]
        if has_text:
            cells.append(f'<td class="text stem">{_safe(texts[question_id])}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return Markup("\n".join(rows))


def _seconds(milliseconds: float) -> Markup:
    """A time; a very short one has a sign that must be escaped."""
    return escape(NOTHING if np.isnan(milliseconds) else wording.seconds(float(milliseconds)))


def _count(value: float) -> str:
    return NOTHING if not np.isfinite(value) else wording.number(float(value), digits=0)


def _by_video(entry: Entry) -> Markup:
    """A row a video: the letters given, each with its mark."""
    columns = entry.columns
    marks = [MARKS[outcome] for outcome in OUTCOMES]
    letters = columns.letters.tolist()
    together: dict[str, list[int]] = {}
    for i, video_id in enumerate(columns.video_ids):
        together.setdefault(video_id, []).append(i)
    outcomes = columns.outcomes.tolist()
    correct = OUTCOMES.index(Outcome.CORRECT)
    rows = []
    for video_id, places in together.items():
        right = sum(outcomes[i] == correct for i in places)
        given = " ".join(f"{letters[i].decode()}{marks[outcomes[i]]}" for i in places)
        rows.append(
            f'<tr><th scope="row"><code>{escape(video_id)}</code></th>'
            f'<td>{right} of {len(places)}</td><td class="text">{escape(given)}</td></tr>'
        )
    return Markup("\n".join(rows))


def _safe(text: str) -> Markup:
    return escape(wording.plain(text, limit=300))
