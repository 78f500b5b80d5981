"""One video's sampled frames, as all arms see them: decoded once, in a file and not in memory."""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators.halting import CannotGoOn, Halt
from evaluators.mapping import Pairing
from gaze.views import TOKEN_PIXELS, Views
from hlvid.errors import UserError
from hlvid.types import Evidence, FrameSettings
from hlvid.video import VideoReader, frames_sha256, uniform_indices

Fit = Callable[[int, int], tuple[int, int]]
"""From a video's width and height to the canvas's."""


_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_LINES = re.compile(r"([1-9][0-9]{0,4})p")


class NoRoom(CannotGoOn):
    """The scratch file of a canvas does not fit on the disk."""


@dataclass(frozen=True)
class Shape:
    """How a model wants its frames.

    Args:
        canvas: What a record calls the size: `FrameSettings.canvas`.
        fit: Gives that size; None for the size of the video.
        token_pixels: Side of a native token.
        pairing: Which frames share a token.
        context: Native tokens along a side that a token of the context stream covers; 0 for none.
    """

    canvas: str = "source"
    fit: Fit | None = None
    token_pixels: int = TOKEN_PIXELS
    pairing: Pairing = "none"
    context: int = 0

    def settings(self, num_frames: int) -> FrameSettings:
        """What a record says of it."""
        return FrameSettings(
            num_frames=num_frames,
            canvas=self.canvas,
            token_pixels=self.token_pixels,
            pairing=self.pairing,
            context=self.context,
        )


def parse_canvas(text: str, whole: str) -> Fit:
    """The size that is asked for, before a model's own rule rounds it.

    Args:
        text: 'WIDTHxHEIGHT', 'Np' for a shorter side of N at most, or `whole`.
        whole: What the size of the video is called.

    Raises:
        UserError: It is none of these.
    """
    if text == whole:
        return lambda width, height: (width, height)
    if size := _SIZE.fullmatch(text):
        return lambda *_: (int(size[1]), int(size[2]))
    if lines := _LINES.fullmatch(text):
        return lambda width, height: _shrunk(width, height, int(lines[1]))
    raise UserError(
        f"--canvas: {text!r} cannot be read. Allowed are {whole}, WIDTHxHEIGHT, and Np for a "
        "shorter side of N pixels at most."
    )


def _shrunk(width: int, height: int, most: int) -> tuple[int, int]:
    """The size at which the shorter side is so long at most, in the same shape."""
    shorter = min(width, height)
    if shorter <= most:
        return width, height
    return round(width * most / shorter), round(height * most / shorter)


SOURCE = Shape()
"""Frames as they are, each by itself."""


@dataclass(frozen=True)
class Canvas:
    """The frames that every arm of a video sees.

    Args:
        pixels: uint8 (num_frames, height, width, 3), RGB, mapped from a file.
        frame_seconds: When each frame is shown, counted from the video's first one, (num_frames,).
        frames_sha256: Digest of the frames' presentation times.
        sha256: Digest of the pixels.
        decode_ms: From opening the file to the last pixel.
        shape: How the frames were put on it.
        source_size: Width and height of the video; None where the canvas has them too.
    """

    pixels: NDArray[np.uint8]
    frame_seconds: NDArray[np.float64]
    frames_sha256: str
    sha256: str
    decode_ms: float
    shape: Shape = SOURCE
    source_size: tuple[int, int] | None = None

    @property
    def num_frames(self) -> int:
        """Frames that were sampled."""
        return int(self.pixels.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.pixels.shape[2]), int(self.pixels.shape[1])

    @property
    def views(self) -> Views:
        """How it is divided into tokens and views."""
        width, height = self.size
        return Views(height, width, self.shape.token_pixels)


@contextmanager
def decode(
    path: Path,
    *,
    num_frames: int,
    scratch: Path,
    shape: Shape = SOURCE,
    halt: Halt | None = None,
) -> Iterator[Canvas]:
    """Decode a video's uniformly sampled frames into a scratch file that no crash can leave behind.

    The file has no name: it is gone when the last view of its pixels is, however the process ends.

    Args:
        path: Of the video.
        num_frames: Frames to sample; all where there are fewer.
        scratch: Folder for the file.
        shape: How the frames are put on the canvas; they are decoded straight to its size.
        halt: Whether to end between two frames.

    Raises:
        VideoError: The video cannot be read.
        NoRoom: The frames do not fit on the disk.
        Stopped: It was to end.
    """
    started = time.perf_counter_ns()
    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(path))
        source_size = size = reader.info.width, reader.info.height
        if shape.fit is not None and (size := shape.fit(*source_size)) != source_size:
            reader = stack.enter_context(VideoReader(path, size=size))
        indices = uniform_indices(reader.info.num_frames, num_frames)
        pixels = scratch_array((len(indices), size[1], size[0], 3), scratch)
        seconds = np.zeros(len(indices))
        pts = []
        for i, frame in enumerate(reader.frames(indices)):
            if halt is not None:
                halt.check()
            pixels[i] = frame.pixels
            seconds[i] = reader.index.since_first(frame.pts)
            pts.append(frame.pts)
    decode_ms = (time.perf_counter_ns() - started) / 1e6
    digest = hashlib.sha256()
    for frame_pixels in pixels:
        digest.update(frame_pixels)
    pixels.flags.writeable = False
    yield Canvas(
        pixels=pixels,
        frame_seconds=seconds,
        frames_sha256=frames_sha256(pts),
        sha256=digest.hexdigest(),
        decode_ms=decode_ms,
        shape=shape,
        source_size=None if size == source_size else source_size,
    )


def evidence_on(
    evidence: Mapping[str, Sequence[Evidence]], canvas: Canvas
) -> Mapping[str, Sequence[Evidence]]:
    """Evidence with its boxes in pixels of the canvas."""
    if canvas.source_size is None:
        return evidence
    x, y = (new / old for new, old in zip(canvas.size, canvas.source_size, strict=True))

    def scale(one: Evidence) -> Evidence:
        boxes = tuple((t, x0 * x, y0 * y, x1 * x, y1 * y) for t, x0, y0, x1, y1 in one.boxes)
        return one.model_copy(update={"boxes": boxes})

    return {question_id: [scale(one) for one in many] for question_id, many in evidence.items()}


def scratch_array(shape: tuple[int, int, int, int], folder: Path) -> NDArray[np.uint8]:
    """Room for frames in a file without a name: it is gone when the last view of it is.

    Raises:
        NoRoom: They do not fit on the disk.
    """
    num_bytes = int(np.prod(shape))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            # Taken before it is mapped: a page that finds the disk full kills the process.
            os.posix_fallocate(file.fileno(), 0, num_bytes)
            return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
    except OSError as error:
        raise NoRoom(
            f"{folder}: no room for {num_bytes / 1e6:.0f} MB of frames ({error.strerror}). "
            "Free some space and run the same command again: what is finished is safe.",
            exit_code=1,
        ) from None
