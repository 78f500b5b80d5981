"""One pace for all that goes to the network: gaps between downloads, and one pause for everything.

A pause outlives the process: it is noted in the work folder, so that a run started again at once
does not knock at a server that has just said to wait.
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from hlvid.build.codes import CODES, Ended
from hlvid.build.spec import FetchRules
from hlvid.console import say
from hlvid.errors import UserError
from hlvid.files import write_json

MAX_PAUSE_SECONDS = 6 * 3600.0
"""Whatever a server asks for."""
MAX_BACKOFF_SECONDS = 60.0
TOLD_FROM_SECONDS = 5.0
"""Shorter pauses are not told of."""

T = TypeVar("T")


class Pacer:
    """Shared by all threads of a run.

    Args:
        note: The file that remembers a pause.
        seconds_between: Least time between the starts of two downloads from a site.
    """

    def __init__(self, note: Path, *, seconds_between: float) -> None:
        self._note = note
        self._between = seconds_between
        self._lock = threading.Lock()
        self._next = self._told = 0.0
        self._stopping = threading.Event()

    def wait(self, *, is_site: bool) -> None:
        """Block until a request may go out.

        Raises:
            Ended: network, where the run is being stopped.
        """
        while True:
            with self._lock:
                now = time.time()
                until = max(self._paused_until(), self._next if is_site else 0.0)
                if until <= now:
                    if is_site:
                        self._next = now + self._between
                    return
            self._tell(until)
            self.sleep(until - now)

    def _tell(self, until: float) -> None:
        """Say once that all wait for the end of a pause."""
        with self._lock:
            is_told = until <= self._told or until != self._paused_until()
            self._told = max(self._told, until) if not is_told else self._told
        if not is_told and until - time.time() > TOLD_FROM_SECONDS:
            then = datetime.fromtimestamp(until).astimezone().strftime("%H:%M:%S")
            say(f"paused until {then}: a server asked for it ({self._note.name} notes it)")

    def sleep(self, seconds: float) -> None:
        """Block for a time.

        Raises:
            Ended: network, where the run is being stopped.
        """
        if self._stopping.wait(seconds):
            raise Ended("network", "stopped before it was asked for")

    def check(self) -> None:
        """Go on, unless the run is being stopped.

        Raises:
            Ended: network, where it is.
        """
        if self._stopping.is_set():
            raise Ended("network", "stopped before it was done")

    def pause(self, seconds: float) -> None:
        """Let nothing go out for a time; a longer pause that runs already stays."""
        until = time.time() + min(max(seconds, 0.0), MAX_PAUSE_SECONDS)
        with self._lock, suppress(UserError):
            if until > self._paused_until():
                write_json(self._note, {"paused_until_unix_seconds": until})

    def stop(self) -> None:
        """Let every waiting thread end."""
        self._stopping.set()

    def _paused_until(self) -> float:
        try:
            until = float(json.loads(self._note.read_bytes())["paused_until_unix_seconds"])
        except (OSError, ValueError, TypeError, KeyError):
            return 0.0
        # A clock that was set back must not stop the work for years.
        return until if until <= time.time() + MAX_PAUSE_SECONDS else 0.0


def persevere(
    action: Callable[[], T], rules: FetchRules, pacer: Pacer, *, is_site: bool = False
) -> T:
    """Do something that may fail for a while, as often as the rules allow.

    Where a server says that too much is asked of it, everything pauses, not this alone.

    Args:
        action: Raises `Ended` where it fails.
        rules: How often, and how long after a failure.
        pacer: Asked before every try.
        is_site: Whether to keep the gap between downloads from a site.

    Raises:
        Ended: As the last try ended, or the first whose code is not tried again.
    """
    for attempt in range(rules.num_tries):
        pacer.wait(is_site=is_site)
        try:
            return action()
        except Ended as end:
            if end.code == "rate_limited":
                asked = end.after_seconds
                pacer.pause(rules.pause_seconds if asked is None else asked)
            code = CODES[end.code]
            if not code.is_retried or code.stops or attempt + 1 == rules.num_tries:
                raise
            if end.code != "rate_limited":
                pacer.sleep(min(MAX_BACKOFF_SECONDS, rules.backoff_seconds * 2**attempt))
    raise AssertionError("num_tries is at least 1")
