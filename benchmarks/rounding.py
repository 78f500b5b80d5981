"""Which roundings change a choice: fp32 arithmetic whose operands are rounded as a GPU's would be.

Clips of 16 frames are gazed at in fp32; then every choice is made again, the same cells given
before it, while operands of one kind or another are rounded. AutoGaze of the released size with
random weights, natural positions, nothing but this machine's arithmetic: no GPU is emulated beyond
its types, and attention's weights are never rounded.

    python benchmarks/rounding.py                   # writes benchmarks/results/rounding.jsonl
    python benchmarks/rounding.py --quick
    python benchmarks/rounding.py --clips 64 --out /tmp/rounding.jsonl
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from measure import Rows, parser, result_file  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from gaze.attention import masked_sdpa  # noqa: E402
from gaze.config import autogaze_base  # noqa: E402
from gaze.cuda.packed import round_to_tf32  # noqa: E402
from gaze.decoder import Decoder, Layer, RMSNorm, rotate  # noqa: E402
from gaze.encoder import Encoder  # noqa: E402
from gaze.model import AutoGaze  # noqa: E402
from hlvid.console import progress  # noqa: E402

BENCHMARK = "rounding"
RATIO, FRAMES = 0.1, 16
Round = Callable[[Tensor], Tensor]


def exact(x: Tensor) -> Tensor:
    """As it is."""
    return x


def bfloat16(x: Tensor) -> Tensor:
    """To 8 bits."""
    return x.bfloat16().float()


def float16(x: Tensor) -> Tensor:
    """To 11 bits."""
    return x.half().float()


def cut_to_tf32(x: Tensor) -> Tensor:
    """To 11 bits, towards zero, as a tensor core reads fp32."""
    return (x.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)


@dataclass(frozen=True)
class Rounding:
    """What is rounded, and how.

    Args:
        encoder: Its weights and what passes between its layers: a type, or None for fp32.
        weights: The decoder's.
        operands: Of the decoder's products, weights left out.
        cache: Queries, keys and values.
        attended: What attention gives.
    """

    encoder: torch.dtype | None = None
    weights: Round = exact
    operands: Round = exact
    cache: Round = exact
    attended: Round = exact


ALL_BF16 = Rounding(torch.bfloat16, bfloat16, bfloat16, bfloat16, bfloat16)
TF32_PRODUCTS = Rounding(None, round_to_tf32, cut_to_tf32, bfloat16, exact)
ROUNDINGS = {
    "everything to bfloat16": ALL_BF16,
    "everything to float16": Rounding(torch.float16, float16, float16, float16, float16),
    "bfloat16: the encoder alone": Rounding(torch.bfloat16),
    "bfloat16: the decoder's weights alone": Rounding(weights=bfloat16),
    "bfloat16: the decoder's operands alone": Rounding(operands=bfloat16, attended=bfloat16),
    "bfloat16: queries and cache alone": Rounding(cache=bfloat16),
    "bfloat16 encoder and cache, TF32 decoder": replace(TF32_PRODUCTS, encoder=torch.bfloat16),
    "fp32 encoder, bfloat16 cache, TF32 decoder": TF32_PRODUCTS,
}


def encode(encoder: Encoder, video: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Vision tokens (B, T, P, C) by an encoder of a type."""
    if dtype is None:
        found: Tensor = encoder(video)[0]
        return found
    # A CPU has no half convolution: the weights and pixels are of the type, the sums of fp32.
    rounded = copy.deepcopy(encoder).to(dtype)
    if dtype == torch.float16:
        return rounded.float()(video.to(dtype).float())[0].to(dtype).float()  # type: ignore[no-any-return]
    return rounded(video.to(dtype))[0].float()  # type: ignore[no-any-return]


def normed(x: Tensor, norm: RMSNorm) -> Tensor:
    """RMSNorm in fp32."""
    return F.rms_norm(x, norm.weight.shape, norm.weight, norm.eps)


def logits_of(decoder: Decoder, features: Tensor, ids: Tensor, how: Rounding) -> Tensor:
    """Logits (B, T, slots, cells) of every choice, those before it given, cells taken left out."""
    batch, frames, slots = ids.shape
    config, num_vision = decoder.config, features.shape[2]
    embedded = F.embedding(ids, how.weights(decoder.embed.weight))
    x = torch.cat([features, embedded], dim=2).flatten(1, 2)  # (B, T * (P + slots), C)
    cos, sin = decoder.rotary(torch.arange(x.shape[1]).expand(x.shape[:2]))
    for layer in decoder.layers:
        assert isinstance(layer, Layer)
        x = run_layer(layer, x, cos, sin, how)
    heads = config.tokens_per_forward
    first = torch.arange(0, slots, heads) + num_vision - 1
    rows = (torch.arange(frames)[:, None] * (num_vision + slots) + first).flatten()
    last = how.operands(normed(x[:, rows], decoder.norm))  # (B, T * blocks, C)
    logits = F.linear(last, how.weights(decoder.token_head.weight))
    logits = logits.view(batch, frames, -1, config.vocab)[:, :, :slots, : config.num_cells]
    taken = torch.zeros_like(logits, dtype=torch.bool)
    for slot in range(slots - 1):
        later = ids[:, :, slot, None, None].expand(-1, -1, slots - 1 - slot, 1)
        taken[:, :, slot + 1 :].scatter_(3, later, True)
    return logits.masked_fill(taken, -torch.inf)


def run_layer(layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, how: Rounding) -> Tensor:
    """One layer of the decoder over whole sequences, (B, N, C) to (B, N, C)."""

    def times(value: Tensor, weight: Tensor) -> Tensor:
        return F.linear(how.operands(value), how.weights(weight))

    qkv = times(normed(x, layer.attention_norm), layer.qkv.weight).unflatten(-1, (3, *layer.heads))
    q, k = rotate(qkv[..., :2, :, :], cos, sin).unbind(-3)
    q, k, v = (how.cache(part).transpose(1, 2) for part in (q, k, qkv[..., 2, :, :]))
    attended = masked_sdpa(q, k, v, causal=True).transpose(1, 2).flatten(-2)
    x = x + times(how.attended(attended), layer.out.weight)
    gate, up = times(normed(x, layer.mlp_norm), layer.gate_up.weight).chunk(2, dim=-1)
    return x + times(F.silu(gate) * up, layer.down.weight)


def moving_clip(seed: int) -> Tensor:
    """(1, T, 3, 224, 224) smooth drifting noise."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(1, 3, 14, 14, generator=generator)
    drift = 0.4 * torch.randn(FRAMES, 3, 14, 14, generator=generator)
    return F.interpolate(base + drift.cumsum(0), size=(224, 224), mode="bilinear").unsqueeze(0)


def run(asked: argparse.Namespace, rows: Rows) -> None:
    """Every rounding over all clips, one clip at a time."""
    model = AutoGaze.from_seed(autogaze_base(), 0)
    slots = model.config.cap(RATIO)
    wrong = dict.fromkeys(ROUNDINGS, 0)
    square, difference = 0.0, dict.fromkeys(ROUNDINGS, 0.0)
    with progress(asked.clips, BENCHMARK) as bar:
        for seed in range(asked.clips):
            video = moving_clip(seed)
            gaze = model.select(video, gazing_ratio=RATIO)
            ids = (gaze.positions % model.config.num_cells).view(1, FRAMES, slots)
            truth = logits_of(model.decoder, encode(model.encoder, video, None), ids, Rounding())
            is_open = truth.isfinite()
            square += float(truth[is_open].square().sum())
            for what, how in ROUNDINGS.items():
                features = encode(model.encoder, video, how.encoder)
                found = logits_of(model.decoder, features, ids, how)
                wrong[what] += int((found.argmax(-1) != truth.argmax(-1)).sum())
                difference[what] += float((found - truth)[is_open].square().sum())
            bar.advance()
    total = asked.clips * FRAMES * slots
    for what in ROUNDINGS:
        rows.add(
            "rounding",
            what=what,
            slots=total,
            error=round((difference[what] / square) ** 0.5, 7),
            agreement=round(1 - wrong[what] / total, 6),
        )


def main() -> None:
    """Run what the command line asks for."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--clips", type=int, default=16)
    asked = options.parse_args()
    if asked.quick:
        asked.clips = 1
    settings = {"clips": asked.clips, "gazing_ratio": RATIO, "threads": torch.get_num_threads()}
    with torch.no_grad(), Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows:
        run(asked, rows)


if __name__ == "__main__":
    main()
