"""SigLIP and SigLIP2 towers that encode kept cells only, packed and never padded.

All kept cells of all clips lie in one row of tokens, clip by clip and frame by frame. What a token
may see is a lane table over :func:`gaze.attention.attend`; no mask is built for any of the four
patterns.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gaze.attention import Backend, Lanes, attend
from gaze.gazes import Gaze
from gaze.weights import check_shapes
from hlvid.errors import UserError

Pattern = Literal["block_causal", "causal", "bidirectional", "frame_independent"]
"""Full inside a frame and causal over frames; causal by token; all of a clip; a frame alone."""

_PREFIX = "vision_model."


@dataclass(frozen=True)
class VitConfig:
    """Sizes of a SigLIP vision tower (field names as in Hugging Face's ``vision_config``)."""

    hidden_size: int = 1152
    intermediate_size: int = 4304
    num_hidden_layers: int = 27
    num_attention_heads: int = 16
    image_size: int = 384
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    scales: tuple[int, ...] = (384,)

    @property
    def cells_per_scale(self) -> tuple[int, ...]:
        """Cells of a frame at each scale, coarse to fine."""
        return tuple((scale // self.patch_size) ** 2 for scale in self.scales)


def siglip2_so400m(scales: tuple[int, ...] = (56, 112, 196, 392)) -> VitConfig:
    """SigLIP2-SO400M, patch 14, at 392 pixels: the tower of NVILA-8B-HD-Video."""
    return VitConfig(image_size=392, scales=scales)


@dataclass(frozen=True)
class Kept:
    """The kept cells of a batch, packed clip by clip, frame by frame, in gazing order.

    Attributes:
        clip: (K,) clip of each token.
        frame: (K,) frame of each token.
        cell: (K,) id within the frame, scales coarse to fine.
        counts: (B, T) tokens of each frame of each clip.
    """

    clip: Tensor
    frame: Tensor
    cell: Tensor
    counts: Tensor

    @classmethod
    def from_gaze(cls, gaze: Gaze) -> Kept:
        """Drop the padded slots."""
        is_real = ~gaze.is_padding  # (B, N)
        frame_of_slot = torch.repeat_interleave(
            torch.arange(gaze.num_frames), gaze.num_per_frame.cpu()
        ).to(is_real.device)
        counts = is_real.new_zeros(is_real.shape[0], gaze.num_frames, dtype=torch.int64)
        counts.index_add_(1, frame_of_slot, is_real.long())
        clip, slot = is_real.nonzero(as_tuple=True)
        cell = gaze.positions[clip, slot] % gaze.num_cells
        return cls(clip=clip, frame=frame_of_slot[slot], cell=cell, counts=counts)

    @classmethod
    def everything(cls, *, batch: int, frames: int, cells: int, device: torch.device) -> Kept:
        """All cells of all frames: the tower without gazing."""
        index = torch.arange(batch * frames * cells, device=device)
        return cls(
            clip=index // (frames * cells),
            frame=index // cells % frames,
            cell=index % cells,
            counts=torch.full((batch, frames), cells, device=device),
        )


def lane_table(counts: Tensor, pattern: Pattern) -> Lanes:
    """Lanes of packed tokens; lanes without rows are dropped.

    Args:
        counts: (B, T) tokens of each frame of each clip.
        pattern: Who sees whom.
    """
    device = counts.device
    per_clip = counts.sum(1)
    clip_start = per_clip.cumsum(0) - per_clip  # (B,)
    if pattern in ("causal", "bidirectional"):
        rows, start, length = per_clip, clip_start, per_clip
    else:
        rows = counts.flatten()
        end = rows.cumsum(0)
        start = (
            end - rows
            if pattern == "frame_independent"
            else clip_start.repeat_interleave(counts.shape[1])
        )
        length = end - start
    has_rows = rows > 0
    rows, start, length = rows[has_rows], start[has_rows], length[has_rows]
    q_start = torch.zeros(rows.shape[0] + 1, dtype=torch.int32, device=device)
    q_start[1:] = rows.cumsum(0)
    return Lanes(
        q_start=q_start,
        k_start=start.to(torch.int32),
        k_len=length.to(torch.int32),
        max_q=int(rows.max()) if rows.numel() else 0,
        max_k=int(length.max()) if rows.numel() else 0,
        causal=pattern == "causal",
    )


class VitLayer(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.norm1 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.up = nn.Linear(width, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, width)

    def forward(self, x: Tensor, lanes: Lanes, backend: Backend) -> Tensor:
        """(K, C) to (K, C)."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.num_heads, -1))  # (K, 3, H, D)
        q, k, v = (part.contiguous() for part in qkv.unbind(1))
        x = x + self.out(attend(q, k, v, lanes, backend=backend).flatten(1))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))  # type: ignore[no-any-return]


class GazedVit(nn.Module):
    """A SigLIP tower over kept cells of several scales."""

    def __init__(self, config: VitConfig, *, pattern: Pattern = "block_causal") -> None:
        super().__init__()
        self.config, self.pattern = config, pattern
        side = config.image_size // config.patch_size
        self.patch = nn.Linear(3 * config.patch_size**2, config.hidden_size)
        self.position = nn.Parameter(torch.zeros(side * side, config.hidden_size))
        self.layers = nn.ModuleList(VitLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    @classmethod
    def from_state(
        cls,
        config: VitConfig,
        state: Mapping[str, Tensor],
        *,
        pattern: Pattern = "block_causal",
        where: str = "state dict",
    ) -> Self:
        """Load a stock Hugging Face SigLIP state dict; text tower and pooling head are left out.

        Raises:
            UserError: A tensor is missing, unknown or misshaped.
        """
        vision = {key: value for key, value in state.items() if key.startswith(_PREFIX)}
        vision = {k: v for k, v in vision.items() if not k.startswith(f"{_PREFIX}head.")}
        check_shapes(where, {k: tuple(v.shape) for k, v in vision.items()}, _stock_shapes(config))
        tower = cls(config, pattern=pattern)
        tower.load_state_dict(_from_stock(vision, config))
        return tower.eval().requires_grad_(False)

    def forward(self, video: Tensor, kept: Kept, *, backend: Backend = "auto") -> Tensor:
        """Encode the kept cells.

        Args:
            video: (B, T, 3, S, S), preprocessed for this tower.
            kept: Which cells, packed.
            backend: Attention backend.

        Returns:
            (K, C) after the last norm, in the order of ``kept``.
        """
        x = self.embed(video, kept)
        lanes = lane_table(kept.counts, self.pattern)
        for layer in self.layers:
            x = layer(x, lanes, backend)
        return self.norm(x)  # type: ignore[no-any-return]

    def embed(self, video: Tensor, kept: Kept) -> Tensor:
        """Patches of the kept cells only, with the position of their scale: (K, C)."""
        size = self.config.patch_size
        pixels = video.flatten(0, 1)  # (B * T, 3, S, S)
        row = kept.clip * video.shape[1] + kept.frame  # (K,)
        x = self.position.new_zeros(kept.cell.shape[0], self.config.hidden_size)
        first = 0
        for scale, cells in zip(self.config.scales, self.config.cells_per_scale, strict=True):
            here = ((kept.cell >= first) & (kept.cell < first + cells)).nonzero().flatten()
            side = scale // size
            cell = kept.cell[here] - first
            first += cells
            if here.numel() == 0:
                continue
            image = _resize(pixels, scale)[..., : side * size, : side * size]
            grid = image.unflatten(3, (side, size)).unflatten(2, (side, size))
            # (B * T, 3, rows, size, columns, size), read only where a cell is kept
            patches = grid[row[here], :, cell // side, :, cell % side, :]  # (k, 3, size, size)
            x[here] = self.patch(patches.flatten(1)) + self._positions(side)[cell]
        return x

    def _positions(self, side: int) -> Tensor:
        """(side * side, C): the learned positions at another grid, bicubic."""
        native = self.config.image_size // self.config.patch_size
        if side == native:
            return self.position
        grid = self.position.t().reshape(1, -1, native, native)
        grid = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
        return grid.flatten(2)[0].t()


def _resize(pixels: Tensor, size: int) -> Tensor:
    if pixels.shape[-1] == size == pixels.shape[-2]:
        return pixels
    return F.interpolate(pixels, size=(size, size), mode="bicubic", align_corners=False)


def pad_like(gaze: Gaze, tokens: Tensor) -> Tensor:
    """Packed (K, C) tokens in the gaze's slots, (B, N, C), zero where padded."""
    out = tokens.new_zeros(*gaze.is_padding.shape, tokens.shape[-1])
    out[~gaze.is_padding] = tokens
    return out


def read_vit_config(path: Path, *, scales: tuple[int, ...] | None = None) -> VitConfig:
    """Sizes from a Hugging Face ``config.json`` of SigLIP or its vision tower.

    Raises:
        UserError: It cannot be read, or a size is missing or out of bounds.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw = raw.get("vision_config", raw)
        sizes = {name: raw[name] for name in _BOUNDS}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no config of a SigLIP tower ({error}).") from error
    for name, (low, high) in _BOUNDS.items():
        if type(sizes[name]) is not int or not low <= sizes[name] <= high:
            raise UserError(f"{path.name}: {name} is not a whole number from {low} to {high}.")
    return VitConfig(**sizes, scales=scales or (sizes["image_size"],))


_BOUNDS = {
    "hidden_size": (1, 8192),
    "intermediate_size": (1, 65536),
    "num_hidden_layers": (1, 128),
    "num_attention_heads": (1, 128),
    "image_size": (14, 4096),
    "patch_size": (1, 128),
}


def _stock_shapes(config: VitConfig) -> dict[str, tuple[int, ...]]:
    """Keys of a stock vision tower and their shapes, its pooling head left out."""
    width, mlp, patch = config.hidden_size, config.intermediate_size, config.patch_size
    side = config.image_size // patch
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.patch_embedding.weight": (width, 3, patch, patch),
        "embeddings.patch_embedding.bias": (width,),
        "embeddings.position_embedding.weight": (side * side, width),
        "post_layernorm.weight": (width,),
        "post_layernorm.bias": (width,),
    }
    linear = {"self_attn.q_proj": (width, width), "self_attn.k_proj": (width, width)}
    linear |= {"self_attn.v_proj": (width, width), "self_attn.out_proj": (width, width)}
    linear |= {"mlp.fc1": (mlp, width), "mlp.fc2": (width, mlp)}
    for i in range(config.num_hidden_layers):
        layer = f"encoder.layers.{i}."
        for name, shape in linear.items():
            shapes |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
        for name in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{name}.weight": (width,), f"{layer}{name}.bias": (width,)}
    return {_PREFIX + name: shape for name, shape in shapes.items()}


def _from_stock(state: Mapping[str, Tensor], config: VitConfig) -> dict[str, Tensor]:
    """Stock tensors under our names."""
    embeddings = f"{_PREFIX}embeddings."
    ours = {
        "patch.weight": state[f"{embeddings}patch_embedding.weight"].flatten(1),
        "patch.bias": state[f"{embeddings}patch_embedding.bias"],
        "position": state[f"{embeddings}position_embedding.weight"],
        "norm.weight": state[f"{_PREFIX}post_layernorm.weight"],
        "norm.bias": state[f"{_PREFIX}post_layernorm.bias"],
    }
    pairs = {"norm1": "layer_norm1", "norm2": "layer_norm2", "out": "self_attn.out_proj"}
    pairs |= {"up": "mlp.fc1", "down": "mlp.fc2"}
    for i in range(config.num_hidden_layers):
        stock = f"{_PREFIX}encoder.layers.{i}."
        for kind in ("weight", "bias"):
            qkv = [state[f"{stock}self_attn.{name}_proj.{kind}"] for name in "qkv"]
            ours[f"layers.{i}.qkv.{kind}"] = torch.cat(qkv)
            for name, source in pairs.items():
                ours[f"layers.{i}.{name}.{kind}"] = state[f"{stock}{source}.{kind}"]
    return ours
