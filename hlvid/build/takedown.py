"""Taking something down: its media go and cannot come back; its id and the reason stay."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hlvid.build import journal
from hlvid.build.clip import clips_of
from hlvid.build.codes import clean
from hlvid.build.records import Clip, Media
from hlvid.build.stage import SCRATCH, Task, scratch_name
from hlvid.build.stages import CANDIDATE_STAGES, CLIP_STAGES, STAGES
from hlvid.build.work import Tombstone, Work, all_media
from hlvid.errors import UserError
from hlvid.files import shown


@dataclass(frozen=True)
class TakenDown:
    """What was done.

    Args:
        id: Of the candidate or clip.
        num_files: Removed from the store.
        num_bytes: Of these.
        also: Other items that hold the very same bytes, and lost them too.
    """

    id: str
    num_files: int
    num_bytes: int
    also: tuple[str, ...]


def take_down(work: Work, item: str, reason: str) -> TakenDown:
    """Remove the media of a candidate or a clip and note why.

    It may be asked for again: what an earlier call was killed before doing is done then.

    Args:
        work: The work folder; its manifests are written again.
        item: Id of a candidate, or of a clip.
        reason: For the manifests, which are published: no name of a person.

    Raises:
        UserError: There is no such item, or the reason is empty.
    """
    reason = clean(reason, max_characters=300)
    if not reason:
        raise UserError("--reason: is empty. Say why, without names: it is published.")
    tasks = _tasks(work, item)
    media = _media(work, item, tasks)
    if not tasks and item not in work.tombstones:
        raise UserError(
            f"takedown: {shown(item)} is neither a candidate nor a clip. "
            "See the ids: hlvid-build status SPEC --items."
        )
    known = work.tombstones.get(item)
    media = {**{m.sha256: m for m in (known.media if known else ())}, **media}
    also = _holders(work, item, set(media))
    work.bury(Tombstone(id=item, reason=reason, media=tuple(media[s] for s in sorted(media))))
    removed = [each for each in media.values() if work.store.remove(each)]
    for task in tasks:
        folder = work.folder / SCRATCH / scratch_name(task.stage.name, task.key)
        shutil.rmtree(folder, ignore_errors=True)
    items = frozenset(task.item.id for task in tasks)
    for stage in (*CANDIDATE_STAGES, *CLIP_STAGES):
        journal.drop(work.journal_folder(stage), items)
    work.reload()
    for stage in STAGES:
        work.publish(stage)
    return TakenDown(item, len(removed), sum(m.num_bytes for m in removed), also)


def _tasks(work: Work, item: str) -> Sequence[Task[Any]]:
    """All that was or would be done for a candidate or a clip."""
    stages = (*CANDIDATE_STAGES, *CLIP_STAGES)
    found = [t for s in stages for t in work.tasks(s) if item in (t.item.id, t.item.candidate)]
    return found


def _media(work: Work, item: str, tasks: Sequence[Task[Any]]) -> dict[str, Media]:
    clips = [clip for _, clip in clips_of(work) if clip.clip_id == item]
    keys = {task.key for task in tasks}
    entries = [e for s in (*CANDIDATE_STAGES, *CLIP_STAGES) for e in work.entries(s)]
    found = [*_files(clips), *all_media(e for e in entries if e.task in keys)]
    return {media.sha256: media for media in found}


def _files(clips: Sequence[Clip]) -> list[Media]:
    return [clip.file for clip in clips]


def _holders(work: Work, item: str, digests: set[str]) -> tuple[str, ...]:
    """Items of others that name any of these objects."""
    mine = {item}
    found = {
        entry.item
        for stage in (*CANDIDATE_STAGES, *CLIP_STAGES)
        for entry in work.entries(stage)
        if not mine & {entry.item, entry.candidate}
        and any(media.sha256 in digests for media in all_media([entry]))
    }
    parents = {candidate for candidate, clip in clips_of(work) if clip.clip_id == item}
    return tuple(sorted(found - parents))
