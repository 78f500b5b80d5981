"""AutoGaze as an arm: its weights in the record, its controls, and what is said without weights."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluators.cli import app
from hlvid.errors import UserError
from hlvid.runs import read_run

FIXTURE = Path(__file__).parents[1] / "fixtures" / "autogaze"
ARMS = "autogaze,random-matched,detail:autogaze"
SIT = ("--model", "ocr", "--gaze", "on", "--frames", 1, "--limit", 4)


def invoke(*arguments):
    """Run the command in this process; a mistake of the user is raised."""
    return CliRunner().invoke(app, [str(word) for word in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("autogaze")


@pytest.fixture(scope="module")
def sat(tiny, out):
    """Three arms of one video at a budget and a threshold that ends some frames early."""
    words = (*SIT, "--benchmark", tiny, "--selector", ARMS, "--budget", 0.1, "--threshold", -2.6)
    return json.loads(invoke(*words, "--gaze-weights", FIXTURE, "--out", out, "--json").stdout)


def test_every_arm_spends_what_autogaze_kept_and_the_record_names_the_weights(sat):
    runs = {run["arm"]: read_run(Path(run["folder"])) for run in sat["runs"]}
    lead = runs["autogaze@0.1+-2.6"]
    assert set(runs) == {
        "autogaze@0.1+-2.6",
        "random-matched:autogaze@0.1+-2.6",
        "detail:autogaze@0.1+-2.6",
    }
    assert lead.record.status == "complete"
    assert f"{FIXTURE}#loss=videomae&sha256=" in lead.record.arm.weights
    kept = {run.predictions[0].tokens.visual for run in runs.values()}
    assert len(kept) == 1 and 0 < kept.pop() <= 0.1 * 12 * 20
    assert lead.predictions[0].tokens.selector == 2 * 14 * 14
    assert all(run.record.arm.weights == lead.record.arm.weights for run in runs.values())


def test_the_next_command_asks_for_the_same_weights_and_matched_controls(sat):
    assert f"--gaze-weights {FIXTURE}" in sat["next"]
    assert "transplanted:autogaze@0.1+-2.6" in sat["next"]
    assert "change:autogaze@0.1+-2.6" in sat["next"]


def test_other_weights_under_the_same_name_are_refused(sat, tiny, out, tmp_path):
    raw = json.loads((FIXTURE / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw | {"loss_kind": "pyramid"}))
    shutil.copy(FIXTURE / "model.safetensors", tmp_path)
    words = (*SIT, "--benchmark", tiny, "--selector", "autogaze@0.1+-2.6", "--out", out)
    with pytest.raises(UserError, match=r"arm autogaze@0\.1\+-2\.6: .* weights .* another --out"):
        invoke(*words, "--gaze-weights", tmp_path)
    words = (*SIT, "--benchmark", tiny, "--selector", "random:autogaze@0.2+-2.6", "--out", out)
    with pytest.raises(UserError, match=r"arm random:autogaze@0\.2\+-2\.6: .* another --out"):
        invoke(*words, "--gaze-weights", tmp_path)


def test_a_plan_of_other_weights_declares_nothing(tiny, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(FIXTURE, other)
    raw = json.loads((FIXTURE / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(raw | {"loss_kind": "pyramid"}))
    words = ("--model", "ocr", "--gaze", "both", "--selector", "autogaze@0.1", "--frames", 1)
    words += ("--limit", 1, "--benchmark", tiny, "--out", tmp_path / "out")
    assert invoke("plan", *words, "--gaze-weights", FIXTURE, "--no-probe").exit_code == 0
    done = invoke(*words, "--gaze-weights", other, "--json")
    assert "plan.json in" in done.stderr and "is of other weights or selectors" in done.stderr
    records = [read_run(Path(run["folder"])).record for run in json.loads(done.stdout)["runs"]]
    assert {record.plan_sha256 for record in records} == {None}


def test_without_weights_each_missing_part_is_said_and_a_command_that_runs(hlvid_eval, tmp_path):
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HLVID_DATA": ""}
    words = ("--model", "ocr", "--gaze", "on", "--frames", 4)
    done = hlvid_eval(*words, "--benchmark", "nowhere", env=offline, code=2)
    (line,) = done.stderr.splitlines()
    assert "nvidia/AutoGaze" in line and "13 MB" in line and "non-commercial" in line
    assert "'nowhere'" in line
    _, _, runs_here = line.partition("This runs here: ")
    assert "hlvid-eval --model ocr --benchmark hlvid-synthetic --gaze " in runs_here
    gaze = "--selector autogaze,random-matched --frames 4 --out runs --gaze-weights mini"
    assert runs_here.endswith(gaze)


def test_recall_of_autogaze_stands_beside_the_others(tiny, tmp_path):
    words = ("recall", "--benchmark", tiny, "--selector", "autogaze,uniform", "--budget", 0.1)
    done = invoke(*words, "--gaze-weights", FIXTURE, "--frames", 1, "--out", tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()][1:3] == [
        "autogaze@0.1",
        "uniform@0.1",
    ]
