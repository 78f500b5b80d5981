"""Reading sampled 4K frames against plain sequential decode, and the memory of streaming them.

Prints JSON lines: one a measurement, then one a comparison with the median ratio. Two ways that are
compared alternate in one run, so that a machine that slows down slows both. Sixteen frames are read
in every round, other numbers in the first only. It takes about 20 minutes on two cores.

    python benchmarks/bench_video.py [--rounds 3] [--codecs h264 vp9] [--num-frames 16 64 128]
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from gaze.views import Views, chunks
from hlvid.files import cache_dir
from hlvid.pixels import ToRgb
from hlvid.video import VideoReader, uniform_indices

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
TARGET_NUM_FRAMES, TARGET_RATIO = 16, 4.0
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
        step = round(Fraction(SEGMENT_SECONDS) / stream.time_base)
        for i in range(NUM_SEGMENTS):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.size == 0:
                    continue
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
    for note in (cache_dir() / "frame-index").glob("*.npz"):
        note.unlink()
    with VideoReader(path) as reader:
        return [frame.pts for frame in reader.frames(wanted)]


def timed(read: Callable[[Path, Sequence[int]], list[int]], path: Path, n: int) -> float:
    """Seconds that a way of reading n uniform frames takes; refuses wrong frames."""
    wanted = uniform_indices(FRAMES_PER_SECOND * SEGMENT_SECONDS * NUM_SEGMENTS, n).tolist()
    start = time.perf_counter()
    pts = read(path, wanted)
    seconds = time.perf_counter() - start
    expected = VideoReader(path).index.pts[wanted].tolist()
    if pts != expected:
        raise AssertionError(f"{read.__name__} read {pts} and not {expected}")
    return seconds


def compare_speed(codecs: Sequence[str], counts: Sequence[int], rounds: int) -> None:
    """Print how many times faster the reader is than plain decode."""
    paths = {codec: make_clip(codec) for codec in codecs}
    ratios: dict[tuple[str, int], list[float]] = {}
    for i, codec, n in itertools.product(range(rounds), codecs, counts):
        if i > 0 and n != TARGET_NUM_FRAMES:
            continue
        ways = (read_plainly, read_sampled)
        order = ways if i % 2 == 0 else ways[::-1]
        seconds = {way: timed(way, paths[codec], n) for way in order}
        plain, sampled = seconds[read_plainly], seconds[read_sampled]
        ratios.setdefault((codec, n), []).append(plain / sampled)
        tell(
            "read",
            codec=codec,
            num_frames=n,
            round=i,
            plain_seconds=round(plain, 3),
            reader_seconds=round(sampled, 3),
            ratio=round(plain / sampled, 3),
        )
    for (codec, n), values in ratios.items():
        ratio = statistics.median(values)
        target = {"target": TARGET_RATIO, "is_met": ratio >= TARGET_RATIO}
        tell(
            "read ratio",
            codec=codec,
            num_frames=n,
            median_ratio=round(ratio, 3),
            **(target if n == TARGET_NUM_FRAMES else {}),
        )


def stream_views(path: Path, n: int, step: int) -> None:
    """Stream every step-th of the 4K frames as views, n in all, and print the peak memory of it."""
    views = Views(height=HEIGHT, width=WIDTH)
    with VideoReader(path) as reader:
        frames = reader.frames(range(0, n * step, step))
        num_views = 0
        for chunk in chunks(frame.pixels for frame in frames):
            num_views += sum(len(views.cut(pixels)) for pixels in chunk)
            # Else it would still be held while the next one is read.
            del chunk
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    tell("views memory", num_frames=n, step=step, num_views=num_views, peak_rss_bytes=peak_bytes)


def compare_memory() -> None:
    """Print the peak memory of streaming frames as views, each in a fresh process.

    64 and 256 frames at one a second differ in nothing but their number. 64 frames as far apart as
    the clip allows show what decoding side by side takes.
    """
    path = make_clip("h264")
    peaks = {}
    for n, step in ((64, 10), (256, 10), (64, 46)):
        command = [sys.executable, __file__, "--stream-views", os.fspath(path), str(n), str(step)]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(line, end="", flush=True)
        peaks[n, step] = json.loads(line)["peak_rss_bytes"]
    ratio = peaks[256, 10] / peaks[64, 10]
    tell(
        "views memory ratio",
        num_frames=[64, 256],
        ratio=round(ratio, 3),
        target=TARGET_MEMORY_RATIO,
        is_met=1 / TARGET_MEMORY_RATIO <= ratio <= TARGET_MEMORY_RATIO,
    )


def tell(benchmark: str, **values: object) -> None:
    """Print one measurement."""
    print(json.dumps({"benchmark": benchmark, **values}), flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codecs", nargs="+", choices=sorted(CLIPS), default=sorted(CLIPS))
    parser.add_argument("--num-frames", nargs="+", type=int, default=[16, 64, 128])
    parser.add_argument("--stream-views", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stream_views:
        path, n, step = asked.stream_views
        stream_views(Path(path), int(n), int(step))
        return
    compare_speed(asked.codecs, asked.num_frames, asked.rounds)
    compare_memory()


if __name__ == "__main__":
    main()
