import numpy as np
import pytest
import torch
from PIL import Image

from gaze.grid import Pyramid as Grid
from gaze.train.pyramid import Pyramid
from gaze.train.sequences import Sequences

LUMA = np.array([0.299, 0.587, 0.114])


def resized(plane, size):
    """One plane of floats, by Pillow: a scaling that is not ours."""
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32), mode="F")
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float64)


def paint_by_hand(video, clip, sides, patch):
    """Losses of one clip, cell by cell and channel by channel."""
    size, grid = sides[-1] * patch, Grid(sides)
    video = video.astype(np.float64)
    deviation = (video * LUMA.reshape(1, 3, 1, 1)).sum(1).std()
    picture = np.full((3, size, size), 128.0)
    losses = []
    for frame, ids in zip(video, clip, strict=True):
        for cell in sorted(ids):  # ids grow from coarse to fine
            place = grid.locate(cell)
            side, row, col = sides[int(place.scale)], int(place.row), int(place.col)
            own = slice(row * patch, (row + 1) * patch), slice(col * patch, (col + 1) * patch)
            wide = size // side
            there = slice(row * wide, (row + 1) * wide), slice(col * wide, (col + 1) * wide)
            for channel in range(3):
                small = resized(frame[channel], side * patch)
                picture[channel][there] = resized(small[own], wide)
        losses.append(np.abs(picture - frame).mean() / deviation)
    return losses


@pytest.mark.parametrize(
    ("sides", "patch"), [((2, 4, 7, 14), 16), ((1, 2, 6), 4)], ids=["released", "small"]
)
def test_losses_are_those_of_painting_cell_by_cell(pixels, sides, patch):
    rng = np.random.default_rng(3)
    pyramid = Pyramid(sides, patch_size=patch)
    video = pixels(2, 3, pyramid.size, seed=1)
    total = sum(pyramid.cells_per_scale)
    clips = [
        [[int(i) for i in rng.permutation(total)[: rng.integers(0, total // 4)]] for _ in range(3)]
        for _ in range(2)
    ]
    clips[0][1] = []  # a frame that keeps nothing shows the last picture
    found = pyramid.losses(video, Sequences.from_lists(clips).gaze(pyramid.cells_per_scale))
    expected = [
        paint_by_hand(one.numpy(), clip, sides, patch)
        for one, clip in zip(video, clips, strict=True)
    ]
    assert np.abs(found.numpy() - expected).max() < 1e-4


def test_order_of_gazing_does_not_matter_and_all_cells_lose_nothing(pixels):
    pyramid = Pyramid()
    video = pixels(1, 2, 224)
    everything = list(range(265))
    shuffled = torch.randperm(265).tolist()
    gaze = Sequences.from_lists([[everything, shuffled]]).gaze(pyramid.cells_per_scale)
    assert pyramid.losses(video, gaze).abs().max() < 1e-5


def test_the_first_picture_is_mid_grey_over_the_deviation_of_luma():
    pyramid = Pyramid((1, 2), patch_size=4)
    video = torch.full((1, 1, 3, 8, 8), 128, dtype=torch.uint8)
    video[..., :4] = 188
    nothing = torch.zeros(1, 1, 5, dtype=torch.bool)
    loss = float(pyramid.table(video).losses(nothing))
    assert loss == pytest.approx(30 / 30)


def test_frames_of_another_size_are_refused(pixels):
    with pytest.raises(ValueError, match="3 x 224 x 224"):
        Pyramid().table(pixels(1, 1, 112))
