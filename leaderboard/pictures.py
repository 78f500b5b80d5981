"""Pictures of the evidence: where in a video the answer can be seen, cut out small.

A picture is one JPEG from the middle of a question's first evidence. What was cut is kept in the
cache folder, under a name that says of which bytes, which evidence and by which rule.
"""

import io
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, floor
from pathlib import Path

import numpy as np
from PIL import Image

from hlvid.console import progress
from hlvid.datasets import MissingVideo
from hlvid.digest_cache import sha256_cached
from hlvid.errors import UserError
from hlvid.files import cache_dir, digest, write_bytes
from hlvid.pixels import Pixels
from hlvid.types import Evidence, Question
from hlvid.video import VideoReader
from leaderboard.exams import Exam

FORMAT = 2
"""Raised when the rule of cutting changes."""
SIZE = (144, 96)
"""Most pixels of a picture, (width, height): what is smaller is enlarged to it."""
SURROUNDINGS = 0.25
"""How far a picture goes beyond the box, as a share of the box's longer side."""
QUALITY = 60


@dataclass(frozen=True)
class Picture:
    """A small JPEG."""

    jpeg: bytes
    width: int
    height: int
    seconds: float
    """The moment of the video that it was cut at."""


@dataclass(frozen=True)
class Album:
    """The pictures of a benchmark."""

    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """By the id of the question."""
    problems: tuple[str, ...] = ()
    """A sentence for each video that gives none."""


def album_of(exam: Exam, question_ids: Collection[str], *, is_local: bool) -> Album:
    """The pictures of some questions, as far as they have evidence and their videos can be read.

    Args:
        exam: The benchmark.
        question_ids: Of the questions that need one.
        is_local: Whether a video may be shown whatever its licence.
    """
    together: dict[str, list[Question]] = {}
    for question in exam.questions:
        if question.question_id not in question_ids or not question.evidence:
            continue
        if is_local or exam.is_video_publishable(question.video_id):
            together.setdefault(question.video_id, []).append(question)
    paths: dict[str, Path] = {}
    pictures: dict[str, Picture] = {}
    problems = []
    for video_id in together:
        try:
            paths[video_id] = exam.benchmark.video_path(video_id)
        except MissingVideo as error:
            problems.append(str(error))
    with progress(len(paths), "pictures of the evidence") as bar:
        for video_id, path in paths.items():
            try:
                pictures |= _of_video(path, together[video_id])
            except UserError as error:
                problems.append(str(error))
            bar.advance(1, video_id)
    return Album(pictures, tuple(problems))


def _of_video(path: Path, questions: Sequence[Question]) -> dict[str, Picture]:
    """The pictures of one video: those that are kept, and the others, which are cut and kept.

    Raises:
        UserError: The video cannot be read.
    """
    content = sha256_cached(path)
    found: dict[str, Picture] = {}
    wanted: dict[str, tuple[Evidence, Path]] = {}
    for question in questions:
        evidence = question.evidence[0]
        name = digest([FORMAT, content, evidence.model_dump(mode="json")])
        note = cache_dir() / "evidence" / f"{name}.jpg"
        if (kept := _kept(note, evidence)) is not None:
            found[question.question_id] = kept
        else:
            wanted[question.question_id] = evidence, note
    if not wanted:
        return found
    cut = _cut(path, {question_id: evidence for question_id, (evidence, _) in wanted.items()})
    for question_id, jpeg in cut.items():
        evidence, note = wanted[question_id]
        found[question_id] = _picture(jpeg, evidence)
        # A cache that cannot be written costs time, never the result.
        with suppress(UserError):
            write_bytes(note, [jpeg])
    return found


def _kept(note: Path, evidence: Evidence) -> Picture | None:
    """A picture that was cut before; None where there is none, or what is there is no picture."""
    try:
        return _picture(note.read_bytes(), evidence)
    except OSError:
        return None


def _picture(jpeg: bytes, evidence: Evidence) -> Picture:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        width, height = image.size
    return Picture(jpeg, width, height, _middle(evidence))


def _middle(evidence: Evidence) -> float:
    return (evidence.start_seconds + evidence.end_seconds) / 2


def _cut(path: Path, wanted: Mapping[str, Evidence]) -> dict[str, bytes]:
    """JPEGs of evidence, each from the frame nearest to the middle of its span.

    What lies in no frame, or outside its frame, is left out.

    Raises:
        UserError: The video cannot be read, or one of the frames cannot.
    """
    jpegs: dict[str, bytes] = {}
    with VideoReader(path) as reader:
        index = reader.index
        seconds = (index.pts - index.pts[0]) * float(index.time_base)
        shown: dict[int, list[str]] = {}
        for question_id, evidence in wanted.items():
            number = int(np.abs(seconds - _middle(evidence)).argmin())
            if evidence.box_at(float(seconds[number])) is not None:
                shown.setdefault(number, []).append(question_id)
        for frame in reader.frames(sorted(shown)):
            for question_id in shown[frame.index]:
                box = wanted[question_id].box_at(float(seconds[frame.index]))
                if box is not None and (jpeg := _jpeg(frame.pixels, box)) is not None:
                    jpegs[question_id] = jpeg
    return jpegs


def _jpeg(pixels: Pixels, box: tuple[float, float, float, float]) -> bytes | None:
    """A box of a frame (height, width, 3) and a little around it; None where it lies outside."""
    height, width, _ = pixels.shape
    x0, y0, x1, y1 = box
    if x0 >= width or y0 >= height:
        return None
    room = SURROUNDINGS * max(x1 - x0, y1 - y0)
    left, top = max(0, floor(x0 - room)), max(0, floor(y0 - room))
    right, bottom = min(width, ceil(x1 + room)), min(height, ceil(y1 + room))
    part = Image.fromarray(pixels[top:bottom, left:right])
    scale = min(SIZE[0] / part.width, SIZE[1] / part.height)
    image = part.resize((max(1, round(scale * part.width)), max(1, round(scale * part.height))))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()
