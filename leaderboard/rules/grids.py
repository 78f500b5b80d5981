"""The rule about what a kept ratio is a share of: the tokens of `off`, from the canvas itself."""

import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from hlvid.types import FrameSettings
from leaderboard.rules import Submission, at_questions
from leaderboard.rules.answers import SEEING

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_LINES = re.compile(r"([1-9][0-9]{0,4})p")


def grids(submission: Submission) -> Iterator[str]:
    """The tokens of off are those of whole frames of the canvas, where the size of it is known."""
    record, columns = submission.record, submission.columns
    if record.model.kind not in SEEING:
        return
    frames = record.frames
    most = -(-frames.num_frames // 2) if frames.pairing == "stock" else frames.num_frames

    @cache
    def allowed(video_id: str) -> frozenset[int]:
        video = submission.videos.get(video_id)
        size = None if video is None else (video.width, video.height)
        return frozenset(slice_tokens(frames, size))

    def is_other(video_id: str, counted: float) -> bool:
        sizes = allowed(video_id)
        fits = (counted % size == 0 and 0 < counted <= most * size for size in sizes)
        return bool(sizes) and not np.isnan(counted) and not any(fits)

    rows = zip(columns.video_ids, submission.visual_off.tolist(), strict=True)
    yield from at_questions(
        columns,
        [is_other(*row) for row in rows],
        "predictions.jsonl: tokens.visual_off is not that of frames, canvas and token_pixels",
    )


def slice_tokens(frames: FrameSettings, video_size: tuple[int, int] | None) -> Iterator[int]:
    """Tokens that a frame, or a pair of frames, can have: the video's and those of the context.

    A canvas of the video's own size is covered by tokens, the last ones reaching beyond it. An
    MLLM's rule for 'native' rounds the sides to whole tokens; of a size that was asked for either
    may be meant.

    Args:
        frames: What the run says of its canvas.
        video_size: Width and height; None where they are not known.

    Yields:
        Nothing where the size of the canvas is not known.
    """
    typed, lines = _SIZE.fullmatch(frames.canvas), _LINES.fullmatch(frames.canvas)
    size = (int(typed[1]), int(typed[2])) if typed else video_size
    if size is None or not (typed or lines or frames.canvas in ("source", "native")):
        return
    if lines and (shorter := min(size)) > int(lines[1]):
        most = int(lines[1])
        size = round(size[0] * most / shorter), round(size[1] * most / shorter)
    side, wide = frames.token_pixels, frames.context
    grow = max(1.0, side / size[0], side / size[1])
    covered = [-(-length // side) for length in size]
    rounded = [round(int(length * grow) / side) for length in size]
    for canvas, (cols, rows) in (("source", covered), ("native", rounded)):
        if typed or lines or frames.canvas == canvas:
            context = -(-cols // wide) * -(-rows // wide) if wide else 0
            yield cols * rows + context
