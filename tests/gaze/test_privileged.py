import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaze.recall import evidence_recall
from gaze.selectors import Kept, budget_tokens, select, share
from gaze.views import Views
from hlvid.errors import UserError
from hlvid.types import Evidence

SIGN = Evidence(
    start_seconds=1,
    end_seconds=3,
    boxes=((1, 100, 100, 400, 140), (3, 600, 300, 900, 340)),
)


def blank(num_frames: int, height: int = 700, width: int = 1100) -> np.ndarray:
    return np.broadcast_to(np.zeros(1, dtype=np.uint8), (num_frames, height, width, 3))


def keep_oracle(budget: float, *evidence: Evidence | list[Evidence], num_frames: int = 5) -> Kept:
    """Of each question its evidence, or a list of alternatives."""
    return select(
        "oracle",
        blank(num_frames),
        budget=budget,
        seed=0,
        video_id="v",
        evidence=[[one] if isinstance(one, Evidence) else one for one in evidence],
        frame_seconds=np.arange(num_frames),
    )


def test_oracle_covers_every_box_at_the_time_of_the_frame() -> None:
    kept = keep_oracle(0.05, SIGN)
    for frame in (1, 2):
        found = evidence_recall(
            Kept((kept.tokens[frame],), kept.rows, kept.cols),
            [float(frame)],
            [SIGN],
            width=1100,
            height=700,
        )
        assert found.spatial_cover == pytest.approx(1)
    assert kept.num_tokens == budget_tokens(0.05, 5 * kept.rows * kept.cols)


def test_oracle_leaves_the_equal_shares_alone_where_evidence_fits_them() -> None:
    views = Views(700, 1100)
    counts = keep_oracle(0.5, SIGN).counts(views)
    total = budget_tokens(0.5, 5 * views.num_tokens)
    assert np.array_equal(counts, share(total, 5, views))


def test_oracle_recalls_one_alternative_when_the_budget_is_too_small_for_all() -> None:
    large = Evidence(start_seconds=0, end_seconds=1, boxes=((0, 0, 0, 640, 640),))
    small = Evidence(start_seconds=4, end_seconds=5, boxes=((4, 64, 64, 160, 96),))
    kept = keep_oracle(0.001, [large, small])
    assert kept.num_tokens == 3
    assert kept.tokens[4].tolist() == [2 * 35 + 2, 2 * 35 + 3, 2 * 35 + 4]
    found = evidence_recall(kept, np.arange(5), [large, small], width=1100, height=700)
    assert found.is_recalled


def test_oracle_serves_every_question_once_before_any_a_second_time() -> None:
    small = Evidence(start_seconds=0, end_seconds=5, boxes=((0, 64, 64, 160, 96),))
    large = Evidence(start_seconds=0, end_seconds=5, boxes=((0, 320, 320, 576, 352),))
    kept = keep_oracle(11.5 / (5 * 22 * 35), small, large)
    assert kept.num_tokens == 11
    for one in (small, large):
        found = evidence_recall(kept, np.arange(5), [one], width=1100, height=700)
        assert found.is_recalled


def test_oracle_pays_for_one_alternative_of_each_question_first() -> None:
    """Three ways to the first answer, of 5 to 7 tokens, leave nothing for the second one's 8."""
    first = [
        Evidence(start_seconds=0, end_seconds=1, boxes=((0, 0, 32 * i, 32 * n, 32 * i + 32),))
        for i, n in enumerate((5, 6, 7))
    ]
    second = [Evidence(start_seconds=0, end_seconds=1, boxes=((0, 0, 320, 256, 352),))]
    kept = keep_oracle(13.5 / (22 * 35), first, second, num_frames=1)
    assert kept.num_tokens == 13
    for one in (first, second):
        assert evidence_recall(kept, [0.0], one, width=1100, height=700).is_recalled


def test_evidence_is_given_question_by_question() -> None:
    with pytest.raises(UserError, match="give a list for each question"):
        select("oracle", blank(5), budget=0.1, seed=0, video_id="v", evidence=[SIGN],
               frame_seconds=range(5))  # fmt: skip
    with pytest.raises(UserError, match="has no evidence"):
        keep_oracle(0.1, [])


def test_oracle_recalls_all_before_it_completes_any() -> None:
    rows = [
        Evidence(start_seconds=0, end_seconds=1, boxes=((0, 0, top, 320, top + 32),))
        for top in (0, 320)
    ]
    for num_kept, cover in ((18, 0.9), (20, 1.0)):
        kept = keep_oracle((num_kept + 0.5) / (5 * 22 * 35), *rows)
        assert kept.num_tokens == num_kept
        for one in rows:
            found = evidence_recall(kept, np.arange(5), [one], width=1100, height=700)
            assert found.is_recalled and found.spatial_cover == pytest.approx(cover)


boxes = st.tuples(
    st.integers(0, 150), st.integers(0, 150), st.integers(1, 90), st.integers(1, 90)
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(max_examples=30, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=3), st.decimals("0.01", 1, places=2).map(float))
def test_no_selector_recalls_what_the_oracle_does_not(
    places: list[tuple[int, int, int, int]], budget: float
) -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (4, 160, 160, 3), dtype=np.uint8)
    shown = [
        Evidence(start_seconds=i, end_seconds=i + 2, boxes=((i, *box),))
        for i, box in enumerate(places)
    ]
    recalled = {}
    for name in ("oracle", "random", "uniform", "centre", "centre-frame", "change", "detail"):
        kept = select(
            name,
            canvas,
            budget=budget,
            seed=0,
            video_id="v",
            evidence=[shown],
            frame_seconds=range(4),
        )
        assert kept.num_tokens == budget_tokens(budget, 4 * 25)
        found = evidence_recall(kept, range(4), shown, width=160, height=160)
        recalled[name] = found.is_recalled
    assert recalled["oracle"] >= max(recalled.values())


def transplant(donor: Kept, num_frames: int, height: int, width: int, **more: object) -> Kept:
    settings = {"budget": None, "seed": 0, "video_id": "v", "donor": donor, **more}
    return select("transplanted", blank(num_frames, height, width), **settings)


def test_transplanted_on_the_same_grid_is_the_donors_own_choice() -> None:
    donor = select("random", blank(6), budget=0.13, seed=0, video_id="donor")
    assert transplant(donor, 6, 700, 1100).sha256 == donor.sha256
    assert transplant(donor, 6, 700, 1100, budget=0.13).sha256 == donor.sha256


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(20, 900),
    st.integers(20, 900),
    st.decimals("0.01", 1, places=2).map(float),
    st.decimals("0.01", 1, places=2).map(float),
)
def test_transplanted_keeps_exactly_what_is_asked_on_any_other_grid(
    num_frames: int, height: int, width: int, given_budget: float, asked: float
) -> None:
    donor = select("centre-frame", blank(4), budget=given_budget, seed=0, video_id="donor")
    kept = transplant(donor, num_frames, height, width, budget=asked)
    assert kept.num_tokens == budget_tokens(asked, num_frames * kept.rows * kept.cols)
    assert kept.num_frames == num_frames


def test_transplanted_keeps_the_donors_places_and_its_split_over_frames() -> None:
    donor = Kept(
        (np.array([0, 1], dtype=np.int32), np.array([], dtype=np.int32)),
        rows=2,
        cols=2,
    )
    kept = transplant(donor, 4, 128, 128)
    assert [ids.size for ids in kept.tokens] == [8, 8, 0, 0]
    assert kept.mask(0)[:2].all()
    assert not kept.mask(0)[2:].any()


def test_a_donor_that_kept_nothing_still_gives_a_choice() -> None:
    donor = Kept((np.empty(0, dtype=np.int32),), rows=2, cols=2)
    kept = transplant(donor, 3, 128, 128, budget=0.25)
    assert [ids.size for ids in kept.tokens] == [4, 4, 4]


def test_where_the_donor_kept_nothing_its_nearest_frame_says_what_comes_first() -> None:
    """All of one frame and nothing of the other: the rest is in the donor's order, not a raster."""
    order = np.random.default_rng(0).permutation(64).astype(np.int32)
    donor = Kept((order, np.empty(0, dtype=np.int32)), 8, 8)
    kept = transplant(donor, 2, 256, 256, num_kept=64 + 9)
    assert sorted(kept.tokens[0].tolist()) == list(range(64))
    assert kept.tokens[1].tolist() == order[:9].tolist()
