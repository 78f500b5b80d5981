"""What became of every source and candidate, and whether the folder bears that out."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hlvid.build.clip import clips_of
from hlvid.build.codes import CODES, OF_THE_SOURCE, State
from hlvid.build.dedup import MATCH
from hlvid.build.discover import DISCOVER, LIST
from hlvid.build.records import Entry
from hlvid.build.stage import Stage
from hlvid.build.stages import CANDIDATE_STAGES, CLIP_STAGES, QUESTION_STAGES, STAGES
from hlvid.build.work import Work, all_media
from hlvid.errors import UserError
from hlvid.files import digest_records, sha256_file, write_bytes

LISTED = "listed"
SELECTED = "selected"
PENDING = "pending"


@dataclass(frozen=True)
class Ending:
    """What became of a source, a candidate, a clip or another item.

    Args:
        id: Its id.
        state: 'selected', of a source 'listed'; 'rejected', 'failed', 'quarantined' or
            'tombstoned'; 'pending' where a stage has not ended for it.
        stage: The last one that knows of it, or that is still to come.
        code: None where it is selected or pending.
        detail: What was found.
    """

    id: str
    state: str
    stage: str
    code: str | None = None
    detail: str | None = None

    @property
    def advice(self) -> str:
        """What a person can do about it."""
        return CODES[self.code].advice if self.code else ""

    @property
    def blocks(self) -> bool:
        """Whether all that comes after its stage lacks something, unless it passes."""
        return self.stage in (LIST.name, MATCH.name)


def source_endings(work: Work) -> list[Ending]:
    """What became of every source of the spec, in the order of names."""
    entries = _by_item(work, (LIST,))
    found = [_follow(task.item.id, (LIST,), entries) for task in work.tasks(LIST)]
    return [replace(e, state=LISTED) if e.state == SELECTED else e for e in found]


def readable(
    work: Work, *, tell: Callable[[str], None] | None = None
) -> tuple[Stage[Any, Any], ...]:
    """The stages, those of questions only where what people wrote can be read.

    A bad line of theirs keeps no video from being made or taken down.

    Args:
        work: The work folder.
        tell: Called with what is wrong.
    """
    try:
        for stage in QUESTION_STAGES:
            work.tasks(stage)
    except UserError as error:
        if tell:
            tell(str(error))
        return tuple(stage for stage in STAGES if stage not in QUESTION_STAGES)
    return STAGES


def damaged(work: Work, codes: Sequence[str]) -> frozenset[str]:
    """Candidates whose file, once fetched, ended with one of some codes that tell of the file."""
    wanted = set(codes) & set(OF_THE_SOURCE)
    return frozenset(
        entry.candidate
        for stage in (*CANDIDATE_STAGES, *CLIP_STAGES)
        for entry in work.entries(stage)
        if entry.code in wanted and entry.candidate is not None
    )


def troubles(work: Work, stages: Sequence[Stage[Any, Any]] = STAGES) -> list[Ending]:
    """What failed or is quarantined in some stages, in their order."""
    return [
        Ending(e.item, str(e.state), stage.name, e.code, e.detail)
        for stage in stages
        for e in work.entries(stage)
        if e.state in (State.FAILED, State.QUARANTINED)
    ]


def clip_endings(work: Work) -> dict[str, list[Ending]]:
    """Candidate -> what became of its clips."""
    entries = _by_item(work, CLIP_STAGES)
    found: dict[str, list[Ending]] = {}
    for candidate, clip in clips_of(work):
        found.setdefault(candidate, []).append(_follow(clip.clip_id, CLIP_STAGES, entries))
    return found


def candidate_endings(work: Work) -> list[Ending]:
    """What became of every candidate, each once, in the order of ids.

    One with clips is selected if one of them is; else it ended as its first clip did.
    """
    entries = _by_item(work, CANDIDATE_STAGES)
    clips = clip_endings(work)
    found = []
    for task in work.tasks(CANDIDATE_STAGES[0]):
        ending = _follow(task.item.id, CANDIDATE_STAGES, entries)
        if ending.state == SELECTED:
            parts = clips[task.item.id]
            order = {SELECTED: 0, PENDING: 1}
            last = min(parts, key=lambda part: order.get(part.state, 2))
            ending = Ending(task.item.id, last.state, last.stage, last.code, last.detail)
        found.append(ending)
    return found


def reconcile(work: Work, *, verify: bool = False) -> list[str]:
    """What does not add up: nothing, where all is well.

    Args:
        work: The work folder.
        verify: Read all media again, whatever it takes.
    """
    found = []
    endings = candidate_endings(work)
    if len({ending.id for ending in endings}) != len(work.tasks(CANDIDATE_STAGES[0])):
        found.append("a candidate does not end exactly once")
    for source in source_endings(work):
        if source.state != LISTED:
            what = source.code or source.state
            found.append(f"source {source.id}: its videos are not counted ({what})")
    led_to = {c.candidate_id for _, listing in work.passed(LIST) for c in listing.candidates}
    if led_to != {task.item.id for task in work.tasks(DISCOVER)}:
        found.append("discover: its items are not those that the sources lead to")
    for before, after in itertools.pairwise(CANDIDATE_STAGES):
        passed = {item.id for item, _ in work.passed(before)}
        if passed != {task.item.id for task in work.tasks(after)}:
            found.append(f"{after.name}: its items are not those that passed {before.name}")
    for stage in STAGES:
        found += _manifest_problems(work, stage)
        found += _media_problems(work, stage, verify=verify)
    return found


def unreferenced(work: Work) -> tuple[int, int]:
    """(files, bytes) of the store that no entry of now names: left by other specs or formats."""
    named = {m.sha256 for stage in STAGES for m in all_media(work.entries(stage))}
    spare = [media for media in work.store.all() if media.sha256 not in named]
    return len(spare), sum(media.num_bytes for media in spare)


def counts(endings: Sequence[Ending]) -> dict[str, int]:
    """'selected', 'rejected hdr', ... -> how many."""
    return dict(sorted(Counter(f"{e.state} {e.code or ''}".strip() for e in endings).items()))


def content_digests(work: Work) -> dict[str, str]:
    """Stage -> digest of its manifest as the journals give it, whatever lies in the folder."""
    return {stage.name: digest_records(work.entries(stage)) for stage in STAGES}


def export_parquet(work: Work, folder: Path) -> list[Path]:
    """Write every manifest as a parquet file too, one row an entry.

    Raises:
        UserError: The folder cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    written = []
    for stage in STAGES:
        rows = [entry.model_dump(mode="json") for entry in work.entries(stage)]
        if rows:
            sink = pyarrow.BufferOutputStream()
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
            path = folder / f"{stage.name}.parquet"
            write_bytes(path, [sink.getvalue().to_pybytes()])
            written.append(path)
    return written


def _by_item(work: Work, stages: Sequence[Stage[Any, Any]]) -> dict[tuple[str, str], Entry[Any]]:
    return {(stage.name, e.item): e for stage in stages for e in work.entries(stage)}


def _follow(
    item: str, stages: Sequence[Stage[Any, Any]], entries: dict[tuple[str, str], Entry[Any]]
) -> Ending:
    for stage in stages:
        entry = entries.get((stage.name, item))
        if entry is None:
            return Ending(item, PENDING, stage.name)
        if entry.state != State.PASSED:
            return Ending(item, str(entry.state), stage.name, entry.code, entry.detail)
    return Ending(item, SELECTED, stages[-1].name)


def _manifest_problems(work: Work, stage: Stage[Any, Any]) -> list[str]:
    entries, path = work.entries(stage), work.manifest_path(stage)
    if not path.is_file():
        return [f"{stage.name}: its manifest is missing"] if entries else []
    if sha256_file(path) != digest_records(entries):
        return [f"{stage.name}: its manifest is not what the journals and the spec give"]
    return []


def _media_problems(work: Work, stage: Stage[Any, Any], *, verify: bool) -> list[str]:
    found = []
    for entry in work.entries(stage):
        for media in all_media([entry]):
            if not work.store.has(media):
                found.append(f"{stage.name}: media of {entry.item} are not in the store")
            elif verify and media.sha256 not in work.banned:
                try:
                    is_sound = work.store.is_sound(media)
                except UserError:
                    is_sound = False
                if not is_sound:
                    found.append(f"{stage.name}: media of {entry.item} have changed")
    return found
