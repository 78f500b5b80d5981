"""Vision towers of known sizes with random weights, and the two ways of encoding a clip with them.

*Off*: every cell of the finest scale, every frame alone, as a tower for pictures is used. *On*: the
cells that a gaze kept, block-causal over the clip, as AutoGaze's towers are used. Both run through
`gaze.vit`. Patches are of 16 pixels, so that a tower's cells at 224 pixels are AutoGaze's own.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.config import GazeConfig
from gaze.grid import Pyramid
from gaze.vit import GazedVit, Kept, VitConfig, VitLayer

PATCH = 16
TOWERS = {
    "ViT-Ti/16": (192, 768, 12, 3),
    "ViT-S/16": (384, 1536, 12, 6),
    "SigLIP2-B/16": (768, 3072, 12, 12),
    "SigLIP2-L/16": (1024, 4096, 24, 16),
    "SigLIP2-SO400M/16": (1152, 4304, 27, 16),
}
"""Width, width of the MLP, layers, heads."""


def tower_config(name: str, *, scales: tuple[int, ...]) -> VitConfig:
    """The sizes of a tower that sees these scales, pixels of a side."""
    width, mlp, layers, heads = TOWERS[name]
    return VitConfig(
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=scales[-1],
        patch_size=PATCH,
        scales=scales,
    )


def random_tower(
    config: VitConfig, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> GazedVit:
    """A tower with seeded random weights, for timing."""
    with torch.device("meta"):
        tower = GazedVit(config)
    tower = tower.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    for name, weight in tower.named_parameters():
        if weight.ndim > 1:
            weight.data.normal_(0, 0.02, generator=generator)
        else:
            weight.data.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return tower.to(dtype).eval().requires_grad_(False)


def flops_per_token(config: VitConfig) -> int:
    """Floating point operations of the linear layers for one token; attention comes on top."""
    width, mlp = config.hidden_size, config.intermediate_size
    layer = 4 * width**2 + 2 * width * mlp
    return 2 * (config.num_hidden_layers * layer + 3 * config.patch_size**2 * width)


def finest(config: VitConfig, *, clips: int, frames: int, device: torch.device) -> Kept:
    """All cells of the finest scale."""
    cells = config.cells_per_scale[-1]
    found = Kept.everything(batch=clips, frames=frames, cells=cells, device=device)
    coarser = sum(config.cells_per_scale[:-1])
    return Kept(found.clip, found.frame, found.cell + coarser, found.counts)


def encode_all(tower: GazedVit, video: Tensor, kept: Kept) -> Tensor:
    """Off: every frame alone."""
    tower.pattern = "frame_independent"
    found: Tensor = tower(video, kept)
    return found


def encode_kept(tower: GazedVit, video: Tensor, kept: Kept) -> Tensor:
    """On: kept cells of a clip, block-causal."""
    tower.pattern = "block_causal"
    found: Tensor = tower(video, kept)
    return found


def encode_dense(tower: GazedVit, video: Tensor, kept: Kept, *, is_causal: bool) -> Tensor:
    """The same as the two above without a fused kernel: all scores of a lane at once, masked.

    Args:
        tower: Whose layers are run.
        video: As the tower's own.
        kept: Equally many cells in every frame.
        is_causal: On (block-causal over the clip), or off (every frame alone).
    """
    frames, count = kept.counts.shape[1], int(kept.counts[0, 0])
    rows = frames * count if is_causal else count
    x = tower.embed(video, kept).unflatten(0, (-1, rows))  # (lanes, rows, C)
    mask = None
    if is_causal:
        frame = torch.arange(rows, device=x.device) // count
        mask = frame[:, None] < frame  # (rows, rows)
    for layer in tower.layers:
        assert isinstance(layer, VitLayer)
        qkv = layer.qkv(layer.norm1(x)).unflatten(-1, (3, layer.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (lanes, H, rows, D)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if mask is not None:
            scores.masked_fill_(mask, -torch.inf)
        attended = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + layer.out(attended)
        x = x + layer.down(F.gelu(layer.up(layer.norm2(x)), approximate="tanh"))
    found: Tensor = tower.norm(x).flatten(0, 1)
    return found


def widened(kept: Kept, config: GazeConfig, times: int) -> Kept:
    """The same places for a tower whose grids have `times` as many cells a side at every scale."""
    sides = tuple(scale // config.patch_size for scale in config.scales)
    coarse, fine = Pyramid(sides), Pyramid(tuple(times * side for side in sides))
    place = coarse.locate(np.arange(coarse.num_cells)[:, None, None])
    step = np.arange(times)
    rows, cols = times * place.row + step[:, None], times * place.col + step
    table = fine.positions(0, place.scale, rows, cols)  # (cells, times, times)
    cells = torch.from_numpy(table.reshape(coarse.num_cells, -1)).to(kept.cell.device)
    return Kept(
        clip=kept.clip.repeat_interleave(times**2),
        frame=kept.frame.repeat_interleave(times**2),
        cell=cells[kept.cell].flatten(),
        counts=kept.counts * times**2,
    )
