"""How long the stages of an answer took, and how much memory they had at once."""

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

END_TO_END = "end_to_end"
"""All stages of a question, decoding included; model only is this without 'decode'."""

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class Stopwatch:
    """Milliseconds a stage, by the monotonic clock; a stage entered twice adds up."""

    def __init__(self) -> None:
        self.stage_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, whether it ends well or not."""
        started = time.perf_counter_ns()
        try:
            yield
        finally:
            spent = (time.perf_counter_ns() - started) / 1e6
            self.stage_ms[name] = self.stage_ms.get(name, 0.0) + spent


def charge(*parts: Mapping[str, float]) -> dict[str, float]:
    """The stages of one answer with their sum.

    What a video's questions share (decoding, gazing, reading) is charged in full to each of them.
    """
    stages: dict[str, float] = {}
    for part in parts:
        for name, spent in part.items():
            stages[name] = stages.get(name, 0.0) + spent
    return {**stages, END_TO_END: sum(stages.values())}


def reset_peak_memory() -> None:
    """Begin a new peak, where the system can: on Linux."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return


def peak_memory_bytes() -> int:
    """Most resident memory since the last reset; since the start where that cannot be reset."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
