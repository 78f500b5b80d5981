"""What a video is: its frames, size, clock and colours, from the packets and the first frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from hlvid.decoding import first_frames
from hlvid.frame_index import MISSING, FrameIndex, Int64, Packets, read_packets
from hlvid.pixels import MATRICES, Orientation, is_full_range, matrix_of
from hlvid.video_file import BrokenVideo, UnsupportedVideo, open_container, video_stream

TRANSFERS = {1: "bt709", 6: "bt601", 13: "srgb", 14: "bt2020", 15: "bt2020", 16: "pq", 18: "hlg"}
"""Transfer characteristics by the number of ITU-T H.273."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video is."""

    width: int
    """Displayed pixels: turned upright, and square (the longer side is stretched)."""
    height: int
    num_frames: int
    """Frames that are really in the file."""
    num_frames_declared: int | None
    """Frames that the container promises, hidden ones included; None where it does not say."""
    is_truncated: bool
    """The file is known to be cut short, or breaks off."""
    duration_seconds: float
    """From the first frame's start to the last one's end."""
    fps: float
    """num_frames / duration_seconds."""
    is_variable_rate: bool
    codec: str
    pixel_format: str
    bit_depth: int
    is_hdr: bool
    """Whether the transfer is declared as PQ or HLG."""
    matrix: str
    """The colour matrix that is used; declared or by the rule of `hlvid.pixels`."""
    transfer: str
    is_full_range: bool
    orientation: Orientation
    pixel_aspect_ratio: Fraction
    """Width of a stored pixel by its height."""

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn that the stored frames need: 0, 90, 180 or 270."""
        return self.orientation.degrees


def scan(path: Path) -> tuple[VideoInfo, FrameIndex]:
    """Read all packets and decode the first frame of a video.

    Raises:
        VideoError: The file cannot be read; a subclass tells why.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        packets, ends_well = read_packets(container, stream)
        declared = stream.frames or None
        time_base = stream.time_base or Fraction(1, 1000)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        transfer = int(stream.color_trc)
        codec = stream.codec_context.codec.canonical_name
    index = _index(packets, time_base)
    first, early_pts = first_frames(path, index)
    if first is None:
        raise BrokenVideo(
            f"{path.name}: no frame can be decoded ({len(packets)} packets read). "
            "Fetch or render the file again."
        )
    index = _without_undecodable(index, early_pts)
    try:
        orientation = Orientation.of(first)
    except ValueError as error:
        raise UnsupportedVideo(f"{path.name}: {error}. Allowed are quarter turns.") from error
    matrix = matrix_of(first.colorspace, width=first.width, height=first.height)
    if matrix not in MATRICES:
        raise UnsupportedVideo(
            f"{path.name}: colour matrix {matrix} is not read here. "
            f"Allowed are {', '.join(sorted(set(MATRICES.values())))}."
        )
    width, height = _displayed(first, aspect, orientation)
    duration_seconds = float(_duration(index.pts) * time_base)
    info = VideoInfo(
        width=width,
        height=height,
        num_frames=len(index),
        num_frames_declared=declared,
        is_truncated=not ends_well,
        duration_seconds=duration_seconds,
        fps=len(index) / duration_seconds if duration_seconds > 0 else 0.0,
        is_variable_rate=_is_variable(index.pts),
        codec=codec,
        pixel_format=first.format.name,
        bit_depth=max(c.bits for c in first.format.components),
        is_hdr=transfer in (16, 18),
        matrix=MATRICES[matrix],
        transfer=TRANSFERS.get(transfer, "unspecified"),
        is_full_range=is_full_range(first),
        orientation=orientation,
        pixel_aspect_ratio=aspect,
    )
    return info, index


def _index(packets: Packets, time_base: Fraction) -> FrameIndex:
    shown = np.flatnonzero(packets.is_shown & (packets.pts != MISSING))
    order = shown[np.argsort(packets.pts[shown], kind="stable")]
    return FrameIndex(
        time_base=time_base,
        pts=packets.pts[order],
        is_key=packets.is_key[order],
        packet=order,
        packets=packets,
    )


def _without_undecodable(index: FrameIndex, early_pts: set[int]) -> FrameIndex:
    """Drop what is shown before the first keyframe and does not decode, as after a cut."""
    keys = np.flatnonzero(index.packets.is_key)
    first_key_pts = index.packets.pts[keys[0]] if len(keys) else MISSING
    keep = (index.pts >= first_key_pts) | np.isin(index.pts, list(early_pts))
    return FrameIndex(
        time_base=index.time_base,
        pts=index.pts[keep],
        is_key=index.is_key[keep],
        packet=index.packet[keep],
        packets=index.packets,
    )


def _displayed(frame: av.VideoFrame, aspect: Fraction, orientation: Orientation) -> tuple[int, int]:
    """(width, height) with square pixels, turned upright; an aspect within 1 % of 1 is as 1.

    The stretched side grows, so that no detail is lost.
    """
    width, height = frame.width, frame.height
    if abs(aspect - 1) > Fraction(1, 100):
        width, height = (
            (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        )
    return (height, width) if orientation.is_transposed else (width, height)


def _duration(pts: Int64) -> float:
    """Ticks from the first frame to the end of the last, which is taken to last as the average."""
    if len(pts) < 2:
        return 0.0
    return float(pts[-1] - pts[0]) * len(pts) / (len(pts) - 1)


def _is_variable(pts: Int64) -> bool:
    """Whether gaps between frames differ by more than rounding to the clock explains."""
    if len(pts) < 3:
        return False
    gaps = np.diff(pts)
    average = float(gaps.mean())
    return bool(np.abs(gaps - average).max() > max(1.0, 0.01 * average))
