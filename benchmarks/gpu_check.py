"""Measure everything about the GPU path of AutoGaze: right first, then fast. JSON lines out.

Needs torch (2.11 or later, with CUDA), triton, numpy and safetensors; no video library, no hub.
Each section is guarded: one that fails is an error line, and the others go on. The last line says
what was not run. Released weights are not needed: the timed model has the released sizes and
seeded random weights, so nothing here speaks of accuracy.

    python benchmarks/gpu_check.py --out benchmarks/results/gpu_check.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gpu_parity  # noqa: E402
import gpu_speed  # noqa: E402
import torch  # noqa: E402
from gpu_arm import Line  # noqa: E402

Section = Callable[[], Iterator[Line]]
SECTIONS: dict[str, Section] = {
    "machine": gpu_speed.machine,
    "attention": gpu_parity.attention,
    "choose": gpu_parity.choosing,
    "fixtures": gpu_parity.fixtures,
    "agreement": gpu_parity.agreement,
    "select": gpu_parity.select,
    "invariance": gpu_parity.invariance,
    "lock_step": gpu_speed.lock_step,
    "threshold": gpu_speed.threshold,
    "tower": gpu_speed.tower,
}
NOT_RUN = {
    "language_model_towers": "the second stage, which needs transformers",
    "reconstruction_loss": "needs the released VideoMAE weights",
    "released_weights": "not on the machine: seeded random weights of the released sizes instead",
}


def run_section(name: str, section: Section, file: TextIO) -> bool:
    """Run one section, line by line into the file and onto stdout; whether all of it passed."""
    began, passed = time.perf_counter(), True

    def emit(line: Line) -> None:
        text = json.dumps({"section": name, **line})
        file.write(text + "\n")
        file.flush()
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    try:
        for line in section():
            passed &= line.get("ok") is not False
            emit(line)
    except Exception as error:  # noqa: BLE001  (the other sections go on)
        passed = False
        sys.stderr.write(traceback.format_exc())
        emit({"ok": False, "error": f"{type(error).__name__}: {error}"[:500]})
    emit({"seconds": round(time.perf_counter() - began, 1)})
    return passed


def main() -> int:
    """Run the sections asked for; 0 when every check passed."""
    parser = argparse.ArgumentParser(description="Measure the GPU path of AutoGaze.")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/gpu_check.jsonl")
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--upstream", type=Path, help="a checkout of NVlabs/AutoGaze")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write("gpu_check: no CUDA device. Run it where there is one.\n")
        return 2
    sections = {name: SECTIONS[name] for name in arguments.only}
    skipped = NOT_RUN | {name: "not asked for" for name in SECTIONS if name not in sections}
    if arguments.upstream is None:
        skipped["upstream"] = "needs a checkout (--upstream) and transformers 4.51 beside torch"
    else:
        sections["upstream"] = partial(gpu_speed.upstream, arguments.upstream)
    sections["not_run"] = lambda: iter([skipped])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", encoding="utf-8") as file:
        passed = [run_section(name, section, file) for name, section in sections.items()]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
