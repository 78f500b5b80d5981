"""Rules about single answers: prompts, digests, times, tokens."""

from collections.abc import Iterator

import numpy as np

from hlvid.runs import QuestionSet
from hlvid.statistics.columns import Columns
from leaderboard.measures import CUMULATIVE, END_TO_END
from leaderboard.rules import Submission, at_questions

SEEING = ("mllm", "reader")
"""Kinds of models that are shown a video."""
STAGES_TOLERANCE = 0.01
"""How far stages may add up to more than the total."""
MAX_UNACCOUNTED = 0.05
"""Share of the total time, in the median, that no stage may account for."""


def prompts(columns: Columns, asked: QuestionSet) -> Iterator[str]:
    """Each prompt's digest is that of the question's text."""
    digests = (asked.prompts[question_id] for question_id in columns.question_ids)
    expected = np.array([digest.encode() for digest in digests], dtype="S64")
    yield from at_questions(
        columns,
        columns.prompts != expected,
        "predictions.jsonl: prompt_sha256 is not that of the question's text",
    )


def digests(submission: Submission) -> Iterator[str]:
    """A model that sees the video gives the digests of frames and canvas with every answer."""
    columns = submission.columns
    if submission.record.model.kind not in SEEING:
        return
    for name, found in (("frames_sha256", columns.frames), ("canvas_sha256", columns.canvases)):
        is_missing = submission.is_answered & (found == b"")
        yield from at_questions(columns, is_missing, f"predictions.jsonl: {name} is missing")


def timings(submission: Submission) -> Iterator[str]:
    """Each time has stages; they fit into it and leave little of it over."""
    # An answer may lack its time: a run that went on elsewhere keeps those of one machine only.
    columns, is_seeing = submission.columns, submission.record.model.kind in SEEING
    total = columns.stage_ms.get(END_TO_END)
    stages = [times for name, times in columns.stage_ms.items() if name not in CUMULATIVE]
    if total is None:
        if stages:
            yield "predictions.jsonl: stage_ms has stages but no end_to_end."
        return
    is_timed = np.isfinite(total)
    is_known = is_timed & (total > 0)
    if is_seeing:
        yield from at_questions(
            columns, is_timed & (total <= 0), "predictions.jsonl: end_to_end is 0"
        )
        yield from at_questions(
            columns,
            is_known & np.logical_and.reduce([np.isnan(times) for times in stages]),
            "predictions.jsonl: end_to_end has no stages",
        )
    if not stages:
        return
    spent = np.nansum(stages, axis=0)
    yield from at_questions(
        columns,
        is_timed & (spent > (1 + STAGES_TOLERANCE) * total + 0.01),
        "predictions.jsonl: stages add up to more than end_to_end",
    )
    if is_known.any():
        with np.errstate(over="ignore"):
            gap = float(np.median(1 - spent[is_known] / total[is_known]))
        if gap > MAX_UNACCOUNTED:
            yield (
                f"predictions.jsonl: {gap:.0%} of end_to_end is in no stage (median). "
                f"Allowed are {MAX_UNACCOUNTED:.0%}."
            )


def tokens(submission: Submission) -> Iterator[str]:
    """What an arm keeps is counted at every answer, and is no more than `off` has."""
    record, columns = submission.record, submission.columns
    if record.model.kind not in SEEING:
        return
    is_unknown = np.isnan(columns.visual)
    if record.arm.gaze == "on" or not is_unknown.all():
        yield from at_questions(
            columns,
            submission.is_answered & is_unknown,
            "predictions.jsonl: tokens are not counted",
        )
    if record.arm.variant != "off-stock":  # Its canvas is another one.
        yield from at_questions(
            columns,
            columns.visual > submission.visual_off,
            "predictions.jsonl: tokens.visual is more than tokens.visual_off",
        )
