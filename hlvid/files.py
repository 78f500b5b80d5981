"""Reading and writing JSON, JSON Lines and digests: strict on the way in, atomic on the way out.

Whatever is read may come from a stranger: every refusal is one sentence that names the place.
"""

import hashlib
import json
import math
import os
import re
import reprlib
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import platformdirs
from pydantic import BaseModel, ValidationError

from hlvid.errors import UserError

MAX_JSON_BYTES = 16 * 2**20
MAX_LINE_BYTES = 4 * 2**20
MAX_JSONL_BYTES = 512 * 2**20

_BOM = b"\xef\xbb\xbf"
_KEYS = re.compile(rb'"([^"]*")\s*:|"[^"]*"')
"""The group is empty for a string that is no key."""
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 300
_ODD = re.compile(rb"NaN|Infinity|[0-9][eE][+-]?[0-9]{3}")
"""May be a number that is none, or too large for one."""
_MAX_SAID_CHARACTERS = 400
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 60, 60, 40

T = TypeVar("T", bound=BaseModel)


CACHE_VARIABLE = "HLVID_CACHE"


def cache_dir() -> Path:
    """Where digests, frame indices and rendered videos are kept: HLVID_CACHE, or the user's."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("hlvid"))


def id_order(identifier: str) -> tuple[tuple[str | int, ...], str]:
    """The sort key of ids in every file of ours: 'q2' before 'q10'."""
    parts = re.split(r"([0-9]+)", identifier)
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), identifier


# --- digests -------------------------------------------------------------------------------------


def canonical_json(value: object) -> bytes:
    """The one spelling of a value: sorted keys, no spaces, UTF-8, floats as repr.

    Half a surrogate pair, which UTF-8 cannot spell and a broken file name may hold, becomes '?'.

    Raises:
        ValueError: The value holds NaN or an infinity.
        TypeError: The value is not JSON.
    """
    return _dumped(value, separators=(",", ":")).encode(errors="replace")


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_records(records: Iterable[BaseModel]) -> str:
    """SHA-256 of the file that `write_jsonl` makes of these records, in hex."""
    state = hashlib.sha256()
    for line in _lines(records):
        state.update(line)
    return state.hexdigest()


def sha256_file(path: Path, *, name: str | None = None) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        UserError: It cannot be read; the message calls it `name`.
    """
    with _open(path, name or path.name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- reading -------------------------------------------------------------------------------------


def read_bytes(path: Path, *, max_bytes: int, name: str | None = None) -> bytes:
    """Read a whole small file.

    Raises:
        UserError: It is missing, is not a regular file, or is longer than `max_bytes`.
    """
    name = name or path.name
    with _open(path, name) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UserError(f"{name}: is longer than {max_bytes} bytes. That is the most allowed.")
    return data


def read_json(path: Path, type_: type[T], *, name: str | None = None) -> T:
    """Read one record from a JSON file.

    Args:
        path: The file.
        type_: The pydantic model that the file must hold, checked strictly.
        name: How error messages call the file; its own name by default.

    Raises:
        UserError: The file is missing, is not a regular file, is too big, is not strict JSON, or
            does not hold such a record.
    """
    name = name or path.name
    data = read_bytes(path, max_bytes=MAX_JSON_BYTES, name=name)
    if not data.strip():
        raise UserError(f"{name}: is empty. Allowed is one JSON object.")
    return parse_record(data, type_, where=name)


def read_jsonl(
    path: Path,
    type_: type[T],
    *,
    name: str | None = None,
    may_be_empty: bool = False,
    max_records: int | None = None,
) -> list[T]:
    """Read one record a line, in the order of the file, holding one line's text at a time.

    Args:
        path: The file.
        type_: The pydantic model that each line must hold, checked strictly.
        name: How error messages call the file; its own name by default.
        may_be_empty: Whether a file without any line is in order.
        max_records: Most lines that are allowed; a small file may hold very many records.

    Raises:
        UserError: As `read_json`, with the number of the line.
    """
    name = name or path.name
    records: list[T] = []
    with _open(path, name) as file:
        if os.fstat(file.fileno()).st_size > MAX_JSONL_BYTES:
            raise UserError(
                f"{name}: is longer than {MAX_JSONL_BYTES} bytes. That is the most allowed."
            )
        while line := file.readline(MAX_LINE_BYTES + 1):
            where = f"{name}:{len(records) + 1}"
            if len(line) > MAX_LINE_BYTES:
                raise UserError(
                    f"{where}: is longer than {MAX_LINE_BYTES} bytes. That is the most allowed."
                )
            if line.endswith(b"\r\n"):
                raise UserError(f"{where}: ends with CR LF. Allowed is LF alone.")
            if not line.strip():
                raise UserError(f"{where}: is an empty line. Allowed is one JSON object a line.")
            if len(records) == max_records:
                raise UserError(f"{where}: is one line too many. Allowed are {max_records}.")
            records.append(parse_record(line, type_, where=where))
    if not records and not may_be_empty:
        raise UserError(f"{name}: is empty. Allowed is one JSON object a line, at least one.")
    return records


def parse_record(data: bytes, type_: type[T], *, where: str) -> T:
    """Make a record of the bytes of one JSON object.

    Args:
        data: UTF-8 without a byte order mark.
        type_: The pydantic model, checked strictly: '1' is not 1 and 1 is not true.
        where: What the error message starts with, such as 'questions.jsonl:41'.

    Raises:
        UserError: One sentence that says what is wrong.
    """
    if (record := _plainly_valid(data, type_)) is not None:
        return record
    if data.startswith(_BOM):
        raise UserError(f"{where}: starts with a byte order mark. Allowed is UTF-8 without one.")
    try:
        text = data.decode()
        content = json.loads(
            text,
            object_pairs_hook=_distinct,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
        if not isinstance(content, dict):
            raise UserError(f"{where}: is {shown(content)}. Allowed is a JSON object.")
        return type_.model_validate_json(text, strict=True)
    except UnicodeDecodeError as error:
        found = f"byte {error.start + 1} (0x{data[error.start]:02x})"
        raise UserError(f"{where}: {found} is not UTF-8. Allowed is UTF-8 alone.") from None
    except RecursionError:
        raise UserError(f"{where}: is nested too deep. Allowed are records of ours.") from None
    except ValidationError as error:
        raise UserError(f"{where}: {explain(error)}") from None
    except json.JSONDecodeError as error:
        found = f"{error.msg} at character {error.pos + 1}"
        raise UserError(f"{where}: is not JSON ({found}). Allowed is a JSON object.") from None
    except ValueError as error:
        raise UserError(f"{where}: {error}.") from None


def _plainly_valid(data: bytes, type_: type[T]) -> T | None:
    """The record, where one fast parse settles it; None where a second one must decide.

    pydantic alone would keep the last of two equal keys, take an integer of any length, and take
    numbers that are none where any value may stand. Without a backslash strings begin and end at
    quotes, and no key is there twice when all keys of the text, nested ones too, are different.
    """
    if b"\\" in data or _LONG_NUMBER in data.translate(_DIGITS_AS_ZEROS) or _ODD.search(data):
        return None
    keys = list(filter(None, _KEYS.findall(data)))
    if len(set(keys)) != len(keys):
        return None
    try:
        return type_.model_validate_json(data, strict=True)
    except (ValidationError, ValueError):
        return None


def explain(error: ValidationError) -> str:
    """The first of pydantic's findings, as one of our sentences."""
    first = error.errors(include_url=False)[0]
    steps = [str(step) if isinstance(step, int) else shown(step)[1:-1] for step in first["loc"]]
    field = f"field '{'.'.join(steps)}'" if steps else "record"
    if first["type"] == "missing":
        return f"{field} is missing."
    if first["type"] == "extra_forbidden":
        return f"{field} is unknown."
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        return f"{said[:_MAX_SAID_CHARACTERS].rstrip('.')}."
    said = first["msg"]
    return f"{field} is {shown(first['input'])}. {said}."


def shown(value: object) -> str:
    """A value as an error message may show it: short, quoted, no control characters."""
    return _SHORT.repr(value)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key {shown(key)} is there twice")
        content[key] = value
    return content


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"number {shown(text)} is too large for a double")
    return number


def _integer(text: str) -> int:
    _finite(text)
    return int(text)


@contextmanager
def _open(path: Path, name: str) -> Iterator[BufferedReader]:
    """Open a regular file for reading; a pipe or a device would block or never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UserError(f"{name}: is a folder or a device. Allowed is a regular file.")
        with os.fdopen(descriptor, "rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror}).") from None


# --- writing -------------------------------------------------------------------------------------


def write_json(path: Path, record: object) -> None:
    """Write a record, or plain JSON, indented and with sorted keys."""
    write_bytes(path, [json_bytes(record)])


def json_bytes(record: object) -> bytes:
    """The bytes that `write_json` writes."""
    return f"{_dumped(record, indent=2)}\n".encode(errors="replace")


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> None:
    """Write one record a line, in the order given, each in its canonical spelling."""
    write_bytes(path, _lines(records))


def write_bytes(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file so that it is there whole or not at all, whenever the power fails.

    Folders above it are made. A file that was there is replaced.

    Raises:
        UserError: The disk is full, or the folder may not be written.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.writelines(blocks)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}).", exit_code=1) from None


def remove_file(path: Path) -> None:
    """Remove a file if it is there, and see to it that it stays away; or raise UserError."""
    try:
        if path.exists():
            path.unlink()
            sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be removed ({error.strerror}).", exit_code=1) from None


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(records: Iterable[BaseModel]) -> Iterator[bytes]:
    return (canonical_json(record) + b"\n" for record in records)


def _dumped(value: object, **layout: Any) -> str:  # noqa: ANN401
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, allow_nan=False, **layout)
