"""All pages of a site, and their bytes.

Every page is one file that asks for nothing: style and script stand in it, its policy allows
exactly these two, and all links are relative, so that it opens from a disk.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from typing import Any

import jinja2
from markupsafe import Markup

from leaderboard.compare import Effect, Group
from leaderboard.compare_page import compare_page
from leaderboard.entries import RULES, Entry
from leaderboard.exams import Exam, find_exam
from leaderboard.page import Page
from leaderboard.parallel import in_processes
from leaderboard.pictures import Album
from leaderboard.rules import REFUSING
from leaderboard.rules.again import RULES as AGAIN_RULES
from leaderboard.rules.groups import RULES as GROUP_RULES
from leaderboard.run_page import run_page

MIN_QUESTIONS_FOR_PROCESSES = 50_000


@dataclass(frozen=True)
class File:
    """A page and where it lies in the site."""

    path: str
    text: str


@dataclass(frozen=True)
class _Batch:
    """The pages of one command's runs."""

    group: Group
    exam: Exam
    album: Album | None


def index_file(page: Page) -> File:
    """The main page."""
    return File("index.html", _render("index.html", root="", has_script=True, page=page))


def method_file() -> File:
    """How every number is made; the same for all sites of a version."""
    rules = [*REFUSING.items()]
    every: tuple[tuple[str, object], ...] = (*RULES, *AGAIN_RULES, *GROUP_RULES)
    rules += [(name, (rule.__doc__ or "").strip()) for name, rule in every]
    return File(
        "method.html",
        _render("method.html", root="", rules=rules, version=metadata.version("hlvid")),
    )


def group_files(
    groups: Sequence[Group], exams: Sequence[Exam], albums: Mapping[str, Album]
) -> list[File]:
    """The pages of all runs, and those of the pairs that the main page compares.

    Args:
        groups: From `compare.compare_groups`.
        exams: What they were asked.
        albums: Digest of the questions -> pictures of their evidence, where they may be shown.
    """
    batches = []
    for group in groups:
        benchmark = group.entries[0].record.benchmark
        album = albums.get(benchmark.questions_sha256)
        batches.append(_Batch(group, find_exam(benchmark, list(exams)), album))
    num_questions = sum(len(entry.columns) for group in groups for entry in group.entries)
    is_worth_it = num_questions > MIN_QUESTIONS_FOR_PROCESSES
    return [
        file
        for files in in_processes(_batch_files, batches, is_worth_it=is_worth_it)
        for file in files
    ]


def _batch_files(batch: _Batch) -> list[File]:
    effects = [effect for family in batch.group.families for effect in family.effects]
    by_run: dict[str, list[Effect]] = {}
    off: dict[str, Entry] = {}
    for effect in effects:
        for slug in dict.fromkeys((effect.arm.slug, effect.other.slug)):
            by_run.setdefault(slug, []).append(effect)
        if effect.other.arm == "off":
            off[effect.arm.slug] = effect.other
    files = [
        _run_file(
            entry,
            batch.exam,
            off=off.get(entry.slug),
            effects=by_run.get(entry.slug, []),
            album=batch.album,
        )
        for entry in batch.group.entries
    ]
    return [*files, *compare_files(effects, batch.exam)]


def _run_file(entry: Entry, exam: Exam, **about: Any) -> File:  # noqa: ANN401
    page = run_page(entry, exam, **about)
    return File(f"runs/{page.slug}.html", _render("run.html", root="../", page=page))


def compare_files(effects: Iterable[Effect], exam: Exam) -> Iterator[File]:
    """A page for each effect, each pair of runs once."""
    seen = set()
    for effect in effects:
        page = compare_page(effect, exam)
        if page.name not in seen:
            seen.add(page.name)
            yield File(f"compare/{page.name}", _render("compare.html", root="../", page=page))


def _render(name: str, *, root: str, has_script: bool = False, **context: Any) -> str:  # noqa: ANN401
    style = _static("style.css")
    script = _static("site.js") if has_script else ""
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; "
        f"{f'script-src {_hash(script)}; ' if script else ''}img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    template = _environment().get_template(name)
    return template.render(
        root=root, policy=policy, style=Markup(style), script=Markup(script), **context
    )


@cache
def _static(name: str) -> str:
    return (resources.files("leaderboard") / "static" / name).read_text(encoding="utf-8")


@cache
def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("leaderboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["coordinate"] = _coordinate
    environment.filters["parts"] = _parts
    return environment


def _coordinate(value: float) -> str:
    """A number in an SVG: a tenth of a unit is finer than any screen."""
    return f"{value:.1f}".removesuffix(".0")


def _parts(arm: str) -> list[str]:
    """An arm's name in the pieces that a line may end with: 'random-matched:', 'detail', '@0.1'."""
    return re.split(r"(?<=:)|(?=[@+#])", arm)
