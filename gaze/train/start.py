"""The model that a stage begins with: seeded, or another stage's best."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gaze.config import GazeConfig
from gaze.decoder import Layer
from gaze.encoder import CausalConv, Encoder
from gaze.model import AutoGaze
from gaze.train.settings import TrainSettings
from gaze.weights import upstream_shapes
from hlvid.errors import UserError

LICENSE = "Apache-2.0"
"""Of what is trained from random values."""
KEPT = ("num_heads", "rope_theta", "rope_scaling", "norm_eps")
"""What no tensor's shape tells, and what its weights were trained with."""
_SPREAD = 0.02
"""Standard deviation of fresh weights, as usual for such decoders."""
_EMBEDDING_SPREAD = 0.2
"""Of fresh embeddings of cells and places: as large as the vision tokens that they stand beside."""
_CONSTANT = 0.6
"""What the constant channel of all embeddings holds."""
_LUMA_AND_COLOUR = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))
"""Of red, green and blue: ITU-R BT.601."""


def begin(settings: TrainSettings, *, loss_kind: str) -> AutoGaze:
    """The model to train, at natural positions, in float32, under the terms of what it begins with.

    Args:
        settings: Of the stage.
        loss_kind: Kind of loss that it will predict.

    Raises:
        UserError: The checkpoint to start from cannot be read, or is of another size.
    """
    config = settings.model.config(loss_kind=loss_kind, clip_frames=settings.data.num_frames)
    if settings.start is None:
        return _fresh(AutoGaze(replace(config, license=LICENSE)), settings.seed)
    model = AutoGaze.from_pretrained(settings.start, dtype=torch.float32)
    if upstream_shapes(model.config) != upstream_shapes(config):
        raise UserError(
            f"start {settings.start}: is a model of other sizes. Set [model] to its own, or take "
            "another start."
        )
    ours, theirs = asdict(config), asdict(model.config)
    for name in KEPT:
        if ours[name] != theirs[name]:
            advice = "Set it so, or take" if name == KEPT[0] else "Take"
            raise UserError(
                f"start {settings.start}: has {name} {theirs[name]}, and the model of [model] "
                f"{ours[name]}. {advice} another start."
            )
    fresh = AutoGaze(replace(config, license=model.config.license))
    fresh.load_state_dict(model.state_dict())
    return fresh


def _fresh(model: AutoGaze, seed: int) -> AutoGaze:
    """Seeded weights from which training is quick."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv3d):
                fan_in = module.weight[0].numel()
                spread = fan_in**-0.5 if isinstance(module, nn.Conv3d) else _SPREAD
                module.weight.normal_(0.0, spread, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
        _see_detail(model.encoder, generator)
        _name_places(model, generator)
    return model


def _see_detail(encoder: Encoder, generator: torch.Generator) -> None:
    """Let the encoder see detail and change from the start.

    A patch of a picture is mostly its mean, and a random projection shows little else. Cosines,
    louder the faster they are, show all bands alike: a third of the channels the slowest one by
    one, a few the colours, the others random mixtures of the fastest. Some channels are constant,
    so that contrast outlives the norm. All channels of the convolution look at their own place,
    and half of them at what changed there.
    """
    width, size = encoder.patch.weight.shape[0], encoder.patch_size
    bands = _cosines(size)  # (size * size, size * size)
    luma, *colours = torch.tensor(_LUMA_AND_COLOUR)
    num_constant = num_colour = width // 12
    num_low = min(width // 3, len(bands) // 2)
    num_high = width - num_low - num_colour - num_constant
    mixing = torch.randn(num_high, len(bands) - num_low, generator=generator)
    mixed = mixing @ bands[num_low:] / (mixing.shape[1] ** 0.5 / 2)
    rows = [
        *(torch.kron(luma, band) for band in bands[:num_low]),
        *(torch.kron(colours[i % 2], bands[i // 2]) for i in range(num_colour)),
        *(torch.kron(luma, band) for band in mixed),
    ]
    encoder.patch.weight.zero_()
    encoder.patch.weight[: len(rows)] = torch.stack(rows) * 2 / size
    encoder.patch.bias[len(rows) :] = torch.linspace(-1, 1, num_constant)
    for block in encoder.blocks:
        assert isinstance(block, CausalConv)
        kernel = block.conv.weight  # (C, C, frames, rows, columns)
        middle = kernel.shape[-1] // 2
        kernel *= 0.3
        own = torch.randn(width, width, generator=generator) * width**-0.5
        kernel[:, :, -1, middle, middle] += own
        if kernel.shape[2] > 1:
            kernel[width // 2 :, :, -2, middle, middle] -= own[width // 2 :]


def _cosines(size: int) -> Tensor:
    """(size * size, size * size) of a patch, the slowest first, each louder than the last."""
    turns, steps = torch.arange(size).float(), torch.arange(size).float() + 0.5
    waves = torch.cos(math.pi / size * turns[:, None] * steps)
    waves /= waves.norm(dim=1, keepdim=True)
    order = sorted(itertools.product(range(size), repeat=2), key=lambda at: (math.hypot(*at), at))
    return torch.stack(
        [torch.outer(waves[r], waves[c]).flatten() * (0.3 + math.hypot(r, c)) for r, c in order]
    )


def _name_places(model: AutoGaze, generator: torch.Generator) -> None:
    """Let the decoder name what it looks at, so that it has to learn only where to look.

    A group of channels tells the place of a vision token or of a cell, as smooth random features.
    The last layer copies those of what it attends to into a second group, which the heads read as
    names. One more channel is constant, so that its queries ask the same of every key. From the
    first step on, attending to a place more makes its cells likelier.
    """
    config, encoder, decoder = model.config, model.encoder, model.decoder
    depth = config.head_width
    group = min(depth, (config.width - 1) // 2)
    here, named, constant = slice(0, group), slice(group, 2 * group), 2 * group
    places = _place_features(config.vision_tokens, group, generator)  # (P, group)
    names = _cover(config) @ places  # (cells, group)

    encoder.out.weight *= 4.0
    encoder.out.weight[: constant + 1] = 0.0
    encoder.position.zero_()
    encoder.position[:, here] = _EMBEDDING_SPREAD * places
    encoder.position[:, constant] = _CONSTANT
    embed = decoder.embed.weight
    embed.normal_(0.0, _EMBEDDING_SPREAD, generator=generator)
    embed[:, : constant + 1] = 0.0
    embed[: config.num_cells, here] = _EMBEDDING_SPREAD * names
    embed[:, constant] = _CONSTANT

    heads = decoder.token_head.weight.unflatten(0, (config.tokens_per_forward, -1))  # (K, V, C)
    heads[:, : config.num_cells, named] += F.normalize(names, dim=-1)
    last = decoder.layers[-1]
    assert isinstance(last, Layer)
    query, _, value = last.qkv.weight.unflatten(0, (3, config.num_heads, depth)).unbind(0)
    for slow in (slice(3 * depth // 8, depth // 2), slice(7 * depth // 8, depth)):
        query[:, slow, constant] = 2.0  # what turns least with the distance
    value[:, :group, here] += torch.eye(group)
    out = last.out.weight.unflatten(1, (config.num_heads, depth))  # (C, H, D)
    out[named, :, :group] += torch.eye(group).unsqueeze(1)


def _place_features(num_places: int, group: int, generator: torch.Generator) -> Tensor:
    """(P, group) random Fourier features of places in a square, of unit variance."""
    side = math.isqrt(num_places)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    at = torch.stack([row, column], -1).flatten(0, 1).float() / side  # (P, 2)
    turns = 2.0 ** (torch.rand(group, generator=generator) * math.log2(side))
    course = torch.randn(2, group, generator=generator) * turns
    phase = 2 * math.pi * torch.rand(group, generator=generator)
    return 2**0.5 * torch.cos(at @ course * 2 + phase)


def _cover(config: GazeConfig) -> Tensor:
    """(cells, P) the share that each vision token has in each cell."""
    side, found = math.isqrt(config.vision_tokens), []
    for cells in config.cells_per_scale:
        across = math.isqrt(cells)
        fine = torch.arange(math.lcm(side, across))
        where = fine * across // len(fine), fine * side // len(fine)
        share = torch.zeros(across, side).index_put_(where, torch.ones(()), accumulate=True)
        share /= share.sum(1, keepdim=True)
        found.append(torch.kron(share, share))
    return torch.cat(found)
