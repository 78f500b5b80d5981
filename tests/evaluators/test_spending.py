"""What spends without looking never spends more than it may: it is infeasible instead."""

import numpy as np
import pytest

from evaluators.canvas import Canvas, Shape
from evaluators.examinee import Infeasible, View
from evaluators.models.qwen.streams import show
from evaluators.variants import make_variant
from gaze.selectors import Kept
from hlvid.types import CHEAPER_OFF, ArmSettings

ROWS, COLS, SLICES = 6, 7, 8
GAZE = ArmSettings(gaze="on", selector="random", budget=0.3)


def view_of(variant, tokens, pairing="stock"):
    """A partner kept so many tokens of all slices, as many of the first ones as it could."""
    shape = Shape(canvas="native", token_pixels=4, pairing=pairing)
    num_frames = 2 * SLICES if pairing == "stock" else SLICES
    pixels = np.zeros((num_frames, 4 * ROWS, 4 * COLS, 3), dtype=np.uint8)
    canvas = Canvas(pixels, np.arange(num_frames) * 1.0, "0" * 64, "0" * 64, 1.0, shape)
    counts = [min(ROWS * COLS, max(0, tokens - ROWS * COLS * i)) for i in range(SLICES)]
    kept = Kept(tuple(np.arange(n, dtype=np.int32) for n in counts), ROWS, COLS)
    return View(canvas, kept, canvas.views, make_variant(variant, partner=GAZE))


@pytest.mark.parametrize("variant", CHEAPER_OFF)
@pytest.mark.parametrize("tokens", [1, 2, 7, 8, 9, 41, 42, 43, 100, 335, 336])
def test_never_more_than_the_partner_kept(variant, tokens):
    try:
        (video,) = show(view_of(variant, tokens), None)
    except Infeasible:
        least = {"fewer-frames": ROWS * COLS, "lower-resolution": SLICES}.get(variant, 1)
        assert tokens < least
    else:
        assert 0 < video.stream.num_all <= tokens


@pytest.mark.parametrize(
    ("variant", "pairing", "said"),
    [
        (
            "fewer-frames",
            "stock",
            "a pair of frames has 42 tokens, more than the 5 that may be spent. Use more --frames",
        ),
        ("fewer-frames", "repeat", "a frame has 42 tokens, more than the 5"),
        (
            "lower-resolution",
            "stock",
            "a token for each pair of frames makes 8, more than the 5 that may be spent. Use a "
            "larger --canvas",
        ),
    ],
)
def test_what_does_not_fit_is_said(variant, pairing, said):
    with pytest.raises(Infeasible, match=said):
        show(view_of(variant, 5, pairing), None)


def test_what_may_spend_nothing_cannot_run():
    for variant in CHEAPER_OFF:
        with pytest.raises(Infeasible):
            show(view_of(variant, 0), None)
