"""From entries to the one page: what goes where, and its bytes.

The page has no script and asks for nothing: its policy forbids both. It reads no clock and no
random number, so the same runs give the same bytes.
"""

import base64
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, resources

import jinja2
from markupsafe import Markup

from leaderboard import bars, compare, wording
from leaderboard.effects import EffectTable, effect_table
from leaderboard.entries import Entry, Refusal
from leaderboard.figures import Figure, figure_of
from leaderboard.findings import Findings, findings_of
from leaderboard.setups import Fact, Setup, setups
from leaderboard.tables import (
    ACCURACY_AXIS,
    RunRow,
    frames_of,
    model_name,
    run_rows,
)

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
    figure: Figure | None
    families: tuple[EffectTable, ...]
    uncompared: tuple[Fact, ...]


@dataclass(frozen=True)
class Board:
    """One benchmark and one kind of model."""

    anchor: str
    number: int
    title: str
    blurb: str
    caption: str
    ranked: tuple[RunRow, ...]
    unranked: tuple[RunRow, ...]
    axis: bars.Axis
    has_gaze: bool
    """Whether rows are arms; where all are off they are models."""
    has_tokens: bool
    has_recall: bool
    has_frames: bool
    """Whether runs differ in their frames; the caption names them where they do not."""
    num_columns: int
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
    setups: tuple[Setup, ...]
    version: str
    counted: str


class Numbers:
    """Tables and figures are numbered in the order in which the page shows them."""

    def __init__(self) -> None:
        self.tables: Iterator[int] = itertools.count(1)
        self.figures: Iterator[int] = itertools.count(1)
        self.groups: Iterator[int] = itertools.count(1)


def make_page(entries: Sequence[Entry], refusals: Sequence[Refusal]) -> Page:
    """Decide what stands on the page."""
    entries = sorted(entries, key=lambda e: (e.record.benchmark.name, _kind(e)))
    numbers = Numbers()
    groups = compare.compare_groups(entries)
    together: dict[tuple[str, str, str], list[compare.Group]] = {}
    for group in groups:
        benchmark = group.entries[0].record.benchmark
        key = (benchmark.name, benchmark.revision, benchmark.questions_sha256)
        together.setdefault(key, []).append(group)
    sections = tuple(
        _section(f"benchmark-{number}", same, numbers)
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
        setups=setups(entries),
        version=metadata.version("hlvid"),
        counted=counted + (f", {len(refusals)} refused" if refusals else ""),
    )


def _kind(entry: Entry) -> int:
    return list(KINDS).index(entry.record.model.kind)


def _section(anchor: str, groups: Sequence[compare.Group], numbers: Numbers) -> Section:
    entries = [entry for group in groups for entry in group.entries]
    benchmark = entries[0].record.benchmark
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
            boards.append(_board(f"{anchor}-{kind}", kind, of_kind, numbers))
    return Section(anchor, wording.plain(benchmark.name), tuple(facts), tuple(boards))


def _board(anchor: str, kind: str, groups: Sequence[compare.Group], numbers: Numbers) -> Board:
    entries = [entry for group in groups for entry in group.entries]
    title, blurb = KINDS[kind]
    ranked, unranked = run_rows(entries)
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
        caption=(
            f"{title}: {wording.counted(len(entries), 'run')} of {named}"
            f"{'' if len(frames) > 1 else f', {next(iter(frames))}'}. Intervals of "
            f"95{wording.NBSP}% are clustered by video; the dotted line in the bars is guessing."
        ),
        ranked=ranked,
        unranked=unranked,
        axis=ACCURACY_AXIS,
        has_gaze=any(entry.arm != "off" for entry in entries),
        has_tokens=has_tokens,
        has_recall=has_recall,
        has_frames=len(frames) > 1,
        num_columns=10 + has_tokens + has_recall + (len(frames) > 1),
        groups=tuple(_group(group, numbers) for group in groups if len(group.entries) > 1),
    )


def _group(group: compare.Group, numbers: Numbers) -> Group:
    models = list(dict.fromkeys(model_name(entry) for entry in group.entries))
    figure = figure_of(group.entries, numbers.figures)
    return Group(
        anchor=f"group-{next(numbers.groups)}",
        title=f"{wording.listed(models)}, arm against arm",
        figure=figure,
        families=tuple(
            effect_table(family, number=next(numbers.tables)) for family in group.families
        ),
        uncompared=tuple(
            Fact(wording.plain(u.arm), wording.plain(u.reason, limit=1000))
            for u in group.uncompared
        ),
    )


def render(page: Page) -> str:
    """The page's HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("leaderboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["coordinate"] = _coordinate
    environment.filters["parts"] = _parts
    style = (resources.files("leaderboard") / "static" / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.get_template("index.html")
    return template.render(page=page, policy=policy, style=Markup(style))


def _coordinate(value: float) -> str:
    """A number in an SVG: a tenth of a unit is finer than any screen."""
    return f"{value:.1f}".removesuffix(".0")


def _parts(arm: str) -> list[str]:
    """An arm's name in the pieces that a line may end with: 'random-matched:', 'detail', '@0.1'."""
    return re.split(r"(?<=:)|(?=[@+#])", arm)
