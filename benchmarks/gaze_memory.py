"""Peak memory of gazing at a 4K video in a stream, for few and for many frames of it.

AutoGaze of the released size with random weights, through the selector, as `hlvid-gaze run` does
it: frames spread evenly over the 300 s clip of bench_video.py, 45 views a frame. Each number of
frames has a process of its own. The budget is small because gazing takes long on few cores; memory
grows with it by no more than the caches of the clips that are decoded together.

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
from measure import Rows, parser, result_file  # noqa: E402

from evaluators.timing import peak_memory_bytes  # noqa: E402
from gaze.selectors import Request  # noqa: E402
from gaze.video import gaze_at  # noqa: E402
from hlvid.console import progress, say  # noqa: E402
from hlvid.memory import share_one_arena  # noqa: E402
from hlvid.video import VideoReader, uniform_indices  # noqa: E402

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


def gaze(path: Path, weights: str, num_frames: int, budget: float) -> None:
    """Gaze at some frames and print what the process had in memory at most."""
    share_one_arena()  # as every command does
    request = Request(budget=budget, weights=weights, seed=0, video_id="bench")
    began = time.perf_counter()
    with VideoReader(path) as reader, progress(num_frames, f"{num_frames} frames") as bar:
        index = uniform_indices(reader.info.num_frames, num_frames)
        gazed = gaze_at(reader, index, SELECTOR, request, watch=lambda *_: bar.advance())
    found = {
        "num_frames": num_frames,
        "num_tokens": sum(ids.size for ids in gazed.kept.tokens),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_rss_bytes": peak_memory_bytes(),
    }
    sys.stdout.write(json.dumps(found) + "\n")


def run(asked: argparse.Namespace, rows: Rows) -> None:
    """One process for each number of frames, then their ratio."""
    say("making the clip, unless it is there")
    path = make_clip("h264")
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        for n in asked.num_frames:
            if rows.find("memory", num_frames=n):
                continue
            words = [sys.executable, __file__, "--gaze", os.fspath(path), folder, str(n)]
            words += ["--budget", str(asked.budget)]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            rows.add("memory", width=WIDTH, height=HEIGHT, **json.loads(done.stdout))
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
    options.add_argument("--gaze", nargs=3, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.gaze:
        path, weights, n = asked.gaze
        gaze(Path(path), weights, int(n), asked.budget)
        return
    if asked.quick:
        asked.num_frames = [1, 2]
    settings = {"selector": SELECTOR, "num_frames": asked.num_frames, "budget": asked.budget}
    with Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows:
        run(asked, rows)


if __name__ == "__main__":
    main()
