"""A run folder is written whole, and a stranger's is believed in nothing that can be checked."""

import inspect
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlvid import runs
from hlvid.errors import UserError
from hlvid.files import digest_records, sha256_file
from hlvid.grading import grade_all, summarize
from hlvid.prompt import prompt_sha256, render
from hlvid.types import (
    ArmSettings,
    BenchmarkId,
    FrameSettings,
    Hardware,
    ModelId,
    Prediction,
    Provenance,
    Question,
    RunRecord,
)

CHOICES = ("red", "blue", "green", "white")


def make_questions(num: int = 12) -> list[Question]:
    return [
        Question(
            question_id=f"q{i}",
            video_id=f"v{i // 3}",
            category="av",
            text=render(f"Colour of sign {i}?", CHOICES),
            stem=f"Colour of sign {i}?",
            choices=CHOICES,
            answer="ABCD"[i % 4],
        )
        for i in range(num)
    ]


QUESTIONS = make_questions()


def make_predictions(questions: list[Question], *, arm: str = "off") -> list[Prediction]:
    return [
        Prediction(
            question_id=question.question_id,
            arm=arm,
            prompt_sha256=prompt_sha256(question.text),
            response="The answer is A.",
            status="ok",
            stage_ms={"end_to_end": 12.5},
        )
        for question in questions
    ]


PREDICTIONS = make_predictions(QUESTIONS)


def make_record(**changes: object) -> RunRecord:
    benchmark = BenchmarkId(
        name="signs",
        revision="1",
        questions_sha256=digest_records(QUESTIONS),
        num_questions=12,
        num_videos=4,
    )
    fields: dict[str, object] = {
        "run_id": "0" * 16,
        "group_id": "1" * 16,
        "benchmark": benchmark,
        "model": ModelId(name="gold", kind="control"),
        "arm": ArmSettings(gaze="off"),
        "frames": FrameSettings(num_frames=6),
        "generation": {"max_new_tokens": 16, "temperature": 0.0, "do_sample": False},
        "provenance": Provenance(
            command=("hlvid-eval",),
            git_commit=None,
            git_dirty=None,
            software={},
            hardware=Hardware(cpu="c", num_cores=2, memory_bytes=1, platform="p"),
        ),
        "predictions_sha256": runs.predictions_sha256(PREDICTIONS),
        "summary": summarize(grade_all(QUESTIONS, PREDICTIONS)),
        "status": "complete",
    }
    return RunRecord.model_validate(fields | changes)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run1"
    runs.write_run(folder, make_record(), PREDICTIONS)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run1"))


def seal(folder: Path) -> None:
    """What a forger does after an edit: make the digests fit again."""
    record = json.loads((folder / "run.json").read_text())
    record["predictions_sha256"] = sha256_file(folder / "predictions.jsonl")
    (folder / "run.json").write_text(json.dumps(record))
    names = ("predictions.jsonl", "run.json")
    sums = "".join(f"{sha256_file(folder / name)}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums)


def edit_record(folder: Path, *keys: str, value: object) -> None:
    record = json.loads((folder / "run.json").read_text())
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (folder / "run.json").write_text(json.dumps(record))


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        runs.grade_run(runs.read_run(folder), QUESTIONS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_reads_back_and_marks_the_same(folder: Path) -> None:
    run = runs.read_run(folder)
    assert run == runs.Run(make_record(), tuple(PREDICTIONS), folder)
    graded = runs.grade_run(run, QUESTIONS)
    assert [g.question_id for g in graded.grades] == [p.question_id for p in graded.predictions]
    assert sum(g.letter == "A" for g in graded.grades) == 12
    assert sorted(p.name for p in folder.iterdir()) == (
        ["SHA256SUMS", "predictions.jsonl", "run.json"]
    )


def test_the_order_of_predictions_does_not_matter(tmp_path: Path, original: Path) -> None:
    runs.write_run(tmp_path / "run1", make_record(), reversed(PREDICTIONS))
    for name in ("run.json", "predictions.jsonl", "SHA256SUMS"):
        assert (tmp_path / "run1" / name).read_bytes() == (original / name).read_bytes()


def test_coreutils_agree_with_the_sums(folder: Path) -> None:
    check = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True
    )
    assert check.returncode == 0


def test_the_questions_may_come_in_any_order(folder: Path) -> None:
    graded = runs.grade_run(runs.read_run(folder), QUESTIONS[::-1])
    assert [g.question_id for g in graded.grades] == [f"q{i}" for i in range(12)]


def test_a_run_id_depends_on_every_setting() -> None:
    record = make_record()
    settings_ = {
        "benchmark": record.benchmark,
        "model": record.model,
        "arm": record.arm,
        "frames": record.frames,
        "generation": record.generation,
        "seed": 0,
        "limit": None,
        "repeat": 0,
    }
    changes = (
        {"benchmark": record.benchmark.model_copy(update={"revision": "2"})},
        {"model": record.model.model_copy(update={"weights": "mini"})},
        {"arm": ArmSettings(gaze="on", selector="detail", budget=0.1)},
        {"frames": FrameSettings(num_frames=7)},
        {"generation": {"max_new_tokens": 17}},
        {"seed": 1},
        {"limit": 1},
        {"repeat": 1},
    )
    ids = {runs.make_run_id(**(settings_ | change)) for change in ({}, *changes)}
    assert len(ids) == 1 + len(settings_)
    assert all(len(run_id) == 16 for run_id in ids)
    assert runs.make_run_id(**settings_) in ids


def test_a_setting_that_comes_later_changes_no_run_id() -> None:
    class LaterFrames(FrameSettings):
        jitter: int = 0

    record = make_record()
    settings_ = {
        name: getattr(record, name) for name in inspect.signature(runs.make_run_id).parameters
    }
    before = runs.make_run_id(**settings_)
    for jitter in (0, 1):
        settings_["frames"] = LaterFrames(num_frames=6, jitter=jitter)
        assert (runs.make_run_id(**settings_) == before) == (jitter == 0)


# --- what is refused -----------------------------------------------------------------------------


def test_an_edited_score_is_refused_with_both_values(folder: Path) -> None:
    edit_record(folder, "summary", "num_correct", value=12)
    edit_record(folder, "summary", "num_wrong", value=0)
    assert refusal(folder).startswith("run1/SHA256SUMS: digest of run.json is ")
    seal(folder)
    assert refusal(folder) == (
        "run1/run.json: summary.num_correct is 12, but marking it again gives 3."
    )


def test_an_edited_accuracy_is_refused(folder: Path) -> None:
    edit_record(folder, "summary", "accuracy", value=0.2500001)
    seal(folder)
    assert refusal(folder) == (
        "run1/run.json: summary.accuracy is 0.2500001, but marking it again gives 0.25."
    )


def test_the_rounding_of_another_machine_is_no_forgery(folder: Path) -> None:
    low = json.loads((folder / "run.json").read_text())["summary"]["accuracy_low"]
    edit_record(folder, "summary", "accuracy_low", value=low + 1e-12)
    seal(folder)
    assert len(runs.grade_run(runs.read_run(folder), QUESTIONS).grades) == 12


def test_an_edited_reply_is_refused(folder: Path) -> None:
    path = folder / "predictions.jsonl"
    path.write_bytes(path.read_bytes().replace(b"answer is A", b"answer is B", 1))
    assert refusal(folder).startswith("run1/SHA256SUMS: digest of predictions.jsonl is ")
    seal(folder)
    assert "summary.num_correct is 3, but marking it again gives 2" in refusal(folder)


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("schema_version",), 2, "field 'schema_version' is 2"),
        (("limit",), -1, "limit is -1"),
        (("status",), "perfect", "field 'status' is 'perfect'"),
        (("cheat",), 1, "field 'cheat' is unknown"),
        (("predictions_file",), "../other.jsonl", "field 'predictions_file' is '../other.jsonl'"),
        (("benchmark", "num_questions"), 13, "benchmark.num_questions is 13"),
        (("benchmark", "num_videos"), 5, "benchmark.num_videos is 5"),
        (("benchmark", "questions_sha256"), "0" * 64, "benchmark.questions_sha256 is 0000"),
        (("benchmark", "name"), "<script>", "field 'benchmark.name' is '<script>'"),
        (("arm",), {"gaze": "on", "selector": "detail"}, "question q0: arm is 'off'"),
        (("summary",), None, "status 'complete' contradicts the presence of a summary"),
        (("summary", "num_questions"), 13, "outcomes add up to 12, not to 13 questions"),
    ],
)
def test_a_record_that_contradicts_its_run_is_refused(
    folder: Path, keys: tuple[str, ...], value: object, said: str
) -> None:
    edit_record(folder, *keys, value=value)
    seal(folder)
    message = refusal(folder)
    assert message.startswith("run1/") and said in message


def write_lines(folder: Path, predictions: list[Prediction]) -> None:
    lines = [prediction.model_dump_json() + "\n" for prediction in predictions]
    (folder / "predictions.jsonl").write_text("".join(lines))
    seal(folder)


def test_a_question_left_out_or_answered_twice_is_refused(folder: Path) -> None:
    write_lines(folder, PREDICTIONS[1:])
    assert "summary.num_questions is 12, but predictions.jsonl gives 11" in refusal(folder)
    write_lines(folder, [*PREDICTIONS, PREDICTIONS[0]])
    assert "question q0: is answered twice" in refusal(folder)
    stranger = PREDICTIONS[0].model_copy(update={"question_id": "q99"})
    write_lines(folder, [*PREDICTIONS[1:], stranger])
    assert refusal(folder) == "question q99: is none of the 12 that were asked."


def test_a_bad_line_is_named(folder: Path) -> None:
    path = folder / "predictions.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[4] = lines[4].replace('"status":"ok"', '"status":"ok","status":"ok"')
    path.write_text("".join(lines))
    seal(folder)
    assert refusal(folder) == "run1/predictions.jsonl:5: key 'status' is there twice."


@pytest.mark.parametrize("name", ["run.json", "predictions.jsonl", "SHA256SUMS"])
def test_a_missing_file_or_a_link_is_refused(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / name)
    assert refusal(folder).startswith(f"run1/{name}: is missing")
    (folder / name).symlink_to(folder.parent / name)
    assert refusal(folder).startswith(f"run1/{name}: is a link")
    (folder / name).unlink()
    (folder / name).mkdir()
    assert refusal(folder).startswith(f"run1/{name}: is a folder")
    (folder / name).rmdir()
    os.mkfifo(folder / name)
    assert refusal(folder).startswith(f"run1/{name}: is a folder or a device")


SUM = "0" * 64


@pytest.mark.parametrize(
    ("sums", "said"),
    [
        (b"", ":1: '' is not allowed"),
        (f"{SUM}  ../../etc/passwd\n".encode(), ":1: "),
        (f"{SUM}  /etc/passwd\n".encode(), ":1: "),
        (f"{SUM}  run.json\r\n".encode(), ":1: "),
        (f"{SUM}  run.json\n{SUM}  run.json\n".encode(), ":2: "),
        (f"{SUM}  run.json\n{SUM}  video.mp4\n".encode(), ":2: "),
        (f"{SUM}  run.json\n".encode(), ": does not name predictions.jsonl"),
        (f"{SUM.upper().replace('0', 'A')}  run.json\n".encode(), ":1: "),
        (f"\\{SUM}  run\\n.json\n".encode(), ":1: "),
        (b"\xff\xfe\x00\x1b[2J\n", ":1: "),
        (b"0" * 5000, ": is longer than 4096 bytes"),
    ],
)
def test_odd_sums_are_refused(folder: Path, sums: bytes, said: str) -> None:
    (folder / "SHA256SUMS").write_bytes(sums)
    message = refusal(folder)
    assert message.startswith(f"run1/SHA256SUMS{said}")
    assert message.isprintable()


def test_a_huge_file_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "predictions.jsonl").open("ab") as file:
        file.truncate(2**33)
    assert refusal(folder).startswith("run1/predictions.jsonl: is too long")


def test_the_name_of_a_folder_cannot_move_the_cursor(folder: Path) -> None:
    odd = folder.rename(folder.parent / "\x1b[2J\nrun")
    (odd / "run.json").unlink()
    assert refusal(odd).startswith("'\\x1b[2J\\nrun'/run.json: is missing")


def test_what_is_no_folder_is_no_run(folder: Path) -> None:
    for path in (folder / "run.json", folder / "none"):
        with pytest.raises(UserError, match="is not a folder"):
            runs.read_run(path)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["run.json", "predictions.jsonl"]), data=st.data())
def test_any_damage_is_a_sentence_or_harmless(
    original: Path, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    folder = Path(shutil.copytree(original, tmp_path_factory.mktemp("damage") / "run1"))
    content = bytearray((folder / name).read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    content[start : start + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    (folder / name).write_bytes(content)
    try:
        if name == "predictions.jsonl":
            seal(folder)
        runs.grade_run(runs.read_run(folder), QUESTIONS)
    except UserError as error:
        assert "\n" not in str(error)


# --- limited, failed and infeasible runs ---------------------------------------------------------


def test_a_limited_run_sat_the_first_questions(tmp_path: Path) -> None:
    for first, is_right in ((0, True), (8, False)):
        questions, some = QUESTIONS[first : first + 4], PREDICTIONS[first : first + 4]
        record = make_record(
            limit=4,
            predictions_sha256=runs.predictions_sha256(some),
            summary=summarize(grade_all(questions, some)),
        )
        runs.write_run(tmp_path / "run1", record, some)
        if is_right:
            graded = runs.grade_run(runs.read_run(tmp_path / "run1"), QUESTIONS)
            assert [g.question_id for g in graded.grades] == ["q0", "q1", "q2", "q3"]
        else:
            assert "is none of the 4" in refusal(tmp_path / "run1")


def test_a_limited_run_answers_all_it_says(tmp_path: Path) -> None:
    some = PREDICTIONS[:3]
    record = make_record(
        limit=4,
        predictions_sha256=runs.predictions_sha256(some),
        summary=summarize(grade_all(QUESTIONS[:3], some)),
    )
    runs.write_run(tmp_path / "run1", record, some)
    assert "answers 3 of 4 questions" in refusal(tmp_path / "run1")


def test_an_infeasible_run_has_no_marks(tmp_path: Path) -> None:
    record = make_record(
        status="infeasible", summary=None, predictions_sha256=runs.predictions_sha256([])
    )
    runs.write_run(tmp_path / "run1", record, [])
    graded = runs.grade_run(runs.read_run(tmp_path / "run1"), QUESTIONS)
    assert (graded.predictions, graded.grades) == ((), ())


def test_a_complete_run_without_predictions_is_refused(folder: Path) -> None:
    (folder / "predictions.jsonl").write_bytes(b"")
    seal(folder)
    assert refusal(folder).startswith("run1/predictions.jsonl: is empty")


def test_failed_questions_stay_in_the_denominator(tmp_path: Path) -> None:
    failed = {"response": None, "error": "video is truncated", "status": "failed"}
    predictions = [
        Prediction.model_validate(p.model_dump() | (failed if i < 3 else {}))
        for i, p in enumerate(PREDICTIONS)
    ]
    record = make_record(
        status="partial",
        predictions_sha256=runs.predictions_sha256(predictions),
        summary=summarize(grade_all(QUESTIONS, predictions)),
    )
    runs.write_run(tmp_path / "run1", record, predictions)
    graded = runs.grade_run(runs.read_run(tmp_path / "run1"), QUESTIONS)
    assert graded.record.summary is not None
    assert graded.record.summary.num_failed == 3
    assert graded.record.summary.num_questions == 12


# --- writing -------------------------------------------------------------------------------------


def test_predictions_of_another_run_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"predictions_sha256 is [0-9a-f]{64}, but"):
        runs.write_run(tmp_path / "run1", make_record(), PREDICTIONS[1:])
    bad = make_record().model_copy(update={"status": "perfect"})
    with pytest.raises(UserError, match="field 'status' is 'perfect'"):
        runs.write_run(tmp_path / "run1", bad, PREDICTIONS)
    assert not (tmp_path / "run1").exists()


def write_and_die(folder: Path, step: int) -> int:
    """Write a run in a child that kills itself before the given step that the disk sees."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    steps = iter(range(1, 100))

    def mortal(call: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted

    os.fsync = mortal(os.fsync)
    Path.replace = mortal(Path.replace)
    Path.unlink = mortal(Path.unlink)
    try:
        runs.write_run(folder, make_record(), PREDICTIONS)
    finally:
        os._exit(0)


@pytest.mark.parametrize("is_again", [False, True])
def test_a_kill_at_any_moment_leaves_no_half_run(tmp_path: Path, is_again: bool) -> None:
    num_killed = 0
    for step in range(1, 16):
        folder = tmp_path / f"run{step}"
        if is_again:
            runs.write_run(folder, make_record(repeat=1), PREDICTIONS)
        num_killed += write_and_die(folder, step) == signal.SIGKILL
        if (folder / "run.json").exists():
            assert runs.read_run(folder).record.repeat in (0, 1)
        else:
            with pytest.raises(UserError, match=r"is missing|is not a folder"):
                runs.read_run(folder)
        runs.write_run(folder, make_record(), PREDICTIONS)
        assert runs.read_run(folder).record == make_record()
    assert num_killed >= 12


def test_a_second_writing_replaces_the_first(folder: Path) -> None:
    record = make_record(repeat=1)
    runs.write_run(folder, record, PREDICTIONS)
    assert runs.read_run(folder).record == record
