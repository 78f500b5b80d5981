"""AutoGaze on a CPU against the released implementation, in interleaved runs. JSON lines out.

Same weights (seeded, of the released sizes), same clips, fp32. Machines drift from minute to
minute, so each repeat times ours, theirs and a matrix product one after the other, and ratios are
of one repeat. Needs a checkout of NVlabs/AutoGaze and a Python that has transformers 4.51.

    python benchmarks/cpu_check.py --upstream PATH   # writes benchmarks/results/cpu_check.jsonl
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from measure import Row, Rows, parser, result_file  # noqa: E402
from upstream import load_upstream, select  # noqa: E402

from gaze.config import autogaze_base  # noqa: E402
from gaze.model import AutoGaze  # noqa: E402
from hlvid.console import progress  # noqa: E402

BENCHMARK = "cpu_check"
CASES = [(1, 0.1, 2.0), (4, 0.1, 2.3), (1, 0.75, 2.8)]
"""Batch, gazing ratio, and how many times faster ours must be."""
GFLOP_A_CLIP = {0.1: 30.4, 0.75: 68.8}
"""Work of one clip of 16 frames: linear layers, attention in three layers, encoder."""


def seconds(work: Callable[[], object]) -> float:
    """Wall clock of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def matmul_gflops() -> float:
    """fp32 matrix products a second, now."""
    a = torch.randn(1536, 1536)
    return 2 * 1536**3 / min(seconds(lambda: a @ a) for _ in range(4)) / 1e9


def compare(batch: int, ratio: float, models: tuple[Any, Any], repeats: int) -> Row:
    """Time one case, ours and theirs by turns."""
    ours, theirs = models
    video = torch.randn(batch, 16, 3, 224, 224, generator=torch.Generator().manual_seed(batch))
    found = ours.select(video, gazing_ratio=ratio).positions
    expected = select(theirs, video, gazing_ratio=ratio)
    runs = []
    for _ in range(repeats):
        rate = matmul_gflops()
        mine = seconds(lambda: ours.select(video, gazing_ratio=ratio))
        other = seconds(lambda: select(theirs, video, gazing_ratio=ratio))
        runs.append((other / mine, mine, other, mine / (GFLOP_A_CLIP[ratio] * batch / rate)))
    times, mine_s, other_s, share = (
        statistics.median(column) for column in zip(*runs, strict=True)
    )
    return {
        "equal": torch.equal(found, expected),
        "repeats": repeats,
        "ours_s": round(mine_s, 3),
        "upstream_s": round(other_s, 3),
        "times_faster": round(times, 2),
        "times_faster_spread": [round(f([run[0] for run in runs]), 2) for f in (min, max)],
        "time_over_matmul_time": round(share, 2),
    }


def main() -> int:
    """Time all cases; 0 when the choices are equal and every ratio is met."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--upstream", type=Path, required=True, help="a checkout of it")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = options.parse_args()
    torch.set_num_threads(asked.threads)
    cases = CASES[:1] if asked.quick else CASES
    config = autogaze_base()
    models = AutoGaze.from_seed(config, 0), load_upstream(asked.upstream, config, seed=0)
    settings = {"threads": asked.threads, "repeats": asked.repeats}
    with (
        Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows,
        progress(len(cases), BENCHMARK) as bar,
    ):
        for batch, ratio, wanted in cases:
            bar.advance(note=f"{batch} clips at ratio {ratio}")
            key = {"batch": batch, "gazing_ratio": ratio}
            if not rows.find("case", **key):
                row = compare(batch, ratio, models, 1 if asked.quick else asked.repeats)
                rows.add("case", **key, **row, wanted=wanted, is_met=row["times_faster"] >= wanted)
        return 0 if all(row["equal"] and row["is_met"] for row in rows.find("case")) else 1


if __name__ == "__main__":
    sys.exit(main())
