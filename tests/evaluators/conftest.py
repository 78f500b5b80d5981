"""A tiny benchmark of real videos with real text, and the command run as its users run it."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from hlvid.datasets import Benchmark, write
from hlvid.prompt import render
from hlvid.types import Evidence, Question, Video

WIDTH, HEIGHT, NUM_FRAMES = 640, 360, 6
SIGNS = (
    ("HARBOUR CAFE", "OPEN 0730"),
    ("GARDEN SHOP", "OPEN 0915"),
    ("OLD LIBRARY", "OPEN 1045"),
    ("RIVER SCHOOL", "OPEN 0820"),
)
COMMAND = Path(sys.executable).with_name("hlvid-eval")


def write_video(path: Path, *, shift: int = 0) -> list[tuple[float, float, float, float]]:
    """One frame a second, four signs in a grid; returns the boxes of the small lines in pixels."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (90, 130, 110))
    draw = ImageDraw.Draw(image)
    noise = np.random.default_rng(shift).integers(0, 30, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    boxes = []
    for i, (name, hours) in enumerate(SIGNS):
        x, y = 30 + 320 * (i % 2), 40 + 170 * (i // 2)
        draw.rectangle((x - 10, y - 10, x + 270, y + 100), fill="white")
        draw.text((x, y), name, fill="black", font=ImageFont.load_default(30))
        small = ImageFont.load_default(24)
        draw.text((x, y + 55), hours, fill="black", font=small)
        boxes.append(tuple(float(v) for v in draw.textbbox((x, y + 55), hours, font=small)))
    pixels = np.asarray(image)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, 1)
        for i in range(NUM_FRAMES):
            drawn = np.maximum(pixels, np.roll(noise, i, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(drawn, format="rgb24")))
        container.mux(stream.encode())
    return boxes


def write_benchmark(folder: Path, *, num_videos: int = 2, name: str = "tiny") -> Benchmark:
    """Four questions a video: what stands under one of its signs; the others' text misleads."""
    (folder / "videos").mkdir(parents=True)
    questions, videos = [], {}
    for v in range(num_videos):
        video_id = f"v{v}"
        boxes = write_video(folder / "videos" / f"{video_id}.mp4", shift=v)
        videos[video_id] = Video(
            video_id=video_id,
            path=f"videos/{video_id}.mp4",
            width=WIDTH,
            height=HEIGHT,
            duration_seconds=float(NUM_FRAMES),
            fps=1.0,
            license="CC0-1.0",
            source="drawn by the tests",
        )
        for i, (sign, hours) in enumerate(SIGNS):
            choices = [SIGNS[(i + k) % 4][1] for k in range(4)]
            at = (i + v) % 4
            choices = choices[4 - at :] + choices[: 4 - at]
            stem = f'What is written under "{sign}"?'
            questions.append(
                Question(
                    question_id=f"{video_id}-q{i}",
                    video_id=video_id,
                    category="signs",
                    capability="text",
                    text=render(stem, choices),
                    stem=stem,
                    choices=tuple(choices),
                    answer="ABCD"[choices.index(hours)],
                    evidence=(
                        Evidence(start_seconds=0.0, end_seconds=6.0, boxes=((0.0, *boxes[i]),)),
                    ),
                )
            )
    benchmark = Benchmark(
        name=name, revision="1", questions=tuple(questions), videos=videos, root=folder
    )
    write(folder, benchmark)
    return benchmark


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """Folder of a benchmark of 2 videos and 8 questions."""
    folder = tmp_path_factory.mktemp("tiny")
    write_benchmark(folder)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def hlvid_eval(cache):
    """Run the installed command; stdout is parsed when it was asked for as JSON."""

    def call(*arguments, code: int = 0, env=None, **settings):
        done = subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "HLVID_CACHE": str(cache), **(env or {})},
            timeout=240,
            **settings,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        if "--json" in arguments and done.stdout:
            return json.loads(done.stdout)
        return done

    return call
