"""When a run ends before its end: nothing that is finished may be lost, nothing else may go on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hlvid.console import say
from hlvid.errors import UserError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class CannotGoOn(UserError):
    """The run has to end now, as opposed to one question or one video that failed."""


class Stopped(CannotGoOn):
    """The user asked for the end; the item at hand was finished first."""

    def __init__(self) -> None:
        super().__init__("stopped.", exit_code=INTERRUPTED)


class Halt:
    """Whether the user has asked for the end."""

    def __init__(self) -> None:
        self.is_asked = False

    def check(self) -> None:
        """Go on, or end between two items.

        Raises:
            Stopped: The user has asked for the end.
        """
        if self.is_asked:
            raise Stopped


@contextmanager
def on_signals() -> Iterator[Halt]:
    """Turn the first Ctrl-C or SIGTERM into a request; a second Ctrl-C ends at once."""
    halt = Halt()

    def ask(number: int, frame: FrameType | None) -> None:
        if halt.is_asked:
            raise KeyboardInterrupt
        halt.is_asked = True
        say("finishing the item at hand; Ctrl-C again stops at once")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield halt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
