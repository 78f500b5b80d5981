"""Checkpoints: reading an upstream directory strictly, and making a seeded random model.

Only safetensors are read. Every tensor's shape is checked against the configuration from the file's
header, before a byte of it is loaded; a missing, extra or misshaped key is named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from gaze.checkpoint import CONFIG_NAME, WEIGHTS_NAME
from gaze.config import GazeConfig
from hlvid.errors import UserError

READ = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Kinds of numbers that are read; all are computed with in 32 bits or fewer."""
_ENCODER = "gazing_model.vision_model."
_DECODER = "gazing_model.gaze_decoder."


def read_weights(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Read a safetensors file that must hold exactly the expected tensors.

    Args:
        path: The file.
        expected: Shape of every key.

    Raises:
        UserError: No such file, not safetensors, a key missing, extra or misshaped, or a value
            that is not finite.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(
            f"{path}: there is no such file. Only safetensors are read, never pickled weights."
        )
    try:
        with safe_open(path, framework="pt") as opened:
            shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
            check_shapes(path.name, shapes, expected)
            loaded = {key: opened.get_tensor(key) for key in shapes}
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}: this is no readable safetensors file ({error}). Download it again."
        ) from error
    for key, tensor in loaded.items():
        if tensor.dtype not in READ or not bool(tensor.float().isfinite().all()):
            raise UserError(f"{path.name}: {key} holds values that are no finite numbers.")
    return loaded


def check_shapes(
    where: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse keys that are missing, extra or misshaped.

    Raises:
        UserError: Naming the first of each.
    """
    problems = []
    if missing := sorted(set(expected) - set(found)):
        problems.append(f"{len(missing)} missing, first {missing[0]!r}")
    if extra := sorted(set(found) - set(expected)):
        problems.append(f"{len(extra)} unknown, first {extra[0][:120]!r}")
    for key in sorted(set(found) & set(expected)):
        if found[key] != expected[key]:
            problems.append(f"{key!r} is {found[key]} where the config says {expected[key]}")
            break
    if problems:
        raise UserError(f"{where}: the tensors do not fit this model ({'; '.join(problems)}).")


def upstream_shapes(config: GazeConfig) -> dict[str, tuple[int, ...]]:
    """Every key of an upstream checkpoint and its shape."""
    width, mlp, heads = config.width, config.mlp_width, config.tokens_per_forward
    cells = config.kernel_cells
    shapes: dict[str, tuple[int, ...]] = {
        "gazing_model.connector.pos_embed": (config.vision_tokens, width),
        f"{_ENCODER}temporal_conv.weight": (width, 3, 1, config.patch_size, config.patch_size),
        f"{_ENCODER}temporal_conv.bias": (width,),
        f"{_ENCODER}norm.weight": (width,),
        f"{_ENCODER}norm.bias": (width,),
        f"{_ENCODER}out_proj.weight": (width, width, 1, 1, 1),
        f"{_ENCODER}out_proj.bias": (width,),
        f"{_DECODER}model.embed_tokens.weight": (config.vocab, width),
        f"{_DECODER}model.norm.weight": (width,),
        f"{_DECODER}lm_head.weight": (heads * config.vocab, width),
        f"{_DECODER}task_loss_prediction_head.weight": (heads, width),
    }
    for i in range(config.encoder_depth):
        kernel = (config.kernel_frames, cells, cells)
        shapes[f"{_ENCODER}blocks.{i}.conv3d.weight"] = (width, width, *kernel)
        shapes[f"{_ENCODER}blocks.{i}.conv3d.bias"] = (width,)
    for i in range(config.num_layers):
        layer = f"{_DECODER}model.layers.{i}."
        shapes |= {
            f"{layer}input_layernorm.weight": (width,),
            f"{layer}post_attention_layernorm.weight": (width,),
            f"{layer}mlp.gate_proj.weight": (mlp, width),
            f"{layer}mlp.up_proj.weight": (mlp, width),
            f"{layer}mlp.down_proj.weight": (width, mlp),
        }
        for name in "qkvo":
            shapes[f"{layer}self_attn.{name}_proj.weight"] = (width, width)
    return shapes


def _sources(config: GazeConfig) -> dict[str, list[str]]:
    """Our parameter names, and the upstream keys each is made of, in order along dimension 0."""
    sources = {
        "encoder.position": ["gazing_model.connector.pos_embed"],
        "encoder.patch.weight": [f"{_ENCODER}temporal_conv.weight"],
        "encoder.patch.bias": [f"{_ENCODER}temporal_conv.bias"],
        "encoder.norm.weight": [f"{_ENCODER}norm.weight"],
        "encoder.norm.bias": [f"{_ENCODER}norm.bias"],
        "encoder.out.weight": [f"{_ENCODER}out_proj.weight"],
        "encoder.out.bias": [f"{_ENCODER}out_proj.bias"],
        "decoder.embed.weight": [f"{_DECODER}model.embed_tokens.weight"],
        "decoder.norm.weight": [f"{_DECODER}model.norm.weight"],
        "decoder.token_head.weight": [f"{_DECODER}lm_head.weight"],
        "decoder.loss_head.weight": [f"{_DECODER}task_loss_prediction_head.weight"],
    }
    for i in range(config.encoder_depth):
        for kind in ("weight", "bias"):
            sources[f"encoder.blocks.{i}.conv.{kind}"] = [f"{_ENCODER}blocks.{i}.conv3d.{kind}"]
    for i in range(config.num_layers):
        ours, theirs = f"decoder.layers.{i}.", f"{_DECODER}model.layers.{i}."
        qkv = [f"{theirs}self_attn.{name}_proj.weight" for name in "qkv"]
        sources |= {
            f"{ours}attention_norm.weight": [f"{theirs}input_layernorm.weight"],
            f"{ours}qkv.weight": qkv,
            f"{ours}out.weight": [f"{theirs}self_attn.o_proj.weight"],
            f"{ours}mlp_norm.weight": [f"{theirs}post_attention_layernorm.weight"],
            f"{ours}gate_up.weight": [
                f"{theirs}mlp.gate_proj.weight",
                f"{theirs}mlp.up_proj.weight",
            ],
            f"{ours}down.weight": [f"{theirs}mlp.down_proj.weight"],
        }
    return sources


def from_upstream(weights: Mapping[str, Tensor], config: GazeConfig) -> dict[str, Tensor]:
    """Upstream tensors under our names: q, k, v in one array, gate and up in one."""
    ours = {}
    for name, keys in _sources(config).items():
        tensor = torch.cat([weights[key] for key in keys])
        is_linear = name in ("encoder.patch.weight", "encoder.out.weight")
        ours[name] = tensor.flatten(1) if is_linear else tensor
    return ours


def to_upstream(weights: Mapping[str, Tensor], config: GazeConfig) -> dict[str, Tensor]:
    """The inverse of :func:`from_upstream`."""
    shapes = upstream_shapes(config)
    theirs = {}
    for name, keys in _sources(config).items():
        parts = weights[name].chunk(len(keys))
        for key, part in zip(keys, parts, strict=True):
            theirs[key] = part.reshape(shapes[key]).contiguous()
    return theirs


def random_weights(config: GazeConfig, seed: int) -> dict[str, Tensor]:
    """Seeded random weights under upstream names, spread so that choices vary with the input."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for key, shape in upstream_shapes(config).items():
        values = torch.randn(shape, generator=generator)
        if key.endswith(("norm.weight", "layernorm.weight")):
            values = 1.0 + 0.1 * values
        elif len(shape) == 1:
            values = 0.02 * values
        elif not key.endswith(("pos_embed", "embed_tokens.weight")):
            values /= math.prod(shape[1:]) ** 0.5
        weights[key] = values
    return weights


def write_checkpoint(
    folder: Path, config_json: Mapping[str, object], weights: Mapping[str, Tensor]
) -> None:
    """Write ``config.json`` and ``model.safetensors`` as ``save_pretrained`` lays them out."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config_json, indent=2, sort_keys=True, allow_nan=False)
    (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
    save_file(dict(weights), folder / WEIGHTS_NAME)
