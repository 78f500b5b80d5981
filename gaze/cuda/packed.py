"""The decoder's weights as the kernels read them, and what they are multiplied in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gaze.config import GazeConfig
from gaze.decoder import Decoder, Layer

STEP = 64
"""Columns and inner values that a kernel takes at once; three steps make the width."""
Products = Literal["working", "tf32"]
"""What weights and activations are rounded to before they are multiplied: to the working type, or
to TF32, of 10 bits as float16 but with float32's range. Queries and the cache are always of the
working type. In bfloat16 the choices differ from float32's mostly for the operands' 7 bits, not for
the cache's."""


def round_to_tf32(x: Tensor) -> Tensor:
    """The nearest values of 10 bits, ties to even, as fp32: the hardware would cut the bits off."""
    bits = x.float().contiguous().view(torch.int32)
    return ((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFF).view(torch.float32)


def operands(products: Products, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """How weights are turned into operands of products."""
    if products == "tf32":
        return lambda weight: round_to_tf32(weight.detach())
    return lambda weight: weight.detach().to(dtype)


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
    def pack(
        cls,
        decoder: Decoder,
        *,
        dtype: torch.dtype,
        most_positions: int,
        products: Products = "working",
    ) -> PackedWeights:
        """Pack, with rotary tables for positions up to ``most_positions``."""
        config, cast = decoder.config, operands(products, dtype)
        packed = []
        for layer in decoder.layers:
            assert isinstance(layer, Layer)
            packed.append(_pack_layer(layer, config, cast))
        both = cast(torch.cat([decoder.token_head.weight, decoder.loss_head.weight]))
        columns = -(-both.shape[0] // STEP) * STEP
        heads = both.new_zeros(config.width, columns)
        heads[:, : both.shape[0]] = both.t()
        position = torch.arange(most_positions, device=both.device)
        angle = position.unsqueeze(1).float() * decoder.rotary.inverse.to(both.device)
        return cls(
            layers=tuple(packed),
            embed=decoder.embed.weight.detach().to(heads.dtype).contiguous(),
            norm=decoder.norm.weight.detach().float(),
            heads=heads,
            cosine=angle.cos().contiguous(),
            sine=angle.sin().contiguous(),
        )


def _pack_layer(layer: Layer, config: GazeConfig, cast: Callable[[Tensor], Tensor]) -> PackedLayer:
    half, width = config.head_width // 2, config.width
    qkv = cast(layer.qkv.weight)
    # (part, pair, head of the pair, half, value, C) to (part, pair, half, C, head and value)
    split = qkv.view(3, config.num_heads // 2, 2, 2, half, width).permute(0, 1, 3, 5, 2, 4)
    return PackedLayer(
        attention_norm=layer.attention_norm.weight.detach().float(),
        qkv=split.reshape(3 * (config.num_heads // 2), 2, width, 2 * half).contiguous(),
        out=cast(layer.out.weight).t().contiguous(),
        mlp_norm=layer.mlp_norm.weight.detach().float(),
        gate_up=cast(layer.gate_up.weight).t().contiguous(),
        down=cast(layer.down.weight).t().contiguous(),
    )
