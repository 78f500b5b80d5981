"""`build`: from run folders to a folder of pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hlvid.errors import UserError
from hlvid.files import write_bytes
from leaderboard.entries import find_runs, read_entries
from leaderboard.exams import read_exams
from leaderboard.page import make_page, render
from leaderboard.summary import text_table


@dataclass(frozen=True)
class Built:
    """What was made."""

    index: Path
    table: str
    num_refused: int


def build_site(
    paths: Sequence[Path],
    questions: Sequence[Path],
    out: Path,
    *,
    named: Sequence[str] = (),
    is_local: bool = False,
    keep_going: bool = False,
    tell: Callable[[str], None],
) -> Built:
    """Verify runs, compare them and write their pages."""
    entries, refusals = read_entries(find_runs(paths), read_exams(questions))
    for refusal in refusals:
        tell(refusal.reason)
    if refusals and not (keep_going and entries):
        raise UserError(
            f"{len(refusals)} of {len(refusals) + len(entries)} runs refused, no page written. "
            "Mend them, or leave them out with --keep-going.",
            exit_code=1,
        )
    target = out / "index.html"
    write_bytes(target, [render(make_page(entries, refusals)).encode()])
    return Built(target, text_table(entries), len(refusals))
