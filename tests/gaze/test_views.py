import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaze.views import Views, chunks

canvases = st.builds(
    Views,
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    token_pixels=st.sampled_from([8, 14, 16, 28, 32]),
    size=st.sampled_from([3, 14]),
)


@given(canvases)
def test_every_token_lies_in_exactly_one_view(views: Views) -> None:
    seen = np.concatenate([views.tokens(view) for view in range(views.num_views)])
    assert sorted(seen.tolist()) == list(range(views.rows * views.cols))
    for view in range(views.num_views):
        tokens = views.tokens(view)
        assert np.all(views.view_of[tokens] == view)
        assert tokens.size == views.num_cells[view] > 0
        assert np.count_nonzero(~views.forbidden(view)) == tokens.size


@given(canvases)
def test_tokens_partly_outside_exist_and_tokens_wholly_outside_do_not(views: Views) -> None:
    assert (views.rows - 1) * views.token_pixels < views.height <= views.rows * views.token_pixels
    assert (views.cols - 1) * views.token_pixels < views.width <= views.cols * views.token_pixels


def test_a_4k_frame_has_45_views() -> None:
    views = Views(2160, 3840)
    assert (views.rows, views.cols, views.shape) == (68, 120, (5, 9))
    assert views.num_cells.reshape(5, 9)[:, -1].tolist() == [112, 112, 112, 112, 96]
    assert np.argwhere(~views.forbidden(44)).max(axis=0).tolist() == [11, 7]


@given(st.integers(1, 90), st.integers(1, 90))
def test_cutting_replicates_the_edge_and_moves_no_pixel(height: int, width: int) -> None:
    views = Views(height, width, token_pixels=8, size=3)
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = 24
    rows, cols = views.shape
    padded = np.pad(
        frame, ((0, rows * side - height), (0, cols * side - width), (0, 0)), mode="edge"
    )
    whole = padded.reshape(rows, side, cols, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    assert np.array_equal(views.cut(frame), whole)


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="is not"):
        Views(64, 64).cut(np.zeros((64, 65, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="positive"):
        Views(0, 64)


@pytest.mark.parametrize(
    ("num_frames", "sizes"), [(0, []), (1, [1]), (16, [16]), (17, [16, 1]), (40, [16, 16, 8])]
)
def test_chunks_have_16_frames_and_the_last_may_be_shorter(
    num_frames: int, sizes: list[int]
) -> None:
    frames = [np.full((1, 1, 3), frame, dtype=np.uint8) for frame in range(num_frames)]
    held = list(chunks(iter(frames)))
    assert [len(chunk) for chunk in held] == sizes
    assert [int(frame[0, 0, 0]) for chunk in held for frame in chunk] == list(range(num_frames))


STREAM = """
import sys
from pathlib import Path
import numpy as np
from gaze.selectors import Request, select_stream
from gaze.views import Views

def frames(num):
    views = Views(2160, 3840)
    for frame in range(num):
        pixels = np.full((2160, 3840, 3), frame % 256, dtype=np.uint8)
        views.cut(pixels)
        yield pixels

num = int(sys.argv[1])
request = Request(seed=0, video_id="v", budget=0.1)
kept = select_stream("uniform", frames(num), request, size=(3840, 2160), num_frames=num)
assert kept.num_frames == num
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])  # getrusage would tell the parent's peak
"""


def test_memory_does_not_grow_with_the_number_of_4k_frames() -> None:
    peaks = [
        int(subprocess.check_output([sys.executable, "-c", STREAM, str(num)])) for num in (32, 96)
    ]
    assert abs(peaks[1] / peaks[0] - 1) < 0.1
    assert max(peaks) < 800 * 1024
