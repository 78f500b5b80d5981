"""Looks at the renderer's scenes, of seeds, strings and photographs that no benchmark shows.

A scene is laid out whole, with its questions as a benchmark would ask them. Painted is only what
the shown cells show: the things that bear words. Behind them is a photograph.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from PIL import Image

from evaluators.train.looks import (
    FRAMES,
    LABELS,
    SIDE,
    Box,
    Cells,
    Glyph,
    Ids,
    Labels,
    Look,
    Pixels,
    label,
    log_uniform,
    overlap,
)
from evaluators.train.settings import Stage
from evaluators.train.signs import worn
from gaze.train.moving import names
from hlvid.synthetic import generation, photographs
from hlvid.synthetic.details import Details, details
from hlvid.synthetic.paint_home import HOME
from hlvid.synthetic.paint_street import STREET
from hlvid.synthetic.scene import FRAME_HEIGHT, FRAME_WIDTH, RenderSettings, Scene, Shot, Thing
from hlvid.synthetic.sheet import Sheet
from hlvid.types import Question
from hlvid.video import uniform_indices

SEEDS = {"training": 9_001, "validation": 9_002}
"""Far from the seeds of benchmarks, which count from 0, and from those of AutoGaze's training."""
SECONDS = 100
"""Of a scene: the length of the shipped benchmark's."""
ROWS, COLS = 68, 120
"""Of the canvas that a 4K frame makes."""
_FULL_ROWS = FRAME_HEIGHT // SIDE
"""Rows of cells that lie in the frame whole."""
_PAINTERS = {**STREET, **HOME}
SCENES_AT_ONCE = 8

Placed = tuple[Thing, int]
"""A thing, and how far to the right of its place in the layer it is."""


def draw_scene(
    rng: np.random.Generator, split: str, stage: Stage, *, num_asks: int, first_scene: int = 0
) -> tuple[Look, list[Question]]:
    """Look at a scene, as a selector of some quality would show it.

    Args:
        rng: Where all draws come from.
        split: 'training' or 'validation': whose scenes.
        stage: How much is shown.
        num_asks: Questions, at most.
        first_scene: One of so many from here on is looked at: laid out and painted, they serve
            many looks.

    Returns:
        The look, and questions whose evidence its frames show.
    """
    while True:
        scene, questions = _scene(split, first_scene + int(rng.integers(SCENES_AT_ONCE)))
        num_slices = draw_slices(rng, stage)
        num_frames = num_slices * (2 if rng.random() < stage.moves else 1)
        start = 0 if num_frames > 1 else int(rng.integers(SECONDS))
        moments = [int(at) + start for at in uniform_indices(SECONDS, num_frames)]
        shown = [q for q in questions if any(q.evidence[0].box_at(at) for at in moments)]
        if shown:
            break
    asked = [shown[i] for i in rng.permutation(len(shown))[:num_asks]]
    is_thorough = rng.random() < stage.thorough
    told = shown if is_thorough else asked
    pairs = np.array(moments).reshape(num_slices, -1)[:, [0, -1]]
    is_whole = is_thorough or rng.random() < stage.whole
    kept = 1.0 if is_whole else float(rng.uniform(stage.keeps, 1.0))
    is_named = not is_thorough and rng.random() < 0.5
    if is_thorough:
        num_near, num_others = 0, int(rng.integers(0, 61 if rng.random() < 0.5 else 11))
    else:
        num_others = log_uniform(rng, stage.tokens)
        num_near = int(num_others * rng.random())
    slices = []
    for first, second in pairs.tolist():
        chosen = [
            _chosen(rng, scene, at, told, kept, (num_near, num_others), is_named=is_named)
            for at in {first, second}
        ]
        about, others = (np.unique(np.concatenate(part)) for part in zip(*chosen, strict=True))
        about = rng.permutation(about)[: stage.tokens]
        others = rng.permutation(np.setdiff1d(others, about))[: max(0, stage.tokens - about.size)]
        ids = np.sort(np.concatenate([about, others]))
        one = _paint(rng, scene, first, ids, split)
        slices.append(
            one if first == second else Cells.pair(one, _paint(rng, scene, second, ids, split))
        )
    return Look(ROWS, COLS, tuple(slices), pairs.astype(np.float64)), asked


def draw_slices(rng: np.random.Generator, stage: Stage) -> int:
    """Slices of a look: as many as the stage has, or fewer."""
    return stage.slices if rng.random() < 0.5 else int(rng.integers(1, stage.slices + 1))


@functools.lru_cache(maxsize=2 * SCENES_AT_ONCE)
def _scene(split: str, index: int) -> tuple[Scene, tuple[Question, ...]]:
    settings = RenderSettings(seed=SEEDS[split], seconds=SECONDS, split="training")
    _, questions, scene = generation.generate(settings, index)
    return scene, tuple(questions)


def _chosen(
    rng: np.random.Generator,
    scene: Scene,
    at: int,
    asked: list[Question],
    kept: float,
    num: tuple[int, int],
    *,
    is_named: bool,
) -> tuple[Ids, Ids]:
    """Cells to show of a frame: a random part of the evidence; of other texts and of anything.

    A selector that works shows whole texts, and those of other things that are like what is asked
    about; so other texts come whole, mostly all of a thing's.

    Args:
        rng: Where the draw comes from.
        scene: Whose frame it is.
        at: Its second.
        asked: Questions whose evidence is shown.
        kept: Share of that.
        num: Cells of other texts, about, and other cells in all.
        is_named: Whether the words by which the asked things are named are shown too.
    """
    row, col = np.divmod(np.arange(_FULL_ROWS * COLS), COLS)
    boxes = [box for question in asked if (box := question.evidence[0].box_at(at)) is not None]
    is_about = np.zeros(row.size, dtype=np.bool_)
    for box in boxes:
        is_about |= overlap(row, col, box) > 0
    about = rng.permutation(np.flatnonzero(is_about))
    about = about[: -(-int(about.size * kept * 1000) // 1000)]
    is_near = np.zeros(row.size, dtype=np.bool_)
    things = [
        [_shifted(text.box, shift) for text in details(thing).texts]
        for thing, shift in _things(scene, at)
    ]
    for texts in things if is_named else ():
        if any(_meet(text, box) for text in texts for box in boxes):
            for text in texts:
                is_near |= overlap(row, col, text) > 0
    num_near, num_others = num
    for i in rng.permutation(len(things)).tolist():
        if is_near.sum() >= num_near:
            break
        texts = things[i]
        if texts and rng.random() < 0.3:
            texts = [texts[int(rng.integers(len(texts)))]]
        for text in texts:
            is_near |= overlap(row, col, text) > 0
    near = np.flatnonzero(is_near & ~is_about)
    anything = rng.integers(row.size, size=max(1, num_others - near.size))
    return about, np.concatenate([near, anything])


def _meet(one: Box, other: Box) -> bool:
    return min(one[2], other[2]) > max(one[0], other[0]) and min(one[3], other[3]) > max(
        one[1], other[1]
    )


def _things(scene: Scene, at: int) -> list[Placed]:
    """Things with words that a moment may show, from back to front."""
    shot = _shot(scene, at)
    found = []
    for layer in shot.layers:
        shift = layer.speed * (at - shot.start_seconds) // 2 * 2
        for thing in layer.things:
            left = thing.x + shift
            if thing.anchor and left < FRAME_WIDTH and left + thing.width > 0:
                found.append((thing, shift))
    return found


def _shot(scene: Scene, at: int) -> Shot:
    return next(shot for shot in scene.shots if shot.start_seconds <= at < shot.end_seconds)


def _paint(rng: np.random.Generator, scene: Scene, at: int, ids: Ids, split: str) -> Cells:
    """The cells of a moment, the same in both frames."""
    row, col = np.divmod(ids, COLS)
    pixels = _photograph(rng, split, row, col)
    labels = np.zeros((ids.size, LABELS), dtype=np.int64)
    for thing, shift in _things(scene, at):
        left, top, over = 0, 0, None
        box = _shifted(thing.box, shift)
        for i in np.flatnonzero(overlap(row, col, box) > 0).tolist():
            if over is None:
                left, top, over = _sprite(thing)
            _lay(pixels[i], over, col[i] * SIDE - left - shift, row[i] * SIDE - top)
        if over is not None:
            found = _labels(details(thing), thing, shift, row, col)
            labels = np.where(found > 0, found, labels)
    return _worn_cells(rng, ids, pixels, labels)


def elsewhere(rng: np.random.Generator, split: str, ids: Ids, cols: int) -> Cells:
    """Cells of a photograph, on which nothing is written.

    Args:
        rng: Where all draws come from.
        split: 'training' or 'validation': whose photographs.
        ids: `row * cols + col`, each once.
        cols: Of the grid.
    """
    pixels = _photograph(rng, split, *np.divmod(ids, cols))
    return _worn_cells(rng, ids, pixels, np.zeros((ids.size, LABELS), dtype=np.int64))


def _worn_cells(rng: np.random.Generator, ids: Ids, pixels: Pixels, labels: Labels) -> Cells:
    """Cells as a codec leaves them, (n, 32, 32, 3) pixels, the same in both frames."""
    strip = Image.fromarray(pixels.transpose(1, 0, 2, 3).reshape(SIDE, -1, 3))
    worn_strip = worn(rng, strip, is_blurred=False)  # side by side, cells would blur into others
    pixels = worn_strip.reshape(SIDE, -1, SIDE, 3).transpose(1, 0, 2, 3)
    return Cells(
        ids,
        np.repeat(pixels[:, None], FRAMES, axis=1),
        np.repeat(labels[:, None], FRAMES, axis=1),
        np.zeros(ids.size, dtype=np.bool_),
    )


def _photograph(rng: np.random.Generator, split: str, row: Ids, col: Ids) -> Pixels:
    """Cells of a photograph that fills the frame, mirrored nowhere, repeated where it ends."""
    files = names("validation" if split == "validation" else "training")
    photo = photographs.pixels(files[int(rng.integers(len(files)))])
    high, wide = photo.shape[0] // SIDE * SIDE, photo.shape[1] // SIDE * SIDE
    y, x = row * SIDE % high, col * SIDE % wide
    steps = np.arange(SIDE)
    found: Pixels = photo[
        y[:, None, None] + steps[:, None], x[:, None, None] + steps[None, :]
    ].copy()
    return found


@functools.lru_cache(maxsize=256)
def _sprite(thing: Thing) -> tuple[int, int, Pixels]:
    """A painted thing: where its left and top are in its layer, and its pixels, RGBA."""
    margin, painter = _PAINTERS[thing.kind]
    sheet = Sheet(thing.box, margin, "training")
    painter(sheet, thing)
    return sheet.left, sheet.top, np.asarray(sheet.image)


def _lay(cell: Pixels, over: Pixels, x: int, y: int) -> None:
    """Lay the part of a sprite over a cell that begins at (x, y) of the sprite."""
    x0, y0 = max(0, x), max(0, y)
    part = over[y0 : max(0, y + SIDE), x0 : max(0, x + SIDE)]
    if part.size == 0:
        return
    into = cell[y0 - y : y0 - y + part.shape[0], x0 - x : x0 - x + part.shape[1]]
    share = part[..., 3:].astype(np.uint16)
    into[:] = (into * (255 - share) + part[..., :3] * share + 127) // 255


def _labels(parts: Details, thing: Thing, shift: int, row: Ids, col: Ids) -> Labels:
    glyphs = []
    for number, text in enumerate(parts.texts):
        y = text.y + text.cap_height / 2
        for character, (start, end) in zip(
            text.string, itertools.pairwise(text.starts), strict=True
        ):
            x = (start + end) / 2 + shift
            glyphs.append(Glyph(character, x, y, number, end - start, text.cap_height))
    mark = parts.mark if thing.mark else None
    return label(
        row,
        col,
        glyphs,
        marks=[(_shifted(mark, shift), thing.mark)] if mark else (),
        counted=[_shifted(box, shift) for box in parts.counted],
    )


def _shifted(box: tuple[int, int, int, int], shift: int) -> Box:
    x0, y0, x1, y1 = box
    return x0 + shift, y0, x1 + shift, y1
