import av
import numpy as np
import pytest

from hlvid.pixels import ToRgb
from hlvid.video import UnsupportedVideo, VideoReader

pytestmark = pytest.mark.usefixtures("index_notes")

BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)
MPEG, JPEG = 1, 2

TURNS = {
    # (a, b, c, d): (degrees, mirrored, what numpy makes of the stored picture)
    (1, 0, 0, 1): (0, False, lambda p: p),
    (0, 1, -1, 0): (90, False, lambda p: p.transpose(1, 0, 2)[:, ::-1]),
    (-1, 0, 0, -1): (180, False, lambda p: p[::-1, ::-1]),
    (0, -1, 1, 0): (270, False, lambda p: p.transpose(1, 0, 2)[::-1]),
    (-1, 0, 0, 1): (0, True, lambda p: p[:, ::-1]),
    (1, 0, 0, -1): (180, True, lambda p: p[::-1]),
    (0, 1, 1, 0): (90, True, lambda p: p.transpose(1, 0, 2)),
    (0, -1, -1, 0): (270, True, lambda p: p.transpose(1, 0, 2)[::-1, ::-1]),
}


def planar_frame(rng, *, width, height, matrix, colour_range):
    """A frame of random luma and chroma without subsampling."""
    yuv = rng.integers(16, 236, (3, height, width), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(yuv, "yuv444p", channel_last=False)
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame, yuv.astype(float)


def rgb_by_formula(yuv, kr_kb, *, is_full):
    """ITU-R BT.601-7, 2.5; BT.709-6, 3; BT.2020-2, table 4; in 8 bits."""
    (kr, kb), (y, cb, cr) = kr_kb, yuv
    y, cb, cr = (
        (y / 255, (cb - 128) / 255, (cr - 128) / 255)
        if is_full
        else ((y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224)
    )
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)


@pytest.mark.parametrize("size", [(64, 48), (33, 17), (1, 1), (1281, 4)])
@pytest.mark.parametrize(
    ("matrix", "kr_kb"), [(1, BT709), (5, BT601), (6, BT601), (9, BT2020), (2, None)]
)
@pytest.mark.parametrize("colour_range", [MPEG, JPEG, 0])
def test_rgb_is_what_the_standards_formula_gives(size, matrix, kr_kb, colour_range):
    width, height = size
    frame, yuv = planar_frame(
        np.random.default_rng(0),
        width=width,
        height=height,
        matrix=matrix,
        colour_range=colour_range,
    )
    # Undeclared: BT.709 from 1280 columns on, limited range.
    kr_kb = kr_kb or (BT709 if width >= 1280 else BT601)
    expected = rgb_by_formula(yuv, kr_kb, is_full=colour_range == JPEG)
    pixels = ToRgb(width=width, height=height)(frame)
    assert pixels.shape == (height, width, 3)
    assert np.abs(pixels - expected).max() <= 1.5


def test_undeclared_matrix_follows_the_size():
    for width, height, kr_kb in ((1279, 719, BT601), (1280, 2, BT709), (2, 720, BT709)):
        frame, yuv = planar_frame(
            np.random.default_rng(1), width=width, height=height, matrix=2, colour_range=MPEG
        )
        expected = rgb_by_formula(yuv, kr_kb, is_full=False)
        assert np.abs(ToRgb(width=width, height=height)(frame) - expected).max() <= 1.5


def test_shrinking_averages():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    frame = av.VideoFrame.from_ndarray(stripes, "rgb24").reformat(format="yuv444p")
    small = ToRgb(width=16, height=16)(frame)
    assert small.shape == (16, 16, 3)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 128).max() <= 4


def chart():
    """Four quadrants of one colour each."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:] = (200, 40, 40), (40, 200, 40)
    pixels[24:, :32], pixels[24:, 32:] = (40, 40, 200), (200, 200, 40)
    return pixels


@pytest.mark.parametrize("codec", ["h264", "vp9"])
@pytest.mark.parametrize("matrix", list(TURNS))
def test_frames_are_turned_upright(clips, codec, matrix):
    stored = clips.make(codec, name="chart", num_frames=2, pictures=[chart()] * 2)
    path = clips.turn(stored, f"turned-{codec}.mp4", matrix)
    degrees, is_mirrored, turn = TURNS[matrix]
    (plain,) = VideoReader(stored).frames([1])
    with VideoReader(path) as reader:
        assert (reader.info.rotation_degrees, reader.info.is_mirrored) == (degrees, is_mirrored)
        (frame,) = reader.frames([1])
        assert (reader.info.height, reader.info.width) == frame.pixels.shape[:2]
    assert np.array_equal(frame.pixels, turn(plain.pixels))
    assert np.abs(frame.pixels.astype(int) - turn(chart())).mean() < 12
    (small,) = VideoReader(path, size=(24, 20)).frames([1])
    assert small.pixels.shape == (20, 24, 3)
    assert np.array_equal(small.pixels[2, 2] > 120, turn(chart())[2, 2] > 120)


def test_turns_survive_matroska(clips):
    stored = clips.make(name="chart", num_frames=2, pictures=[chart()] * 2)
    turned = clips.turn(stored, "turned.mp4", (0, 1, -1, 0))
    info = VideoReader(clips.remux(turned, "turned.mkv")).info
    assert (info.rotation_degrees, info.width, info.height) == (90, 48, 64)


def test_slanted_videos_are_refused(clips):
    path = clips.turn(clips.make(), "slanted.mp4", (1, 1, -1, 1))
    with pytest.raises(UnsupportedVideo, match="is no quarter turn"):
        VideoReader(path)


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_odd_sizes_are_whole(clips, codec):
    path = clips.make(codec, "mkv", name="odd", size=(65, 47))
    (frame,) = VideoReader(path).frames([3])
    assert frame.pixels.shape == (47, 65, 3)
    everything = clips.decoded(path)
    luma = np.frombuffer(everything[3].planes[0], np.uint8)
    luma = luma.reshape(47, -1)[:, :65].astype(float)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs((frame.pixels @ weights) - np.clip((luma - 16) * 255 / 219, 0, 255)).mean() < 8


def test_odd_sizes_without_subsampling_are_read(clips):
    for codec in ("h264", "hevc"):
        path = clips.make(codec, name="odd", size=(65, 47), pixel_format="yuv444p")
        (frame,) = VideoReader(path).frames([3])
        assert frame.pixels.shape == (47, 65, 3)


def test_oblong_pixels_become_square(clips):
    wide = clips.make("h264", name="wide", aspect="4/3")
    tall = clips.make("hevc", name="tall", aspect="2/3")
    nearly = clips.make("h264", name="nearly", aspect="200/201")
    assert (VideoReader(wide).info.width, VideoReader(wide).info.height) == (85, 48)
    assert (VideoReader(tall).info.width, VideoReader(tall).info.height) == (64, 72)
    assert (VideoReader(nearly).info.width, VideoReader(nearly).info.height) == (64, 48)
    assert VideoReader(wide).info.pixel_aspect_ratio == pytest.approx(4 / 3)
    (frame,) = VideoReader(tall).frames([2])
    assert frame.pixels.shape == (72, 64, 3)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
@pytest.mark.parametrize("colours", [(1, 1, 1, 1), (6, 2, 6, 6)])
def test_declared_colours_come_back(clips, codec, colours):
    name = f"colours-{colours[0]}"
    path = clips.make(
        codec, name=name, num_frames=2, pictures=[chart()] * 2, colours=colours, size=(64, 48)
    )
    with VideoReader(path) as reader:
        assert reader.info.matrix == ("bt709" if colours[0] == 1 else "bt601")
        assert reader.info.is_full_range == (colours[1] == JPEG)
        (frame,) = reader.frames([0])
    for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
        assert np.abs(frame.pixels[y, x].astype(int) - chart()[y, x]).max() <= 6
