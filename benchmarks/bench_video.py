"""Reading sampled 4K frames against plain sequential decode, and the memory of streaming them.

Two ways that are compared alternate in one run, so that a machine that slows down slows both.
Sixteen frames are read in every round, other numbers in the first only. A run that was stopped goes
on with the same command.

    python benchmarks/bench_video.py                # writes benchmarks/results/bench_video.jsonl
    python benchmarks/bench_video.py --quick
    python benchmarks/bench_video.py --codecs h264 vp9 --num-frames 16 64 128 --out /tmp/video.jsonl
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from measure import Rows, parser, result_file, times_faster
from numpy.typing import NDArray

from evaluators.timing import peak_memory_bytes
from gaze.views import Views, chunks
from hlvid.console import progress, say
from hlvid.files import cache_dir
from hlvid.pixels import ToRgb
from hlvid.video import VideoReader, uniform_indices

BENCHMARK = "bench_video"
WIDTH, HEIGHT = 3840, 2160
FRAMES_PER_SECOND = 10
SEGMENT_SECONDS = 5
NUM_SEGMENTS = 60
PAN_PIXELS = 6
"""A frame."""
CLIPS = {
    "h264": ("mp4", "libx264", {"preset": "veryfast", "crf": "23", "x264-params": "scenecut=0"}),
    "vp9": ("webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}),
}
NUM_CLIP_FRAMES = FRAMES_PER_SECOND * SEGMENT_SECONDS * NUM_SEGMENTS
TARGET_NUM_FRAMES, TARGET_RATIO = 16, 4.0
MEMORY_NUM_FRAMES = (64, 256)
TARGET_MEMORY_RATIO = 1.10


def make_clip(codec: str) -> Path:
    """The 300 s clip of a codec, from the cache or made: one 5 s segment, repeated 60 times."""
    container, encoder, options = CLIPS[codec]
    path = cache_dir() / "bench" / f"{codec}-{WIDTH}x{HEIGHT}-{FRAMES_PER_SECOND}fps-1.{container}"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    segment = path.with_name(f"segment-{path.name}")
    encode_segment(segment, encoder, options)
    unfinished = path.with_name(f"unfinished-{path.name}")
    repeat(segment, unfinished)
    segment.unlink()
    unfinished.replace(path)
    return path


def encode_segment(path: Path, encoder: str, options: dict[str, str]) -> None:
    """Encode five seconds of a camera that pans over a scene, with sensor noise."""
    rng = np.random.default_rng(0)
    num_frames = FRAMES_PER_SECOND * SEGMENT_SECONDS
    scene = paint_scene(rng, height=HEIGHT, width=WIDTH + PAN_PIXELS * num_frames)
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream(encoder, rate=FRAMES_PER_SECOND, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = num_frames
        for i in range(num_frames):
            picture = scene[:, PAN_PIXELS * i : PAN_PIXELS * i + WIDTH]
            picture = picture + rng.integers(0, 8, (HEIGHT, WIDTH, 1), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def paint_scene(rng: np.random.Generator, *, height: int, width: int) -> NDArray[np.uint8]:
    """A picture with the spectrum of natural ones, amplitude falling as 1 / frequency."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    falloff = 1 / np.maximum(np.hypot(down, across), 1 / width)
    channels = []
    for _ in range(3):
        spectrum = np.fft.rfft2(rng.standard_normal((height, width), dtype=np.float32)) * falloff
        values = np.fft.irfft2(spectrum, s=(height, width))
        channels.append(np.clip(124 + 40 * values / values.std(), 0, 247).astype(np.uint8))
    return np.stack(channels, axis=-1)


def repeat(segment: Path, path: Path) -> None:
    """Write the packets of a segment again and again, each time later."""
    with av.open(os.fspath(segment)) as source, av.open(os.fspath(path), "w") as target:
        stream = source.streams.video[0]
        output = target.add_stream_from_template(stream)
        assert stream.time_base is not None
        step = round(Fraction(SEGMENT_SECONDS) / stream.time_base)
        for i in range(NUM_SEGMENTS):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.size == 0:
                    continue
                assert packet.pts is not None
                packet.pts += i * step
                packet.dts = None if packet.dts is None else packet.dts + i * step
                packet.stream = output
                target.mux(packet)


def read_plainly(path: Path, wanted: Sequence[int]) -> list[int]:
    """Decode from the start through the last wanted frame, turning only wanted ones into RGB."""
    pts = []
    left = set(wanted)
    convert = ToRgb(width=WIDTH, height=HEIGHT)
    with av.open(os.fspath(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = len(os.sched_getaffinity(0))
        stream.thread_type = "AUTO"
        for i, frame in enumerate(container.decode(stream)):
            if i in left:
                convert(frame)
                pts.append(frame.pts)
                left.remove(i)
                if not left:
                    break
    return pts


def read_sampled(path: Path, wanted: Sequence[int]) -> list[int]:
    """The same frames through the reader, which has never seen the file."""
    with empty_cache(), VideoReader(path) as reader:
        return [frame.pts for frame in reader.frames(wanted)]


@contextmanager
def empty_cache() -> Iterator[None]:
    """Where nothing is remembered of any video; the user's own cache stays as it is."""
    before = os.environ.get("HLVID_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HLVID_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["HLVID_CACHE"]
            if before is not None:
                os.environ["HLVID_CACHE"] = before


def timed(
    read: Callable[[Path, Sequence[int]], list[int]], path: Path, wanted: Sequence[int]
) -> float:
    """Seconds that a way of reading frames takes; refuses wrong frames."""
    start = time.perf_counter()
    pts = read(path, wanted)
    seconds = time.perf_counter() - start
    expected = VideoReader(path).index.pts[list(wanted)].tolist()
    if pts != expected:
        raise AssertionError(f"{read.__name__} read {pts} and not {expected}")
    return seconds


def compare_speed(asked: argparse.Namespace, rows: Rows) -> None:
    """How many times faster the reader is than plain decode."""
    say("making the clips, unless they are there")
    paths = {codec: make_clip(codec) for codec in asked.codecs}
    turns = [
        (number, codec, n)
        for number, codec, n in itertools.product(range(asked.rounds), paths, asked.num_frames)
        if number == 0 or n == TARGET_NUM_FRAMES
    ]
    with progress(len(turns), "reading") as bar:
        for number, codec, n in turns:
            bar.advance(note=f"{n} frames of {codec}")
            if rows.find("read", codec=codec, num_frames=n, round=number):
                continue
            wanted = uniform_indices(asked.of_frames, n).tolist()
            ways = (read_plainly, read_sampled)
            order = ways if number % 2 == 0 else ways[::-1]
            seconds = {way: timed(way, paths[codec], wanted) for way in order}
            rows.add(
                "read",
                codec=codec,
                num_frames=n,
                round=number,
                plain_seconds=round(seconds[read_plainly], 3),
                reader_seconds=round(seconds[read_sampled], 3),
            )
    for codec, n in itertools.product(paths, asked.num_frames):
        found = rows.find("read", codec=codec, num_frames=n)
        ratio = times_faster(
            [row["plain_seconds"] for row in found], [row["reader_seconds"] for row in found]
        )
        is_target = n == TARGET_NUM_FRAMES
        rows.add(
            "read ratio",
            codec=codec,
            num_frames=n,
            rounds=len(found),
            **ratio,
            target=TARGET_RATIO if is_target else None,
            is_met=ratio["speed_up"] >= TARGET_RATIO if is_target else None,
        )


def wanted_frames(spread: str, n: int) -> list[int]:
    """Numbers of n frames of the clip: 'one a second', or 'even' over the whole of it."""
    if spread == "even":
        return [int(i) for i in uniform_indices(NUM_CLIP_FRAMES, n)]
    return list(range(0, n * FRAMES_PER_SECOND, FRAMES_PER_SECOND))


def stream_views(path: Path, spread: str, n: int) -> None:
    """Stream n of the 4K frames as views, and print the peak memory of it."""
    views = Views(height=HEIGHT, width=WIDTH)
    with VideoReader(path) as reader:
        frames = reader.frames(wanted_frames(spread, n))
        num_views = 0
        for chunk in chunks(frame.pixels for frame in frames):
            num_views += sum(len(views.cut(pixels)) for pixels in chunk)
            # Else it would still be held while the next one is read.
            del chunk
    print(json.dumps({"num_views": num_views, "peak_rss_bytes": peak_memory_bytes()}))


def compare_memory(asked: argparse.Namespace, rows: Rows) -> None:
    """The peak memory of streaming frames as views, each in a fresh process.

    One a second, few and many frames differ in nothing but their number. Spread evenly over the
    clip, they differ in how many lie between two keyframes too, and so in how they are decoded.
    """
    path = make_clip("h264")
    cases = list(itertools.product(("one a second", "even"), asked.memory_num_frames))
    with progress(len(cases), "memory") as bar:
        for spread, n in cases:
            bar.advance(note=f"{n} frames, {spread}")
            if rows.find("views memory", spread=spread, num_frames=n):
                continue
            words = [sys.executable, __file__, "--stream-views", os.fspath(path), spread, str(n)]
            found = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows.add("views memory", spread=spread, num_frames=n, **json.loads(found))
    for spread in ("one a second", "even"):
        few, many = (row["peak_rss_bytes"] for row in rows.find("views memory", spread=spread))
        rows.add(
            "views memory ratio",
            spread=spread,
            num_frames=asked.memory_num_frames,
            ratio=round(many / few, 4),
            target=TARGET_MEMORY_RATIO,
            is_met=1 / TARGET_MEMORY_RATIO <= many / few <= TARGET_MEMORY_RATIO,
        )


def main() -> None:
    """Run what the command line asks for."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--codecs", nargs="+", choices=sorted(CLIPS), default=sorted(CLIPS))
    options.add_argument("--num-frames", nargs="+", type=int, default=[TARGET_NUM_FRAMES, 64, 128])
    options.add_argument("--stream-views", nargs=3, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.stream_views:
        path, spread, n = asked.stream_views
        stream_views(Path(path), spread, int(n))
        return
    asked.of_frames, asked.memory_num_frames = NUM_CLIP_FRAMES, list(MEMORY_NUM_FRAMES)
    if asked.quick:
        asked.rounds, asked.codecs, asked.num_frames, asked.of_frames = 1, ["h264"], [4], 60
        asked.memory_num_frames = [1, 2]
    settings = {"rounds": asked.rounds, "codecs": asked.codecs, "num_frames": asked.num_frames}
    with Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows:
        compare_speed(asked, rows)
        compare_memory(asked, rows)


if __name__ == "__main__":
    main()
