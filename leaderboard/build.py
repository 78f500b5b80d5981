"""`build`: from run folders to a folder of pages."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hlvid.errors import UserError
from hlvid.files import write_bytes
from leaderboard.compare import Group, compare_groups
from leaderboard.compare_page import named_effect
from leaderboard.entries import Entry, read_entries
from leaderboard.exams import Exam, find_exam, read_exams
from leaderboard.outcomes import is_by_question
from leaderboard.page import make_page
from leaderboard.pictures import Album, album_of
from leaderboard.reproduction import check_reproductions
from leaderboard.results import SHIPPED, published_at, run_folders, standings
from leaderboard.site import File, compare_files, group_files, index_file, method_file
from leaderboard.summary import text_table

PAGE_NAME = re.compile(r"[0-9a-f]{16}(-[0-9a-f]{12})?(-[0-9a-f]{16}(-[0-9a-f]{12})?)?\.html")
"""Of the pages of a run and of two: what else lies in a site's folders is not ours."""


@dataclass(frozen=True)
class Built:
    """What was made."""

    index: Path
    table: str
    num_refused: int
    problems: tuple[str, ...]
    """A sentence for each video that gives no picture of its evidence."""


def build_site(
    paths: Sequence[Path],
    questions: Sequence[Path],
    out: Path,
    *,
    published: Path = SHIPPED,
    named: Sequence[str] = (),
    is_local: bool = False,
    keep_going: bool = False,
    tell: Callable[[str], None],
) -> Built:
    """Verify runs, compare them and write their pages.

    Args:
        paths: Run folders, or folders that contain some.
        published: The folder of published results: entries, quoted tables, log. Given as a path
            too, its runs are shown, and it may be empty.
        questions: What the runs were asked.
        out: Where the pages go; those of runs that are no longer among them go.
        named: Pairs of run ids, 'A:B', that get a page as well.
        is_local: Whether questions and evidence may be shown whatever their licence.
        keep_going: Whether refused runs are left out, and listed.
        tell: Called with each refusal.

    Raises:
        UserError: There is nothing to build, or runs are refused.
    """
    results = published_at(published)
    exams = read_exams(questions)
    check_reproductions(published, exams)
    folders = run_folders(paths, published)
    entries, refusals = read_entries(folders, exams, standings=standings(results))
    for refusal in refusals:
        tell(refusal.reason)
    if refusals and not (keep_going and entries):
        raise UserError(
            f"{len(refusals)} of {len(refusals) + len(entries)} runs refused, no page written. "
            "Mend them, or leave them out with --keep-going.",
            exit_code=1,
        )
    for entry in entries:
        find_exam(entry.record.benchmark, exams)
    groups = compare_groups(entries)
    extra = _named_files(named, groups, exams)
    files = [index_file(make_page(groups, refusals, exams, results)), method_file()]
    albums = _albums(entries, exams, is_local=is_local)
    files += [*group_files(groups, exams, albums), *extra]
    _write(out, files)
    problems = tuple(problem for album in albums.values() for problem in album.problems)
    return Built(out / "index.html", text_table(entries), len(refusals), problems)


def _albums(entries: Sequence[Entry], exams: Sequence[Exam], *, is_local: bool) -> dict[str, Album]:
    """The pictures of the questions that may be shown and have rows: their digest -> album."""
    wanted: dict[str, tuple[Exam, set[str]]] = {}
    for entry in entries:
        exam = find_exam(entry.record.benchmark, list(exams))
        if exam.is_publishable or is_local:
            _, ids = wanted.setdefault(exam.asked.questions_sha256, (exam, set()))
            ids.update(entry.columns.question_ids if is_by_question(entry) else ())
    return {key: album_of(exam, ids, is_local=is_local) for key, (exam, ids) in wanted.items()}


def _write(out: Path, files: Sequence[File]) -> None:
    """Write the pages, the main one last: where it is, the others are."""
    index, *others = files
    written = {out / file.path for file in others}
    try:
        for folder in ("runs", "compare"):
            for path in (out / folder).glob("*.html"):
                # A page of before: of a run that is withdrawn or gone, it would still praise it.
                if path not in written and PAGE_NAME.fullmatch(path.name):
                    path.unlink()
        for file in others:
            path = out / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.text.encode())
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}).", exit_code=1) from None
    write_bytes(out / index.path, [index.text.encode()])


def _named_files(
    named: Sequence[str], groups: Sequence[Group], exams: Sequence[Exam]
) -> list[File]:
    """The pages that a user asks for by two run ids, where no group has them already."""
    by_id = {entry.slug: entry for group in groups for entry in group.entries}
    made = {
        (effect.arm.slug, effect.other.slug)
        for group in groups
        for family in group.families
        for effect in family.effects
    }
    files: list[File] = []
    for pair in named:
        ids = pair.split(":")
        if len(ids) != 2 or not all(run_id in by_id for run_id in ids):
            known = ", ".join(sorted(by_id)[:3])
            raise UserError(
                f"--compare: {pair[:80]!r} does not name two runs here. Allowed is A:B with two "
                f"run ids, such as {known}."
            )
        if (ids[0], ids[1]) in made:
            continue
        effect = named_effect(by_id[ids[0]], by_id[ids[1]], by_id.values())
        exam = find_exam(effect.arm.record.benchmark, list(exams))
        files += compare_files([effect], exam)
    return files
