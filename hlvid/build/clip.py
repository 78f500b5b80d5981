"""Pieces of a file, cut at keyframes: the coded pictures are copied as they are, bit for bit.

A piece begins at a keyframe and ends before another. Pictures decoded after its first keyframe but
shown before it need what is not there, and are left out. The file is MP4 without anything that
differs from run to run; sound and captions stay out.
"""

import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np

from hlvid.build.codes import Ended
from hlvid.build.probe import PROBE
from hlvid.build.records import Clip, Clips, Media
from hlvid.build.spec import ClipRules, Spec
from hlvid.build.stage import Desk, Item, Stage
from hlvid.build.work import Work
from hlvid.types import Identifier, Record
from hlvid.video import FrameIndex, VideoInfo, VideoReader
from hlvid.video_file import open_container, video_stream

_OPTIONS = {"fflags": "+bitexact", "movflags": "+faststart"}


class Whole(Record):
    """A sound file to be cut."""

    candidate_id: Identifier
    file: Media


@dataclass(frozen=True)
class Piece:
    """A stretch between two keyframes.

    Args:
        start: Number of its first packet, in decoding order.
        stop: Of the packet after its last.
        start_pts: In ticks of the stream's clock; half-open.
        end_pts: Where its last frame ends.
        num_frames: That are shown of it.
    """

    start: int
    stop: int
    start_pts: int
    end_pts: int
    num_frames: int


def _inputs(work: Work) -> Iterator[Item[Whole]]:
    for item, probed in work.passed(PROBE):
        yield Item(item.id, item.candidate, Whole(candidate_id=item.id, file=probed.file))


def _rules(spec: Spec) -> ClipRules:
    return spec.clip


def _clip(whole: Whole, rules: ClipRules, desk: Desk) -> Clips:
    path = desk.store.path(whole.file)
    with VideoReader(path, num_threads=1, accept_hdr=True) as reader:
        info, index = reader.info, reader.index
    pieces = [] if index.is_counted else cut(index, rules)
    if not pieces:
        raise Ended("no_clip", f"none of {rules.target_seconds:g} s")
    clips = []
    with desk.scratch() as folder:
        for piece, part, packets_sha256 in copies(path, pieces, folder):
            found = _read_back(part, piece, packets_sha256)
            if _looks(found) != _looks(info):
                raise Ended("no_clip", "MP4 cannot say how its frames are to be shown")
            # A piece that was taken down ends by itself, in `index`; the others go on.
            file = desk.store.put(part, may_be_banned=True)
            clips.append(_clip_of(whole, index, piece, found, packets_sha256, file))
    return Clips(clips=tuple(clips))


def cut(index: FrameIndex, rules: ClipRules) -> list[Piece]:
    """Choose the pieces: one after another from the beginning, each as near the target as can be.

    Args:
        index: The frames of the file.
        rules: How long, and how far from that.

    Returns:
        Pieces that do not overlap; none where keyframes lie badly.
    """
    cuts = _cuts(index)
    begins, ends = (
        [float(p * index.time_base) for p in column] for column in list(zip(*cuts, strict=True))[1:]
    )
    pieces: list[Piece] = []
    first = 0
    while first < len(cuts) - 1 and len(pieces) < rules.max_per_source:
        aim = begins[first] + rules.target_seconds
        last = _nearest(ends, aim, first + 1)
        if abs(ends[last] - aim) > rules.tolerance * rules.target_seconds:
            first += 1
            continue
        start, start_pts, _ = cuts[first]
        stop, _, end_pts = cuts[last]
        is_in = (index.packet >= start) & (index.packet < stop) & (index.pts >= start_pts)
        pieces.append(Piece(start, stop, start_pts, end_pts, int(is_in.sum())))
        first = last
    return pieces


def _nearest(ends: Sequence[float], aim: float, start: int) -> int:
    """Where the nearest to `aim` stands among what never falls, from `start` on; the first such."""
    after = min(bisect_left(ends, aim, start), len(ends) - 1)
    before = bisect_left(ends, ends[max(after - 1, start)], start)
    return min(before, after, key=lambda i: (abs(ends[i] - aim), i))


def _cuts(index: FrameIndex) -> list[tuple[int, int, int]]:
    """(packet, begin, end): the keyframes and the end of the file.

    `begin` is when a piece that starts there begins, `end` when one that stops there ends: before
    the first picture that is decoded from there on, which may be shown before the keyframe.
    """
    packets = index.packets
    earliest = np.minimum.accumulate(packets.pts[::-1])[::-1]
    keys = np.flatnonzero(packets.is_key & packets.is_shown)
    found = [(int(k), int(packets.pts[k]), int(earliest[k])) for k in keys]
    steps = max(len(index) - 1, 1)
    step = round(int(index.pts[-1] - index.pts[0]) / steps)
    end = int(index.pts[-1]) + max(step, 1)
    return [*found, (len(packets), end, end)]


def copies(
    source: Path, pieces: Sequence[Piece], folder: Path
) -> Iterator[tuple[Piece, Path, str]]:
    """Write pieces to MP4 files whose clocks begin at 0, in one reading of their source.

    Args:
        source: The file that they are of.
        pieces: As `cut` gives them: one after another.
        folder: For the files.

    Yields:
        Each piece with its file, as soon as that is whole, and the SHA-256 of the packets' bytes,
        one after another.
    """
    with open_container(source) as read:
        stream = video_stream(read, source)
        packets = _packets(read, stream)
        at = 0
        for number, piece in enumerate(pieces):
            deque(islice(packets, piece.start - at), maxlen=0)
            target = folder / f"clip-{number}.mp4"
            mine = islice(packets, piece.stop - piece.start)
            yield piece, target, _write(mine, piece, stream, target)
            at = piece.stop


def _write(packets: Iterable[av.Packet], piece: Piece, stream: av.VideoStream, target: Path) -> str:
    state = hashlib.sha256()
    with av.open(str(target), "w", format="mp4", options=_OPTIONS) as written:
        # libdav1d decodes only, and PyAV looks for an encoder of that name unless told not to.
        output = written.add_stream_from_template(stream, opaque=True)
        output.metadata.clear()
        for packet in packets:
            if packet.pts is None or packet.pts < piece.start_pts:
                continue
            state.update(bytes(packet))
            packet.pts -= piece.start_pts
            packet.dts = None if packet.dts is None else packet.dts - piece.start_pts
            packet.stream = output
            written.mux(packet)
    return state.hexdigest()


def _packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """The packets as `hlvid.frame_index` numbers them."""
    yield from (packet for packet in container.demux(stream) if packet.size)


def _read_back(part: Path, piece: Piece, packets_sha256: str) -> VideoInfo:
    """Read a written piece back before it is taken for done."""
    with VideoReader(part, num_threads=1, accept_hdr=True) as reader:
        info = reader.info
        ends = sorted({0, info.num_frames - 1})
        num_decoded = sum(1 for _ in reader.frames(ends))
    if (info.num_frames, num_decoded) != (piece.num_frames, len(ends)):
        raise Ended("defect", f"{info.num_frames} frames came back of {piece.num_frames}")
    if packets_digest(part) != packets_sha256:
        raise Ended("defect", "other packets came back than were written")
    return info


def _looks(info: VideoInfo) -> tuple[object, ...]:
    """What tells how stored frames are shown."""
    shape = info.width, info.height, info.rotation_degrees, info.is_mirrored
    return *shape, info.matrix, info.is_full_range, info.is_hdr


def _clip_of(
    whole: Whole,
    index: FrameIndex,
    piece: Piece,
    info: VideoInfo,
    packets_sha256: str,
    file: Media,
) -> Clip:
    start, end = (float(pts * index.time_base) for pts in (piece.start_pts, piece.end_pts))
    return Clip(
        clip_id=f"{whole.candidate_id}.{int(start)}-{int(end)}",
        file=file,
        packets_sha256=packets_sha256,
        start_pts=piece.start_pts,
        end_pts=piece.end_pts,
        ticks_per_second=float(1 / index.time_base),
        start_seconds=round(start, 6),
        duration_seconds=round(info.duration_seconds, 6),
        num_frames=info.num_frames,
        width=info.width,
        height=info.height,
        fps=round(info.fps, 6),
    )


def packets_digest(path: Path) -> str:
    """SHA-256 of the bytes of a video's packets, one after another."""
    state = hashlib.sha256()
    with open_container(path) as container:
        for packet in _packets(container, video_stream(container, path)):
            state.update(bytes(packet))
    return state.hexdigest()


def clips_of(work: Work) -> Sequence[tuple[str, Clip]]:
    """All clips with the candidate that each comes from."""
    return [(item.id, clip) for item, clips in work.passed(CLIP) for clip in clips.clips]


CLIP: Stage[Whole, Clips] = Stage(
    name="clip",
    version=1,
    output=Clips,
    inputs=_inputs,
    parameters=_rules,
    perform=_clip,
    after=PROBE,
)
