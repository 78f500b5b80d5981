"""Invented copies of HLVid and Video-MME in the layouts in which they were published."""

import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

SIGNS = (("FERRY DOCK", "PIER 4"), ("CITY BAKERY", "PIER 7"))
CHOICES = ("PIER 4", "PIER 7", "PIER 9", "PIER 2")
SUBTITLES = """1
00:00:00,000 --> 00:00:01,000
<font color="white" size=".72c">We walk along the</font>

2
00:00:00,800 --> 00:00:02,000
<font color="white" size=".72c">harbour this morning.</font>
"""


def clip(lines: Sequence[str], *, num_frames: int = 1) -> bytes:
    """A small MP4 that shows some lines of text."""
    image = Image.new("RGB", (320, 192), (70, 110, 140))
    draw = ImageDraw.Draw(image)
    draw.rectangle((10, 20, 310, 170), fill="white")
    for row, line in enumerate(lines):
        draw.text((24, 36 + 60 * row), line, fill="black", font=ImageFont.load_default(30))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        stream.time_base = Fraction(1, 1)
        for _ in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as a parquet file."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), buffer)
    return buffer.getvalue()


def tar(members: Mapping[str, bytes | None]) -> bytes:
    """A tar file; None makes a link to a file outside."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            file.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def hlvid_files() -> dict[str, bytes]:
    """HLVid: two questions on each of two videos, five columns, two tars."""
    rows = []
    for number, (video, sign) in enumerate((v, s) for v in range(2) for s in SIGNS):
        lines = "\n".join(f"{a}. {c}" for a, c in zip("ABCD", CHOICES, strict=True))
        rows.append(
            {
                "question_id": number,
                "category": "av" if video else "household",
                "video_path": f"clip_av_video_{video}_001.mp4",
                "question": f'What is under "{sign[0]}"?\n{lines}\nPlease answer with the letter.',
                "answer": "ABCD"[CHOICES.index(sign[1])],
            }
        )
    shown = clip([text for sign in SIGNS for text in sign][:2])
    return {
        "data/test-00000-of-00001.parquet": parquet(rows),
        "README.md": b"of no interest",
        "videos_part_0001.tar": tar({"videos/clip_av_video_0_001.mp4": shown}),
        "videos_part_0002.tar": tar({"videos/clip_av_video_1_001.mp4": shown}),
    }


def videomme_rows() -> Iterator[dict[str, Any]]:
    """Two questions on each of three videos, one of each duration."""
    for video, duration in enumerate(("short", "medium", "long"), start=1):
        for number, (sign, pier) in enumerate(SIGNS, start=1):
            yield {
                "video_id": f"{video:03}",
                "duration": duration,
                "domain": "Knowledge",
                "sub_category": "Geography",
                "url": f"https://example.org/watch?v=-invented_{video}",
                "videoID": f"-invented_{video}",
                "question_id": f"{video:03}-{number}",
                "task_type": "OCR Problems",
                "question": f"Which pier is named beside the invented {sign}?",
                "options": [f"{a}. {c}" for a, c in zip("ABCD", CHOICES, strict=True)],
                "answer": "ABCD"[CHOICES.index(pier)],
            }


def videomme_files() -> dict[str, bytes]:
    """Video-MME: a parquet file, two zips of videos, one of subtitles of all but the last."""
    shown = clip(SIGNS[0])
    return {
        "videomme/test-00000-of-00001.parquet": parquet(list(videomme_rows())),
        "subtitle.zip": zipped(
            {f"subtitle/-invented_{video}.srt": SUBTITLES.encode() for video in (1, 2)}
        ),
        "videos_chunked_01.zip": zipped({f"data/-invented_{video}.mp4": shown for video in (1, 2)}),
        "videos_chunked_02.zip": zipped({"data/-invented_3.mp4": shown}),
    }
