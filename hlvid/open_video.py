"""A video that is open for decoding, and never trusted to do as it was told.

The first packet after a seek is looked up in the index, and every frame that comes out must be the
next one that the index foretells.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import av
import numpy as np

from hlvid.frame_index import MISSING, FrameIndex, Int64, Packets, read_packets
from hlvid.video_file import MAX_PIXELS, open_container, video_stream

HOLE = bytes(1024)
"""So many zeros are never coded: a part of the file was not written, as broken downloads leave."""


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
        """Yield the wanted frames of a segment, up to the first that is not sound.

        A frame is sound when it came, and so did all that were decoded before it since the keyframe
        at which its decoding starts: where one is missing, decoders make up what refers to it.
        """
        numbers = index.foretold(segment.start, segment.stop)
        packet = index.packet[numbers]
        is_lost = np.zeros(len(numbers), dtype=np.bool_)
        wanted = set(segment.frames)
        held: deque[tuple[int, av.VideoFrame | None, Int64]] = deque()
        for place, frame in self._placed(index, segment, numbers):
            is_lost[place] = frame is None or frame.is_corrupt
            number = int(numbers[place])
            if number in wanted:
                start, _ = index.span(number)
                earlier = (packet >= start) & (packet < packet[place])
                earlier[place] = True
                held.append((number, frame, np.flatnonzero(earlier)))
            while held and held[0][2][-1] <= place:
                number, frame, earlier_places = held.popleft()
                if frame is None or is_lost[earlier_places].any():
                    return
                yield number, frame
                if number == segment.frames[-1]:
                    return

    def _placed(
        self, index: FrameIndex, segment: Segment, numbers: Int64
    ) -> Iterator[tuple[int, av.VideoFrame | None]]:
        """Give each foretold frame, by its place among `numbers`, what came for it, or None."""
        packets = index.packets
        pts = index.pts[numbers]
        place = 0
        for frame in self.outputs(packets, segment.start, segment.stop):
            at = place
            if not index.is_counted:
                if frame.pts is None:
                    continue
                at += int(np.searchsorted(pts[place:], frame.pts))
                if at < len(pts) and pts[at] > frame.pts:
                    continue
            if at >= len(numbers):
                break
            # A start that turns out to be no keyframe gives pictures with parts made up.
            is_start = frame.pts == packets.pts[segment.start]
            if is_start and not frame.key_frame and segment.start > packets.first_key:
                return
            yield from ((missing, None) for missing in range(place, at))
            yield at, frame
            place = at + 1
        yield from ((missing, None) for missing in range(place, len(numbers)))

    def outputs(self, packets: Packets, start: int, stop: int) -> Iterator[av.VideoFrame]:
        """Decode packets [start, stop) to the end, passing over those that do not decode."""
        context = self.stream.codec_context
        for packet in self._packets(packets, start, stop):
            if packet is not None and HOLE in bytes(packet):
                continue
            try:
                yield from context.decode(packet)
            except av.error.FFmpegError:
                continue

    def _packets(self, known: Packets, start: int, stop: int) -> Iterator[av.Packet | None]:
        """The packets of a range, then None, which makes the decoder give up what it holds."""
        first, packets = self._at_or_before(known, start)
        for number, packet in enumerate(packets, first):
            if number >= start:
                yield packet
            if number == stop - 1:
                break
        yield None

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
