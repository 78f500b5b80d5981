"""Taking something down: its media go and cannot come back; its id and the reason stay.

What the journals hold of any spec counts, not only what the spec of now asks for: a file that was
cut under other rules goes too. Which clips show the same is another matter: there the rules of now
decide, and those of another time only about clips that are no longer there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hlvid.build import journal
from hlvid.build.clip import CLIP, clips_of
from hlvid.build.codes import clean
from hlvid.build.dedup import FINGERPRINT, MATCH, join, likeness, made_by
from hlvid.build.discover import DISCOVER
from hlvid.build.fetch import FETCH
from hlvid.build.records import Clip, Media
from hlvid.build.report import readable
from hlvid.build.stage import scratch_name, sweep
from hlvid.build.stages import CANDIDATE_STAGES, CLIP_STAGES
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
    """What was done, or would be.

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


def take_down(
    work: Work, item: str, reason: str, *, alone: bool = False, dry_run: bool = False
) -> TakenDown:
    """Remove the media of a candidate or a clip and note why.

    It may be asked for again: what an earlier call was killed before doing is done then.

    Args:
        work: The work folder; its manifests are written again.
        item: Id of a candidate, or of a clip: then its moment may not come back, however its source
            is cut, and the rest of the source stays.
        reason: For the manifests, which are published: no name of a person.
        alone: Leave clips that show the same, in other bytes.
        dry_run: Change nothing, and say what would go.

    Raises:
        UserError: There is no such item, the reason is empty, or which clips show the same is not
            known under the rules of now.
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
    dead = frozenset(found)
    doomed = {media for tomb in tombs for media in tomb.media} | noted.lists_of(dead)
    if dry_run:
        here = doomed & set(work.store.all())
        return TakenDown(item, len(here), sum(m.num_bytes for m in here), tuple(sorted(also)))
    work.bury(tombs)
    removed = [media for media in doomed if work.store.remove(media)]
    for stage in _MEDIA_STAGES:
        journal.drop(work.journal_folder(stage), dead)
    work.reload()
    for stage in readable(work):
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
        compared: Ids of the clips about which the rules of now decide: those that are there, and
            what was cut of the same moments under other rules.
        dead: Ids of the clips that were taken down before.
        alikes: The pairs of clips that show the same by the rules of now.
        once_alikes: Those that once did by others.
        is_due: Whether clips are still to be compared by the rules of now.
    """

    entries: Sequence[tuple[str, Mapping[str, Any]]]
    clips: Sequence[tuple[str, Clip]]
    candidates: frozenset[str]
    compared: frozenset[str]
    dead: frozenset[str]
    alikes: frozenset[tuple[str, str]]
    once_alikes: frozenset[tuple[str, str]]
    is_due: bool

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
        clips += clips_of(work)
        made_now = made_by(likeness(work.spec))
        alikes: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
        for line in journal.read_all(work.journal_folder(MATCH)):
            found = alikes[line.note.get("made_by") == made_now]
            for pair in (line.entry["output"] or {}).get("pairs", ()):
                found |= {(pair["first"], pair["second"]), (pair["second"], pair["first"])}
        known = {task.item.id for task in work.tasks(DISCOVER)}
        known |= {str(entry["candidate"]) for _, entry in entries}
        tombs = work.tombstones.keys()
        return cls(
            entries,
            clips,
            candidates=frozenset(known),
            compared=_compared(work, clips),
            dead=frozenset(c.clip_id for name, c in clips if {name, c.clip_id} & tombs),
            alikes=frozenset(alikes[True]),
            once_alikes=frozenset(alikes[False] - alikes[True]),
            is_due=bool(work.todo(MATCH)),
        )

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
        """Clips of others that show what a clip, or one of a candidate's, shows.

        Raises:
            UserError: Some of them did by rules of another time, and are not compared yet by those
                of now.
        """
        mine = {c.clip_id for candidate, c in self.clips if item in (candidate, c.clip_id)}
        found = self._with_alikes(mine)
        once, doubtful = set(), set()
        for one, other in self.once_alikes:
            if one not in found:
                continue
            if other not in self.compared or one in mine - self.compared - self.dead:
                once.add(other)
            elif self.is_due:
                doubtful.add(other)
        found = self._with_alikes(found | once)
        if others := sorted(doubtful - found):
            raise UserError(
                f"takedown: by rules of another time, {others[0]} showed the same. Compare again "
                "by those of now: hlvid-build dedup SPEC. Or leave all others: --alone."
            )
        return (found & self.latest.keys()) - mine

    def _with_alikes(self, names: set[str]) -> set[str]:
        """Some clips, and all that the rules of now link them to, over any number of links."""
        together = join(sorted(self.alikes))
        leaders = {together[name] for name in names & together.keys()}
        return names | {name for name, leader in together.items() if leader in leaders}

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


def _compared(work: Work, clips: Sequence[tuple[str, Clip]]) -> frozenset[str]:
    """Ids of the clips that are compared now, and of all that show some of the same moments."""
    names = {item.id for item, _ in work.passed(FINGERPRINT)}
    spans: dict[str, list[tuple[float, float]]] = {}
    for candidate, clip in clips:
        if clip.clip_id in names:
            spans.setdefault(candidate, []).append(clip.span)
    return frozenset(names).union(
        clip.clip_id
        for candidate, clip in clips
        for start, end in spans.get(candidate, ())
        if clip.span[0] < end and start < clip.span[1]
    )


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
