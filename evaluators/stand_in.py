"""A rendered video in place of those that are not here yet, so that an exam can be timed first."""

import tempfile
from dataclasses import replace
from pathlib import Path

from evaluators.exam import Settings, prepare
from evaluators.probing import ArmProbe, first_of_each_video, probe_arms
from hlvid.synthetic import RenderSettings, render

SHORTEST_SECONDS = 8
"""The shortest video that the renderer draws."""


def probe_stand_in(settings: Settings) -> list[ArmProbe]:
    """Ask all arms one question on a rendered 3840x2160 video with a frame a second.

    It has as many frames as are sampled, so finding these in a longer video is not timed.

    Args:
        settings: Of the exam; its benchmark and data are not looked at.

    Raises:
        UserError: The model is not here, or the disk is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        rendered = RenderSettings(
            seconds=max(SHORTEST_SECONDS, settings.num_frames), min_evidence_seconds=1
        )
        render(Path(folder, "exam"), rendered, num_videos=1)
        exam = prepare(
            replace(
                settings,
                benchmark=str(Path(folder, "exam")),
                data=None,
                out=Path(folder, "runs"),
                limit=None,
                best_off=None,  # its arm is among the arms, and it was chosen on other questions
            )
        )
        return probe_arms(exam, first_of_each_video(exam.sat, 1))
