import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaze.selectors import (
    Chunk,
    Kept,
    Request,
    budget_tokens,
    harness,
    select,
    select_stream,
    selector,
    share,
)
from gaze.selectors.content import cell_values, gradient_energy, luma
from gaze.views import Views
from hlvid.errors import UserError

ORDINARY = ("random", "uniform", "centre", "centre-frame", "change", "detail")
"""Selectors that need frames and a budget and nothing else; `text` is in test_reading."""

ratios = st.decimals("0.001", 1, places=3).map(float)


def moving_canvas(
    num_frames: int = 19, height: int = 500, width: int = 470, seed: int = 0
) -> np.ndarray:
    """Smooth noise that drifts to the left, with a bright square that jumps."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 200, (height // 8 + 2, width // 8 + num_frames + 2, 3))
    world = coarse.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    canvas = np.stack([world[:height, 3 * t : 3 * t + width] for t in range(num_frames)])
    for t in range(num_frames):
        row, col = generator.integers(0, (height - 40, width - 40))
        canvas[t, row : row + 40, col : col + 40] = 255
    return canvas


def keep(name: str, canvas: object, budget: float | None = 0.1, **more: object) -> Kept:
    return select(name, canvas, **{"seed": 0, "video_id": "v", "budget": budget, **more})


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 18), st.integers(1, 130), st.integers(1, 130), ratios, st.sampled_from([4, 7])
)
def test_every_selector_spends_its_budget_exactly(
    num_frames: int, height: int, width: int, budget: float, token_pixels: int
) -> None:
    generator = np.random.default_rng(num_frames)
    canvas = generator.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    views = Views(height, width, token_pixels)
    total = budget_tokens(budget, num_frames * views.num_tokens)
    shares = share(total, num_frames, views)
    for name in ORDINARY:
        kept = keep(name, canvas, budget, token_pixels=token_pixels)
        counts = kept.counts(views)
        assert kept.num_tokens == total
        if name == "centre-frame":
            assert np.array_equal(counts.sum(axis=1), shares.sum(axis=1))
        elif name == "change":
            for first in (0, 16):
                clip = slice(first, first + 16)
                assert np.array_equal(counts[clip].sum(axis=0), shares[clip].sum(axis=0))
        else:
            assert np.array_equal(counts, shares)


# -- what all selectors owe ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDINARY)
def test_results_do_not_depend_on_how_the_canvas_is_held(name: str, tmp_path: Path) -> None:
    canvas = moving_canvas()
    before = canvas.copy()
    held = np.lib.format.open_memmap(tmp_path / "c.npy", "w+", canvas.dtype, canvas.shape)
    held[:] = canvas
    once = keep(name, canvas)
    assert keep(name, held).sha256 == once.sha256
    assert keep(name, list(canvas)).sha256 == once.sha256
    keep(name, moving_canvas(seed=1), video_id="another")
    assert keep(name, canvas).sha256 == once.sha256
    stream = select_stream(
        name,
        iter(canvas),
        Request(seed=0, video_id="v", budget=0.1),
        size=(470, 500),
        num_frames=len(canvas),
    )
    assert stream.sha256 == once.sha256
    assert np.array_equal(canvas, before)


@pytest.mark.parametrize("name", ORDINARY)
def test_a_clip_does_not_depend_on_what_comes_later(name: str) -> None:
    canvas = moving_canvas(32)
    longer = keep(name, canvas, None, num_kept=[20] * 32)
    shorter = keep(name, canvas[:16], None, num_kept=[20] * 16)
    for one, other in zip(shorter.tokens, longer.tokens, strict=False):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["random", "uniform", "centre", "centre-frame", "detail"])
def test_a_larger_budget_keeps_as_many_more_and_all_is_the_whole(name: str) -> None:
    canvas = moving_canvas(3)
    assert keep(name, canvas, 1.0).num_tokens == keep("all", canvas, None).num_tokens
    assert keep(name, canvas, 1.0).kept_ratio == 1


@pytest.mark.parametrize("name", ["centre", "centre-frame", "detail", "random"])
def test_the_order_of_gazing_does_not_depend_on_the_budget(name: str) -> None:
    canvas = moving_canvas(2)
    small, large = keep(name, canvas, None, num_kept=[60, 60]), keep(name, canvas, 1.0)
    for few, many in zip(small.tokens, large.tokens, strict=True):
        assert np.array_equal(few, many[np.isin(many, few)])


def greedy(chunk: Chunk) -> list[np.ndarray]:
    """Raises its budget, whatever was done to prevent it."""
    for array in (chunk.shares, chunk.views.view_of, chunk.views.num_cells):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
        array.setflags(write=True)
    chunk.shares[:] = chunk.views.num_tokens
    chunk.views.view_of[:] = np.arange(chunk.views.num_tokens)
    return [np.arange(chunk.views.num_tokens)] * len(chunk.frames)


@pytest.mark.parametrize("spends", ["view", "frame", "clip"])
def test_a_selector_cannot_raise_its_own_budget(
    spends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = selector(spends=spends)(greedy)
    monkeypatch.setattr(harness, "load", lambda name: found)
    canvas = moving_canvas(5)
    views = Views(500, 470)
    total = budget_tokens(0.1, len(canvas) * views.num_tokens)
    counts = keep("greedy", canvas).counts(views)
    shares = share(total, len(canvas), views)
    assert counts.sum() == total
    if spends == "view":
        assert np.array_equal(counts, shares)


def test_a_selector_sees_frames_question_budget_and_seed_and_nothing_else() -> None:
    assert {field.name for field in dataclasses.fields(Chunk)} == {
        "frames",
        "index",
        "first_frame",
        "views",
        "shares",
        "threshold",
        "question",
        "seed",
        "video_id",
        "weights",
    }


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("detail", {"budget": None}, "needs --budget"),
        ("all", {"budget": 0.1}, "takes no --budget"),
        ("detail", {"budget": 0.1, "threshold": 0.1}, "takes no --threshold"),
        ("change-unbounded", {"budget": None}, "needs --threshold"),
        ("change-unbounded", {"budget": None, "threshold": math.nan}, "out of range"),
        ("nonsense", {}, "not known. Installed are: .*detail"),
        ("random-matched", {"budget": 0.1}, "needs what its partner kept"),
        ("oracle", {"budget": 0.1}, "no evidence"),
        ("transplanted", {"budget": 0.1}, "no donor"),
    ],
)
def test_what_cannot_run_says_what_to_give(name: str, more: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        keep(name, moving_canvas(2), **more)


def test_a_canvas_without_frames_or_of_other_bytes_is_refused() -> None:
    with pytest.raises(UserError, match="no frames"):
        keep("detail", np.empty((0, 8, 8, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        keep("detail", np.zeros((1, 8, 8, 3)))


# -- each selector ---------------------------------------------------------------------------------


def test_random_depends_on_seed_video_clip_and_view() -> None:
    canvas = np.zeros((32, 900, 900, 3), dtype=np.uint8)
    one = keep("random", canvas)
    assert keep("random", canvas, seed=1).sha256 != one.sha256
    assert keep("random", canvas, video_id="w").sha256 != one.sha256
    assert not np.array_equal(one.mask(0), one.mask(16))
    assert not np.array_equal(one.mask(0)[:14, :14], one.mask(0)[:14, 14:28])


def test_random_is_fair_to_every_cell() -> None:
    canvas = np.zeros((1, 448, 448, 3), dtype=np.uint8)
    hits = sum(keep("random", canvas, 0.25, seed=seed).mask(0).astype(int) for seed in range(400))
    deviation = math.sqrt(400 * 0.25 * 0.75)
    assert np.all(np.abs(hits - 100) < 4.5 * deviation)


def test_uniform_steps_evenly_and_moves_each_frame() -> None:
    kept = keep("uniform", np.zeros((3, 448, 448, 3), dtype=np.uint8), None, num_kept=[49] * 3)
    for frame in range(3):
        assert np.ptp(np.diff(np.sort(kept.tokens[frame]))) == 0
    assert not np.array_equal(kept.mask(0), kept.mask(1))
    half = np.sort(kept.tokens[0][:24])
    assert np.diff(half).max() <= 4 * 4


def test_centre_keeps_the_middle_16_cells_of_every_view() -> None:
    kept = keep("centre", np.zeros((1, 896, 896, 3), dtype=np.uint8), None, num_kept=64)
    expected = np.zeros((14, 14), dtype=bool)
    expected[5:9, 5:9] = True
    assert np.array_equal(kept.mask(0), np.tile(expected, (2, 2)))


def test_centre_frame_keeps_the_middle_of_the_frame_in_its_shape() -> None:
    kept = keep("centre-frame", np.zeros((1, 640, 1280, 3), dtype=np.uint8), 0.25)
    expected = np.zeros((20, 40), dtype=bool)
    expected[5:15, 10:30] = True
    assert np.array_equal(kept.mask(0), expected)


def test_luma_is_that_of_bt601_and_its_edge_is_replicated() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (37, 41, 3), dtype=np.uint8)
    grey = luma(frame, Views(37, 41, token_pixels=8))
    exact = frame @ np.array([0.299, 0.587, 0.114])
    assert grey.shape == (40, 48)
    assert np.abs(grey[:37, :41] - exact).max() < 2
    assert np.all(grey[37:] == grey[36]) and np.all(grey[:, 41:] == grey[:, 40:41])


def test_detail_is_the_sum_of_squared_differences_to_the_right_and_down() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (37, 41, 3), dtype=np.uint8)
    views = Views(37, 41, token_pixels=8)
    grey = luma(frame, views).astype(np.int64)
    squares = np.zeros_like(grey)
    squares[:, :-1] += np.diff(grey, axis=1) ** 2
    squares[:-1] += np.diff(grey, axis=0) ** 2
    energy = squares.reshape(5, 8, 6, 8).sum(axis=(1, 3))
    assert np.array_equal(gradient_energy(frame, views), energy.ravel())
    kept = keep("detail", frame[None], 0.2, token_pixels=8)
    assert kept.tokens[0].tolist() == np.argsort(-energy.ravel(), kind="stable")[:6].tolist()


def replay(canvas: np.ndarray, kept: Kept, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """Differences to the last kept value under a given choice, and the choice."""
    last = np.full(cell_values(canvas[0], views).shape, 128, dtype=np.int64)
    differences, masks = [], []
    for frame, pixels in enumerate(canvas):
        values = cell_values(pixels, views).astype(np.int64)
        differences.append(np.abs(values - last).sum(axis=0))
        masks.append(kept.mask(frame).ravel())
        last = np.where(masks[-1], values, last)
    return np.stack(differences), np.stack(masks)


def test_change_keeps_what_differs_most_from_when_it_was_last_kept() -> None:
    canvas = moving_canvas(40)
    views = Views(500, 470)
    difference, is_kept = replay(canvas, keep("change", canvas, 0.2), views)
    for first in (0, 16, 32):
        clip = slice(first, first + 16)
        for view in range(views.num_views):
            inside = views.view_of == view
            kept = difference[clip][:, inside][is_kept[clip][:, inside]]
            left = difference[clip][:, inside][~is_kept[clip][:, inside]]
            threshold = np.quantile(kept, 0.02)
            assert np.mean(left > threshold) < 0.02


def test_change_starts_from_mid_grey_and_carries_into_the_next_clip() -> None:
    canvas = np.full((32, 448, 448, 3), 128, dtype=np.uint8)
    canvas[:, :32, :32] = 250
    canvas[20:, 64:96, 64:96] = 0
    kept = keep("change", canvas, None, num_kept=[1] + [0] * 15 + [1] + [0] * 15)
    assert [ids.tolist() for ids in kept.tokens if ids.size] == [[0], [2 * 14 + 2]]
    assert kept.tokens[0].tolist() == [0]
    assert kept.tokens[20].tolist() == [2 * 14 + 2]


def test_change_spends_its_share_on_a_video_that_never_changes() -> None:
    canvas = np.full((17, 100, 100, 3), 128, dtype=np.uint8)
    kept = keep("change", canvas, 0.3)
    assert kept.num_tokens == budget_tokens(0.3, 17 * 16)


def test_change_unbounded_keeps_the_first_frame_and_then_what_moved() -> None:
    canvas = np.zeros((20, 96, 96, 3), dtype=np.uint8)
    canvas[17:, 32:64, 32:64] = 26
    kept = keep("change-unbounded", canvas, None, threshold=0.1)
    assert [ids.size for ids in kept.tokens] == [9] + [0] * 16 + [1, 0, 0]
    assert kept.tokens[17].tolist() == [4]
    assert keep("change-unbounded", canvas, None, threshold=0.11).num_tokens == 9


# -- partners --------------------------------------------------------------------------------------


def test_random_matched_keeps_as_many_a_frame_and_view_as_its_partner() -> None:
    canvas = moving_canvas(40)
    views = Views(500, 470)
    partner = keep("change", canvas)
    kept = keep("random-matched:change", canvas, 0.5, partner=partner)
    counts = [k.counts(views) for k in (kept, partner)]
    assert np.array_equal(*counts)
    assert kept.sha256 != partner.sha256
    with pytest.raises(UserError, match="Both must read one canvas"):
        keep("random-matched:change", canvas[:5], partner=partner)
