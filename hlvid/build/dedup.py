"""Which clips show the same: hashes of frames at one a second, pairs, groups.

`fingerprint` hashes the frames of a clip; `match` compares all clips with each other, two blocks of
them at a time; `dedup` keeps the first of those that show the same, and puts together those that no
split may part.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter

from hlvid.build.codes import Ended
from hlvid.build.discover import DISCOVER
from hlvid.build.index import INDEX
from hlvid.build.likeness import HASHED_SIZE, NUM_BITS, alike, as_signs, picture_hash
from hlvid.build.lock import lock_path, read_lock
from hlvid.build.questions import read
from hlvid.build.records import Clip, Fingerprint, Matches, Media, Pair, Placed
from hlvid.build.spec import Spec
from hlvid.build.stage import Desk, Item, Nothing, Stage, no_parameters
from hlvid.build.work import Work
from hlvid.files import canonical_json, digest, id_order, read_bytes
from hlvid.types import Identifier, Record
from hlvid.video import VideoReader

MAX_HASHES_BYTES = 64 * 2**20
BLOCK_CLIPS = 256
"""How many clips a block has on average; two blocks are compared as one task."""
_MATCH_VERSION = 3

_Hash = Annotated[str, Field(pattern=f"^[0-9a-f]{{{NUM_BITS // 4}}}$")]
_Hashes = TypeAdapter(list[_Hash | None])


class Picture(Record):
    """A clip to be hashed."""

    clip: Media


class Hashes(Record):
    """The hashes of one clip, by digest."""

    clip_id: Identifier
    clip_sha256: str
    hashes: Media


class Blocks(Record):
    """The hashes of two blocks of clips."""

    first: tuple[Hashes, ...]
    second: tuple[Hashes, ...]
    """Empty where the first is compared with itself."""


class Likeness(Record):
    """When two clips show the same: the part of `DedupRules` that decides about pairs."""

    max_distance: int
    min_share: float


class Decided(Record):
    """A clip, and what the pairs say of it."""

    clip: Clip
    duplicate_of: Identifier | None
    group_id: Identifier


# --- fingerprint ---------------------------------------------------------------------------------


def _fingerprint_inputs(work: Work) -> Iterator[Item[Picture]]:
    for item, indexed in work.passed(INDEX):
        yield Item(item.id, item.candidate, Picture(clip=indexed.clip.file))


def _fingerprint(picture: Picture, parameters: Nothing, desk: Desk) -> Fingerprint:
    path = desk.store.path(picture.clip)
    with VideoReader(path, size=HASHED_SIZE, num_threads=1) as reader:
        hashes = frame_hashes(reader)
    with desk.scratch() as folder:
        part = folder / "hashes.json"
        part.write_bytes(canonical_json(hashes))
        media = desk.store.put(part)
    return Fingerprint(
        clip_sha256=picture.clip.sha256, hashes=media, num_hashes=len(hashes) - hashes.count(None)
    )


def frame_hashes(reader: VideoReader) -> list[str | None]:
    """Hashes of the frames at 0 s, 1 s, ... of a video, in hex; None for empty ones."""
    seconds = (reader.index.pts - reader.index.pts[0]) * float(reader.index.time_base)
    moments = np.arange(int(seconds[-1]) + 1)
    # A frame is shown until the next one begins.
    numbers = np.searchsorted(seconds, moments + 1e-9, "right") - 1
    shown = np.unique(numbers)
    found = {frame.index: picture_hash(frame.pixels) for frame in reader.frames(shown)}
    return [found[number] for number in numbers.tolist()]


# --- match ---------------------------------------------------------------------------------------


def _match_inputs(work: Work) -> Iterator[Item[Blocks]]:
    clips = [
        Hashes(clip_id=item.id, clip_sha256=found.clip_sha256, hashes=found.hashes)
        for item, found in work.passed(FINGERPRINT)
    ]
    blocks = list(in_blocks(clips))
    for i, (name, first) in enumerate(blocks):
        yield Item(f"{name}-{name}", None, Blocks(first=first, second=()))
        for other, second in blocks[i + 1 :]:
            yield Item(f"{name}-{other}", None, Blocks(first=first, second=second))


def in_blocks(clips: Iterable[Hashes]) -> Iterator[tuple[str, tuple[Hashes, ...]]]:
    """Neighbours in the order of ids, with a name; what is added changes the block it falls in.

    A block begins at the first clip, and wherever the digest of a clip's id says so.
    """
    name, block = "", list[Hashes]()
    for clip in clips:
        sha256 = digest(clip.clip_id)
        if block and int(sha256[:8], 16) % BLOCK_CLIPS == 0:
            yield name, tuple(block)
            block = []
        name = name if block else sha256[:16]
        block.append(clip)
    if block:
        yield name, tuple(block)


def likeness(spec: Spec) -> Likeness:
    """What decides about pairs."""
    return Likeness(max_distance=spec.dedup.max_distance, min_share=spec.dedup.min_share)


def made_by(rules: Likeness) -> str:
    """What journals note beside pairs: under which rules they were found, and by which code."""
    return digest({"version": _MATCH_VERSION, **rules.model_dump(mode="json")})


def _match(blocks: Blocks, rules: Likeness, desk: Desk) -> Matches:
    desk.note["made_by"] = made_by(rules)
    first = [(each, as_signs(read_hashes(desk, each.hashes))) for each in blocks.first]
    second = [(each, as_signs(read_hashes(desk, each.hashes))) for each in blocks.second]
    both = itertools.product(first, second) if second else itertools.combinations(first, 2)
    pairs = []
    for (one, signs), (other, others) in both:
        is_same = one.clip_sha256 == other.clip_sha256
        share = 1.0
        if not is_same:
            share = alike(signs, others, rules.max_distance, least=rules.min_share)
        if share >= rules.min_share:
            pairs.append(Pair(first=one.clip_id, second=other.clip_id, share=round(share, 4)))
    return Matches(pairs=tuple(pairs))


def read_hashes(desk: Desk, media: Media) -> list[str | None]:
    """The hashes of a clip from the store, one a second."""
    data = read_bytes(desk.store.path(media), max_bytes=MAX_HASHES_BYTES)
    return _Hashes.validate_json(data)


# --- dedup ---------------------------------------------------------------------------------------


def _dedup_inputs(work: Work) -> Iterator[Item[Decided]]:
    found = [matches for _, matches in work.passed(MATCH)]
    if len(found) < len(work.tasks(MATCH)):
        return
    alike_links = [(pair.first, pair.second) for matches in found for pair in matches.pairs]
    names = {item.id: item for item, _ in work.passed(FINGERPRINT)}
    clips, locked_groups = _locked(work)
    kept = smallest(names, alike_links, before=clips)
    links = alike_links + list(_kinships(work, names))
    groups = smallest(names, links, before=locked_groups)
    for item, indexed in work.passed(INDEX):
        if item.id in names:
            first = kept[item.id]
            decided = Decided(
                clip=indexed.clip,
                duplicate_of=None if first == item.id else first,
                group_id=groups[item.id],
            )
            yield Item(item.id, item.candidate, decided)


def _kinships(work: Work, items: Mapping[str, Item[Any]]) -> Iterator[tuple[str, str]]:
    """Each clip with its source and, where the spec groups by channel, with its channel."""
    by_channel = work.spec.dedup.group_by_channel
    channels = {item.id: source.channel for item, source in work.passed(DISCOVER)}
    for name, item in items.items():
        yield name, f"source {item.candidate}"
        if by_channel and (channel := channels.get(item.candidate or "")):
            yield name, f"channel {channel}"


def _locked(work: Work) -> tuple[frozenset[str], frozenset[str]]:
    """Clips and groups of locked questions: what comes later never takes the place of these."""
    locked = {
        line.question_id: line for line in read_lock(lock_path(work.bench.spec_folder)).active
    }
    if not locked:
        return frozenset(), frozenset()
    drafts = read(work.bench.spec_folder / work.spec.questions.folder).drafts
    clips = frozenset(draft.video_id for draft in drafts if draft.question_id in locked)
    return clips, frozenset(line.group_id for line in locked.values())


def smallest(
    names: Iterable[str],
    links: Sequence[tuple[str, str]],
    *,
    before: frozenset[str] = frozenset(),
) -> Mapping[str, str]:
    """Each name with the smallest of those it is linked to, over any number of links.

    Args:
        names: Those that may be the smallest, by `id_order`.
        links: Between names, or names and whatever else they have in common.
        before: Names that are smaller than all others.
    """
    together = join(links)
    ordered = sorted(names, key=lambda name: (name not in before, id_order(name)))
    first: dict[str, str] = {}
    for name in ordered:
        first.setdefault(together.get(name, name), name)
    return {name: first[together.get(name, name)] for name in ordered}


def join(links: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Each name with one name that stands for all it is linked to, over any number of links."""
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while (above := leaders.setdefault(name, name)) != name:
            leaders[name] = leaders[above]
            name = above
        return name

    for one, other in links:
        leaders[leader(other)] = leader(one)
    return {name: leader(name) for name in list(leaders)}


def _dedup(decided: Decided, parameters: Nothing, desk: Desk) -> Placed:
    if decided.duplicate_of is not None:
        raise Ended("duplicate", f"of {decided.duplicate_of}")
    return Placed(clip=decided.clip, group_id=decided.group_id)


FINGERPRINT: Stage[Picture, Fingerprint] = Stage(
    name="fingerprint",
    version=2,
    output=Fingerprint,
    inputs=_fingerprint_inputs,
    parameters=no_parameters,
    perform=_fingerprint,
    after=INDEX,
)
MATCH: Stage[Blocks, Matches] = Stage(
    name="match",
    version=_MATCH_VERSION,
    output=Matches,
    inputs=_match_inputs,
    parameters=likeness,
    perform=_match,
    after=FINGERPRINT,
    needs_all=True,
)
DEDUP: Stage[Decided, Placed] = Stage(
    name="dedup",
    version=1,
    output=Placed,
    inputs=_dedup_inputs,
    parameters=no_parameters,
    perform=_dedup,
    runs_on="here",
    after=MATCH,
)
