"""Frames to a file: H.264 in MP4, one keyframe every five seconds, honest about its rate."""

import os
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

KEYFRAME_SECONDS = 5
_BT709 = 1
_LIMITED = 1
_PRESET = "ultrafast"
_QUALITY = "27"
"""Constant rate factor: capitals of 18 px and the noise around them survive it."""


def encode(frames: Iterable[NDArray[np.uint8]], path: Path, *, fps: int, credit: str = "") -> None:
    """Write a video whose frames are given as planes of YUV 4:2:0.

    The file comes out the same for one set of installed versions: one thread, no clock in it.

    Args:
        frames: Each (height * 3 / 2, width); read before the next one is asked for.
        path: Where the file is put once it is whole and on the disk.
        fps: Frames a second.
        credit: Whose work the frames show, for the file's metadata.

    Raises:
        OSError: The disk is full, or the folder may not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as file:
            file.metadata["comment"] = credit
            stream: VideoStream | None = None
            for number, planes in enumerate(frames):
                stream = stream or _open_stream(file, planes, fps)
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts = number
                file.mux(stream.encode(frame))
            if stream is not None:
                file.mux(stream.encode(None))
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _open_stream(
    file: av.container.OutputContainer, planes: NDArray[np.uint8], fps: int
) -> VideoStream:
    stream: VideoStream = file.add_stream("libx264", rate=fps)
    stream.height, stream.width = planes.shape[0] * 2 // 3, planes.shape[1]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.thread_count = 1
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    gop = KEYFRAME_SECONDS * fps
    stream.options = {
        "preset": _PRESET,
        "crf": _QUALITY,
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:threads=1",
    }
    return stream


def sweep(path: Path) -> None:
    """Take away what processes that were killed left of this video."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        number = part.name.removesuffix(".part").rpartition(".")[2]
        if not (number.isdecimal() and _is_running(int(number))):
            part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
