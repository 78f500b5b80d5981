"""Which frames a video has and what must be decoded to reach each: found without decoding.

The container's own index is not used: WebM's lists a few keyframes only, a header may promise more
frames than there are, and libavformat's is not shown by PyAV 15. Reading every packet once tells
all of it, at the speed of the disk; `hlvid.index_cache` remembers the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

MISSING = -(2**63)
"""Stands for a timestamp or byte position that a packet does not have."""


@dataclass(frozen=True)
class Packets:
    """The packets of the video stream in decoding order; all arrays are (num_packets,).

    Decoding never starts before the first keyframe: what comes of that is made up.
    """

    pts: Int64
    dts: Int64
    position_bytes: Int64
    """Where the packet lies in the file; with pts, what a packet is known by after a seek."""
    is_key: Bool
    is_shown: Bool
    """Whether a frame comes of it: not hidden by an edit list, not cut off in the middle."""

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def first_key(self) -> int:
        """Number of the first keyframe; 0 where none is marked."""
        return int(self.is_key.argmax()) if self.is_key.any() else 0

    @property
    def lacks_pts(self) -> bool:
        """Whether any packet has no presentation time."""
        return bool((self.pts == MISSING).any())

    def find(self, packet: av.Packet) -> int | None:
        """The number of a packet that was read again, or None where it is not known."""
        pts, _, position = _identity(packet)
        found = np.flatnonzero((self.pts == pts) & (self.position_bytes == position))
        return int(found[0]) if len(found) == 1 else None


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a video in presentation order; all arrays are (num_frames,)."""

    time_base: Fraction
    """Seconds a tick of pts."""
    pts: Int64
    """When each frame is shown, in ticks of the stream's own clock; never decreasing."""
    is_key: Bool
    packet: Int64
    """The number, in decoding order, of the packet that holds each frame."""
    packets: Packets
    is_counted: bool = False
    """Timestamps are missing: a frame is known by its place among all decoded ones."""
    _starts: Int64 = field(init=False, repr=False, compare=False)
    _first_packet: Int64 = field(init=False, repr=False, compare=False)
    _last_packet: Int64 = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        times, counts = np.unique(self.packets.pts, return_counts=True)
        is_alone = counts[np.searchsorted(times, self.packets.pts)] == 1
        # Frames shown at one time come in an order that only decoding all of them tells.
        _, group = np.unique(self.pts, return_inverse=True)
        first = np.full(len(self), len(self.packets), dtype=np.int64)
        last = np.zeros(len(self), dtype=np.int64)
        np.minimum.at(first, group, self.packet)
        np.maximum.at(last, group, self.packet)
        object.__setattr__(self, "_starts", np.flatnonzero(self.packets.is_key & is_alone))
        object.__setattr__(self, "_first_packet", first[group])
        object.__setattr__(self, "_last_packet", last[group])

    def __len__(self) -> int:
        return len(self.pts)

    def since_first(self, pts: int) -> float:
        """Seconds from the first frame on: the clock of evidence, subtitles and probes."""
        return float((pts - int(self.pts[0])) * self.time_base)

    def span(self, frame: int) -> tuple[int, int]:
        """The packets that must be decoded to get a frame right, as a half-open range.

        They begin at the last keyframe that is neither decoded nor shown after the frame: a picture
        that is decoded after a keyframe but shown before it may refer to what lies further back.

        Args:
            frame: Number of the frame in presentation order.

        Returns:
            (start, stop); start is the first keyframe where no later one will do.
        """
        if self.is_counted:
            return self.packets.first_key, len(self.packets)
        stop = int(self._last_packet[frame]) + 1
        before = self._starts[: np.searchsorted(self._starts, self._first_packet[frame], "right")]
        right = before[self.packets.pts[before] <= self.pts[frame]]
        return (int(right[-1]) if len(right) else self.packets.first_key), stop

    def foretold(self, start: int, stop: int) -> Int64:
        """Numbers of the frames that decoding packets [start, stop) must give, in their order."""
        if self.is_counted:
            return np.arange(len(self))
        inside = (self.packet >= start) & (self.packet < stop)
        if start > self.packets.first_key:
            inside &= self.pts >= self.packets.pts[start]
        return np.flatnonzero(inside)


def index_by_time(packets: Packets, time_base: Fraction, early_pts: Sequence[int]) -> FrameIndex:
    """Order the frames by the time at which they are shown.

    Args:
        packets: All packets, each with a pts.
        time_base: Seconds a tick.
        early_pts: Which frames shown before the first keyframe do decode: after a cut, the others
            refer to what is no longer there.
    """
    key = packets.first_key
    is_frame = packets.is_shown & (np.arange(len(packets)) >= key)
    is_frame &= (packets.pts >= packets.pts[key]) | np.isin(packets.pts, early_pts)
    frames = np.flatnonzero(is_frame)
    order = frames[np.argsort(packets.pts[frames], kind="stable")]
    return FrameIndex(time_base, packets.pts[order], packets.is_key[order], order, packets)


def index_by_count(
    packets: Packets, time_base: Fraction, pts: Sequence[int | None], *, rate: Fraction
) -> FrameIndex:
    """Number the frames as they come out of the decoder, where packets lack timestamps.

    Args:
        packets: All packets.
        time_base: Seconds a tick.
        pts: Of every decoded frame, in order, None where it has none; those are spaced evenly
            between, before and after those that have one.
        rate: Frames a second, where fewer than two frames have a pts.
    """
    count = np.arange(len(pts))
    known = np.array([i for i, time in enumerate(pts) if time is not None], dtype=np.int64)
    times = np.array([time for time in pts if time is not None], dtype=np.float64)
    step = float(1 / (rate * time_base))
    if len(known) > 1 and times[-1] > times[0]:
        step = (times[-1] - times[0]) / (known[-1] - known[0])
    if len(known) == 0:
        known, times = np.array([0]), np.array([0.0])
    filled = np.interp(count, known, np.maximum.accumulate(times))
    filled += step * (np.minimum(count - known[0], 0) + np.maximum(count - known[-1], 0))
    nothing = np.zeros(len(pts), dtype=np.int64)
    return FrameIndex(
        time_base,
        np.round(filled).astype(np.int64),
        nothing.astype(np.bool_),
        nothing,
        packets,
        is_counted=True,
    )


def read_packets(container: InputContainer, stream: av.VideoStream) -> tuple[Packets, bool]:
    """Read every packet of a stream, decoding none.

    Returns:
        The packets, and whether the file ended well: False where reading broke off or a packet is
        not whole.
    """
    rows: list[tuple[int, int, int, bool, bool]] = []
    ends_well = True
    try:
        for packet in container.demux(stream):
            # Empty packets hold no frame, and a decoder takes one for the end of the stream.
            if packet.size == 0:
                continue
            ends_well = ends_well and not packet.is_corrupt
            is_shown = not (packet.is_discard or packet.is_corrupt)
            rows.append((*_identity(packet), packet.is_keyframe, is_shown))
    except av.error.FFmpegError:
        ends_well = False
    pts, dts, position, is_key, shown = zip(*rows, strict=True) if rows else ((),) * 5
    packets = Packets(
        pts=np.array(pts, dtype=np.int64),
        dts=np.array(dts, dtype=np.int64),
        position_bytes=np.array(position, dtype=np.int64),
        is_key=np.array(is_key, dtype=np.bool_),
        is_shown=np.array(shown, dtype=np.bool_),
    )
    return packets, ends_well


def _identity(packet: av.Packet) -> tuple[int, int, int]:
    """(pts, dts, position) of a packet, `MISSING` for what it does not have."""
    pts, dts, position = (MISSING if v is None else v for v in (packet.pts, packet.dts, packet.pos))
    return pts, dts, position
