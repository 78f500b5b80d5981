"""Greedy gazes: the sequences that the first stage learns to predict, and the oracle's choices.

The cell that lowers a frame's loss most is added, again and again, to the frame's budget; then
comes the next frame (arXiv 2603.12254, section 3.2). The loss is noted after every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.train.pyramid import Table
from gaze.train.reconstruction import Reconstruction
from gaze.train.sequences import Sequences
from hlvid.types import Record


class Budgets(Record):
    """How many cells a clip and its frames may keep (arXiv 2603.12254, appendix B).

    Args:
        low: Smallest mean share of a frame's cells.
        high: Largest.
        scale: Of the exponential distribution between the two; the paper does not tell it.
        first: Dirichlet parameter of the first frame's part.
        rest: Of every other frame's.
    """

    low: float = 0.02
    high: float = 0.2
    scale: float = 0.1
    first: float = 10.0
    rest: float = 3.0

    def draw(self, rng: np.random.Generator, num_frames: int, num_cells: int) -> list[int]:
        """The budget of each frame of one clip, at least 1 and at most all cells."""
        # The inverse of the exponential distribution function, restricted to low .. high.
        ends = np.exp(-np.array([self.low, self.high]) / self.scale)
        ratio = -self.scale * np.log(ends[0] - rng.random() * (ends[0] - ends[1]))
        alpha = [self.first, *[self.rest] * (num_frames - 1)]
        parts = ratio * num_frames * num_cells * rng.dirichlet(alpha)
        return [int(n) for n in np.clip(np.rint(parts), 1, num_cells)]


@dataclass(frozen=True)
class Labels:
    """Greedy sequences of a batch of clips.

    Attributes:
        sequences: The ids, in the order they were added.
        losses: (B, T, M) the frame's loss once that id is added; 0 where there is none.
        gains: (B, T, M, cells) what each cell would have lowered the loss by instead, in half
            precision, 0 for what is kept already; None where nobody asked.
    """

    sequences: Sequences
    losses: Tensor
    gains: Tensor | None = None

    @classmethod
    def from_lists(
        cls, ids: Sequence[Sequence[Sequence[int]]], losses: Sequence[Sequence[Sequence[float]]]
    ) -> Labels:
        """Of plain lists, ``[clip][frame][slot]``."""
        sequences = Sequences.from_lists(ids)
        longest = sequences.ids.shape[-1]
        padded = [[[*f, *[0.0] * (longest - len(f))] for f in clip] for clip in losses]
        return cls(sequences, torch.tensor(padded, dtype=torch.float32).view(sequences.ids.shape))

    def to(self, device: torch.device) -> Labels:
        """The same on a device."""
        gains = None if self.gains is None else self.gains.to(device)
        return Labels(Sequences(self.sequences.ids.to(device)), self.losses.to(device), gains)

    def loss_lists(self) -> list[list[list[float]]]:
        """Plain losses, ``[clip][frame][slot]``."""
        counts = self.sequences.count.tolist()
        values = self.losses.tolist()
        return [
            [frame[:n] for frame, n in zip(clip, of_clip, strict=True)]
            for clip, of_clip in zip(values, counts, strict=True)
        ]


def greedy(
    table: Table, budgets: Tensor, *, stops_early: bool = False, keeps_gains: bool = False
) -> Labels:
    """Greedy search in closed form, all clips at once.

    A cell changes nothing but the blocks that it covers and that no finer cell covers yet, so the
    gain of every cell is a sum over a table.

    Args:
        table: Of the clips.
        budgets: (B, T) cells that each frame keeps.
        stops_early: End a frame once no cell lowers its loss: what would follow is chosen by id
            alone, and teaches nothing. Every frame keeps one cell at least.
        keeps_gains: Note what every other cell would have gained as well.
    """
    return _search(table, budgets, None, stops_early=stops_early, keeps_gains=keeps_gains)


def along(table: Table, gazes: Sequences) -> Labels:
    """What finished gazes gained, and what every other cell would have gained at each step.

    A frame ends, as in greedy search, once no cell lowers its loss.

    Args:
        table: Of the clips.
        gazes: Any, no id twice in a frame.
    """
    return _search(table, gazes.count, gazes.ids, stops_early=True, keeps_gains=True)


def _search(
    table: Table, budgets: Tensor, chosen: Tensor | None, *, stops_early: bool, keeps_gains: bool
) -> Labels:
    frames = []
    source = table.start()
    for frame in range(budgets.shape[1]):
        given = None if chosen is None else chosen[:, frame]
        found = _search_frame(table, source, frame, budgets[:, frame], given, stops_early)
        source = table.paint(source, frame, found.kept)
        frames.append(found)
    longest = max(len(found.ids) for found in frames)

    def padded(steps: list[Tensor], value: float) -> Tensor:
        missing = [torch.full_like(steps[0], value)] * (longest - len(steps))
        return torch.stack([*steps, *missing], 1)

    ids = torch.stack([padded(found.ids, -1) for found in frames], 1)
    losses = torch.stack([padded(found.losses, 0.0) for found in frames], 1)
    if not keeps_gains:
        return Labels(Sequences(ids), losses)
    return Labels(
        Sequences(ids), losses, torch.stack([padded(found.gains, 0.0) for found in frames], 1)
    )


@dataclass(frozen=True)
class _Steps:
    """A frame's search, one tensor a step.

    Attributes:
        ids: (B,) each.
        losses: (B,) each.
        gains: (B, cells) each.
        kept: (B, cells) at the end.
    """

    ids: list[Tensor]
    losses: list[Tensor]
    gains: list[Tensor]
    kept: Tensor


def _search_frame(
    table: Table,
    source: Tensor,
    frame: int,
    budget: Tensor,
    chosen: Tensor | None,
    stops_early: bool,
) -> _Steps:
    """One frame, of the best cells or of chosen ones (B, M)."""
    cover, batch, device = table.cover, source.shape[0], source.device
    num_scales = cover.shape[0]
    first = 1 + frame * num_scales
    painted = table.errors[:, frame, first : first + num_scales]  # (B, L, N) once painted
    now = table.error(source, frame)  # (B, N)
    finest = torch.full_like(source, -1)  # (B, N) scale that shows
    kept = torch.zeros(batch, table.num_cells, dtype=torch.bool, device=device)
    scales = torch.arange(num_scales, device=device).view(1, -1, 1)
    flat_cover = cover.flatten().expand(batch, -1)  # (B, L * N)
    is_going = torch.ones(batch, dtype=torch.bool, device=device)
    ids, losses, noted = [], [], []
    for step in range(int(budget.max())):
        gain = (now.unsqueeze(1) - painted).masked_fill(finest.unsqueeze(1) >= scales, 0.0)
        gains = now.new_zeros(kept.shape).scatter_add_(1, flat_cover, gain.flatten(1))
        best, cell = gains.masked_fill(kept, -torch.inf).max(1)  # (B,)
        noted.append(gains.masked_fill(kept, 0.0).clamp_(min=0.0).half())
        is_going &= step < budget
        if stops_early and step > 0:
            is_going &= best > 0
        if not bool(is_going.any()):
            noted.pop()
            break
        if chosen is not None:
            cell = chosen[:, step].clamp(min=0)
        kept |= F.one_hot(cell, kept.shape[1]).bool() & is_going.unsqueeze(1)
        covers = (cover == cell.view(-1, 1, 1)) & is_going.view(-1, 1, 1)  # (B, L, N)
        changes = covers & (finest.unsqueeze(1) < scales)
        now = torch.where(changes, painted, 0.0).sum(1) + now * ~changes.any(1)
        finest = torch.where(changes.any(1), (changes * scales).amax(1), finest)
        ids.append(cell.masked_fill(~is_going, -1))
        losses.append(now.sum(1).masked_fill(~is_going, 0.0))
    return _Steps(ids, losses, noted, kept)


def greedy_slow(reconstruction: Reconstruction, pixels: Tensor, budgets: Tensor) -> Labels:
    """Greedy search with any reconstruction, one loss of the whole frame a candidate.

    Args:
        reconstruction: What is to be lowered.
        pixels: (B, T, 3, S, S), values 0 to 255.
        budgets: (B, T) cells that each frame keeps.
    """
    num_cells = sum(reconstruction.cells_per_scale)
    ids, losses = [], []
    for clip, budget in zip(pixels, budgets.tolist(), strict=True):
        chosen: list[list[int]] = []
        noted: list[list[float]] = []
        for frame, cells in enumerate(budget):
            chosen.append([])
            noted.append([])
            for _ in range(min(cells, num_cells)):
                left = [cell for cell in range(num_cells) if cell not in chosen[-1]]
                tried = Sequences.from_lists(
                    [[*chosen[:-1], [*chosen[-1], cell]] for cell in left]
                ).gaze(reconstruction.cells_per_scale)
                many = clip.expand(len(left), *clip.shape)
                found = reconstruction.losses(many, tried, frames=[frame])[:, 0]
                best = int(found.argmin())
                chosen[-1].append(left[best])
                noted[-1].append(float(found[best]))
        ids.append(chosen)
        losses.append(noted)
    return Labels.from_lists(ids, losses)
