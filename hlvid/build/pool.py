"""Doing many tasks on this machine: in processes for decoding, in threads for the network.

A task that ends its process (out of memory, a decoder's crash) is tried once more alone, and then
put under quarantine, so that it cannot keep the others from being done.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from hlvid.build.codes import Ended
from hlvid.build.pacing import Pacer
from hlvid.build.performing import Finished, finish, perform
from hlvid.build.stage import Bench, Task
from hlvid.processes import POLL_SECONDS, worker_processes

Done = tuple[Task[Any], Finished]
_Running = dict[Future[Finished], Task[Any]]


def in_this_process(tasks: Sequence[Task[Any]], bench: Bench) -> Generator[Done, None, None]:
    """Do the tasks one after another, here."""
    for task in tasks:
        yield task, perform(task, bench)


def in_processes(
    tasks: Sequence[Task[Any]], bench: Bench, *, num_workers: int
) -> Generator[Done, None, None]:
    """Do the tasks in processes of their own, yielding each as it is done."""
    left = deque(tasks)
    while left:
        running: _Running = {}
        try:
            with worker_processes(min(num_workers, len(left))) as pool:
                yield from _flow(
                    left, running, lambda task: pool.submit(perform, task, bench), num_workers
                )
        except BrokenProcessPool:
            for suspect in list(running.values()):
                yield suspect, _alone(suspect, bench)


def in_threads(
    tasks: Sequence[Task[Any]],
    bench: Bench,
    *,
    num_workers: int,
    pacer: Pacer,
    pins: Callable[[Task[Any]], str | None],
) -> Generator[Done, None, None]:
    """Do the tasks in threads that share one pace, yielding each as it is done."""
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="fetch")

    def submit(task: Task[Any]) -> Future[Finished]:
        return pool.submit(perform, task, bench, pacer=pacer, pin=pins(task))

    try:
        yield from _flow(deque(tasks), {}, submit, num_workers)
    finally:
        pacer.stop()
        pool.shutdown(cancel_futures=True)


def _flow(
    left: deque[Task[Any]],
    running: _Running,
    submit: Callable[[Task[Any]], Future[Finished]],
    num_workers: int,
) -> Generator[Done, None, None]:
    """Keep workers busy until nothing is left; `running` holds what has not been yielded yet."""
    while left or running:
        while left and len(running) < num_workers:
            task = left.popleft()
            try:
                running[submit(task)] = task
            except BrokenProcessPool:
                left.appendleft(task)
                raise
        done, _ = wait(running, POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            finished = future.result()
            yield running.pop(future), finished


def _alone(task: Task[Any], bench: Bench) -> Finished:
    try:
        with worker_processes(1) as pool:
            return pool.submit(perform, task, bench).result()
    except BrokenProcessPool:
        return finish(task, Ended("worker_killed", "twice"), {})
