"""Exports say what the pages say, in forms that other tools read."""

import csv
import json
import subprocess
import sys

import pandas as pd
import pytest

from hlvid import datasets
from hlvid.files import sha256_file
from hlvid.types import ArmSettings, FrameSettings, TokenCounts


@pytest.fixture
def export(run_command, small):
    """Export the two runs in a form: (the path, the records)."""
    folder, records = small

    def run(form):
        out = folder / f"out.{form}"
        arguments = ("export", folder / "runs", "--questions", folder / "exam", "--out", out)
        code, _, err = run_command(*arguments, "--format", form)
        assert code == 0, err
        return out, {record.run_id: record for record in records}

    return run


def test_csv_json_and_parquet_hold_the_same_rows(export):
    path, records = export("csv")
    as_csv = {row["run_id"]: row for row in csv.DictReader(path.open())}
    as_json = {row["run_id"]: row for row in json.loads(export("json")[0].read_text())}
    as_parquet = pd.read_parquet(export("parquet")[0]).set_index("run_id")
    assert set(as_csv) == set(as_json) == set(as_parquet.index) == set(records)
    for run_id, record in records.items():
        accuracy = record.summary.accuracy
        assert float(as_csv[run_id]["accuracy"]) == as_json[run_id]["accuracy"] == accuracy
        assert as_parquet.loc[run_id, "accuracy"] == accuracy
        assert as_csv[run_id]["arm"] == as_parquet.loc[run_id, "arm"] == record.arm.name


def test_no_cell_of_a_csv_is_a_formula(tmp_path, lab, run_command):
    exam = lab.exam(num_videos=2, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    model = lab.MODELS["qwen"].model_copy(update={"weights": "=HYPERLINK(1)\u202e"})
    lab.write(tmp_path / "runs", exam, "qwen", ArmSettings(gaze="off"), model=model)
    out = tmp_path / "out.csv"
    run_command("export", tmp_path / "runs", "--questions", tmp_path / "exam", "--out", out)
    (row,) = csv.DictReader(out.open())
    assert row["weights"] == "'=HYPERLINK(1)\\u202e"


def test_every_eval_ever_has_an_aggregate_and_its_samples(export):
    folder, records = export("eee")
    aggregates = sorted(folder.glob("data/street-signs/hlvid/ocr/*.json"))
    assert len(aggregates) == len(records)
    for path in aggregates:
        told = json.loads(path.read_text())
        record = records[told["evaluation_id"].rpartition("/")[2]]
        assert told["schema_version"] == "0.3.0"
        accuracy = told["evaluation_results"][0]["score_details"]
        assert accuracy["score"] == record.summary.accuracy
        interval = accuracy["uncertainty"]["confidence_interval"]
        assert interval["lower"] == record.summary.accuracy_low
        detail = told["detailed_evaluation_results"]
        samples = folder / detail["file_path"]
        assert detail["checksum"] == sha256_file(samples)
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        assert sum(line["evaluation"]["is_correct"] for line in lines) == record.summary.num_correct
        assert not any("sign" in line["input"]["raw"] for line in lines)


def test_a_number_that_no_column_holds_is_unknown(tmp_path, lab, run_command):
    exam = lab.exam(num_videos=2, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    off, frames = ArmSettings(gaze="off"), FrameSettings(num_frames=10**30)
    tokens = TokenCounts(selector=0, encoded=0, visual=10**300, text=0, visual_off=1)
    told = {"stage_ms": {"end_to_end": 1.7e308}, "tokens": tokens}
    answers = [a.model_copy(update=told) for a in lab.predictions(exam, lab.MODELS["qwen"], off)]
    lab.write(tmp_path / "runs", exam, "qwen", off, answers=answers, frames=frames)
    for form in ("csv", "json", "parquet"):
        out = ("--out", tmp_path / f"out.{form}", "--format", form)
        code, _, err = run_command(
            "export", tmp_path / "runs", "--questions", tmp_path / "exam", *out
        )
        assert code == 0, err
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert (row["num_frames"], row["mean_stage_ms"]) == (None, {"end_to_end": None})
    (as_csv,) = csv.DictReader((tmp_path / "out.csv").open())
    assert as_csv["num_frames"] == ""
    assert pd.read_parquet(tmp_path / "out.parquet")["num_frames"].isna().all()


def test_unknown_form_is_a_usage_error(run_command, small):
    folder, _ = small
    code, _, err = run_command("export", folder / "runs", "--out", folder / "x", "--format", "xls")
    assert code == 2
    assert "Allowed are csv, json, parquet, eee" in err


def test_a_name_never_leads_out_of_the_export(tmp_path, lab, run_command):
    exam = lab.exam(num_videos=2, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    model = lab.MODELS["qwen"].model_copy(update={"weights": "../../../.."})
    lab.write(tmp_path / "runs", exam, "qwen", ArmSettings(gaze="off"), model=model)
    arguments = ("--questions", tmp_path / "exam", "--format", "eee", "--out", tmp_path / "a" / "b")
    assert run_command("export", tmp_path / "runs", *arguments)[0] == 0
    written = [path for path in tmp_path.rglob("*_samples.jsonl")]
    assert [path.parent for path in written] == [
        tmp_path / "a" / "b" / "data" / "street-signs" / "unknown" / "unknown"
    ]


def test_its_own_checker_finds_nothing_wrong_with_every_eval_ever(export):
    """It asks for Python 3.12, so it is no requirement: it judges where it is installed."""
    pytest.importorskip("every_eval_ever")
    files = [path for path in export("eee")[0].rglob("*") if path.is_file()]
    assert len(files) == 4
    command = [sys.executable, "-m", "every_eval_ever.validate", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
