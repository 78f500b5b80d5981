"""Ranges of ranks rest on the same test as every other comparison."""

import numpy as np
import pytest

from hlvid.statistics import paired_difference
from hlvid.statistics.clusters import Clustering
from hlvid.statistics.ranking import RankRange, pairwise_tests, rank_ranges


def answers(accuracies, *, num_videos=30, each=4, seed=0):
    rng = np.random.default_rng(seed)
    ease = rng.normal(0, 0.1, num_videos).repeat(each)
    videos = [f"v{v:03d}" for v in range(num_videos) for _ in range(each)]
    draws = rng.random(len(videos))
    return np.stack([draws < a + ease for a in accuracies]), videos


def test_every_pair_is_tested_as_alone():
    right, videos = answers([0.2, 0.5, 0.5, 0.55, 0.9])
    right = np.vstack([right, right[0], np.zeros_like(right[:1]), np.ones_like(right[:1])])
    differences, p_values = pairwise_tests(right, Clustering.of(videos, len(videos)))
    for i, first in enumerate(right):
        for j, second in enumerate(right):
            alone = paired_difference(first, second, videos, num_bootstrap=0)
            assert differences[i, j] == pytest.approx(alone.difference)
            assert p_values[i, j] == pytest.approx(alone.p_value, abs=1e-12)


def test_clusters_of_unequal_size_are_tested_as_alone():
    right, videos = answers([0.3, 0.6], each=3)
    right, videos = right[:, 5:], videos[5:]
    _, p_values = pairwise_tests(right, Clustering.of(videos, len(videos)))
    alone = paired_difference(right[0], right[1], videos, num_bootstrap=0)
    assert p_values[0, 1] == pytest.approx(alone.p_value)


def test_clear_differences_give_single_ranks_and_equal_runs_share_theirs():
    right, videos = answers([0.1, 0.9, 0.5, 0.5])
    assert rank_ranges(right, videos) == [
        RankRange(4, 4), RankRange(1, 1), RankRange(2, 3), RankRange(2, 3)
    ]  # fmt: skip


def test_few_videos_allow_every_rank():
    right, videos = answers([0.0, 1.0], num_videos=19)
    assert rank_ranges(right, videos) == [RankRange(1, 2)] * 2


def test_one_run_has_the_first_rank_and_none_has_none():
    right, videos = answers([0.5])
    assert rank_ranges(right, videos) == [RankRange(1, 1)]
    assert rank_ranges(right[:0], videos) == []
