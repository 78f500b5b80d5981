"""What an exam will take and what it can show, before it is sat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluators.exam import Exam, video_paths
from evaluators.probing import ArmProbe, seconds_of
from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.statistics import minimum_detectable_effect

DISCORDANCES = (0.1, 0.2, 0.3)
"""Shares of questions that only one of two arms has right: few, some, many."""
DESIGN_EFFECT = 1.4
"""Assumed of paired differences with several questions on a video."""
BYTES_PER_LINE = 2000
"""Of the ledger and of a run's predictions, for a question and arm, generously."""


@dataclass(frozen=True)
class Effects:
    """The smallest differences that a benchmark of this size shows, at 80 % power."""

    accuracy: Mapping[str, float]
    """Discordance -> share of questions."""
    in_deviations: float
    """Of an endpoint that is a number a question (log-probability margin, divergence), in standard
    deviations of a question's difference."""


@dataclass(frozen=True)
class Estimate:
    """What an exam takes."""

    num_questions: int
    num_videos: int
    num_missing: int
    """Videos that are not here."""
    num_frames: int
    scratch_bytes: int
    """The largest canvas: it lies in the scratch folder while its video is asked about."""
    result_bytes: int
    seconds: float | None
    """All arms together, by the probe; None without one."""
    effects: Effects


def effects_of(num_questions: int, num_videos: int) -> Effects:
    """The minimum detectable effects; one question a video has no design effect."""
    effect = DESIGN_EFFECT if num_questions > num_videos else 1.0
    return Effects(
        accuracy={
            f"{share:g}": minimum_detectable_effect(
                num_questions, discordance=share, design_effect=effect
            )
            for share in DISCORDANCES
        },
        in_deviations=minimum_detectable_effect(
            num_questions, discordance=1.0, design_effect=effect
        ),
    )


def estimate(exam: Exam, probes: Sequence[ArmProbe]) -> Estimate:
    """Add up what an exam takes.

    Args:
        exam: What is sat.
        probes: Of its arms; none where nothing was probed.
    """
    sat, num_arms = exam.sat, len(exam.settings.arms)
    missing = [video_id for video_id, path in video_paths(sat).items() if path is None]
    return Estimate(
        num_questions=len(sat.questions),
        num_videos=len(sat.video_ids),
        num_missing=len(missing),
        num_frames=exam.settings.num_frames,
        scratch_bytes=(1 + exam.settings.prefetch) * _largest_canvas(exam, sat)
        if exam.examinee.sees_video
        else 0,
        result_bytes=3 * BYTES_PER_LINE * len(sat.questions) * num_arms,
        seconds=seconds_of(probes, len(sat.questions), len(sat.video_ids)) if probes else None,
        effects=effects_of(len(sat.questions), len(sat.video_ids)),
    )


def _largest_canvas(exam: Exam, sat: Benchmark) -> int:
    """Bytes of the sampled frames of the largest video that is here, as the model wants them."""
    from hlvid.video_file import open_container, video_stream

    sizes = [0]
    fit = exam.examinee.shape.fit
    for path in video_paths(sat).values():
        if path is None:
            continue
        try:
            with open_container(path) as container:
                context = video_stream(container, path).codec_context
                width, height = context.width, context.height
        except UserError:
            continue
        width, height = fit(width, height) if fit and width and height else (width, height)
        sizes.append(width * height * 3 * exam.settings.num_frames)
    return max(sizes)
