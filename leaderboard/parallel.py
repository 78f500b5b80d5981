"""Work that is cut into pieces and spread over the processor's cores, in the order it was given."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_processes(
    work: Callable[[T], R],
    items: Sequence[T],
    *,
    is_worth_it: bool,
    prepare: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
) -> Iterator[R]:
    """What `work` makes of each item, in the order of the items, each as soon as it is there.

    Args:
        work: A function of a module, called in any process.
        items: What it is called with, one at a time.
        is_worth_it: Whether starting processes pays; if not, all is done in this one.
        prepare: Called once in each process before the first item.
        given: What `prepare` is called with.
    """
    num_processes = min(len(os.sched_getaffinity(0)), len(items))
    if not is_worth_it or num_processes < 2:
        if prepare is not None:
            prepare(*given)
        yield from map(work, items)
        return
    # Forked processes share what was read before; where there is no fork, it is sent to them.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    with ProcessPoolExecutor(
        num_processes, mp_context=context, initializer=prepare, initargs=given
    ) as pool:
        yield from pool.map(work, items)
