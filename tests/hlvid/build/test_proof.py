"""From a spec file to a published package, offline: the proof itself, at its smallest in 4K."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hlvid.build.verify import verify


@pytest.fixture
def prove():
    path = Path(__file__).parents[3] / "benchmarks" / "prove.py"
    spec = importlib.util.spec_from_file_location("prove", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_good_and_spoiled_sources_become_a_published_package_that_a_reader_sits(
    prove, tmp_path, monkeypatch, writable_hub
):
    monkeypatch.setenv("HLVID_CACHE", os.fspath(tmp_path / "cache"))
    page = tmp_path / "build.md"
    words = [
        *("--out", str(tmp_path), "--doc", str(page), "--videos", "1", "--seconds", "20"),
        *("--target-seconds", "15", "--per-video", "2", "--audit", "random-letter"),
        *("--frames", "1", "--limit", "1", "--once"),
    ]
    prove.main(words)
    told = page.read_text()
    for code in ("duplicate", "upscaled", "hdr", "truncated", "too_short"):
        assert code in told
    assert verify(tmp_path / "package") == []
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs").glob("*/run.json")]
    assert len(records) == 3
    assert all(r["status"] == "complete" and not r["summary"]["num_failed"] for r in records)
    script = Path(sys.executable).parent / "hlvid-build"
    done = subprocess.run(
        [script, "publish", tmp_path / "package", "--repo", "me/exam"],
        env={**os.environ, **writable_hub.environment(), "HF_TOKEN": "hf_secret"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    manifest = (tmp_path / "package" / "manifest.json").read_bytes()
    assert writable_hub.find("me/exam", "1.0.0").files["manifest.json"] == manifest
    # Said once more, it finds everything made: no source, no task, no answer twice.
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "site").iterdir()}
    lines = {path: path.read_bytes() for path in (tmp_path / "work" / "journal").rglob("*.jsonl")}
    prove.main(words)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "site").iterdir()} == kept
    assert all(path.read_bytes() == data for path, data in lines.items())
    assert (tmp_path / "package" / "manifest.json").read_bytes() == manifest
    with pytest.raises(SystemExit, match="other settings"):
        prove.main([*words, "--per-video", "1"])
    assert page.read_text() == told
    assert "script-three" in told


def test_a_log_keeps_what_is_the_same_and_nothing_after_what_is_not(prove, tmp_path):
    path = tmp_path / "log.jsonl"
    one = prove.Log(path)
    for typed, printed in (("a", "1"), ("b", "2"), ("c", "3")):
        one.add(typed, printed)
    same = prove.Log(path)
    same.add("a", "1")
    assert same.before("b") == "2"
    other = prove.Log(path)
    other.add("a", "1")
    other.add("b", "two")
    assert other.before("c") is None
    other.add("c", "3")
    assert prove.Log(path).told == [("a", "1"), ("b", "two"), ("c", "3")]


def test_the_page_tells_one_ruling_and_how_many_were_like_it(prove, tmp_path):
    asked, given = [f"q{number}" for number in range(4)], tmp_path / "annotations" / "rulings"
    log, ran = prove.Log(tmp_path / "log.jsonl"), []

    def run(*words, is_told=True, is_once=False, more=""):
        if words[1] == "questions":
            ruled = given / "script-three.jsonl"
            known = ruled.read_text() if ruled.exists() else ""
            rows = [{"question_id": q, "code": None if q in known else "disputed"} for q in asked]
            return json.dumps([*rows, {"question_id": "settled", "code": None}])
        if is_once and log.before(words[3]):
            return log.before(words[3])
        ran.append(words[3])
        if words[3] == stop:
            raise KeyboardInterrupt
        give_ruling(words[3])
        if is_told:
            log.add(words[3], f"{words[3]}: accept\n{more}")
        return ""

    def give_ruling(question_id):
        fields = {"adjudicator": "script-three", "decision": "accept", "reason": "r"}
        line = {**fields, "question_id": question_id, "wording_sha256": "0" * 64}
        given.mkdir(parents=True, exist_ok=True)
        with (given / "script-three.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    stop = "q2"
    with pytest.raises(KeyboardInterrupt):
        prove.accept_disputed(tmp_path, tmp_path / "spec.toml", run)
    assert ran == ["q0", "q1", "q2"]
    log, stop = prove.Log(tmp_path / "log.jsonl"), None
    prove.accept_disputed(tmp_path, tmp_path / "spec.toml", run)
    assert ran[3:] == ["q2", "q3"]
    assert log.told == [("q0", "q0: accept\n(3 more such commands, one a disputed question)\n")]
