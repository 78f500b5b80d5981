"""From wanted frames to decoded ones: what is decoded, where to seek, and how many threads work.

Few frames far apart are decoded side by side, one thread a stretch: a decoder that works on many
frames at once has little to do where only one or a few lie between a keyframe and the wanted frame.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

import av

from hlvid.frame_index import FrameIndex
from hlvid.open_video import OpenVideo, Segment
from hlvid.video_file import LostFrame

SEEK_COST_FRAMES = 8
"""After a seek a keyframe, as dear as several frames, is decoded with nothing beside it."""
MAX_WORKERS = 8
"""Most stretches that are decoded side by side; each holds a decoder and its frames in memory."""
MAX_FRAMES_HELD = 4
"""Stretches with more wanted frames than this are decoded in turn, since they would be held."""

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
    is_sparse = max((len(s.frames) for s in apart), default=0) <= MAX_FRAMES_HELD
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

    def decode_one(segment: Segment) -> deque[Numbered]:
        if not hasattr(of_thread, "video"):
            of_thread.video = OpenVideo(path, num_threads=1)
            videos.append(of_thread.video)
        return deque(of_thread.video.decode(index, segment))

    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="decode")
    ahead: deque[Future[deque[Numbered]]] = deque()
    # Stretches differ in length: twice as many as workers keep all of these busy.
    num_ahead = 2 * num_workers
    try:
        ahead.extend(pool.submit(decode_one, segment) for segment in segments[:num_ahead])
        for segment, later in zip_longest(segments, segments[num_ahead:]):
            came = ahead.popleft().result()
            is_whole = len(came) == len(segment.frames)
            if later and is_whole:
                ahead.append(pool.submit(decode_one, later))
            while came:
                yield came.popleft()
            if not is_whole:
                return
    finally:
        pool.shutdown(cancel_futures=True)
        for video in videos:
            video.close()
