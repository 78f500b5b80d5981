"""Rows of a benchmark's parquet file, its columns and size checked before they are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hlvid.errors import UserError
from hlvid.files import explain, shown
from hlvid.types import Question

MAX_BYTES = 256 * 2**20
"""Of a file, packed and unpacked."""
MAX_ROWS = 100_000
MAX_VALUES = 4_000_000
"""In all columns together."""
_BATCH_ROWS = 1024

Row = Mapping[str, Any]


def read_questions(
    path: Path, columns: Sequence[str], to_fields: Callable[[Row], Mapping[str, object]]
) -> tuple[Question, ...]:
    """One question a row.

    Args:
        path: The parquet file.
        columns: All that it must have, no others.
        to_fields: Makes the fields of a question of a row, raising UserError where it cannot.

    Raises:
        UserError: The file is not in order; the sentence names the row.
    """
    questions = []
    for number, row in enumerate(read_rows(path, columns)):
        where = f"{path.name}: row {number}"
        try:
            questions.append(Question.model_validate(to_fields(row), strict=True))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        except ValidationError as error:
            raise UserError(f"{where}: {explain(error)}") from None
    return tuple(questions)


def read_rows(path: Path, columns: Sequence[str], *, schema: Any = None) -> list[dict[str, Any]]:  # noqa: ANN401
    """The rows of a parquet file, whose columns and sizes are checked before anything is read.

    Args:
        path: The file.
        columns: All that it must have, no others.
        schema: pyarrow's, where the columns must have these very types.

    Raises:
        UserError: The file is not in order, or too large.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check(path, file, columns, schema)
            leaves = (file.schema.column(i) for i in range(len(file.schema)))
            texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        # A text that is there a million times is held once until its copies are counted.
        with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
            return list(_unpacked(path, file))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path.name}: cannot be read as parquet ({shown(str(error))}). "
            "Download it again, or compare its digest with the release's."
        ) from None


def _check(path: Path, file: Any, columns: Sequence[str], schema: Any) -> None:  # noqa: ANN401
    found = file.schema_arrow
    if sorted(found.names) != sorted(columns):
        raise UserError(
            f"{path.name}: has the columns {', '.join(map(shown, found.names))}. "
            f"Allowed are {', '.join(columns)}."
        )
    for field in schema or ():
        if found.field(field.name) != field:
            raise UserError(
                f"{path.name}: column {field.name} is of type "
                f"{shown(str(found.field(field.name).type))}. Allowed is {field.type}."
            )
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    sizes = {
        "bytes": (max(path.stat().st_size, sum(g.total_byte_size for g in groups)), MAX_BYTES),
        "rows": (file.metadata.num_rows, MAX_ROWS),
        "values": (sum(chunk.num_values for chunk in chunks), MAX_VALUES),
    }
    for what, (number, most) in sizes.items():
        if number > most:
            raise UserError(f"{path.name}: holds {number} {what}. Allowed are {most}.")


def _unpacked(path: Path, file: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    num_bytes = 0
    for group in range(file.metadata.num_row_groups):
        # One group at a time: pyarrow cannot join the texts of several in lists.
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
            num_bytes += sum(_num_bytes(column) for column in batch.columns)
            if num_bytes > MAX_BYTES:
                raise UserError(f"{path.name}: unpacks to more than {MAX_BYTES} bytes.")
            yield from batch.to_pylist()


def _num_bytes(array: Any) -> int:  # noqa: ANN401
    """Bytes of the values of an array, each counted as often as it is there."""
    import pyarrow.compute
    from pyarrow import types

    if types.is_dictionary(array.type):
        lengths = pyarrow.compute.binary_length(array.dictionary).take(array.indices)
        return int(pyarrow.compute.sum(lengths).as_py() or 0)
    if types.is_list(array.type) or types.is_large_list(array.type):
        return _num_bytes(array.flatten())
    if types.is_struct(array.type):
        return sum(map(_num_bytes, array.flatten()))
    return int(array.nbytes)
