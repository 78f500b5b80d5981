"""Rules about questions that were asked again: the replies are the same, and nothing was kept."""

from collections.abc import Iterator

import numpy as np

from hlvid.performance import PERFORMANCE_FILE, Performance, Timed
from hlvid.runs import Run
from hlvid.statistics.clusters import Floats
from leaderboard.measures import END_TO_END

PERFORMANCE = "performance"
MAX_FASTER = 0.1
"""How much faster a question may be when it is asked again: more means that it was remembered."""


def remembered(ratios: Floats, file: str) -> Iterator[str]:
    """What to say where later times of questions, as shares of their first, are too short."""
    ratio = float(np.median(ratios))
    if ratio < 1 - MAX_FASTER:
        yield (
            f"{file}: asked again, a question takes {ratio:.0%} of its first time (median). "
            f"Allowed is no less than {1 - MAX_FASTER:.0%}: nothing may be remembered."
        )


def performance(run: Run, found: Performance) -> Iterator[str]:
    """Asked again for its times, a question gets the run's reply and is no tenth faster."""
    replies = {p.question_id: p.response for p in run.predictions}
    changed = {
        one.question_id for one in found.timed if one.response != replies.get(one.question_id)
    }
    if changed and run.record.model.load_format != "dummy":
        asked = {one.question_id for one in found.timed}
        yield (
            f"{PERFORMANCE_FILE}: another reply than the run's at {len(changed)} of {len(asked)} "
            f"questions, first {min(changed)}."
        )
    if len(ratios := _ratios(found.timed)):
        yield from remembered(ratios, PERFORMANCE_FILE)


def _ratios(timed: tuple[Timed, ...]) -> Floats:
    """Each later time of a question by its first one."""
    first = {one.question_id: one for one in timed if one.number == 0}
    pairs = [
        (one.stage_ms.get(END_TO_END), first[one.question_id].stage_ms.get(END_TO_END))
        for one in timed
        if one.number > 0 and one.question_id in first
    ]
    return np.array([again / before for again, before in pairs if again and before])


RULES = ((PERFORMANCE, performance),)
"""For those who list them."""
