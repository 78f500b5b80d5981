"""What training shows: true labels, the adapter's patches, nothing that a benchmark shows."""

import json
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest

from evaluators.pruning import Stream, gather
from evaluators.train import scenes, words
from evaluators.train.looks import (
    CHARACTERS,
    COLOUR,
    COUNT,
    FRAMES,
    PLACE,
    SIDE,
    SLOTS,
    Cells,
    Glyph,
    Look,
    cells_of,
    overlap,
    pick,
)
from evaluators.train.settings import Stage
from evaluators.train.signs import Line, draw_sign
from evaluators.train.tasks import ask_options, draw_task
from gaze.train.scenes import SEEDS as GAZE_SEEDS
from hlvid.prompt import INSTRUCTION, parse
from hlvid.synthetic import photographs
from hlvid.synthetic.casting import MARK_COLOURS
from hlvid.synthetic.strings import KINDS, split_of

CROWD = Stage(
    name="crowd", steps=1, tasks={"exam": 1.0}, looks=1, asks=4, tokens=80, slices=3, whole=0.5,
    distracts=2.0, crowds=0.7, moves=0.4,
)  # fmt: skip


def canvas(num_frames, rows, cols, seed=0):
    rng = np.random.default_rng(seed)
    shape = (num_frames, rows * SIDE, cols * SIDE, 3)
    return rng.integers(0, 256, shape, dtype=np.uint8)


def look_at(pixels, kept, seconds=None):
    """A look at a canvas: every frame a slice, or with two times a slice, every two frames."""
    num = len(kept)
    is_paired = seconds is not None
    frames = [(2 * i, 2 * i + 1) if is_paired else (i, i) for i in range(num)]
    slices = []
    for ids, (first, second) in zip(kept, frames, strict=True):
        both = Cells.pair(cells_of(pixels[first]), cells_of(pixels[second]))
        slices.append(both[np.array(ids)])
    if seconds is None:
        seconds = np.repeat(np.arange(num)[:, None] * 1.5, 2, axis=1)
    rows, cols = pixels.shape[1] // SIDE, pixels.shape[2] // SIDE
    return Look(rows, cols, tuple(slices), seconds), frames


@pytest.mark.parametrize("is_paired", [False, True])
def test_patches_are_those_that_the_adapter_reads_from_a_canvas(is_paired):
    pixels = canvas(4, 3, 5)
    kept = [[14, 2, 7], [0]]
    seconds = np.array([[0.0, 1.0], [2.0, 3.0]]) if is_paired else None
    look, frames = look_at(pixels, kept, seconds)
    index = np.array([2, 7, 14, 15])
    expected = gather(pixels, frames, Stream(2, 3, 5, index))
    assert np.array_equal(look.patch_rows(), expected)
    assert look.stream.index.tolist() == index.tolist()
    assert look.shown().frames == frames


def read_off(cells, row):
    """The characters that a row of cells is labelled with, from left to right."""
    order = np.argsort(cells.ids)
    return "".join(
        CHARACTERS[label - 1]
        for at in order
        if row is None or cells.ids[at] // 1000 == row
        for label in cells.labels[at, 0, :SLOTS]
        if label
    )


def test_labels_spell_what_is_written():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        text = words.draw_text(rng)
        sign = draw_sign(rng, [Line(text, is_about=True)], split="training", place=(3, 2, 1000))
        rows = sorted(set((sign.ids // 1000).tolist()))
        found = sorted("".join(read_off(sign, row) for row in rows))
        wanted = sorted(text.replace(" ", ""))
        # Of a warped line two rows may share the characters; four in a cell lose the last.
        missing = len(wanted) - len(found)
        assert 0 <= missing <= len(wanted) // 4, (text, found)
        assert sign.is_about.any()


def test_a_flat_line_is_labelled_in_order():
    picture = np.zeros((SIDE, 4 * SIDE, 3), dtype=np.uint8)
    glyphs = [Glyph(c, 20.0 * i + 10, 14.0, 0, 20.0, 20.0) for i, c in enumerate("AB-012")]
    cells = cells_of(picture, glyphs, marks=[((70, 0, 128, 32), "red")], counted=[(0, 0, 20, 20)])
    assert read_off(cells, 0) == "AB-012"
    assert cells.labels[:, 0, PLACE].tolist() == [1, 3, 4, 6]
    red = MARK_COLOURS.index("red") + 1
    assert cells.labels[:, 0, COLOUR].tolist() == [0, 0, red, red]
    assert cells.labels[:, 1, COUNT].tolist() == [1, 0, 0, 0]
    patches = cells.labels[:, 0, SLOTS:COLOUR].reshape(4, 2, 2)
    top = "".join(CHARACTERS[label - 1] for label in patches[:, 0].ravel() if label)
    assert top == "AB--0122"  # by the middles of patches at 8, 24, 40, ... pixels
    assert (patches[:, 1] == patches[:, 0]).all()


def test_what_is_shown_is_a_random_part():
    cells = cells_of(canvas(1, 6, 8)[0], about=[(0, 0, 4 * SIDE, 2 * SIDE)])
    rng = np.random.default_rng(1)
    part = pick(cells, rng, kept=0.5, num_others=10, most=100)
    assert (part.is_about.sum(), (~part.is_about).sum()) == (4, 10)
    assert len(pick(cells, rng, kept=1.0, num_others=99, most=12).ids) == 12
    assert len(pick(cells[~cells.is_about], rng, kept=1.0, num_others=0, most=12).ids) == 1
    again = pick(cells, np.random.default_rng(1), kept=0.5, num_others=10, most=100)
    assert again.ids.tolist() == part.ids.tolist()


def test_scenes_show_the_cells_of_their_evidence():
    stage = CROWD.model_copy(update={"whole": 1.0, "moves": 0.0, "distracts": 0.0})
    for seed in range(3):
        rng = np.random.default_rng(seed)
        look, questions = scenes.draw_scene(rng, "training", stage, num_asks=9)
        assert (look.rows, look.cols) == (scenes.ROWS, scenes.COLS)
        for question in questions:
            if question.capability != "text":
                continue
            (evidence,) = question.evidence
            key = question.choices["ABCD".index(question.answer)].replace(" ", "")
            spelled = []
            for cells, (at, _) in zip(look.slices, look.seconds.tolist(), strict=True):
                box = evidence.box_at(at)
                if box is None or len(cells.ids) >= stage.tokens:
                    continue
                x0, y0, x1, y1 = (int(side // SIDE) for side in box)
                row, col = np.divmod(cells.ids, look.cols)
                inside = cells[(y0 <= row) & (row <= y1) & (x0 <= col) & (col <= x1)]
                spelled.append(read_off(inside, None))
            assert all(set(key) <= set(text) for text in spelled), (key, spelled)


def test_thorough_scenes_show_the_evidence_of_every_question():
    stage = CROWD.model_copy(update={"thorough": 1.0, "moves": 0.0, "tokens": 400, "slices": 6})
    rng = np.random.default_rng(4)
    for _ in range(2):
        look, questions = scenes.draw_scene(rng, "training", stage, num_asks=9)
        assert len(questions) > 1
        for question in questions:
            (evidence,) = question.evidence
            for cells, (at, _) in zip(look.slices, look.seconds.tolist(), strict=True):
                if (box := evidence.box_at(at)) is not None:
                    row, col = np.divmod(np.arange(scenes._FULL_ROWS * look.cols), look.cols)
                    wanted = np.flatnonzero(overlap(row, col, box) > 0)
                    assert np.isin(wanted, cells.ids).all()


def test_other_texts_come_whole_and_the_asked_thing_is_named_now_and_then():
    stage = CROWD.model_copy(
        update={"whole": 1.0, "moves": 0.0, "thorough": 0.0, "tokens": 1600, "slices": 1}
    )
    rng = np.random.default_rng(7)
    whole = []
    for _ in range(12):
        look, questions = scenes.draw_scene(rng, "training", stage, num_asks=1)
        (cells,), at = look.slices, int(look.seconds[0, 0])
        ids = set(cells.ids.tolist())
        row, col = np.divmod(np.arange(scenes._FULL_ROWS * look.cols), look.cols)
        here = next(
            scene
            for index in range(scenes.SCENES_AT_ONCE)
            for scene, asked in [scenes._scene("training", index)]
            if questions[0] in asked
        )
        for thing, shift in scenes._things(here, at):
            texts = [scenes._shifted(text.box, shift) for text in scenes.details(thing).texts]
            inside = [set(np.flatnonzero(overlap(row, col, box) > 0).tolist()) for box in texts]
            box = questions[0].evidence[0].box_at(at)
            is_asked = any(scenes._meet(text, box) for text in texts)
            whole.append((is_asked, [bool(one) and one <= ids for one in inside]))
    named = [all(found) for is_asked, found in whole if is_asked and len(found) > 1]
    others = [all(found) for is_asked, found in whole if not is_asked and found]
    assert 0 < sum(named) < len(named)
    assert 0 < sum(others) < len(others)


def test_half_of_the_looks_hold_cells_of_a_photograph_alone():
    stage = Stage(name="dense", steps=1, tasks={"dense": 1.0}, tokens=72, others=300)
    rng = np.random.default_rng(3)
    sizes = []
    for _ in range(20):
        look, _ = draw_task(rng, "dense", stage, "training")
        (cells,) = look.slices
        assert len(set(cells.ids.tolist())) == len(cells.ids) <= 300 + stage.tokens
        sizes.append(len(cells.ids))
    assert min(sizes) <= stage.tokens and max(sizes) > 2 * stage.tokens


def test_titles_are_of_many_words():
    rng = np.random.default_rng(0)
    found = [words.draw_options(rng, "title") for _ in range(40)]
    assert len({title.split()[0] for titles in found for title in titles}) > 30
    for titles in found:
        assert len(set(titles)) == 4 and len({len(title) for title in titles}) == 1


def test_matches_follow_each_option_byte_by_byte():
    ask = ask_options("What?", ["AB1", "AC1", "AB2", "ZB1"], 0, spells=True)
    options = parse(ask.text)
    assert options.choices == ("AB1", "AC1", "AB2", "ZB1")
    assert options.instruction == INSTRUCTION and ask.answer == "A"
    told = {at: match for at, match in ask.matches}
    letters = {at: ask.text[at] for at in told}
    assert "".join(letters.values()) == "AB1\nAC1\nAB2\nZB1\n"
    assert list(told.values()) == [1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("split", ["training", "validation"])
def test_no_string_of_a_benchmark_is_drawn(split):
    folder = resources.files("hlvid.synthetic") / "questions" / "questions.jsonl"
    asked = [json.loads(line) for line in folder.read_text("utf-8").splitlines()]
    theirs = {option for one in asked if one["capability"] == "text" for option in one["choices"]}
    assert {split_of(option) for option in theirs} == {"benchmark"}
    rng = np.random.default_rng(0)
    for _ in range(300):
        drawn = [words.draw_text(rng), words.draw_word(rng), words.draw_line(rng)]
        drawn += words.draw_family(rng, KINDS[int(rng.integers(len(KINDS)))])
        assert {split_of(text) for text in drawn} == {"training"}
        assert not theirs & set(drawn)
    for task in ("read", "several", "options", "exam"):
        for _ in range(2 if task == "exam" else 15):
            _, asks = draw_task(rng, task, CROWD, split)
            for ask in asks:
                has_options = task in ("options", "exam")
                strings = parse(ask.text).choices if has_options else (ask.answer,)
                named = [s for s in strings if s not in MARK_COLOURS and not s.isdecimal()]
                assert all(split_of(one) == "training" for one in named), ask.text


def test_seeds_are_of_training_alone():
    ours = set(scenes.SEEDS.values())
    assert len(ours) == 2 and not ours & set(GAZE_SEEDS.values()) and min(ours) > 1000
    for split in scenes.SEEDS:
        scene, _ = scenes._scene(split, 5)
        assert scene.settings.split == "training"


def test_reserved_photographs_are_never_opened():
    """In a process of its own, in which every file that is opened is noted."""
    code = (
        "import sys, numpy as np\n"
        "opened = []\n"
        "sys.addaudithook(lambda e, a: opened.append(str(a[0])) if e == 'open' else None)\n"
        "from evaluators.train.settings import Stage\n"
        "from evaluators.train.tasks import draw_task\n"
        f"stage = Stage.model_validate({CROWD.model_dump(mode='json')!r})\n"
        "rng = np.random.default_rng(0)\n"
        "for split in ('training', 'validation'):\n"
        "    for task, num in (('dense', 60), ('options', 20), ('exam', 8)):\n"
        "        for _ in range(num):\n"
        "            draw_task(rng, task, stage, split)\n"
        "print(*{path.rpartition('/')[2] for path in opened if path.endswith('.jpg')}, sep='\\n')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    opened = set(ran.stdout.split())
    reserved = {photo.file for photo in photographs.catalogue() if photo.is_reserved}
    assert len(opened) >= 5 and opened <= set(photographs.names("training"))
    assert not opened & reserved


def test_a_plain_sign_is_dark_on_light():
    rng = np.random.default_rng(0)
    sign = draw_sign(rng, [Line("WELL 24")], split="training", is_plain=True)
    pixels = sign.pixels.astype(int)
    assert pixels.min() < 60 and np.median(pixels) > 190
    assert sorted(read_off(sign, None)) == sorted("WELL24")


def test_both_frames_of_a_slice_may_differ():
    stage = CROWD.model_copy(update={"moves": 1.0})
    rng = np.random.default_rng(3)
    look, _ = draw_task(rng, "options", stage, "training")
    assert (look.seconds[:, 0] < look.seconds[:, 1]).all()
    assert any((one.pixels[:, 0] != one.pixels[:, 1]).any() for one in look.slices)
    still, _ = draw_task(rng, "options", stage.model_copy(update={"moves": 0.0}), "training")
    assert all((one.pixels[:, 0] == one.pixels[:, FRAMES - 1]).all() for one in still.slices)
