"""Intervals and tests, held against statsmodels, enumeration and simulated data."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from hlvid.statistics import (
    accuracy_interval,
    geometric_mean_ratio,
    holm,
    mcnemar_exact,
    mean_difference,
    minimum_detectable_effect,
    paired_difference,
    quantile_interval,
)

SIMULATION = Path(__file__).parents[2] / "benchmarks" / "coverage_simulation.py"
HLVID_SIZES = [4] * 37 + [3] * 40

answers = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 9)), min_size=1)


def clustered(
    mean: float, sizes: list[int], *, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n,) outcomes that correlate by 0.3 within a video, and (n,) videos."""
    rng = np.random.default_rng(seed)
    shares = rng.beta(mean * 7 / 3, (1 - mean) * 7 / 3, len(sizes))
    videos = np.repeat(np.arange(len(sizes)), sizes)
    return rng.binomial(1, shares[videos]), videos


def oracle(values: npt.ArrayLike, videos: npt.ArrayLike):
    """OLS on a constant with a cluster-robust variance and t with G - 1 degrees of freedom."""
    values = np.asarray(values, dtype=float)
    return sm.OLS(values, np.ones_like(values)).fit(
        cov_type="cluster", cov_kwds={"groups": np.asarray(videos)}, use_t=True
    )


# accuracy


def test_standard_error_is_that_of_statsmodels():
    right, videos = clustered(0.6, HLVID_SIZES, seed=1)
    assert accuracy_interval(right, videos).standard_error == pytest.approx(
        oracle(right, videos).bse[0], rel=1e-10
    )


def test_one_question_a_video_is_plain_wilson():
    for right in ([1, 0, 1, 1], [1] * 9, [0] * 5, [1], [1, 0] * 40):
        interval = accuracy_interval(right, range(len(right)))
        expected = proportion_confint(sum(right), len(right), method="wilson")
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)
        assert interval.design_effect == pytest.approx(1)
        assert interval.icc is None


def test_interval_is_wilson_on_effective_questions_with_t():
    right, videos = clustered(0.6, HLVID_SIZES, seed=2)
    interval = accuracy_interval(right, videos)
    # proportion_confint's normal quantile for this level is t's 97.5 % quantile
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, 76))
    effective = interval.num_questions / interval.design_effect
    expected = proportion_confint(interval.accuracy * effective, effective, alpha, "wilson")
    assert interval.design_effect > 1.2
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)


def test_design_effect_is_the_estimate_weighed_by_the_rarer_outcome():
    right, videos = clustered(0.8, HLVID_SIZES, seed=3)
    n, share = len(right), right.mean()
    estimate = oracle(right, videos).bse[0] ** 2 / (share * (1 - share) / (n - 1))
    largest = sum(size**2 for size in HLVID_SIZES) / n
    wrong = int((right == 0).sum())
    expected = (wrong * estimate + largest) / (wrong + 1)
    assert accuracy_interval(right, videos).design_effect == pytest.approx(expected)


def test_equal_answers_count_each_video_once():
    videos = np.repeat(np.arange(24), 8)
    interval = accuracy_interval(np.ones(192), videos)
    assert interval.low == pytest.approx(proportion_confint(24, 24, method="wilson")[0])
    assert (interval.high, interval.standard_error) == (1, 0)
    mirrored = accuracy_interval(np.zeros(192), videos)
    assert (mirrored.low, mirrored.high) == pytest.approx((0, 1 - interval.low))


def test_one_video_counts_as_one_question():
    interval = accuracy_interval([1, 1, 1, 0], ["a"] * 4)
    expected = proportion_confint(0.75, 1, method="wilson")
    assert (interval.low, interval.high) == pytest.approx(expected)
    assert interval.standard_error is None
    assert interval.icc is None
    assert interval.num_clusters == 1


def test_balanced_videos_earn_no_bonus():
    interval = accuracy_interval([0, 1] * 20, np.repeat(np.arange(20), 2))
    assert interval.standard_error == 0
    assert interval.design_effect == pytest.approx((20 * 1 + 2) / 21)
    assert interval.low < proportion_confint(20, 40, method="wilson")[0]


def test_correlation_within_videos_is_found():
    same = np.repeat([0, 1] * 10, 4)
    assert accuracy_interval(same, np.repeat(np.arange(20), 4)).icc == pytest.approx(1)
    right, videos = clustered(0.5, [4] * 3000, seed=4)
    assert accuracy_interval(right, videos).icc == pytest.approx(0.3, abs=0.03)
    assert accuracy_interval([0, 1] * 20, np.repeat(np.arange(20), 2)).icc == pytest.approx(-1)


@given(answers)
@settings(max_examples=150, deadline=None)
def test_interval_holds_the_accuracy_and_ignores_order(rows):
    right = [row[0] for row in rows]
    videos = [f"video-{row[2]}" for row in rows]
    interval = accuracy_interval(right, videos)
    assert 0 <= interval.low <= interval.accuracy <= interval.high <= 1
    assert interval.high - interval.low > 0
    backwards = accuracy_interval(right[::-1], videos[::-1])
    assert (backwards.low, backwards.high) == pytest.approx((interval.low, interval.high))
    wrong = accuracy_interval([not one for one in right], videos)
    assert (wrong.low, wrong.high) == pytest.approx((1 - interval.high, 1 - interval.low))


def test_more_confidence_is_wider():
    right, videos = clustered(0.6, HLVID_SIZES, seed=5)
    wide = accuracy_interval(right, videos, confidence=0.99)
    narrow = accuracy_interval(right, videos, confidence=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("right", "videos", "sentence"),
    [
        ([], [], "At least one question"),
        ([1, 0], ["a"], "2 questions"),
        ([1, math.nan], ["a", "b"], "nan at position 1"),
        ([1, 0.5], ["a", "b"], "0.5 at position 1. Only 0 and 1"),
        ([[1, 0]], ["a", "b"], "one number each"),
    ],
)
def test_bad_outcomes_are_refused(right, videos, sentence):
    with pytest.raises(ValueError, match=sentence):
        accuracy_interval(right, videos)


@pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
def test_bad_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        accuracy_interval([1, 0], ["a", "b"], confidence=confidence)


# paired difference


def test_paired_difference_is_cluster_robust_t_on_one_more_question_each_way():
    a, videos = clustered(0.6, HLVID_SIZES, seed=6)
    b, _ = clustered(0.5, HLVID_SIZES, seed=7)
    result = paired_difference(a, b, videos)
    fitted = oracle(a - b, videos)
    assert result.difference == pytest.approx(a.mean() - b.mean())
    added = result.standard_error**2 - fitted.bse[0] ** 2
    n = len(a)
    assert 2 / n**2 <= added <= 2 * 3.6 / n**2
    half = stats.t.ppf(0.975, 76) * result.standard_error
    assert (result.low, result.high) == pytest.approx(
        (result.difference - half, result.difference + half)
    )
    assert result.p_value == pytest.approx(
        2 * stats.t.sf(abs(result.difference) / result.standard_error, 76)
    )


def test_mean_difference_is_that_of_statsmodels():
    rng = np.random.default_rng(8)
    videos = np.repeat(np.arange(77), HLVID_SIZES)
    a, b = rng.normal(size=(2, len(videos)))
    a += rng.normal(size=77)[videos]
    result = mean_difference(a, b, videos)
    fitted = oracle(a - b, videos)
    assert result.standard_error == pytest.approx(fitted.bse[0])
    assert (result.low, result.high) == pytest.approx(tuple(fitted.conf_int()[0]))
    assert result.p_value == pytest.approx(fitted.pvalues[0])


def test_discordant_questions_are_counted():
    result = paired_difference([1, 1, 0, 1, 0], [1, 0, 0, 0, 1], list("aabbc"))
    assert (result.only_a, result.only_b) == (2, 1)
    assert result.mcnemar_p == mcnemar_exact(2, 1)
    assert result.difference == pytest.approx(0.2)


def test_bootstrap_agrees_with_t():
    a, videos = clustered(0.6, HLVID_SIZES, seed=9)
    b, _ = clustered(0.5, HLVID_SIZES, seed=10)
    result = paired_difference(a, b, videos)
    width = result.high - result.low
    assert result.bootstrap_low == pytest.approx(result.low, abs=0.05 * width)
    assert result.bootstrap_high == pytest.approx(result.high, abs=0.05 * width)


def test_bootstrap_is_that_of_drawing_videos_one_by_one():
    a, videos = clustered(0.6, [3] * 12, seed=11)
    result = mean_difference(a, np.zeros(36), videos, num_bootstrap=20_000)
    rng = np.random.default_rng(1)
    drawn = [a.reshape(12, 3)[rng.integers(0, 12, 12)].mean() for _ in range(20_000)]
    expected = np.quantile(drawn, [0.025, 0.975])
    assert (result.bootstrap_low, result.bootstrap_high) == pytest.approx(expected, abs=0.015)


def test_bootstrap_depends_on_its_seed_only():
    a, videos = clustered(0.6, HLVID_SIZES, seed=12)
    b, _ = clustered(0.5, HLVID_SIZES, seed=13)
    order = np.random.default_rng(0).permutation(len(a))
    first = paired_difference(a, b, videos, seed=3)
    shuffled = paired_difference(a[order], b[order], videos[order], seed=3)
    other = paired_difference(a, b, videos, seed=4)
    assert first == shuffled
    assert first.bootstrap_low != other.bootstrap_low
    assert first.low == other.low


def test_bootstrap_can_be_left_out():
    result = paired_difference([1, 0, 1], [0, 0, 1], list("abc"), num_bootstrap=0)
    assert result.bootstrap_low is None
    assert result.bootstrap_high is None


def test_equal_arms_still_have_an_interval():
    right, videos = clustered(0.6, HLVID_SIZES, seed=14)
    result = paired_difference(right, right, videos)
    assert (result.difference, result.p_value, result.mcnemar_p) == (0, 1, 1)
    # with 77 videos and nothing seen, 3 / 77 is the classic bound
    assert 0.03 < result.high < 0.06
    assert result.low == -result.high


def test_one_video_bounds_no_difference():
    result = paired_difference([1, 1, 1], [0, 0, 1], ["a"] * 3)
    assert (result.low, result.high, result.p_value) == (-1, 1, 1)
    assert result.standard_error is None
    assert result.bootstrap_low is None
    assert result.noninferiority_p(0.5) == 1


def test_opposite_arms_have_difference_one():
    result = paired_difference([1] * 40, [0] * 40, np.repeat(np.arange(20), 2))
    assert result.high == result.difference == 1
    assert result.low > 0.6
    assert result.p_value < 1e-6


@given(answers)
@settings(max_examples=100, deadline=None)
def test_swapping_the_arms_mirrors_the_difference(rows):
    a, b, videos = zip(*rows, strict=True)
    there = paired_difference(a, b, videos, num_bootstrap=0)
    back = paired_difference(b, a, videos, num_bootstrap=0)
    assert -1 <= there.low <= there.difference <= there.high <= 1
    assert there.high - there.low > 0
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.p_value == pytest.approx(there.p_value)
    assert (back.only_a, back.only_b) == (there.only_b, there.only_a)


def test_noninferiority_agrees_with_the_one_sided_interval():
    a, videos = clustered(0.6, HLVID_SIZES, seed=15)
    b, _ = clustered(0.6, HLVID_SIZES, seed=16)
    one_sided_low = paired_difference(a, b, videos, confidence=0.9).low
    result = paired_difference(a, b, videos)
    assert result.noninferiority_p(-one_sided_low) == pytest.approx(0.05)
    assert result.noninferiority_p(-one_sided_low + 0.02) < 0.05
    assert result.noninferiority_p(-one_sided_low - 0.02) > 0.05


@pytest.mark.parametrize("margin", [0, -0.02, 2, math.nan])
def test_margin_must_be_a_share(margin):
    result = paired_difference([1, 0], [0, 0], ["a", "b"])
    with pytest.raises(ValueError, match=r"such as 0\.02"):
        result.noninferiority_p(margin)


def test_arms_of_different_length_are_refused():
    with pytest.raises(ValueError, match="3 and 2 of them"):
        paired_difference([1, 0, 1], [1, 0], list("abc"))
    with pytest.raises(ValueError, match="inf at position 0"):
        mean_difference([math.inf], [0], ["a"])


# ratios and quantiles


def test_ratio_is_a_geometric_mean_beside_the_ratio_of_totals():
    result = geometric_mean_ratio([2, 8, 100], [1, 2, 100], list("abc"))
    assert result.ratio == pytest.approx(2)
    assert result.ratio_of_totals == pytest.approx(110 / 103)


def test_ratio_interval_agrees_with_t_on_logarithms():
    rng = np.random.default_rng(17)
    videos = np.repeat(np.arange(77), HLVID_SIZES)
    slow = rng.lognormal(1, 0.5, len(videos)) * rng.lognormal(0, 0.3, 77)[videos]
    fast = rng.lognormal(0, 0.5, len(videos))
    result = geometric_mean_ratio(slow, fast, videos)
    low, high = oracle(np.log(slow / fast), videos).conf_int()[0]
    width = high - low
    assert math.log(result.low) == pytest.approx(low, abs=0.05 * width)
    assert math.log(result.high) == pytest.approx(high, abs=0.05 * width)
    inverse = geometric_mean_ratio(fast, slow, videos)
    assert inverse.ratio == pytest.approx(1 / result.ratio)
    assert inverse.low == pytest.approx(1 / result.high)


def test_ratio_of_one_video_has_no_interval():
    result = geometric_mean_ratio([2.0, 3.0], [1.0, 1.0], ["a", "a"])
    assert (result.low, result.high) == (None, None)


def test_ratio_needs_positive_numbers():
    with pytest.raises(ValueError, match=r"denominator: 0 at position 1. Only numbers above 0"):
        geometric_mean_ratio([1, 1], [1, 0], ["a", "b"])


@pytest.mark.parametrize(("q", "smallest"), [(0.9, 36), (0.95, 72), (0.99, 368)])
def test_quantile_is_bounded_from_the_smallest_sample_on(q, smallest):
    assert quantile_interval(np.arange(smallest), q).is_bounded
    short = quantile_interval(np.arange(smallest - 1), q)
    assert not short.is_bounded
    assert short.high is None
    assert short.low is not None


def test_low_quantiles_mirror_high_ones():
    values = np.arange(100.0)
    high, low = quantile_interval(values, 0.9), quantile_interval(-values, 0.1)
    assert (low.low, low.high) == (-high.high, -high.low)
    assert quantile_interval(values[:30], 0.1).low is None


def test_quantile_ranks_are_the_tightest_with_their_tails():
    n, q = 77, 0.5
    interval = quantile_interval(np.arange(1, n + 1), q)
    low, high = int(interval.low), int(interval.high)
    binomial = stats.binom(n, q)
    assert binomial.cdf(low - 1) <= 0.025 < binomial.cdf(low)
    assert binomial.cdf(high - 1) >= 0.975 > binomial.cdf(high - 2)


def test_shared_times_count_once_a_video():
    times = np.random.default_rng(18).lognormal(size=90)
    videos = np.repeat(np.arange(90), 4)
    shared = quantile_interval(np.repeat(times, 4), 0.9, clusters=videos)
    once = quantile_interval(times, 0.9)
    naive = quantile_interval(np.repeat(times, 4), 0.9)
    assert shared.value == once.value
    assert shared.low <= once.low < naive.low
    assert shared.high >= once.high > naive.high
    few = np.repeat(np.arange(24), 8)
    assert quantile_interval(np.arange(192), 0.9).is_bounded
    assert not quantile_interval(np.repeat(times[:24], 8), 0.9, clusters=few).is_bounded


def test_quantile_of_independent_clusters_is_the_plain_one():
    values = np.random.default_rng(19).normal(size=80)
    assert quantile_interval(values, 0.9, clusters=range(80)) == quantile_interval(values, 0.9)


@pytest.mark.parametrize("q", [0, 1, 90])
def test_quantile_out_of_range_is_refused(q):
    with pytest.raises(ValueError, match=r"such as 0\.9"):
        quantile_interval([1, 2, 3], q)


# tests and planning


def test_mcnemar_is_that_of_statsmodels():
    for only_a, only_b in itertools.product((0, 1, 4, 13, 60), repeat=2):
        if only_a + only_b:
            expected = mcnemar([[5, only_a], [only_b, 5]], exact=True).pvalue
            assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(0, 0) == 1
    with pytest.raises(ValueError, match="Counts start at 0"):
        mcnemar_exact(-1, 3)


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(21)
    for p_values in ([0.01, 0.04, 0.03, 0.03], [1.0, 0.0], [0.2], list(rng.random(12) ** 4)):
        assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_holm_of_nothing_and_of_nonsense():
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"p_values\[1\]: nan"):
        holm([0.1, math.nan])


def test_minimum_detectable_effect_of_known_sets():
    assert minimum_detectable_effect(268, discordance=0.2) == pytest.approx(0.077, abs=5e-4)
    assert minimum_detectable_effect(268, discordance=0.3, design_effect=1.4) == pytest.approx(
        0.111, abs=5e-4
    )
    assert minimum_detectable_effect(2700, discordance=0.1) == pytest.approx(0.017, abs=5e-4)
    with pytest.raises(ValueError, match="num_questions 0"):
        minimum_detectable_effect(0, discordance=0.2)
    with pytest.raises(ValueError, match="power 80"):
        minimum_detectable_effect(10, discordance=0.2, power=80)


def test_minimum_detectable_effect_is_found_with_its_power():
    n, discordance = 268, 0.2
    effect = minimum_detectable_effect(n, discordance=discordance)
    rng = np.random.default_rng(20)
    shares = [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance]
    counts = rng.multinomial(n, shares, size=4000)
    differences = (counts[:, 0] - counts[:, 1]) / n
    errors = np.sqrt((counts[:, 0] + counts[:, 1]) / n - differences**2) / math.sqrt(n)
    found = np.abs(differences) > stats.norm.ppf(0.975) * errors
    assert found.mean() == pytest.approx(0.8, abs=0.03)


# coverage


def test_intervals_cover_and_tests_err_as_often_as_they_say(tmp_path):
    """4,000 repetitions of 77 videos of 3 to 4 questions, intra-cluster correlation 0.3."""
    command = [sys.executable, str(SIMULATION), "--out", str(tmp_path / "rows.jsonl")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    accuracy = {row["truth"]: row for row in rows if row["row"] == "accuracy"}
    difference = {row["truth"]: row for row in rows if row["row"] == "difference"}
    assert sorted(accuracy) == [0.25, 0.5, 0.75, 0.95]
    for truth, row in accuracy.items():
        assert row["coverage"] == pytest.approx(0.95, abs=0.02 if truth == 0.95 else 0.015)
    assert sorted(difference) == [0, 0.1]
    for row in difference.values():
        assert row["coverage"] == pytest.approx(0.95, abs=0.015)
    assert difference[0]["rejected"] == pytest.approx(0.05, abs=0.015)
    # why the exact test, which knows no videos, never decides
    assert difference[0]["rejected_mcnemar"] > 0.065
