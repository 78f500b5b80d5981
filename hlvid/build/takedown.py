"""Taking something down: its media go and cannot come back; its id and the reason stay.

What the journals hold of any spec counts, not only what the spec of now asks for: a file that was
cut under other rules goes too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hlvid.build import journal
from hlvid.build.clip import CLIP, clips_of
from hlvid.build.codes import clean
from hlvid.build.dedup import MATCH, join
from hlvid.build.discover import DISCOVER
from hlvid.build.fetch import FETCH
from hlvid.build.records import Clip, Media
from hlvid.build.stage import scratch_name, sweep
from hlvid.build.stages import CANDIDATE_STAGES, CLIP_STAGES, STAGES
from hlvid.build.work import Tombstone, Work
from hlvid.errors import UserError
from hlvid.files import canonical_json, parse_record, shown

_MEDIA_STAGES = (*CANDIDATE_STAGES, *CLIP_STAGES)
_VIDEO = "file"
_LISTS = ("index", "hashes")
"""Fields of outputs that name objects of the store. Lists show nothing: they are removed, but may
come back, since another video can have the same."""


@dataclass(frozen=True)
class TakenDown:
    """What was done.

    Args:
        id: Of the candidate or clip.
        num_files: Removed from the store.
        num_bytes: Of these.
        also: Others that show the same, or are the very same bytes: taken down with it.
    """

    id: str
    num_files: int
    num_bytes: int
    also: tuple[str, ...]


def take_down(work: Work, item: str, reason: str, *, alone: bool = False) -> TakenDown:
    """Remove the media of a candidate or a clip and note why.

    It may be asked for again: what an earlier call was killed before doing is done then.

    Args:
        work: The work folder; its manifests are written again.
        item: Id of a candidate, or of a clip: then its moment may not come back, however its source
            is cut, and the rest of the source stays.
        reason: For the manifests, which are published: no name of a person.
        alone: Leave clips that show the same, in other bytes.

    Raises:
        UserError: There is no such item, or the reason is empty.
    """
    reason = clean(reason, max_characters=300)
    if not reason:
        raise UserError("--reason: is empty. Say why, without names: it is published.")
    noted = _Noted.of(work)
    if item not in {*noted.candidates, *noted.latest, *work.tombstones}:
        raise UserError(
            f"takedown: {shown(item)} is neither a candidate nor a clip. "
            "See the ids: hlvid-build status SPEC --items."
        )
    also = noted.twins(item) | (set() if alone else noted.alike(item))
    found: dict[str, Tombstone] = {}
    for each in (item, *sorted(also)):
        for tomb in noted.tombstones(each, reason):
            if tomb.id == each or tomb.id not in found:
                found[tomb.id] = tomb
    tombs = [_joined(t, work.tombstones.get(t.id), is_asked=t.id == item) for t in found.values()]
    work.bury(tombs)
    dead = frozenset(found)
    doomed = {media for tomb in tombs for media in tomb.media} | noted.lists_of(dead)
    removed = [media for media in doomed if work.store.remove(media)]
    for stage in _MEDIA_STAGES:
        journal.drop(work.journal_folder(stage), dead)
    work.reload()
    for stage in STAGES:
        work.publish(stage)
        tasks = [task for task in work.tasks(stage) if work.tombstone_of(task.item) is None]
        sweep(work.folder, stage.name, frozenset(scratch_name(stage.name, t.key) for t in tasks))
    return TakenDown(item, len(removed), sum(m.num_bytes for m in removed), tuple(sorted(also)))


def _joined(tomb: Tombstone, known: Tombstone | None, *, is_asked: bool) -> Tombstone:
    """A tombstone and the one that is there already: it stands, unless it is asked for again."""
    if known is None:
        return tomb
    media = {m.sha256: m for m in (*known.media, *tomb.media)}
    first, second = (tomb, known) if is_asked else (known, tomb)
    moment = first if first.candidate is not None else second
    return Tombstone(
        id=tomb.id,
        reason=first.reason,
        media=tuple(media[sha256] for sha256 in sorted(media)),
        candidate=moment.candidate,
        start_seconds=moment.start_seconds,
        end_seconds=moment.end_seconds,
    )


@dataclass(frozen=True)
class _Noted:
    """What the journals hold of videos, under whatever spec it was noted.

    Args:
        entries: Of every attempt, each with the name of its stage.
        clips: Every clip that was ever cut, with its candidate; those of now come last.
        candidates: Ids, of those without any entry too.
        alikes: The pairs of clips that show the same, one list for each time they were compared.
    """

    entries: Sequence[tuple[str, Mapping[str, Any]]]
    clips: Sequence[tuple[str, Clip]]
    candidates: frozenset[str]
    alikes: Sequence[Sequence[tuple[str, str]]]

    @classmethod
    def of(cls, work: Work) -> "_Noted":
        entries = [
            (stage.name, line.entry)
            for stage in _MEDIA_STAGES
            for line in journal.read_all(work.journal_folder(stage))
        ]
        clips = [
            (str(entry["item"]), parse_record(canonical_json(each), Clip, where="journal of clip"))
            for name, entry in entries
            if name == CLIP.name
            for each in (entry["output"] or {}).get("clips", ())
        ]
        alikes = [
            [(pair["first"], pair["second"]) for pair in line.entry["output"]["pairs"]]
            for line in journal.read_all(work.journal_folder(MATCH))
            if line.entry["output"]
        ]
        known = {task.item.id for task in work.tasks(DISCOVER)}
        known |= {str(entry["candidate"]) for _, entry in entries}
        return cls(entries, [*clips, *clips_of(work)], frozenset(known), alikes)

    @cached_property
    def latest(self) -> Mapping[str, tuple[str, Clip]]:
        """Id of a clip -> its candidate and the clip, as it was cut last."""
        return {clip.clip_id: (candidate, clip) for candidate, clip in self.clips}

    def twins(self, item: str) -> set[str]:
        """Other candidates whose file is the same as a candidate's."""
        files: dict[str, set[Media]] = {}
        for name, entry in self.entries:
            if name == FETCH.name:
                found = {media for _, media in _named(entry["output"])}
                files.setdefault(str(entry["item"]), set()).update(found)
        mine = files.get(item, set())
        return {candidate for candidate, theirs in files.items() if theirs & mine} - {item}

    def alike(self, item: str) -> set[str]:
        """Clips of others that show what a clip, or one of a candidate's, shows."""
        mine = {c.clip_id for candidate, c in self.clips if item in (candidate, c.clip_id)}
        found = set()
        for pairs in self.alikes:
            together = join(pairs)
            leaders = {together[name] for name in mine & together.keys()}
            found |= {name for name, leader in together.items() if leader in leaders}
        return (found & self.latest.keys()) - mine

    def tombstones(self, item: str, reason: str) -> list[Tombstone]:
        """For a candidate, or for a clip and all clips of its source that show some of it."""
        if item not in self.latest:
            return [Tombstone(id=item, reason=reason, media=self._videos(item))]
        candidate, clip = self.latest[item]
        start, end = clip.span
        one = Tombstone(
            id=item,
            reason=reason,
            media=self._videos(item),
            candidate=candidate,
            start_seconds=start,
            end_seconds=end,
        )
        others = {c.clip_id for each, c in self.clips if each == candidate and one.overlaps(c.span)}
        return [
            one.model_copy(update={"id": each, "media": self._videos(each)})
            for each in (item, *sorted(others - {item}))
        ]

    def _videos(self, item: str) -> tuple[Media, ...]:
        """The files of a candidate and of its clips, or of a clip."""
        found = {clip.file for candidate, clip in self.clips if item in (candidate, clip.clip_id)}
        for _, entry in self.entries:
            if item in (entry["item"], entry["candidate"]):
                found |= {media for field, media in _named(entry["output"]) if field == _VIDEO}
        return tuple(sorted(found, key=lambda media: media.sha256))

    def lists_of(self, items: frozenset[str]) -> set[Media]:
        """What was made from videos of some items, and is not another's as well."""
        theirs: set[Media] = set()
        others: set[Media] = set()
        for _, entry in self.entries:
            is_theirs = not items.isdisjoint((entry["item"], entry["candidate"]))
            named = {media for field, media in _named(entry["output"]) if field in _LISTS}
            (theirs if is_theirs else others).update(named)
        return theirs - others


def _named(content: Any, field: str = "") -> Iterator[tuple[str, Media]]:  # noqa: ANN401  # JSON
    """The objects of the store that a noted output names, whatever record it was, by field."""
    if isinstance(content, Mapping):
        sha256, num_bytes = content.get("sha256"), content.get("num_bytes")
        if isinstance(sha256, str) and isinstance(num_bytes, int):
            yield field, Media(sha256=sha256, num_bytes=num_bytes)
        for name, value in content.items():
            yield from _named(value, name)
    elif isinstance(content, list | tuple):
        for each in content:
            yield from _named(each, field)
