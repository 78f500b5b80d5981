"""A benchmark is what its files say, or a sentence that says which line is wrong."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hlvid import datasets
from hlvid.errors import UserError
from hlvid.files import sha256_file
from hlvid.prompt import render
from hlvid.types import Question, Video

CHOICES = ("ARAMEL DIEM", "ARAMEL DENIM", "ARAMEL DREAM", "ARAMEL DEAN")


def make_question(question_id: str, video_id: str = "v1", **changes: object) -> Question:
    stem = f"What does label {question_id} say?"
    fields = {
        "question_id": question_id,
        "video_id": video_id,
        "category": "household",
        "text": render(stem, CHOICES),
        "stem": stem,
        "choices": CHOICES,
        "answer": "B",
    }
    return Question.model_validate(fields | changes)


def make_video(video_id: str, **changes: object) -> Video:
    fields = {
        "video_id": video_id,
        "path": f"videos/{video_id}.mp4",
        "width": 3840,
        "height": 2160,
        "duration_seconds": 100.0,
        "fps": 1.0,
        "license": "CC0-1.0",
        "source": "rendered",
    }
    return Video.model_validate(fields | changes)


@pytest.fixture
def benchmark() -> datasets.Benchmark:
    return datasets.Benchmark(
        name="labels",
        revision="1",
        questions=(
            make_question("q10", "v2"),
            make_question("q2", "v1"),
            make_question("q1", "v1"),
        ),
        videos={"v2": make_video("v2"), "v1": make_video("v1")},
        license="CC0-1.0",
        description="labels",
        settings={"seed": 0, "fps": 1.0, "split": "test", "is_small": True},
    )


@pytest.fixture
def folder(benchmark: datasets.Benchmark, tmp_path: Path) -> Path:
    datasets.write(tmp_path / "labels", benchmark)
    return tmp_path / "labels"


def edit_line(path: Path, number: int, /, **changes: object) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1] = json.dumps(json.loads(lines[number - 1]) | changes)
    path.write_text("\n".join(lines) + "\n")


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        datasets.load(str(folder))
    return str(caught.value)


# --- a folder ------------------------------------------------------------------------------------


def test_a_benchmark_survives_the_disk(benchmark: datasets.Benchmark, folder: Path) -> None:
    loaded = datasets.load(str(folder))
    assert loaded.root == folder
    assert datasets.read(folder, root=None) == benchmark
    assert loaded.questions_sha256 == sha256_file(folder / "questions.jsonl")
    assert loaded.settings == benchmark.settings
    lines = (folder / "questions.jsonl").read_text().splitlines()
    assert [json.loads(line)["question_id"] for line in lines] == ["q1", "q2", "q10"]


def test_the_id_says_what_was_sat(benchmark: datasets.Benchmark) -> None:
    assert benchmark.id.model_dump() == {
        "name": "labels",
        "revision": "1",
        "questions_sha256": benchmark.questions_sha256,
        "num_questions": 3,
        "num_videos": 2,
    }
    assert benchmark.video_ids == ("v1", "v2")


def test_a_subset_is_another_exam(benchmark: datasets.Benchmark) -> None:
    first = benchmark.subset(limit=2)
    assert [q.question_id for q in first.questions] == ["q1", "q2"]
    assert (first.id.num_questions, first.id.num_videos) == (2, 1)
    assert list(first.videos) == ["v1"]
    assert first.questions_sha256 != benchmark.questions_sha256
    assert first == benchmark.subset(video_ids=["v1"])
    assert benchmark.subset() == benchmark.subset(limit=99) == benchmark
    with pytest.raises(UserError, match=r"has no question about video 'v9'"):
        benchmark.subset(video_ids=["v9"])
    with pytest.raises(UserError, match="limit: 0 questions are too few"):
        benchmark.subset(limit=0)
    with pytest.raises(UserError, match="has no questions"):
        benchmark.subset(video_ids=[])


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        (
            "questions.jsonl",
            {"answer": "E"},
            "questions.jsonl:2: answer 'E' is not one of A/B/C/D.",
        ),
        ("questions.jsonl", {"question_id": "q1"}, "questions.jsonl:2: question q1 is there twice"),
        ("questions.jsonl", {"video_id": "v9"}, "questions.jsonl:2: question q2 is about video v9"),
        ("questions.jsonl", {"stem": "What?"}, "questions.jsonl:2: stem is 'What?', but the text"),
        (
            "questions.jsonl",
            {"choices": ["a", "b"]},
            "questions.jsonl:2: choices is ('a', 'b'), but the text gives ('ARAMEL DIEM',",
        ),
        ("questions.jsonl", {"text": "What?"}, "questions.jsonl:2: question 'What?': lines where"),
        ("questions.jsonl", {"question_id": "../q"}, "questions.jsonl:2: field 'question_id' is"),
        ("videos.jsonl", {"video_id": "v1"}, "videos.jsonl:2: video v1 is there twice"),
        ("videos.jsonl", {"path": "../v2.mp4"}, "videos.jsonl:2: path '../v2.mp4' leaves"),
        ("videos.jsonl", {"path": "/etc/passwd"}, "videos.jsonl:2: path '/etc/passwd' leaves"),
        ("videos.jsonl", {"width": 0}, "videos.jsonl:2: field 'width' is 0"),
    ],
)
def test_a_bad_line_is_named(
    folder: Path, name: str, changes: Mapping[str, object], said: str
) -> None:
    edit_line(folder / name, 2, **changes)
    assert refusal(folder).startswith(said)


@pytest.mark.parametrize("name", ["questions.jsonl", "videos.jsonl"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder).startswith(f"{name}: cannot be read")


def test_a_bad_manifest_is_named(folder: Path) -> None:
    manifest = json.loads((folder / "benchmark.json").read_text())
    (folder / "benchmark.json").write_text(json.dumps(manifest | {"name": "a/b"}))
    assert refusal(folder).startswith("benchmark.json: field 'name' is 'a/b'")


def test_an_unknown_name_tells_the_known_ones(tmp_path: Path) -> None:
    for name in ("hlvld", str(tmp_path), "\x1b[2J", "a\0b"):
        with pytest.raises(UserError, match=r"Allowed are hlvid, .* and a folder"):
            datasets.load(name)


def test_what_cannot_be_read_back_is_not_written(
    benchmark: datasets.Benchmark, tmp_path: Path
) -> None:
    bare = datasets.Benchmark(
        name="bare", revision="1", questions=benchmark.questions, videos={}, root=None
    )
    with pytest.raises(UserError, match="video v1 has no record"):
        datasets.write(tmp_path / "bare", bare)
    odd = datasets.Benchmark(
        name="odd",
        revision="1",
        questions=(make_question("q1", stem="Another?"),),
        videos={"v1": make_video("v1")},
    )
    with pytest.raises(UserError, match=r"question q1: stem is 'Another\?', but the text gives"):
        datasets.write(tmp_path / "odd", odd)
    assert list(tmp_path.iterdir()) == []


def test_questions_must_fit_each_other_and_the_videos() -> None:
    for questions, videos, said in (
        ((), {}, "has no questions"),
        ((make_question("q1"), make_question("q1")), {}, "question q1 is there twice"),
        ((make_question("q1"),), {"v2": make_video("v2")}, "is about video v1"),
    ):
        with pytest.raises(UserError, match=f"benchmark labels: .*{said}"):
            datasets.Benchmark(name="labels", revision="1", questions=questions, videos=videos)


# --- videos --------------------------------------------------------------------------------------


def test_a_video_is_found_or_named(folder: Path, tmp_path: Path) -> None:
    benchmark = datasets.load(str(folder))
    with pytest.raises(
        datasets.MissingVideo, match=r"video v1: .*labels/videos/v1\.mp4 is missing"
    ):
        benchmark.video_path("v1")
    with pytest.raises(UserError, match=r"has no question about video '\.\./v1'"):
        benchmark.video_path("../v1")
    elsewhere = tmp_path / "elsewhere" / "videos"
    elsewhere.mkdir(parents=True)
    (elsewhere / "v1.mp4").touch()
    moved = datasets.load(str(folder), data=tmp_path / "elsewhere")
    assert moved.video_path("v1") == elsewhere / "v1.mp4"


def test_synthetic_is_asked_with_the_questions_rendered_into_its_folder(tmp_path: Path) -> None:
    shipped = datasets.load("hlvid-synthetic", data=tmp_path)
    some = shipped.subset(video_ids=shipped.video_ids[:2])
    datasets.write(tmp_path, some)
    assert datasets.load("hlvid-synthetic", data=tmp_path).questions == some.questions
    datasets.write(tmp_path, replace(some, name="other"))
    with pytest.raises(UserError, match=r"holds the benchmark 'other', not hlvid-synthetic"):
        datasets.load("hlvid-synthetic", data=tmp_path)


def test_a_missing_synthetic_video_tells_the_command() -> None:
    benchmark = datasets.Benchmark(
        name="hlvid-synthetic",
        revision="1",
        questions=(make_question("q1"),),
        videos={"v1": make_video("v1")},
        settings={"videos": 24, "seconds": 100, "seed": 0},
        root=Path("/my data"),
    )
    with pytest.raises(
        datasets.MissingVideo,
        match=r"Render it: hlvid-build render --out '/my data' --videos 24 --seconds 100 --seed 0$",
    ):
        benchmark.video_path("v1")


def test_a_benchmark_without_a_folder_has_no_videos(benchmark: datasets.Benchmark) -> None:
    with pytest.raises(
        datasets.MissingVideo, match=r"videos/v1\.mp4 of benchmark labels is missing"
    ):
        benchmark.video_path("v1")


# --- HLVid as released ---------------------------------------------------------------------------


def released_rows(num_questions: int = 6, num_videos: int = 2) -> list[dict[str, object]]:
    return [
        {
            "question_id": i,
            "category": "av" if i % 2 else "household",
            "video_path": f"clip_av_video_{i % num_videos}_001.mp4",
            "question": render(f"What does label {i} say?", CHOICES),
            "answer": "ABCD"[i % 4],
        }
        for i in range(num_questions)
    ]


def write_parquet(root: Path, rows: list[dict[str, object]]) -> Path:
    path = root / datasets.PARQUET_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_hlvid_as_released_is_recognised_by_its_counts(tmp_path: Path) -> None:
    write_parquet(tmp_path, released_rows(268, 77))
    benchmark = datasets.load("hlvid", data=tmp_path)
    assert benchmark.id.model_dump(exclude={"questions_sha256"}) == {
        "name": "hlvid",
        "revision": "released",
        "num_questions": 268,
        "num_videos": 77,
    }
    write_parquet(tmp_path, released_rows(267, 77))
    assert datasets.load("hlvid", data=tmp_path).revision == "267 questions on 77 videos"


def test_a_row_keeps_its_text_and_gains_its_parts(tmp_path: Path) -> None:
    write_parquet(tmp_path, released_rows(12))
    benchmark = datasets.load("hlvid", data=tmp_path)
    assert [q.question_id for q in benchmark.questions] == [str(i) for i in range(12)]
    question = benchmark.questions[5]
    assert question.text == released_rows()[5]["question"]
    assert (question.stem, question.choices) == ("What does label 5 say?", CHOICES)
    assert (question.answer, question.category) == ("B", "av")
    assert benchmark.videos == {}


def test_hlvids_videos_lie_beside_the_parquet_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path, released_rows())
    monkeypatch.setenv("HLVID_DATA", str(tmp_path))
    benchmark = datasets.load("hlvid")
    with pytest.raises(datasets.MissingVideo, match="hlvid-eval fetch hlvid"):
        benchmark.video_path("clip_av_video_1_001.mp4")
    (tmp_path / "videos").mkdir()
    path = tmp_path / "videos" / "clip_av_video_1_001.mp4"
    path.touch()
    assert benchmark.video_path("clip_av_video_1_001.mp4") == path


def test_without_hlvid_the_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HLVID_DATA", raising=False)
    monkeypatch.setenv("HLVID_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"152 GB.*: hlvid-eval fetch hlvid --data .*/hlvid$"):
        datasets.load("hlvid")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question": "What?\nA. a\nC. c"}, "row 3: question 'What?"),
        ({"question": None}, "row 3: field 'text' is None"),
        ({"answer": "E"}, "row 3: answer 'E' is not one of A/B/C/D."),
        ({"answer": "a"}, "row 3: field 'answer' is 'a'"),
        ({"video_path": "../clip.mp4"}, "row 3: field 'video_id' is '../clip.mp4'"),
        ({"video_path": None}, "row 3: field 'video_id' is None"),
        ({"category": None}, "row 3: field 'category' is None"),
        ({"question_id": None}, "row 3: question_id is None"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, changes: Mapping[str, object], said: str) -> None:
    rows = released_rows()
    rows[3] |= changes
    write_parquet(tmp_path, rows)
    with pytest.raises(UserError) as caught:
        datasets.load("hlvid", data=tmp_path)
    assert str(caught.value).startswith(f"test-00000-of-00001.parquet: {said}")


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path, [*released_rows(), released_rows()[0]])
    with pytest.raises(UserError, match="question 0 is there twice"):
        datasets.load("hlvid", data=tmp_path)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    rows = [row | {"options": "A"} for row in released_rows()]
    write_parquet(tmp_path, rows)
    with pytest.raises(UserError, match=r"has the columns .*'options'. Allowed are question_id,"):
        datasets.load("hlvid", data=tmp_path)


@pytest.mark.parametrize("num_bytes", [0, 3, 100, -200])
def test_a_truncated_parquet_file_is_a_sentence(tmp_path: Path, num_bytes: int) -> None:
    path = write_parquet(tmp_path, released_rows())
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(UserError, match="cannot be read as parquet") as caught:
        datasets.load("hlvid", data=tmp_path)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_a_sentence(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, released_rows())
    table = pq.read_table(path)
    raw = pa.array([b"\xff\xfe"] * 6, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(1, "category", raw), path)
    with pytest.raises(UserError, match="cannot be read as parquet"):
        datasets.load("hlvid", data=tmp_path)


@pytest.fixture
def alone(benchmark, tmp_path) -> Path:
    """A file of questions and a folder of videos, and nothing else."""
    folder = tmp_path / "labels"
    (folder / "videos").mkdir(parents=True)
    lines = (question.model_dump_json() for question in benchmark.questions)
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("v1.mp4", "v2"):
        (folder / "videos" / name).write_bytes(b"")
    return folder


def test_a_file_of_questions_and_a_folder_of_videos_are_a_benchmark(benchmark, alone, tmp_path):
    found = datasets.load(str(alone))
    assert (found.name, found.revision) == ("labels", "")
    assert found.questions_sha256 == benchmark.questions_sha256
    assert found.video_path("v1") == alone / "videos" / "v1.mp4"
    assert found.video_path("v2") == alone / "videos" / "v2"
    (alone / "questions.jsonl").rename(tmp_path / "street.jsonl")
    found = datasets.load(str(tmp_path / "street.jsonl"), data=alone)
    assert found.name == "street"
    assert found.video_path("v1") == alone / "videos" / "v1.mp4"


def test_what_lies_beside_a_video_is_no_video(alone):
    for name in ("v1.srt", "v1.txt", "v1.vtt"):
        (alone / "videos" / name).write_text("1")
    assert datasets.load(str(alone)).video_path("v1") == alone / "videos" / "v1.mp4"
    (alone / "videos" / "v1.webm").write_bytes(b"")
    with pytest.raises(UserError, match=r"v1\.webm and v1\.mp4 could both be video v1"):
        datasets.load(str(alone))


def test_a_manifest_may_not_call_itself_the_released_hlvid(folder):
    text = (folder / "benchmark.json").read_text()
    name = json.loads(text)["name"]
    (folder / "benchmark.json").write_text(text.replace(f'"{name}"', '"hlvid"'))
    with pytest.raises(UserError, match="hlvid is another benchmark"):
        datasets.load(str(folder))


def test_a_file_of_questions_may_not_pass_for_another_benchmark(alone, tmp_path):
    alone.rename(tmp_path / "hlvid")
    with pytest.raises(UserError, match="hlvid is another benchmark"):
        datasets.load(str(tmp_path / "hlvid"))
    (tmp_path / "hlvid").rename(tmp_path / "my labels")
    with pytest.raises(UserError, match="'my labels' cannot name a benchmark"):
        datasets.load(str(tmp_path / "my labels"))
    with pytest.raises(UserError, match=r"a folder with benchmark\.json or questions\.jsonl"):
        datasets.load(str(tmp_path / "nowhere"))


# --- evidence of HLVid ---------------------------------------------------------------------------


def mark(root: Path, *lines: Mapping[str, object]) -> None:
    seen = {"start_seconds": 1.0, "end_seconds": 3.0, "boxes": [[1.0, 10, 20, 50, 60]]}
    base = {"evidence": [seen], "num_annotators": 2, "num_agreeing": 2}
    base |= {"span_overlap": 1.0, "box_overlap": 0.5}
    path = root / "evidence" / "hlvid.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({**base, **line}) + "\n" for line in lines))


def test_marked_evidence_is_used_and_the_exam_stays_the_same(tmp_path: Path) -> None:
    write_parquet(tmp_path, released_rows())
    plain = datasets.load("hlvid", data=tmp_path)
    assert plain.evidence == {}
    assert plain.marked_sha256 is None
    mark(
        tmp_path,
        {"question_id": "3", "video_id": "clip_av_video_1_001.mp4"},
        {"question_id": "4", "video_id": "clip_av_video_0_001.mp4", "evidence": []},
    )
    marked = datasets.load("hlvid", data=tmp_path)
    assert marked.id == plain.id
    assert list(marked.evidence) == ["3"]
    assert marked.evidence["3"][0].box_at(2.0) == (10, 20, 50, 60)
    assert marked.marked_sha256 is not None
    assert marked.subset(limit=2).evidence == {}
    assert all(not question.evidence for question in marked.questions)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"question_id": "99"},
            r"^evidence/hlvid\.jsonl:2: question 99 about video clip_av_",
        ),
        ({"video_id": "clip_av_video_1_001.mp4"}, "is none of benchmark hlvid"),
        ({"question_id": "0"}, "question 0 is there twice"),
        ({"stem": "What?"}, "field 'stem' is unknown"),
    ],
)
def test_evidence_of_other_questions_is_refused(
    tmp_path: Path, changes: Mapping[str, object], said: str
) -> None:
    write_parquet(tmp_path, released_rows())
    first = {"question_id": "0", "video_id": "clip_av_video_0_001.mp4"}
    mark(tmp_path, first, {**first, "question_id": "2", **changes})
    with pytest.raises(UserError, match=said):
        datasets.load("hlvid", data=tmp_path)
