"""A pool of processes that end with whoever wants their work, however that one ends."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Event
from typing import Any

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1

POLL_SECONDS = 0.5
"""How soon a worker notices that its work is not wanted any more."""


def spawning() -> SpawnContext:
    """How processes are started: anew, so that no lock or thread is copied half-way."""
    return multiprocessing.get_context("spawn")


@contextmanager
def worker_processes(
    num: int, *, prepare: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes end at once when it is left by an error, or its process is killed.

    Args:
        num: How many there are.
        prepare: Called in each before its first task.
        arguments: Of `prepare`.
    """
    stop = spawning().Event()
    pool = ProcessPoolExecutor(
        num,
        mp_context=spawning(),
        initializer=_start,
        initargs=(os.getpid(), stop, prepare, arguments),
    )
    try:
        yield pool
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start(
    parent: int, stop: Event, prepare: Callable[..., None] | None, arguments: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent, stop), daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _end_with(parent: int, stop: Event) -> None:
    while os.getppid() == parent and not stop.is_set():
        time.sleep(POLL_SECONDS)
    os._exit(1)


def end_with_parent() -> None:
    """Of a new process, before its program runs: Linux kills it when the one that started it ends.

    It is what `subprocess` takes as `preexec_fn`. Elsewhere such a process goes on by itself.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
