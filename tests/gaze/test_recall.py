import numpy as np
import pytest

from gaze.evidence import box_cover
from gaze.recall import Recall, evidence_recall, random_expectation
from gaze.selectors import Kept, budget_tokens, select, share
from gaze.views import Views
from hlvid.types import Evidence

WIDTH, HEIGHT = 320, 200
"""A grid of 7 x 10 tokens; the last row is partly outside."""


def evidence(
    start: float, end: float, *boxes: tuple[float, float, float, float, float]
) -> Evidence:
    return Evidence(start_seconds=start, end_seconds=end, boxes=boxes)


def keep(*frames: list[int]) -> Kept:
    return Kept(tuple(np.array(ids, dtype=np.int32) for ids in frames), 7, 10)


def recall(kept: Kept, seconds: list[float], *shown: Evidence) -> Recall:
    return evidence_recall(kept, seconds, shown, width=WIDTH, height=HEIGHT)


def test_cover_is_counted_in_pixels_of_the_box() -> None:
    box = evidence(0, 1, (0, 16, 0, 48, 32))
    assert recall(keep([0, 1]), [0.0], box) == Recall(True, 1.0, True)
    assert recall(keep([0]), [0.0], box) == Recall(True, 0.5, False)
    assert recall(keep([]), [0.0], box) == Recall(True, 0.0, False)


@pytest.mark.parametrize(("x1", "is_recalled"), [(320 / 9, True), (36.0, False)])
def test_ninety_per_cent_of_the_box_is_enough(x1: float, is_recalled: bool) -> None:
    box = evidence(0, 1, (0, 0, 0, x1, 32))
    found = recall(keep([0]), [0.0], box)
    assert found.spatial_cover == pytest.approx(32 / x1)
    assert found.is_recalled is is_recalled


def test_spans_are_half_open_and_other_frames_do_not_count() -> None:
    box = evidence(1, 2, (0, 0, 0, 32, 32))
    assert recall(keep([0], [], [0]), [0.0, 1.0, 2.0], box) == Recall(True, 0.0, False)
    assert recall(keep([0], [0], []), [0.0, 1.0, 2.0], box).is_recalled
    assert recall(keep([0], [0]), [0.5, 2.0], box) == Recall(False, None, False)


def test_the_best_frame_counts_and_frames_do_not_add_up() -> None:
    box = evidence(0, 9, (0, 0, 0, 64, 32))
    assert recall(keep([0], [1]), [0.0, 1.0], box) == Recall(True, 0.5, False)


def test_the_box_is_followed_between_its_keys() -> None:
    box = evidence(0, 9, (0, 0, 0, 32, 32), (4, 128, 0, 160, 32))
    assert recall(keep([0], [2], [4]), [0.0, 2.0, 4.0], box).is_recalled
    assert recall(keep([], [2]), [0.0, 2.0], box).is_recalled
    assert not recall(keep([], [0]), [0.0, 2.0], box).is_recalled


def test_one_of_several_alternatives_is_enough() -> None:
    boxes = [evidence(0, 5, (0, 0, 0, 32, 32)), evidence(5, 9, (5, 64, 0, 96, 32))]
    assert recall(keep([], [2]), [0.0, 6.0], *boxes).is_recalled
    assert not recall(keep([2], [0]), [0.0, 6.0], *boxes).is_recalled


def test_what_lies_outside_the_canvas_is_not_asked_for() -> None:
    box = evidence(0, 1, (0, 304, 160, 400, 300))
    assert recall(keep([59, 69]), [0.0], box) == Recall(True, 1.0, True)
    away = evidence(0, 1, (0, 400, 0, 500, 32))
    assert recall(keep(list(range(70))), [0.0], away) == Recall(True, 0.0, False)
    cover = box_cover((304, 160, 400, 300), Views(HEIGHT, WIDTH))
    assert cover.sum() == pytest.approx(1)
    assert np.flatnonzero(cover).tolist() == [59, 69]


def test_grids_and_frames_that_do_not_fit_are_refused() -> None:
    box = evidence(0, 1, (0, 0, 0, 32, 32))
    with pytest.raises(ValueError, match="is not that of"):
        evidence_recall(keep([0]), [0.0], [box], width=640, height=200)
    with pytest.raises(ValueError, match="2 are timed"):
        recall(keep([0]), [0.0, 1.0], box)
    with pytest.raises(ValueError, match="without evidence"):
        recall(keep([0]), [0.0])


def test_expectation_is_the_mean_over_many_seeds_of_random() -> None:
    views = Views(480, 480)
    canvas = np.zeros((3, 480, 480, 3), dtype=np.uint8)
    seconds = [0.0, 1.0, 2.0]
    boxes = [evidence(0, 1.5, (0, 430, 30, 470, 60)), evidence(1, 3, (1, 100, 100, 130, 130))]
    counts = share(budget_tokens(0.4, 3 * views.num_tokens), 3, views)
    expected = random_expectation(counts, views, seconds, boxes, num_draws=4000)
    found = [
        evidence_recall(
            select("random", canvas, budget=0.4, seed=seed, video_id="v"),
            seconds,
            boxes,
            width=480,
            height=480,
        )
        for seed in range(1500)
    ]
    recalled = np.mean([one.is_recalled for one in found])
    covered = np.mean([one.spatial_cover for one in found])
    assert expected.recall == pytest.approx(recalled, abs=0.05)
    assert expected.spatial_cover == pytest.approx(covered, abs=0.03)
    assert 0.1 < expected.recall < 0.9


def test_expectation_has_its_known_limits() -> None:
    views = Views(448, 448)
    box = [evidence(0, 1, (0, 0, 0, 32, 32))]
    quarter = random_expectation(np.array([[49]]), views, [0.5], box, num_draws=4000)
    assert quarter.recall == pytest.approx(0.25, abs=0.03)
    assert quarter.recall == quarter.spatial_cover
    assert random_expectation(np.array([[196]]), views, [0.5], box).recall == 1
    assert random_expectation(np.array([[49]]), views, [3.0], box).recall == 0
