"""Reading sampled frames of a video: exact frames, upright RGB, a bounded number in memory.

    with VideoReader(path, size=(1280, 720)) as reader:
        for frame in reader.frames(uniform_indices(reader.info.num_frames, 16)):
            frame.index, frame.pts_seconds, frame.pixels

The pixels are those of decoding the whole file and picking frames, whatever way they were reached.
Damage that a decoder notices costs the frames it touches; what none can notice only a digest of the
file tells.
"""

import hashlib
import itertools
import os
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from hlvid.decoding import decode
from hlvid.frame_index import FrameIndex
from hlvid.index_cache import cached_scan
from hlvid.pixels import Pixels, ToRgb
from hlvid.video_file import (
    BrokenVideo,
    HdrVideo,
    LostFrame,
    NotAVideo,
    UnsupportedVideo,
    VideoError,
)
from hlvid.video_info import VideoInfo

__all__ = [
    "BrokenVideo",
    "Frame",
    "FrameIndex",
    "HdrVideo",
    "LostFrame",
    "NotAVideo",
    "UnsupportedVideo",
    "VideoError",
    "VideoInfo",
    "VideoReader",
    "frames_sha256",
    "uniform_indices",
]

MAX_THREADS = 16
"""Each thread of a decoder holds frames of its own; more bring little even for 4K."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """Its number in presentation order, from 0."""
    pts: int
    """When it is shown, in ticks of the stream's own clock."""
    pts_seconds: float
    """When it is shown, in seconds of the file's own clock, which may not start at 0."""
    pixels: Pixels
    """uint8 (height, width, 3), RGB, upright."""

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        return f"Frame(index={self.index}, pts_seconds={self.pts_seconds:g}, {width}x{height})"


class VideoReader:
    """Reads frames of one video file.

    Args:
        path: MP4 (MOV) or Matroska (WebM) with H.264, HEVC, VP9 or AV1.
        size: (width, height) to deliver, pixels; by default as displayed.
        num_threads: Threads of the decoder; 0 for one a processor of this process, up to 16.
        accept_hdr: Deliver PQ and HLG frames as they are stored, without tone mapping.

    Raises:
        VideoError: The file cannot be read; a subclass tells why.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: tuple[int, int] | None = None,
        num_threads: int = 0,
        accept_hdr: bool = False,
    ) -> None:
        if size is not None and min(size) < 1:
            raise ValueError(f"{size=} must be at least 1x1")
        if num_threads < 0:
            raise ValueError(f"{num_threads=} must not be negative")
        self._path = Path(path)
        self.info, self.index = cached_scan(self._path)
        self._size = size or (self.info.width, self.info.height)
        self._num_threads = num_threads or min(len(os.sched_getaffinity(0)), MAX_THREADS)
        self._accept_hdr = accept_hdr
        self._running: weakref.WeakSet[Generator[Frame, None, None]] = weakref.WeakSet()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, also where frames are still being read."""
        self._is_closed = True
        for frames in list(self._running):
            frames.close()

    def frames(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[Frame]:
        """Decode frames as they are asked for; few are held, however many are wanted.

        Args:
            indices: Numbers of frames in presentation order, strictly ascending.

        Yields:
            One frame for each number, in order.

        Raises:
            ValueError: The numbers do not ascend.
            LostFrame: A frame is not in the file, or is damaged.
            HdrVideo: The video is HDR and that was not accepted.
        """
        if self._is_closed:
            raise ValueError("the reader is closed")
        wanted = [int(i) for i in indices]
        if any(b <= a for a, b in itertools.pairwise(wanted)):
            raise ValueError("indices must ascend strictly")
        self._refuse(wanted)
        frames = self._frames(wanted)
        self._running.add(frames)
        return frames

    def _refuse(self, wanted: Sequence[int]) -> None:
        info, name = self.info, self._path.name
        if info.is_hdr and not self._accept_hdr:
            raise HdrVideo(
                f"{name}: is HDR ({info.transfer}, {info.bit_depth} bits). Allowed are videos of "
                "standard range; convert it with tone mapping first."
            )
        outside = [i for i in wanted if not 0 <= i < info.num_frames]
        if outside:
            raise LostFrame(
                f"{name}: frame {outside[0]} is not there. The file holds frames 0 to "
                f"{info.num_frames - 1}{' and is cut short' if info.is_truncated else ''}."
            )

    def _frames(self, wanted: Sequence[int]) -> Generator[Frame, None, None]:
        width, height = self._size
        convert = ToRgb(
            width=width,
            height=height,
            rotation_degrees=self.info.rotation_degrees,
            is_mirrored=self.info.is_mirrored,
        )
        for number, frame in decode(self._path, self.index, wanted, num_threads=self._num_threads):
            pts = int(self.index.pts[number])
            yield Frame(number, pts, float(pts * self.index.time_base), convert(frame))


def uniform_indices(num_frames: int, n: int) -> npt.NDArray[np.int64]:
    """Evenly spread frame numbers, first and last included: round(linspace(0, num_frames - 1, n)).

    Args:
        num_frames: Frames that there are.
        n: Frames wanted. Where there are fewer, all are returned.

    Returns:
        int64 (min(n, num_frames),), strictly ascending. Halves round to even.
    """
    if num_frames < 1 or n < 1:
        raise ValueError(f"{num_frames=} and {n=} must be at least 1")
    if n >= num_frames:
        return np.arange(num_frames, dtype=np.int64)
    return np.round(np.linspace(0, num_frames - 1, n)).astype(np.int64)


def frames_sha256(pts: Iterable[int]) -> str:
    """Digest of the presentation times of the frames that were read.

    Args:
        pts: Ticks of the stream's clock, in the order read; hashed as little-endian int64.
    """
    return hashlib.sha256(np.array(list(pts), dtype="<i8").tobytes()).hexdigest()
