import numpy as np
import pytest

from evaluators.arms import OFF, make_arm
from evaluators.canvas import decode
from evaluators.examinee import GREY, View
from evaluators.gazing import Place, choose_all
from evaluators.halting import Halt
from evaluators.models import find
from evaluators.models.ocr import NOTHING, Seen, best_supported, similarity, tidy
from evaluators.timing import Stopwatch
from gaze.views import Views
from hlvid.datasets import read
from hlvid.grading import extract_letter

PHONES = {"A": "087 987 763", "B": "087 087 703", "C": "087 987 703", "D": "087 087 763"}
STEM = 'What phone number is written under "GALLERY" on the red shop sign?'


def best(lines, *, stem=STEM, letters=PHONES):
    frames = [[Seen(*line) for line in lines]]
    return best_supported(stem, letters, frames, diagonal=4405.0)


def test_the_option_that_was_read_is_taken():
    assert best([("087 087703", 100, 100)]) == "B"


def test_among_options_that_were_read_the_one_nearest_to_the_quoted_words_is_taken():
    elsewhere = [("087 987 763", 3000, 2000), ("087 087 703", 3000, 100)]
    assert best([("GALLERY", 100, 100), ("087 987 703", 100, 160), *elsewhere]) == "C"
    assert best([("GALLERY", 3000, 50), ("087 987 703", 100, 160), *elsewhere]) == "B"


def test_a_misread_character_near_the_quoted_words_counts_more_than_a_perfect_line_far_away():
    lines = [("GALLERY", 100, 100), ("O87 987 703", 100, 160), ("087 087 763", 3000, 2000)]
    assert best(lines) == "C"


def test_nothing_read_or_two_options_read_alike_is_no_answer():
    assert best([]) is None
    assert best([("OPEN", 10, 10)]) is None
    assert best([("087 987 763", 10, 10), ("087 087 703", 10, 10)]) is None
    assert extract_letter(NOTHING, PHONES) is None


def test_short_options_must_be_words_of_their_own():
    letters = {"A": "3", "B": "19", "C": "7", "D": "4"}
    assert best([("SINCE 1937", 10, 10)], letters=letters) is None
    assert best([("BUS 7 NORTH", 10, 10)], letters=letters) == "C"


def test_a_piece_of_an_option_does_not_support_all_that_share_it():
    letters = {"A": "THE SILVER YARN", "B": "THE SILVER BARN"}
    assert best([("THE", 10, 10)], letters=letters) is None
    assert similarity(tidy("THE SILVER YARN"), "THE SILVER") < 100


def test_options_in_other_scripts_and_widths_compare():
    assert tidy("ＡＢＣ-１２ ß") == "abc12ss"
    assert best([("开放时间 上午九点", 1, 1)], letters={"A": "上午九点", "B": "下午三点"}) == "A"


@pytest.fixture(scope="module")
def canvas(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scratch")
    with decode(tiny / "videos" / "v0.mp4", num_frames=2, scratch=folder) as found:
        yield found
    assert list(folder.iterdir()) == []


def view_of(canvas, arm):
    (choice,) = choose_all(Place(canvas, "v0", 0), [arm], Halt()).values()
    width, height = canvas.size
    return View(canvas, choice.kept, Views(height, width))


def test_an_arm_sees_what_it_kept_and_grey_elsewhere(canvas):
    view = view_of(canvas, make_arm("centre-frame", budget=0.2))
    seen = view.frame(0)
    kept = np.kron(view.kept.mask(0), np.ones((32, 32), dtype=bool))[:360, :640]
    assert 0.15 < kept.mean() < 0.25
    assert np.array_equal(seen[kept], canvas.pixels[0][kept])
    assert np.all(seen[~kept] == GREY)


def test_off_sees_the_canvas_itself_and_an_empty_frame_is_not_read(canvas):
    assert view_of(canvas, OFF).frame(1).base is not None
    view = view_of(canvas, make_arm("centre-frame", budget=0.002))
    assert view.kept.num_tokens == 0
    assert view.frame(0) is None
    reader = find("ocr")(seed=0)
    assert reader.count(view, None).encoded == 0
    assert reader.count(view_of(canvas, OFF), None).encoded == 2 * 20 * 12


def test_the_reader_reads_signs_and_answers_by_them(canvas, tiny):
    reader, clock = find("ocr")(seed=0), Stopwatch()
    notes = reader.watch(view_of(canvas, OFF), clock)
    assert {"HARBOUR CAFE", "OPEN 0730"} <= {text for text, _, _ in notes["frames"][0]}
    assert clock.stage_ms["read"] > 0
    for question in read(tiny, root=tiny).questions[:4]:
        assert reader.answer(question, notes, clock).response == question.answer
