"""How often the intervals of hlvid.statistics hold the truth, and how often a test cries wolf.

Beta-binomial data: every video has an accuracy of its own. For two arms, every video has a share
of discordant questions of its own, and an arm of its own that these favour. Rates have a standard
error of about 0.0035 at 4,000 repetitions.

    python benchmarks/coverage_simulation.py        # writes benchmarks/results/coverage.jsonl
    python benchmarks/coverage_simulation.py --quick
    python benchmarks/coverage_simulation.py --num-videos 24 --questions 9 --out /tmp/coverage.jsonl
"""

import numpy as np
import numpy.typing as npt
from measure import Rows, parser, result_file

from hlvid.console import progress
from hlvid.statistics import accuracy_interval, paired_difference

BENCHMARK = "coverage"
ACCURACIES = (0.25, 0.5, 0.75, 0.95)
DISCORDANCE = 0.2
FAVOURS = (0.5, 0.75)
"""Chance that a discordant question favours a: no difference, and one of 10 points."""

Integers = npt.NDArray[np.int64]


def main() -> None:
    """Write one row a scenario."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--repetitions", type=int, default=4000)
    options.add_argument("--num-videos", type=int, default=77)
    options.add_argument("--questions", type=int, nargs="+", default=[3, 4], help="sizes, in turns")
    options.add_argument("--icc", type=float, default=0.3, help="intra-cluster correlation")
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    if asked.quick:
        asked.repetitions = 20
    sizes = np.resize(asked.questions, asked.num_videos)
    names = ("repetitions", "num_videos", "questions", "icc", "seed")
    settings = {name: getattr(asked, name) for name in names}
    scenarios = [("accuracy", truth) for truth in ACCURACIES]
    scenarios += [("difference", favour) for favour in FAVOURS]
    with (
        Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows,
        progress(len(scenarios), BENCHMARK) as bar,
    ):
        for number, (scenario, share) in enumerate(scenarios):
            bar.advance(note=f"{scenario} at {share}")
            is_accuracy = scenario == "accuracy"
            truth = share if is_accuracy else DISCORDANCE * (2 * share - 1)
            if rows.find(scenario, truth=truth):
                continue
            rng = np.random.default_rng([asked.seed, number])
            measure = accuracy_coverage if is_accuracy else difference_coverage
            found = measure(share, sizes, asked.icc, asked.repetitions, rng)
            rows.add(scenario, truth=truth, **{k: round(v, 5) for k, v in found.items()})


def accuracy_coverage(
    accuracy: float, sizes: Integers, icc: float, repetitions: int, rng: np.random.Generator
) -> dict[str, float]:
    """Coverage and mean half-width of the accuracy interval."""
    shape = (repetitions, len(sizes))
    right = rng.binomial(sizes, _beta(accuracy, icc, shape, rng))  # (R, G)
    videos = np.repeat(np.arange(len(sizes)), sizes)
    intervals = [accuracy_interval(_mark(row, sizes), videos) for row in right]
    covered = [i.low <= accuracy <= i.high for i in intervals]
    widths = [i.high - i.low for i in intervals]
    return {"coverage": float(np.mean(covered)), "half_width": float(np.mean(widths)) / 2}


def difference_coverage(
    favour: float, sizes: Integers, icc: float, repetitions: int, rng: np.random.Generator
) -> dict[str, float]:
    """Coverage and mean half-width of the paired difference, share of p-values below 0.05."""
    shape = (repetitions, len(sizes))
    discordant = rng.binomial(sizes, _beta(DISCORDANCE, icc, shape, rng))  # (R, G)
    only_a = rng.binomial(discordant, _beta(favour, icc, shape, rng))
    videos = np.repeat(np.arange(len(sizes)), sizes)
    truth = DISCORDANCE * (2 * favour - 1)
    results = [
        paired_difference(
            _mark(a, sizes), _mark(d, sizes) - _mark(a, sizes), videos, num_bootstrap=0
        )
        for a, d in zip(only_a, discordant, strict=True)
    ]
    return {
        "coverage": float(np.mean([r.low <= truth <= r.high for r in results])),
        "rejected": float(np.mean([r.p_value < 0.05 for r in results])),
        "rejected_mcnemar": float(np.mean([r.mcnemar_p < 0.05 for r in results])),
        "half_width": float(np.mean([r.high - r.low for r in results])) / 2,
    }


def _beta(
    mean: float, icc: float, shape: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Shares whose draws correlate by icc within a video: Beta(a, b) with a + b = 1/icc - 1."""
    if icc == 0:
        return np.full(shape, mean)
    total = 1 / icc - 1
    return rng.beta(mean * total, (1 - mean) * total, shape)


def _mark(counts: Integers, sizes: Integers) -> Integers:
    """(G,) counts -> (n,) 0 or 1: the first counts[g] questions of every video are 1."""
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    within = np.arange(sizes.sum()) - first
    return (within < np.repeat(counts, sizes)).astype(np.int64)


if __name__ == "__main__":
    main()
