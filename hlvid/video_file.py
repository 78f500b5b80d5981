"""Opening a video file that nobody has vouched for: what is let in, and what is said of the rest.

Only MP4 (MOV) and Matroska (WebM) are let in, told by their first bytes, and of them four codecs:
libavformat also knows playlists that open other files and text formats that pass for video.
"""

import os
import re
import stat
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer

from hlvid.errors import UserError

CODECS = ("h264", "hevc", "vp9", "av1")
MAX_PIXELS = 16384 * 8192
"""Larger frames are refused: a few bytes of header must not ask for all of the memory."""

_HEAD_BYTES = 4096
_MAX_BOXES = 100_000
_BOX_NAME = re.compile(rb"[\x20-\x7e\xa9]{4}")

Container = Literal["mp4", "matroska"]


class VideoError(UserError):
    """A video that cannot be read as asked. The message names the file."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=1)


class NotAVideo(VideoError):
    """Not there, empty, text, a picture, sound only, or a container that is not read here."""


class UnsupportedVideo(VideoError):
    """A video, but of a codec, size or colour that is not read here."""


class BrokenVideo(VideoError):
    """A video whose file is so damaged or cut short that no frame can be read."""


class LostFrame(VideoError):
    """A frame that was asked for and is not there, or is there and cannot be decoded."""


class HdrVideo(VideoError):
    """High dynamic range, where ordinary pixels were asked for."""


def container_of(path: Path) -> Container:
    """Tell the container by the file's first bytes.

    Raises:
        NotAVideo: The file is missing, empty, or neither MP4 (MOV) nor Matroska (WebM).
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotAVideo(f"{path.name}: is not a regular file. A video file is needed.")
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise NotAVideo(
            f"{path.name}: cannot be opened ({error.strerror}). A readable file is needed."
        ) from error
    if not head:
        raise NotAVideo(f"{path.name}: is empty (0 bytes). Fetch or render it again.")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return "mp4"
    raise NotAVideo(
        f"{path.name}: is not a video that can be read (first bytes {head[:8].hex(' ')}). "
        "Allowed are MP4 (MOV) and Matroska (WebM)."
    )


def open_container(path: Path) -> InputContainer:
    """Open the file with the one demuxer that its first bytes allow, reaching no other file.

    Raises:
        NotAVideo: See `container_of`.
        BrokenVideo: The container cannot be parsed.
    """
    container = container_of(path)
    try:
        return av.open(
            os.fspath(path.absolute()),
            format=container,
            metadata_errors="replace",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"protocol_whitelist": "file"},
        )
    except av.error.FFmpegError as error:
        raise BrokenVideo(
            f"{path.name}: cannot be read as a video ({error.strerror or type(error).__name__}). "
            "The file is damaged or cut short: fetch or render it again."
        ) from error


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The stream to read: the first that moves (a cover picture does not).

    Raises:
        NotAVideo: There is none (sound only).
        BrokenVideo: There is none because the file is cut short.
        UnsupportedVideo: Its codec or size is not read here.
    """
    streams = [s for s in container.streams.video if not is_cover(s)]
    if not streams and is_cut_short(path):
        raise BrokenVideo(
            f"{path.name}: is cut short before its first frame. Fetch or render it again."
        )
    if not streams:
        raise NotAVideo(f"{path.name}: holds no video stream (sound or pictures only).")
    stream = streams[0]
    context = stream.codec_context
    name = "unknown" if context is None else context.codec.canonical_name
    if name not in CODECS:
        raise UnsupportedVideo(
            f"{path.name}: codec {name} is not read here. Allowed are {', '.join(CODECS)}."
        )
    if not 0 <= context.width * context.height <= MAX_PIXELS:
        raise UnsupportedVideo(
            f"{path.name}: frames of {context.width}x{context.height} are too large. "
            f"Allowed are up to {MAX_PIXELS} pixels."
        )
    return stream


def is_cut_short(path: Path) -> bool:
    """Whether the outermost structure of a file promises more bytes than it has."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if container_of(path) == "matroska":
            return _segment_end(file.read(_HEAD_BYTES)) > size
        end = 0
        for _ in range(_MAX_BOXES):
            file.seek(end)
            head = file.read(16)
            box = _box_bytes(head)
            if box < 8 or not _BOX_NAME.fullmatch(head[4:8]):  # What some cameras put behind.
                return False
            end += box
            if end >= size:
                break
    return end > size


def _box_bytes(head: bytes) -> int:
    """Length of an ISO base media box (ISO/IEC 14496-12, 4.2); 0 where it goes to the end."""
    length = int.from_bytes(head[:4], "big")
    return int.from_bytes(head[8:16], "big") if length == 1 else length


def _segment_end(head: bytes) -> int:
    """Where the EBML header and the segment after it end (RFC 8794); 0 where not known."""
    end = 0
    for identifier in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        start = end + len(identifier)
        if head[end:start] != identifier or start >= len(head) or not head[start]:
            return 0
        width = 9 - head[start].bit_length()
        mask = (1 << 7 * width) - 1
        length = int.from_bytes(head[start : start + width], "big") & mask
        if length == mask:
            return 0
        end = start + width + length
    return end


def is_cover(stream: av.VideoStream) -> bool:
    """Whether the stream is a still attached to a recording."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)
