"""From wanted frames to decoded ones: what is decoded, where to seek, and how many threads work.

Few frames far apart are decoded side by side, one thread a stretch: a decoder that works on many
frames at once has little to do where only one or a few lie between a keyframe and the wanted frame.
The frames that wait for their turn are counted, so memory does not depend on how many are wanted.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import av

from hlvid.frame_index import FrameIndex
from hlvid.open_video import OpenVideo, Segment
from hlvid.video_file import LostFrame

SEEK_COST_FRAMES = 8
"""After a seek a keyframe, as dear as several frames, is decoded with nothing beside it."""
MAX_WORKERS = 8
"""Most stretches that are decoded side by side; each holds a decoder and its frames in memory."""
MAX_FRAMES_APART = 5
"""Stretches with more wanted frames than this are decoded in turn: side by side, those that wait
for their turn would soon leave no room, and all but one worker would stand still."""

Numbered = tuple[int, av.VideoFrame]


def plan(index: FrameIndex, frames: Sequence[int], *, seek_cost_frames: int = 0) -> list[Segment]:
    """Choose between seeking and going on, so that as little as possible is decoded.

    Args:
        index: The frames of the video.
        frames: Numbers of the wanted frames, ascending.
        seek_cost_frames: Going on costs less than a seek where it decodes fewer frames in vain.

    Returns:
        Segments with ascending starts. The frames to decode are sum(stop - start).
    """
    segments: list[Segment] = []
    for frame in frames:
        start, stop = index.span(frame)
        last = segments[-1] if segments else None
        if last is not None and start < last.stop + seek_cost_frames:
            segments[-1] = Segment(last.start, max(last.stop, stop), (*last.frames, frame))
        else:
            segments.append(Segment(start, stop, (frame,)))
    return segments


def decode(
    path: Path, index: FrameIndex, frames: Sequence[int], *, num_threads: int
) -> Iterator[Numbered]:
    """Yield (number, frame) of the wanted frames, in order.

    Args:
        path: The video.
        index: Its frames.
        frames: Numbers of the wanted frames, ascending.
        num_threads: Threads that decode.

    Raises:
        LostFrame: A wanted frame cannot be decoded, even plainly from the start of the file.
    """
    left = list(frames)
    # What keyframes promise can be wrong, and one thread loses no frame beside a damaged one.
    for way in (_as_planned, _from_the_start, _plainly):
        for number, frame in way(path, index, tuple(left), num_threads):
            left.remove(number)
            yield number, frame
        if not left:
            return
    raise LostFrame(
        f"{path.name}: frame {left[0]} is damaged and cannot be decoded. "
        "Fetch or render the file again, or ask for other frames."
    )


def _as_planned(
    path: Path, index: FrameIndex, frames: Sequence[int], num_threads: int
) -> Iterator[Numbered]:
    apart = plan(index, frames)
    num_workers = min(num_threads, MAX_WORKERS)
    is_sparse = max((len(s.frames) for s in apart), default=0) <= MAX_FRAMES_APART
    if is_sparse and num_workers > 1 and len(apart) >= 2 * num_workers:
        return _side_by_side(path, index, apart, num_workers)
    seek_cost_frames = max(SEEK_COST_FRAMES, num_threads)
    segments = plan(index, frames, seek_cost_frames=seek_cost_frames)
    return _in_turn(path, index, segments, num_threads)


def _from_the_start(
    path: Path, index: FrameIndex, frames: Sequence[int], num_threads: int
) -> Iterator[Numbered]:
    stop = max(index.span(frame)[1] for frame in frames)
    whole = Segment(index.packets.first_key, stop, tuple(frames))
    return _in_turn(path, index, [whole], num_threads)


def _plainly(
    path: Path, index: FrameIndex, frames: Sequence[int], num_threads: int
) -> Iterator[Numbered]:
    return _from_the_start(path, index, frames, 1) if num_threads > 1 else iter(())


def _in_turn(
    path: Path, index: FrameIndex, segments: Sequence[Segment], num_threads: int
) -> Iterator[Numbered]:
    """Decode segment after segment, up to the first frame that does not come."""
    with OpenVideo(path, num_threads=num_threads) as video:
        for segment in segments:
            num_came = 0
            for numbered in video.decode(index, segment):
                num_came += 1
                yield numbered
            if num_came < len(segment.frames):
                return


def _side_by_side(
    path: Path, index: FrameIndex, segments: Sequence[Segment], num_workers: int
) -> Iterator[Numbered]:
    """Decode several segments at once, up to the first frame that does not come."""
    of_thread = threading.local()
    videos: list[OpenVideo] = []
    shelf = _Shelf(num_workers)

    def decode_one(turn: int, segment: Segment) -> None:
        try:
            if not hasattr(of_thread, "video"):
                of_thread.video = OpenVideo(path, num_threads=1)
                videos.append(of_thread.video)
            # A loop's variable would hold each frame until the next one is decoded.
            all(map(partial(shelf.put, turn), of_thread.video.decode(index, segment)))
        finally:
            shelf.end(turn)

    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="decode")
    try:
        ends = [pool.submit(decode_one, turn, segment) for turn, segment in enumerate(segments)]
        for segment, end in zip(segments, ends, strict=True):
            num_came = 0
            while numbered := shelf.take():
                num_came += 1
                yield numbered
                del numbered
            end.result()
            if num_came < len(segment.frames):
                return
    finally:
        shelf.close()
        pool.shutdown(cancel_futures=True)
        for video in videos:
            video.close()


class _Shelf:
    """Frames of several segments, put by workers in any order, taken by one reader in order.

    Args:
        num_frames: Most frames that lie here. A worker with one more waits, unless it is what the
            reader waits for.
    """

    def __init__(self, num_frames: int) -> None:
        self._num_free = num_frames
        self._changed = threading.Condition()
        self._frames: defaultdict[int, deque[Numbered]] = defaultdict(deque)
        self._ended: set[int] = set()
        self._turn = 0
        self._is_closed = False

    def put(self, turn: int, numbered: Numbered) -> bool:
        """Lay down a frame of the segment whose turn this is; False where nobody wants it."""

        def has_room() -> bool:
            is_awaited = turn == self._turn and not self._frames[turn]
            return self._num_free > 0 or is_awaited or self._is_closed

        with self._changed:
            self._changed.wait_for(has_room)
            if self._is_closed:
                return False
            self._num_free -= 1
            self._frames[turn].append(numbered)
            self._changed.notify_all()
            return True

    def end(self, turn: int) -> None:
        """Say that a segment gives no more frames."""
        with self._changed:
            self._ended.add(turn)
            self._changed.notify_all()

    def take(self) -> Numbered | None:
        """The next frame of the segment whose turn it is; None, once, at its end."""

        def is_known() -> bool:
            return bool(self._frames[self._turn]) or self._turn in self._ended

        with self._changed:
            self._changed.wait_for(is_known)
            if self._frames[self._turn]:
                self._num_free += 1
                numbered = self._frames[self._turn].popleft()
            else:
                del self._frames[self._turn]
                self._turn += 1
                numbered = None
            self._changed.notify_all()
            return numbered

    def close(self) -> None:
        """Let every worker go."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
