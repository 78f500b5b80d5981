"""How long the stages of an answer took, and how much memory they had at once."""

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

END_TO_END = "end_to_end"
"""All stages of a question, decoding included."""
FIRST_TOKEN = "first_token"
"""All stages up to the first token, gaze included; told where prefill and generation are apart."""
DECODE, GAZE, PREFILL, GENERATE = "decode", "gaze", "prefill", "generate"

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class Stopwatch:
    """Milliseconds a stage; a stage entered twice adds up.

    On a CPU they are read off the monotonic clock. On CUDA every stage is two events on the stream,
    which are read once, when the times are asked for: the stages are one timeline, and none of them
    waits for the device.

    Args:
        device: 'cpu', 'cuda' or 'cuda:1'.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._is_cuda = device.startswith("cuda")
        self._spans: list[tuple[str, Any, Any]] = []

    @property
    def stage_ms(self) -> dict[str, float]:
        """Milliseconds by stage, in the order in which they were first entered."""
        if self._is_cuda and self._spans:
            self._spans[-1][2].synchronize()
        stages: dict[str, float] = {}
        for name, start, end in self._spans:
            spent = start.elapsed_time(end) if self._is_cuda else (end - start) / 1e6
            stages[name] = stages.get(name, 0.0) + spent
        return stages

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, whether it ends well or not."""
        start = self._now()
        try:
            yield
        finally:
            self._spans.append((name, start, self._now()))

    def _now(self) -> Any:  # noqa: ANN401
        if not self._is_cuda:
            return time.perf_counter_ns()
        import torch

        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def charge(*parts: Mapping[str, float]) -> dict[str, float]:
    """The stages of one answer with their sum, and with the time to the first token.

    What a video's questions share (decoding, gazing, reading) is charged in full to each of them.
    """
    stages: dict[str, float] = {}
    for part in parts:
        for name, spent in part.items():
            stages[name] = stages.get(name, 0.0) + spent
    total = sum(stages.values())
    if PREFILL in stages and GENERATE in stages:
        stages[FIRST_TOKEN] = total - stages[GENERATE]
    return {**stages, END_TO_END: total}


def reset_peak_memory(device: str = "cpu") -> None:
    """Begin a new peak, where the system can: on Linux and on CUDA."""
    if device.startswith("cuda"):
        import torch

        for card in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(card)
        return
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return


def peak_memory_bytes(device: str = "cpu") -> int:
    """Most memory in use since the last reset: of all cards together, or resident in the process.

    Since the start of the process where the peak cannot be reset.
    """
    if device.startswith("cuda"):
        import torch

        return sum(map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count())))
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
