"""Controls that choose among the ids that AutoGaze chooses among, with its budget in every frame.

Each exists twice: over all scales, and over the finest alone. Which of the two is held against
AutoGaze is decided on validation clips, so that no control is made worse than it could be.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.train.clips import draws
from gaze.train.labels import greedy
from gaze.train.pyramid import LUMA, MID_GREY, Pyramid, Table

Scales = Literal["all", "finest"]
GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples spread most evenly over [0, 1)."""

Arm = Callable[["Held", int, Scales], Tensor]
"""From clips, a budget and the scales allowed to the kept cells, (B, T, cells) bool."""


class Held:
    """Clips to choose on.

    Args:
        pixels: (B, T, 3, S, S), values 0 to 255.
        pyramid: The cells.
        seed: Of arms that draw.
    """

    def __init__(self, pixels: Tensor, pyramid: Pyramid, *, seed: int = 0) -> None:
        self.pixels, self.pyramid, self.seed = pixels, pyramid, seed
        self.table: Table = pyramid.table(pixels)
        self.shape = *pixels.shape[:2], self.table.num_cells

    def first_cell(self, scales: Scales) -> int:
        """The first id that may be chosen."""
        return 0 if scales == "all" else self.shape[2] - self.pyramid.cells_per_scale[-1]

    def keep(self, score: Tensor, budget: int, scales: Scales) -> Tensor:
        """The cells (..., cells) of highest score among those allowed, ties to the lowest id."""
        score = score.clone()
        score[..., : self.first_cell(scales)] = -torch.inf
        order = score.argsort(dim=-1, descending=True, stable=True)[..., :budget]
        return torch.zeros_like(score, dtype=torch.bool).scatter_(-1, order, True)

    def cells(self) -> Tensor:
        """(B, T, cells, patch, patch) luma of every cell's own pixels at its scale."""
        weight = torch.tensor(LUMA, device=self.pixels.device).view(3, 1, 1)
        luma = (self.pixels.float() * weight).sum(2)  # (B, T, S, S)
        patch, found = self.pyramid.patch_size, []
        for side in self.pyramid.sides:
            size = (side * patch, side * patch)
            small = F.interpolate(luma, size=size, mode="bilinear", antialias=True)
            cut = small.view(*luma.shape[:2], side, patch, side, patch)
            found.append(cut.transpose(3, 4).flatten(2, 3))
        return torch.cat(found, 2)


def coarse_first(held: Held, budget: int, scales: Scales) -> Tensor:
    """Keeps the coarsest cells; of the scale that is not whole, even steps, shifted every frame."""
    score = torch.zeros(held.shape)
    first = 0
    for rank, cells in enumerate(held.pyramid.cells_per_scale):
        left = budget - first if scales == "all" else budget
        for frame in range(held.shape[1]):
            here = slice(first, first + cells)
            even = _even(cells, max(0, min(left, cells)), frame)
            score[:, frame, here] = even.float() - rank * 2
        first += cells
    return held.keep(score, budget, scales)


def uniform(held: Held, budget: int, scales: Scales) -> Tensor:
    """Keeps even steps through the ids, shifted by a golden-ratio step a frame."""
    first = held.first_cell(scales)
    score = torch.zeros(held.shape)
    for frame in range(held.shape[1]):
        score[:, frame, first:] = _even(held.shape[2] - first, budget, frame).float()
    return held.keep(score, budget, scales)


def _even(cells: int, count: int, frame: int) -> Tensor:
    """(cells,) bool: `count` even steps, shifted by a golden-ratio step a frame."""
    kept = torch.zeros(cells, dtype=torch.bool)
    shift = frame * GOLDEN % 1.0
    for step in range(min(count, cells)):
        kept[int((step + shift) * cells / count) % cells] = True
    return kept


def random(held: Held, budget: int, scales: Scales) -> Tensor:
    """Keeps random cells."""
    score = torch.from_numpy(draws("random", held.seed).random(held.shape))
    return held.keep(score, budget, scales)


def change(held: Held, budget: int, scales: Scales) -> Tensor:
    """Keeps the cells that differ most from when they were last kept; never kept: from mid-grey."""
    values = held.cells().flatten(3)  # (B, T, cells, patch * patch)
    last = torch.full_like(values[:, 0], MID_GREY)
    found = []
    for now in values.unbind(1):
        kept = held.keep((now - last).abs().mean(-1), budget, scales)
        last = torch.where(kept.unsqueeze(-1), now, last)
        found.append(kept)
    return torch.stack(found, 1)


def detail(held: Held, budget: int, scales: Scales) -> Tensor:
    """Keeps the cells of largest gradient energy at their own scale."""
    values = held.cells()
    down, across = values.diff(dim=-2).square(), values.diff(dim=-1).square()
    return held.keep(down.sum((-2, -1)) + across.sum((-2, -1)), budget, scales)


def oracle(held: Held, budget: int, scales: Scales) -> Tensor:
    """Keeps what a greedy search over the loss itself finds."""
    assert scales == "all", "it sees the loss, and needs no second chance"
    budgets = torch.full(held.shape[:2], budget, device=held.pixels.device)
    return greedy(held.table, budgets).sequences.mask(held.shape[2])


CONTROLS: dict[str, Arm] = {
    "coarse-first": coarse_first,
    "change": change,
    "detail": detail,
    "random": random,
    "uniform": uniform,
}
