"""Turn benchmarks/results/*.jsonl into docs/benchmarks.md and its picture; no other numbers.

What has no result file yet is named with the command that measures it. The page depends on nothing
but the result files.

    python benchmarks/report.py
    python benchmarks/report.py --results /tmp/results --out /tmp/page
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import report_build  # noqa: E402
import report_cpu  # noqa: E402
from measure import RESULTS, Row  # noqa: E402
from plot import break_even_map  # noqa: E402
from report_gpu import gpu_part  # noqa: E402

from hlvid.console import say  # noqa: E402
from hlvid.files import write_bytes  # noqa: E402

DOCS = ROOT / "docs"
PAGE = "benchmarks.md"
Part = Callable[[Sequence[Row]], list[str]]
PARTS: tuple[tuple[str, str, str, Part], ...] = (
    ("Where gazing pays on a CPU", "break_even", "bench", report_cpu.break_even_part),
    ("The paper's grid", "paper_grid", "bench", report_cpu.grid_part),
    ("Gaze before a small MLLM on a CPU", "mllm_break_even", "bench", report_cpu.mllm_part),
    ("1,024 frames of 4K in one prompt", "mllm_long", "bench-long", report_cpu.long_part),
    ("The released code on a CPU", "cpu_check", "bench-upstream", report_cpu.upstream_part),
    ("Which roundings change a choice", "rounding", "bench", report_cpu.rounding_part),
    ("Gazing at 4K in a stream", "gaze_memory", "bench", report_cpu.memory_part),
    ("Training", "bench_train", "bench", report_cpu.training_part),
    ("Reading 4K frames", "bench_video", "bench", report_cpu.reading_part),
    ("Building a benchmark", "build_throughput", "bench", report_build.build_part),
    ("What the builder takes for a copy", "build_copies", "bench", report_build.copies_part),
    ("What the builder takes for 4K", "build_thresholds", "bench", report_build.thresholds_part),
    ("Resizing", "resize_difference", "bench", report_cpu.resize_part),
    ("Intervals", "coverage", "bench", report_cpu.coverage_part),
)
"""Heading, result file, target of make, and what makes Markdown of it."""


def read_rows(path: Path) -> list[Row]:
    """The rows of a result file; none where it is not there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pages(results: Path) -> dict[str, str]:
    """The page and its pictures, by file name."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench-report` from the files in "
        "[benchmarks/results](../benchmarks/results), and from nothing else.",
        "",
    ]
    for path in sorted(results.glob("gpu_check*.jsonl")):
        lines += gpu_part(read_rows(path))
    for heading, name, target, part in PARTS:
        rows = read_rows(results / f"{name}.jsonl")
        lines += [f"## {heading}", ""]
        if not rows:
            lines += [
                f"Not measured yet: `make {target}` writes `benchmarks/results/{name}.jsonl`."
            ]
            lines += [""]
            continue
        lines += [*report_cpu.machine_part(rows), *part(rows)]
    found = {PAGE: "\n".join(lines).rstrip() + "\n"}
    cells = [row for row in read_rows(results / "break_even.jsonl") if row["row"] == "cell"]
    if cells:
        found[report_cpu.MAP] = break_even_map(cells)
    return found


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the page")
    asked = parser.parse_args()
    for name, text in pages(asked.results).items():
        write_bytes(asked.out / name, [text.encode()])
        say(f"{name}: written")


if __name__ == "__main__":
    main()
