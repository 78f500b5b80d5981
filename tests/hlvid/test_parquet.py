"""Parquet files of strangers: what comes back of them, and what is refused before it is read."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hlvid.datasets.parquet import read_rows
from hlvid.errors import UserError


def repeated(value: str, num: int) -> pa.DictionaryArray:
    """So many equal texts, which take no room in a file."""
    return pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()).take([0] * num), [value])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: repeated("x", 100_001), "holds 100001 rows"),
        (
            lambda: pa.ListArray.from_arrays([0, 4_000_001], pa.nulls(4_000_001, pa.string())),
            "holds 4000001 values",
        ),
        (lambda: repeated("x" * 2**19, 1000), "unpacks to more than 268435456 bytes"),
        (
            lambda: pa.ListArray.from_arrays([0, 1000], repeated("x" * 2**19, 1000)),
            "unpacks to more than 268435456 bytes",
        ),
    ],
)
def test_a_small_file_that_unpacks_to_much_is_refused(
    tmp_path: Path, made: Callable[[], pa.Array], said: str
) -> None:
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"text": made()}), path, compression="zstd")
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    with pytest.raises(UserError, match=said):
        read_rows(path, ["text"])
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 2**25


def test_texts_and_lists_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        {"text": None, "choices": ["a", "b"], "evidence": [{"boxes": [{"x": 1.5}]}]},
        {"text": "ä", "choices": None, "evidence": []},
        {"text": "", "choices": ["a", None], "evidence": [{"boxes": None}]},
    ] * 800
    rows += [
        {"text": f"text {i}" * 9, "choices": [f"{c} {i}" * 9 for c in "abcd"], "evidence": []}
        for i in range(20_000)
    ]
    path = tmp_path / "rows.parquet"
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, path, row_group_size=12_000)
    assert read_rows(path, list(rows[0]), schema=table.schema) == rows
    other = table.schema.set(0, pa.field("text", pa.binary()))
    with pytest.raises(UserError, match=r"column text is of type 'string'\. Allowed is binary"):
        read_rows(path, list(rows[0]), schema=other)
