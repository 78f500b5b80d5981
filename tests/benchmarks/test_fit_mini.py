import numpy as np
import pytest
from fit_mini import SELECTORS, at_chance, reads, rises, tells_apart, told_by_letters

from hlvid.prompt import render
from hlvid.types import Question

VIDEOS = [f"v{i // 9}" for i in range(216)]


def question(number, video, choices, answer, capability="text"):
    stem = f"What does sign {number} say?"
    return Question(
        question_id=f"q{number}", video_id=video, category="av", capability=capability,
        text=render(stem, choices), stem=stem, choices=choices, answer=answer,
    )  # fmt: skip


QUESTIONS = [question(i, video, ("a", "b", "c", "d"), "A") for i, video in enumerate(VIDEOS)]


def answers(share, seed=0):
    """About so many right answers out of 216, spread over all videos."""
    return (np.random.default_rng(seed).random(216) < share).astype(float)


def test_a_model_that_knows_answers_without_looking_is_refused():
    assert at_chance(answers(0.25), VIDEOS).is_met
    assert not at_chance(answers(0.45), VIDEOS).is_met


def test_reading_needs_questions_enough():
    right = np.ones(216)
    assert reads(right, VIDEOS, QUESTIONS).is_met
    assert not reads(right[:180], VIDEOS[:180], QUESTIONS[:180]).is_met
    assert not reads(answers(0.7), VIDEOS, QUESTIONS).is_met


def test_letters_leave_a_guess_between_options_that_are_both_on_view():
    family, others = ("a", "b", "c", "d"), ("e", "f", "g", "h")
    told = told_by_letters(
        [
            question(0, "v0", family, "A"),
            question(1, "v0", family, "B"),
            question(2, "v0", others, "A"),
            question(3, "v1", family, "A"),
            question(4, "v1", family, "B", capability="colour"),
        ]
    )
    assert told == pytest.approx((0.5 + 0.5 + 1 + 1 + 1) / 5)


def test_accuracy_has_to_rise_with_recall_and_tell_selectors_apart():
    names = [f"{name}@0.1" for name in SELECTORS]
    recall = {name: 0.1 * i for i, name in enumerate(names)}
    rising = {name: answers(0.25 + 0.09 * i, seed=i) for i, name in enumerate(names)}
    falling = dict(zip(names, reversed(rising.values()), strict=True))
    assert rises(0.1, names, recall, rising).is_met
    assert not rises(0.1, names, recall, falling).is_met
    same = dict.fromkeys(names, answers(0.4))
    assert rises(0.1, names, recall, same).found.startswith("0.00")
    two = names[0], names[-1]
    found = tells_apart(0.1, two, recall, rising, VIDEOS)
    assert (found.found, found.is_met) == ("1 of 1", True)
    assert tells_apart(0.1, two, recall, falling, VIDEOS).found == "0 of 1"
    none = dict.fromkeys(names, 0.5)
    assert tells_apart(0.1, names, none, rising, VIDEOS).found == "0 of 0"
