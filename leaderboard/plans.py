"""What was declared before a run was made: the plan that its record names.

A plan says which comparison decides, and by how much less accuracy an arm is still no worse. It is
believed only where it is there, has the digest that the record names and is of the run's exam.
"""

from pathlib import Path

from hlvid.errors import UserError
from hlvid.plans import PLAN_FILE, Plan, read_plan
from hlvid.types import RunRecord


def plan_of(folder: Path, record: RunRecord) -> Plan | None:
    """The plan that a run names; None where it names none.

    Args:
        folder: The run's. The plan lies in it, or beside it, where `hlvid-eval plan` writes it.
        record: The run's.

    Raises:
        UserError: It is not there, cannot be read, or is of another exam.
    """
    if record.plan_sha256 is None:
        return None
    for place in (folder, folder.parent):
        if (place / PLAN_FILE).is_symlink():
            raise UserError(f"{PLAN_FILE}: is a link. Allowed are regular files.")
        plan = read_plan(place)
        if plan is not None and plan.sha256 == record.plan_sha256:
            break
    else:
        raise UserError(
            f"run.json: plan_sha256 is {record.plan_sha256}, but no {PLAN_FILE} of that digest "
            "lies in the run's folder or beside it. Send it along."
        )
    if not plan.is_of(record):
        raise UserError(f"{PLAN_FILE}: is of another exam than the run that names it.")
    return plan
