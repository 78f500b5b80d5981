"""How far runs differ that differ in nothing which is judged: no effect below that is one.

Two runs of one arm differ by the machine's chance. Keep-all by our code and by transformers' own
differ by the implementation (COMPARISON.md 6).
"""

import contextlib
import itertools
from collections.abc import Iterable

from hlvid.errors import UserError
from hlvid.statistics.columns import Graded
from hlvid.statistics.pairing import pair_runs, run_name
from hlvid.types import STOCK_CODE, Variant

IMPLEMENTATIONS: tuple[Variant, Variant] = ("off-bare", STOCK_CODE)
"""All tokens of the canvas and nothing else: by our code, and by the stock model's own."""
ASKED_THE_SAME = ("model", "frames", "generation", "benchmark", "seed")


def find_noise_floor(runs: Iterable[Graded]) -> float | None:
    """The largest flip rate of what ought to answer alike; None where nothing of it was sat.

    It is of the machine and the code, so it holds for every comparison of the group.

    Args:
        runs: Of one group. Those that could not run, or cannot be paired, tell nothing.
    """
    by_id = {run.record.run_id: run for run in runs}
    rates = []
    for first, second in itertools.combinations(by_id.values(), 2):
        if is_repeat(first, second) or are_implementations(first, second):
            with contextlib.suppress(UserError):
                rates.append(flip_rate(first, second))
    return max(rates, default=None)


def flip_rate(first: Graded, second: Graded) -> float:
    """Share of questions that only one of two runs has right which ought to answer alike.

    Of the questions that both answered: one that failed, for want of memory perhaps, is no flip.

    Raises:
        UserError: The runs are not paired, neither two of one arm nor two implementations of it, or
            answered no question both.
    """
    if not (is_repeat(first, second) or are_implementations(first, second)):
        raise UserError(
            f"{run_name(first.record)} and {run_name(second.record)}: are not two runs of one arm. "
            "A flip rate needs the same model, arm, frames and generation settings."
        )
    pairs = pair_runs(first, second, allow_other_group=True)
    flips = (pairs.arm.is_correct != pairs.reference.is_correct)[pairs.is_answered]
    if not flips.size:
        raise UserError(f"{run_name(first.record)}: shares no answered question with the other.")
    return float(flips.mean())


def is_repeat(run: Graded, reference: Graded) -> bool:
    """Whether two runs are of one arm, asked the same way."""
    return run.record.arm == reference.record.arm and _asked_alike(run, reference)


def are_implementations(run: Graded, other: Graded) -> bool:
    """Whether two runs show all tokens and nothing else, one by our code, the other by stock."""
    variants = {run.record.arm.variant, other.record.arm.variant}
    return variants == set(IMPLEMENTATIONS) and _asked_alike(run, other)


def _asked_alike(run: Graded, other: Graded) -> bool:
    ours, theirs = run.record, other.record
    return all(getattr(ours, field) == getattr(theirs, field) for field in ASKED_THE_SAME)
