"""Evidence recall: did the kept tokens show what the question is about? Needs no model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaze.selectors.kept import Kept
from gaze.views import TOKEN_PIXELS, Views
from hlvid.types import Evidence

RECALLED_COVER = 0.9
"""Share of the evidence box that kept tokens must cover in one frame."""
ROUNDING = 1e-9


@dataclass(frozen=True)
class Recall:
    """What of a question's evidence was kept.

    Args:
        temporal_hit: A sampled frame lies inside an evidence span; no selector can change it.
        spatial_cover: Largest share of the box covered by kept tokens in one such frame, 0 to 1;
            None without a temporal hit.
        is_recalled: The cover is at least 90 %.
    """

    temporal_hit: bool
    spatial_cover: float | None
    is_recalled: bool


def evidence_recall(
    kept: Kept,
    frame_seconds: Sequence[float] | NDArray[np.float64],
    evidence: Sequence[Evidence],
    *,
    width: int,
    height: int,
    token_pixels: int = TOKEN_PIXELS,
) -> Recall:
    """Say whether kept tokens show the evidence of a question.

    Args:
        kept: On the canvas of source size.
        frame_seconds: When each sampled frame is shown, in seconds.
        evidence: Alternatives: any one of them is enough.
        width: Of the displayed frame, in pixels.
        height: Of the displayed frame, in pixels.
        token_pixels: Side of a native token.

    Raises:
        ValueError: Grid or number of frames do not fit, or there is no evidence.
    """
    views = Views(height, width, token_pixels)
    if (kept.rows, kept.cols) != (views.rows, views.cols):
        raise ValueError(
            f"grid {(kept.rows, kept.cols)} is not that of {width}x{height} in {token_pixels} px"
        )
    if kept.num_frames != len(frame_seconds):
        raise ValueError(f"{kept.num_frames} frames were kept from, {len(frame_seconds)} are timed")
    if not evidence:
        raise ValueError("a question without evidence has no recall")
    covers = [
        float(box_cover(box, views)[kept.mask(frame)].sum())
        for frame, seconds in enumerate(frame_seconds)
        for box in boxes_shown(evidence, float(seconds))
    ]
    if not covers:
        return Recall(temporal_hit=False, spatial_cover=None, is_recalled=False)
    cover = min(max(covers), 1.0)
    return Recall(
        temporal_hit=True,
        spatial_cover=cover,
        is_recalled=cover >= RECALLED_COVER - ROUNDING,
    )


def boxes_shown(
    evidence: Sequence[Evidence], seconds: float
) -> list[tuple[float, float, float, float]]:
    """The boxes (x0, y0, x1, y1) of all evidence that is shown at a moment."""
    boxes = (one.box_at(seconds) for one in evidence)
    return [box for box in boxes if box is not None]


def box_cover(box: tuple[float, float, float, float], views: Views) -> NDArray[np.float64]:
    """Share of a box's visible pixels that lies in each token, (rows, cols); sums to 1.

    A box that lies wholly outside the canvas gives zeros.
    """
    x0, y0, x1, y1 = box
    across = _overlap(x0, min(x1, views.width), views.cols, views.token_pixels)
    down = _overlap(y0, min(y1, views.height), views.rows, views.token_pixels)
    area = float(across.sum() * down.sum())
    cover: NDArray[np.float64] = (
        np.outer(down, across) / area if area > 0 else np.outer(down, across)
    )
    return cover


def _overlap(start: float, end: float, num: int, pixels: int) -> NDArray[np.float64]:
    edges = np.arange(num + 1, dtype=np.float64) * pixels
    overlap: NDArray[np.float64] = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
    return np.maximum(overlap, 0.0)
