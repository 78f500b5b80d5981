"""What a gaze is: the slots of every clip, and the views that others need of them."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gaze.decode import FrameGaze


@dataclass(frozen=True)
class Gaze:
    """Chosen cells of B clips of T frames, N slots a clip.

    Attributes:
        positions: (B, N) int64, ``frame * cells + id`` in gazing order, cells counted coarse to
            fine; -1 where padded.
        is_padding: (B, N) bool; padded slots stand anywhere in a frame, not only at its end.
        num_per_frame: (T,) int64 slots of each frame, padding included.
        cells_per_scale: Cells of a frame at each scale, coarse to fine.
        is_ordered: Whether a frame's slots are in gazing order (else in order of id).
    """

    positions: Tensor
    is_padding: Tensor
    num_per_frame: Tensor
    cells_per_scale: tuple[int, ...]
    is_ordered: bool = True

    def __post_init__(self) -> None:
        assert self.positions.shape == self.is_padding.shape
        assert self.positions.shape[1] == int(self.num_per_frame.sum())

    @classmethod
    def from_frames(
        cls,
        frames: Sequence[FrameGaze],
        cells_per_scale: tuple[int, ...],
        *,
        is_ordered: bool = True,
    ) -> Gaze:
        """Put frames side by side."""
        cells = sum(cells_per_scale)
        shifted = [frame.ids + t * cells for t, frame in enumerate(frames)]
        is_padding = torch.cat([frame.is_padding for frame in frames], dim=1)
        return cls(
            positions=torch.cat(shifted, dim=1).masked_fill(is_padding, -1),
            is_padding=is_padding,
            num_per_frame=torch.tensor([frame.ids.shape[1] for frame in frames]),
            cells_per_scale=cells_per_scale,
            is_ordered=is_ordered,
        )

    @property
    def num_cells(self) -> int:
        """Cells of a frame, all scales together."""
        return sum(self.cells_per_scale)

    @property
    def num_frames(self) -> int:
        """T."""
        return self.num_per_frame.shape[0]

    @property
    def masks(self) -> tuple[Tensor, ...]:
        """(B, T, cells) bool for each scale, coarse to fine."""
        return tuple(self.mask.split(self.cells_per_scale, dim=2))

    @property
    def mask(self) -> Tensor:
        """(B, T, cells) bool, all scales together."""
        batch = self.positions.shape[0]
        total = self.num_frames * self.num_cells
        seen = torch.zeros(batch, total + 1, dtype=torch.bool, device=self.positions.device)
        where = torch.where(self.is_padding, total, self.positions)
        return seen.scatter_(1, where, True)[:, :total].view(batch, self.num_frames, -1)

    @property
    def num_kept(self) -> Tensor:
        """(B, T) cells kept."""
        return self.mask.sum(-1)

    @property
    def ratio(self) -> Tensor:
        """(B,) share of all cells that is kept."""
        return self.num_kept.sum(1) / (self.num_frames * self.num_cells)

    def kept(self, clip: int) -> list[Tensor]:
        """One clip's kept ids, frame by frame, in gazing order."""
        counts = self.num_per_frame.tolist()
        ids = self.positions[clip].split(counts)
        padded = self.is_padding[clip].split(counts)
        return [one[~pad] % self.num_cells for one, pad in zip(ids, padded, strict=True)]

    def clip(self, index: int) -> Gaze:
        """One clip, without the slots that only its neighbours needed."""
        counts = self.num_per_frame.tolist()
        frames = []
        for t, (ids, padded) in enumerate(
            zip(
                self.positions[index].split(counts),
                self.is_padding[index].split(counts),
                strict=True,
            )
        ):
            real = (~padded).nonzero().flatten()
            end = int(real[-1]) + 1 if real.numel() else 0
            local = torch.where(padded, -1, ids - t * self.num_cells)
            frames.append(FrameGaze(local[None, :end], padded[None, :end]))
        return Gaze.from_frames(frames, self.cells_per_scale, is_ordered=self.is_ordered)
