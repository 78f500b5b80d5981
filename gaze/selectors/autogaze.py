"""AutoGaze as a selector: clips of every view through the model, its cells turned into tokens.

The model sees a square of the canvas as 224 x 224 pixels and gazes at cells of several scales.
`autogaze` shows it a view at once, at half size where a token has 32 pixels; `autogaze-native`
shows it the four quarters of a view, each at its own size there.

The mapping is `aligned` (COMPARISON.md 10): in gazing order, a cell chooses the native tokens that
it covers, if its edges are edges of tokens and it is at most two tokens wide. With the released
scales these are the 14 x 14 and the 7 x 7 cells, 1 and 4 tokens of a view. Coarser cells choose
none. Cells wholly outside the canvas are forbidden to the model, so no budget is spent there.

What stops the gaze is what was asked for. Nothing: the checkpoint's own threshold and cap. A
threshold: that, and no cap. A budget: the share of the cells that the budget is of the tokens is
the cap of every frame, and there is no threshold. Both: both. What was gazed at is then cut to the
budget: every clip of a view has its share, every frame of it keeps the tokens of its first cells,
and no frame gives up tokens as long as another one keeps more. A clip that gazed at less than its
share spends less.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gaze.checkpoint import RELEASED
from gaze.grid import Pyramid
from gaze.selectors.blind import in_turn
from gaze.selectors.kept import Cells
from gaze.selectors.protocol import Choice, Chunk, selector
from gaze.views import Ids, Views
from hlvid.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gaze.model import AutoGaze

CLIPS_AT_ONCE = {"cpu": 8, "cuda": 64}
"""Clips that are in memory as the model reads them, by device: about 10 MB each."""
MOST_TOKENS_WIDE = 2
"""Cells wider than this become no native tokens."""


@selector(needs_budget=False, takes_threshold=True, spends="clip", weights=RELEASED, reads=1)
def autogaze(chunk: Chunk) -> Choice:
    """Keeps what AutoGaze gazes at, shown every view at once."""
    return _gaze(chunk, pieces_a_side=1)


@selector(needs_budget=False, takes_threshold=True, spends="clip", weights=RELEASED, reads=4)
def autogaze_native(chunk: Chunk) -> Choice:
    """Keeps what AutoGaze gazes at, shown every view in four quarters."""
    return _gaze(chunk, pieces_a_side=2)


@dataclass(frozen=True)
class Piece:
    """A square of the canvas that the model sees at once.

    Args:
        view: That it is of.
        row: Of the token in its top left corner.
        col: Of that token.
        ids: Token of every place in it, -1 outside the canvas, (size, size).
    """

    view: int
    row: int
    col: int
    ids: Ids

    @property
    def size(self) -> int:
        """Tokens along its side."""
        return len(self.ids)


def pieces_of(views: Views, pieces_a_side: int) -> list[Piece]:
    """The squares that all views are shown in, without those wholly outside the canvas."""
    size = views.size // pieces_a_side
    found = []
    for view in range(views.num_views):
        top, left = views.origin(view)
        ids = views.ids_in_view(view)
        for row, col in itertools.product(range(0, views.size, size), repeat=2):
            part = ids[row : row + size, col : col + size]
            if part[0, 0] >= 0:
                found.append(Piece(view, top + row, left + col, part))
    return found


def tokens_of_cells(pyramid: Pyramid, size: int) -> Ids:
    """Places of the native tokens that each cell chooses by the mapping `aligned`.

    Args:
        pyramid: Of the cells.
        size: Native tokens along the side of the square that it lies over.

    Returns:
        (cells, 4) places `row * size + col`, -1 where there are fewer.
    """
    places = np.full((pyramid.num_cells, MOST_TOKENS_WIDE**2), -1, dtype=np.int32)
    where = pyramid.locate(np.arange(pyramid.num_cells))
    for scale, side in enumerate(pyramid.sides):
        is_aligned = size % side == 0 or side % size == 0
        if not is_aligned or size > side * MOST_TOKENS_WIDE:
            continue
        cells = np.flatnonzero(where.scale == scale)
        wide = max(size // side, 1)
        row, col = (at[cells] * size // side for at in (where.row, where.col))
        for number, (down, across) in enumerate(itertools.product(range(wide), repeat=2)):
            places[cells, number] = (row + down) * size + col + across
    return places


def forbidden_cells(pyramid: Pyramid, piece: Piece) -> NDArray[np.bool_]:
    """Which cells lie wholly outside the canvas, (cells,)."""
    is_inside = piece.ids >= 0
    num_rows, num_cols = int(is_inside[:, 0].sum()), int(is_inside[0].sum())
    where = pyramid.locate(np.arange(pyramid.num_cells))
    side = np.asarray(pyramid.sides)[where.scale]
    outside = (where.row * piece.size >= num_rows * side) | (
        where.col * piece.size >= num_cols * side
    )
    return np.asarray(outside, dtype=np.bool_)


def level(counts: NDArray[np.int64], share: int) -> NDArray[np.int64]:
    """Cut counts to a share as evenly as can be: the largest give up first.

    Args:
        counts: What every frame asks for, (frames,).
        share: The most they may keep together.

    Returns:
        What every frame keeps; odd ones go to the earliest of those that are cut.
    """
    kept = counts.copy()
    left = share
    ascending = np.argsort(counts, kind="stable")
    for done, frame in enumerate(ascending):
        waiting = len(counts) - done
        if counts[frame] * waiting > left:
            each, odd = divmod(left, waiting)
            cut = np.sort(ascending[done:])
            kept[cut] = each
            kept[cut[:odd]] += 1
            break
        left -= int(counts[frame])
    return kept


@dataclass(frozen=True)
class Gazed:
    """What was gazed at in one frame of a view, in gazing order.

    Args:
        tokens: Distinct native tokens, (tokens,).
        since: Number of the cell that each token came with, (tokens,).
        boxes: Of the cells, as `Cells` has them.
        scale: Of the cells, as `Cells` has them.
    """

    tokens: Ids
    since: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scale: NDArray[np.int8]

    def first(self, num: int) -> "Gazed":
        """The first tokens, with the cells up to the one that the last of them came with."""
        if num >= self.tokens.size:
            return self
        end = int(self.since[num - 1]) + 1 if num else 0
        return Gazed(self.tokens[:num], self.since[:num], self.boxes[:end], self.scale[:end])


def _gaze(chunk: Chunk, *, pieces_a_side: int) -> Choice:
    views = chunk.views
    model = load_model(chunk.weights or RELEASED, _device())
    pyramid = Pyramid(tuple(math.isqrt(cells) for cells in model.config.cells_per_scale))
    places = tokens_of_cells(pyramid, views.size // pieces_a_side)
    if (places < 0).all():
        raise UserError(
            f"selector 'autogaze': scales of {pyramid.sides} cells a side are not aligned with "
            f"{views.size // pieces_a_side} tokens. Use a checkpoint with scales of 7 and 14."
        )
    pieces = pieces_of(views, pieces_a_side)
    chosen = list(_choose_cells(chunk, model, pyramid, pieces))
    gazed: list[list[Gazed]] = []  # by view, then by frame
    for view, group in itertools.groupby(range(len(pieces)), key=lambda i: pieces[i].view):
        members = list(group)
        clip = [
            _merge([(pieces[i], chosen[i][frame]) for i in members], pyramid, places)
            for frame in range(len(chunk.frames))
        ]
        if chunk.shares is not None:
            asked = np.array([one.tokens.size for one in clip], dtype=np.int64)
            allowed = level(asked, int(chunk.shares[:, view].sum()))
            clip = [one.first(int(num)) for one, num in zip(clip, allowed, strict=True)]
        gazed.append(clip)
    frames = list(zip(*gazed, strict=True))
    return Choice(
        orders=[_in_turn(frame, views) for frame in frames],
        cells=[
            Cells(
                np.concatenate([one.boxes for one in frame]),
                np.concatenate([one.scale for one in frame]),
                pyramid.sides,
            )
            for frame in frames
        ],
    )


def _choose_cells(
    chunk: Chunk, model: "AutoGaze", pyramid: Pyramid, pieces: Sequence[Piece]
) -> Iterator[list[Ids]]:
    """For every piece, the cells of each frame in gazing order; a few pieces in memory at once."""
    import torch

    at_once = CLIPS_AT_ONCE[model.device.type]
    for first in range(0, len(pieces), at_once):
        wave = pieces[first : first + at_once]
        forbidden = np.stack([forbidden_cells(pyramid, piece) for piece in wave])
        gaze = model.select(
            torch.stack([_clip(chunk, piece, model) for piece in wave]),
            gazing_ratio=_ratio(chunk, pyramid.num_cells),
            task_loss_requirement=chunk.threshold,
            forbidden=torch.from_numpy(forbidden).to(model.device),
        )
        gaze = replace(gaze, positions=gaze.positions.cpu(), is_padding=gaze.is_padding.cpu())
        for clip in range(len(wave)):
            yield [ids.numpy().astype(np.int32) for ids in gaze.kept(clip)]


def _clip(chunk: Chunk, piece: Piece, model: "AutoGaze") -> "Tensor":
    """A piece of every frame as the model reads it, (T, 3, S, S) float32."""
    import torch

    from gaze.preprocess import preprocess_on_device

    cut = [chunk.views.square(f, piece.row, piece.col, piece.size) for f in chunk.frames]
    pixels = torch.from_numpy(np.stack(cut)).to(model.device).permute(0, 3, 1, 2)
    return preprocess_on_device(pixels, size=model.config.image_size)


def _ratio(chunk: Chunk, num_cells: int) -> float | None:
    """Gazing ratio at which the cap is the budget's share of the cells, rounded up."""
    if chunk.shares is None:
        return None
    num_tokens = len(chunk.frames) * chunk.views.num_tokens
    cap = -(-int(chunk.shares.sum()) * num_cells // num_tokens)
    return min((cap + 0.5) / num_cells, 1.0)  # half a cell more, because a cap is rounded down


def _merge(parts: Sequence[tuple[Piece, Ids]], pyramid: Pyramid, places: Ids) -> Gazed:
    """One frame of a view from the cells of its pieces, which take turns."""
    tokens, boxes, scales, ranks = [], [], [], []
    for piece, cells in parts:
        place = places[cells]
        tokens.append(np.where(place < 0, -1, piece.ids.ravel()[place]))
        where = pyramid.locate(cells)
        wide = piece.size / np.asarray(pyramid.sides)[where.scale]
        top, left = piece.row + where.row * wide, piece.col + where.col * wide
        boxes.append(np.stack([top, left, top + wide, left + wide], axis=1))
        scales.append(where.scale)
        ranks.append(np.arange(cells.size))
    turn = np.argsort(np.concatenate(ranks), kind="stable")
    new = np.concatenate(tokens)[turn]  # (cells, 4)
    since = np.repeat(np.arange(new.shape[0]), new.shape[1])
    is_token = new.ravel() >= 0
    flat, since = new.ravel()[is_token], since[is_token]
    first = np.sort(np.unique(flat, return_index=True)[1])
    return Gazed(
        tokens=flat[first].astype(np.int32),
        since=since[first],
        boxes=np.concatenate(boxes)[turn].astype(np.float32),
        scale=np.concatenate(scales)[turn].astype(np.int8),
    )


def _in_turn(frame: Sequence[Gazed], views: Views) -> Ids:
    """The tokens of a frame in gazing order, the views taking turns."""
    rank = np.full(views.num_tokens, -1, dtype=np.int64)
    for one in frame:
        rank[one.tokens] = np.arange(one.tokens.size)
    return in_turn(rank, views)


@functools.cache
def load_model(weights: str, device: str) -> "AutoGaze":
    """The model of a checkpoint on a device, loaded once in a process.

    Raises:
        UserError: The checkpoint is missing or broken, or the extra `gaze` is not installed.
    """
    from gaze.model import AutoGaze

    return AutoGaze.from_pretrained(weights, device=device)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
