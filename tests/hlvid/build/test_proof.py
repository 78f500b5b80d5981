"""From a spec file to a published package, offline: the proof itself, at its smallest in 4K."""

import importlib.util
import json
import os
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


def test_good_and_spoiled_sources_become_a_package_that_a_reader_sits(prove, tmp_path, monkeypatch):
    monkeypatch.setenv("HLVID_CACHE", os.fspath(tmp_path / "cache"))
    page = tmp_path / "build.md"
    prove.main(
        [
            *("--out", str(tmp_path), "--doc", str(page), "--videos", "1", "--seconds", "20"),
            *("--target-seconds", "15", "--per-video", "2", "--audit", "random-letter"),
            *("--frames", "1", "--limit", "1", "--once"),
        ]
    )
    told = page.read_text()
    for code in ("duplicate", "upscaled", "hdr", "truncated", "too_short"):
        assert code in told
    assert verify(tmp_path / "package") == []
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs").glob("*/run.json")]
    assert len(records) == 3
    assert all(r["status"] == "complete" and not r["summary"]["num_failed"] for r in records)
