"""What training is about: how much of a video is lost when only the kept cells are seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from gaze.gazes import Gaze


class Reconstruction(Protocol):
    """Something that guesses a video from its kept cells, and says how far off it was."""

    @property
    def kind(self) -> str:
        """Names the loss: a threshold on one kind means nothing to another."""
        ...

    @property
    def cells_per_scale(self) -> tuple[int, ...]:
        """Cells of a frame at each scale, coarse to fine, that a gaze may keep."""
        ...

    def losses(self, pixels: Tensor, gaze: Gaze, *, frames: Sequence[int] | None = None) -> Tensor:
        """The loss of each frame.

        Args:
            pixels: (B, T, 3, S, S), values 0 to 255 of any type.
            gaze: The cells kept of these frames, or of the first of them. A frame is guessed from
                its own cells and those of the frames before it.
            frames: Which frames to judge; all that the gaze has by default.

        Returns:
            (B, frames) fp32, lower is better.
        """
        ...
