"""What the measurements share: result files that a stopped run goes on with, and timing by turns.

Machines drift from minute to minute. Ways that are compared are therefore timed one after the other
in every round, in turned order, and a ratio is that of two times of one round.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from evaluators.provenance import git_state, hardware, software
from hlvid.console import say
from hlvid.statistics.intervals import RatioInterval, geometric_mean_ratio

if TYPE_CHECKING:
    import torch

RESULTS = Path(__file__).resolve().parent / "results"
SOFTWARE = ("python", "numpy", "torch", "av", "libavcodec")
"""Whose version can change a time."""

Row = dict[str, Any]
Way = TypeVar("Way", bound=Hashable)


class Rows:
    """The rows of one benchmark, in a file that is there whole or not at all.

    Until all of them are there, they are in NAME.unfinished.jsonl. A run that finds one with the
    same first row (machine, software, commit, settings) goes on with it; any other is begun anew.

    Args:
        benchmark: Its name.
        out: The file; None for standard output alone.
        settings: Whatever decides what the rows mean.
    """

    def __init__(self, benchmark: str, out: Path | None, settings: Mapping[str, object]) -> None:
        self._out = out
        first = {"row": "machine", "benchmark": benchmark, **machine(), "settings": dict(settings)}
        self.rows: list[Row] = []
        if out is not None:
            self._unfinished = out.with_name(f"{out.stem}.unfinished.jsonl")
            self.rows = _whole_lines(self._unfinished)
            if self.rows and self.rows[0] != json.loads(json.dumps(first)):
                say(f"{self._unfinished.name}: of another machine, commit or setting. Begun anew.")
                self.rows = []
            out.parent.mkdir(parents=True, exist_ok=True)
            self._unfinished.write_text("".join(_line(row) for row in self.rows), encoding="utf-8")
        if self.rows:
            say(f"{benchmark}: goes on after {len(self.rows)} rows")
        else:
            self._write(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._out is None:
            return
        if kind is None:
            self._unfinished.replace(self._out)
        else:
            say(f"{self._unfinished.name}: {len(self.rows)} rows. The same command goes on.")

    def find(self, row: str, **key: object) -> list[Row]:
        """The rows of a kind that agree with all that is given."""
        return [r for r in self.rows if r["row"] == row and all(r[k] == v for k, v in key.items())]

    def add(self, row: str, **values: object) -> Row:
        """Write one row."""
        self._write({"row": row, **values})
        return self.rows[-1]

    def _write(self, row: Row) -> None:
        self.rows.append(row)
        if self._out is not None:
            with self._unfinished.open("a", encoding="utf-8") as file:
                file.write(_line(row))
        sys.stdout.write(_line(row))
        sys.stdout.flush()


def _line(row: Row) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _whole_lines(path: Path) -> list[Row]:
    """The rows of a file, up to the first that a killed process left cut."""
    rows: list[Row] = []
    if not path.is_file():
        return rows
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not line.endswith("\n") or not isinstance(row, dict):
            break
        rows.append(row)
    return rows


def machine() -> Row:
    """What a time depends on besides what is timed."""
    here = hardware()
    commit, is_dirty = git_state()
    versions = software()
    return {
        "cpu": here.cpu,
        "num_cores": here.num_cores,
        "memory_gib": round(here.memory_bytes / 2**30, 1),
        "gpus": list(here.gpus),
        "software": {name: versions[name] for name in SOFTWARE if name in versions},
        "git_commit": commit,
        "git_dirty": is_dirty,
    }


def parser(benchmark: str, doc: str | None) -> argparse.ArgumentParser:
    """The options that every measurement has."""
    found = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument(
        "--out",
        type=Path,
        help=f"result file (benchmarks/results/{benchmark}.jsonl; with --quick none)",
    )
    found.add_argument("--quick", action="store_true", help="smallest sizes, to try the script")
    return found


def result_file(benchmark: str, asked: argparse.Namespace) -> Path | None:
    """Where the rows go: what was tried with --quick never replaces a measurement."""
    if asked.out is not None or asked.quick:
        out: Path | None = asked.out
        return out
    return RESULTS / f"{benchmark}.jsonl"


class Clock:
    """Milliseconds between marks: device events, read once at the end, or the monotonic clock."""

    def __init__(self, device: torch.device | None = None) -> None:
        self._is_cuda = device is not None and device.type == "cuda"
        self._marks: list[Any] = []
        if self._is_cuda:
            import torch

            torch.cuda.synchronize()

    def mark(self) -> None:
        """End a stage and begin the next."""
        if not self._is_cuda:
            self._marks.append(time.perf_counter() * 1e3)
            return
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)

    def stages_ms(self) -> list[float]:
        """Milliseconds of each stage."""
        pairs = zip(self._marks[:-1], self._marks[1:], strict=True)
        if not self._is_cuda:
            return [b - a for a, b in pairs]
        self._marks[-1].synchronize()
        return [a.elapsed_time(b) for a, b in pairs]


def by_turns(
    ways: Mapping[Way, Callable[[Clock], object]],
    *,
    rounds: int,
    device: torch.device | None = None,
) -> dict[Way, list[list[float]]]:
    """Milliseconds of every stage of every way in every round; the order turns each round.

    Args:
        ways: Each is called with a clock, on which it marks where one of its stages ends and the
            next begins.
        rounds: How often.
        device: That the clock is of.
    """
    found: dict[Way, list[list[float]]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            clock = Clock(device)
            clock.mark()
            ways[name](clock)
            clock.mark()
            found[name].append(clock.stages_ms())
    return found


def median_ms(rounds: Sequence[float]) -> float:
    """The median of a stage's times, to a thousandth."""
    return round(statistics.median(rounds), 3)


def times_faster(slow: Sequence[float], fast: Sequence[float]) -> Row:
    """Geometric mean of the rounds' ratios, with a bootstrap of the rounds where there are some."""
    found: RatioInterval = geometric_mean_ratio(slow, fast, [str(i) for i in range(len(slow))])
    bounds = [None if v is None else round(v, 4) for v in (found.low, found.high)]
    return {
        "speed_up": round(found.ratio, 4),
        "speed_up_low": bounds[0],
        "speed_up_high": bounds[1],
    }
