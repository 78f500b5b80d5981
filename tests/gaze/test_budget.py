import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaze.selectors import budget_tokens, share
from gaze.views import Views
from hlvid.errors import UserError

ratios = st.decimals("0.001", 1, places=3).map(float)


@given(st.integers(1, 10**6), st.decimals("0.0001", 1, places=4))
def test_a_budget_is_the_floor_of_the_decimal_that_was_typed(total: int, ratio: object) -> None:
    assert budget_tokens(float(ratio), total) == math.floor(Fraction(str(ratio)) * total)


def test_a_budget_does_not_lose_a_token_to_binary_rounding() -> None:
    assert 0.29 * 100 < 29
    assert budget_tokens(0.29, 100) == 29


@pytest.mark.parametrize("budget", [0, -0.1, 1.01, math.nan, math.inf])
def test_a_budget_outside_its_range_is_refused(budget: float) -> None:
    with pytest.raises(UserError, match=r"--budget: .* \(0, 1\]"):
        budget_tokens(budget, 100)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(2, 14), st.data())
def test_shares_are_equal_over_frames_and_views_to_less_than_one_token(
    num_frames: int, rows: int, cols: int, size: int, data: st.DataObject
) -> None:
    views = Views(rows, cols, token_pixels=1, size=size)
    total = data.draw(st.integers(0, num_frames * views.num_tokens))
    shares = share(total, num_frames, views)
    assert shares.sum() == total
    per_frame = shares.sum(axis=1)
    assert per_frame.max() - per_frame.min() <= 1
    assert np.all((shares >= 0) & (shares <= views.num_cells))
    quota = per_frame[:, None] * views.num_cells / views.num_tokens
    assert np.all(np.abs(shares - quota) <= 1 + 1e-9)
    assert np.all(np.abs(np.cumsum(shares - quota, axis=0)) < 2)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 14), ratios)
def test_within_a_frame_the_largest_remainders_are_rounded_up(
    rows: int, cols: int, size: int, ratio: float
) -> None:
    views = Views(rows, cols, token_pixels=1, size=size)
    total = budget_tokens(ratio, views.num_tokens)
    part = share(total, 1, views)[0]
    quota = [Fraction(total * int(cells), views.num_tokens) for cells in views.num_cells]
    left_over = [float(q - math.floor(q)) for q in quota]
    raised = [p > math.floor(q) for p, q in zip(part, quota, strict=True)]
    ups = [r for r, is_up in zip(left_over, raised, strict=True) if is_up]
    downs = [r for r, is_up in zip(left_over, raised, strict=True) if not is_up]
    assert not ups or not downs or min(ups) >= max(downs)


def test_a_small_view_gets_its_part_over_the_video() -> None:
    views = Views(15 * 32, 15 * 32)
    assert views.num_cells.tolist() == [196, 14, 14, 1]
    shares = share(budget_tokens(0.1, 100 * views.num_tokens), 100, views)
    assert shares.sum(axis=0).tolist() == [1960, 140, 140, 10]


def test_exact_counts_are_taken_as_they_are() -> None:
    views = Views(500, 470)
    counts = np.arange(8).reshape(2, views.num_views) % 3
    assert np.array_equal(share(counts, 2, views), counts)
    assert share([7, 0], 2, views).sum(axis=1).tolist() == [7, 0]
    with pytest.raises(UserError, match="do not fit"):
        share(2 * views.num_tokens + 1, 2, views)
    with pytest.raises(UserError, match=r"shape \(3,\)"):
        share([1, 2, 3], 2, views)
