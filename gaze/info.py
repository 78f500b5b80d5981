"""What a checkpoint is, without loading it into a model."""

import math
from typing import Any

from gaze.checkpoint import Checkpoint
from gaze.weights import read_weights, upstream_shapes


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint as JSON: sizes, scales, what stops it, its rules, licence and digests.

    Raises:
        UserError: Its tensors are not those that its configuration says.
    """
    config = checkpoint.config
    weights = read_weights(checkpoint.weights, upstream_shapes(config))
    ratio = config.default_ratio
    return {
        "name": checkpoint.name,
        "licence": checkpoint.terms,
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "layers": config.num_layers,
        "width": config.width,
        "heads": config.num_heads,
        "mlp_width": config.mlp_width,
        "encoder_depth": config.encoder_depth,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "clip_frames": config.clip_frames,
        "tokens_per_forward": config.tokens_per_forward,
        "scales": list(config.scales),
        "cells_a_side": [math.isqrt(cells) for cells in config.cells_per_scale],
        "cells_a_frame": config.num_cells,
        "gazing_ratio": ratio,
        "cap": None if ratio is None else config.cap(ratio),
        "threshold": config.default_threshold,
        "loss_kind": config.loss_kind,
        "positions": config.positions,
        "sha256": checkpoint.sha256,
        "files_sha256": checkpoint.files_sha256,
    }


def in_words(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The same for people: a name and a value a line."""
    kind, cap, threshold = told["loss_kind"], told["cap"], told["threshold"]
    most = "none" if cap is None else f"{cap} of {told['cells_a_frame']} cells a frame"
    stop = "none" if threshold is None else f"predicted loss ({kind}) of {threshold:g}"
    if threshold is None:
        stop += f"; it predicts the loss {kind}"
    scales = zip(told["scales"], told["cells_a_side"], strict=True)
    return [
        ("checkpoint", told["name"]),
        ("licence", told["licence"]),
        ("parameters", f"{told['parameters']:,}"),
        (
            "decoder",
            f"{told['layers']} layers, width {told['width']}, {told['heads']} heads, "
            f"{told['tokens_per_forward']} cells a forward",
        ),
        (
            "reads",
            f"clips of {told['clip_frames']} frames, {told['image_size']} x {told['image_size']} "
            f"pixels in patches of {told['patch_size']}",
        ),
        ("scales", ", ".join(f"{side}x{side} cells at {pixels} px" for pixels, side in scales)),
        ("cap", most),
        ("threshold", stop),
        ("positions", f"{told['positions']} inside a frame"),
        ("sha256", told["sha256"]),
        *((f"  {name}", sha256) for name, sha256 in told["files_sha256"].items()),
    ]
