"""How long 200 runs of 2,700 questions take to become pages, and how much memory: bench_pages.py.

Usage: bench_pages.py [NUM_VIDEOS] [NUM_GROUPS]. Runs are generated, then built in a process of its
own, whose time and largest memory are printed as JSON.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PER_VIDEO = 3
ROOT = Path(__file__).parents[1]


def main(num_videos: int = 900, num_groups: int = 8) -> None:
    """Generate `num_groups` commands of 25 runs each, build them, print what it took."""
    lab = _lab()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        num_runs = _write(lab, folder, num_videos, num_groups)
        started = time.monotonic()
        command = [sys.executable, "-c", "from leaderboard.cli import main; main()", "build"]
        command += [str(folder / "runs"), "--questions", str(folder / "exam")]
        command += ["--out", str(folder / "site")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = {
            "num_runs": num_runs,
            "num_questions": num_videos * PER_VIDEO,
            "num_cores": len(os.sched_getaffinity(0)),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
            "largest_process_mib": used.ru_maxrss // 1024,
            "index_kb": (folder / "site" / "index.html").stat().st_size // 1000,
            "num_pages": sum(1 for _ in (folder / "site").rglob("*.html")),
        }
    print(json.dumps(found, indent=2))


def _lab() -> Any:  # noqa: ANN401
    place = ROOT / "tests" / "leaderboard" / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab", place)
    if spec is None or spec.loader is None:
        raise SystemExit(f"error: {place} cannot be loaded.")
    lab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab)
    return lab


def _write(lab: Any, folder: Path, num_videos: int, num_groups: int) -> int:  # noqa: ANN401
    """Write the exam and the runs; say how many."""
    from hlvid import datasets
    from hlvid.types import ArmSettings

    exam = lab.exam(num_videos=num_videos, per_video=PER_VIDEO)
    datasets.write(folder / "exam", exam)
    arms = lab.arms("qwen")
    arms += [
        ArmSettings(gaze="on", selector=selector, budget=budget)
        for selector in ("change", "uniform", "centre")
        for budget in (0.02, 0.05, 0.1, 0.2)
    ]
    for group in range(num_groups):
        model = lab.MODELS["qwen"].model_copy(update={"revision": str(group)})
        for arm in arms:
            answers = lab.predictions(exam, model, arm)
            lab.write(
                folder / "runs",
                exam,
                "qwen",
                arm,
                answers=answers,
                model=model,
                group_id=f"{group:016x}",
            )
    return num_groups * len(arms)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
