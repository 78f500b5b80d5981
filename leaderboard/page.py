"""From entries to the one page: what goes where, and its bytes.

The page has no script and asks for nothing: its policy forbids both. It reads no clock and no
random number, so the same runs give the same bytes.
"""

import base64
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, resources

import jinja2
from markupsafe import Markup

from leaderboard import charts, compare, wording
from leaderboard.compare import OFF
from leaderboard.effects import EffectTable, effect_table
from leaderboard.entries import Entry, Refusal
from leaderboard.findings import Findings, findings_of
from leaderboard.setups import Fact, Setup, setups
from leaderboard.tables import (
    ACCURACY_AXIS,
    ROLES,
    RunRow,
    frames_of,
    model_name,
    ranked_rows,
    role_of,
    unranked_rows,
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


FIGURE_CAPTION = (
    f"Accuracy against kept tokens, with intervals of 95{wording.NBSP}%. The band is the interval "
    "of off, the dotted line is guessing. Arms of one budget stand side by side so that their "
    "intervals can be seen; points of one selector are joined."
)


@dataclass(frozen=True)
class FigureRow:
    """One point of a figure, in numbers."""

    arm: str
    kept: str
    accuracy: str
    low: str
    high: str


@dataclass(frozen=True)
class LegendItem:
    """A marker and its words."""

    role: str
    text: str


@dataclass(frozen=True)
class Figure:
    """Accuracy against kept tokens for the arms of one group."""

    anchor: str
    number: int
    title: str
    description: str
    caption: str
    wide: charts.Scatter
    narrow: charts.Scatter
    """The same for a phone; a style sheet shows one of the two."""
    legend: tuple[LegendItem, ...]
    rows: tuple[FigureRow, ...]


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
    axis: charts.Axis
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
        ranked=ranked_rows(entries),
        unranked=unranked_rows(entries),
        axis=ACCURACY_AXIS,
        has_tokens=has_tokens,
        has_recall=has_recall,
        has_frames=len(frames) > 1,
        num_columns=10 + has_tokens + has_recall + (len(frames) > 1),
        groups=tuple(_group(group, numbers) for group in groups if len(group.entries) > 1),
    )


def _group(group: compare.Group, numbers: Numbers) -> Group:
    models = list(dict.fromkeys(model_name(entry) for entry in group.entries))
    figure = _figure(group, numbers)
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


def _figure(group: compare.Group, numbers: Numbers) -> Figure | None:
    """Accuracy against kept tokens; None where no arm but off has both."""
    drawn: list[tuple[Entry, charts.Point]] = []
    names = _series_names(group.entries)
    for entry in group.entries:
        summary, ratio = entry.record.summary, entry.kept_ratio
        if summary is not None and entry.has_accuracy and ratio:
            arm = entry.record.arm
            point = charts.Point(
                series=names[arm.selector or OFF],
                role=role_of(arm),
                x=ratio,
                y=summary.accuracy,
                low=summary.accuracy_low,
                high=summary.accuracy_high,
            )
            drawn.append((entry, point))
    if all(point.role == "off" for _, point in drawn):
        return None
    chance = next((e.chance for e, _ in drawn if e.chance is not None), None)
    points = [point for _, point in drawn]
    number = next(numbers.figures)
    roles = [role for role in ROLES if any(point.role == role for point in points)]
    drawn.sort(key=lambda d: (-d[1].x, -d[1].y, d[0].arm))
    return Figure(
        anchor=f"figure-{number}",
        number=number,
        title="Accuracy against kept tokens",
        description=_described(points),
        caption=FIGURE_CAPTION + _left_out(len(group.entries) - len(drawn)),
        wide=charts.scatter(points, chance=chance),
        narrow=charts.scatter(points, chance=chance, width=350, height=400),
        legend=tuple(LegendItem(role, ROLES[role]) for role in roles),
        rows=tuple(
            FigureRow(
                arm=wording.plain(entry.arm),
                kept=wording.kept(point.x),
                accuracy=wording.percent(point.y),
                low=wording.percent(point.low),
                high=wording.percent(point.high),
            )
            for entry, point in drawn
        ),
    )


def _left_out(num: int) -> str:
    return f" Not drawn: {wording.counted(num, 'run')} without both numbers." if num else ""


def _series_names(entries: Sequence[Entry]) -> dict[str, str]:
    """Selectors as labels: without their partner where no other partner is there."""
    selectors = {entry.record.arm.selector or OFF for entry in entries}
    bases = [selector.partition(":")[0] for selector in selectors]
    return {
        selector: wording.plain(base if bases.count(base) == 1 else selector)
        for selector, base in zip(selectors, bases, strict=True)
    }


def _described(points: Sequence[charts.Point]) -> str:
    """The figure in one sentence, for those who do not see it."""
    best, last = max(points, key=lambda p: p.y), min(points, key=lambda p: p.y)
    return (
        f"{wording.counted(len(points), 'arm')}, from {wording.kept(min(p.x for p in points))} to "
        f"{wording.kept(max(p.x for p in points))} % of the tokens. The most accurate is "
        f"{best.series} with {wording.percent(best.y)} %, the least {last.series} with "
        f"{wording.percent(last.y)} %. The table below has all numbers."
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
