"""A video that is open for decoding, and never trusted to do as it was told.

The first packet after a seek is looked up in the index, and every frame that comes out must be the
next one that the index foretells.
"""

from collections import deque
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import av
import numpy as np

from hlvid.frame_index import MISSING, FrameIndex, Packets, read_packets
from hlvid.video_file import MAX_PIXELS, open_container, video_stream


@dataclass(frozen=True)
class Segment:
    """A stretch of packets that is decoded in one go, half-open, and the frames wanted of it."""

    start: int
    stop: int
    frames: tuple[int, ...]


class OpenVideo:
    """A video that is open for decoding.

    Args:
        path: The file.
        num_threads: Threads of the decoder, over frames and over slices of a frame.

    Raises:
        VideoError: The file cannot be opened; a subclass tells why.
    """

    def __init__(self, path: Path, *, num_threads: int) -> None:
        self._path = path
        self._num_threads = num_threads
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _open(self) -> None:
        self._container = open_container(self._path)
        self.stream = video_stream(self._container, self._path)
        context = self.stream.codec_context
        context.thread_count = self._num_threads
        # Frame threads of libavcodec 61's HEVC decoder wait for each other forever on damaged data.
        context.thread_type = "SLICE" if context.codec.name == "hevc" else "AUTO"
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._is_at_start = True

    def read_packets(self) -> tuple[Packets, bool]:
        """Read every packet, decoding none; see `hlvid.frame_index.read_packets`."""
        self._is_at_start = False
        return read_packets(self._container, self.stream)

    def decode(self, index: FrameIndex, segment: Segment) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the wanted frames of a segment, up to the first that is missing or damaged."""
        wanted = deque(segment.frames)
        for number, frame, is_sound in self._numbered(index, segment):
            if number < wanted[0]:
                continue
            if number > wanted[0] or not is_sound:
                return
            yield wanted.popleft(), frame
            if not wanted:
                return

    def _numbered(
        self, index: FrameIndex, segment: Segment
    ) -> Iterator[tuple[int, av.VideoFrame, bool]]:
        """Tell which frame each decoded one is; what the index does not foretell is left out."""
        packets = index.packets
        numbers = index.foretold(segment.start, segment.stop)
        pts = index.pts[numbers]
        place = 0
        for frame, is_sound in self.outputs(
            packets, segment.start, segment.stop, needed=index.needed(segment.frames)
        ):
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
            is_start = frame.pts == packets.pts[segment.start]
            if is_start and not frame.key_frame and segment.start > packets.first_key:
                return
            yield int(numbers[place]), frame, is_sound
            place += 1

    def outputs(
        self, packets: Packets, start: int, stop: int, *, needed: Set[int] | None = None
    ) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Decode packets [start, stop) to the end; with each frame, whether it is undamaged.

        Args:
            packets: Those of the file.
            start: First packet, a keyframe.
            stop: Behind the last packet.
            needed: Packets whose frames are needed; others may be left out where no frame refers
                to them. None for all.
        """
        context = self.stream.codec_context
        # Of our codecs, H.264 alone marks what no other picture refers to, whatever its layer.
        may_skip = needed is not None and context.codec.name == "h264"
        is_sound = True
        for number, packet in self._packets(packets, start, stop):
            if may_skip:
                context.skip_frame = "DEFAULT" if number in (needed or ()) else "NONREF"
            try:
                frames = context.decode(packet)
            except av.error.FFmpegError:
                is_sound = False
                continue
            for frame in frames:
                is_sound = (is_sound or frame.key_frame) and not frame.is_corrupt
                yield frame, is_sound

    def _packets(
        self, known: Packets, start: int, stop: int
    ) -> Iterator[tuple[int, av.Packet | None]]:
        """The packets of a range, then None, which makes the decoder give up what it holds."""
        first, packets = self._at_or_before(known, start)
        for number, packet in enumerate(packets, first):
            if number >= start:
                yield number, packet
            if number == stop - 1:
                break
        yield stop, None

    def _at_or_before(self, known: Packets, start: int) -> tuple[int, Iterator[av.Packet]]:
        """Go to a packet, or before it where the container knows no better.

        Returns:
            The number of the first packet, and the packets from there on.
        """
        is_there = self._is_at_start and start == known.first_key
        for time in () if is_there else (int(known.pts[start]), int(known.dts[start])):
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
            self._container.seek(time, stream=self.stream)
        except av.error.FFmpegError:
            return iter(())
        return self._demux()

    def _demux(self) -> Iterator[av.Packet]:
        self._is_at_start = False
        try:
            yield from (p for p in self._container.demux(self.stream) if p.size)
        except av.error.FFmpegError:
            return
