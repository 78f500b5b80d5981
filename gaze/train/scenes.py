"""Clips of the renderer's scenes: drawn once in 4K, cut into windows, kept in the cache.

A scene takes seconds to paint and its frames are large, so windows of it are kept as they will be
used: 16 frames of S x S pixels. Scenes for training and validation show the photographs and
strings of the training split, scenes for the test those of the benchmark's, all with seeds of their
own.
"""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from gaze.train.clips import Clip, Split, draws
from hlvid.console import progress
from hlvid.errors import UserError
from hlvid.files import cache_dir, digest, write_bytes
from hlvid.synthetic import RenderSettings, drawing, generation
from hlvid.synthetic.scene import FRAME_HEIGHT, FRAME_WIDTH

SEEDS: dict[Split, int] = {"training": 7_001, "validation": 7_002, "test": 7_003}
"""Far from the seeds of benchmarks, which count from 0."""
_SECONDS, _FPS, _EVIDENCE_SECONDS = 8, 12, 1
RUN_FRAMES = 16
_RUNS = 4
"""Stretches of a scene, evenly spread."""
_WINDOWS = 3
"""Places looked at in each."""


@dataclass(frozen=True)
class SceneClips:
    """Clips of rendered scenes.

    Args:
        split: Whose scenes.
        seed: Another seed, other clips of other scenes.
        num_frames: T, at most 16.
        num_scenes: How many scenes they are cut from.
        size: S, pixels of a side.
    """

    split: Split
    seed: int
    num_frames: int
    num_scenes: int
    size: int = 224

    def clip(self, index: int) -> Clip:
        """One clip; its source is the scene."""
        rng = draws("scene", self.split, self.seed, index)
        scene = self._scenes[int(rng.integers(self.num_scenes))]
        windows = _stored(self.split, scene, self.size)
        longest = min(4, (RUN_FRAMES - 1) // max(1, self.num_frames - 1))
        step = int(rng.integers(1, longest + 1))
        first = int(rng.integers(RUN_FRAMES - step * (self.num_frames - 1)))
        window = windows[int(rng.integers(len(windows)))]
        pixels = window[first : first + step * (self.num_frames - 1) + 1 : step]
        pixels = pixels[..., ::-1] if rng.random() < 0.5 else pixels
        return Clip(np.ascontiguousarray(pixels), f"scene {self.split} {scene}")

    @property
    def _scenes(self) -> range:
        return range(self.seed * self.num_scenes, (self.seed + 1) * self.num_scenes)

    def prepare(self) -> None:
        """Draw the scenes that are not in the cache yet, one on each core.

        Raises:
            UserError: The cache may not be written, or a drawing process was killed.
        """
        missing = [n for n in self._scenes if not _path(self.split, n, self.size).is_file()]
        if not missing:
            return
        workers = min(len(os.sched_getaffinity(0)), len(missing))
        context = multiprocessing.get_context("spawn")
        try:
            with (
                progress(len(missing), f"drawing scenes for {self.split}, once") as bar,
                ProcessPoolExecutor(workers, mp_context=context) as pool,
            ):
                drawn = [pool.submit(_draw, self.split, n, self.size) for n in missing]
                for future in as_completed(drawn):
                    future.result()
                    bar.advance()
        except BrokenProcessPool:
            raise UserError(
                "scenes: a drawing process was killed, perhaps for want of memory. Call again: "
                "the scenes that are drawn are kept.",
                exit_code=1,
            ) from None


@functools.lru_cache(maxsize=64)
def _stored(split: Split, scene: int, size: int) -> NDArray[np.uint8]:
    """(windows, 16, 3, S, S) of a scene, mapped from the cache; drawn where it is not there."""
    path = _path(split, scene, size)
    if not path.is_file():
        _draw(split, scene, size)
    found: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _path(split: Split, scene: int, size: int) -> Path:
    key = digest({"drawn by": _drawn_by(), "layout": [_SECONDS, _FPS, _RUNS, _WINDOWS, size]})
    return cache_dir() / "scene-clips" / key[:16] / f"{split}-{scene:04d}.npy"


def _draw(split: Split, scene: int, size: int) -> None:
    """Draw one scene into the cache."""
    buffer = io.BytesIO()
    np.save(buffer, np.stack(list(_windows(split, scene, size))))
    write_bytes(_path(split, scene, size), [buffer.getvalue()])


@functools.cache
def _drawn_by() -> dict[str, str]:
    """Digests of what decides about a scene's pixels.

    Photographs are named by the digests in their catalogue: those of another split are not opened.
    """
    with resources.as_file(resources.files("hlvid.synthetic")) as folder:
        files = sorted([*folder.rglob("*.py"), *folder.rglob("photographs.json")])
        return {path.name: sha256(path.read_bytes()).hexdigest() for path in files}


def _windows(split: Split, scene: int, size: int) -> Iterator[NDArray[np.uint8]]:
    """Draw one scene and cut its windows, (16, 3, S, S) each."""
    settings = RenderSettings(
        seed=SEEDS[split],
        seconds=_SECONDS,
        fps=_FPS,
        min_evidence_seconds=_EVIDENCE_SECONDS,
        split="benchmark" if split == "test" else "training",
    )
    _, _, drawn = generation.generate(settings, scene)
    rng = draws("windows", split, scene)
    spacing = (_SECONDS * _FPS - RUN_FRAMES) // (_RUNS - 1)
    cutters = [_Cutter(rng, size) for _ in range(_RUNS * _WINDOWS)]
    cuts: list[list[NDArray[np.uint8]]] = [[] for _ in cutters]
    for number, planes in enumerate(drawing.frames(drawn)):
        for run in range(_RUNS):
            if 0 <= number - run * spacing < RUN_FRAMES:
                for window in range(run * _WINDOWS, (run + 1) * _WINDOWS):
                    cuts[window].append(cutters[window].cut(planes))
    return (np.stack(frames) for frames in cuts)


class _Cutter:
    """One window of a frame: a square of 224 pixels to the whole height, shown at one size."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        side = size * (FRAME_HEIGHT / size) ** rng.random()
        self._side = min(FRAME_HEIGHT, round(side)) // 2 * 2
        self._left = int(rng.integers(FRAME_WIDTH - self._side + 1)) // 2 * 2
        self._top = int(rng.integers(FRAME_HEIGHT - self._side + 1)) // 2 * 2
        self._size = size

    def cut(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height * 3 / 2, width) planes of YUV 4:2:0 to (3, S, S) RGB."""
        left, top, side = self._left, self._top, self._side
        chroma = planes[FRAME_HEIGHT:].reshape(2, FRAME_HEIGHT // 2, FRAME_WIDTH // 2)
        part = np.empty((side * 3 // 2, side), dtype=np.uint8)
        part[:side] = planes[top : top + side, left : left + side]
        half = chroma[:, top // 2 : (top + side) // 2, left // 2 : (left + side) // 2]
        part[side:] = half.reshape(side // 2, side)
        frame = av.VideoFrame.from_ndarray(part, format="yuv420p")
        shown = frame.reformat(
            width=self._size,
            height=self._size,
            format="rgb24",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU601,  # has no meaning for RGB, but must differ
            src_color_range=ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA,
        )
        return np.asarray(shown.to_ndarray(), dtype=np.uint8).transpose(2, 0, 1)
