"""Brings the lock up to what was settled; everything that is published is made from the lock."""

from hlvid.build.adjudicate import ADJUDICATE, Settled
from hlvid.build.codes import State
from hlvid.build.dedup import DEDUP
from hlvid.build.lock import Lock, LockLine, Member, lock_path, read_lock
from hlvid.build.stages import QUESTION_STAGES
from hlvid.build.work import Work
from hlvid.errors import UserError
from hlvid.files import id_order, write_bytes


def split(work: Work) -> tuple[Lock, list[LockLine]]:
    """Bring the lock up to what is settled now.

    Returns:
        The lock, and the lines that were appended.

    Raises:
        UserError: Some question or clip is not done, or the lock cannot follow; see `Lock.extend`.
    """
    pending = work.num_pending(ADJUDICATE)
    if pending:
        raise UserError(
            f"split: {pending} items are not done. Run first: hlvid-build run SPEC.", exit_code=1
        )
    path = lock_path(work.bench.spec_folder)
    with work.locked("split"):
        lock = read_lock(path)
        before = lock.to_bytes()
        kin = _sources_of_groups(work)
        members = [member_of(each, kin[each.group_id]) for _, each in work.passed(ADJUDICATE)]
        by_channel = work.spec.dedup.group_by_channel
        lines = lock.extend(members, _gone(work), work.spec.split, group_by_channel=by_channel)
        if not lock.lines:
            raise UserError("split: no question is settled. See: hlvid-build questions SPEC.")
        after = lock.to_bytes()
        if after != before:
            write_bytes(path, [after])
    return lock, lines


def member_of(settled: Settled, sources: tuple[str, ...] = ()) -> Member:
    """A question that was settled, as the lock takes it."""
    clip_sha256 = settled.clip.file.sha256
    return Member(settled.draft, settled.group_id, settled.category, clip_sha256, sources)


def _sources_of_groups(work: Work) -> dict[str, tuple[str, ...]]:
    """Group -> the candidates of its clips, of those too that were left out as duplicates."""
    found: dict[str, set[str]] = {}
    for task in work.tasks(DEDUP):
        found.setdefault(task.item.input.group_id, set()).add(task.item.candidate or task.item.id)
    return {group: tuple(sorted(each, key=id_order)) for group, each in found.items()}


def _gone(work: Work) -> dict[str, str]:
    """Question -> why it is not in the set; what failed and is tried again is not gone."""
    return {
        entry.item: entry.code or ""
        for stage in QUESTION_STAGES
        for entry in work.entries(stage)
        if entry.state in (State.REJECTED, State.QUARANTINED, State.TOMBSTONED)
    }
