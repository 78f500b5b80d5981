"""How the four commands speak: data on stdout, narration on stderr, bars on terminals only."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from hlvid.errors import UserError
from hlvid.memory import give_memory_back

if TYPE_CHECKING:
    import typer

PLAIN_INTERVAL_SECONDS = 15.0
"""How often progress is told where there is no terminal."""


def say(text: str) -> None:
    """Print one line of narration to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def run(app: "typer.Typer") -> NoReturn:
    """Run a command; a `UserError` becomes one line and its exit code, Ctrl-C becomes 130."""
    give_memory_back()
    try:
        app()
    except UserError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)
    finally:
        # Nothing is left to stop; another Ctrl-C would only print a traceback of the exit itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(0)


class Progress:
    """How far a long piece of work is, told on stderr."""

    def __init__(self, total: int, label: str) -> None:
        self._total = total
        self._label = label
        self._done = 0
        self._is_terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._told = self._started

    def advance(self, num: int = 1, note: str = "") -> None:
        """Count `num` more items as done; `note` says what is being done now."""
        self._done += num
        now = time.monotonic()
        is_last = self._done >= self._total
        if self._is_terminal:
            end = "\n" if is_last else ""
            print(f"\r\x1b[K{self._line(now, note)}", end=end, file=sys.stderr, flush=True)  # noqa: T201
        elif is_last or now - self._told >= PLAIN_INTERVAL_SECONDS:
            self._told = now
            say(self._line(now, note))

    def _line(self, now: float, note: str) -> str:
        elapsed = now - self._started
        left = elapsed / self._done * (self._total - self._done) if self._done else 0.0
        filled = round(20 * self._done / self._total) if self._total else 20
        bar = "#" * filled + "." * (20 - filled)
        text = f"{self._label} [{bar}] {self._done}/{self._total}"
        text += f" {elapsed:.0f} s" + (f", {left:.0f} s left" if left >= 1 else "")
        return f"{text} {note}".rstrip()


@contextmanager
def progress(total: int, label: str) -> Iterator[Progress]:
    """Tell the progress of `total` items of work called `label`."""
    yield Progress(total, label)
