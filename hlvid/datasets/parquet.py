"""Rows of a benchmark's parquet file, its columns and size checked before they are read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hlvid.errors import UserError
from hlvid.files import explain, shown
from hlvid.types import Question

MAX_PARQUET_BYTES = 256 * 2**20

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
    for number, row in enumerate(_read_rows(path, columns)):
        where = f"{path.name}: row {number}"
        try:
            questions.append(Question.model_validate(to_fields(row), strict=True))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        except ValidationError as error:
            raise UserError(f"{where}: {explain(error)}") from None
    return tuple(questions)


def _read_rows(path: Path, wanted: Sequence[str]) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            num_bytes = max(path.stat().st_size, sum(group.total_byte_size for group in groups))
            if sorted(columns) != sorted(wanted):
                raise UserError(
                    f"{path.name}: has the columns {', '.join(map(shown, columns))}. "
                    f"Allowed are {', '.join(wanted)}."
                )
            if num_bytes > MAX_PARQUET_BYTES:
                raise UserError(
                    f"{path.name}: holds {num_bytes} bytes. Allowed are {MAX_PARQUET_BYTES}."
                )
            rows: list[dict[str, Any]] = file.read().to_pylist()
            return rows
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path.name}: cannot be read as parquet ({shown(str(error))}). "
            "Download it again, or compare its digest with the release's."
        ) from None
