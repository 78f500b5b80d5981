"""The installed commands as a shell runs them: stopped at any moment, misused, in stock hands."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from evaluators.arms import plan_arms
from evaluators.cli import app
from evaluators.exam import Settings
from evaluators.run import run
from evaluators.task import TASK_FOLDER
from hlvid.datasets import PARQUET_FILE, read
from hlvid.errors import UserError
from hlvid.runs import grade_run, read_run

COMMAND = Path(sys.executable).with_name("hlvid-eval")
STOCK = Path(sys.executable).with_name("lmms-eval")
VARYING = {"stage_ms", "peak_memory_bytes", "sitting"}


def sitting(tiny, out):
    return [
        *("--model", "ocr", "--benchmark", tiny, "--frames", 1, "--out", out),
        *("--gaze", "both", "--selector", "detail", "--budget", 0.25),
    ]


def stop(arguments, ledger, *, after, by):
    """Start the command and stop it once its ledger has some lines."""
    command = [str(COMMAND), *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not ledger.is_file() or ledger.read_bytes().count(b"\n") < after:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(by)
        _, told = process.communicate(timeout=120)
    return process.returncode, told


def test_a_run_that_was_stopped_again_and_again_ends_as_if_it_never_was(tiny, tmp_path, hlvid_eval):
    out = tmp_path / "runs"
    ledger = out / "ledger" / "finished.jsonl"
    arguments = sitting(tiny, out)
    code, _ = stop(arguments, ledger, after=2, by=signal.SIGKILL)
    assert code == -signal.SIGKILL
    code, told = stop(arguments, ledger, after=3, by=signal.SIGINT)
    assert code == 130
    assert "finishing the item at hand" in told
    assert "The same command goes on from there" in told
    assert "Traceback" not in told
    assert not list(out.glob("*/run.json"))
    with ledger.open("ab") as file:
        file.write(b'{"check":"5f2a","key":"answer/v0-q')
    rows = hlvid_eval(*arguments, "--json")["runs"]

    undisturbed = run(
        Settings(
            model="ocr",
            arms=plan_arms("both", ["detail"], budgets=[0.25]),
            benchmark=str(tiny),
            data=None,
            num_frames=1,
            out=tmp_path / "other",
        ),
        ["hlvid-eval"],
    )
    questions = read(tiny, root=tiny).questions
    for row, (expected, folder) in zip(rows, undisturbed, strict=True):
        assert row["run_id"] == folder.name
        mine = grade_run(read_run(Path(row["folder"])), questions)
        assert mine.record.status == "complete"
        assert mine.record.summary == expected.record.summary
        assert mine.record.group_id == expected.record.group_id
        assert [p.model_dump(exclude=VARYING) for p in mine.predictions] == [
            p.model_dump(exclude=VARYING) for p in expected.predictions
        ]
    lines = [json.loads(line)["key"].split("/") for line in ledger.read_text().splitlines()]
    looks = [line for line in lines if line[0] == "look"]
    assert len(looks) == 4, "a video and arm that was read is not read again"


def test_help_needs_none_of_the_heavy_libraries():
    code = (
        "import sys; from evaluators import cli; "
        "heavy = {'torch', 'lmms_eval', 'numpy', 'pydantic', 'av'} & set(sys.modules); "
        "sys.argv = ['hlvid-eval', '--help']; print(sorted(heavy)); cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[]")
    assert "--selector" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            [],
            "--model: '' is not known. The models are: qwen, nvila-hd, ocr, text-only, lmms-eval, "
            "gold, random-letter.",
        ),
        (["--model", "ocr", "--gaze", "yes"], "Allowed are off, on and both"),
        (["--model", "ocr", "--gaze", "on", "--gaze-weights", "./x"], "no checkpoint directory"),
        (["--model", "ocr", "--gaze", "on", "--selector", "x"], "'x' is not known"),
        (["--model", "gold", "--benchmark", "nowhere"], "'nowhere'"),
        (["--model", "ocr", "--selector", "detail", "--budget", "a", "--gaze", "on"], "'a'"),
        (["score", "nowhere"], "nowhere: is not a folder"),
    ],
)
def test_what_is_not_allowed_is_said(arguments, said):
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, UserError)
    assert said in str(error)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "ocr", "--benchmark", "nowhere"], "benchmark 'nowhere': is not known"),
        (["--model", "gold", "--limit", "-3"], "'--limit'"),
    ],
)
def test_a_mistake_is_told_without_a_traceback_and_ends_with_2(hlvid_eval, arguments, said):
    done = hlvid_eval(*arguments, code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_tasks_prints_the_folder_and_models_the_names(hlvid_eval):
    assert Path(hlvid_eval("tasks").stdout.strip()) == TASK_FOLDER
    names = {row["name"]: row["lmms_eval"] for row in hlvid_eval("models", "--json")}
    assert names["random-letter"] == "hlvid_random_letter"
    assert "never sees the video" in hlvid_eval("models").stdout


def lmms_eval(data, *arguments, home):
    done = subprocess.run(
        [STOCK, "--include_path", TASK_FOLDER, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HLVID_DATA": str(data), "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        timeout=240,
        cwd=home,  # beside a folder called hlvid, lmms-eval would take that for the task
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def released(tiny, tmp_path_factory):
    """The tiny benchmark in the layout in which HLVid was released."""
    folder = tmp_path_factory.mktemp("released")
    (folder / "data").mkdir()
    (folder / "videos").symlink_to(tiny / "videos")
    rows = [
        {
            "question_id": number,
            "category": question.category,
            "video_path": f"{question.video_id}.mp4",
            "question": question.text,
            "answer": question.answer,
        }
        for number, question in enumerate(read(tiny, root=tiny).questions)
    ]
    pd.DataFrame(rows).to_parquet(folder / PARQUET_FILE)
    return folder


def test_stock_lmms_eval_runs_our_model_on_our_task(released, tmp_path):
    code, told = lmms_eval(
        released,
        *("--model", "hlvid_ocr", "--model_args", "frames=1", "--tasks", "hlvid", "--limit", "4"),
        *("--gen_kwargs", "gaze=on,selector=detail,budget=0.25", "--output_path", "results"),
        home=tmp_path,
    )
    assert code == 0, told
    (file,) = (tmp_path / "results").glob("*results.json")
    found = json.loads(file.read_text())
    assert found["results"]["hlvid"]["accuracy,none"] >= 0.5
    assert found["configs"]["hlvid"]["generation_kwargs"]["gaze"] == "on"
