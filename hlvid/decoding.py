"""From wanted frames to decoded ones: what to decode, where to seek, and whether it worked.

Seeking is never trusted. The first packet after a seek is looked up in the index, and every frame
that comes out must be the next one that the index foretells; where that fails, the file is read
again from its start, plainly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np

from hlvid.frame_index import MISSING, FrameIndex, Int64
from hlvid.video_file import MAX_PIXELS, LostFrame, open_container, video_stream

SEEK_COST_FRAMES = 4
"""Skipping fewer frames than this is dearer than decoding them: a seek empties the pipeline."""


@dataclass(frozen=True)
class Segment:
    """A stretch of packets that is decoded in one go, half-open, and the frames wanted of it."""

    start: int
    stop: int
    frames: tuple[int, ...]


def plan(index: FrameIndex, frames: Sequence[int]) -> list[Segment]:
    """Choose between seeking and going on, so that as few frames as possible are decoded.

    Args:
        index: The frames of the video.
        frames: Numbers of the wanted frames, ascending.

    Returns:
        Segments with ascending starts. The frames to decode are sum(stop - start).
    """
    segments: list[Segment] = []
    for frame in frames:
        start, stop = index.start_for(frame), int(index.packet[frame]) + 1
        last = segments[-1] if segments else None
        if last is not None and start <= last.stop + SEEK_COST_FRAMES:
            segments[-1] = Segment(last.start, max(last.stop, stop), (*last.frames, frame))
        else:
            segments.append(Segment(start, stop, (frame,)))
    return segments


def decode(
    path: Path, index: FrameIndex, frames: Sequence[int], *, num_threads: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield (number, av.VideoFrame) of the wanted frames.

    Args:
        path: The video.
        index: Its frames.
        frames: Numbers of the wanted frames, ascending.
        num_threads: Threads of the decoder, over frames and over slices of a frame.

    Raises:
        LostFrame: A wanted frame cannot be decoded, even from the start of the file.
    """
    left = list(frames)
    with OpenVideo(path, index, num_threads=num_threads) as video:
        for segment in plan(index, frames):
            for number, frame in video.decode(segment):
                yield number, frame
                left.remove(number)
            if left and left[0] in segment.frames:
                break
    if not left:
        return
    # The index's keyframes misled, or the data is damaged: the plainest way tells which.
    with OpenVideo(path, index, num_threads=1) as video:
        whole = Segment(0, int(index.packet[left].max()) + 1, tuple(left))
        for number, frame in video.decode(whole):
            yield number, frame
            left.remove(number)
    if left:
        raise LostFrame(
            f"{path.name}: frame {left[0]} is damaged and cannot be decoded. "
            "Fetch or render the file again, or ask for other frames."
        )


class OpenVideo:
    """A video that is open for decoding."""

    def __init__(self, path: Path, index: FrameIndex, *, num_threads: int) -> None:
        self._path = path
        self._index = index
        self._num_threads = num_threads
        self._open()

    def __enter__(self) -> "OpenVideo":
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

    def decode(self, segment: Segment) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the wanted frames of a segment, up to the first that is missing or damaged."""
        numbers = _foretold(self._index, segment)
        pts = self._index.pts[numbers]
        wanted = iter(segment.frames)
        want = next(wanted)
        place = 0
        for frame, is_sound in self.outputs(segment):
            if frame.pts is None:
                continue
            # Passes over foretold frames that did not come.
            place += int(np.searchsorted(pts[place:], frame.pts))
            if place == len(numbers) or numbers[place] > want:
                return
            if pts[place] != frame.pts:
                continue
            if numbers[place] == want:
                if not is_sound:
                    return
                yield want, frame
                want = next(wanted, -1)
                if want < 0:
                    return
            place += 1

    def outputs(self, segment: Segment) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Decode a segment to its end; with each frame, whether no damage touched it."""
        context = self._stream.codec_context
        is_sound = True
        for packet in self._packets(segment):
            try:
                frames = context.decode(packet)
            except av.error.FFmpegError:
                is_sound = False
                continue
            for frame in frames:
                is_sound = (is_sound or frame.key_frame) and not frame.is_corrupt
                yield frame, is_sound

    def _packets(self, segment: Segment) -> Iterator[av.Packet | None]:
        """The packets of a segment, then None, which makes the decoder give up what it holds."""
        number, packets = self._at_or_before(segment.start)
        for packet in packets:
            if number == segment.stop:
                break
            if number >= segment.start:
                yield packet
            number += 1
        yield None

    def _at_or_before(self, start: int) -> tuple[int, Iterator[av.Packet]]:
        """Go to a packet, or before it where the container knows no better.

        Returns:
            The number of the first packet, and the packets from there on.
        """
        known = self._index.packets
        if start > 0:
            for time in (int(known.pts[start]), int(known.dts[start])):
                if time == MISSING or not self._seek(time):
                    continue
                packets = self._demux()
                first = next(packets, None)
                number = None if first is None else known.find(first)
                if number is not None and number <= start:
                    return number, chain([first], packets)
            self._container.close()
            self._open()
        return 0, self._demux()

    def _seek(self, time: int) -> bool:
        try:
            self._container.seek(time, stream=self._stream)
        except av.error.FFmpegError:
            return False
        return True

    def _demux(self) -> Iterator[av.Packet]:
        try:
            yield from (p for p in self._container.demux(self._stream) if p.size)
        except av.error.FFmpegError:
            return


def _foretold(index: FrameIndex, segment: Segment) -> Int64:
    """Numbers of the frames that decoding a segment must give, in presentation order."""
    inside = (index.packet >= segment.start) & (index.packet < segment.stop)
    if segment.start > 0:
        inside &= index.pts >= index.packets.pts[segment.start]
    return np.flatnonzero(inside)


def first_frames(path: Path, index: FrameIndex) -> tuple[av.VideoFrame | None, set[int]]:
    """Decode up to the first keyframe that is shown.

    Returns:
        The first av.VideoFrame, None where nothing decodes; and the pts of all frames that came.
    """
    packets = index.packets
    keys = np.flatnonzero(packets.is_key)
    end_pts = int(packets.pts[keys[0]]) if len(keys) else MISSING
    first: av.VideoFrame | None = None
    came: set[int] = set()
    with OpenVideo(path, index, num_threads=1) as video:
        for frame, is_sound in video.outputs(Segment(0, len(packets), ())):
            if frame.pts is None or not is_sound:
                continue
            first = first or frame
            came.add(frame.pts)
            if frame.pts >= end_pts:
                break
    return first, came
