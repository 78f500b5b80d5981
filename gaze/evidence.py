"""Where evidence lies on the token grid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gaze.views import Views
from hlvid.types import Evidence

RECALLED_COVER = 0.9 - 1e-9
"""Share of an evidence box that kept tokens must cover in one frame: 90 %, summed in floats."""


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
