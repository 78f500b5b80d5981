"""The table of runs as plain text, for the terminal that built the page."""

from collections.abc import Sequence
from itertools import groupby

from leaderboard.entries import Entry
from leaderboard.tables import RunRow, model_name, ranked_rows, unranked_rows

HEADER = ("#", "arm", "accuracy", "95 % interval", "kept", "recall", "p50 s", "p90 s", "note")
LEFT = (1, 8)
"""Columns set flush left; the others hold numbers."""


def text_table(entries: Sequence[Entry]) -> str:
    """All runs, a block for each benchmark and model."""

    def key(entry: Entry) -> tuple[str, str, str]:
        record = entry.record
        return record.benchmark.name, record.model.kind, model_name(entry)

    blocks = []
    for (benchmark, kind, model), same in groupby(sorted(entries, key=key), key):
        together = list(same)
        rows = [_cells(row) for row in (*ranked_rows(together), *unranked_rows(together))]
        blocks.append(f"{benchmark}, {kind}: {model}\n{_aligned([HEADER, *rows])}")
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
        "; ".join(row.notes),
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
