"""What may be compared, what a comparison is about, and what it says."""

import dataclasses
import math

import numpy as np
import pytest

from hlvid.errors import UserError
from hlvid.files import digest, digest_records
from hlvid.grading import grade_all, summarize
from hlvid.prompt import prompt_sha256, render
from hlvid.runs import GradedRun, grade_run, predictions_sha256, read_run, write_run
from hlvid.statistics import (
    Comparison,
    Contrast,
    by_contrast,
    compare_arms,
    compare_group,
    find_noise_floor,
    flip_rate,
    paired_difference,
)
from hlvid.types import (
    LOOPED_ATTENTION,
    OUT_OF_MEMORY,
    ArmSettings,
    BenchmarkId,
    FrameSettings,
    Hardware,
    ModelId,
    Prediction,
    Provenance,
    Question,
    RunRecord,
    TokenCounts,
)

NUM_VIDEOS, QUESTIONS_EACH = 24, 4
SOURCE = FrameSettings(num_frames=6)
HARDWARE = Hardware(cpu="cpu", num_cores=2, memory_bytes=1, platform="linux")
OFF = ArmSettings(gaze="off")
FRAMES_SHA256, CANVAS_SHA256 = "f" * 64, "c" * 64


def detail(budget: float = 0.1) -> ArmSettings:
    return ArmSettings(gaze="on", selector="detail", budget=budget)


RANDOM = ArmSettings(gaze="on", selector="random-matched:detail", budget=0.1)


def make_questions(num_videos: int = NUM_VIDEOS) -> list[Question]:
    choices = ("one", "two", "three", "four")
    return [
        Question(
            question_id=f"q{video:03}-{number}",
            video_id=f"video-{video:03}",
            category="av",
            text=render(f"Which sign is number {number}?", choices),
            stem=f"Which sign is number {number}?",
            choices=choices,
            answer="B",
        )
        for video in range(num_videos)
        for number in range(QUESTIONS_EACH)
    ]


def predict(
    question: Question, arm: ArmSettings, right: bool, visual_tokens: int, milliseconds: float
) -> Prediction:
    return Prediction(
        question_id=question.question_id,
        arm=arm.name,
        prompt_sha256=prompt_sha256(question.text),
        response="B" if right else "C",
        status="ok",
        letter_log_probabilities={"A": -3.0, "B": -1.0 if right else -2.0, "C": -1.5},
        frames_sha256=FRAMES_SHA256,
        canvas_sha256=CANVAS_SHA256,
        tokens=TokenCounts(
            selector=0, encoded=visual_tokens, visual=visual_tokens, text=9, visual_off=1000
        ),
        stage_ms={"decode": 100.0, "end_to_end": 100.0 + milliseconds},
        sitting="5" * 16,
    )


def fail(prediction: Prediction, error: str = "decoder stopped") -> Prediction:
    return Prediction(
        question_id=prediction.question_id,
        arm=prediction.arm,
        prompt_sha256=prediction.prompt_sha256,
        error=error,
        status="failed",
    )


def make_run(
    arm: ArmSettings,
    is_right,
    *,
    questions: list[Question] | None = None,
    visual_tokens: int = 100,
    milliseconds: float = 50.0,
    predictions: list[Prediction] | None = None,
    **changes,
) -> GradedRun:
    """A run of which `is_right(index)` says what it got right."""
    questions = make_questions() if questions is None else questions
    if predictions is None:
        predictions = [
            predict(question, arm, bool(is_right(index)), visual_tokens, milliseconds)
            for index, question in enumerate(questions)
        ]
    grades = grade_all(questions, predictions)
    fields = {
        "run_id": digest([arm.name, changes.get("repeat", 0)])[:16],
        "group_id": "0" * 16,
        "benchmark": BenchmarkId(
            name="tiny",
            revision="1",
            questions_sha256="a" * 64,
            num_questions=len(questions),
            num_videos=len({question.video_id for question in questions}),
        ),
        "model": ModelId(name="ocr", kind="reader"),
        "arm": arm,
        "frames": SOURCE,
        "provenance": Provenance(
            command=(), git_commit=None, git_dirty=None, software={}, hardware=HARDWARE
        ),
        "predictions_sha256": predictions_sha256(predictions),
        "summary": summarize(grades),
        "status": "complete",
    }
    return GradedRun(RunRecord(**(fields | changes)), tuple(predictions), tuple(grades))


def change_prediction(run: GradedRun, position: int, **changes) -> GradedRun:
    predictions = list(run.predictions)
    predictions[position] = predictions[position].model_copy(update=changes)
    return dataclasses.replace(run, predictions=tuple(predictions))


def change_record(run: GradedRun, **changes) -> GradedRun:
    return dataclasses.replace(run, record=run.record.model_copy(update=changes))


@pytest.fixture(scope="module")
def off() -> GradedRun:
    return make_run(OFF, lambda index: index % 2, visual_tokens=1000, milliseconds=200)


@pytest.fixture(scope="module")
def gaze() -> GradedRun:
    return make_run(detail(), lambda index: index % 4, visual_tokens=100, milliseconds=50)


# what a comparison says


def test_difference_is_arm_less_reference(off, gaze):
    comparison = compare_arms(gaze, off)
    expected = paired_difference(
        [index % 4 > 0 for index in range(96)],
        [index % 2 > 0 for index in range(96)],
        np.repeat(np.arange(24), 4),
    )
    assert comparison.accuracy == expected
    assert comparison.accuracy.difference == pytest.approx(0.25)
    assert comparison.verdict == "better"
    assert compare_arms(off, gaze).verdict == "worse"
    assert (comparison.arm, comparison.reference) == ("detail@0.1", "off")


def test_speed_up_is_reference_by_arm_with_and_without_decode(off, gaze):
    comparison = compare_arms(gaze, off)
    assert comparison.speed_up_end_to_end.ratio == pytest.approx(300 / 150)
    assert comparison.speed_up_without_decode.ratio == pytest.approx(200 / 50)
    assert comparison.speed_up_without_decode.low == pytest.approx(4)
    assert comparison.speed_up_end_to_end.num_clusters == NUM_VIDEOS


def test_model_only_is_what_the_model_itself_does(off, gaze):
    """Neither decoding nor gaze, and not what is neither: encode, prune, prefill, generate."""

    def timed(run, encode):
        stages = {"decode": 100.0, "gaze": 40.0, "preprocess": 7.0, "encode": encode}
        stages |= {"prefill": 3.0, "generate": 2.0}
        whole = {**stages, "end_to_end": sum(stages.values()), "first_token": 1.0}
        for number in range(len(run.predictions)):
            run = change_prediction(run, number, stage_ms=whole)
        return run

    comparison = compare_arms(timed(gaze, 5.0), timed(off, 15.0))
    assert comparison.speed_up_model_only.ratio == pytest.approx(20 / 10)
    assert comparison.speed_up_without_decode.ratio == pytest.approx(67 / 57)
    assert comparison.speed_up_end_to_end.ratio == pytest.approx(167 / 157)
    assert compare_arms(gaze, off).speed_up_model_only is None


def test_times_of_two_machines_give_no_speed_up(off, gaze):
    elsewhere = gaze.record.provenance.model_copy(
        update={"hardware": HARDWARE.model_copy(update={"cpu": "another"})}
    )
    comparison = compare_arms(change_record(gaze, provenance=elsewhere), off)
    assert comparison.speed_up_end_to_end is None
    assert comparison.speed_up_without_decode is None


@pytest.mark.parametrize("sitting", ["4" * 16, None])
def test_times_of_two_sittings_give_no_speed_up(off, gaze, sitting):
    """Arms of an earlier command join a group, but not all of them took turns with the others."""
    assert compare_arms(gaze, off).speed_up_end_to_end is not None
    comparison = compare_arms(change_prediction(gaze, 5, sitting=sitting), off)
    assert comparison.accuracy is not None
    assert comparison.speed_up_end_to_end is None
    assert comparison.speed_up_without_decode is None
    unknown = [change_prediction(run, 5, sitting=None) for run in (gaze, off)]
    assert compare_arms(*unknown).speed_up_end_to_end is None


@pytest.mark.parametrize("side", [0, 1])
def test_looped_attention_gives_no_speed_up(off, gaze, side):
    looped = {"attention": "segments", "max_new_tokens": 16}
    runs = [gaze, off]
    runs[side] = change_record(runs[side], generation=looped)
    comparison = compare_arms(*runs)
    assert comparison.speed_up_end_to_end is None
    assert comparison.speed_up_without_decode is None


def test_missing_times_give_no_speed_up(off, gaze):
    without_decode = change_prediction(gaze, 5, stage_ms={"end_to_end": 10.0})
    comparison = compare_arms(without_decode, off)
    assert comparison.speed_up_end_to_end is not None
    assert comparison.speed_up_without_decode is None
    untimed = change_prediction(gaze, 5, stage_ms={})
    assert compare_arms(untimed, off).speed_up_end_to_end is None
    instant = change_prediction(gaze, 5, stage_ms={"decode": 10.0, "end_to_end": 10.0})
    comparison = compare_arms(instant, off)
    assert comparison.speed_up_end_to_end is not None
    assert comparison.speed_up_without_decode is None


def test_failures_count_as_wrong_and_are_reported(off, gaze):
    failed = [fail(one) if i in (1, 2) else one for i, one in enumerate(gaze.predictions)]
    run = make_run(detail(), None, predictions=failed, status="partial")
    comparison = compare_arms(run, off)
    assert comparison.num_failed_pairs == 2
    assert comparison.accuracy.num_questions == 96
    assert comparison.accuracy.difference == pytest.approx(0.25 - 2 / 96)
    assert comparison.speed_up_end_to_end.num_questions == 94
    assert comparison.contrast is Contrast.ISO_INPUT


def out_of_memory(run: GradedRun, *positions: int) -> GradedRun:
    """The run, its memory too small for some questions."""
    failed = [
        fail(one, f"{OUT_OF_MEMORY}no room") if i in positions else one
        for i, one in enumerate(run.predictions)
    ]
    return make_run(run.record.arm, None, predictions=failed, status="partial")


@pytest.mark.parametrize("side", [0, 1])
def test_no_arm_wins_because_the_memory_of_the_other_ran_out(off, gaze, side):
    runs = [gaze, off]
    runs[side] = out_of_memory(runs[side], 1, 2)
    with pytest.raises(UserError, match="ran out for only one of them at 2 of 96 questions"):
        compare_arms(*runs)
    dummy = ModelId(name="qwen", kind="mllm", weights="dummy", load_format="dummy")
    assert compare_arms(*(change_record(r, model=dummy) for r in runs)).verdict == "latency only"
    both = [out_of_memory(run, 1, 2) for run in (gaze, off)]
    assert compare_arms(*both).num_failed_pairs == 2


def test_unparsed_counts_as_wrong_and_as_changed(off):
    unparsed = change_prediction(off, 1, response="Cannot determine.")
    run = make_run(OFF, None, predictions=list(unparsed.predictions), repeat=1)
    comparison = compare_arms(run, off)
    assert comparison.accuracy.only_b == 1
    assert comparison.num_changed_answers == 1


def test_log_probability_margin_needs_the_answers(off, gaze):
    answers = {question.question_id: "B" for question in make_questions()}
    comparison = compare_arms(gaze, off, answers=answers)
    # right: -1 against -1.5; wrong: -2 against -1.5
    assert comparison.log_probability_margin.difference == pytest.approx(0.25)
    assert compare_arms(gaze, off).log_probability_margin is None
    silent = change_prediction(gaze, 0, letter_log_probabilities=None)
    assert compare_arms(silent, off, answers=answers).log_probability_margin is None


def test_dummy_weights_give_times_only(off, gaze):
    model = ModelId(name="qwen", kind="mllm", weights="dummy", load_format="dummy")
    comparison = compare_arms(change_record(gaze, model=model), change_record(off, model=model))
    assert comparison.accuracy is None
    assert comparison.verdict == "latency only"
    assert comparison.speed_up_without_decode.ratio == pytest.approx(4)


def test_few_videos_give_no_verdict():
    questions = make_questions(19)
    arm = make_run(detail(), lambda index: 1, questions=questions)
    reference = make_run(OFF, lambda index: 0, questions=questions)
    comparison = compare_arms(arm, reference)
    assert comparison.verdict == "too few videos (19)"
    assert comparison.accuracy.difference == 1


def test_seed_moves_the_bootstrap_and_nothing_else(off, gaze):
    first, again, other = (compare_arms(gaze, off, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.accuracy.p_value == other.accuracy.p_value


def test_order_of_the_questions_does_not_matter(off, gaze):
    shuffled = GradedRun(gaze.record, gaze.predictions[::-1], gaze.grades[::-1])
    assert compare_arms(shuffled, off) == compare_arms(gaze, off)


# verdicts


def test_margin_separates_no_worse_from_unknown(off):
    nearly = make_run(detail(), lambda index: index % 2 and index != 1)
    assert compare_arms(nearly, off).verdict == "inconclusive"
    assert compare_arms(nearly, off, margin=0.1).verdict == "non-inferior"
    assert compare_arms(nearly, off, margin=0.001).verdict == "inconclusive"
    with pytest.raises(UserError, match=r"0\.02 for two points"):
        compare_arms(nearly, off, margin=2)


def test_worse_within_a_declared_margin_is_no_worse(off):
    lost = make_run(detail(), lambda index: index % 2 and index % 12 != 1)
    plain = compare_arms(lost, off)
    assert plain.accuracy.high < 0
    assert plain.verdict == "worse"
    assert compare_arms(lost, off, margin=0.2).verdict == "non-inferior"


def test_no_effect_below_the_noise_floor(off, gaze):
    assert compare_arms(gaze, off).noise_floor is None
    assert compare_arms(gaze, off, noise_floor=0.24).verdict == "better"
    assert compare_arms(gaze, off, noise_floor=0.26).verdict == "inconclusive"


# contrasts


def test_contrast_follows_from_the_pair(off, gaze):
    control = make_run(RANDOM, lambda index: 0)
    assert compare_arms(gaze, control).contrast is Contrast.ISO_TOKEN
    assert compare_arms(gaze, off).contrast is Contrast.ISO_INPUT
    fewer = make_run(
        OFF, lambda index: 0, frames=FrameSettings(num_frames=2), milliseconds=52, visual_tokens=300
    )
    assert compare_arms(gaze, fewer).contrast is Contrast.ISO_LATENCY


def test_one_unequal_token_count_ends_iso_token(gaze):
    control = make_run(RANDOM, lambda index: 0)
    tokens = gaze.predictions[7].tokens.model_copy(update={"visual": 101})
    assert compare_arms(change_prediction(gaze, 7, tokens=tokens), control).contrast == "iso-input"


def test_other_frames_and_other_times_are_not_comparable(gaze):
    frames = FrameSettings(num_frames=2)
    slower = make_run(OFF, lambda index: 0, frames=frames, milliseconds=60, visual_tokens=300)
    with pytest.raises(UserError, match=r"differ \(150 and 160 ms\).*iso-latency"):
        compare_arms(gaze, slower)
    untimed = [one.model_copy(update={"stage_ms": {}}) for one in slower.predictions]
    with pytest.raises(UserError, match="are not known"):
        compare_arms(gaze, make_run(OFF, None, frames=frames, predictions=untimed))


def test_times_of_two_machines_are_no_contrast(gaze):
    frames = FrameSettings(num_frames=2)
    fewer = make_run(OFF, lambda index: 0, frames=frames, visual_tokens=300)
    assert compare_arms(gaze, fewer).contrast is Contrast.ISO_LATENCY
    updated = fewer.record.provenance.model_copy(update={"software": {"av": "15.1"}})
    with pytest.raises(UserError, match="in one sitting may not be compared"):
        compare_arms(gaze, change_record(fewer, provenance=updated))


@pytest.mark.parametrize("sitting", ["6" * 16, None])
def test_times_of_two_sittings_are_no_contrast(gaze, sitting):
    frames = FrameSettings(num_frames=2)
    fewer = make_run(OFF, lambda index: 0, frames=frames, visual_tokens=300)
    apart = [one.model_copy(update={"sitting": sitting}) for one in fewer.predictions]
    with pytest.raises(UserError, match="in one sitting may not be compared"):
        compare_arms(gaze, make_run(OFF, None, frames=frames, predictions=apart))


def test_times_with_looped_attention_are_no_contrast(gaze):
    frames = FrameSettings(num_frames=2)
    looped = {"attention": LOOPED_ATTENTION}
    fewer = make_run(OFF, lambda index: 0, frames=frames, visual_tokens=300, generation=looped)
    with pytest.raises(UserError, match="in one sitting may not be compared"):
        compare_arms(gaze, fewer)


def test_a_few_tokens_are_not_as_many(gaze):
    frames = FrameSettings(num_frames=2)
    partner = ArmSettings(gaze="off", variant="fewer-frames", partner="detail", budget=0.1)
    for spent, contrast in ((100, Contrast.ISO_TOKEN), (50, Contrast.ISO_TOKEN), (49, None)):
        fewer = make_run(partner, lambda index: 0, visual_tokens=spent, milliseconds=500)
        if contrast is None:
            with pytest.raises(UserError, match="the visual tokens differ"):
                compare_arms(gaze, change_record(fewer, frames=frames))
        else:
            assert compare_arms(gaze, fewer).contrast is contrast


def test_pixels_that_no_digest_tells_are_not_the_same(gaze):
    slow = make_run(OFF, lambda index: 0, visual_tokens=1000, milliseconds=500)
    assert compare_arms(gaze, slow).contrast is Contrast.ISO_INPUT
    with pytest.raises(UserError, match="no digest of the canvas"):
        compare_arms(change_prediction(gaze, 5, canvas_sha256=None), slow)


def test_of_several_seeds_the_mean_is_compared(off, gaze):
    """One lucky draw decides nothing."""
    seeds = [
        make_run(RANDOM.model_copy(update={"seed": seed}), lambda index, k=seed: index % 4 <= k)
        for seed in range(4)
    ]
    found = compare_arms(gaze, seeds)
    accuracies = [seed.columns.is_correct.mean() for seed in seeds]
    assert accuracies == [0.25, 0.5, 0.75, 1.0]
    ours = gaze.columns.is_correct.mean()
    assert found.accuracy.difference == pytest.approx(ours - np.mean(accuracies))
    assert found.reference_run_id == seeds[0].record.run_id
    assert (found.accuracy.only_a, found.accuracy.mcnemar_p) == (None, None)
    each = [compare_arms(gaze, seed).accuracy.difference for seed in seeds]
    assert compare_arms(gaze, seeds[:1]).accuracy.difference == each[0]
    more = make_run(RANDOM.model_copy(update={"seed": 5}), lambda index: 1, visual_tokens=101)
    with pytest.raises(UserError, match="spends other visual tokens"):
        compare_arms(gaze, [*seeds, more])
    back = compare_arms(seeds, gaze).accuracy
    assert (back.difference, back.low) == (-found.accuracy.difference, -found.accuracy.high)


def test_frames_may_differ_where_the_settings_say_so(gaze):
    fewer = make_run(OFF, lambda index: 0, frames=FrameSettings(num_frames=2))
    other = [one.model_copy(update={"frames_sha256": "e" * 64}) for one in fewer.predictions]
    fewer = make_run(OFF, None, frames=FrameSettings(num_frames=2), predictions=other)
    assert compare_arms(gaze, fewer).contrast is Contrast.ISO_TOKEN


def test_divergence_of_the_letters_needs_no_right_answers(off, gaze):
    assert compare_arms(off, change_record(off, repeat=1)).divergence.difference == 0
    found = compare_arms(gaze, off)
    assert found.log_probability_margin is None  # the right letters were not given
    likely = np.exp([-3.0, -1.0, -1.5]), np.exp([-3.0, -2.0, -1.5])
    right, wrong = (one / one.sum() for one in likely)
    pairs = zip(gaze.columns.is_correct, off.columns.is_correct, strict=True)
    expected = [
        (q * np.log(q / p)).sum()
        for p, q in ((right if a else wrong, right if b else wrong) for a, b in pairs)
    ]
    assert found.divergence.difference == pytest.approx(np.mean(expected))
    assert found.divergence.difference > 0
    silent = [p.model_copy(update={"letter_log_probabilities": None}) for p in off.predictions]
    other = make_run(OFF, None, predictions=silent)
    assert compare_arms(gaze, other).divergence is None


def test_a_variant_spends_what_its_partner_kept_as_near_below_as_it_can(gaze):
    arm = ArmSettings(gaze="off", variant="fewer-frames", partner="detail", budget=0.1)
    fewer = make_run(arm, lambda index: 0, visual_tokens=88)
    assert compare_arms(gaze, fewer).contrast is Contrast.ISO_TOKEN
    assert compare_arms(fewer, gaze).contrast is Contrast.ISO_TOKEN
    more = make_run(arm, lambda index: 0, visual_tokens=101, milliseconds=999)
    of_another = make_run(
        arm.model_copy(update={"budget": 0.2}), lambda index: 0, visual_tokens=88, milliseconds=999
    )
    for one in (more, of_another):
        with pytest.raises(UserError, match="the visual tokens differ"):
            compare_arms(gaze, one)


# refusals


@pytest.mark.parametrize(
    ("field", "value"), [("name", "other"), ("revision", "2"), ("questions_sha256", "b" * 64)]
)
def test_other_benchmarks_are_refused(off, gaze, field, value):
    benchmark = gaze.record.benchmark.model_copy(update={field: value})
    with pytest.raises(UserError, match=f"benchmark {field} differs"):
        compare_arms(change_record(gaze, benchmark=benchmark), off)


def test_other_groups_are_refused_unless_allowed(off, gaze):
    stranger = change_record(gaze, group_id="1" * 16)
    with pytest.raises(UserError, match=r"group_id differs \(1+ and 0+\)"):
        compare_arms(stranger, off)
    allowed = compare_arms(stranger, off, allow_other_group=True)
    assert allowed.accuracy == compare_arms(gaze, off).accuracy


def test_readers_and_mllms_are_never_compared(off, gaze):
    model = ModelId(name="qwen", kind="mllm")
    with pytest.raises(UserError, match=r"kind of model differs \(mllm and reader\)"):
        compare_arms(change_record(gaze, model=model), off, allow_other_group=True)


def test_other_questions_are_refused_by_name(off, gaze):
    questions = make_questions()[:-1]
    short = make_run(detail(), lambda index: 0, questions=questions)
    short = change_record(short, benchmark=off.record.benchmark)
    with pytest.raises(UserError, match=r"questions that only one has .*q023-3"):
        compare_arms(short, off)


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("prompt_sha256", "prompt digest"),
        ("frames_sha256", "frames digest"),
        ("canvas_sha256", "canvas digest"),
    ],
)
def test_the_first_question_that_differs_is_named(off, gaze, field, what):
    with pytest.raises(UserError, match=f"{what} of question q002-1 differs"):
        compare_arms(change_prediction(gaze, 9, **{field: "d" * 64}), off)


def test_unknown_frames_are_no_difference(off, gaze):
    assert compare_arms(change_prediction(gaze, 9, frames_sha256=None), off).verdict == "better"


def test_what_could_not_run_is_not_compared(off, gaze):
    infeasible = GradedRun(change_record(off, status="infeasible", summary=None).record, (), ())
    with pytest.raises(UserError, match="infeasible, so it has no accuracy"):
        compare_arms(gaze, infeasible)


# tables


def table(off: GradedRun, **options) -> list[Comparison]:
    runs = [
        make_run(detail(0.1), lambda index: index % 4),
        make_run(OFF, lambda index: index % 2, repeat=1, visual_tokens=1000),
        make_run(detail(0.2), lambda index: index % 2 and index % 16 != 1, visual_tokens=1000),
        make_run(detail(0.3), lambda index: index % 2 or index % 24 == 0, visual_tokens=200),
        off,
    ]
    return compare_group(runs, off, **options)


def test_tables_hold_one_contrast_each(off):
    comparisons = table(off)
    assert [(one.contrast, one.arm) for one in comparisons] == [
        ("iso-input", "detail@0.1"),
        ("iso-input", "detail@0.3"),
        ("iso-token", "detail@0.2"),
    ]
    assert {contrast: len(rows) for contrast, rows in by_contrast(comparisons).items()} == {
        Contrast.ISO_INPUT: 2,
        Contrast.ISO_TOKEN: 1,
    }


def test_holm_is_applied_within_one_contrast(off):
    first, second, alone = table(off)
    assert first.p_adjusted == pytest.approx(2 * first.accuracy.p_value)
    assert second.p_adjusted == pytest.approx(second.accuracy.p_value)
    assert alone.p_adjusted == alone.accuracy.p_value


def test_verdicts_rest_on_adjusted_p_values(off):
    one = table(off)[1]
    p_value = dataclasses.replace(one, p_adjusted=0.04)
    assert (p_value.verdict, one.accuracy.difference > 0) == ("better", True)
    assert dataclasses.replace(one, p_adjusted=0.08).verdict == "inconclusive"


def test_primary_endpoint_stands_first_and_is_not_adjusted(off):
    first, second, _ = table(off, primary="detail@0.3")
    assert (first.arm, first.is_primary, second.is_primary) == ("detail@0.3", True, False)
    assert first.p_adjusted == first.accuracy.p_value
    assert second.p_adjusted == second.accuracy.p_value
    with pytest.raises(UserError, match=r"nothing is not among the arms. They are detail@0.1, "):
        table(off, primary="nothing")


def test_margins_are_adjusted_as_well(off):
    first, second, _ = table(off, margin=0.02)
    raw = [one.accuracy.noninferiority_p(0.02) for one in (first, second)]
    assert min(first.noninferiority_p, second.noninferiority_p) == pytest.approx(2 * min(raw))


def test_two_runs_of_one_arm_set_the_noise_floor(off, gaze):
    again = make_run(OFF, lambda index: index % 2 or index < 8, visual_tokens=1000, repeat=1)
    assert flip_rate(off, again) == pytest.approx(4 / 96)
    (only,) = compare_group([gaze, again, off], off)
    assert only.noise_floor == pytest.approx(4 / 96)
    assert (only.arm, only.verdict) == ("detail@0.1", "better")
    (noisy,) = compare_group([gaze, again, off], off, noise_floor=0.3)
    assert (noisy.noise_floor, noisy.verdict) == (0.3, "inconclusive")
    with pytest.raises(UserError, match="not two runs of one arm"):
        flip_rate(off, gaze)


def test_what_stock_code_answers_otherwise_raises_the_noise_floor(off, gaze):
    """24 points are an effect, and none where our code and stock code differ in 25 of 100."""
    bare, stock = (ArmSettings(gaze="off", variant=name) for name in ("off-bare", "off-generate"))
    ours = make_run(bare, lambda index: index % 2, visual_tokens=900)
    theirs = make_run(stock, lambda index: index % 2 or index < 48, visual_tokens=900)
    assert flip_rate(ours, theirs) == flip_rate(theirs, ours) == 0.25
    runs = [gaze, ours, theirs, off]
    found = {one.arm: one for one in compare_group(runs, off)}
    assert set(found) == {"detail@0.1", "off-bare"}, "stock code is no arm of a comparison"
    assert {one.noise_floor for one in found.values()} == {0.25}
    assert find_noise_floor(runs) == 0.25
    again = make_run(OFF, lambda index: index % 2 or index < 60, visual_tokens=1000, repeat=1)
    assert find_noise_floor([*runs, again]) == 30 / 96, "the larger of both"
    random = make_run(RANDOM, lambda index: index % 2 and index % 4 == 1)
    found = compare_group([gaze, off, again], random)
    assert {one.noise_floor for one in found} == {30 / 96}, "whoever is held against whom"
    assert {one.arm for one in found} == {"detail@0.1", "off"}
    assert len(found) == 2, "a second run is no second look"
    other_frames = change_record(theirs, frames=FrameSettings(num_frames=3))
    assert find_noise_floor([ours, other_frames]) is None
    failed = change_record(theirs, status="infeasible", summary=None)
    assert find_noise_floor([ours, failed]) is None


def test_what_one_of_two_had_no_memory_for_is_no_noise():
    bare, stock = (ArmSettings(gaze="off", variant=name) for name in ("off-bare", "off-generate"))
    ours = make_run(bare, lambda index: index % 2)
    predictions = [
        fail(one, f"{OUT_OF_MEMORY}no room") if index % 4 == 1 else one
        for index, one in enumerate(make_run(stock, lambda index: index % 2).predictions)
    ]
    theirs = make_run(stock, None, predictions=predictions)
    assert find_noise_floor([ours, theirs]) == 0.0


def test_arms_that_could_not_run_are_left_out(off, gaze):
    infeasible = change_record(make_run(RANDOM, lambda index: 0), status="infeasible", summary=None)
    assert [one.arm for one in compare_group([gaze, infeasible], off)] == ["detail@0.1"]


def test_runs_read_from_their_folders_compare_like_those_in_memory(tmp_path, off, gaze):
    questions = make_questions()
    runs = []
    for name, run in (("off", off), ("gaze", gaze)):
        benchmark = run.record.benchmark.model_copy(
            update={"questions_sha256": digest_records(questions)}
        )
        write_run(
            tmp_path / name, run.record.model_copy(update={"benchmark": benchmark}), run.predictions
        )
        runs.append(grade_run(read_run(tmp_path / name), questions))
    comparison = compare_arms(runs[1], runs[0])
    assert comparison == compare_arms(gaze, off)
    assert math.isclose(comparison.accuracy.difference, 0.25)
