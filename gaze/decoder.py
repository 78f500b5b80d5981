"""The gaze decoder: a small Llama that predicts ten tokens and ten losses in one forward.

Letters: C width, H heads, D values a head, V vocabulary, K tokens a forward, R rows a lane.

Only the last row of a forward is read by the heads, and the keys and values of the last layer
come from the layer before it. So the last layer computes keys and values for all rows, and
everything else for one row a lane. The choices are the same.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gaze.attention import Backend, Lanes, attend, masked_sdpa
from gaze.config import GazeConfig


@dataclass
class Cache:
    """Keys and values of every slot, token-major, without padding.

    Slot s owns rows ``s * slot_rows`` to ``(s + 1) * slot_rows``; the last row of each array is a
    bin for what nobody may read.

    Attributes:
        key: One (slots * slot_rows + 1, H, D) array a layer.
        value: The same for values.
        slot_rows: M, rows of one slot.
    """

    key: list[Tensor]
    value: list[Tensor]
    slot_rows: int

    @classmethod
    def allocate(cls, config: GazeConfig, *, num_slots: int, slot_rows: int, like: Tensor) -> Cache:
        """An empty cache on the device and in the type of ``like``.

        On a CPU the rows of one head lie together in memory: attention reads them a third faster.
        """
        rows, heads, width = num_slots * slot_rows + 1, config.num_heads, config.head_width

        def empty() -> Tensor:
            if like.device.type == "cpu":
                return like.new_zeros(heads, rows, width).transpose(0, 1)
            return like.new_zeros(rows, heads, width)

        layers = range(config.num_layers)
        return cls([empty() for _ in layers], [empty() for _ in layers], slot_rows)


@dataclass(frozen=True)
class Step:
    """Where the rows of one forward belong.

    Attributes:
        lanes: Every lane's rows and keys.
        last: The last row of every lane and the same keys.
        cache_row: (rows,) cache row that each row's key and value go to.
        position: (rows,) rotary position of each row.
    """

    lanes: Lanes
    last: Lanes
    cache_row: Tensor
    position: Tensor


class RMSNorm(nn.Module):
    """x / rms(x) * weight, computed in fp32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps
        self._eps = torch.tensor([eps])

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        if x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled():
            # PyTorch's own takes it apart into more and slower operations there.
            norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            mean_square = torch.addcmul(self._eps, norm, norm, value=1 / x.shape[-1])
            return (x * mean_square.rsqrt_()).mul_(self.weight)
        if x.dtype == torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        full = F.rms_norm(x.float(), self.weight.shape, None, self.eps)
        return self.weight * full.to(x.dtype)


class Rotary(nn.Module):
    """Rotary angles with the frequency scaling of Llama 3."""

    def __init__(self, config: GazeConfig) -> None:
        super().__init__()
        # No buffer: casting the model to half precision would turn far positions by radians.
        self.inverse = rotary_frequencies(config)

    def forward(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """What `rotate` takes of integer positions (...): two tables (..., 1, 1, D), fp32."""
        if self.inverse.device != position.device:
            self.inverse = self.inverse.to(position.device)
        angle = position[..., None, None, None].float() * self.inverse  # (..., 1, 1, D / 2)
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotary_frequencies(config: GazeConfig) -> Tensor:
    """(D / 2,) fp32 frequencies theta^(-2i/D), as the ``llama3`` rope type scales them.

    Long wavelengths are divided by ``factor``, short ones kept, with a ramp between (Llama 3.1).
    """
    half = torch.arange(0, config.head_width, 2, dtype=torch.int64).float()
    frequency = 1.0 / (config.rope_theta ** (half / config.head_width))
    scaling = config.rope_scaling
    if scaling is None:
        return frequency
    wavelength = 2 * math.pi / frequency
    turns = scaling.original_max_position_embeddings / wavelength
    ramp = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    ramp = ramp.clamp(0.0, 1.0)
    return (1 - ramp) * frequency / scaling.factor + ramp * frequency


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate (..., D) by tables that broadcast, pairing value i with value i + D / 2; in fp32.

    Args:
        x: Values.
        cos: Cosines of both halves.
        sin: Minus the sines for the first half, the sines for the second.
    """
    full = x.float()
    turned = torch.addcmul(full * cos, full.roll(full.shape[-1] // 2, -1), sin)
    return turned.to(x.dtype)


class Layer(nn.Module):
    """Attention and MLP, each after a norm and with a residual.

    Its parts are used without being called: on a CPU a call costs a tenth of so small a product.
    """

    def __init__(self, config: GazeConfig) -> None:
        super().__init__()
        width, self.heads = config.width, (config.num_heads, config.head_width)
        self.attention_norm = RMSNorm(width, config.norm_eps)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = RMSNorm(width, config.norm_eps)
        self.gate_up = nn.Linear(width, 2 * config.mlp_width, bias=False)
        self.down = nn.Linear(config.mlp_width, width, bias=False)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values: each (..., H, D), from rows (..., C)."""
        normed = self.attention_norm.forward(x)
        qkv = F.linear(normed, self.qkv.weight).unflatten(-1, (3, *self.heads))  # (..., 3, H, D)
        q, k = rotate(qkv[..., :2, :, :], cos, sin).unbind(-3)
        return q, k, qkv[..., 2, :, :]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Output projection and MLP: rows (..., C) and their attention (..., H, D) to (..., C)."""
        x = x + F.linear(attended.flatten(-2), self.out.weight)
        normed = self.mlp_norm.forward(x)
        gate, up = F.linear(normed, self.gate_up.weight).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down.weight)


class Decoder(nn.Module):
    """Embeds gazed tokens, runs rows against a cache, and reads ten heads off the last row."""

    def __init__(self, config: GazeConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab, config.width)
        self.rotary = Rotary(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.token_head = nn.Linear(
            config.width, config.tokens_per_forward * config.vocab, bias=False
        )
        self.loss_head = nn.Linear(config.width, config.tokens_per_forward, bias=False)

    def forward(
        self, x: Tensor, cache: Cache, step: Step, *, backend: Backend = "auto"
    ) -> tuple[Tensor, Tensor]:
        """Run the rows of all lanes and append their keys and values to the cache.

        Args:
            x: (lanes * R, C) rows, lane by lane.
            cache: Updated in place at ``step.cache_row``.
            step: Cache rows, positions and lanes.
            backend: Attention backend.

        Returns:
            Logits (lanes, K, V) and predicted losses (lanes, K) of each lane's last row, in fp32.
        """
        cos, sin = self.rotary(step.position)
        num_lanes = step.last.k_len.shape[0]
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            is_last = index == len(self.layers) - 1
            q, k, v = layer.project(x, cos, sin)  # each (rows, H, D)
            cache.key[index].index_copy_(0, step.cache_row, k)
            cache.value[index].index_copy_(0, step.cache_row, v)
            lanes = step.lanes
            if is_last:
                q = q.unflatten(0, (num_lanes, -1))[:, -1].contiguous()  # (lanes, H, D)
                x = x.unflatten(0, (num_lanes, -1))[:, -1]  # (lanes, C)
                lanes = step.last
            attended = attend(q, cache.key[index], cache.value[index], lanes, backend=backend)
            x = layer.finish(x, attended)
        return self.heads(x)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (..., K, V) and losses (..., K) of rows (..., C), in fp32."""
        x = self.norm(x)
        logits = self.token_head(x).unflatten(-1, (-1, self.config.vocab))
        return logits.float(), self.loss_head(x).float()

    def whole(self, x: Tensor, position: Tensor) -> Tensor:
        """Causal forward over finished sequences, with gradients and no cache.

        Args:
            x: (B, N, C) rows; padding, if any, at the end, where no earlier row sees it.
            position: (B, N) rotary positions.

        Returns:
            (B, N, C), ready for :meth:`heads`.
        """
        cos, sin = self.rotary(position)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            q, k, v = (part.transpose(1, 2) for part in layer.project(x, cos, sin))  # (B, H, N, D)
            x = layer.finish(x, masked_sdpa(q, k, v, causal=True).transpose(1, 2))
        return x
