"""An MLLM with random values sits a whole exam: arms, floors, counts, times, records."""

import json

import pytest
from typer.testing import CliRunner

from evaluators import report
from evaluators.arms import plan_arms
from evaluators.cli import app
from evaluators.engine import quiet
from evaluators.examinee import Infeasible
from evaluators.models import find
from evaluators.run import Settings, run
from evaluators.variants import (
    from_generation_kwargs,
    missing_variants,
    plan_variants,
    to_generation_kwargs,
)
from hlvid.datasets import read
from hlvid.errors import UserError
from hlvid.runs import grade_run, read_run
from hlvid.types import ArmSettings

quiet()

OPTIONS = {"weights": "small-qwen3-vl", "load_format": "dummy", "device": "cpu"}
GAZING = plan_arms("both", ["detail", "random-matched", "transplanted"], budgets=[0.1])
ALSO = (
    *("off-stock", "off-bare", "off-generate", "blind", "context-only"),
    *(
        "fewer-frames@0.5",
        "fewer-and-lower@0.5",
        "lower-resolution@0.25",
        "evs@0.5",
        "after-tower:detail@0.1",
    ),
    "lower-resolution:detail@0.1",
)
ARMS = plan_variants(ALSO, GAZING)
TOTAL, CONTEXT = 2 * 20 * 11, 2 * 3 * 2
"""Native tokens of 3 frames of 640x352 in pairs, and tokens of their context stream."""


def settings_for(folder, out, **changes) -> Settings:
    defaults = {"arms": ARMS, "num_frames": 3, "limit": 2, "options": OPTIONS}
    return Settings(
        model="qwen", benchmark=str(folder), data=None, out=out, **{**defaults, **changes}
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def sat(tiny, out):
    done = run(settings_for(tiny, out), ["hlvid-eval", "--model", "qwen"])
    return {graded.record.arm.name: (graded, folder) for graded, folder in done}


def test_every_arm_and_floor_is_a_run_that_a_stranger_can_check(sat, tiny):
    assert set(sat) == {arm.name for arm in GAZING} | set(ALSO)
    questions = read(tiny, root=tiny).questions
    for graded, folder in sat.values():
        checked = grade_run(read_run(folder), questions)
        assert checked.record == graded.record
        assert graded.record.status == "complete"
        assert graded.record.generation["attention"] == "segments"
        assert graded.record.model.load_format == "dummy"
        is_gaze = graded.record.arm.gaze == "on"
        assert (graded.record.adaptation == "training-free") == is_gaze
    assert len({graded.record.group_id for graded, _ in sat.values()}) == 1


def test_all_arms_see_one_canvas_of_the_models_own_size(sat):
    frames = {graded.record.frames.model_dump_json() for graded, _ in sat.values()}
    (settings,) = (json.loads(one) for one in frames)
    assert (settings["canvas"], settings["token_pixels"]) == ("native", 32)
    assert (settings["pairing"], settings["context"]) == ("stock", 7)
    digests = {p.canvas_sha256 for graded, _ in sat.values() for p in graded.predictions}
    assert len(digests) == 1


def test_four_counts_are_told_and_controls_spend_the_same_integer(sat):
    counts = {name: graded.predictions[0].tokens for name, (graded, _) in sat.items()}
    assert {c.visual_off for c in counts.values()} == {TOTAL + CONTEXT}
    expected = {
        "off": TOTAL + CONTEXT,
        "off-bare": TOTAL,
        "off-generate": TOTAL,
        "blind": 0,
        "context-only": CONTEXT,
        "fewer-frames@0.5": TOTAL // 2 + CONTEXT,
        "evs@0.5": TOTAL // 2 + CONTEXT,
        "detail@0.1": TOTAL // 10 + CONTEXT,
        "random-matched:detail@0.1": TOTAL // 10 + CONTEXT,
        "transplanted:detail@0.1": TOTAL // 10 + CONTEXT,
        "after-tower:detail@0.1": TOTAL // 10 + CONTEXT,
    }
    assert {name: counts[name].visual for name in expected} == expected
    assert CONTEXT < counts["fewer-and-lower@0.5"].visual <= TOTAL // 2 + CONTEXT
    assert CONTEXT < counts["lower-resolution@0.25"].visual <= TOTAL // 4 + CONTEXT
    assert CONTEXT < counts["lower-resolution:detail@0.1"].visual <= TOTAL // 10 + CONTEXT
    for name in ("evs@0.5", "after-tower:detail@0.1"):
        assert counts[name].encoded == counts["off"].encoded == 4 * (TOTAL + CONTEXT)
    assert counts["detail@0.1"].encoded == 4 * counts["detail@0.1"].visual
    assert all(c.text > 0 for c in counts.values())


def test_the_prompt_is_the_same_in_all_gaze_arms_and_in_off(sat):
    for number in range(2):
        digests = {
            name: graded.predictions[number].prompt_ids_sha256 for name, (graded, _) in sat.items()
        }
        same = {digests[arm.name] for arm in GAZING} | {digests["evs@0.5"]}
        assert same == {digests["after-tower:detail@0.1"]}
        assert digests["off-generate"] == digests["off-bare"] not in same
        assert digests["blind"] not in same


def test_recall_is_told_of_arms_that_show_what_was_kept_and_of_no_others(sat):
    shows_kept = {arm.name for arm in GAZING} | {
        "off-bare",
        "off-generate",
        "after-tower:detail@0.1",
    }
    for name, (graded, _) in sat.items():
        for prediction in graded.predictions:
            assert prediction.temporal_hit is (True if name in shows_kept else None)
            assert (prediction.spatial_cover is None) == (name not in shows_kept)


def test_stages_add_up_and_the_first_token_waits_for_gaze(sat):
    for name, (graded, _) in sat.items():
        for prediction in graded.predictions:
            stages = dict(prediction.stage_ms)
            total, first = stages.pop("end_to_end"), stages.pop("first_token")
            assert total == pytest.approx(sum(stages.values()))
            assert first == pytest.approx(total - stages["generate"])
            assert {"decode", "gaze", "preprocess", "prefill", "generate"} <= stages.keys()
            assert ("encode" in stages) == (name not in ("blind", "off-generate"))
            assert set(prediction.letter_log_probabilities) == set("ABCD")
    assert sat["detail@0.1"][0].predictions[0].stage_ms["gaze"] > 0


def test_with_random_values_no_accuracy_is_shown(sat):
    rows = [report.describe(graded, folder) for graded, folder in sat.values()]
    assert all(row["summary"] is None for row in rows)
    cells = [line.split()[1] for line in report.table(rows).splitlines()[1 : 1 + len(rows)]]
    assert set(cells) == {"complete"}


def test_the_same_command_again_answers_nothing_again(sat, tiny, out):
    ledger = out / "ledger" / "finished.jsonl"
    before = ledger.read_bytes()
    assert b'"look/' not in before
    again = run(settings_for(tiny, out), ["hlvid-eval", "--model", "qwen"])
    assert ledger.read_bytes() == before
    assert {g.record.run_id for g, _ in again} == {g.record.run_id for g, _ in sat.values()}


def test_an_arm_that_cannot_run_is_infeasible_and_has_no_accuracy(tiny, tmp_path, monkeypatch):
    qwen = find("qwen")
    watch = qwen.watch

    def refuse(self, view, clock):
        if view.arm.name == "off":
            raise Infeasible("a prompt of 9 tokens does not fit the model's context of 8.")
        return watch(self, view, clock)

    monkeypatch.setattr(qwen, "watch", refuse)
    (off, _), (gaze, _) = run(settings_for(tiny, tmp_path, arms=GAZING[:2]), ["hlvid-eval"])
    assert (off.record.status, off.record.summary, off.predictions) == ("infeasible", None, ())
    assert gaze.record.status == "complete"
    assert off.record.infeasible_because == (
        "a prompt of 9 tokens does not fit the model's context of 8."
    )
    assert gaze.record.infeasible_because is None
    assert "infeasible" in report.table([report.describe(off, tmp_path)])


def test_less_than_a_pair_of_frames_is_infeasible_and_the_plan_says_so(tiny, tmp_path):
    """A tenth of two pairs of frames is less than one pair, the least that can be shown."""
    asked = settings_for(tiny, tmp_path)
    common = ("--benchmark", tiny, "--frames", asked.num_frames, "--limit", 1, "--out", tmp_path)
    dummy = ("--model", "qwen", "--load-format", "dummy", "--weights", OPTIONS["weights"])
    gaze = ("--gaze", "on", "--selector", "detail@0.1", "--also", "fewer-frames:detail@0.1")
    words = [str(word) for word in (*dummy, *common, *gaze)]
    planned = CliRunner().invoke(app, ["plan", *words])
    assert planned.exit_code == 0, planned.exception
    why = "INFEASIBLE: a pair of frames has 220 tokens, more than the 44 that may be spent"
    assert why in planned.stdout
    done = CliRunner().invoke(app, [*words, "--json"])
    states = {row["arm"]: row["status"] for row in json.loads(done.stdout)["runs"]}
    assert states == {"detail@0.1": "complete", "fewer-frames:detail@0.1": "infeasible"}
    assert f"fewer-frames:detail@0.1: 1 of 1 questions: {why}" in done.stderr


def test_out_of_memory_on_one_question_fails_it_and_the_next_one_runs(tiny, tmp_path, monkeypatch):
    import torch

    from evaluators.models import qwen as adapter

    generate, calls = adapter.generate, []

    def explode(*arguments, **settings):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return generate(*arguments, **settings)

    monkeypatch.setattr(adapter, "generate", explode)
    ((graded, _),) = run(settings_for(tiny, tmp_path, arms=GAZING[:1]), ["hlvid-eval"])
    assert [p.status for p in graded.predictions] == ["failed", "ok"]
    assert graded.predictions[0].error.startswith("OUT OF MEMORY: the device has no room")


def test_an_arm_without_memory_for_any_question_is_infeasible(tiny, tmp_path, monkeypatch):
    import torch

    qwen = find("qwen")
    watch = qwen.watch

    def explode(self, view, clock):
        if view.arm.name == "off":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return watch(self, view, clock)

    monkeypatch.setattr(qwen, "watch", explode)
    (off, _), (gaze, _) = run(settings_for(tiny, tmp_path, arms=GAZING[:2]), ["hlvid-eval"])
    assert (off.record.status, off.record.summary, off.predictions) == ("infeasible", None, ())
    assert gaze.record.status == "complete"


def test_the_command_runs_it_and_refuses_what_a_model_does_not_take(tiny, tmp_path):
    def invoke(model, *more):
        common = ["--benchmark", tiny, "--frames", 2, "--limit", 1, "--out", tmp_path / "o"]
        words = ["--model", model, *common, *more]
        return CliRunner().invoke(app, [str(word) for word in words])

    dummy = ["--load-format", "dummy", "--weights", "small-qwen2.5-vl", "--canvas", "320x180"]
    done = invoke("qwen", *dummy, "--also", "off-bare,evs", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [row["arm"] for row in told["runs"]] == ["off", "off-bare", "evs@0.1"]
    record = read_run(tmp_path / "o" / told["runs"][0]["run_id"]).record
    assert (record.frames.canvas, record.frames.token_pixels) == ("320x180", 28)
    assert record.frames.context == 7
    bare = invoke("qwen", *dummy, "--context", "0", "--out", tmp_path / "bare", "--json")
    assert bare.exit_code == 0, bare.output
    without = read_run(tmp_path / "bare" / json.loads(bare.stdout)["runs"][0]["run_id"])
    assert without.record.frames.context == 0
    assert [p.tokens.visual for p in without.predictions] == [11 * 6]
    for model, more, said in (
        ("ocr", ["--weights", "x"], "--weights: the model takes none"),
        ("ocr", ["--also", "off-bare"], "--also: ocr knows no off-bare"),
        ("qwen", [*dummy, "--also", "off-fast"], "'off-fast' is not known"),
        ("qwen", [*dummy, "--also", "after-tower"], "names no gaze arm"),
        ("qwen", ["--load-format", "x"], "Allowed are weights and dummy"),
        ("qwen", [*dummy, "--context", "-1"], "--context: '-1'"),
        ("qwen", [*dummy, "--pairing", "none"], "--pairing: 'none'. Allowed are stock and repeat"),
        ("qwen", ["--weights", "nowhere/at-all"], "hf download nowhere/at-all"),
    ):
        error = invoke(model, *more).exception
        assert isinstance(error, UserError) and said in str(error), (more, error)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("fewer-frames:autogaze", "names no gaze arm of this command"),
        ("fewer-frames:", "names no arm behind its colon"),
        ("evs:detail@0.2", "names no gaze arm of this command"),
        ("evs@0.5:detail@0.1", "evs takes a budget or an arm"),
        ("evs:random-matched:detail@0.1", "copies another arm. Name that one"),
        ("after-tower@0.5", "after-tower takes no budget"),
        ("after-tower@0.5:detail@0.1", "after-tower takes no budget"),
        ("off-bare@0.1", "off-bare takes no budget"),
        ("blind:detail@0.1", "blind takes no arm"),
        ("evs@", "out of range"),
        ("after-tower:detail@0.2", "names no gaze arm of this command"),
    ],
)
def test_what_a_variant_does_not_use_is_refused(typed, said):
    with pytest.raises(UserError, match=said):
        plan_variants([typed], GAZING)


def test_a_variant_survives_the_way_through_a_task_and_is_typed_as_printed():
    assert [arm.name for arm in plan_variants(["evs"], GAZING[:1], budgets=[0.2])] == [
        "off",
        "evs@0.2",
    ]
    for arm in ARMS:
        base = ArmSettings(gaze="off")
        if arm.selector is not None:
            base = next(a for a in GAZING if a.selector == arm.selector)
        assert from_generation_kwargs(base, to_generation_kwargs(arm)) == arm
    with pytest.raises(UserError, match="variant 'evs' with gaze 'on'"):
        from_generation_kwargs(GAZING[1], {"variant": "evs"})
    with pytest.raises(ValueError, match="variant 'after-tower'"):
        ArmSettings(gaze="off", variant="after-tower")
    with pytest.raises(ValueError, match="partner 'detail' with variant 'blind'"):
        ArmSettings(gaze="off", variant="blind", partner="detail")


def test_what_is_required_beside_gaze_is_asked_for_of_models_that_know_it():
    arms = plan_arms("on", ["detail", "random-matched"], budgets=[0.1])
    missing = missing_variants(arms, find("qwen").variants)
    assert [arm.name for arm in missing] == [
        "fewer-frames:detail@0.1",
        "lower-resolution:detail@0.1",
    ]
    assert missing_variants((*arms, *missing), find("qwen").variants) == ()
    assert missing_variants(arms, find("ocr").variants) == ()
    settings = settings_for("exam", "runs", arms=arms)
    also = "--also fewer-frames:detail@0.1,lower-resolution:detail@0.1"
    assert also in report.next_command(settings)


def test_stock_lmms_eval_makes_it_from_a_string():
    from lmms_eval.models import MODEL_REGISTRY_V2

    made = MODEL_REGISTRY_V2.get_model_class("hlvid_qwen").create_from_arg_string(
        "frames=3,weights=small-qwen3-vl,load_format=dummy", {"batch_size": 1, "device": "cpu"}
    )
    assert made._frames.pairing == "stock" and made._frames.num_frames == 3
