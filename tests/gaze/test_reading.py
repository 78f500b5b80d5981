import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from gaze.reading import MOST_TIMES_AS_LONG, Line, TextReader, _no_strip, _windows, shared_reader
from gaze.selectors import budget_tokens, select
from gaze.selectors.text import under_boxes
from gaze.views import Views

LINES = {"SPEED LIMIT 45": (64, 96), "OPEN": (900, 192)}


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return shared_reader()


@pytest.fixture(scope="module")
def sign() -> np.ndarray:
    """A small frame with text in two places."""
    image = Image.new("RGB", (1040, 256), (96, 120, 140))
    draw = ImageDraw.Draw(image)
    for text, place in LINES.items():
        draw.text(place, text, font=ImageFont.load_default(28), fill="white")
    return np.asarray(image)


@pytest.fixture(scope="module")
def lines(reader: TextReader, sign: np.ndarray) -> list[Line]:
    return reader.read(sign)


def test_text_is_read_where_it_is(lines: list[Line]) -> None:
    found = {line.text: line for line in lines}
    assert set(found) == set(LINES)
    for text, (x, y) in LINES.items():
        assert found[text].score > 0.9
        assert np.abs(found[text].box.min(axis=0) - (x, y)).max() < 12


def test_boxes_come_surest_first_and_are_those_that_are_read(
    reader: TextReader, sign: np.ndarray, lines: list[Line]
) -> None:
    boxes = reader.detect(sign)
    assert boxes.shape == (2, 4, 2)
    read = {tuple(line.box.min(axis=0)) for line in lines}
    assert {tuple(box.min(axis=0)) for box in boxes} == read


@pytest.mark.parametrize("size", [(20, 300), (300, 20), (33, 900)])
def test_a_strip_is_read_without_gigabytes(reader: TextReader, size: tuple[int, int]) -> None:
    height, width = size
    image = Image.new("RGB", (width, height), "white")
    word = "OPEN" if size == (20, 300) else ""
    ImageDraw.Draw(image).text((20, 0), word, font=ImageFont.load_default(16), fill="black")
    strip = np.asarray(image)
    assert max(_no_strip(strip).shape[:2]) == max(size)
    assert max(_no_strip(strip).shape[:2]) <= MOST_TIMES_AS_LONG * min(_no_strip(strip).shape[:2])
    assert [line.text for line in reader.read(strip)] == ([word] if word else [])
    boxes = reader.detect(strip)
    assert (boxes >= 0).all() and (boxes.reshape(-1, 2) <= (width, height)).all()


@pytest.mark.parametrize("size", [(750, 800), (896, 737), (1081, 1923)])
def test_a_frame_of_any_size_is_read(reader: TextReader, size: tuple[int, int]) -> None:
    height, width = size
    image = Image.new("RGB", (width, height), (96, 120, 140))
    draw = ImageDraw.Draw(image)
    draw.text(
        (width - 300, height - 60), "OPEN LATE", font=ImageFont.load_default(28), fill="white"
    )
    assert [line.text for line in reader.read(np.asarray(image))] == ["OPEN LATE"]


def test_a_sign_alone_in_a_grey_4k_frame_is_read_at_full_size(reader: TextReader) -> None:
    image = Image.new("RGB", (3840, 2160), (128, 128, 128))
    draw = ImageDraw.Draw(image)
    draw.rectangle((760, 1320, 960, 1380), fill=(96, 120, 140))
    draw.text((776, 1336), "ARAMEL DENIM", font=ImageFont.load_default(22), fill="white")
    (line,) = reader.read(np.asarray(image))
    assert line.text == "ARAMEL DENIM"
    assert np.abs(line.box.min(axis=0) - (776, 1336)).max() < 12


@given(st.integers(736, 9000))
def test_windows_own_every_pixel_once_and_see_beyond_what_they_own(length: int) -> None:
    windows = _windows(length)
    owned = [(window.own.start, window.own.stop) for window in windows]
    assert [start for start, _ in owned] + [length] == [0] + [stop for _, stop in owned]
    for window in windows:
        side = window.seen.stop - window.seen.start
        assert side == length or (side % 32 == 0 and 736 <= side <= 896)
        assert window.seen.start >= 0 and window.seen.stop <= length
        assert window.seen.start == 0 or window.inside.start >= 64
        assert window.seen.stop == length or window.seen.stop - window.own.stop >= 64
        assert window.own.start - window.inside.start == window.seen.start


def test_specks_of_a_textured_frame_do_not_use_up_the_boxes(reader: TextReader) -> None:
    is_text = np.zeros((1, 1, 1080, 1920), dtype=np.float32)
    is_text[0, 0, 100:120, 300:500] = 0.9
    is_text[0, 0, 200::8, ::8] = 0.9
    boxes, _ = reader._detector.postprocess_op(is_text, (1080, 1920))
    assert any(np.ptp(np.asarray(box)[:, 0]) > 150 for box in boxes)


def test_a_frame_without_text_gives_nothing(reader: TextReader) -> None:
    blank = np.full((200, 300, 3), 128, dtype=np.uint8)
    assert reader.read(blank) == []
    assert reader.detect(blank).shape == (0, 4, 2)


def test_reading_twice_gives_the_same(
    reader: TextReader, sign: np.ndarray, lines: list[Line]
) -> None:
    again = reader.read(sign)
    assert len(again) == len(lines)
    for one, other in zip(again, lines, strict=True):
        assert (one.text, one.score) == (other.text, other.score)
        assert np.array_equal(one.box, other.box)


def test_text_selector_keeps_text_first_and_spends_the_rest_on_detail(sign: np.ndarray) -> None:
    canvas = sign[None]
    kept = select("text", canvas, budget=0.3, seed=0, video_id="v")
    assert kept.num_tokens == budget_tokens(0.3, 8 * 33)
    mask = kept.mask(0)
    assert mask[3, 2:8].all() and mask[6, 29:30].all()
    few = select("text", canvas, budget=None, num_kept=[10], seed=0, video_id="v")
    assert few.num_tokens == 10


def test_tokens_under_boxes_follow_the_boxes() -> None:
    views = Views(128, 128)
    second = [[70, 70], [90, 70], [90, 90], [70, 90]]
    first = [[0, 0], [60, 0], [60, 20], [0, 20]]
    assert under_boxes(np.array([first, second], dtype=np.float32), views).tolist() == [0, 1, 10]
    assert under_boxes(np.array([second, first], dtype=np.float32), views).tolist() == [10, 0, 1]
    assert under_boxes(np.empty((0, 4, 2), dtype=np.float32), views).size == 0


def test_a_slanted_box_covers_no_token_beside_it() -> None:
    slanted = np.array([[[0, 0], [16, 0], [128, 112], [112, 128]]], dtype=np.float32)
    tokens = under_boxes(slanted, Views(128, 128)).tolist()
    assert {0, 5, 10, 15} <= set(tokens)
    assert not {2, 3, 7, 8, 12, 13} & set(tokens)
