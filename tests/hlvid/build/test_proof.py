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
