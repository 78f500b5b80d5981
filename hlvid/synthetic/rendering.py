"""Rendering a benchmark: several videos at once, kept in the cache, checked before reuse."""

import filecmp
import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import av
import numpy
import PIL
from numpy.typing import NDArray

from hlvid import datasets
from hlvid.errors import UserError
from hlvid.files import cache_dir, digest, read_json, sha256_file, write_json
from hlvid.processes import POLL_SECONDS, spawning, worker_processes
from hlvid.synthetic import drawing, encoding, generation, photographs
from hlvid.synthetic.scene import RenderSettings
from hlvid.types import Record, Sha256, Video

BYTES_PER_KEYFRAME, BYTES_PER_FRAME = 2_200_000, 500_000
"""What a frame takes on the disk at most, as measured; to say early that a disk is too small."""


class _Note(Record):
    """What lies beside a video in the cache."""

    sha256: Sha256
    renderer: Sha256


@dataclass(frozen=True)
class Rendered:
    """What a call of `render` did.

    Args:
        folder: The benchmark's folder.
        num_questions: In it.
        videos: Paths in the folder.
        num_rendered: Videos that were drawn now; the others came from the cache.
        damaged: Videos that were there and were drawn again because their bytes had changed.
        num_bytes: Of all videos.
    """

    folder: Path
    num_questions: int
    videos: tuple[str, ...]
    num_rendered: int
    damaged: tuple[str, ...]
    num_bytes: int


def render(
    out: Path | None,
    settings: RenderSettings,
    *,
    num_videos: int,
    num_workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Rendered:
    """Render a benchmark into a folder, or take from the cache what was rendered before.

    A video is put in place only when it is whole; its digest is checked every time it is reused.

    Args:
        out: Where `benchmark.json`, `questions.jsonl`, `videos.jsonl` and `videos/` go; None for
            the place in the cache where `hlvid.datasets.load` looks.
        settings: What the videos depend on.
        num_videos: How many; the first ones are the same whatever the number.
        num_workers: Processes; as many as there are cores by default.
        on_progress: Called now and then: (frames drawn since, frames to draw in all).

    Raises:
        UserError: The disk is full or too small, or a folder may not be written.
    """
    if num_videos < 1:
        raise UserError(f"--videos: {num_videos} is not allowed. Allowed is 1 and more.")
    store = cache_dir() / generation.NAME
    folder = store if out is None else out
    found = generation.benchmark(settings, num_videos)
    # Sorting by id puts the videos in the order of their indices.
    videos = [found.videos[video_id] for video_id in found.video_ids]
    missing, damaged = _missing(store, videos)
    num_frames = len(missing) * settings.seconds * settings.fps
    _check_space(store, settings, len(missing))

    def tell(num_drawn: int) -> None:
        if on_progress:
            on_progress(num_drawn, num_frames)

    indices = [videos.index(video) for video in missing]
    try:
        _draw_all(store, settings, indices, num_workers=num_workers or _num_cores(), tell=tell)
    finally:
        for video in missing:
            encoding.sweep(_path(store, video))
    if folder.resolve() != store.resolve():
        for video in videos:
            _put(_path(store, video), _path(folder, video))
    datasets.write(folder, replace(found, root=folder))
    return Rendered(
        folder=folder,
        num_questions=len(found.questions),
        videos=tuple(str(video.path) for video in videos),
        num_rendered=len(missing),
        damaged=damaged,
        num_bytes=sum(_path(store, video).stat().st_size for video in videos),
    )


def _path(folder: Path, video: Video) -> Path:
    return folder / str(video.path)


def _note_path(store: Path, video: Video) -> Path:
    return _path(store, video).with_suffix(".json")


def _missing(store: Path, videos: Sequence[Video]) -> tuple[list[Video], tuple[str, ...]]:
    """The videos that have to be drawn, and the ids of those that are there but have changed."""
    missing: list[Video] = []
    damaged: list[str] = []
    for video in videos:
        path = _path(store, video)
        note = None
        with suppress(UserError):
            note = read_json(_note_path(store, video), _Note)
        if note is None or note.renderer != renderer_sha256() or not path.is_file():
            missing.append(video)
        elif sha256_file(path) != note.sha256:
            missing.append(video)
            damaged.append(video.video_id)
    return missing, tuple(damaged)


@functools.cache
def renderer_sha256() -> str:
    """Digest of all that decides about a video's bytes: this package's files and its libraries."""
    package = resources.files("hlvid.synthetic")
    with resources.as_file(package) as folder:
        files = {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts and "questions" not in path.parts
        }
    libraries = {
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
        "av": av.__version__,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
    }
    return digest({"files": files, "libraries": libraries})


def _check_space(store: Path, settings: RenderSettings, num_videos: int) -> None:
    num_keys = settings.seconds // encoding.KEYFRAME_SECONDS + 1
    num_bytes = num_keys * BYTES_PER_KEYFRAME + settings.seconds * settings.fps * BYTES_PER_FRAME
    try:
        store.mkdir(parents=True, exist_ok=True)
        needed, free = num_videos * num_bytes, shutil.disk_usage(store).free
    except OSError as error:
        raise UserError(f"{store}: cannot be written ({error.strerror}).", exit_code=1) from None
    if needed > free:
        raise UserError(
            f"{store}: has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB may be needed. "
            "Ask for fewer --videos or --seconds, or set HLVID_CACHE to a folder on another disk.",
            exit_code=1,
        )


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _draw_all(
    store: Path,
    settings: RenderSettings,
    indices: Sequence[int],
    *,
    num_workers: int,
    tell: Callable[[int], None],
) -> None:
    """Draw some videos into the cache, each in a process of its own."""
    if not indices:
        return
    counter = spawning().Value("q", 0)
    told = 0
    num = min(num_workers, len(indices))
    try:
        with worker_processes(num, prepare=_count_in, arguments=(counter,)) as pool:
            running = {pool.submit(_draw, store, settings, index) for index in indices}
            while running:
                done, running = wait(running, POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                if counter.value > told:
                    tell(counter.value - told)
                    told = counter.value
    except BrokenProcessPool:
        raise UserError(
            "render: a process was killed, perhaps for want of memory. Try --workers 1.",
            exit_code=1,
        ) from None
    except OSError as error:
        raise UserError(f"{store}: cannot be written ({error.strerror}).", exit_code=1) from None


_counter: "Synchronized[int] | None" = None
"""In a worker: where it counts the frames that it has drawn."""


def _count_in(counter: "Synchronized[int]") -> None:
    global _counter
    _counter = counter


def _draw(store: Path, settings: RenderSettings, index: int) -> None:
    """Draw one video into the cache and note its digest."""
    video, _, scene = generation.generate(settings, index)
    path = _path(store, video)
    credit = "; ".join(photographs.credits(photographs.names(settings.split)))
    encoding.encode(_counted(drawing.frames(scene)), path, fps=settings.fps, credit=credit)
    note = _Note(sha256=sha256_file(path), renderer=renderer_sha256())
    write_json(_note_path(store, video), note)


def _counted(frames: Iterator[NDArray[numpy.uint8]]) -> Iterator[NDArray[numpy.uint8]]:
    for frame in frames:
        yield frame
        if _counter is not None:
            with _counter.get_lock():
                _counter.value += 1


def _put(source: Path, target: Path) -> None:
    """Put a video of the cache into a folder: a second name for it, a copy on another disk."""
    try:
        if target.exists() and (target.samefile(source) or filecmp.cmp(source, target, False)):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}).", exit_code=1) from None
