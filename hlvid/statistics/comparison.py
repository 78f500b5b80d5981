"""The one place where two arms are compared.

An arm is always compared with a reference question by question, clustered by video. What the
comparison is about (its contrast) follows from the two runs, and a table holds one contrast.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from hlvid.errors import UserError
from hlvid.statistics.clusters import Floats
from hlvid.statistics.columns import Columns, Graded, Time
from hlvid.statistics.intervals import (
    MeanDifference,
    PairedDifference,
    RatioInterval,
    geometric_mean_ratio,
    mean_difference,
    paired_difference,
)
from hlvid.statistics.noise import find_noise_floor, is_repeat
from hlvid.statistics.pairing import (
    NOT_COMPARABLE,
    Contrast,
    Pairs,
    check_memory,
    derive_contrast,
    is_dummy,
    may_time,
    pair_runs,
    paired_times_ms,
    run_name,
)
from hlvid.statistics.significance import holm
from hlvid.types import STOCK_CODE

MIN_VIDEOS = 20
"""Fewer give no verdict: cluster-robust tests need more than few clusters, and "few" is put at less
than 20 to less than 50 of them (Cameron and Miller 2015, section VI)."""
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """An arm against a reference. Differences are arm - reference, speed-ups reference / arm."""

    arm: str
    reference: str
    arm_run_id: str
    reference_run_id: str
    contrast: Contrast
    accuracy: PairedDifference | None
    """Of strict accuracy: FAILED and UNPARSED count as wrong. None with dummy weights. Of an arm or
    a reference with several seeds the mean over them, question by question."""
    p_adjusted: float | None
    """accuracy.p_value, Holm-adjusted within the table unless this is the primary endpoint."""
    margin: float | None
    """How much less accuracy still counts as no worse, declared before the run."""
    noninferiority_p: float | None
    """One-sided, adjusted like p_adjusted. None without a margin."""
    noise_floor: float | None
    """How far runs differ by chance or code alone, where that is known; no difference below it is
    shown as an effect."""
    is_primary: bool
    num_failed_pairs: int
    """Questions at which at least one failed; left out of times and log-probabilities."""
    num_changed_answers: int
    """Questions with another letter or outcome than the reference's."""
    log_probability_margin: MeanDifference | None
    """Natural logarithm of the right letter's probability less the likeliest wrong one's."""
    divergence: MeanDifference | None
    """Of the arm's letters from the reference's, in nats (Kullback and Leibler): 0 where all are as
    likely. It needs no right answers."""
    speed_up_end_to_end: RatioInterval | None
    """With decode. None without times, from two machines or commands, or with looped attention."""
    speed_up_without_decode: RatioInterval | None
    """End to end from the frames on: gaze, resizing and gathering are in it."""
    speed_up_model_only: RatioInterval | None
    """Encoding, pruning, prefill and generation alone: what gaze itself costs is not in it."""

    @property
    def verdict(self) -> str:
        """better, non-inferior, inconclusive, worse, too few videos (n), or latency only.

        With a margin, an arm that is significantly worse but by less than the margin is
        non-inferior: what matters was declared before the run (Piaggio et al. 2012).
        """
        if self.accuracy is None or self.p_adjusted is None:
            return "latency only"
        if self.accuracy.num_clusters < MIN_VIDEOS:
            return f"too few videos ({self.accuracy.num_clusters})"
        difference = self.accuracy.difference
        is_effect = self.p_adjusted < SIGNIFICANCE and abs(difference) > (self.noise_floor or 0.0)
        if is_effect and difference > 0:
            return "better"
        if self.noninferiority_p is not None and self.noninferiority_p < SIGNIFICANCE:
            return "non-inferior"
        return "worse" if is_effect else "inconclusive"


def compare_arms(
    arm: Graded | Sequence[Graded],
    reference: Graded | Sequence[Graded],
    *,
    margin: float | None = None,
    seed: int = 0,
    noise_floor: float | None = None,
    answers: Mapping[str, str] | None = None,
    allow_other_group: bool = False,
    with_bootstrap: bool = True,
) -> Comparison:
    """Compare an arm with a reference on the same questions.

    Args:
        arm: The run that is judged. Of several, which differ by their seed, accuracy is the mean:
            one lucky draw decides nothing. Times, letters and probabilities are those of the first.
        reference: The run it is held against, such as `off` or `random-matched`; likewise.
        margin: Non-inferiority margin as a share, such as 0.02.
        seed: Of the bootstraps.
        noise_floor: Of `hlvid.statistics.noise.find_noise_floor`; None where it is not known.
        answers: Question id -> right letter, for the log-probability endpoint.
        allow_other_group: Whether the runs may come from different commands.
        with_bootstrap: Whether the difference of accuracy gets a bootstrap beside its closed form;
            speed-ups always have theirs.

    Raises:
        UserError: The runs are not paired, have no contrast, or the margin is not a share; or
            memory ran out at a question for one of them only.
    """
    if margin is not None and not 0 < margin < 1:
        raise UserError(
            f"margin: {margin:g}. A share above 0 and below 1 is allowed: 0.02 for two points."
        )
    arm, *other_arms = arm if isinstance(arm, Sequence) else [arm]
    reference, *other_references = reference if isinstance(reference, Sequence) else [reference]
    pairs = pair_runs(arm, reference, allow_other_group=allow_other_group)
    contrast = derive_contrast(arm.record, reference.record, pairs)
    check_memory(arm.record, reference.record, pairs)
    has_no_accuracy = is_dummy(arm.record, reference.record)
    num_bootstrap = 10_000 if with_bootstrap else 0
    accuracy = None
    if not has_no_accuracy:
        ours, theirs = (
            _share_right(first, others, arm, contrast, allow_other_group=allow_other_group)
            for first, others in ((pairs.arm, other_arms), (pairs.reference, other_references))
        )
        clusters = pairs.arm.clusters
        accuracy = paired_difference(ours, theirs, clusters, num_bootstrap=num_bootstrap, seed=seed)
    can_time = may_time(arm.record, reference.record, pairs)
    return Comparison(
        arm=arm.record.arm.name,
        reference=reference.record.arm.name,
        arm_run_id=arm.record.run_id,
        reference_run_id=reference.record.run_id,
        contrast=contrast,
        accuracy=accuracy,
        p_adjusted=None if accuracy is None else accuracy.p_value,
        margin=margin,
        noninferiority_p=(
            None if accuracy is None or margin is None else accuracy.noninferiority_p(margin)
        ),
        noise_floor=noise_floor,
        is_primary=False,
        num_failed_pairs=len(pairs) - int(pairs.is_answered.sum()),
        num_changed_answers=pairs.num_changed,
        log_probability_margin=None if has_no_accuracy else _log_probability(pairs, answers, seed),
        divergence=None if has_no_accuracy else _divergence(pairs, seed),
        speed_up_end_to_end=_speed_up(pairs, "end_to_end", seed) if can_time else None,
        speed_up_without_decode=_speed_up(pairs, "without_decode", seed) if can_time else None,
        speed_up_model_only=_speed_up(pairs, "model_only", seed) if can_time else None,
    )


def compare_group(
    runs: Sequence[Graded],
    reference: Graded,
    *,
    margin: float | None = None,
    seed: int = 0,
    noise_floor: float | None = None,
    primary: str | None = None,
    answers: Mapping[str, str] | None = None,
    allow_other_group: bool = False,
) -> list[Comparison]:
    """Compare every run with the reference; one table for each contrast.

    Comparisons of one contrast stand together, in the order of the runs. Within a contrast the
    p-values are Holm-adjusted; the primary endpoint, which was declared before the run, stands
    first, is not adjusted and does not count among the others. Arms that could not run are left
    out. Second runs of an arm, and keep-all by stock code, are not compared: they set the noise
    floor.

    Args:
        runs: The arms; the reference itself may be among them.
        reference: The run they are held against.
        margin: Non-inferiority margin as a share.
        seed: Of the bootstraps.
        noise_floor: Where one is known beside that of the runs: the larger one counts.
        primary: Name or run id of the primary endpoint's arm.
        answers: Question id -> right letter, for the log-probability endpoint.
        allow_other_group: Whether the runs may come from different commands.

    Raises:
        UserError: As `compare_arms`, or the primary endpoint is not among the runs.
    """
    can_run = [
        run
        for run in runs
        if run.record.run_id != reference.record.run_id and run.record.status not in NOT_COMPARABLE
    ]
    floors = [find_noise_floor([*can_run, reference]), noise_floor]
    comparisons = [
        compare_arms(
            run,
            reference,
            margin=margin,
            seed=seed,
            noise_floor=max((one for one in floors if one is not None), default=None),
            answers=answers,
            allow_other_group=allow_other_group,
        )
        for run in can_run
        if not (is_repeat(run, reference) or run.record.repeat)
        and run.record.arm.variant != STOCK_CODE
    ]
    if primary is not None and not any(_is_named(one, primary) for one in comparisons):
        names = ", ".join(one.arm for one in comparisons)
        raise UserError(f"primary endpoint: {primary} is not among the arms. They are {names}.")
    return [
        adjusted
        for table in by_contrast(comparisons).values()
        for adjusted in adjust(table, primary)
    ]


def by_contrast(comparisons: Sequence[Comparison]) -> dict[Contrast, list[Comparison]]:
    """Comparisons in tables of one contrast each, in the order of `Contrast`."""
    return {
        contrast: table
        for contrast in Contrast
        if (table := [one for one in comparisons if one.contrast == contrast])
    }


def _is_named(comparison: Comparison, name: str) -> bool:
    return name in (comparison.arm, comparison.arm_run_id)


def adjust(table: Sequence[Comparison], primary: str | None) -> list[Comparison]:
    """Holm's correction of both p-values within one table, the primary endpoint apart.

    Args:
        table: Comparisons of one contrast as `compare_arms` gives them.
        primary: Name or run id of the primary endpoint's arm, if that is in the table.

    Returns:
        The primary endpoint first, as it is; then the others, adjusted, in their order.
    """
    declared = [one for one in table if primary is not None and _is_named(one, primary)]
    others = [one for one in table if one not in declared]
    p_values = _holm_of_known([one.p_adjusted for one in others])
    margin_p_values = _holm_of_known([one.noninferiority_p for one in others])
    return [dataclasses.replace(one, is_primary=True) for one in declared] + [
        dataclasses.replace(one, p_adjusted=p_value, noninferiority_p=margin_p_value)
        for one, p_value, margin_p_value in zip(others, p_values, margin_p_values, strict=True)
    ]


def _holm_of_known(p_values: Sequence[float | None]) -> list[float | None]:
    adjusted = iter(holm([p_value for p_value in p_values if p_value is not None]))
    return [None if p_value is None else next(adjusted) for p_value in p_values]


def _share_right(
    first: Columns,
    others: Sequence[Graded],
    arm: Graded,
    contrast: Contrast,
    *,
    allow_other_group: bool,
) -> Floats:
    """(n,) share of seeds that have each question right, in the order of the arm.

    Args:
        first: Of the first seed, paired already.
        others: The other seeds.
        arm: What is judged; every seed is paired with it.
        contrast: What the first seeds are compared in.
        allow_other_group: Whether the runs may come from different commands.

    Raises:
        UserError: A seed is not paired with the arm, ran out of memory where it did not, or spends
            other tokens in a comparison at equal ones.
    """
    columns = [first]
    for run in others:
        pairs = pair_runs(arm, run, allow_other_group=allow_other_group)
        check_memory(arm.record, run.record, pairs)
        is_iso_token = contrast is Contrast.ISO_TOKEN
        if is_iso_token and derive_contrast(arm.record, run.record, pairs) is not contrast:
            raise UserError(
                f"{run_name(run.record)}: spends other visual tokens than {run_name(arm.record)}, "
                "but the first seed spends as many. Run all seeds of an arm in one command."
            )
        columns.append(pairs.reference)
    found: Floats = np.mean([one.is_correct for one in columns], axis=0, dtype=np.float64)
    return found


def _log_probability(
    pairs: Pairs, answers: Mapping[str, str] | None, seed: int
) -> MeanDifference | None:
    """None unless both runs have log-probabilities for every question that both answered."""
    rows = pairs.is_answered.nonzero()[0].tolist()
    ours = _right_letter_margins(pairs.arm, rows, answers or {})
    theirs = _right_letter_margins(pairs.reference, rows, answers or {})
    if not ours or not theirs:
        return None
    return mean_difference(ours, theirs, pairs.answered_clusters, seed=seed)


def _divergence(pairs: Pairs, seed: int) -> MeanDifference | None:
    """None unless both runs have log-probabilities of the same letters for all they answered."""
    ours, theirs = pairs.arm.log_probabilities, pairs.reference.log_probabilities
    rows = pairs.is_answered.nonzero()[0].tolist()
    if not (ours and theirs and rows):
        return None
    found = []
    for row in rows:
        arm, reference = ours[row] or {}, theirs[row] or {}
        if not arm or set(arm) != set(reference):
            return None
        p, q = (log_softmax([one[letter] for letter in sorted(arm)]) for one in (reference, arm))
        found.append(float((np.exp(p) * (p - q)).sum()))
    return mean_difference(found, [0.0] * len(found), pairs.answered_clusters, seed=seed)


def _right_letter_margins(
    columns: Columns, rows: Sequence[int], answers: Mapping[str, str]
) -> list[float] | None:
    if not columns.log_probabilities:
        return None
    margins = []
    for row in rows:
        logarithms = columns.log_probabilities[row] or {}
        right = answers.get(columns.question_ids[row])
        if right is None or right not in logarithms or len(logarithms) < 2:
            return None
        wrong = max(value for letter, value in logarithms.items() if letter != right)
        margins.append(logarithms[right] - wrong)
    return margins


def _speed_up(pairs: Pairs, what: Time, seed: int) -> RatioInterval | None:
    times = paired_times_ms(pairs, what)
    if times is None:
        return None
    arm_ms, reference_ms = times
    return geometric_mean_ratio(reference_ms, arm_ms, pairs.answered_clusters, seed=seed)
