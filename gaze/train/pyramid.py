"""`Pyramid`: a reconstruction without weights, which anybody can compute again.

It begins with a mid-grey picture. At each frame the kept cells are painted over the last picture,
coarse to fine whatever the order of gazing. A kept cell knows its own 16 x 16 pixels of the frame
at its scale and nothing else: the frame is scaled down as the vision tower's input is (bilinear,
antialiased), and the cell alone is scaled up again. The loss of a frame is the mean absolute
difference to it, over the standard deviation of the clip's luma.

All scales cut a frame along multiples of one block (8 pixels in the released pyramid). So what any
gaze loses can be looked up: the error of a block is known once it is known which frame and scale
painted it last. `Table` holds these errors; losses and greedy search never look at a pixel again.

Letters: B clips, T frames, L scales, N blocks of a frame, S pixels of a side.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.gazes import Gaze
from gaze.grid import RELEASED_SIDES

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue: ITU-R BT.601."""
MID_GREY = 128.0
MIN_DEVIATION = 1.0
"""Of luma, 0 to 255: a clip of one colour would otherwise divide by nothing."""


class Pyramid:
    """The reconstruction over square grids of cells.

    Args:
        sides: Cells along a side at each scale, coarse to fine.
        patch_size: Pixels along a side of a cell at its own scale.
    """

    kind = "pyramid-l1"

    def __init__(self, sides: tuple[int, ...] = RELEASED_SIDES, *, patch_size: int = 16) -> None:
        self.sides, self.patch_size = sides, patch_size
        self.size = sides[-1] * patch_size
        if any(self.size % side for side in sides):
            raise ValueError(f"sides {sides}: each must divide {self.size} pixels")
        self.block = math.gcd(*(self.size // side for side in sides))

    @property
    def cells_per_scale(self) -> tuple[int, ...]:
        """Cells of a frame at each scale, coarse to fine."""
        return tuple(side * side for side in self.sides)

    @cached_property
    def cover(self) -> Tensor:
        """(L, N) the id of the cell that covers a block at each scale."""
        blocks = self.size // self.block
        place = torch.arange(blocks)
        rows, first = [], 0
        for side in self.sides:
            cell = place * side // blocks
            rows.append((first + cell[:, None] * side + cell).flatten())
            first += side * side
        return torch.stack(rows)

    def losses(self, pixels: Tensor, gaze: Gaze, *, frames: Sequence[int] | None = None) -> Tensor:
        """The loss of each frame; see `Reconstruction`."""
        found = self.table(pixels).losses(gaze.mask)
        return found if frames is None else found[:, list(frames)]

    def table(self, pixels: Tensor) -> Table:
        """The errors of every block, whatever is kept.

        Args:
            pixels: (B, T, 3, S, S), values 0 to 255 of any type.

        Raises:
            ValueError: The frames are not of this pyramid's size.
        """
        if pixels.shape[2:] != (3, self.size, self.size):
            raise ValueError(
                f"pixels {tuple(pixels.shape)}: frames of 3 x {self.size} x {self.size} are needed"
            )
        # One clip at a time stays in a CPU's cache; a GPU is fed with all of them.
        parts = pixels.split(1) if pixels.device.type == "cpu" else (pixels,)
        errors = torch.cat([self._errors(part.float()) for part in parts])
        return Table(errors, self.cover.to(errors.device))

    def _errors(self, video: Tensor) -> Tensor:
        """`Table.errors` of clips (B, T, 3, S, S)."""
        (batch, num_frames), num_scales = video.shape[:2], len(self.sides)
        painted = [self._seen(video, scale) for scale in range(num_scales)]
        num_blocks = (self.size // self.block) ** 2
        errors = video.new_zeros(batch, num_frames, 1 + num_frames * num_scales, num_blocks)
        buffer = torch.empty_like(video[:, 0])
        for t in range(num_frames):
            torch.sub(video[:, t], MID_GREY, out=buffer)
            errors[:, t, 0] = self._per_block(buffer)
            for u in range(t + 1):
                for scale, seen in enumerate(painted):
                    torch.sub(seen[:, u], video[:, t], out=buffer)
                    errors[:, t, 1 + u * num_scales + scale] = self._per_block(buffer)
        return errors / (num_blocks * _deviation(video)).view(-1, 1, 1, 1)

    def _per_block(self, difference: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, N): mean of the absolute values in a block; overwrites them."""
        return F.avg_pool2d(difference.abs_(), self.block).mean(1).flatten(1)

    def _seen(self, video: Tensor, scale: int) -> Tensor:
        """(B, T, 3, S, S) what a viewer sees of a video whose cells are all kept at one scale."""
        side = self.sides[scale]
        if side == self.sides[-1]:
            return video
        down = _resizing(self.size, side * self.patch_size).to(video.device)
        up = _resizing(self.patch_size, self.size // side).to(video.device)
        small = down @ (video @ down.T)  # (B, T, 3, side * patch, side * patch)
        wide = (small.unflatten(-1, (side, -1)) @ up.T).flatten(-2)  # every cell for itself
        return (up @ wide.unflatten(-2, (side, -1))).flatten(-3, -2)


@dataclass(frozen=True)
class Table:
    """What each block costs at each frame, for every picture that may show there.

    Attributes:
        errors: (B, T, 1 + T * L, N) share of a frame's loss that a block has when it shows a
            source: source 0 is mid-grey, ``1 + frame * L + scale`` what was painted then. Sources
            of later frames are 0 and never asked for.
        cover: (L, N) the id of the cell that covers a block at each scale.
    """

    errors: Tensor
    cover: Tensor

    @property
    def num_cells(self) -> int:
        """Cells of a frame, all scales together."""
        return int(self.cover.max()) + 1

    def to(self, device: torch.device) -> Table:
        """The same on a device."""
        return Table(self.errors.to(device), self.cover.to(device))

    def repeat(self, times: int) -> Table:
        """Every clip `times` times in a row."""
        return Table(self.errors.repeat_interleave(times, 0), self.cover)

    def start(self) -> Tensor:
        """(B, N) the source of each block before the first frame: mid-grey."""
        shape = self.errors.shape[0], self.errors.shape[-1]
        return torch.zeros(shape, dtype=torch.int64, device=self.errors.device)

    def paint(self, source: Tensor, frame: int, kept: Tensor) -> Tensor:
        """The source of each block once a frame's kept cells are painted.

        Args:
            source: (B, N) before.
            frame: Which frame.
            kept: (B, cells) bool.
        """
        num_scales = self.cover.shape[0]
        rank = torch.arange(1, num_scales + 1, device=kept.device).view(1, -1, 1)
        finest = (kept[:, self.cover] * rank).amax(1)  # (B, N), 0 where nothing is kept
        return torch.where(finest > 0, frame * num_scales + finest, source)

    def error(self, source: Tensor, frame: int) -> Tensor:
        """(B, N) each block's share of the loss of a frame."""
        return self.errors[:, frame].gather(1, source.unsqueeze(1)).squeeze(1)

    def losses(self, kept: Tensor) -> Tensor:
        """(B, T) the loss of each frame when the cells (B, T, cells) are kept."""
        source, found = self.start(), []
        for frame in range(kept.shape[1]):
            source = self.paint(source, frame, kept[:, frame])
            found.append(self.error(source, frame).sum(1))
        return torch.stack(found, 1)


def _deviation(video: Tensor) -> Tensor:
    """(B,) standard deviation of a clip's luma."""
    weight = video.new_tensor(LUMA).view(3, 1, 1)
    luma = (video * weight).sum(2).flatten(1)  # (B, T * S * S)
    return luma.std(1, correction=0).clamp(min=MIN_DEVIATION)


def _resizing(before: int, after: int) -> Tensor:
    """(after, before): bilinear scaling of a row of pixels, antialiased, as a matrix."""
    rows = torch.eye(before).view(before, 1, 1, before)
    resized = F.interpolate(rows, size=(1, after), mode="bilinear", antialias=True)
    return resized.view(before, after).T.contiguous()
