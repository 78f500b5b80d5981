"""Whether two pictures, or two files, show the same although their bytes differ.

Pictures are compared by a perceptual hash of 256 bits, by the package ImageHash (2-clause BSD).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hlvid.build.codes import Ended
from hlvid.build.records import Probed
from hlvid.files import digest
from hlvid.video import FrameIndex, VideoError, VideoReader

HASH_SIDE = 16
"""The square root of the number of bits."""
NUM_BITS = HASH_SIDE**2
HASHED_SIZE = (320, 180)
"""Frames are made so small first, whatever their shape: one picture at two sizes gives one hash."""
MIN_DEVIATION = 4.0
"""Standard deviation of a frame's levels, 0 to 255: below, black is like black in every video."""

_EMPTY = "0" * (NUM_BITS // 4)

Signs = npt.NDArray[np.float32]


def picture_hash(pixels: npt.NDArray[np.uint8]) -> str | None:
    """The hash of a picture, (height, width, 3) in RGB and of any size, in hex; None if empty."""
    import imagehash
    from PIL import Image

    image = Image.fromarray(pixels)
    if image.size != HASHED_SIZE:
        image = image.resize(HASHED_SIZE, Image.Resampling.BICUBIC)
    if np.asarray(image).std() < MIN_DEVIATION:
        return None
    return str(imagehash.phash(image, HASH_SIDE))


def as_signs(hashes: Sequence[str | None]) -> Signs:
    """(num_hashes, NUM_BITS) of -1 and 1: two rows' product tells how many bits they share.

    A frame without a hash, which was empty, is a row of 0.
    """
    data = np.frombuffer(bytes.fromhex("".join(h or _EMPTY for h in hashes)), dtype=np.uint8)
    bits = np.unpackbits(data.reshape(len(hashes), NUM_BITS // 8), axis=1)
    signs = bits.astype(np.float32) * 2 - 1
    signs[[each is None for each in hashes]] = 0
    return signs


def alike(one: Signs, other: Signs, max_distance: int) -> float:
    """Share of the frames of the clip with fewer that have a like in the other, one shift for all.

    A copy shows the same at the same distance in time, be it cut out of a longer film. Were any
    frame of the other allowed, hundreds of frames of one street would hold a like of every frame of
    another street.

    Args:
        one: (n, NUM_BITS), its frames evenly spread in time.
        other: (m, NUM_BITS), spread as wide.
        max_distance: Most bits in which two frames that are alike differ.

    Returns:
        Of the frames that are not empty; 0 where all are.
    """
    few, many = sorted((one, other), key=lambda signs: np.count_nonzero(signs[:, 0]))
    if not few[:, :1].any():
        return 0.0
    is_alike = (NUM_BITS - few @ many.T) / 2 <= max_distance
    is_alike &= (few[:, :1] != 0) & (many[:, 0] != 0)
    here, there = np.nonzero(is_alike)
    most = np.bincount(there - here + len(few), minlength=1).max()
    return float(most / np.count_nonzero(few[:, 0]))


def keyframes_sha256(index: FrameIndex) -> str:
    """Digest of which frames of a video are keyframes: it can be cut there and nowhere else."""
    return digest(np.flatnonzero(index.is_key).tolist())


def check_equivalent(path: Path, known: Probed, *, max_distance: int) -> None:
    """Refuse a file that is not the same video as one whose bytes are gone.

    Questions and their evidence are about frames and pixels: size, frames, length and keyframes,
    by which it is cut, must be the same, and so must what is seen wherever the file was probed.

    Args:
        path: The file that came instead.
        known: What the file showed that was there before.
        max_distance: Most bits in which two pictures that are alike differ.

    Raises:
        Ended: source_changed, with the first difference.
    """
    try:
        with VideoReader(path, num_threads=1, accept_hdr=True) as reader:
            info = reader.info
            for what, was, is_now in (
                ("width", known.width, info.width),
                ("height", known.height, info.height),
                ("number of frames", known.num_frames, info.num_frames),
                ("keyframes", known.keyframes_sha256[:12], keyframes_sha256(reader.index)[:12]),
            ):
                if was != is_now:
                    raise Ended("source_changed", f"{what}: {is_now}, not {was}")
            if abs(info.duration_seconds - known.duration_seconds) > 1 / known.fps:
                lengths = f"{info.duration_seconds:.3f} s, not {known.duration_seconds:.3f} s"
                raise Ended("source_changed", lengths)
            hashes = [picture_hash(f.pixels) for f in reader.frames(known.frames_decoded)]
    except VideoError:
        raise Ended("source_changed", "what came instead cannot be read") from None
    for number, before, now in zip(known.frames_decoded, known.hashes, hashes, strict=True):
        if before is None or now is None:
            is_same = before is now
        else:
            is_same = alike(as_signs([before]), as_signs([now]), max_distance) == 1
        if not is_same:
            raise Ended("source_changed", f"frame {number} shows something else")
