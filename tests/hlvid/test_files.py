"""What comes from outside is refused in one sentence; what we write is whole or not there."""

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlvid import files
from hlvid.digest_cache import sha256_cached
from hlvid.errors import UserError
from hlvid.types import Evidence, Record, Video


class Thing(Record):
    name: str
    size: int = 1
    weight: float = 1.0
    parts: Mapping[str, float] = {}
    more: tuple[str, ...] = ()


def refusal(data: bytes, type_: type[Record] = Thing) -> str:
    with pytest.raises(UserError) as caught:
        files.parse_record(data, type_, where="x.jsonl:3")
    message = str(caught.value)
    assert message.startswith("x.jsonl:3: ")
    assert "\n" not in message and message.endswith(".") and len(message) < 600
    return message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"name":"a","name":"b"}', "key 'name' is there twice"),
        (b'{"name":"a","parts":{"x":1,"x":1}}', "key 'x' is there twice"),
        (b'{"name":"a","weight":NaN}', "NaN is not a JSON number"),
        (b'{"name":"a","weight":-Infinity}', "-Infinity is not a JSON number"),
        (b'{"name":"a","weight":1e400}', "number '1e400' is too large for a double"),
        (b'{"name":"a","weight":1' + b"0" * 400 + b"}", "is too large for a double"),
        (b'{"name":"a","size":1' + b"0" * 5000 + b"}", "is too large for a double"),
        (b'\xef\xbb\xbf{"name":"a"}', "byte order mark"),
        (b'{"name":"\xff"}', "byte 10 (0xff) is not UTF-8"),
        (b'{"name":"\\ud800"}', "x.jsonl:3: "),
        ('{"name":"a"}'.encode("utf-16"), "byte 1 (0xff) is not UTF-8"),
        (b"[" * 100_000, "is nested too deep"),
        (b'{"name":' + b'{"a":' * 500 + b"1" + b"}" * 501, "x.jsonl:3: "),
        (b'{"name":"a"', "is not JSON (Expecting ',' delimiter at character 12)"),
        (b'{"name":"a"} {}', "is not JSON (Extra data at character 14)"),
        (b"[]", "is []. Allowed is a JSON object"),
        (b'"' + b"a" * 10_000 + b'"', "Allowed is a JSON object"),
        (b"{}", "field 'name' is missing"),
        (b'{"name":"a","nome":"b"}', "field 'nome' is unknown"),
        (b'{"name":"a","\\u001b[2Jx":1}', "field '\\x1b[2Jx' is unknown"),
        (b'{"name":"a","size":"1"}', "field 'size' is '1'. Input should be a valid integer"),
        (b'{"name":"a","size":true}', "field 'size' is True. Input should be a valid integer"),
        (b'{"name":"a","size":1.5}', "field 'size' is 1.5"),
        (b'{"name":"a","parts":{"x":null}}', "field 'parts.x' is None"),
        (b'{"name":"a","more":["a",1]}', "field 'more.1' is 1. Input should be a valid string"),
    ],
)
def test_a_hostile_line_is_refused_in_one_sentence(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_our_own_rules_are_told_in_their_own_words() -> None:
    data = b'{"start_seconds":3,"end_seconds":3,"boxes":[[0,0,0,1,1]]}'
    assert refusal(data, Evidence) == ("x.jsonl:3: end_seconds 3.0 is not after start_seconds 3.0.")


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60)
    | st.text(alphabet='{}[]",:\\ue1+-NaIny0. \n', max_size=40).map(str.encode)
)
def test_any_bytes_give_a_record_or_a_sentence(data: bytes) -> None:
    try:
        record = files.parse_record(data, Thing, where="x")
    except UserError as error:
        assert str(error).startswith("x: ")
    else:
        assert isinstance(record, Thing)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), JSON_VALUES))
def test_the_canonical_spelling_does_not_depend_on_order(value: dict[str, object]) -> None:
    spelled = files.canonical_json(value)
    backwards = dict(reversed(value.items()))
    assert files.canonical_json(backwards) == spelled
    assert files.canonical_json(json.loads(spelled)) == spelled
    assert files.digest(value) == hashlib.sha256(spelled).hexdigest()


def test_half_a_surrogate_pair_does_not_stop_a_run(tmp_path: Path) -> None:
    files.write_jsonl(tmp_path / "x.jsonl", [Thing(name="cannot read a\udcff.mp4")])
    assert files.read_jsonl(tmp_path / "x.jsonl", Thing) == [Thing(name="cannot read a?.mp4")]


def test_the_canonical_spelling_is_this_one() -> None:
    value = {"b": [1, 1.0, 0.1, 1e22, True, None], "a": "é\n"}
    assert files.canonical_json(value) == '{"a":"é\\n","b":[1,1.0,0.1,1e+22,true,null]}'.encode()
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match="Out of range"):
            files.canonical_json(number)


def test_ids_are_ordered_as_people_count() -> None:
    ids = ["q10", "q2", "q1", "10", "9", "v2-q10", "v2-q9", "v10-q1", "q01"]
    assert sorted(ids, key=files.id_order) == (
        ["9", "10", "q01", "q1", "q2", "q10", "v2-q9", "v2-q10", "v10-q1"]
    )


THINGS = st.builds(
    Thing,
    name=st.text(st.characters(codec="utf-8"), max_size=8),
    size=st.integers(-(2**70), 2**70),
    weight=st.floats(allow_nan=False, allow_infinity=False),
    parts=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), st.just(0.5)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(THINGS, min_size=1, max_size=5))
def test_records_survive_the_disk(
    tmp_path_factory: pytest.TempPathFactory, things: list[Thing]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    files.write_jsonl(folder / "x.jsonl", things)
    files.write_json(folder / "x.json", things[0])
    assert files.read_jsonl(folder / "x.jsonl", Thing) == things
    assert files.read_json(folder / "x.json", Thing) == things[0]
    assert files.sha256_file(folder / "x.jsonl") == files.digest_records(things)


def test_a_message_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"name":"a"}\n{"name":1}\n')
    with pytest.raises(UserError, match=r"^x\.jsonl:2: field 'name' is 1\. "):
        files.read_jsonl(path, Thing)
    with pytest.raises(UserError, match=r"^run7/x\.jsonl:2: "):
        files.read_jsonl(path, Thing, name="run7/x.jsonl")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"^x\.jsonl: is empty"),
        (b"\n", r"^x\.jsonl:1: is an empty line"),
        (b'{"name":"a"}\n\n', r"^x\.jsonl:2: is an empty line"),
        (b'{"name":"a"}\r\n', r"^x\.jsonl:1: ends with CR LF"),
        (b'{"name":"a"}\r{"name":"b"}\n', r"^x\.jsonl:1: is not JSON"),
        (b'{"name":"' + b"a" * files.MAX_LINE_BYTES + b'"}\n', r"^x\.jsonl:1: is longer than"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    with pytest.raises(UserError, match=said):
        files.read_jsonl(path, Thing)


def test_a_file_without_lines_may_be_allowed(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()
    assert files.read_jsonl(tmp_path / "x.jsonl", Thing, may_be_empty=True) == []


def test_huge_files_are_refused_unread(tmp_path: Path) -> None:
    for name in ("x.json", "x.jsonl"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(files.MAX_JSONL_BYTES + 1)
    with pytest.raises(UserError, match=r"^x\.json: is longer than"):
        files.read_json(tmp_path / "x.json", Thing)
    with pytest.raises(UserError, match=r"^x\.jsonl: is longer than"):
        files.read_jsonl(tmp_path / "x.jsonl", Thing)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.json").touch()
    for path, said in (
        (tmp_path, "is a folder or a device"),
        (tmp_path / "pipe", "is a folder or a device"),
        (Path("/dev/zero"), "is a folder or a device"),
        (tmp_path / "none", r"cannot be read \(No such file or directory\)"),
        (tmp_path / "empty.json", "is empty"),
    ):
        with pytest.raises(UserError, match=said):
            files.read_json(path, Thing)
    with pytest.raises(UserError, match="is a folder"):
        files.sha256_file(tmp_path)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(UserError):
            files.read_json(tmp_path, Thing)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    files.write_jsonl(path, [Thing(name="old")])

    def things() -> Iterator[Thing]:
        yield Thing(name="new")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        files.write_jsonl(path, things())
    assert files.read_jsonl(path, Thing) == [Thing(name="old")]
    assert list(tmp_path.iterdir()) == [path]


def test_writing_where_it_is_not_possible_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written") as caught:
        files.write_json(tmp_path / "file" / "x.json", {})
    assert caught.value.exit_code == 1


def test_what_cannot_be_removed_is_refused_in_a_sentence(tmp_path: Path) -> None:
    files.remove_file(tmp_path / "nothing")
    (tmp_path / "x.json").mkdir()
    with pytest.raises(UserError, match=r"x\.json: cannot be removed") as caught:
        files.remove_file(tmp_path / "x.json")
    assert caught.value.exit_code == 1


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    threads = [
        threading.Thread(target=files.write_json, args=(path, {"name": str(i) * 10_000}))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = files.read_json(path, Thing).name
    assert len(name) == 10_000 and len(set(name)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HLVID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_where_the_environment_says(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files.cache_dir() == cache
    monkeypatch.setenv("HLVID_CACHE", "")
    assert files.cache_dir().name == "hlvid"


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"one")
    first = sha256_cached(path)
    assert first == hashlib.sha256(b"one").hexdigest()

    stamp = path.stat().st_mtime_ns
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp, stamp))
    assert sha256_cached(path) == first
    assert sha256_cached(path, verify=True) == hashlib.sha256(b"two").hexdigest()

    path.write_bytes(b"three")
    assert sha256_cached(path) == hashlib.sha256(b"three").hexdigest()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"key": 1, "sha256": "no"}'])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, cache: Path, damage: bytes) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"one")
    sha256_cached(path)
    (note,) = (cache / "digests").iterdir()
    note.write_bytes(damage)
    assert sha256_cached(path) == hashlib.sha256(b"one").hexdigest()


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, cache: Path) -> None:
    cache.touch()
    path = tmp_path / "big"
    path.write_bytes(b"one")
    assert sha256_cached(path) == hashlib.sha256(b"one").hexdigest()


def test_a_record_with_lists_reads_back_as_tuples() -> None:
    video = Video(
        video_id="v", width=2, height=2, duration_seconds=1, fps=1, license="CC0-1.0", source="s"
    )
    assert files.parse_record(files.canonical_json(video), Video, where="x") == video


class Notes(Record):
    """A record with a free mapping, whose keys a stranger chooses."""

    name: str | None = None
    notes: Mapping[str, str | int | float | bool] = {}
    anything: Any = None


_KEYS = st.sampled_from(["name", "notes", "anything", "a", ":a", "", "b ", "\\u0061", "a\\\\"])
_VALUES = st.sampled_from(
    ['"x"', '":a"', '","', "1", "1" * 310, "1e400", "-0.0", "NaN", "true", '{"a":1}', '"\\u0000"']
)
_SPACES = st.sampled_from(["", " ", "\t"])


@st.composite
def _objects(draw, values):
    pairs = draw(st.lists(st.tuples(_KEYS, _SPACES, _SPACES, values), max_size=5))
    return "{" + ",".join(f'{c}"{k}"{b}:{v}' for k, b, c, v in pairs) + "}"


@given(_objects(_VALUES | _objects(_VALUES)))
def test_the_fast_parse_lets_nothing_through_that_the_careful_one_refuses(text: str) -> None:
    def outcome() -> object:
        try:
            return files.parse_record(text.encode(), Notes, where="x")
        except UserError as error:
            return str(error)

    fast = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_plainly_valid", lambda data, type_: None)
        assert repr(outcome()) == repr(fast)


def test_more_lines_than_allowed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"name":"a"}\n' * 3)
    assert len(files.read_jsonl(tmp_path / "x.jsonl", Thing, max_records=3)) == 3
    with pytest.raises(UserError, match=r"^x\.jsonl:3: is one line too many. Allowed are 2"):
        files.read_jsonl(tmp_path / "x.jsonl", Thing, max_records=2)
