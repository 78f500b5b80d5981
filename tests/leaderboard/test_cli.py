"""The command: what it refuses, what it says and with which exit code."""

import shutil
import subprocess
import sys

import pytest

from hlvid import datasets, runs
from hlvid.files import read_json
from hlvid.types import ArmSettings, RunRecord


def build(run_command, folder, *more):
    return run_command(
        "build", folder / "runs", "--questions", folder / "exam", "--out", folder / "site", *more
    )


def test_build_prints_the_table_and_where_the_page_is(run_command, small):
    folder, _ = small
    code, out, err = build(run_command, folder)
    assert code == 0
    assert "detail@0.1" in out
    assert out.rstrip().endswith("site/index.html")
    assert "next:" in err
    assert (folder / "site" / "index.html").read_text().startswith("<!doctype html>")


def test_edited_score_is_refused_with_file_field_and_both_values(run_command, small, lab):
    folder, records = small
    summary = records[1].summary
    claimed = summary.num_correct - 1

    def change(record):
        record["summary"]["num_correct"] = claimed
        record["summary"]["num_wrong"] += 1

    lab.tamper(folder / "runs" / records[1].run_id, change)
    code, _, err = build(run_command, folder)
    assert code == 1
    assert f"{records[1].run_id}/run.json: summary.num_correct is {claimed}" in err
    assert f"gives {summary.num_correct}" in err
    assert not (folder / "site" / "index.html").exists()


def test_keep_going_leaves_refused_runs_out_and_lists_them(run_command, small, lab):
    folder, records = small
    lab.tamper(
        folder / "runs" / records[1].run_id, lambda record: record["summary"].update(accuracy=0.125)
    )
    code, out, err = build(run_command, folder, "--keep-going")
    assert code == 3
    assert "summary.accuracy is 0.125" in err
    assert "detail@0.1" not in out
    page = (folder / "site" / "index.html").read_text()
    assert "summary.accuracy is 0.125" in page
    assert str(folder) not in page


def test_nothing_left_is_a_failure_even_when_going_on(run_command, small, lab):
    folder, records = small
    for record in records:
        lab.tamper(
            folder / "runs" / record.run_id, lambda record: record["summary"].update(accuracy=0.125)
        )
    code, _, _ = build(run_command, folder, "--keep-going")
    assert code == 1
    assert not (folder / "site").exists()


def test_flipped_byte_in_the_predictions_is_refused(run_command, small):
    folder, records = small
    path = folder / "runs" / records[0].run_id / "predictions.jsonl"
    path.write_bytes(path.read_bytes().replace(b"The answer is A", b"The answer is B"))
    code, _, err = build(run_command, folder)
    assert code == 1
    assert records[0].run_id in err
    assert "digest of predictions.jsonl" in err


def test_run_on_unknown_questions_asks_for_them(run_command, small):
    folder, _ = small
    code, _, err = run_command("build", folder / "runs", "--out", folder / "site")
    assert code == 1
    assert "--questions" in err


def test_questions_may_be_the_file_alone(run_command, small):
    folder, _ = small
    for questions in (
        folder / "exam" / "questions.jsonl",
        shutil.copy(folder / "exam" / "questions.jsonl", folder / "alone.jsonl"),
    ):
        code, _, _ = run_command(
            "build", folder / "runs", "--questions", questions, "--out", folder / "site"
        )
        assert code == 0


def test_a_file_without_a_name_never_stands_for_a_known_benchmark(run_command, tmp_path, lab):
    exam = lab.exam(num_videos=2, per_video=2, name="hlvid-synthetic")
    datasets.write(tmp_path / "exam", exam)
    lab.write(tmp_path / "runs", exam, "ocr", ArmSettings(gaze="off"))
    questions = shutil.copy(tmp_path / "exam" / "questions.jsonl", tmp_path / "alone.jsonl")
    code, _, err = run_command(
        "build", tmp_path / "runs", "--questions", questions, "--out", tmp_path / "site"
    )
    assert code == 1
    assert "benchmark.questions_sha256 is" in err


def test_two_results_under_one_run_id_are_refused(run_command, small, lab):
    folder, records = small
    exam = lab.exam(num_videos=4, per_video=3)
    answers = lab.predictions(exam, lab.MODELS["random-letter"], ArmSettings(gaze="off"))
    other = lab.record(
        exam, lab.MODELS["ocr"], ArmSettings(gaze="off"), answers, run_id=records[0].run_id
    )
    runs.write_run(folder / "runs" / "other", other, answers)
    code, _, err = build(run_command, folder)
    assert code == 1
    assert f"run_id {records[0].run_id}" in err


def test_same_run_twice_is_one_row(run_command, small):
    folder, records = small
    shutil.copytree(folder / "runs" / records[0].run_id, folder / "runs" / "copy")
    code, out, _ = build(run_command, folder)
    assert code == 0
    assert (
        sum(line.split()[1] == "off" for line in out.splitlines() if line.strip()[:1] == "1") == 1
    )


@pytest.mark.parametrize("name", ["nowhere", "exam"])
def test_path_without_runs_is_a_usage_error(run_command, small, name):
    folder, _ = small
    code, _, err = run_command("build", folder / name, "--out", folder / "site")
    assert code == 2
    assert name in err


def test_run_folder_may_be_given_itself(run_command, small):
    folder, records = small
    record = read_json(folder / "runs" / records[0].run_id / "run.json", RunRecord)
    code, out, _ = run_command(
        "build",
        folder / "runs" / record.run_id,
        "--questions",
        folder / "exam",
        "--out",
        folder / "site",
    )
    assert code == 0
    assert "detail" not in out


def test_command_line_is_read_without_the_heavy_packages():
    code = (
        "import sys, leaderboard.cli; "
        "print(*{'numpy', 'scipy', 'jinja2', 'pydantic', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
