"""What a video is: its frames, size, clock and colours, from its packets and its first frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from hlvid.frame_index import (
    FrameIndex,
    Packets,
    index_by_count,
    index_by_time,
)
from hlvid.open_video import OpenVideo
from hlvid.pixels import BT2020, MATRICES, is_full_range, matrix_of, orientation_of
from hlvid.video_file import (
    MAX_PIXELS,
    BrokenVideo,
    UnsupportedVideo,
    is_cut_short,
)

PQ, HLG, UNSPECIFIED = 16, 18, 2
TRANSFERS = {1: "bt709", 6: "bt601", 13: "srgb", 14: "bt2020", 15: "bt2020", PQ: "pq", HLG: "hlg"}
"""Transfer characteristics by the number of ITU-T H.273."""
PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt601-625",
    6: "bt601-525",
    7: "smpte240m",
    9: "bt2020",
    11: "dci-p3",
    12: "display-p3",
}
"""Colour primaries, numbered likewise."""
HDR_SIDE_DATA = ("MASTERING_DISPLAY_METADATA", "DYNAMIC_HDR_PLUS", "DOVI_METADATA")


@dataclass(frozen=True)
class VideoInfo:
    """What a video is."""

    width: int
    """Displayed pixels: turned upright, and square (the short side of a pixel is stretched)."""
    height: int
    num_frames: int
    """Frames that are really in the file."""
    num_frames_declared: int | None
    """Frames that the container promises, hidden ones included; None where it does not say."""
    is_truncated: bool
    """The file is known to be cut short, or to break off."""
    duration_seconds: float
    """From the first frame's start to the last one's end; the last is taken to last as the others
    on average."""
    fps: float
    """num_frames / duration_seconds."""
    is_variable_rate: bool
    """Whether gaps between frames differ by more than rounding to the clock explains."""
    codec: str
    pixel_format: str
    bit_depth: int
    is_hdr: bool
    """PQ or HLG is declared, or there is metadata that only HDR video has."""
    matrix: str
    """The colour matrix that is used: declared, or by the rule of `hlvid.pixels`."""
    transfer: str
    primaries: str
    """Told alone: nothing converts them, so wide ones look pale."""
    is_full_range: bool
    rotation_degrees: int
    """Clockwise turn of the stored frames: 0, 90, 180 or 270. Already done in what is read."""
    is_mirrored: bool
    """Whether they are mirrored left and right after the turn."""
    pixel_aspect_ratio: float
    """Width of a stored pixel by its height."""


@dataclass(frozen=True)
class _Stream:
    """What the container says of the stream."""

    packets: Packets
    is_truncated: bool
    num_frames_declared: int | None
    codec: str
    time_base: Fraction
    rate: Fraction
    pixel_aspect_ratio: Fraction


def scan(path: Path) -> tuple[VideoInfo, FrameIndex]:
    """Read all packets and decode the first frame of a video.

    Where packets lack timestamps, all frames are decoded.

    Raises:
        VideoError: The file cannot be read; a subclass tells why.
    """
    with OpenVideo(path, num_threads=1) as video:
        stream = _read_stream(path, video)
        packets = stream.packets
        first: av.VideoFrame | None = None
        pts: list[int | None] = []
        for frame in video.outputs(packets, packets.first_key, len(packets)):
            first = first or (None if frame.is_corrupt else frame)
            pts.append(frame.pts)
            if not packets.lacks_pts and first and frame.pts >= packets.pts[packets.first_key]:
                break
        # The bitstream may declare what the container does not.
        context = video.stream.codec_context
        transfer, primaries = int(context.color_trc), int(context.color_primaries)
    if first is None:
        raise BrokenVideo(
            f"{path.name}: no frame can be decoded ({len(packets)} packets read). "
            "Fetch or render the file again."
        )
    if packets.lacks_pts:
        index = index_by_count(packets, stream.time_base, pts, rate=stream.rate)
    else:
        early_pts = [time for time in pts if time is not None]
        index = index_by_time(packets, stream.time_base, early_pts)
    if not len(index):
        raise BrokenVideo(f"{path.name}: no frame is shown. Fetch or render the file again.")
    return _describe(path, stream, first, transfer, primaries, index), index


def _read_stream(path: Path, video: OpenVideo) -> _Stream:
    stream = video.stream
    packets, ends_well = video.read_packets()
    if not len(packets):
        raise BrokenVideo(
            f"{path.name}: holds no frame; it is cut short or was never finished. "
            "Fetch or render the file again."
        )
    return _Stream(
        packets=packets,
        is_truncated=not ends_well or is_cut_short(path),
        num_frames_declared=stream.frames or None,
        codec=stream.codec_context.codec.canonical_name,
        time_base=stream.time_base or Fraction(1, 1000),
        rate=stream.average_rate or Fraction(25),
        pixel_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
    )


def _describe(
    path: Path,
    stream: _Stream,
    first: av.VideoFrame,
    transfer: int,
    primaries: int,
    index: FrameIndex,
) -> VideoInfo:
    try:
        rotation_degrees, is_mirrored = orientation_of(first)
    except ValueError as error:
        raise UnsupportedVideo(f"{path.name}: {error}. Allowed are quarter turns.") from error
    matrix = matrix_of(first)
    if matrix not in MATRICES:
        raise UnsupportedVideo(
            f"{path.name}: colour matrix {matrix} is not read here. "
            f"Allowed are {', '.join(sorted(set(MATRICES.values())))}."
        )
    width, height = _square(first.width, first.height, stream.pixel_aspect_ratio)
    if width * height > MAX_PIXELS:
        raise UnsupportedVideo(
            f"{path.name}: frames of {first.width}x{first.height} with pixels of "
            f"{float(stream.pixel_aspect_ratio):g} are too large. Allowed are up to {MAX_PIXELS} "
            "square pixels."
        )
    duration_seconds = _duration_seconds(index, stream.rate)
    bit_depth = max(component.bits for component in first.format.components)
    is_wide = matrix == BT2020 and transfer == UNSPECIFIED and bit_depth > 8
    return VideoInfo(
        width=width if rotation_degrees % 180 == 0 else height,
        height=height if rotation_degrees % 180 == 0 else width,
        num_frames=len(index),
        num_frames_declared=stream.num_frames_declared,
        is_truncated=stream.is_truncated,
        duration_seconds=duration_seconds,
        fps=len(index) / duration_seconds,
        is_variable_rate=_is_variable_rate(index),
        codec=stream.codec,
        pixel_format=first.format.name,
        bit_depth=bit_depth,
        is_hdr=transfer in (PQ, HLG)
        or is_wide
        or any(kind in first.side_data for kind in HDR_SIDE_DATA),
        matrix=MATRICES[matrix],
        transfer=TRANSFERS.get(transfer, "unspecified"),
        primaries=PRIMARIES.get(primaries, "unspecified"),
        is_full_range=is_full_range(first),
        rotation_degrees=rotation_degrees,
        is_mirrored=is_mirrored,
        pixel_aspect_ratio=float(stream.pixel_aspect_ratio),
    )


def _square(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size with square pixels: it grows, so that no detail is lost. 1 % off is square."""
    if abs(aspect - 1) <= Fraction(1, 100):
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def _duration_seconds(index: FrameIndex, rate: Fraction) -> float:
    """From the first frame to the end of the last, which is taken to last as the average."""
    gaps = len(index) - 1
    ticks = int(index.pts[-1] - index.pts[0])
    if gaps < 1 or ticks < 1:
        return float(len(index) / rate)
    return float(Fraction(ticks * len(index), gaps) * index.time_base)


def _is_variable_rate(index: FrameIndex) -> bool:
    if len(index) < 3:
        return False
    gaps = np.diff(index.pts)
    average = float(gaps.mean())
    return bool(np.abs(gaps - average).max() > max(1.0, 0.01 * average))
