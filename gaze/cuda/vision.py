"""The encoder as three row-wise products of fixed tiles: patches, causal convolution, output.

Channels last throughout. The convolution reads a buffer with a margin of one cell and two frames of
zeros, so it needs no mask: it is a product over taps, its rows found by pointer.
"""

# ruff: noqa: ANN001, ANN202, PLR0913 (a kernel's arguments are pointers and sizes)
# mypy: disable-error-code="import-untyped, no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gaze.config import GazeConfig
from gaze.cuda.packed import Products, operands
from gaze.encoder import CausalConv, Encoder

CLIPS_AT_ONCE = 128
"""Clips whose intermediate buffers are alive together."""


def supports(config: GazeConfig) -> bool:
    """Whether the kernels cover this encoder."""
    return config.encoder_depth == 1 and config.width % 64 == 0 and config.patch_size == 16


class VisionKernels:
    """Vision tokens of many clips, without a loop over frames."""

    def __init__(
        self,
        encoder: Encoder,
        config: GazeConfig,
        dtype: torch.dtype,
        *,
        products: Products = "working",
    ) -> None:
        block = encoder.blocks[0]
        assert isinstance(block, CausalConv)
        cast = operands(products, dtype)
        self.config, self.dtype = config, torch.float32 if products == "tf32" else dtype
        is_exact = products == "working" and dtype == torch.float32
        self.precision = "ieee" if is_exact else "tf32"
        self.patch_weight = cast(encoder.patch.weight).t().contiguous()  # (3 * 256, C)
        self.patch_bias = encoder.patch.bias.float()
        self.norm_weight, self.norm_bias = encoder.norm.weight.float(), encoder.norm.bias.float()
        self.norm_eps = encoder.norm.eps
        # (C out, C in, frames, rows, columns) to (taps, C in, C out)
        taps = cast(block.conv.weight).permute(2, 3, 4, 1, 0).flatten(0, 2)
        assert block.conv.bias is not None
        self.conv_weight, self.conv_bias = taps.contiguous(), block.conv.bias.float()
        self.out_weight = cast(encoder.out.weight).t().contiguous()
        self.out_bias = encoder.out.bias.float()
        self.position = encoder.position.float()
        self.buffers: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, video: Tensor, features: Tensor) -> None:
        """Write (B, T, P, C) ``features`` of a (B, T, 3, S, S) ``video``."""
        for first in range(0, video.shape[0], CLIPS_AT_ONCE):
            part = slice(first, first + CLIPS_AT_ONCE)
            self._run(video[part].contiguous(), features[part])

    def _allocate(
        self, clips: int, frames: int, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        config = self.config
        side = config.image_size // config.patch_size
        margin = 2 * ((config.kernel_cells - 1) // 2)
        rows = clips * frames * config.vision_tokens
        wide = (
            clips,
            frames + config.kernel_frames - 1,
            side + margin,
            side + margin,
            config.width,
        )
        if self.buffers is None or self.buffers[1].shape != wide:
            self.buffers = (
                torch.empty(rows, config.width, device=device),
                torch.zeros(wide, dtype=self.dtype, device=device),
                torch.empty(rows, config.width, dtype=self.dtype, device=device),
            )
        return self.buffers

    def _run(self, video: Tensor, features: Tensor) -> None:
        config = self.config
        clips, frames = video.shape[:2]
        embedded, wide, hidden = self._allocate(clips, frames, video.device)
        side = config.image_size // config.patch_size
        rows, width = clips * frames * config.vision_tokens, config.width
        is_fp32 = self.dtype == torch.float32
        tile = 64 if is_fp32 else 128
        grid = (triton.cdiv(rows, tile), width // 64)
        sizes = {"TILE": tile, "STEP": 64, "WIDTH": width, "PRECISION": self.precision}
        _patches[grid](
            video,
            self.patch_weight,
            self.patch_bias,
            embedded,
            rows,
            SIDE=side,
            PATCH=config.patch_size,
            **sizes,
            num_warps=4,
        )
        margin = (config.kernel_cells - 1) // 2
        _norm_into[(triton.cdiv(rows, 16),)](
            embedded,
            self.norm_weight,
            self.norm_bias,
            wide,
            rows,
            frames,
            self.norm_eps,
            SIDE=side,
            MARGIN=margin,
            PAST=config.kernel_frames - 1,
            WIDTH=width,
            PADDED=triton.next_power_of_2(width),
            TILE=16,
        )
        _convolve[grid](
            wide,
            self.conv_weight,
            self.conv_bias,
            hidden,
            rows,
            frames,
            SIDE=side,
            MARGIN=margin,
            PAST=config.kernel_frames - 1,
            KERNEL=config.kernel_cells,
            **sizes,
            num_warps=4,
            num_stages=2 if is_fp32 else 4,
        )
        _output[grid](
            hidden,
            self.out_weight,
            self.out_bias,
            self.position,
            features,
            rows,
            VISION=config.vision_tokens,
            **sizes,
            num_warps=4,
        )


@triton.jit
def _patches(
    video,
    weight,
    bias,
    out,
    rows,
    SIDE: tl.constexpr,
    PATCH: tl.constexpr,
    TILE: tl.constexpr,
    STEP: tl.constexpr,
    WIDTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    g = tl.program_id(0) * TILE + tl.arange(0, TILE)
    has_row = g < rows
    s = tl.arange(0, STEP)
    column = tl.program_id(1) * STEP + s
    image = (g // (SIDE * SIDE)).to(tl.int64)
    cell = g % (SIDE * SIDE)
    LINE: tl.constexpr = SIDE * PATCH
    corner = image * (3 * LINE * LINE) + (cell // SIDE) * (PATCH * LINE) + (cell % SIDE) * PATCH
    total = tl.zeros([TILE, STEP], tl.float32)
    for at in range(0, 3 * PATCH * PATCH, STEP):
        k = at + s
        pixel = (k // (PATCH * PATCH)) * (LINE * LINE)
        pixel += (k // PATCH % PATCH) * LINE + k % PATCH
        a = tl.load(video + corner[:, None] + pixel[None, :], mask=has_row[:, None], other=0.0)
        w = tl.load(weight + k[:, None] * WIDTH + column[None, :])
        total = tl.dot(a.to(w.dtype), w, total, input_precision=PRECISION)
    total += tl.load(bias + column)[None, :]
    tl.store(out + g.to(tl.int64)[:, None] * WIDTH + column[None, :], total, mask=has_row[:, None])


@triton.jit
def _norm_into(
    x,
    weight,
    bias,
    wide,
    rows,
    frames,
    eps,
    SIDE: tl.constexpr,
    MARGIN: tl.constexpr,
    PAST: tl.constexpr,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    TILE: tl.constexpr,
):
    """Layer norm of a row, written inside the margins of the convolution's input."""
    g = tl.program_id(0) * TILE + tl.arange(0, TILE)
    c = tl.arange(0, PADDED)
    has_c = (c < WIDTH)[None, :]
    mask = (g < rows)[:, None] & has_c
    value = tl.load(x + g.to(tl.int64)[:, None] * WIDTH + c[None, :], mask=mask, other=0.0)
    mean = tl.sum(value, 1) / WIDTH
    centred = tl.where(has_c, value - mean[:, None], 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 1) / WIDTH + eps)
    gain = tl.load(weight + c, mask=c < WIDTH, other=0.0)
    shift = tl.load(bias + c, mask=c < WIDTH, other=0.0)
    result = centred * scale[:, None] * gain[None, :] + shift[None, :]
    LINE: tl.constexpr = SIDE + 2 * MARGIN
    image = g // (SIDE * SIDE)
    cell = g % (SIDE * SIDE)
    place = (image // frames * (frames + PAST) + image % frames + PAST).to(tl.int64)
    place = (place * LINE + cell // SIDE + MARGIN) * LINE + cell % SIDE + MARGIN
    tl.store(
        wide + place[:, None] * WIDTH + c[None, :], result.to(wide.dtype.element_ty), mask=mask
    )


@triton.jit
def _convolve(
    wide,
    weight,
    bias,
    out,
    rows,
    frames,
    SIDE: tl.constexpr,
    MARGIN: tl.constexpr,
    PAST: tl.constexpr,
    KERNEL: tl.constexpr,
    TILE: tl.constexpr,
    STEP: tl.constexpr,
    WIDTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Convolution as one product over (tap, channel), then bias and ReLU."""
    g = tl.program_id(0) * TILE + tl.arange(0, TILE)
    has_row = g < rows
    s = tl.arange(0, STEP)
    column = tl.program_id(1) * STEP + s
    LINE: tl.constexpr = SIDE + 2 * MARGIN
    image = g // (SIDE * SIDE)
    cell = g % (SIDE * SIDE)
    corner = (image // frames * (frames + PAST) + image % frames).to(tl.int64)
    corner = (corner * LINE + cell // SIDE) * LINE + cell % SIDE
    base = wide + corner[:, None] * WIDTH + s[None, :]
    inner = weight + s[:, None] * WIDTH + column[None, :]
    total = tl.zeros([TILE, STEP], tl.float32)
    PARTS: tl.constexpr = WIDTH // STEP
    for i in range(0, (PAST + 1) * KERNEL * KERNEL * PARTS):
        tap = i // PARTS
        at = i % PARTS * STEP
        shift = (tap // (KERNEL * KERNEL) * LINE + tap // KERNEL % KERNEL) * LINE + tap % KERNEL
        a = tl.load(base + (shift * WIDTH + at), mask=has_row[:, None], other=0.0)
        w = tl.load(inner + (tap * WIDTH + at) * WIDTH)
        total = tl.dot(a, w, total, input_precision=PRECISION)
    total = tl.maximum(total + tl.load(bias + column)[None, :], 0.0)
    tl.store(
        out + g.to(tl.int64)[:, None] * WIDTH + column[None, :],
        total.to(out.dtype.element_ty),
        mask=has_row[:, None],
    )


@triton.jit
def _output(
    x,
    weight,
    bias,
    position,
    out,
    rows,
    VISION: tl.constexpr,
    TILE: tl.constexpr,
    STEP: tl.constexpr,
    WIDTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    g = tl.program_id(0) * TILE + tl.arange(0, TILE)
    mask = (g < rows)[:, None]
    s = tl.arange(0, STEP)
    column = tl.program_id(1) * STEP + s
    here = g.to(tl.int64)[:, None] * WIDTH
    total = tl.zeros([TILE, STEP], tl.float32)
    for at in range(0, WIDTH, STEP):
        a = tl.load(x + here + (at + s)[None, :], mask=mask, other=0.0)
        w = tl.load(weight + (at + s)[:, None] * WIDTH + column[None, :])
        total = tl.dot(a, w, total, input_precision=PRECISION)
    total += tl.load(bias + column)[None, :]
    total += tl.load(
        position + (g % VISION)[:, None] * WIDTH + column[None, :], mask=mask, other=0.0
    )
    tl.store(out + here + column[None, :], total.to(out.dtype.element_ty), mask=mask)
