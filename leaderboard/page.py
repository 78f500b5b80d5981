"""From entries to the main page: what stands where.

Nothing reads a clock or a random number, so the same runs give the same bytes.
"""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from leaderboard import bars, compare, wording
from leaderboard.effects import EffectTable, effect_table, plan_text
from leaderboard.entries import Entry, Refusal
from leaderboard.exams import Exam, find_exam
from leaderboard.figures import EVIDENCE, LATENCY, Figure, figure_of
from leaderboard.findings import Findings, findings_of
from leaderboard.results import Change, QuotedTable, Results
from leaderboard.run_page import Fact
from leaderboard.slices import SliceTable, slice_table
from leaderboard.stages import NOT_IN_TURNS, StageTable, stage_table, took_turns
from leaderboard.tables import (
    ACCURACY_AXIS,
    Machine,
    RunRow,
    frames_of,
    machine_key,
    machines_of,
    model_name,
    run_rows,
)

MAX_SPARSE_FPS = 0.4
"""Frames a second up to which gaze is saliency, not the removal of redundancy."""
KINDS = {
    "mllm": (
        "Multimodal models",
        "They see the frames and answer in words.",
    ),
    "reader": (
        "Readers",
        "A reader spells out the text in what it is shown and picks the option which that text "
        "supports best. It is a control, never ranked beside multimodal models: it measures how "
        "much of the benchmark is plain reading.",
    ),
    "language": (
        "Language models",
        "They never see the video. What they score above guessing, the questions give away.",
    ),
    "control": (
        "Controls without a model",
        "The answer key sent through the whole pipeline must score 100 %, letters drawn at random "
        "what guessing gives.",
    ),
}
"""Kind of model -> heading and explanation, in the order of the page."""


@dataclass(frozen=True)
class Group:
    """Runs of one command: what may be compared in pairs."""

    anchor: str
    title: str
    plan: str
    """What was declared before the runs, or that nothing was; empty where none are compared."""
    figures: tuple[Figure, ...]
    families: tuple[EffectTable, ...]
    stages: StageTable | None
    slices: SliceTable | None
    uncompared: tuple[Fact, ...]


@dataclass(frozen=True)
class Board:
    """One benchmark and one kind of model."""

    anchor: str
    number: int
    title: str
    blurb: str
    sampling: str
    """What so few frames a second mean for gaze; empty where there are more, or it is not known."""
    caption: str
    ranked: tuple[RunRow, ...]
    unranked: tuple[RunRow, ...]
    axis: bars.Axis
    has_gaze: bool
    """Whether rows are arms; where all are off they are models."""
    has_tokens: bool
    has_official: bool
    has_recall: bool
    has_tax: bool
    machines: tuple[Machine, ...]
    """More than one are told apart by their letters."""
    figures: tuple[Figure, ...]
    """Accuracy against time, one a machine."""
    has_adaptation: bool
    has_frames: bool
    """Whether runs differ in their frames; the caption names them where they do not."""
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Section:
    """One benchmark."""

    anchor: str
    name: str
    facts: tuple[Fact, ...]
    boards: tuple[Board, ...]


@dataclass(frozen=True)
class Page:
    """Everything the template prints."""

    title: str
    heading: str
    lead: str
    description: str
    findings: tuple[Findings, ...]
    sections: tuple[Section, ...]
    refusals: tuple[Fact, ...]
    quoted: tuple[QuotedTable, ...]
    log: tuple[Change, ...]
    version: str
    counted: str


class Numbers:
    """Tables and figures are numbered in the order in which the page shows them."""

    def __init__(self) -> None:
        self.tables: Iterator[int] = itertools.count(1)
        self.figures: Iterator[int] = itertools.count(1)
        self.groups: Iterator[int] = itertools.count(1)


def make_page(
    groups: Sequence[compare.Group],
    refusals: Sequence[Refusal],
    exams: Sequence[Exam],
    results: Results,
) -> Page:
    """Decide what stands on the main page.

    Args:
        groups: From `compare.compare_groups`.
        refusals: Folders without a row.
        exams: What the runs were asked.
        results: Quoted tables and the log of the published results, of which changes of these runs
            are shown.
    """
    groups = sorted(groups, key=lambda g: (g.entries[0].record.benchmark.name, _kind(g.entries[0])))
    entries = [entry for group in groups for entry in group.entries]
    shown = {(entry.run_id, entry.record.predictions_sha256) for entry in entries}
    numbers = Numbers()
    together: dict[tuple[str, str, str], list[compare.Group]] = {}
    for group in groups:
        benchmark = group.entries[0].record.benchmark
        key = (benchmark.name, benchmark.revision, benchmark.questions_sha256)
        together.setdefault(key, []).append(group)
    sections = tuple(
        _section(f"benchmark-{number}", same, exams, numbers)
        for number, (_, same) in enumerate(sorted(together.items()), start=1)
    )
    counted = wording.counted(len(entries), "run")
    names = wording.listed(list(dict.fromkeys(section.name for section in sections)))
    return Page(
        title="hlvid leaderboard",
        heading="What is kept, what is lost",
        lead=(
            f"{counted} on {names or 'no benchmark'}. Each was checked against its digests and "
            "marked again from its raw replies before it got a row. Differences are paired, "
            "intervals know that questions share videos, and what the data cannot decide is "
            "called undecided."
        ),
        description=f"Accuracy, kept video tokens and latency of {counted}, verified.",
        findings=findings_of(groups),
        sections=sections,
        refusals=tuple(
            Fact(wording.plain(r.name, limit=120), wording.plain(r.reason, limit=1000))
            for r in refusals
        ),
        quoted=results.quoted,
        log=tuple(
            change
            for change in results.log[::-1]
            if (change.run_id, change.predictions_sha256) in shown
        ),
        version=metadata.version("hlvid"),
        counted=counted + (f", {len(refusals)} refused" if refusals else ""),
    )


def _kind(entry: Entry) -> int:
    return list(KINDS).index(entry.record.model.kind)


def _section(
    anchor: str, groups: Sequence[compare.Group], exams: Sequence[Exam], numbers: Numbers
) -> Section:
    entries = [entry for group in groups for entry in group.entries]
    benchmark = entries[0].record.benchmark
    exam = find_exam(benchmark, list(exams))
    chance = next((e.chance for e in entries if e.chance is not None), None)
    facts = [
        Fact("Questions", wording.count(benchmark.num_questions)),
        Fact("Videos", wording.count(benchmark.num_videos)),
        Fact("Revision", wording.plain(benchmark.revision, limit=120)),
        Fact(
            "Digest of the questions", f"{benchmark.questions_sha256[:16]}\N{HORIZONTAL ELLIPSIS}"
        ),
    ]
    if chance is not None:
        facts.insert(2, Fact("Guessing gives", f"{wording.percent(chance)}{wording.NBSP}%"))
    boards = []
    for kind in KINDS:
        of_kind = [g for g in groups if g.entries[0].record.model.kind == kind]
        if of_kind:
            boards.append(_board(f"{anchor}-{kind}", kind, of_kind, exam, numbers))
    return Section(anchor, wording.plain(benchmark.name), tuple(facts), tuple(boards))


def _board(
    anchor: str, kind: str, groups: Sequence[compare.Group], exam: Exam, numbers: Numbers
) -> Board:
    entries = [entry for group in groups for entry in group.entries]
    title, blurb = KINDS[kind]
    machines = machines_of(entries)
    ranked, unranked = run_rows(entries, machines)
    has_tokens = any(entry.kept_ratio is not None for entry in entries)
    has_recall = any(entry.recall is not None for entry in entries)
    frames = {frames_of(entry.record.frames) for entry in entries}
    models = list(dict.fromkeys(model_name(entry) for entry in entries))
    named = models[0] if len(models) == 1 else f"{len(models)} models"
    return Board(
        anchor=anchor,
        number=next(numbers.tables),
        title=title,
        blurb=blurb,
        sampling=_sampling(entries, exam),
        caption=(
            f"{title}: {wording.counted(len(entries), 'run')} of {named}"
            f"{'' if len(frames) > 1 else f', {next(iter(frames))}'}. Intervals of "
            f"95{wording.NBSP}% are clustered by video; the dotted line in the bars is guessing. "
            "Ranked by accuracy alone, whatever an arm keeps."
        ),
        ranked=ranked,
        unranked=unranked,
        axis=ACCURACY_AXIS,
        has_gaze=any(entry.arm != "off" for entry in entries),
        has_tokens=has_tokens,
        has_official=any(entry.official is not None for entry in entries),
        has_recall=has_recall,
        has_tax=any(entry.record.arm.gaze == "on" for entry in entries),
        machines=tuple(machines.values()),
        figures=tuple(_latency_figures(entries, machines, numbers)),
        has_adaptation=any(entry.record.adaptation != "none" for entry in entries),
        has_frames=len(frames) > 1,
        groups=tuple(_group(group, exam, numbers) for group in groups if len(group.entries) > 1),
    )


def _sampling(entries: Sequence[Entry], exam: Exam) -> str:
    """Said where runs with gaze saw few frames a second, by the median video."""
    frames = [e.record.frames.num_frames for e in entries if e.record.arm.gaze == "on"]
    if not frames or not exam.videos:
        return ""
    seconds = statistics.median(video.duration_seconds for video in exam.videos.values())
    if max(frames) > MAX_SPARSE_FPS * seconds:
        return ""
    return (
        f"At {max(frames) / seconds:.2g} frames a second two frames share little, so gaze finds "
        "here what stands out; it removes no redundancy between frames."
    )


def _latency_figures(
    entries: Sequence[Entry], machines: dict[str, Machine], numbers: Numbers
) -> Iterator[Figure]:
    """Times are comparable within one machine only, so each has a figure of its own.

    What was not timed in turns has no frontier: a quiet hour would win it.
    """
    ran: dict[str, list[Entry]] = {key: [] for key in machines}
    for entry in entries:
        if not entry.unranked_because:
            ran[machine_key(entry)].append(entry)
    for key, machine in machines.items():
        is_one = took_turns(ran[key])
        where = f"{'' if is_one else NOT_IN_TURNS} Machine: {machine.text}."
        figure = figure_of(ran[key], numbers.figures, LATENCY, where=where, has_frontier=is_one)
        if figure is not None:
            yield figure


def _group(group: compare.Group, exam: Exam, numbers: Numbers) -> Group:
    models = list(dict.fromkeys(model_name(entry) for entry in group.entries))
    stand = [entry for entry in group.entries if entry.standing.withdrawn is None]
    drawn = (figure_of(stand, numbers.figures), figure_of(stand, numbers.figures, EVIDENCE))
    families = tuple(effect_table(f, number=next(numbers.tables)) for f in group.families)
    against_off = [e for f in group.families if f.other == compare.OFF for e in f.effects]
    return Group(
        anchor=f"group-{next(numbers.groups)}",
        title=f"{wording.listed(models)}, arm against arm",
        plan=plan_text(group) if families else "",
        figures=tuple(figure for figure in drawn if figure is not None),
        families=families,
        stages=stage_table(stand, numbers.tables),
        slices=slice_table(exam, [e.arm for e in against_off], against_off[0].other, numbers.tables)
        if against_off
        else None,
        uncompared=tuple(
            Fact(wording.plain(u.arm), wording.plain(u.reason, limit=1000))
            for u in group.uncompared
        ),
    )
