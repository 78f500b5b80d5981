"""The GPU check's second stage, on a CPU with small dimensions: the same code, smaller numbers."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_towers_are_timed_with_and_without_gaze(tmp_path):
    out = tmp_path / "towers.jsonl"
    words = ["--device", "cpu", "--dimensions", "small-qwen2.5-vl", "--canvases", "392x224"]
    script = ROOT / "benchmarks" / "gpu_towers.py"
    done = subprocess.run(
        [sys.executable, str(script), *words, "--out", str(out)], check=True, capture_output=True
    )
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert done.stdout.decode() == out.read_text()
    full, *kept, fits = lines
    assert (full["tokens"], full["views"]) == (8 * 14 * 8, 1)
    assert [line["tokens"] for line in kept] == [8 * 28, 8 * 11, 8 * 5]
    assert all(line["gaze_ms"] > 0 and line["tower_ms"] > 0 for line in kept)
    assert fits["most_frames_by_kept"]["0.1"] > fits["most_frames_by_kept"]["1"]
