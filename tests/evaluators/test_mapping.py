"""Frame pairs: selection a frame, union over the pair, the budget after the union."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.arms import plan_arms
from evaluators.canvas import Canvas, Shape
from evaluators.gazing import Place, _seed, choose_all
from evaluators.halting import Halt
from evaluators.mapping import first_frames, num_slices, slice_frames, to_frames, unite
from gaze.recall import evidence_recall
from gaze.selectors import Kept, select
from gaze.selectors.budget import budget_tokens, share
from gaze.views import Views
from hlvid.types import Evidence

VIEWS = Views(height=20 * 32, width=30 * 32)


def kept_of(*frames, views=VIEWS) -> Kept:
    return Kept(tuple(np.array(ids, dtype=np.int32) for ids in frames), views.rows, views.cols)


def test_pairs_are_those_of_the_stock_processor_and_the_last_odd_frame_stands_twice():
    assert slice_frames(4, "stock") == [(0, 1), (2, 3)]
    assert slice_frames(5, "stock") == [(0, 1), (2, 3), (4, 4)]
    assert slice_frames(3, "repeat") == slice_frames(3, "none") == [(0, 0), (1, 1), (2, 2)]
    for count in range(1, 8):
        for pairing in ("stock", "repeat"):
            assert num_slices(count, pairing) == len(slice_frames(count, pairing))
            firsts = [first for first, _ in slice_frames(count, pairing)]
            assert first_frames(list(range(count)), pairing) == firsts


def test_a_pair_keeps_the_union_in_the_order_of_gazing_both_frames_in_turn():
    united = unite(
        kept_of([5, 9, 1], [9, 7], [3]), VIEWS, pairing="stock", num_kept=None, spends="view"
    )
    assert [ids.tolist() for ids in united.tokens] == [[5, 9, 7, 1], [3]]


def test_without_pairs_nothing_changes():
    kept = kept_of([5, 1], [2])
    for pairing in ("none", "repeat"):
        assert unite(kept, VIEWS, pairing=pairing, num_kept=1, spends="view") is kept
        assert to_frames(kept, 2, pairing) is kept


def test_what_a_slice_keeps_is_seen_in_both_of_its_frames():
    kept = kept_of([4], [8])
    assert [ids.tolist() for ids in to_frames(kept, 3, "stock").tokens] == [[4], [4], [8]]


@pytest.mark.parametrize("budget", [0.02, 0.25, 1.0])
@pytest.mark.parametrize("selector", ["random", "change", "uniform"])
def test_the_budget_is_exact_after_the_union_and_cut_in_the_order_of_gazing(selector, budget):
    frames = np.random.default_rng(0).integers(0, 256, (7, 480, 960, 3), dtype=np.uint8)
    views = Views(480, 960)
    kept = select(selector, frames, budget=budget, seed=0, video_id="v")
    total = 4 * views.num_tokens
    united = unite(
        kept, views, pairing="stock", num_kept=budget_tokens(budget, total), spends="view"
    )
    assert united.num_tokens == budget_tokens(budget, total)
    for slice_ids, (first, second) in zip(united.tokens, slice_frames(7, "stock"), strict=True):
        both = set(kept.tokens[first].tolist()) | set(kept.tokens[second].tolist())
        assert set(slice_ids.tolist()) <= both


@settings(max_examples=20, deadline=None)
@given(
    num_frames=st.integers(1, 20),
    ratio=st.floats(0.01, 1),
    spends=st.sampled_from(["view", "frame", "clip", "video"]),
    seed=st.integers(0, 99),
)
def test_a_selector_that_stops_early_overspends_no_share_and_one_that_spends_all_is_exact(
    num_frames, ratio, spends, seed
):
    rng = np.random.default_rng(seed)
    kept = kept_of(
        *(rng.permutation(VIEWS.num_tokens)[: rng.integers(0, 400)] for _ in range(num_frames))
    )
    slices = num_slices(num_frames, "stock")
    most = budget_tokens(ratio, slices * VIEWS.num_tokens)
    united = unite(kept, VIEWS, pairing="stock", num_kept=most, spends=spends)
    whole = unite(kept, VIEWS, pairing="stock", num_kept=None, spends=spends)
    counts, shares = united.counts(VIEWS), share(most, slices, VIEWS)
    for cut, order in zip(united.tokens, whole.tokens, strict=True):
        assert [i for i in order.tolist() if i in set(cut.tolist())] == cut.tolist()
    if kept.num_tokens >= most * num_frames // slices:
        assert united.num_tokens == min(most, whole.num_tokens)
        return
    if spends == "view":
        assert (counts == np.minimum(shares, whole.counts(VIEWS))).all()
    elif spends == "frame":
        assert (counts.sum(1) == np.minimum(shares.sum(1), whole.counts(VIEWS).sum(1))).all()
    elif spends == "video":
        assert united.num_tokens == min(most, whole.num_tokens)
    else:
        starts = range(0, slices, 8)
        clips = np.stack([counts[i : i + 8].sum(0) for i in starts])
        asked = np.stack([whole.counts(VIEWS)[i : i + 8].sum(0) for i in starts])
        allowed = np.stack([shares[i : i + 8].sum(0) for i in starts])
        assert (clips == np.minimum(asked, allowed)).all()


def test_a_matched_control_has_its_partners_counts_in_every_slice_and_view():
    frames = np.random.default_rng(1).integers(0, 256, (6, 480, 960, 3), dtype=np.uint8)
    views = Views(480, 960)
    kept = select("change", frames, budget=0.2, seed=0, video_id="v")
    partner = unite(kept, views, pairing="stock", num_kept=300, spends="clip")
    copy = select(
        "random-matched:change",
        first_frames(frames, "stock"),
        budget=None,
        seed=0,
        video_id="v",
        partner=partner,
    )
    assert (copy.counts(views) == partner.counts(views)).all()


def test_no_seed_of_a_runs_arm_is_one_of_another_runs():
    seeds = [_seed(of_run, of_arm) for of_run in range(4) for of_arm in range(6)]
    assert len(set(seeds)) == len(seeds)
    assert [_seed(0, arm) for arm in range(6)] == list(range(6))


def test_change_spends_what_it_may_although_the_last_of_odd_frames_stands_twice():
    """Its last frame changes nothing, so of pairs less is kept than frames pay for."""
    pixels = np.full((15, 448, 448, 3), 128, dtype=np.uint8)
    for frame in range(14):
        pixels[frame, :, :224] = 0 if frame % 2 else 255
    pixels[14] = pixels[13]
    canvas = Canvas(
        pixels=pixels,
        frame_seconds=np.arange(15, dtype=np.float64),
        frames_sha256="",
        sha256="",
        decode_ms=0.0,
        shape=Shape(pairing="stock"),
    )
    for num_kept in (700, 740, 784):
        (arm,) = plan_arms("on", [f"change@{(num_kept + 0.5) / (8 * 196)}"])
        (chosen,) = choose_all(Place(canvas, "v", 0), [arm], Halt()).values()
        assert chosen.kept.num_tokens == num_kept


@pytest.mark.parametrize("num_frames", [6, 5])
@pytest.mark.parametrize("at", [0, 3, 4])
def test_the_oracle_keeps_the_evidence_of_either_frame_of_a_pair_before_anything_else(
    num_frames, at
):
    shown = Evidence(start_seconds=at, end_seconds=at + 1, boxes=((at, 32, 64, 352, 224),))
    canvas = Canvas(
        pixels=np.zeros((num_frames, 640, 640, 3), dtype=np.uint8),
        frame_seconds=np.arange(num_frames, dtype=np.float64),
        frames_sha256="",
        sha256="",
        decode_ms=0.0,
        shape=Shape(pairing="stock"),
    )
    (arm,) = plan_arms("on", ["oracle@0.05"])
    chosen = choose_all(Place(canvas, "v", 0, {"q": [shown]}), [arm], Halt())[arm.name]
    assert chosen.kept.num_frames == 3
    assert chosen.kept.num_tokens == budget_tokens(0.05, 3 * 400)
    seen = to_frames(chosen.kept, num_frames, "stock")
    found = evidence_recall(seen, canvas.frame_seconds, [shown], width=640, height=640)
    assert found.spatial_cover == pytest.approx(1.0)
