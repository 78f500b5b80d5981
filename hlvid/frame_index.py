"""Which frames a video has and what must be decoded to reach each: found without decoding.

The container's own index is not used: WebM's lists a few keyframes only, a header may promise more
frames than there are, and libavformat's is not shown by PyAV 15. Reading every packet once tells
all of it, at the speed of the disk, and `hlvid.index_cache` remembers the answer.
"""

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
    """The packets of the video stream in decoding order; all arrays are (num_packets,)."""

    pts: Int64
    dts: Int64
    position_bytes: Int64
    """Where the packet lies in the file; with pts, what a packet is known by after a seek."""
    is_key: Bool
    is_shown: Bool
    """Whether a frame comes of it: not hidden by an edit list, not cut off in the middle."""

    def __len__(self) -> int:
        return len(self.pts)

    def find(self, packet: av.Packet) -> int | None:
        """The number of a packet that was read again, or None where it is not known."""
        pts, _, position = identity(packet)
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
    _starts: Int64 = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", _starts(self.packets))

    def __len__(self) -> int:
        return len(self.pts)

    def start_for(self, frame: int) -> int:
        """The packet at which decoding must start to get a frame right.

        It is the last keyframe that is neither decoded nor shown after the frame: a picture that
        is decoded after a keyframe but shown before it may refer to what lies before the keyframe.

        Args:
            frame: Number of the frame in presentation order.

        Returns:
            Number of the packet; 0, the start of the file, where no keyframe will do.
        """
        candidates = self._starts[: np.searchsorted(self._starts, self.packet[frame], side="right")]
        right = candidates[self.packets.pts[candidates] <= self.pts[frame]]
        return int(right[-1]) if len(right) else 0


def _starts(packets: Packets) -> Int64:
    """Keyframes at which decoding may start; those that share their pts are not told apart."""
    values, counts = np.unique(packets.pts, return_counts=True)
    unique = counts[np.searchsorted(values, packets.pts)] == 1
    return np.flatnonzero(packets.is_key & unique)


def read_packets(container: InputContainer, stream: av.VideoStream) -> tuple[Packets, bool]:
    """Read every packet of a stream, decoding none.

    Returns:
        The packets, and whether the file ended well: False where reading broke off or the last
        packet is not whole.
    """
    rows: list[tuple[int, int, int, bool, bool]] = []
    ends_well = True
    try:
        for packet in container.demux(stream):
            # Empty packets hold no frame, and a decoder takes one for the end of the stream.
            if packet.size == 0:
                continue
            ends_well = ends_well and not packet.is_corrupt
            rows.append((*identity(packet), packet.is_keyframe, is_shown(packet)))
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


def identity(packet: av.Packet) -> tuple[int, int, int]:
    """(pts, dts, position) of a packet, `MISSING` for what it does not have."""
    pts, dts, position = (MISSING if v is None else v for v in (packet.pts, packet.dts, packet.pos))
    return pts, dts, position


def is_shown(packet: av.Packet) -> bool:
    """Whether a whole frame that is to be shown comes of a packet."""
    return not (packet.is_discard or packet.is_corrupt)
