"""From an empty folder to a page: the real hub client against a hub on the loopback address."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluators.arms import plan_arms
from evaluators.cli import app
from evaluators.exam import Settings
from evaluators.preset import presets
from evaluators.probing import seconds_of
from evaluators.stand_in import probe_stand_in
from hlvid.datasets import load, source_of
from hlvid.datasets.videomme import STOCK, render
from hlvid.runs import read_run


def reproduced(out):
    folders = sorted(path.parent for path in out.glob("*/run.json"))
    return {run.record.arm.name: run for run in map(read_run, folders)}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_paper_hlvid_goes_from_the_hub_to_a_page(hub, published, hlvid_eval, tmp_path):
    source = source_of("hlvid")
    hub.add(source.repository, published.hlvid_files(), commit=source.revision)
    out = tmp_path / "runs"
    done = hlvid_eval(
        *("reproduce", "paper-hlvid", "--model", "ocr", "--selector", "detail", "--no-probe"),
        *("--data", tmp_path / "hlvid", "--out", out),
        env=hub.environment(),
    )
    told = done.stderr
    order = [
        "to fetch (HLVid is the dataset bfshi/HLVid",
        "9.1 points where 20% of answers differ",
        "hours: told by a probe of the videos",
        "videos_part_0001.tar",
        "WARN  questions: 4 on 2 videos",
        "plan: ",
        "hours: 0.0",
        "hlvid-leaderboard build",
    ]
    places = [told.index(text) for text in order]
    assert places == sorted(places)
    assert "left out, ocr knows no such arms" in told
    runs = reproduced(out)
    assert {
        "off",
        "detail@0.1",
        *(f"random-matched:detail@0.1{s}" for s in ("", "#1", "#2", "#3", "#4")),
        "transplanted:detail@0.1",
        "change:detail@0.1",
        "text:detail@0.1",
    } == set(runs)
    assert len({run.record.plan_sha256 for run in runs.values()}) == 1
    assert runs["off"].record.summary.num_correct == 2
    assert runs["off"].record.benchmark.revision == "4 questions on 2 videos"
    assert (out / "site" / "index.html").stat().st_size > 1000

    hub.is_down = True
    again = invoke(
        *("reproduce", "paper-hlvid", "--model", "ocr", "--selector", "detail"),
        *("--data", tmp_path / "hlvid", "--out", out),
    )
    assert again.exit_code == 0, again.exception
    assert "the videos are here" in again.stderr
    assert "0 looks to go" in again.stderr


def test_a_rendered_video_tells_the_hours_before_any_is_here(tmp_path, monkeypatch):
    monkeypatch.setenv("HLVID_CACHE", str(tmp_path))
    arms = plan_arms("both", ["detail"], budgets=[0.1])
    settings = Settings("ocr", arms, "hlvid", tmp_path / "nothing", 1, tmp_path / "runs")
    probes = probe_stand_in(settings)
    assert [(one.arm, one.problem) for one in probes] == [("off", ""), ("detail@0.1", "")]
    assert all(one.seconds_per_look > 0 for one in probes)
    assert seconds_of(probes, 20, 10) == pytest.approx(
        10 * max(one.seconds_to_decode for one in probes)
        + sum(10 * one.seconds_per_look + 20 * one.seconds_per_answer for one in probes)
    )
    assert not (tmp_path / "runs").exists()


def test_hours_that_cannot_be_told_keep_nothing_else_from_being_said(
    hub, published, hlvid_eval, tmp_path
):
    source = source_of("hlvid")
    hub.add(source.repository, published.hlvid_files(), commit=source.revision)
    done = hlvid_eval(
        *("reproduce", "paper-hlvid", "--model", "qwen", "--weights", tmp_path / "nowhere"),
        *("--selector", "detail", "--data", tmp_path / "hlvid", "--dry-run"),
        env=hub.environment(),
    )
    assert "points where 20% of answers differ" in done.stderr
    assert "hours: not known. " in done.stderr and "nowhere" in done.stderr
    assert not list(tmp_path.rglob("*.tar"))


def test_weights_that_are_missing_are_told_before_any_video_is_fetched(
    hub, published, hlvid_eval, tmp_path
):
    source = source_of("hlvid")
    hub.add(source.repository, published.hlvid_files(), commit=source.revision)
    done = hlvid_eval(
        *("reproduce", "paper-hlvid", "--model", "qwen", "--weights", tmp_path / "nowhere"),
        *("--data", tmp_path / "hlvid", "--out", tmp_path / "runs", "--no-probe"),
        env={**hub.environment(), "HF_HOME": str(tmp_path / "home")},
        code=2,
    )
    *before, error = done.stderr.splitlines()
    assert any(line.startswith("disk: ") for line in before)
    assert "nowhere" in error and "nvidia/AutoGaze" in error and "No video was fetched" in error
    assert not (tmp_path / "hlvid").exists()


def test_videomme_goes_from_the_hub_to_a_page_that_holds_none_of_it(
    hub, published, hlvid_eval, tmp_path
):
    source = source_of("videomme")
    hub.add(source.repository, published.videomme_files(), commit=source.revision)
    data, out = tmp_path / "videomme", tmp_path / "runs"
    done = hlvid_eval("fetch", "videomme", "--data", data, env=hub.environment())
    assert "6 questions on 3 videos" in done.stderr
    common = ("--model", "ocr", "--benchmark", "videomme", "--data", data, "--frames", 1)
    exam = (*common, "--gaze", "both", "--selector", "uniform", "--out", out)
    (off, _) = json.loads(invoke(*exam, "--json").stdout)["runs"]
    assert set(off["categories"]) == {"short", "medium", "long"}
    assert off["official"]["num_answered"] >= off["official"]["num_correct"] >= 3
    scored = invoke("score", out / off["run_id"], "--data", data)
    assert "official score" in scored.stdout
    assert "medium" in scored.stdout
    with_subtitles = invoke(*common, "--subtitles", "--out", tmp_path / "s", "--json")
    (row,) = json.loads(with_subtitles.stdout)["runs"]
    record = read_run(tmp_path / "s" / row["run_id"]).record
    assert record.benchmark.name == "videomme-subtitles-1"
    assert record.benchmark.revision.endswith("official prompt with the subtitles of 1 frames")

    site = tmp_path / "site"
    subprocess.run(
        [Path(sys.executable).with_name("hlvid-leaderboard"), "build", out, "--out", site],
        check=True,
        capture_output=True,
        env={"HLVID_DATA": str(data), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    pages = [path for path in site.rglob("*") if path.is_file()]
    assert pages
    for path in pages:
        assert b"named beside the invented" not in path.read_bytes(), path
        assert b"harbour this morning" not in path.read_bytes(), path


def test_a_hub_that_is_down_is_told_and_the_command_that_goes_on(hub, hlvid_eval, tmp_path):
    done = hlvid_eval(
        *("reproduce", "paper-videomme", "--model", "ocr", "--data", tmp_path / "d"),
        env=hub.environment(),
        code=1,
    )
    assert "lmms-lab/Video-MME cannot be had from http://127.0.0.1" in done.stderr
    assert "What is finished stays" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_stock_prompt_is_lmms_evals_own(published):
    import lmms_eval.tasks
    from lmms_eval.tasks.videomme.utils import videomme_doc_to_text
    from lmms_eval.utils import load_yaml_config

    folder = lmms_eval.tasks.__path__[0]
    config = load_yaml_config(f"{folder}/videomme/videomme.yaml")
    for row in published.videomme_rows():
        stock = videomme_doc_to_text(row, config["lmms_eval_specific_kwargs"]["default"])
        assert render(row["question"], row["options"], STOCK) == stock


def test_every_preset_names_what_there_is():
    for name, preset in presets().items():
        assert source_of(preset.benchmark) or load(preset.benchmark), name
    listed = json.loads(invoke("presets", "--json").stdout)
    assert set(listed) == {"nvila-hd", "paper-hlvid", "paper-videomme", "quick"}
