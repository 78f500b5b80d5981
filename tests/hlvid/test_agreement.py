"""Kendall's tau between two instruments, against SciPy's and against what is known."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from hlvid.statistics import rank_agreement


def instruments(*, num_arms=8, num_videos=24, each=9, noise=0.05, seed=0):
    """Two instruments that see the same arms, each through noise of its own."""
    rng = np.random.default_rng(seed)
    skill = np.linspace(0.1, 0.9, num_arms)[:, None]
    videos = [f"v{v:02d}" for v in range(num_videos) for _ in range(each)]
    seen = [
        (rng.random((num_arms, len(videos))) < skill + rng.normal(0, noise, (num_arms, 1)))
        for _ in range(2)
    ]
    return *seen, videos


@pytest.mark.parametrize("seed", range(5))
def test_it_is_scipys_tau_b_of_the_means_ties_counted(seed):
    first, second, videos = instruments(noise=0.3, seed=seed)
    first[3] = first[5]
    second[1] = second[6] = False
    found = rank_agreement(first, second, videos)
    wanted = kendalltau(first.mean(1), second.mean(1), variant="b").statistic
    assert found.tau == pytest.approx(wanted)
    assert found.low <= found.tau <= found.high


def test_the_same_order_is_one_and_the_reverse_is_minus_one():
    first, _, videos = instruments()
    assert rank_agreement(first, first, videos).tau == 1.0
    assert rank_agreement(first, ~first, videos).tau == -1.0


def test_the_order_of_questions_and_arms_does_not_matter():
    first, second, videos = instruments(noise=0.2)
    plain = rank_agreement(first, second, videos)
    order, arms = np.random.default_rng(1).permutation(len(videos)), np.arange(8)[::-1]
    shuffled = rank_agreement(
        first[arms][:, order], second[arms][:, order], np.array(videos)[order]
    )
    assert shuffled == plain


def test_more_videos_make_the_interval_narrower():
    few = rank_agreement(*instruments(num_arms=5, num_videos=8, seed=3))
    many = rank_agreement(*instruments(num_arms=5, num_videos=200, seed=3))
    assert many.high - many.low < few.high - few.low


def test_an_instrument_that_tells_nothing_apart_has_no_tau():
    first, second, videos = instruments()
    found = rank_agreement(first, np.zeros_like(second), videos)
    assert (found.tau, found.low, found.high) == (None, None, None)


def test_one_video_has_no_interval():
    first, second, videos = instruments(num_videos=1, each=50)
    found = rank_agreement(first, second, videos)
    assert found.tau is not None
    assert found.low is None


@pytest.mark.parametrize(
    ("first", "second"), [([[1.0]], [[1.0]]), ([[1.0], [0.0]], [[1.0]]), ([[], []], [[], []])]
)
def test_what_cannot_be_ranked_is_refused(first, second):
    with pytest.raises(ValueError, match="rank_agreement"):
        rank_agreement(first, second, ["v"])
