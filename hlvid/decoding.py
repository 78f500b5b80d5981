"""From wanted frames to decoded ones: what to decode, where to seek, and whether it worked.

Seeking is never trusted. The first packet after a seek is looked up in the index, and every frame
that comes out must be the next one that the index foretells; where that fails, the file is read
again from its start, plainly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import av
import numpy as np

from hlvid.frame_index import MISSING, FrameIndex, Packets
from hlvid.video_file import MAX_PIXELS, LostFrame, open_container, video_stream


@dataclass(frozen=True)
class Segment:
    """A stretch of packets that is decoded in one go, half-open, and the frames wanted of it."""

    start: int
    stop: int
    frames: tuple[int, ...]


def plan(index: FrameIndex, frames: Sequence[int], *, seek_cost_frames: int = 0) -> list[Segment]:
    """Choose between seeking and going on, so that as little as possible is decoded.

    Args:
        index: The frames of the video.
        frames: Numbers of the wanted frames, ascending.
        seek_cost_frames: Decoding this many frames costs as much as a seek, which empties the
            decoder's pipeline.

    Returns:
        Segments with ascending starts. The frames to decode are sum(stop - start).
    """
    segments: list[Segment] = []
    for frame in frames:
        start, stop = index.span(frame)
        last = segments[-1] if segments else None
        if last is not None and start <= last.stop + seek_cost_frames:
            segments[-1] = Segment(last.start, max(last.stop, stop), (*last.frames, frame))
        else:
            segments.append(Segment(start, stop, (frame,)))
    return segments


def decode(
    path: Path, index: FrameIndex, frames: Sequence[int], *, num_threads: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (number, frame) of the wanted frames, in order.

    Args:
        path: The video.
        index: Its frames.
        frames: Numbers of the wanted frames, ascending.
        num_threads: Threads of the decoder, over frames and over slices of a frame.

    Raises:
        LostFrame: A wanted frame cannot be decoded, even plainly from the start of the file.
    """
    left = list(frames)
    # What keyframes promise can be wrong, and one thread loses no frame beside a damaged one.
    for may_seek, threads in ((True, num_threads), (False, num_threads), (False, 1)):
        stop = max((index.span(frame)[1] for frame in left), default=0)
        segments = (
            plan(index, left, seek_cost_frames=num_threads)
            if may_seek
            else [Segment(index.packets.first_key, stop, tuple(left))]
        )
        with OpenVideo(path, num_threads=threads) as video:
            for segment in segments:
                for number, frame in video.decode(index, segment):
                    yield number, frame
                    left.remove(number)
                if left and left[0] <= segment.frames[-1]:
                    break
        if not left:
            return
    raise LostFrame(
        f"{path.name}: frame {left[0]} is damaged and cannot be decoded. "
        "Fetch or render the file again, or ask for other frames."
    )


class OpenVideo:
    """A video that is open for decoding.

    Args:
        path: The file.
        num_threads: Threads of the decoder.
    """

    def __init__(self, path: Path, *, num_threads: int) -> None:
        self._path = path
        self._num_threads = num_threads
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def _open(self) -> None:
        self._container = open_container(self._path)
        self._stream = video_stream(self._container, self._path)
        context = self._stream.codec_context
        context.thread_count = self._num_threads
        context.thread_type = "AUTO"
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._is_at_start = True

    @property
    def transfer(self) -> int:
        """Transfer characteristics by H.273's number; surest once a frame was decoded."""
        return int(self._stream.codec_context.color_trc)

    def decode(self, index: FrameIndex, segment: Segment) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the wanted frames of a segment, up to the first that is missing or damaged."""
        wanted = iter(segment.frames)
        want = next(wanted, None)
        for number, frame, is_sound in self._numbered(index, segment):
            if want is None or number > want or (number == want and not is_sound):
                return
            if number == want:
                yield number, frame
                want = next(wanted, None)

    def _numbered(
        self, index: FrameIndex, segment: Segment
    ) -> Iterator[tuple[int, av.VideoFrame, bool]]:
        """Tell which frame each decoded one is; what the index does not foretell is left out."""
        numbers = index.foretold(segment.start, segment.stop)
        pts = index.pts[numbers]
        place = 0
        for frame, is_sound in self.outputs(index.packets, segment.start, segment.stop):
            if not index.is_counted:
                if frame.pts is None:
                    continue
                # Passes over foretold frames that did not come.
                place += int(np.searchsorted(pts[place:], frame.pts))
                if place < len(pts) and pts[place] > frame.pts:
                    continue
            if place >= len(numbers):
                return
            # A start that turns out to be no keyframe gives pictures with parts made up.
            is_first = frame.pts == index.packets.pts[segment.start]
            if is_first and not frame.key_frame and segment.start > index.packets.first_key:
                return
            yield int(numbers[place]), frame, is_sound
            place += 1

    def outputs(
        self, packets: Packets, start: int, stop: int
    ) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Decode packets [start, stop) to the end; with each frame, whether it is undamaged."""
        context = self._stream.codec_context
        is_sound = True
        for packet in self._packets(packets, start, stop):
            try:
                frames = context.decode(packet)
            except av.error.FFmpegError:
                is_sound = False
                continue
            for frame in frames:
                is_sound = (is_sound or frame.key_frame) and not frame.is_corrupt
                yield frame, is_sound

    def _packets(self, known: Packets, start: int, stop: int) -> Iterator[av.Packet | None]:
        """The packets of a range, then None, which makes the decoder give up what it holds."""
        number, packets = self._at_or_before(known, start)
        for packet in packets:
            if number >= start:
                yield packet
            number += 1
            if number == stop:
                break
        yield None

    def _at_or_before(self, known: Packets, start: int) -> tuple[int, Iterator[av.Packet]]:
        """Go to a packet, or before it where the container knows no better.

        Returns:
            The number of the first packet, and the packets from there on.
        """
        times = (int(known.pts[start]), int(known.dts[start]))
        for time in times if start > known.first_key else ():
            packets = self._seek(time)
            first = next(packets, None)
            number = known.find(first) if first else None
            if first and number is not None and number <= start:
                return number, chain((first,), packets)
        if not self._is_at_start:
            self._container.close()
            self._open()
        return 0, self._demux()

    def _seek(self, time: int) -> Iterator[av.Packet]:
        """The packets from the last keyframe at or before a time; none where that fails."""
        if time == MISSING:
            return iter(())
        self._is_at_start = False
        try:
            self._container.seek(time, stream=self._stream)
        except av.error.FFmpegError:
            return iter(())
        return self._demux()

    def _demux(self) -> Iterator[av.Packet]:
        self._is_at_start = False
        try:
            yield from (p for p in self._container.demux(self._stream) if p.size)
        except av.error.FFmpegError:
            return
