"""What lies beside a run's own three files: the plan that it names, and times taken again.

Both lie in the run's folder, or in the one around it, where `hlvid-eval` writes them.

A plan says which comparison decides, and by how much less accuracy an arm is still no worse. It is
believed only where it is there, has the digest that the record names and is of the run's exam.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hlvid.errors import UserError
from hlvid.performance import PERFORMANCE_FILE, Performance, read_performance
from hlvid.plans import PLAN_FILE, Plan, read_plan
from hlvid.runs import Run
from hlvid.types import RunRecord
from leaderboard.rules import Problem
from leaderboard.rules.again import PERFORMANCE, performance
from leaderboard.rules.groups import PLAN

T = TypeVar("T")


def read_beside(run: Run) -> tuple[Plan | None, tuple[Problem, ...]]:
    """The plan of a run, and what is wrong with what lies beside it.

    Never raises for what a file says.
    """
    plan, problems = None, []
    try:
        plan = plan_of(run.folder, run.record)
    except UserError as error:
        problems.append(Problem(PLAN, str(error)))
    try:
        found = performance_of(run.folder, run.record)
        messages = () if found is None else performance(run, found)
        problems += [Problem(PERFORMANCE, message) for message in messages]
    except UserError as error:
        problems.append(Problem(PERFORMANCE, str(error)))
    return plan, tuple(problems)


def plan_of(folder: Path, record: RunRecord) -> Plan | None:
    """The plan that a run names; None where it names none.

    Args:
        folder: The run's.
        record: The run's.

    Raises:
        UserError: It is not there, cannot be read, or is of another exam.
    """
    if record.plan_sha256 is None:
        return None
    for plan in _near(folder, PLAN_FILE, read_plan):
        if plan.sha256 != record.plan_sha256:
            continue
        if not plan.is_of(record):
            raise UserError(f"{PLAN_FILE}: is of another exam than the run that names it.")
        return plan
    raise UserError(
        f"run.json: plan_sha256 is {record.plan_sha256}, but no {PLAN_FILE} of that digest lies in "
        "the run's folder or beside it. Send it along."
    )


def performance_of(folder: Path, record: RunRecord) -> Performance | None:
    """What was timed of a run when its questions were asked again; None where nothing was.

    Args:
        folder: The run's.
        record: The run's.

    Raises:
        UserError: The file is not in order.
    """
    for found in _near(folder, PERFORMANCE_FILE, read_performance):
        if (own := found.of_run(record.run_id)).timed:
            return own
    return None


def _near(folder: Path, name: str, read: Callable[[Path], T | None]) -> Iterator[T]:
    for place in (folder, folder.parent):
        if (place / name).is_symlink():
            raise UserError(f"{name}: is a link. Allowed are regular files.")
        if (found := read(place)) is not None:
            yield found
