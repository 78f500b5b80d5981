"""Video-MME's official layout, its prompts and its own marking, on invented rows."""

import zipfile
from io import BytesIO

import pytest

from hlvid import datasets
from hlvid.datasets import videomme
from hlvid.errors import UserError
from hlvid.types import Prediction


@pytest.fixture
def copy(published, tmp_path):
    """A copy as it lies after its zips were unpacked."""
    for name, content in published.videomme_files().items():
        if name.endswith(".zip"):
            with zipfile.ZipFile(BytesIO(content)) as zipped:
                zipped.extractall(tmp_path)
        else:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    return tmp_path


def ask(copy, name="videomme"):
    return datasets.load(name, data=copy)


def test_a_local_copy_has_questions_by_duration_and_videos_by_name(copy):
    benchmark = ask(copy)
    assert [q.category for q in benchmark.questions[::2]] == ["short", "medium", "long"]
    assert benchmark.video_ids == ("001", "002", "003")
    assert benchmark.video_path("002") == copy / "data" / "-invented_2.mp4"
    assert benchmark.revision.startswith("6 questions on 3 videos, official prompt")
    assert benchmark.questions[0].choices == ("PIER 4", "PIER 7", "PIER 9", "PIER 2")
    assert benchmark.questions[0].answer == "A"


def test_a_prompt_without_subtitles_does_not_speak_of_them(copy):
    assert ask(copy).questions[0].text == (
        "Select the best answer to the following multiple-choice question based on the video. "
        "Respond with only the letter (A, B, C, or D) of the correct option.\n"
        "Which pier is named beside the invented FERRY DOCK?\n"
        "A. PIER 4\nB. PIER 7\nC. PIER 9\nD. PIER 2\nThe best answer is:"
    )


def test_subtitles_are_those_of_the_sampled_frames_where_a_video_has_any(published, copy):
    (copy / "data" / "-invented_2.mp4").write_bytes(published.clip(("PIER",), num_frames=3))
    texts = [q.text for q in ask(copy, "videomme-subtitles-3").questions[::2]]
    lines = [text.partition("Select the best answer")[0].splitlines() for text in texts]
    head = "This video's subtitles are listed below:"
    assert lines[0] == [head, "We walk along the"]  # of one frame, at 0 s
    assert lines[1] == [head, "We walk along the", "harbour this morning."]  # at 0, 1 and 2 s
    assert lines[2] == []
    assert "based on the video. Respond with only the letter" in texts[1]


def test_a_line_stands_once_for_every_frame_that_it_is_shown_with(tmp_path):
    path = tmp_path / "some.srt"
    path.write_text(
        "\ufeff1\r\n00:00:01,500 --> 00:00:03.000 X1:40\r\n<i>Two\r\nlines</i>\r\n\r\n"
        "2\r\nno time\r\nnever\r\n\r\n3\r\n01:00:00,000 --> 01:00:02,000\r\nlate\r\n"
    )
    assert videomme.read_subtitles(path, [0, 1.5, 2.999, 3.0, 3601]) == "Two lines\nTwo lines\nlate"


def test_the_prompts_are_told_apart_by_name_revision_and_digest(copy):
    names = (*videomme.PROMPTS, "videomme-subtitles-1", "videomme-subtitles-2")
    exams = [ask(copy, name) for name in names]
    assert [exam.name for exam in exams] == list(names)
    assert len({exam.revision for exam in exams}) == 4
    assert [exam.num_frames for exam in exams] == [None, None, 1, 2]
    # Clips of one frame: two frames are asked for, one is there.
    assert len({exam.questions_sha256 for exam in exams}) == 3
    with pytest.raises(UserError, match="videomme-subtitles-FRAMES"):
        ask(copy, "videomme-subtitles")


def test_a_video_that_cannot_be_read_has_no_subtitles_and_the_revision_tells(copy):
    (copy / "data" / "-invented_1.mp4").write_bytes(b"no video")
    (copy / "data" / "-invented_2.mp4").unlink()
    exam = ask(copy, "videomme-subtitles-1")
    assert "subtitles are listed" not in "".join(q.text for q in exam.questions)
    assert exam.revision.endswith("without those of 2 videos that could not be read")


def test_subtitles_that_were_never_fetched_are_missed(copy):
    for file in (copy / "subtitle").iterdir():
        file.unlink()
    (copy / "subtitle").rmdir()
    with pytest.raises(UserError, match=r"subtitle: is missing.*hlvid-eval fetch videomme"):
        ask(copy, "videomme-subtitles-16")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"videoID": "../../etc/passwd"}, "row 0: videoID is '../../etc/passwd'"),
        ({"duration": "endless"}, "row 0: duration is 'endless'. Allowed are short, medium, long"),
        ({"options": ["A. one"]}, "Allowed are 4 texts"),
        ({"answer": "F"}, "row 0: answer 'F' is not one of A/B/C/D"),
        ({"videoID": "other"}, "video '001' has two videoIDs"),
    ],
)
def test_a_row_that_is_not_in_order_is_named(published, copy, changes, said):
    rows = list(published.videomme_rows())
    rows[0] |= changes
    (copy / videomme.SOURCE.questions).write_bytes(published.parquet(rows))
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        ask(copy)


def test_options_that_differ_by_their_letter_alone_are_told_apart(published, copy):
    rows = list(published.videomme_rows())
    rows[0]["options"] = ["A. same", "B. same", "C. other", "D. none"]
    (copy / videomme.SOURCE.questions).write_bytes(published.parquet(rows))
    assert ask(copy).questions[0].choices == ("A. same", "B. same", "C. other", "D. none")


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("C", "C"),
        ("The best answer is: B.", "B"),
        ("The correct answer is\nD", "D"),
        ("The answer: A", "A"),
        ("Best answer: C", "B"),
        ("Answer: D", "A"),
        ("Best option: (A)", "B"),
        ("Best answer:Best option: D", "D"),
        ("Based on the video, the answer is C.", "B"),
        ("It could be any of them", None),
        ("A man walks to pier C", "A"),
    ],
)
def test_the_official_marking_errs_as_the_published_script_does(response, letter):
    assert videomme.official_letter(response) == letter


def test_the_official_score_leaves_out_what_has_no_letter(copy):
    questions = ask(copy).questions
    replies = ["A", "A man at pier B", "no idea", None, "A", "D"]
    predictions = [
        Prediction(
            question_id=q.question_id,
            arm="off",
            prompt_sha256="0" * 64,
            response=reply,
            error=None if reply else "no video",
            status="ok" if reply else "failed",
        )
        for q, reply in zip(questions, replies, strict=True)
    ]
    score = videomme.official_score(questions, predictions)
    assert (score.num_correct, score.num_answered) == (2, 4)
    assert score.accuracy == 0.5
