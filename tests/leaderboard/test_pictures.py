"""Pictures of the evidence: what they show, who may see them, and that they ask for nothing."""

import base64
import dataclasses
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from hlvid import datasets
from hlvid.types import ArmSettings, Evidence
from leaderboard import pictures
from leaderboard.exams import read_exams

OFF = ArmSettings(gaze="off")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HLVID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evidence"


@pytest.fixture
def make(tmp_path, lab):
    """Write an exam, its videos and a run on it; builds its pages and reads that of the run."""

    def write(*, license="CC-BY-4.0", video_license="CC0-1.0", change=lambda question: {}):
        made = lab.exam(num_videos=2, per_video=2)
        questions = [q.model_copy(update=change(q)) for q in made.questions]
        videos = {
            key: v.model_copy(update={"license": video_license}) for key, v in made.videos.items()
        }
        exam = dataclasses.replace(made, license=license, questions=tuple(questions), videos=videos)
        datasets.write(tmp_path / "exam", exam)
        lab.film(tmp_path / "exam", exam)
        run = lab.write(tmp_path / "runs", exam, "ocr", OFF)

        def page(**options):
            path = lab.build_pages(tmp_path, **options) / "runs" / f"{run.run_id}.html"
            return lab.Reader(path.read_text())

        return page

    return write


def images(page):
    heads = "data:image/jpeg;base64,"
    sources = [source for source in page.attributes("src") if source.startswith(heads)]
    assert len(sources) == len(page.attributes("src"))
    return [Image.open(io.BytesIO(base64.b64decode(s.removeprefix(heads)))) for s in sources]


def evidence(start=10.0, end=40.0, box=(100.0, 100.0, 200.0, 130.0)):
    return {"evidence": (Evidence(start_seconds=start, end_seconds=end, boxes=((start, *box),)),)}


def test_a_picture_shows_the_box_in_its_span_and_a_little_around_it(make):
    page = make()()
    found = images(page)
    assert len(found) == 4
    assert set(page.attributes("alt")) == {"Evidence at 25.0 seconds"}
    sizes = zip(page.attributes("width"), page.attributes("height"), strict=True)
    for image, (width, height) in zip(found, list(sizes)[-4:], strict=True):
        assert image.size == (int(width), int(height))
        assert image.width <= 144 and image.height <= 96
        pixels = np.asarray(image.convert("RGB")).astype(int)
        red, grey = pixels[image.height // 2, image.width // 2], pixels[2, 2]
        assert red[0] - red[1] > 120, red
        assert abs(grey[0] - grey[1]) < 25, grey


def test_evidence_counts_from_the_first_frame_whenever_that_is_shown(tmp_path):
    """The clock of a file cut from a longer one begins at 20 s."""
    path = tmp_path / "late.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for second in range(12):
            grey = np.full((180, 320, 3), 20 * second, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = second + 20, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (shown,) = evidence(start=8.0, end=9.0)["evidence"]
    (jpeg,) = pictures._cut(path, {"q": shown}).values()
    assert abs(np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")).mean() - 160) < 12


def test_the_choices_stand_with_the_question(make):
    page = make()()
    assert "A: word 0-0-A; B: word 0-0-B" in "".join(page.text["small"])


@pytest.mark.parametrize(
    ("of_questions", "of_video", "has_text", "has_pictures"),
    [
        ("CC-BY-4.0", "CC0-1.0", True, True),
        ("CC-BY-4.0", "unknown", True, False),
        ("unknown", "CC0-1.0", False, False),
    ],
)
def test_only_what_both_licences_allow_is_shown_to_everybody(
    make, of_questions, of_video, has_text, has_pictures
):
    page = make(license=of_questions, video_license=of_video)
    public, local = page(), page(is_local=True)
    assert ("of street" in "".join(public.text["td"])) == has_text
    assert bool(images(public)) == has_pictures
    assert len(images(local)) == 4
    if has_text and not has_pictures:
        assert "the licence of the video does not allow one" in "".join(public.text["p"])


def test_a_video_that_is_not_there_gets_a_sentence(make, tmp_path, run_command):
    page = make()
    (tmp_path / "exam" / "videos" / "v00").unlink()
    (tmp_path / "exam" / "videos" / "v01").write_text("no video")
    found = page()
    assert images(found) == []
    assert "4 questions of 4 with evidence have no picture of it" in "".join(found.text["p"])
    code, _, err = run_command(
        "build", tmp_path / "runs", "--questions", tmp_path / "exam", "--out", tmp_path / "site"
    )
    assert code == 0
    assert "2 videos give no picture of their evidence, such as video v00: " in err


@pytest.mark.parametrize(
    "odd",
    [
        evidence(start=900.0, end=901.0),
        evidence(start=20.1, end=20.2),
        evidence(box=(5000.0, 5000.0, 5001.0, 5001.0)),
        evidence(box=(319.5, 179.5, 9000.0, 9000.0)),
        evidence(box=(0.0, 0.0, 1e300, 1e300)),
        evidence(box=(0.0, 0.0, 0.25, 179.0)),
    ],
)
def test_odd_evidence_of_a_strangers_questions_breaks_nothing(make, odd):
    found = images(make(change=lambda q: odd if q.question_id == "v00-q0" else {})())
    assert 3 <= len(found) <= 4


def test_a_picture_is_cut_once_and_again_when_what_is_kept_is_none(
    make, tmp_path, cache, monkeypatch
):
    make()()
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    (exam,) = read_exams([tmp_path / "exam"])
    ids = {question.question_id for question in exam.questions}
    reader = pictures.VideoReader
    monkeypatch.setattr(pictures, "VideoReader", None)
    assert len(pictures.album_of(exam, ids, is_local=False).pictures) == 4
    monkeypatch.setattr(pictures, "VideoReader", reader)
    for path in cache.iterdir():
        path.write_bytes(b"no picture")
    assert len(pictures.album_of(exam, ids, is_local=False).pictures) == 4
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
