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

RUN_FRAMES = 3
"""So many frames one after another must be like so many of the other film, in their order: one
street holds a like of almost every frame of another, but not of the next ones as well."""

_EMPTY = "0" * (NUM_BITS // 4)
_PICTURE, _NO_PICTURE = 1, -17
"""The last column of signs: of two empty frames its product is above all others, of an empty one
and a picture below all of those that may count as alike."""

Signs = npt.NDArray[np.int8]


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
    """(num_hashes, NUM_BITS + 1): -1 and 1 for the bits, and whether there is a picture.

    The product of two rows tells how many bits they share. A frame without a hash, which was
    empty, is a row of 0.
    """
    data = np.frombuffer(bytes.fromhex("".join(h or _EMPTY for h in hashes)), dtype=np.uint8)
    bits = np.unpackbits(data.reshape(len(hashes), NUM_BITS // 8), axis=1)
    is_empty = np.array([each is None for each in hashes], dtype=bool)
    signs = np.full((len(hashes), NUM_BITS + 1), _PICTURE, dtype=np.int8)
    signs[:, :NUM_BITS] = bits.astype(np.int8) * 2 - 1
    signs[is_empty, :NUM_BITS] = 0
    signs[is_empty, NUM_BITS] = _NO_PICTURE
    return signs


def alike(one: Signs, other: Signs, max_distance: int, *, least: float = 0.0) -> float:
    """Share of the frames of the clip with fewer that the other shows too, in the same order.

    A copy shows the same one after another, be it cut out of a longer film, cut shorter inside, or
    a little faster. Were any like frame of the other allowed, hundreds of frames of one street
    would hold a like of every frame of another street; so only those count that lie on a run of
    `RUN_FRAMES`, and of these as many as can be had one to one without going back in time.

    Args:
        one: Of n frames, evenly spread in time.
        other: Of m frames, spread as wide.
        max_distance: Most bits in which two frames that are alike differ.
        least: A share that is below may be given as 0, which is sooner known.

    Returns:
        Of the frames that are not empty, or of half the shorter clip's length, if that is more: a
        logo in the dark says nothing.
    """
    length = min(RUN_FRAMES, len(one), len(other))
    if length == 0:
        return 0.0
    has_picture = one[:, -1] == _PICTURE
    num_pictures = min(int((each[:, -1] == _PICTURE).sum()) for each in (one, other))
    out_of = max(num_pictures, min(len(one), len(other)) / 2)
    # Whatever lies on a run has one of these rows on it, too.
    is_alive = _likes(one[length - 1 :: length], other, max_distance).any(axis=1)
    gaps = np.pad(is_alive, 1)
    at_most = is_alive.sum() + (length - 1) * (gaps[1:] | gaps[:-1]).sum()
    if not at_most or at_most < least * out_of:
        return 0.0
    is_on_run = _on_runs(_likes(one, other, max_distance), length)
    is_on_run[~has_picture] = False
    # The longest sequence that both have, by its length up to each frame of the other.
    most = np.zeros(len(other) + 1, dtype=np.int32)
    for row in is_on_run[is_on_run.any(axis=1)]:
        most[1:] = np.maximum.accumulate(np.maximum(most[1:], most[:-1] + row))
    return float(most[-1] / out_of)


def _likes(one: Signs, other: Signs, max_distance: int) -> npt.NDArray[np.bool_]:
    """(n, m): whether two frames are alike, or both empty."""
    products = one.astype(np.float32) @ other.astype(np.float32).T
    found: npt.NDArray[np.bool_] = products >= NUM_BITS - 2 * max_distance + _PICTURE
    return found


def _on_runs(is_like: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """(n, m): which likes lie on a diagonal of at least so many."""
    height, width = (size - length + 1 for size in is_like.shape)
    shifted = [is_like[i : i + height, i : i + width] for i in range(length)]
    is_start = np.logical_and.reduce(shifted)
    found = np.zeros_like(is_like)
    for i in range(length):
        found[i : i + height, i : i + width] |= is_start
    return found


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
