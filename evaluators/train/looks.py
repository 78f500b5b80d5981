"""What a training example shows: cells of a canvas with what is written on them.

A cell is a native token's square of one frame. A look is a video as the exam's arms see it: a grid
of tokens of which some are shown, here drawn straight as those tokens. Which are shown is random:
no mask of a gaze or of a control comes near training.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.mapping import slice_frames
from evaluators.models.qwen.streams import Shown
from evaluators.pruning import MERGE, ROWS, Stream, gather
from hlvid.synthetic.casting import MARK_COLOURS

SIDE = 32
"""Pixels of a token's side."""
FRAMES = 2
"""Of a token."""
SLOTS = 3
"""Characters of a cell that are told apart, in reading order."""
CHARACTERS = string.ascii_uppercase + string.digits + ".-&'/:"
MOST_COUNTED = 3
LETTERED = SLOTS + ROWS
"""Labels that name characters: of the cell in order, then of the middle of each of its patches."""
MOST_BEFORE = 24
"""Characters of a line that are counted."""
CLASSES = (
    *[len(CHARACTERS) + 1] * LETTERED,
    len(MARK_COLOURS) + 1,
    MOST_COUNTED + 1,
    MOST_BEFORE + 2,
)
"""Of each label of a cell: characters, the colour of a mark, how many countable things have their
middle in it, and which character of its line the first one is; 0 is none. What stands at a patch is
learnt first, the order follows from it."""
COLOUR, COUNT, PLACE = LETTERED, LETTERED + 1, LETTERED + 2
LABELS = len(CLASSES)

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Ids = NDArray[np.int64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Glyph:
    """One character: where its middle is and how large it is, in pixels; which line it is of."""

    character: str
    x: float
    y: float
    line: int
    width: float
    height: float

    @property
    def patches(self) -> list[tuple[int, int]]:
        """Row and column of patches whose middle it covers; of the nearest one if of none."""
        rows = _covered(self.y, self.height)
        return [(row, col) for row in rows for col in _covered(self.x, self.width)]


@dataclass(frozen=True)
class Cells:
    """Some cells of a slice.

    Attributes:
        ids: (n,) `row * cols + col`, each once.
        pixels: (n, 2, 32, 32, 3), of both frames.
        labels: (n, 2, LABELS).
        is_about: (n,) whether a question is about what is in it.
    """

    ids: Ids
    pixels: Pixels
    labels: Labels
    is_about: NDArray[np.bool_]

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Cells:
        """Some of them."""
        return Cells(self.ids[index], self.pixels[index], self.labels[index], self.is_about[index])

    @staticmethod
    def join(parts: Sequence[Cells]) -> Cells:
        """Cells of several places; of one that comes twice, the first."""
        ids = np.concatenate([part.ids for part in parts])
        _, first = np.unique(ids, return_index=True)
        return Cells(
            ids,
            np.concatenate([part.pixels for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.is_about for part in parts]),
        )[first]

    @staticmethod
    def pair(first: Cells, second: Cells) -> Cells:
        """The same places of two frames: of each, what its first frame shows."""
        pixels = np.stack([first.pixels[:, 0], second.pixels[:, 0]], axis=1)
        labels = np.stack([first.labels[:, 0], second.labels[:, 0]], axis=1)
        return Cells(first.ids, pixels, labels, first.is_about | second.is_about)


@dataclass(frozen=True)
class Look:
    """A video of which some tokens are shown.

    Attributes:
        rows: Of tokens.
        cols: Of tokens.
        slices: What is shown of each, one cell at least in all.
        seconds: When each slice's first and second frame are shown, (slices, 2).
    """

    rows: int
    cols: int
    slices: tuple[Cells, ...]
    seconds: NDArray[np.float64]

    @property
    def labels(self) -> Labels:
        """Of all shown tokens in the order of the prompt, (tokens, 2, LABELS)."""
        return np.concatenate([one.labels[np.argsort(one.ids)] for one in self.slices])

    @property
    def stream(self) -> Stream:
        """Its grid, and which tokens of it are shown."""
        size = self.rows * self.cols
        index = [np.sort(one.ids) + i * size for i, one in enumerate(self.slices)]
        return Stream(len(self.slices), self.rows, self.cols, np.concatenate(index))

    def shown(self) -> Shown:
        """What the prompt is written from."""
        is_repeated = bool((self.seconds[:, 0] == self.seconds[:, 1]).all())
        seconds = self.seconds[:, 0] if is_repeated else self.seconds.ravel()
        frames = slice_frames(len(seconds), "repeat" if is_repeated else "stock")
        return Shown(self.stream, np.empty((0, 0, 0, 3), dtype=np.uint8), frames, seconds)

    def patch_rows(self) -> Pixels:
        """The patches of its tokens as the adapter reads them from a canvas.

        The tokens stand side by side on a canvas of one row for it: the same function reads them.
        """
        cells = np.concatenate([one.pixels[np.argsort(one.ids)] for one in self.slices])
        strip = cells.transpose(1, 2, 0, 3, 4).reshape(FRAMES, SIDE, -1, 3)
        return gather(strip, [(0, 1)], Stream.whole(1, 1, len(cells)))


def cells_of(
    pixels: Pixels,
    glyphs: Iterable[Glyph] = (),
    *,
    about: Sequence[Box] = (),
    marks: Sequence[tuple[Box, str]] = (),
    counted: Sequence[Box] = (),
    place: tuple[int, int, int] = (0, 0, 0),
) -> Cells:
    """All cells of a picture, the same in both frames.

    Args:
        pixels: (height, width, 3), both multiples of 32.
        glyphs: What is written on it.
        about: Boxes that a question is about.
        marks: Coloured parts.
        counted: Countable parts.
        place: Row and column of its first cell on the grid, and the grid's columns; no columns for
            a grid of its own.
    """
    rows, cols = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    top, left, grid_cols = place
    row, col = np.divmod(np.arange(rows * cols), cols)
    tiles = pixels.reshape(rows, SIDE, cols, SIDE, 3).transpose(0, 2, 1, 3, 4)
    labels = label(row, col, glyphs, marks=marks, counted=counted)
    is_about = np.zeros(rows * cols, dtype=np.bool_)
    for box in about:
        is_about |= overlap(row, col, box) > 0
    return Cells(
        ids=(row + top) * (grid_cols or cols) + col + left,
        pixels=np.repeat(tiles.reshape(-1, 1, SIDE, SIDE, 3), FRAMES, axis=1),
        labels=np.repeat(labels[:, None], FRAMES, axis=1),
        is_about=is_about,
    )


def label(
    row: Ids,
    col: Ids,
    glyphs: Iterable[Glyph],
    *,
    marks: Sequence[tuple[Box, str]] = (),
    counted: Sequence[Box] = (),
) -> Labels:
    """What each cell shows, (cells, LABELS): a character is in the cell of its middle.

    Args:
        row: Of each cell.
        col: Of each cell.
        glyphs: Characters; what is none of `CHARACTERS` has no label.
        marks: Coloured parts: a cell shows one when it covers a quarter of the cell or the largest
            share of the mark.
        counted: Countable parts.
    """
    found: Labels = np.zeros((len(row), LABELS), dtype=np.int64)
    at = {(int(r), int(c)): i for i, (r, c) in enumerate(zip(row, col, strict=True))}
    filled = [0] * len(row)
    ordered = sorted(glyphs, key=lambda glyph: (glyph.line, glyph.x))
    before = [sum(other.line == one.line for other in ordered[:i]) for i, one in enumerate(ordered)]
    for glyph, num_before in zip(ordered, before, strict=True):
        cell = at.get((int(glyph.y // SIDE), int(glyph.x // SIDE)))
        known = CHARACTERS.find(glyph.character)
        if known < 0:
            continue
        if cell is not None and filled[cell] < SLOTS:
            if not filled[cell]:
                found[cell, PLACE] = min(MOST_BEFORE, num_before) + 1
            found[cell, filled[cell]] = known + 1
            filled[cell] += 1
        for patch_row, patch_col in glyph.patches:
            around = at.get((patch_row // MERGE, patch_col // MERGE))
            if around is not None:
                place = SLOTS + patch_row % MERGE * MERGE + patch_col % MERGE
                found[around, place] = known + 1
    for box, name in marks:
        share = overlap(row, col, box)
        is_shown = (share >= SIDE * SIDE / 4) | ((share > 0) & (share == share.max()))
        found[is_shown, COLOUR] = MARK_COLOURS.index(name) + 1
    for x0, y0, x1, y1 in counted:
        cell = at.get((int((y0 + y1) / 2 // SIDE), int((x0 + x1) / 2 // SIDE)))
        if cell is not None:
            found[cell, COUNT] = min(MOST_COUNTED, found[cell, COUNT] + 1)
    return found


def overlap(row: Ids, col: Ids, box: Box) -> NDArray[np.float64]:
    """Pixels of a box in each cell."""
    x0, y0, x1, y1 = box
    across = np.minimum((col + 1) * SIDE, x1) - np.maximum(col * SIDE, x0)
    down = np.minimum((row + 1) * SIDE, y1) - np.maximum(row * SIDE, y0)
    area: NDArray[np.float64] = np.maximum(across, 0) * np.maximum(down, 0)
    return area


def _covered(middle: float, length: float) -> range:
    """Patches along a side whose middle is within a stretch, or the nearest one."""
    patch = SIDE // MERGE
    first = math.ceil((middle - length / 2) / patch - 0.5)
    last = math.floor((middle + length / 2) / patch - 0.5)
    return (
        range(first, last + 1)
        if first <= last
        else range(int(middle // patch), int(middle // patch) + 1)
    )


def log_uniform(rng: np.random.Generator, most: int) -> int:
    """A number between a 32nd of the most and the most: each doubling is as likely."""
    least = max(1.0, most / 32)
    return int(math.exp(rng.uniform(math.log(least), math.log(max(most, least)))))


def pick(
    cells: Cells,
    rng: np.random.Generator,
    *,
    kept: float,
    num_others: int,
    most: int,
) -> Cells:
    """A random part of some cells.

    Args:
        cells: What could be shown.
        rng: Where the draw comes from.
        kept: Share of the cells that a question is about.
        num_others: Other cells.
        most: In all; one at least is shown.
    """
    about, others = np.flatnonzero(cells.is_about), np.flatnonzero(~cells.is_about)
    about = rng.permutation(about)[: -(-int(about.size * kept * 1000) // 1000)]
    chosen = np.concatenate([about, rng.permutation(others)[:num_others]])[:most]
    if chosen.size == 0:
        chosen = rng.integers(len(cells.ids), size=1)
    return cells[np.sort(chosen)]
