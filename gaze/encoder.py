"""Frames to vision tokens: a patch convolution and a short causal 3-D convolution.

It sees the current frame and, a block, the ``kernel_frames - 1`` before it (arXiv 2603.12254,
appendix A). All frames of all clips run before decoding starts; nothing here knows about gazing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gaze.config import GazeConfig

History = tuple[Tensor, ...]
"""For each block, its last ``kernel_frames - 1`` input frames: (B, C, frames, rows, columns)."""


class CausalConv(nn.Module):
    """3-D convolution over (frames, rows, columns) that never looks ahead, then ReLU."""

    def __init__(self, config: GazeConfig) -> None:
        super().__init__()
        kernel = (config.kernel_frames, config.kernel_cells, config.kernel_cells)
        margin = (config.kernel_cells - 1) // 2
        self.conv = nn.Conv3d(config.width, config.width, kernel, padding=(0, margin, margin))
        self.num_past = config.kernel_frames - 1

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Convolve (B, C, T, rows, columns) after ``past`` frames; zeros where there are none."""
        if past is None:
            past = x.new_zeros(*x.shape[:2], self.num_past, *x.shape[3:])
        x = torch.cat([past, x], dim=2)  # (B, C, past + T, rows, columns)
        # cuDNN would otherwise take TF32 for fp32 input, and choices would differ from the CPU's.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return F.relu(self.conv(x)), x[:, :, -self.num_past :]


class Encoder(nn.Module):
    """(B, T, 3, S, S) preprocessed frames to (B, T, P, C) vision tokens."""

    def __init__(self, config: GazeConfig) -> None:
        super().__init__()
        width = config.width
        self.patch_size = config.patch_size
        self.patch = nn.Linear(3 * config.patch_size**2, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(CausalConv(config) for _ in range(config.encoder_depth))
        self.out = nn.Linear(width, width)
        self.position = nn.Parameter(torch.zeros(config.vision_tokens, width))

    def patches(self, video: Tensor) -> Tensor:
        """(B, T, 3, S, S) to (B, T, rows, columns, 3 * patch * patch), in a convolution's order."""
        size = self.patch_size
        batch, frames, channels, height, width = video.shape
        x = video.view(batch, frames, channels, height // size, size, width // size, size)
        return x.permute(0, 1, 3, 5, 2, 4, 6).flatten(4)

    def forward(self, video: Tensor, history: History | None = None) -> tuple[Tensor, History]:
        """Vision tokens of a run of frames, and what the next run needs to continue.

        Args:
            video: (B, T, 3, S, S), preprocessed, S the configured image size.
            history: What the previous call returned, when these frames follow it.

        Returns:
            (B, T, P, C) tokens with their positions added, and the new history.
        """
        x = self.norm(self.patch(self.patches(video)))  # (B, T, rows, columns, C)
        x = x.permute(0, 4, 1, 2, 3)  # (B, C, T, rows, columns)
        kept = []
        for i, block in enumerate(self.blocks):
            x, past = block(x, None if history is None else history[i])
            kept.append(past)
        x = self.out(x.permute(0, 2, 3, 4, 1))  # (B, T, rows, columns, C)
        return x.flatten(2, 3) + self.position, tuple(kept)
