"""The decoder's weights as the kernels read them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gaze.config import GazeConfig
from gaze.decoder import Decoder, Layer

STEP = 64
"""Columns and inner values that a kernel takes at once; three steps make the width."""


@dataclass(frozen=True)
class PackedLayer:
    """One layer, (in, out) throughout; norms in fp32.

    Attributes:
        attention_norm: (C,).
        qkv: (3 * pairs, 2 halves, C, D): part and pair of heads, the halves that rotate together.
        out: (C, C).
        mlp_norm: (C,).
        gate_up: (C, 2 * MLP).
        down: (MLP, C).
    """

    attention_norm: Tensor
    qkv: Tensor
    out: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


@dataclass(frozen=True)
class PackedWeights:
    """The decoder in its working type; norms and rotary tables in fp32."""

    layers: tuple[PackedLayer, ...]
    embed: Tensor
    norm: Tensor
    heads: Tensor
    cosine: Tensor
    sine: Tensor

    @classmethod
    def pack(cls, decoder: Decoder, *, dtype: torch.dtype, most_positions: int) -> PackedWeights:
        """Pack, with rotary tables for positions up to ``most_positions``."""
        config = decoder.config
        packed = []
        for layer in decoder.layers:
            assert isinstance(layer, Layer)
            packed.append(_pack_layer(layer, config, dtype))
        both = torch.cat([decoder.token_head.weight, decoder.loss_head.weight]).to(dtype)
        columns = -(-both.shape[0] // STEP) * STEP
        heads = both.new_zeros(config.width, columns)
        heads[:, : both.shape[0]] = both.t()
        position = torch.arange(most_positions, device=both.device)
        angle = position.unsqueeze(1).float() * decoder.rotary.inverse.to(both.device)
        return cls(
            layers=tuple(packed),
            embed=decoder.embed.weight.detach().to(dtype).contiguous(),
            norm=decoder.norm.weight.detach().float(),
            heads=heads,
            cosine=angle.cos().contiguous(),
            sine=angle.sin().contiguous(),
        )


def _pack_layer(layer: Layer, config: GazeConfig, dtype: torch.dtype) -> PackedLayer:
    half, width = config.head_width // 2, config.width
    qkv = layer.qkv.weight.detach().to(dtype)
    # (part, pair, head of the pair, half, value, C) to (part, pair, half, C, head and value)
    split = qkv.view(3, config.num_heads // 2, 2, 2, half, width).permute(0, 1, 3, 5, 2, 4)
    return PackedLayer(
        attention_norm=layer.attention_norm.weight.detach().float(),
        qkv=split.reshape(3 * (config.num_heads // 2), 2, width, 2 * half).contiguous(),
        out=layer.out.weight.detach().to(dtype).t().contiguous(),
        mlp_norm=layer.mlp_norm.weight.detach().float(),
        gate_up=layer.gate_up.weight.detach().to(dtype).t().contiguous(),
        down=layer.down.weight.detach().to(dtype).t().contiguous(),
    )
