"""AutoGaze as a selector: clips of every view through the model, its cells turned into tokens.

The model sees a square of the canvas as 224 x 224 pixels and gazes at cells of several scales.
`autogaze` shows it a view at once, at half size where a token has 32 pixels; `autogaze-native`
shows it the four quarters of a view, each at its own size there.

Which native tokens a cell chooses is its mapping, in gazing order. `aligned`: those that it covers,
if its edges are edges of tokens and it is at most two tokens wide; with the released scales these
are the 14 x 14 and the 7 x 7 cells, 1 and 4 tokens of a view, and coarser cells choose none. The
others exist to be compared with it and are selectors of their own. `finest`: only cells of the
finest scale choose. `union`: every cell chooses all tokens that it touches. `mask-coarse`: as
`finest`, and the model may gaze at no other scale. Cells wholly outside the canvas are forbidden to
it in every mapping, so no budget is spent there.

What stops the gaze is what was asked for. Nothing: the checkpoint's own threshold and cap. A
threshold: that, and no cap. A budget: the share of the cells (with `mask-coarse`, of the finest)
that the budget is of the tokens is the cap of every frame, and there is no threshold. Both: both.
What was gazed at is then cut to the budget: every clip of a view has its share, every frame of it
keeps the tokens of its first cells, and no frame gives up tokens as long as another one keeps more.
A clip that gazed at less than its share spends less.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gaze.checkpoint import RELEASED
from gaze.grid import Pyramid
from gaze.selectors.blind import in_turn
from gaze.selectors.kept import Cells
from gaze.selectors.protocol import Choice, Chunk, Mapping, selector
from gaze.views import Ids, Views
from hlvid.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gaze.model import AutoGaze

CLIPS_AT_ONCE = {"cpu": 8, "cuda": 64}
"""Clips that are in memory as the model reads them, by device: about 10 MB each."""
MOST_TOKENS_WIDE = 2
"""Cells wider than this become no native tokens, `union` apart."""
_ABOUT: dict[str, Any] = {
    "needs_budget": False,
    "takes_threshold": True,
    "spends": "clip",
    "weights": RELEASED,
    "reads": "views",
}


@selector(**_ABOUT)
def autogaze(chunk: Chunk) -> Choice:
    """Keeps what AutoGaze gazes at, shown every view at once."""
    return _gaze(chunk, pieces_a_side=1)


@selector(**_ABOUT | {"reads": "quarters"})
def autogaze_native(chunk: Chunk) -> Choice:
    """Keeps what AutoGaze gazes at, shown every view in four quarters."""
    return _gaze(chunk, pieces_a_side=2)


@selector(**_ABOUT, mapping="finest")
def autogaze_finest(chunk: Chunk) -> Choice:
    """Keeps the finest cells that AutoGaze gazes at, and no others."""
    return _gaze(chunk, pieces_a_side=1, mapping="finest")


@selector(**_ABOUT, mapping="union")
def autogaze_union(chunk: Chunk) -> Choice:
    """Keeps all that cells touch, coarse ones too, that AutoGaze gazes at."""
    return _gaze(chunk, pieces_a_side=1, mapping="union")


@selector(**_ABOUT, mapping="mask-coarse")
def autogaze_mask_coarse(chunk: Chunk) -> Choice:
    """Keeps what AutoGaze gazes at when it may gaze at the finest cells only."""
    return _gaze(chunk, pieces_a_side=1, mapping="mask-coarse")


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


def tokens_of_cells(pyramid: Pyramid, size: int, mapping: Mapping = "aligned") -> Ids:
    """Places of the native tokens that each cell chooses.

    Args:
        pyramid: Of the cells.
        size: Native tokens along the side of the square that it lies over.
        mapping: Which cells choose which tokens.

    Returns:
        (cells, most) places `row * size + col`, row by row, -1 where a cell chooses fewer.
    """
    where = pyramid.locate(np.arange(pyramid.num_cells))
    chosen: list[list[int]] = []
    for scale, row, col in zip(where.scale, where.row, where.col, strict=True):
        side = pyramid.sides[scale]
        places = itertools.product(_touched(int(row), side, size), _touched(int(col), side, size))
        is_chosen = _chooses(side, size, mapping, finest=max(pyramid.sides))
        chosen.append([r * size + c for r, c in places] if is_chosen else [])
    most = max(len(places) for places in chosen)
    padded = [places + [-1] * (most - len(places)) for places in chosen]
    return np.array(padded, dtype=np.int32).reshape(pyramid.num_cells, most)


def _chooses(side: int, size: int, mapping: Mapping, *, finest: int) -> bool:
    """Whether cells, `side` along an edge, choose any of the tokens, `size` along the same edge."""
    if mapping == "union":
        return True
    is_aligned = size % side == 0 or side % size == 0
    is_wanted = mapping == "aligned" or side == finest
    return is_aligned and is_wanted and size <= side * MOST_TOKENS_WIDE


def _touched(cell: int, side: int, size: int) -> range:
    """Tokens along a side, `size` of them, that a cell touches, one of `side`."""
    return range(cell * size // side, -(-(cell + 1) * size // side))


def forbidden_cells(
    pyramid: Pyramid, piece: Piece, mapping: Mapping = "aligned"
) -> NDArray[np.bool_]:
    """Which cells lie wholly outside the canvas, or are coarser than `mapping` allows, (cells,)."""
    is_inside = piece.ids >= 0
    num_rows, num_cols = int(is_inside[:, 0].sum()), int(is_inside[0].sum())
    where = pyramid.locate(np.arange(pyramid.num_cells))
    side = np.asarray(pyramid.sides)[where.scale]
    outside = (where.row * piece.size >= num_rows * side) | (
        where.col * piece.size >= num_cols * side
    )
    if mapping == "mask-coarse":
        outside |= side < max(pyramid.sides)
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


def _gaze(chunk: Chunk, *, pieces_a_side: int, mapping: Mapping = "aligned") -> Choice:
    views = chunk.views
    model = load_model(chunk.weights or RELEASED, _device())
    pyramid = Pyramid(tuple(math.isqrt(cells) for cells in model.config.cells_per_scale))
    places = tokens_of_cells(pyramid, views.size // pieces_a_side, mapping)
    if (places < 0).all():
        raise UserError(
            f"selector 'autogaze': scales of {pyramid.sides} cells a side are not aligned with "
            f"{views.size // pieces_a_side} tokens. Use a checkpoint with scales of 7 and 14."
        )
    pieces = pieces_of(views, pieces_a_side)
    chosen = list(_choose_cells(chunk, model, pyramid, pieces, mapping))
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
    chunk: Chunk,
    model: "AutoGaze",
    pyramid: Pyramid,
    pieces: Sequence[Piece],
    mapping: Mapping,
) -> Iterator[list[Ids]]:
    """For every piece, the cells of each frame in gazing order; a few pieces in memory at once."""
    import torch

    at_once = CLIPS_AT_ONCE[model.device.type]
    num_allowed = max(pyramid.sides) ** 2 if mapping == "mask-coarse" else pyramid.num_cells
    for first in range(0, len(pieces), at_once):
        wave = pieces[first : first + at_once]
        forbidden = np.stack([forbidden_cells(pyramid, piece, mapping) for piece in wave])
        gaze = model.select(
            torch.stack([_clip(chunk, piece, model) for piece in wave]),
            gazing_ratio=_ratio(chunk, num_allowed, pyramid.num_cells),
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


def _ratio(chunk: Chunk, num_allowed: int, num_cells: int) -> float | None:
    """Gazing ratio at which the cap is the budget's share of the allowed cells, rounded up."""
    if chunk.shares is None:
        return None
    num_tokens = len(chunk.frames) * chunk.views.num_tokens
    cap = -(-int(chunk.shares.sum()) * num_allowed // num_tokens)
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
    new = np.concatenate(tokens)[turn]  # (cells, most)
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
