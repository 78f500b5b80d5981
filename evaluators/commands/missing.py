"""What a command needs and does not find: a sentence for each part, and a command that runs."""

from dataclasses import replace
from typing import TYPE_CHECKING

from hlvid.errors import UserError

if TYPE_CHECKING:
    from evaluators.commands.options import Asked
    from evaluators.exam import Settings

GAZE = ("--gaze", "both", "--selector", "autogaze,random-matched")
"""What is shown instead: the gaze that ships, beside as many random tokens."""


def check(asked: "Asked") -> None:
    """Say of all that is missing what it is, how large and under what licence.

    Raises:
        UserError: Something is; the sentence ends with a command that runs here and now.
    """
    from evaluators import models
    from evaluators.report import command
    from gaze.checkpoint import MINI, MissingWeights
    from hlvid.datasets import HLVID_SYNTHETIC, is_built_in

    instead, had = asked.without_arms(), asked.gaze == "off"
    told = models.find(asked.model).missing(asked.options)
    if told:
        instead = _with_a_model_that_is_here(instead)
    try:
        asked.arms()
    except MissingWeights as missing:
        told.append(str(missing))
        instead = replace(instead, gaze_weights=None)
    sentence = _videos(asked)
    if sentence and not is_built_in(asked.benchmark_name) and not told:
        raise UserError(sentence)
    if sentence:
        told.append(sentence)
        instead = replace(instead, benchmark=HLVID_SYNTHETIC, data=None, best_off=None)
    if not told:
        return
    what = ("--gaze", "off") if had else GAZE
    if not had:
        instead = replace(instead, gaze_weights=instead.gaze_weights or MINI)
    runs_here = command(instead, *what)
    if instead.benchmark == HLVID_SYNTHETIC:
        runs_here = f"{_render()}{runs_here}"
    raise UserError(f"{' '.join(told)} This runs here: {runs_here}")


def _with_a_model_that_is_here(settings: "Settings") -> "Settings":
    """The MLLM that ships, of its own family and once it does; else the reader."""
    from evaluators import models
    from evaluators.models.qwen.weights import MINI

    options = {**settings.options, "weights": MINI[0]}
    options.pop("device_map", None)
    if settings.model == "qwen" and not models.find("qwen").missing(options):
        return replace(settings, options=options)
    return replace(settings, model="ocr", options={}, best_off=None)


def _videos(asked: "Asked") -> str:
    """Why the benchmark cannot be asked; '' where it can."""
    from evaluators import models
    from evaluators.exam import tell_missing
    from hlvid.datasets import load

    try:
        benchmark = load(asked.benchmark_name, data=asked.data)
        if models.find(asked.model).sees_video:
            tell_missing(benchmark, silent=True)
    except UserError as error:
        return str(error)
    return ""


def _render() -> str:
    """The command that renders hlvid-synthetic, where that is not done, and ' && '."""
    from hlvid.datasets import HLVID_SYNTHETIC, MissingVideo, load

    benchmark = load(HLVID_SYNTHETIC)
    try:
        for video_id in benchmark.video_ids:
            benchmark.video_path(video_id)
    except MissingVideo as missing:
        return f"{str(missing).rpartition('Render it: ')[2]} && "
    return ""
