"""What hlvid-synthetic asks can be read in the 4K frame, and cannot be in a small one."""

from collections import defaultdict
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image
from rapidfuzz import fuzz

from gaze.reading import TextReader
from hlvid.synthetic import RenderSettings, Scene, drawing, encoding, generate
from hlvid.types import Question

SETTINGS = RenderSettings(seed=1, seconds=100)
NUM_CROPS = 100
CROP_WIDTH, CROP_HEIGHT = 640, 160
GAP = 32
COLUMNS = 4
SMALL_WIDTH = 448
BACKDROPS = ("far", "room")
"""What is seen behind houses and screens, and never behind small print."""


@pytest.fixture(scope="module")
def crops() -> list[tuple[Question, np.ndarray]]:
    """The first text questions of unseen videos, each with what surrounds its evidence."""
    found: list[tuple[Question, np.ndarray]] = []
    index = 0
    while len(found) < NUM_CROPS:
        _, questions, scene = generate(SETTINGS, index)
        by_second = defaultdict(list)
        for question in questions:
            if question.capability == "text":
                by_second[middle_second(question)].append(question)
        for second, asked in by_second.items():
            found += views(scene, second, asked)
        index += 1
    return found[:NUM_CROPS]


@pytest.fixture(scope="module")
def decoded(crops, tmp_path_factory) -> np.ndarray:
    """All crops on one sheet, as they come out of the video file, (height, width, 3)."""
    file = tmp_path_factory.mktemp("crops") / "crops.mp4"
    encoding.encode([sheet([planes for _, planes in crops])], file, fps=1)
    with av.open(str(file)) as opened:
        return next(opened.decode(video=0)).to_ndarray(format="rgb24")


def middle_second(question: Question) -> int:
    evidence = question.evidence[0]
    return int((evidence.start_seconds + evidence.end_seconds) / 2)


def views(scene: Scene, second: int, asked: list[Question]) -> list[tuple[Question, np.ndarray]]:
    """Crops of one frame; only what is near the evidence is drawn, to save time."""
    places = {question.question_id: crop_at(question, second) for question in asked}
    shots = []
    for shot in scene.shots:
        layers = []
        for layer in shot.layers:
            shift = layer.speed * (second - shot.start_seconds)
            near = [
                thing
                for thing in layer.things
                if thing.kind not in BACKDROPS
                and any(
                    x - 80 < thing.x + shift + thing.width
                    and thing.x + shift < x + CROP_WIDTH + 80
                    and y - 80 < thing.y + thing.height
                    and thing.y < y + CROP_HEIGHT + 80
                    for x, y in places.values()
                )
            ]
            layers.append(replace(layer, things=tuple(near)))
        shots.append(replace(shot, layers=tuple(layers)))
    frame = drawing.frame_at(replace(scene, shots=tuple(shots)), second)
    return [(question, cut(frame, *places[question.question_id])) for question in asked]


def crop_at(question: Question, second: int) -> tuple[int, int]:
    """The upper left corner, both even, of a crop with the evidence in its middle."""
    x0, y0, x1, y1 = question.evidence[0].box_at(second)
    left = min(max(0, int(x0 + x1 - CROP_WIDTH) // 4 * 2), 3840 - CROP_WIDTH)
    top = min(max(0, int(y0 + y1 - CROP_HEIGHT) // 4 * 2), 2160 - CROP_HEIGHT)
    return left, top


def cut(frame: np.ndarray, left: int, top: int) -> np.ndarray:
    """A part of a frame, as planes one under the other: luma, then both chromas."""
    luma = frame[top : top + CROP_HEIGHT, left : left + CROP_WIDTH]
    chroma = frame[2160:].reshape(2, 1080, 1920)
    rows, columns = slice(top // 2, (top + CROP_HEIGHT) // 2), slice(left // 2, None)
    half = chroma[:, rows, columns][:, :, : CROP_WIDTH // 2]
    return np.concatenate([luma, half.reshape(-1, CROP_WIDTH)])


def sheet(planes: list[np.ndarray]) -> np.ndarray:
    """Crops side by side on grey, as one frame of YUV 4:2:0."""
    rows = -(-len(planes) // COLUMNS)
    height, width = rows * (CROP_HEIGHT + GAP), COLUMNS * (CROP_WIDTH + GAP)
    block = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
    chroma = block[height:].reshape(2, height // 2, width // 2)
    for number, part in enumerate(planes):
        x, y = place(number)
        block[y : y + CROP_HEIGHT, x : x + CROP_WIDTH] = part[:CROP_HEIGHT]
        half = part[CROP_HEIGHT:].reshape(2, CROP_HEIGHT // 2, CROP_WIDTH // 2)
        x, y = x // 2, y // 2
        chroma[:, y : y + CROP_HEIGHT // 2, x : x + CROP_WIDTH // 2] = half
    return block


def place(number: int) -> tuple[int, int]:
    row, column = divmod(number, COLUMNS)
    return column * (CROP_WIDTH + GAP), row * (CROP_HEIGHT + GAP)


def is_right(reader: TextReader, pixels: np.ndarray, questions: list[Question]) -> list[bool]:
    """Read a sheet of crops; for each, whether the best supported option is the key."""
    lines = defaultdict(list)
    for line in reader.read(pixels):
        x, y = line.box.mean(axis=0)
        lines[int(y) // (CROP_HEIGHT + GAP), int(x) // (CROP_WIDTH + GAP)].append(line.text)
    return [
        question.answer == best_supported(lines[divmod(number, COLUMNS)], question)
        for number, question in enumerate(questions)
    ]


def best_supported(lines: list[str], question: Question) -> str | None:
    """The letter of the option that some line is nearest to; None where none or several are."""
    scores = [
        max((fuzz.ratio(plain(choice), plain(line)) for line in lines), default=0)
        for choice in question.choices
    ]
    best = max(scores)
    return None if best < 50 or scores.count(best) > 1 else question.letters[scores.index(best)]


def plain(text: str) -> str:
    return "".join(character for character in text.upper() if character.isalnum())


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader()


def test_small_print_is_legible_at_native_size(reader, crops, decoded):
    right = is_right(reader, decoded, [question for question, _ in crops])
    assert len(right) == NUM_CROPS
    assert sum(right) >= 95


def test_small_print_is_lost_at_448_pixels(reader, crops, decoded):
    image = Image.fromarray(decoded)
    share = SMALL_WIDTH / 3840
    size = round(image.width * share), round(image.height * share)
    small = image.resize(size, Image.Resampling.BOX)
    back = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))
    right = is_right(reader, back, [question for question, _ in crops])
    interval = 1.96 * (0.25 * 0.75 / NUM_CROPS) ** 0.5
    assert np.mean(right) <= 0.25 + interval
