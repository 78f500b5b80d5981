"""A text detector as a selector."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gaze.reading import shared_reader
from gaze.selectors.content import by_detail
from gaze.selectors.protocol import Chunk, selector
from gaze.views import Ids, Views

POINTS = 8
"""Points along a token's side at which it is tested against a box."""


@selector(is_control=True, notes=("shares the reader's detector",), reads="tokens")
def text(chunk: Chunk) -> Sequence[Ids]:
    """Keeps the cells under detected text, surest box first, then detail.

    What a view has left is spent in the order of gradient energy, largest first.
    """
    reader, views = shared_reader(), chunk.views
    orders = []
    for frame in chunk.frames:
        under_text = under_boxes(reader.detect(frame), views)
        rest = by_detail(frame, views)
        orders.append(np.concatenate([under_text, rest[~np.isin(rest, under_text)]]))
    return orders


def under_boxes(boxes: NDArray[np.float32], views: Views) -> Ids:
    """Tokens that a box touches, in the order of the boxes and in raster order within one.

    Args:
        boxes: Corners (x, y) in pixels of the canvas, (num_boxes, 4, 2).
        views: Of the canvas.
    """
    none = len(boxes)
    points = Image.new("I", (views.cols * POINTS, views.rows * POINTS), none)
    draw = ImageDraw.Draw(points)
    for box in reversed(range(none)):
        corners = np.floor(boxes[box] * (POINTS / views.token_pixels))
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=box)
    rank = np.asarray(points).reshape(views.rows, POINTS, views.cols, POINTS).min(axis=(1, 3))
    order = np.argsort(rank, axis=None, kind="stable").astype(np.int32)
    return order[: np.count_nonzero(rank < none)]
