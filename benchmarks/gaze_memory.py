"""Peak memory of gazing at a 4K video in a stream, for few and for many frames of it.

AutoGaze of the released size with random weights, by `hlvid-gaze run`: frames spread evenly over
the 300 s clip of bench_video.py, 45 views a frame. The budget is small because gazing takes long on
few cores; memory grows with it by no more than the caches of the clips that are decoded together.

    python benchmarks/gaze_memory.py                # writes benchmarks/results/gaze_memory.jsonl
    python benchmarks/gaze_memory.py --num-frames 64 256 1024
    python benchmarks/gaze_memory.py --quick
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench_video import HEIGHT, WIDTH, make_clip  # noqa: E402
from measure import Row, Rows, parser, result_file  # noqa: E402

from hlvid.console import say  # noqa: E402

BENCHMARK = "gaze_memory"
SELECTOR = "autogaze"
NUM_FRAMES = (64, 256)
BUDGET = 0.02
TARGET_RATIO, TARGET_GIB = 1.10, 3.0


def write_model(folder: Path) -> None:
    """A checkpoint of the released size with random weights."""
    from upstream import config_json

    from gaze.config import autogaze_base
    from gaze.weights import random_weights, write_checkpoint

    config = autogaze_base()
    terms = {"license": "random numbers without terms"}
    write_checkpoint(folder, config_json(config) | terms, random_weights(config, 0))


def gaze(video: Path, weights: Path, num_frames: int, budget: float) -> Row:
    """Gaze at some frames by the command: its tokens, seconds, and most memory."""
    command = Path(sys.executable).with_name("hlvid-gaze")
    words = [command, "run", video, "--weights", weights, "--budget", budget, "--json"]
    words += ["--frames", num_frames, "--out", weights / "gaze.npz"]
    began = time.perf_counter()
    with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"hlvid-gaze run: exit code {process.returncode}")
    return {
        "num_frames": num_frames,
        "num_tokens": told["num_tokens"],
        "seconds": round(time.perf_counter() - began, 1),
        "peak_rss_bytes": usage.ru_maxrss * 1024,
    }


def run(asked: argparse.Namespace, rows: Rows) -> None:
    """One process for each number of frames, then their ratio."""
    say("making the clip, unless it is there")
    path = make_clip("h264")
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        for n in asked.num_frames:
            if not rows.find("memory", num_frames=n):
                found = gaze(path, Path(folder), n, asked.budget)
                rows.add("memory", width=WIDTH, height=HEIGHT, **found)
    peaks = [row["peak_rss_bytes"] for row in rows.find("memory")]
    ratio, most_gib = max(peaks) / min(peaks), max(peaks) / 2**30
    rows.add(
        "memory ratio",
        num_frames=asked.num_frames,
        ratio=round(ratio, 4),
        target_ratio=TARGET_RATIO,
        most_gib=round(most_gib, 3),
        target_gib=TARGET_GIB,
        is_met=ratio <= TARGET_RATIO and most_gib < TARGET_GIB,
    )


def main() -> None:
    """Run what the command line asks for."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--num-frames", nargs="+", type=int, default=list(NUM_FRAMES))
    options.add_argument("--budget", type=float, default=BUDGET, help="share of tokens to keep")
    asked = options.parse_args()
    if asked.quick:
        asked.num_frames = [1, 2]
    settings = {"selector": SELECTOR, "num_frames": asked.num_frames, "budget": asked.budget}
    with Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows:
        run(asked, rows)


if __name__ == "__main__":
    main()
