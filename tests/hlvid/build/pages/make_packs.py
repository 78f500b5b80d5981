"""Make a 4K clip and two task packs about it, for the test of their page: make_packs.py FOLDER."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from hlvid.build.questions import Draft
from hlvid.files import write_jsonl
from hlvid.types import Evidence

SPEC = """
name = "packs"
[[sources]]
name = "own"
kind = "folder"
path = "videos"
category = "av"
license = "CC0-1.0"
[select]
min_seconds = 1.0
codecs = ["vp9"]
[probe]
min_detail_decibels = -1000.0
[clip]
target_seconds = 8.0
"""
MARKUP = '<img src=x onerror="document.title=1">'


def main(folder: Path) -> None:
    os.environ["HLVID_CACHE"] = str(folder / "cache")
    (folder / "videos").mkdir(parents=True)
    film(folder / "videos" / "film.webm")
    spec = folder / "spec.toml"
    spec.write_text(SPEC)
    build("run", spec, "--work", folder / "work", "--until", "dedup")
    work = ("--work", folder / "work")
    build("annotate", "export", spec, *work, "--annotator", "ann", "--out", folder / "write")
    clip_id = next((folder / "write" / "videos").iterdir()).name.removesuffix(".mp4")
    draft = Draft(
        question_id="q1",
        video_id=clip_id,
        stem=f"Which number stands in the white box at the left? {MARKUP}",
        choices=("4711", "4712", MARKUP, "1147"),
        evidence=(Evidence(start_seconds=2, end_seconds=3, boxes=((2, 400, 300, 600, 360),)),),
        author="zoe",
    )
    write_jsonl(folder / "zoe.jsonl", [draft])
    build("annotate", "import", spec, folder / "zoe.jsonl", "--kind", "write", *work)
    build("lint", spec, *work)
    build(
        *("annotate", "export", spec, *work, "--kind", "answer", "--annotator", "bob"),
        *("--out", folder / "answer"),
    )


def film(path: Path) -> None:
    """Eight seconds in 4K, a frame a second, with a small number that is there in one of them."""
    rng = np.random.default_rng(0)
    ground = Image.fromarray(rng.integers(60, 190, (540, 960, 3), dtype=np.uint8)).resize(
        (3840, 2160)
    )
    with av.open(os.fspath(path), "w") as output:
        options = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
        stream = output.add_stream("libvpx-vp9", rate=1, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 3840, 2160, "yuv420p", 1
        for number in range(8):
            image = ground.copy()
            drawn = ImageDraw.Draw(image)
            drawn.rectangle((40 * number, 900, 40 * number + 300, 1300), fill=(200, 30, 30))
            if number == 2:
                drawn.rectangle((400, 300, 600, 360), fill="white")
                drawn.text((420, 310), "4711", fill="black", font_size=40)
            frame = av.VideoFrame.from_ndarray(np.asarray(image), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 1)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def build(*words: object) -> None:
    script = Path(sys.executable).parent / "hlvid-build"
    subprocess.run([script, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
