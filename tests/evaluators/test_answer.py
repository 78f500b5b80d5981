"""`hlvid-eval answer`: probes in, answers out, with a real reader, and what goes wrong."""

import json

import numpy as np
import pytest

from evaluators.answering import answer_all
from evaluators.canvas import Shape
from evaluators.examinee import Answer, Examinee
from evaluators.ledger import Ledger
from hlvid.datasets import read
from hlvid.files import digest, read_jsonl, sha256_file, write_jsonl
from hlvid.grading import extract_letter
from hlvid.types import ModelId, Probe, ProbeAnswer


def make_probe(benchmark, question, kind, **where):
    path = benchmark.video_path(question.video_id)
    seen = {"path": str(path), "video_sha256": sha256_file(path), "frame_seconds": (2.5,)}
    content = {
        "question_id": question.question_id,
        "kind": kind,
        "text": question.text,
        "stem": question.stem,
        "choices": question.choices,
        **({} if kind == "blind" else seen),
        **where,
    }
    return Probe(probe_id=digest(content), **content)


@pytest.fixture
def exam(tiny):
    return read(tiny, root=tiny)


class Eyes(Examinee):
    """Keeps what it is shown."""

    model = ModelId(name="eyes", kind="control")
    sees_video = True

    def __init__(self):
        self.views = []

    def watch(self, view, clock):
        self.views.append(view)
        return len(self.views)

    def answer(self, question, notes, clock):
        assert question.answer is None and question.evidence == ()
        return Answer(f"look {notes}")


def test_frames_size_and_crop_are_those_of_the_probe(exam):
    question = exam.questions[0]
    eyes = Eyes()
    probes = [
        make_probe(exam, question, "permuted", frame_seconds=(0.5, 1.5, 4.5)),
        make_probe(exam, question, "resolution", height=90),
        make_probe(exam, question, "oracle-crop", crop=(20.0, 30.0, 180.0, 130.0)),
        make_probe(exam, question, "blind"),
        make_probe(exam, question, "permuted", frame_seconds=(0.5, 1.5, 4.5), text="again"),
    ]
    answers = answer_all(eyes, probes)
    assert [a.probe_id for a in answers] == [p.probe_id for p in probes]
    assert [a.response for a in answers] == ["look 1", "look 2", "look 3", "look 4", "look 1"]
    whole, small, cut, nothing = eyes.views
    assert whole.canvas.frame_seconds.tolist() == [0.0, 1.0, 4.0]
    assert small.canvas.size == (160, 90)
    assert cut.canvas.size == (160, 100)
    frame = whole.canvas.pixels[1][30:130, 20:180].astype(int)
    assert np.abs(frame - cut.canvas.pixels[0]).mean() < 6
    assert nothing.frame(0) is None
    assert all(view.frame(0) is not None for view in (whole, small, cut))


class Tired(Eyes):
    """Is killed at its third look."""

    def watch(self, view, clock):
        if len(self.views) == 2:
            raise KeyboardInterrupt
        return super().watch(view, clock)


def test_what_was_replied_before_a_kill_is_not_asked_again(exam, tmp_path):
    question = exam.questions[0]
    probes = [
        make_probe(exam, question, "single-frame", frame_seconds=(second,))
        for second in (0.5, 1.5, 2.5)
    ]
    with Ledger(tmp_path / "kept") as ledger, pytest.raises(KeyboardInterrupt):
        answer_all(Tired(), probes, ledger=ledger)
    eyes = Eyes()
    with Ledger(tmp_path / "kept") as ledger:
        answers = answer_all(eyes, probes, ledger=ledger)
    assert [a.response for a in answers] == ["look 1", "look 2", "look 1"]
    assert len(eyes.views) == 1
    others = Eyes()
    others.model = ModelId(name="others", kind="control")
    with Ledger(tmp_path / "kept") as ledger:
        answer_all(others, probes, ledger=ledger)
    assert len(others.views) == 3


@pytest.mark.parametrize("other", ["shape", "settings", "seed"])
def test_replies_of_other_settings_are_asked_for_again(exam, tmp_path, other):
    probes = [make_probe(exam, exam.questions[0], "single-frame")]
    first, second, again = Eyes(), Eyes(), Eyes()
    seed = 1 if other == "seed" else 0
    if other == "shape":
        second.shape = Shape(canvas="320x180", fit=lambda *_: (320, 180), context=7)
    if other == "settings":
        second.settings = {"dtype": "bfloat16"}
    with Ledger(tmp_path / "kept") as ledger:
        answer_all(first, probes, ledger=ledger)
        answer_all(second, probes, seed=seed, ledger=ledger)
        answer_all(again, probes, ledger=ledger)
    assert [len(eyes.views) for eyes in (first, second, again)] == [1, 1, 0]


def test_what_cannot_be_shown_fails_alone(exam, tmp_path):
    question = exam.questions[0]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    probes = [
        make_probe(exam, question, "permuted", path=str(broken)),
        make_probe(exam, question, "oracle-crop", crop=(0.0, 0.0, 9000.0, 10.0)),
        make_probe(exam, question, "blind"),
    ]
    first, second, third = answer_all(Eyes(), probes)
    assert first.error and second.error and third.response
    assert "crop" in second.error


def test_a_real_reader_reads_where_it_is_shown_the_words(exam, hlvid_eval, tmp_path):
    question = exam.questions[0]
    (x0, y0, x1, y1) = question.evidence[0].boxes[0][1:]
    around = (max(0.0, x0 - 60), max(0.0, y0 - 80), x1 + 60, y1 + 40)
    probes = [
        make_probe(exam, question, "blind"),
        make_probe(exam, question, "single-frame"),
        make_probe(exam, question, "oracle-crop", crop=tuple(float(round(e)) for e in around)),
        make_probe(exam, question, "resolution", height=36),
    ]
    write_jsonl(tmp_path / "probes.jsonl", probes)
    hlvid_eval("answer", "--model", "ocr", tmp_path / "probes.jsonl", tmp_path / "a.jsonl")
    answers = read_jsonl(tmp_path / "a.jsonl", ProbeAnswer)
    said = [
        extract_letter(a.response, dict(zip("ABCD", question.choices, strict=True)))
        for a in answers
    ]
    assert said == [None, question.answer, question.answer, None]
    assert {a.model.name for a in answers} == {"ocr"}
    assert {path.name for path in tmp_path.iterdir()} == {"probes.jsonl", "a.jsonl"}


def test_a_wrong_file_is_one_sentence(hlvid_eval, tmp_path):
    path = tmp_path / "probes.jsonl"
    path.write_text(json.dumps({"probe_id": "x"}) + "\n")
    done = hlvid_eval("answer", "--model", "ocr", path, tmp_path / "a.jsonl", code=2)
    assert done.stderr.startswith("error: probes.jsonl:1:")
    assert not (tmp_path / "a.jsonl").exists()
