"""Gazing at a video file: frames stream from the decoder through a selector."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze.checkpoint import find_checkpoint
from gaze.selectors import Kept, Request, load, select_stream
from gaze.views import Frame
from hlvid.errors import UserError
from hlvid.files import write_bytes
from hlvid.video import VideoReader

Watch = Callable[[int, float, Frame], None]
"""Is called with (number in the sample, seconds, pixels) of every frame that is read."""


@dataclass(frozen=True)
class Gazed:
    """What was kept of a video file.

    Args:
        kept: The tokens.
        frame_index: Numbers of the frames in presentation order, (num_frames,).
        frame_seconds: When they are shown, counted from the video's first frame, (num_frames,).
        width: Of the canvas, in pixels.
        height: Of the canvas, in pixels.
        selector: Its name.
        request: What was asked of it, its weights pinned.
    """

    kept: Kept
    frame_index: NDArray[np.int64]
    frame_seconds: NDArray[np.float64]
    width: int
    height: int
    selector: str
    request: Request

    @property
    def token_share(self) -> tuple[float, float]:
        """Height and width of a token as shares of the canvas's."""
        side = self.request.token_pixels
        return side / self.height, side / self.width


def gaze_at(
    reader: VideoReader,
    index: NDArray[np.int64],
    selector: str,
    request: Request,
    *,
    watch: Watch | None = None,
) -> Gazed:
    """Let a selector choose from frames of a video; one chunk of 16 frames is held at a time.

    Args:
        reader: Of the video.
        index: Numbers of the frames in presentation order, ascending.
        selector: Its name; one that needs no evidence, partner or donor.
        request: What is asked of it.
        watch: Is shown every frame, without a copy.

    Raises:
        MissingWeights: The selector's weights cannot be had.
        UserError: A frame cannot be read, or the selector cannot be run on a video alone.
    """
    info = load(selector).info
    if ":" in selector or info.is_privileged or info.needs_partner or info.needs_donor:
        raise UserError(
            f"selector {selector!r}: a video alone does not give it what it needs (evidence or "
            "another choice). 'hlvid-eval --gaze on' does; 'hlvid-gaze selectors' lists others."
        )
    if info.weights is not None:
        pinned = find_checkpoint(request.weights or info.weights).pinned
        request = replace(request, weights=pinned)
    size = (reader.info.width, reader.info.height)
    seconds: list[float] = []

    def frames() -> Iterator[Frame]:
        for frame in reader.frames(index):
            shown_at = reader.index.since_first(frame.pts)
            if watch is not None:
                watch(len(seconds), shown_at, frame.pixels)
            seconds.append(shown_at)
            yield frame.pixels

    kept = select_stream(selector, frames(), request, size=size, num_frames=len(index))
    return Gazed(kept, index, np.array(seconds), *size, selector, request)


def table(gazed: Gazed) -> tuple[list[str], list[list[str]]]:
    """What was kept of every frame, in words: a header, and a row a frame.

    Cells gazed at have a column for each scale, where the selector has scales.
    """
    kept = gazed.kept
    header = ["frame", "seconds", "tokens kept"]
    rows = [
        [f"{index}", f"{seconds:.2f}", f"{ids.size}"]
        for index, seconds, ids in zip(
            gazed.frame_index, gazed.frame_seconds, kept.tokens, strict=True
        )
    ]
    if kept.cells:
        header += [f"cells {side}x{side}" for side in kept.cells[0].sides]
        for row, cells in zip(rows, kept.cells, strict=True):
            row += [str(count) for count in cells.num_per_scale]
    return header, rows


def save(path: Path, gazed: Gazed) -> None:
    """Write a choice as an .npz file that needs no pickle.

    It holds `tokens` (all frames' ids `row * cols + col` in gazing order, int32) and
    `num_per_frame` to cut them by, `frame_index`, `frame_seconds`, and `about`: a JSON object with
    grid, canvas, selector and its settings, and the digest of the choice. Of a selector of several
    scales also `cell_boxes` (top, left, bottom and right in tokens, float32), `cell_scale` (0 the
    coarsest) and `cells_per_frame`; `about` has its `scales`, cells along a side.
    """
    kept, request = gazed.kept, gazed.request
    cells = kept.cells or ()
    about = {
        "selector": gazed.selector,
        "budget": request.budget,
        "threshold": request.threshold,
        "seed": request.seed,
        "video_id": request.video_id,
        "rows": kept.rows,
        "cols": kept.cols,
        "token_pixels": request.token_pixels,
        "weights": request.weights,
        "scales": cells[0].sides if cells else None,
        "width": gazed.width,
        "height": gazed.height,
        "kept_sha256": kept.sha256,
    }
    of_cells: dict[str, Any] = {}
    if cells:
        of_cells = {
            "cell_boxes": np.concatenate([frame.boxes for frame in cells]),
            "cell_scale": np.concatenate([frame.scale for frame in cells]),
            "cells_per_frame": np.array([frame.scale.size for frame in cells], dtype=np.int32),
        }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        tokens=np.concatenate(kept.tokens),
        num_per_frame=np.array([ids.size for ids in kept.tokens], dtype=np.int32),
        frame_index=gazed.frame_index,
        frame_seconds=gazed.frame_seconds,
        about=np.array(json.dumps(about, sort_keys=True)),
        **of_cells,
    )
    write_bytes(path, [buffer.getvalue()])
