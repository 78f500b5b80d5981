"""Several processes at one exam, as `accelerate launch` starts them, on one machine or many.

lmms-eval deals questions out one by one, in turns. Here they are put in such an order, padded, that
all questions of a video go to one process, which decodes it once. Each process keeps a ledger of
its own beside the first one's, which takes them over at the end, or at the next start: so a run
goes on with any other number of processes.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from evaluators.ledger import Ledger

PATIENCE = timedelta(weeks=52)
"""How long a process waits for the others: shares of videos are not equally long. lmms-eval's own
models wait as long; torch alone gives up after minutes."""


@dataclass(frozen=True)
class Ranks:
    """How many processes there are, and which one this is."""

    number: int = 0
    num: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes the runs and tells of them."""
        return self.number == 0

    def open_ledger(self, path: Path) -> Ledger:
        """This process's ledger, with all that was finished before.

        Args:
            path: Of the first process's ledger.

        Raises:
            LedgerError: It cannot be read or written.
        """
        if self.num == 1:
            return _with_others(Ledger(path), path)
        if not self.is_first:
            self.wait()
            return Ledger(_beside(path, self.number), base=path)
        ledger = _with_others(Ledger(path), path)
        self.wait()
        return ledger

    def join(self, ledger: Ledger, path: Path) -> None:
        """Wait for all, and let the first process take over what the others finished.

        Args:
            ledger: From `open_ledger`.
            path: Of the first process's ledger.
        """
        self.wait()
        if self.is_first:
            _with_others(ledger, path)

    def wait(self) -> None:
        """Go on when all processes are here."""
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def find_ranks() -> Ranks:
    """What the launcher says; a process of its own without one. Chooses this process's device."""
    num = int(os.environ.get("WORLD_SIZE", "1"))
    if num == 1:
        return Ranks()
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    return Ranks(state.process_index, state.num_processes)


def deal(docs: Sequence[Mapping[str, Any]], num_ranks: int) -> list[dict[str, Any]]:
    """Rows in an order in which every `num_ranks`-th one is of the same process's videos.

    Args:
        docs: One a question.
        num_ranks: Processes, which take rows in turns.

    Returns:
        All rows, and padding where the processes' shares differ.
    """
    if num_ranks == 1:
        return [dict(doc) for doc in docs]
    by_video: dict[str, list[Mapping[str, Any]]] = {}
    for doc in docs:
        by_video.setdefault(doc["video_id"], []).append(doc)
    shares: list[list[Mapping[str, Any]]] = [[] for _ in range(num_ranks)]
    for rows in sorted(by_video.values(), key=len, reverse=True):
        min(shares, key=len).extend(rows)
    padding = {**docs[0], "is_padding": True}
    longest = max(map(len, shares))
    return [
        dict(share[i]) if i < len(share) else dict(padding)
        for i in range(longest)
        for share in shares
    ]


def _beside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def _with_others(ledger: Ledger, path: Path) -> Ledger:
    """A ledger that has taken over what other processes left beside it."""
    for other in sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")):
        ledger.absorb(other)
    return ledger
