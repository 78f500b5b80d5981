from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.arms import (
    from_generation_kwargs,
    make_arm,
    missing_controls,
    plan_arms,
    to_generation_kwargs,
)
from hlvid.errors import UserError
from hlvid.types import ArmSettings

FIXTURE = str(Path(__file__).parents[1] / "fixtures" / "autogaze")


def names(*arguments, **settings):
    return [arm.name for arm in plan_arms(*arguments, **settings)]


def test_off_is_one_arm_without_a_selector():
    assert plan_arms("off", []) == (ArmSettings(gaze="off"),)


def test_both_adds_off_in_front_and_crosses_selectors_with_budgets():
    assert names("both", ["detail", "uniform"], budgets=[0.02, 0.1]) == [
        "off",
        "detail@0.02",
        "detail@0.1",
        "uniform@0.02",
        "uniform@0.1",
    ]
    assert names("on", ["detail"]) == ["detail@0.1"]


def test_seeds_and_budgets_of_single_arms_can_be_written_out():
    typed = ["detail", "random-matched@0.1#0-4", "random-matched@0.02"]
    assert names("on", typed, budgets=[0.02, 0.1]) == [
        "detail@0.02",
        "detail@0.1",
        "random-matched:detail@0.1",
        *(f"random-matched:detail@0.1#{seed}" for seed in range(1, 5)),
        "random-matched:detail@0.02",
    ]


def test_an_arm_can_be_typed_as_tables_print_it():
    printed = names("both", ["detail", "random-matched#0-1", "change-unbounded+0.05", "all"])
    assert names("both", [name for name in printed if name != "off"]) == printed


def test_an_arm_asked_for_twice_is_one():
    assert names("on", ["detail", "detail@0.10"]) == ["detail@0.1"]


def test_a_copying_control_takes_the_first_selector_that_can_stand_alone():
    assert names("on", ["transplanted", "random-matched", "detail"])[:2] == [
        "transplanted:detail@0.1",
        "random-matched:detail@0.1",
    ]


def test_privilege_and_notes_follow_the_selector_and_its_partner():
    oracle, copy, text = plan_arms("on", ["oracle", "random-matched:oracle", "text"])
    assert oracle.privileged and copy.privileged and not text.privileged
    assert any("detector" in note for note in text.notes)


@pytest.mark.parametrize(
    ("gaze", "selectors", "settings", "said"),
    [
        ("off", ["detail"], {}, "--gaze off"),
        ("on", ["detial"], {}, r"'detial' is not known. Did you mean detail\?"),
        ("on", ["random-matched:detial"], {}, "'detial' is not known"),
        ("on", ["random-matched"], {}, "no selector to go with"),
        ("on", ["transplanted:oracle"], {}, "cannot be transplanted"),
        ("on", ["random-matched:transplanted"], {}, "needs a partner itself"),
        ("on", ["all:text"], {}, "takes no partner"),
        ("on", ["detail"], {"weights": "somewhere"}, "--gaze-weights: none of detail has any"),
        ("on", ["autogaze"], {"weights": "./nowhere"}, "no checkpoint directory"),
        ("on", ["autogaze+nan"], {"weights": FIXTURE}, "Allowed is a finite number"),
        ("on", ["detail"], {"budgets": [1.5]}, r"1.5 is out of range"),
        ("on", ["detail@0"], {}, "out of range"),
        ("on", ["detail@nan"], {}, "out of range"),
        ("on", ["detail@x"], {}, "'x' is not a number"),
        ("on", ["all@0.1"], {}, "takes no budget"),
        ("on", ["detail"], {"threshold": 0.5}, "--threshold: none of detail takes one"),
        ("on", ["change-unbounded"], {}, "needs a threshold"),
        ("on", ["detail#4-1"], {}, "asks for no seeds"),
        ("on", ["detail#0-99999"], {}, "more than 1000"),
        ("on", ["detail @0.1"], {}, "cannot be read"),
        ("on", ["../detail"], {}, "not known"),
    ],
)
def test_what_is_not_allowed_is_said(gaze, selectors, settings, said):
    with pytest.raises(UserError, match=said):
        plan_arms(gaze, selectors, **settings)


@given(
    selector=st.sampled_from(["detail", "random-matched:detail", "transplanted:text", "oracle"]),
    budget=st.floats(0.001, 1),
    seed=st.integers(0, 1000),
)
def test_an_arm_survives_the_way_through_a_task(selector, budget, seed):
    arm = make_arm(selector, budget=budget, seed=seed)
    assert from_generation_kwargs({**to_generation_kwargs(arm), "max_new_tokens": 16}) == arm


def test_gaze_without_a_selector_is_autogaze_by_its_own_threshold_and_cap():
    (arm,) = plan_arms("on", [], weights=FIXTURE)
    assert (arm.name, arm.budget, arm.threshold) == ("autogaze", None, None)
    assert names("on", ["autogaze"], budgets=[0.1], threshold=0.7, weights=FIXTURE) == [
        "autogaze@0.1+0.7"
    ]


def test_weights_are_pinned_and_follow_the_arm_and_its_copies_through_a_task():
    arms = plan_arms("on", ["random-matched", "autogaze", "detail"], weights=FIXTURE)
    copy, own, other = arms
    assert copy.weights == own.weights and other.weights is None
    assert own.weights.startswith(f"{FIXTURE}#loss=videomae&sha256=")
    for arm in arms:
        assert from_generation_kwargs(to_generation_kwargs(arm)) == arm
    changed = to_generation_kwargs(own) | {"gaze_weights": own.weights[:-4] + "0000"}
    with pytest.raises(UserError, match="not those of sha256"):
        from_generation_kwargs(changed)


def test_controls_of_a_selector_that_stops_by_itself_spend_what_it_kept():
    missing = missing_controls(plan_arms("on", ["autogaze+0.7"], weights=FIXTURE))
    assert missing == [
        "autogaze+0.7",
        "random-matched:autogaze+0.7#0-4",
        "transplanted:autogaze+0.7",
        "change:autogaze+0.7",
        "detail:autogaze+0.7",
        "text:autogaze+0.7",
    ]
    arms = plan_arms("both", missing, weights=FIXTURE)
    assert len(arms) == 11
    assert all(arm.weights for arm in arms if arm.selector)


@pytest.mark.parametrize("gaze", [True, False, "On", "both", None, 1])
def test_gaze_is_one_of_two_strings(gaze):
    with pytest.raises(UserError, match="Allowed are the strings 'on' and 'off'"):
        from_generation_kwargs({"gaze": gaze, "selector": "detail", "budget": 0.1})


def test_a_task_without_gaze_is_off_and_gaze_needs_a_selector():
    assert from_generation_kwargs({"max_new_tokens": 16}).name == "off"
    with pytest.raises(UserError, match="selector is None"):
        from_generation_kwargs({"gaze": "on"})


def test_the_controls_that_are_missing_are_named_with_the_arms_budget():
    missing = missing_controls(plan_arms("on", ["uniform", "change"], budgets=[0.25]))
    assert missing == [
        "uniform@0.25",
        "change@0.25",
        "random-matched:uniform@0.25#0-4",
        "transplanted:uniform@0.25",
        "change:uniform@0.25",
        "detail:uniform@0.25",
        "text:uniform@0.25",
    ]
    assert {arm.name for arm in plan_arms("both", missing)} > {"off", "text:uniform@0.25"}


def test_a_control_without_limits_has_those_of_all_arms_that_it_copies():
    typed = ["detail@0.05", "detail@0.2", "random-matched#0-1", "text:detail", "transplanted@0.3"]
    assert names("on", typed, budgets=[0.1])[2:] == [
        "random-matched:detail@0.05",
        "random-matched:detail@0.05#1",
        "random-matched:detail@0.2",
        "random-matched:detail@0.2#1",
        "text:detail@0.05",
        "text:detail@0.2",
        "transplanted:detail@0.3",
    ]
    assert names("on", ["random-matched", "change-unbounded+0.05"])[0] == (
        "random-matched:change-unbounded+0.05"
    )
    own = ["autogaze@0.1", "autogaze+0.7", "random-matched"]
    assert names("on", own, weights=FIXTURE)[2:] == [
        "random-matched:autogaze@0.1",
        "random-matched:autogaze+0.7",
    ]


def test_a_control_beside_another_ones_copy_copies_the_same_partner_within_its_limits():
    assert names("on", ["detail:autogaze@0.2", "random-matched"], weights=FIXTURE) == [
        "detail:autogaze@0.2",
        "random-matched:autogaze@0.2",
    ]


def test_missing_controls_are_those_of_every_limit_partner_and_seed():
    typed = ["detail", "random-matched@0.05", "random-matched@0.1#0-4", "text"]
    missing = missing_controls(plan_arms("on", typed, budgets=[0.05, 0.1]))
    added = missing[len(plan_arms("on", typed, budgets=[0.05, 0.1])) :]
    assert added == [
        "random-matched:detail@0.05#1-4",
        "transplanted:detail@0.05",
        "change:detail@0.05",
        "text:detail@0.05",
        "transplanted:detail@0.1",
        "change:detail@0.1",
        "text:detail@0.1",
    ]
    arms = plan_arms("both", missing)
    assert missing_controls(arms) == [arm.name for arm in arms if arm.selector]


def test_every_selector_that_is_no_control_needs_controls_of_its_own_and_the_oracle_none():
    typed = ["detail", "autogaze", "autogaze-finest@0.1", "oracle"]
    missing = missing_controls(plan_arms("on", typed, weights=FIXTURE))
    partners = {name.partition(":")[2] for name in missing if ":" in name}
    assert partners == {
        *("autogaze", "autogaze#0-4"),
        *("autogaze-finest@0.1", "autogaze-finest@0.1#0-4"),
    }
    oracle = plan_arms("on", ["oracle"])
    assert missing_controls(oracle) == ["oracle@0.1"]
