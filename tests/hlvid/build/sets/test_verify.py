"""What tampering with a package does."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from hlvid.build.lock import LOCK_FILE
from hlvid.build.package import MANIFEST_FILE, package
from hlvid.build.rows import content_sha256, structured_parquet, structured_schema
from hlvid.build.split import split
from hlvid.build.verify import verify
from hlvid.datasets.parquet import read_rows


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: (p / "videos" / "extra.mp4").write_bytes(b"x"), "is not in manifest.json"),
        (lambda p: (p / "facts.json").unlink(), "is missing"),
        (lambda p: next((p / "videos").iterdir()).unlink(), "is missing"),
        (lambda p: replace(p / "README.md", b"A try", b"A lie"), "its bytes have changed"),
        (lambda p: replace(p / "test" / "questions.jsonl", b'"answer":"', b'"answer":"Z'), "test"),
        (lambda p: swap_link(p / "facts.json"), "is no regular file"),
        (lambda p: replace(p / LOCK_FILE, b'"order":[', b'"order":[9,'), "order"),
    ],
)
def test_whatever_is_changed_is_noticed(desk, tmp_path, harm, said):
    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    harm(tmp_path / "out")
    assert any(said in problem for problem in verify(tmp_path / "out"))


def test_a_manifest_that_follows_a_forged_row_is_still_refused(desk, tmp_path):
    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    lines = records(tmp_path / "out" / "test" / "questions.jsonl")
    lines[0]["answer"] = "ABCD"["BCDA".index(lines[0]["answer"])]
    forge(tmp_path / "out", "test/questions.jsonl", as_lines(lines))
    told = verify(tmp_path / "out")
    assert any("letters are not those" in problem for problem in told)
    assert any("is not in questions.jsonl" in problem for problem in told)


def forged(out, rows):
    """Structured rows put in the place of a package's, its manifest following them."""
    data = structured_parquet(rows, canary="none")
    digests = {"structured/test": content_sha256(rows)}
    forge(out, "structured/test-00000-of-00001.parquet", data, digests)


def forged_stem(out, rows):
    forged(out, [{**rows[0], "stem": "Which number is on door 9?"}, *rows[1:]])


def forged_evidence(out, rows):
    rows[0]["evidence"][0]["boxes"][0]["x1"] += 1
    forged(out, rows)


def forged_order(out, rows):
    forged(out, rows[::-1])


def forged_number(out, rows):
    rows[0]["blind_gap"] = float("nan")
    data = structured_parquet(rows, canary="none")
    forge(out, "structured/test-00000-of-00001.parquet", data)


def forged_type(out, rows):
    schema = structured_schema()
    place = schema.get_field_index("ruling")
    schema = schema.set(place, pa.field("ruling", pa.timestamp("us")))
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    data = sink.getvalue().to_pybytes()
    forge(out, "structured/test-00000-of-00001.parquet", data)


def forged_clip(out, rows):
    lines = records(out / "clips.jsonl")
    lines[0]["license"] = "CC0-1.0"
    forge(out, "clips.jsonl", as_lines(lines), {"clips": content_sha256(lines)})


def forged_clip_bytes(out, rows):
    name = records(out / "clips.jsonl")[0]["video_path"]
    forge(out, f"videos/{name}", b"another film")


def clip_that_is_no_number(out, rows):
    data = (out / "clips.jsonl").read_bytes().replace(b'"fps":', b'"fps":NaN,"x":', 1)
    forge(out, "clips.jsonl", data)


def forged_lock(out, rows):
    lines = records(out / LOCK_FILE)
    lines[0]["content_sha256"] = "0" * 64
    forge(out, LOCK_FILE, as_lines(lines), {"lock": content_sha256(lines)})


def letters_by_hand(out, rows):
    lines = records(out / LOCK_FILE)
    lines[0]["policy"]["salt"] += "x"
    forge(out, LOCK_FILE, as_lines(lines), {"lock": content_sha256(lines)})


def longer_than_any(out, rows):
    lines = records(out / "test" / "questions.jsonl")
    for field in ("stem", "text"):
        lines[0][field] = "Which? " * 1000 + lines[0][field]
    forge(out, "test/questions.jsonl", as_lines(lines))


def split_that_is_not_locked(out, rows):
    data = (out / "data" / "test-00000-of-00001.parquet").read_bytes()
    forge(out, "data/dev-00000-of-00001.parquet", data)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (forged_stem, "structured/test-00000-of-00001.parquet: row 0 is not in questions.jsonl"),
        (forged_evidence, "row 0 is not in questions.jsonl"),
        (forged_order, "row 1 is not in questions.jsonl"),
        (forged_number, "holds what is no number"),
        (forged_type, "column ruling is of type 'timestamp[us]'"),
        (forged_clip, "is not as in clips.jsonl"),
        (forged_clip_bytes, "is not the file in manifest.json"),
        (clip_that_is_no_number, "clips.jsonl:1: "),
        (forged_lock, "is not what splits.lock.jsonl holds"),
        (letters_by_hand, "do not follow from its policy"),
        (longer_than_any, "field 'stem'"),
        (split_that_is_not_locked, "is no part of a package"),
    ],
)
def test_a_forgery_that_the_manifest_follows_is_a_problem(desk, tmp_path, harm, said):
    work, _ = desk.settled(num_each=1)
    split(work)
    out = tmp_path / "out"
    package(work, out)
    path = out / "structured" / "test-00000-of-00001.parquet"
    harm(out, read_rows(path, structured_schema().names))
    assert any(said in problem for problem in verify(out)), verify(out)


def test_a_parent_without_a_lock_is_a_problem(desk, tmp_path):
    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    assert verify(tmp_path / "out", parent=tmp_path) != []


def replace(path: Path, old: bytes, new: bytes):
    data = path.read_bytes()
    assert old in data
    path.chmod(0o644)
    path.write_bytes(data.replace(old, new, 1))


def swap_link(path: Path):
    copy = path.with_name("copy.json")
    path.rename(copy)
    path.symlink_to(copy)


def records(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def as_lines(content) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in content).encode()


def forge(folder: Path, name: str, data: bytes, digests=None):
    """Put other bytes into a package and let its manifest follow."""
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    sha256 = hashlib.sha256(data).hexdigest()
    manifest["files"][name] = {"sha256": sha256, "num_bytes": len(data)}
    manifest["content_sha256"] |= digests or {}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
