"""The table of runs as plain text, for the terminal that built the page."""

from collections.abc import Sequence
from itertools import groupby

from leaderboard import wording
from leaderboard.entries import Entry
from leaderboard.tables import RunRow, model_name, run_rows

HEADER = ("#", "arm", "accuracy", "95 % interval", "kept", "recall", "p50 s", "p90 s", "note")
LEFT = (1, 8)
"""Columns set flush left; the others hold numbers."""


def text_table(entries: Sequence[Entry]) -> str:
    """All runs, a block for each benchmark and kind of model, as the page has them."""

    def key(entry: Entry) -> tuple[str, str, str]:
        record = entry.record
        return record.benchmark.name, record.benchmark.questions_sha256, record.model.kind

    blocks = []
    for (benchmark, _, kind), same in groupby(sorted(entries, key=key), key):
        together = list(same)
        rows = [_cells(row) for rows in run_rows(together) for row in rows]
        models = wording.listed(sorted({model_name(entry) for entry in together}))
        title = f"{wording.plain(benchmark)}, {kind}: {models}"
        blocks.append(f"{title}\n{_aligned([HEADER, *rows])}")
    return "\n\n".join(blocks)


def _cells(row: RunRow) -> tuple[str, ...]:
    return (
        row.rank,
        row.arm,
        row.accuracy.value,
        row.accuracy.span,
        row.kept,
        row.recall.value,
        row.end_to_end[0].value,
        row.end_to_end[1].value,
        "; ".join((row.model, *row.notes) if row.model else row.notes),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in LEFT else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
