"""Runs that are not plainly complete: each has its row, its reason and no undeserved number."""

import itertools
from dataclasses import replace

import pytest

from hlvid import datasets
from hlvid.files import digest
from hlvid.types import ArmSettings, Prediction
from leaderboard.compare import compare_groups
from leaderboard.effects import effect_table
from leaderboard.entries import Standing, find_runs, read_entries
from leaderboard.exams import exam_of, read_exams
from leaderboard.findings import findings_of
from leaderboard.measures import mean_stages
from leaderboard.slices import slice_rows
from leaderboard.stages import NOT_IN_TURNS, stage_table
from leaderboard.tables import run_rows

OFF = ArmSettings(gaze="off")


def gaze(selector: str, **changes):
    return ArmSettings(gaze="on", selector=selector, budget=0.1, **changes)


def failing(answers, is_hit):
    """Answers of which those that are hit failed instead."""
    return [
        Prediction(
            question_id=answer.question_id,
            arm=answer.arm,
            prompt_sha256=answer.prompt_sha256,
            error="video cannot be read",
            status="failed",
        )
        if is_hit(answer)
        else answer
        for answer in answers
    ]


@pytest.fixture(scope="module")
def odd(tmp_path_factory, lab):
    """One command whose arms met every fate there is, and three commands of other kinds."""
    folder, exam = tmp_path_factory.mktemp("odd"), lab.exam()
    datasets.write(folder / "exam", exam)
    qwen = lab.MODELS["qwen"]

    def write(name, arm, is_hit=None, **changes):
        answers = lab.predictions(exam, lab.MODELS[name], arm)
        if is_hit:
            changes["answers"] = failing(answers, is_hit)
        return lab.write(folder / "runs", exam, name, arm, **changes)

    write("qwen", OFF)
    write("qwen", OFF, repeat=1)
    write("qwen", gaze("detail"))
    write("qwen", gaze("random-matched:detail", seed=3))
    write("qwen", gaze("text"), lambda a: a.question_id.startswith("v00-"), status="partial")
    write("qwen", gaze("oracle", privileged=True), lambda a: True, status="failed")
    write("qwen", gaze("change"), answers=[], status="infeasible", summary=None)
    cannot = {"status": "infeasible", "summary": None, "infeasible_because": "no <room> at all."}
    write("qwen", gaze("centre"), answers=[], **cannot)
    dummy = qwen.model_copy(update={"weights": "dummy", "load_format": "dummy"})
    write("qwen", OFF, model=dummy, group_id="d" * 16)
    write("qwen", gaze("detail"), model=dummy, group_id="d" * 16)
    write("text-only", OFF)
    write(
        "qwen",
        OFF,
        model=qwen.model_copy(update={"revision": "tuned"}),
        group_id="e" * 16,
        adaptation="fine-tuned",
        provenance=_other(lab, exam),
    )
    lab.write(
        folder / "runs",
        exam.subset(limit=8),
        "qwen",
        OFF,
        benchmark=exam.id,
        limit=8,
        repeat=2,
        group_id="f" * 16,
        generation={"max_new_tokens": 16},
        plan_sha256="a" * 64,
    )
    return folder


def _other(lab, exam):
    made = lab.record(exam, lab.MODELS["qwen"], OFF, lab.predictions(exam, lab.MODELS["qwen"], OFF))
    machine = made.provenance.hardware.model_copy(update={"gpus": ("One GPU", "Other GPU")})
    return made.provenance.model_copy(update={"git_commit": None, "hardware": machine})


@pytest.fixture(scope="module")
def page(odd, lab):
    return (lab.build_pages(odd) / "index.html").read_text()


@pytest.fixture(scope="module")
def rows(page, lab):
    return lab.Reader(page).rows


def row_of(rows, text, width=10):
    found = [row for row in rows if len(row) >= width and text in row[1]]
    assert len(found) == 1, found
    return found[0]


def test_partial_run_is_shown_with_its_failures_and_has_no_rank(rows):
    row = row_of(rows, "partial: 8 of 192 questions failed")
    assert row[0] == "–"
    assert row[2][0].isdigit()


def test_infeasible_arm_has_no_accuracy(rows):
    row = row_of(rows, "infeasible: this arm could not run at all")
    assert row[0] == row[2] == row[4] == row[5] == "–"
    assert row_of(rows, "infeasible: no <room> at all.")[0] == "–"


def test_failed_run_says_so(rows):
    assert row_of(rows, "failed: 192 of 192 questions failed")[0] == "–"


def test_limited_run_is_shown_but_not_ranked(rows):
    assert row_of(rows, "limited run (--limit 8)")[0] == "–"


def test_random_weights_show_times_but_no_accuracy(rows):
    shown = [row for row in rows if len(row) >= 10 and "random weights: latency only" in row[1]]
    assert len(shown) == 2
    for row in shown:
        assert row[0] == row[2] == "–"
        assert row[7][0].isdigit()


def test_arm_that_cannot_be_compared_is_named_with_the_reason(page):
    assert "change@0.1 (" in page
    assert "infeasible, so it has no accuracy to compare" in page


def test_a_run_is_what_its_marks_say_not_its_word(tmp_path, lab):
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)
    lab.write(tmp_path / "runs", exam, "qwen", OFF)
    for arm, is_hit in (
        (gaze("detail"), lambda a: a.question_id.startswith("v00-")),
        (gaze("text"), lambda a: True),
    ):
        answers = failing(lab.predictions(exam, lab.MODELS["qwen"], arm), is_hit)
        lab.write(tmp_path / "runs", exam, "qwen", arm, answers=answers, status="complete")
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    found = {entry.arm: entry for entry in entries}
    part, none = found["detail@0.1"], found["text@0.1"]
    assert part.unranked_because == ("partial: 8 of 192 questions failed",)
    assert none.unranked_because == ("failed: 192 of 192 questions failed",)
    assert none.accuracy is None
    groups = compare_groups(entries)
    assert [u.arm for group in groups for u in group.uncompared] == ["text@0.1"]
    (about,) = findings_of(groups)
    assert len(about.sentences) == 1, about.sentences


def test_random_weights_show_no_mark_of_an_answer(page, odd, lab):
    entries, _ = read_entries(find_runs([odd / "runs"]), read_exams([odd / "exam"]))
    dummies = {e.arm: e for e in entries if e.has_random_weights}
    off, detail = dummies["off"], dummies["detail@0.1"]
    ours = odd / "site" / "compare" / f"{detail.run_id}-{off.run_id}.html"
    for path in (ours, *(odd / "site" / "runs" / f"{e.run_id}.html" for e in (off, detail))):
        reader = lab.Reader(path.read_text())
        assert not {"square", "text correct", "text wrong"} & set(reader.attributes("class"))
        assert not [row for row in reader.rows if row and row[0] in off.columns.question_ids]
        assert "is right" not in "".join(reader.text.get("h3", []))
    assert lab.Reader(ours.read_text()).text["h2"] == ["Verdict: latency only"]


def test_a_part_is_small_where_the_run_has_few_videos_of_it(tmp_path, lab):
    exam = lab.exam(num_videos=40, per_video=1)
    datasets.write(tmp_path / "exam", exam)
    lab.write(tmp_path / "runs", exam, "qwen", OFF)
    part = exam.subset(limit=8)
    lab.write(tmp_path / "runs", part, "qwen", OFF, benchmark=exam.id, limit=8)
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    for entry in entries:
        rows = [row for row in slice_rows(exam_of(exam), entry) if row.division == "category"]
        num_videos, is_small = ("4", True) if entry.record.limit else ("20", False)
        assert [(row.num_videos, row.is_small) for row in rows] == [(num_videos, is_small)] * 2


def test_selector_tax_is_told_only_where_times_can_be_compared(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    looped = {"do_sample": False, "max_new_tokens": 16, "attention": "segments"}
    commands = {
        "same": ({}, {}),
        "looped": ({"generation": looped}, {"generation": looped}),
        "apart": ({}, {"provenance": _other(lab, exam)}),
    }
    for group, (of_off, of_detail) in commands.items():
        shared = {"group_id": digest(group)[:16], "seed": len(group)}
        lab.write(tmp_path / "runs", exam, "qwen", OFF, **shared, **of_off)
        lab.write(tmp_path / "runs", exam, "qwen", gaze("detail"), **shared, **of_detail)
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))

    def tax(group, entries):
        same = [e for e in entries if e.record.group_id == digest(group)[:16]]
        ranked, unranked = run_rows(same)
        return next(row.tax for row in (*ranked, *unranked) if row.role == "selector")

    assert {group: tax(group, entries)[0].isdigit() for group in commands} == {
        "same": True, "looped": False, "apart": False
    }  # fmt: skip
    gone = [
        replace(e, standing=Standing(withdrawn="was wrong")) if e.arm == "off" else e
        for e in entries
    ]
    assert tax("same", gone) == "–"


def test_selector_tax_is_of_the_questions_that_both_answered(tmp_path, lab):
    """Long questions that only one arm answered would be time that gaze saved."""
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)

    def timed(arm, read, gaze, sitting="5" * 16):
        return [
            answer.model_copy(
                update={
                    "stage_ms": {
                        "gaze": gaze,
                        "read": read * (10 if answer.question_id.endswith("q0") else 1),
                        "end_to_end": 90_000.0,
                    },
                    "sitting": sitting,
                }
            )
            for answer in lab.predictions(exam, lab.MODELS["qwen"], arm)
        ]

    def tax(folder, ours, theirs):
        for arm, answers in ((OFF, theirs), (gaze("detail"), ours)):
            failed = any(answer.status == "failed" for answer in answers)
            status = "partial" if failed else "complete"
            lab.write(folder, exam, "qwen", arm, answers=answers, status=status)
        entries, _ = read_entries(find_runs([folder]), read_exams([tmp_path / "exam"]))
        rows = [row for rows in run_rows(entries) for row in rows]
        return next(row.tax for row in rows if row.role == "selector")

    on, off = timed(gaze("detail"), 100.0, 360.0), timed(OFF, 1000.0, 0.0)
    # 8 questions a video, one ten times as long: off saves 0.9 s at seven, 9 s at one.
    whole = round(100 * 360 / (900 * 17 / 8))
    assert tax(tmp_path / "whole", on, off) == str(whole)
    some = failing(off, lambda answer: answer.question_id.endswith("q0"))
    assert tax(tmp_path / "some", on, some) == "40"
    apart = timed(OFF, 1000.0, 0.0, sitting="6" * 16)
    assert tax(tmp_path / "apart", on, apart) == "–"


@pytest.mark.parametrize("sitting", ["5" * 16, "6" * 16])
def test_bars_of_runs_that_did_not_take_turns_say_so(tmp_path, lab, sitting):
    exam = lab.exam(num_videos=3, per_video=4)
    datasets.write(tmp_path / "exam", exam)
    lab.write(tmp_path / "runs", exam, "qwen", gaze("detail"))
    answers = lab.predictions(exam, lab.MODELS["qwen"], OFF)
    answers = [answer.model_copy(update={"sitting": sitting}) for answer in answers]
    lab.write(tmp_path / "runs", exam, "qwen", OFF, answers=answers)
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    caption = stage_table(entries, itertools.count(1)).caption
    assert caption.endswith(NOT_IN_TURNS) == (sitting == "6" * 16)


def test_speed_ups_are_against_off_bare_where_it_ran(tmp_path, lab):
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)
    bare = ArmSettings(gaze="off", variant="off-bare")
    for arm, factor in ((OFF, 1.0), (bare, 0.5), (gaze("detail"), 0.25)):
        answers = [
            answer.model_copy(
                update={"stage_ms": {"read": 4000.0 * factor, "end_to_end": 8000.0 * factor}}
            )
            for answer in lab.predictions(exam, lab.MODELS["qwen"], arm)
        ]
        lab.write(tmp_path / "runs", exam, "qwen", arm, answers=answers)
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    (group,) = compare_groups(entries)
    (family,) = [family for family in group.families if family.contrast == "iso-input"]
    ratios = {
        effect.arm.arm: (effect.comparison.speed_up_end_to_end.ratio, effect.timed_against.arm)
        for effect in family.effects
    }
    assert ratios["detail@0.1"] == (pytest.approx(2.0), "off-bare")
    assert "Times as fast as off-bare." in effect_table(family, number=1).caption
    (found,) = findings_of([group])
    assert "times as fast as off-bare end to end" in found.sentences[1].basis


def test_an_oracle_that_hides_what_it_is_has_no_rank(tmp_path, lab):
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)
    lab.write(tmp_path / "runs", exam, "qwen", OFF)
    lab.write(tmp_path / "runs", exam, "qwen", gaze("oracle", privileged=False))
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    hidden = next(entry for entry in entries if entry.arm == "oracle@0.1")
    assert hidden.badge == "self-reported"
    assert [problem.rule for problem in hidden.problems] == ["privileged"]
    assert hidden.unranked_because == ("privileged selector",)
    ranked, unranked = run_rows(entries)
    assert [row.role for row in (*ranked, *unranked)] == ["off", "privileged"]


def test_an_arm_of_several_seeds_has_one_rank(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=4)
    datasets.write(tmp_path / "exam", exam)
    lab.write(tmp_path / "runs", exam, "qwen", OFF)
    for seed in (3, 1, 2):
        arm = gaze("random-matched:detail", seed=seed)
        lab.write(tmp_path / "runs", exam, "qwen", arm)
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    ranked, unranked = run_rows(entries)
    assert sorted(row.arm for row in ranked) == ["off", "random-matched:detail@0.1#1"]
    assert {row.notes for row in unranked} == {("ranked by its lowest seed, 1",)}


def test_a_repeat_is_no_competitor(tmp_path, lab):
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)
    for repeat in range(4):
        lab.write(tmp_path / "runs", exam, "qwen", OFF, repeat=repeat)
    wrong = [
        answer.model_copy(update={"response": "Cannot determine."})
        for answer in lab.predictions(exam, lab.MODELS["qwen"], gaze("detail"))
    ]
    lab.write(tmp_path / "runs", exam, "qwen", gaze("detail"), answers=wrong)
    entries, _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    ranked, unranked = run_rows(entries)
    assert [row.rank for row in ranked] == ["1", "2"]
    assert {row.notes for row in unranked} == {(f"repeat {number}",) for number in (1, 2, 3)}


def test_the_text_of_an_error_takes_no_time(tmp_path, lab):
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)
    answers = [
        answer.model_copy(
            update={"response": "Error: connection reset", "stage_ms": {"end_to_end": 1.0}}
            if number % 3
            else {"stage_ms": {"end_to_end": 500.0} | ({} if number % 2 else {"gaze": 80.0})}
        )
        for number, answer in enumerate(lab.predictions(exam, lab.MODELS["qwen"], OFF))
    ]
    lab.write(tmp_path / "runs", exam, "qwen", OFF, answers=answers)
    (entry,), _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    assert entry.end_to_end.p50.value == entry.end_to_end.p90.value == 500
    assert mean_stages(entry.columns) == {"end_to_end": 500.0, "gaze": 40.0}


@pytest.mark.parametrize("is_decode_alone", [False, True])
def test_times_of_some_answers_are_none_of_the_run(tmp_path, lab, is_decode_alone):
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)
    answers = lab.predictions(exam, lab.MODELS["qwen"], OFF)
    slow = max(answers, key=lambda answer: answer.stage_ms["end_to_end"])
    kept = {k: v for k, v in slow.stage_ms.items() if is_decode_alone and k != "decode"}
    slow = slow.model_copy(update={"stage_ms": kept})
    answers = [slow if a.question_id == slow.question_id else a for a in answers]
    lab.write(tmp_path / "runs", exam, "qwen", OFF, answers=answers)
    (entry,), _ = read_entries(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))
    assert entry.without_decode is None
    assert (entry.end_to_end is not None) == bool(mean_stages(entry.columns)) == is_decode_alone
