"""The last state of a run, one file replaced as a whole; and checkpoints to be used or published.

All that a run draws is drawn from keys (seed, batch number), and its learning rate is a function of
the step. So the step is the data position and the state of scheduler and generators as well, and a
run can go on with another number of workers.

The optimiser's moments are kept in bfloat16, which halves what a slice adds to a repository. They
are rounded in memory too whenever they are saved: what goes on is what was written, and a run that
was killed and resumed has the curve of one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from gaze.checkpoint import CONFIG_NAME, WEIGHTS_NAME
from gaze.config import GazeConfig
from gaze.model import AutoGaze
from gaze.weights import check_shapes, to_upstream
from hlvid.errors import UserError
from hlvid.files import json_bytes, parse_record, write_bytes
from hlvid.types import Record

STATE_NAME = "last.safetensors"


class Progress(Record):
    """Where a run is.

    Args:
        settings_sha256: Of the settings it was begun with.
        step: Steps done.
        best_loss: Lowest validation loss so far.
        best_step: When that was.
    """

    settings_sha256: str
    step: Annotated[int, Field(ge=0)] = 0
    best_loss: float | None = None
    best_step: int | None = None


def save_state(path: Path, model: nn.Module, optimiser: Optimizer, progress: Progress) -> None:
    """Write a run's state, whole or not at all.

    Raises:
        UserError: The disk is full, or the folder may not be written.
    """
    tensors = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    for name, value in _moments(model, optimiser):
        tensors[name] = value if value.ndim == 0 else value.bfloat16()
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    metadata = {"progress": json.dumps(progress.model_dump(mode="json"))}
    write_bytes(path, [save(tensors, metadata=metadata)])


def round_moments(model: nn.Module, optimiser: Optimizer) -> None:
    """Make the optimiser's moments what `save_state` can hold."""
    for _, value in _moments(model, optimiser):
        if value.ndim:
            value.copy_(value.bfloat16())


def load_state(path: Path, model: nn.Module, optimiser: Optimizer) -> Progress:
    """Take up a run where it was.

    Raises:
        UserError: The file is damaged, or of another model.
    """
    progress, found = _read(path)
    fill_moments(model, optimiser)
    wanted = dict(_moments(model, optimiser))
    wanted |= {f"model.{name}": value for name, value in model.named_parameters()}
    check_shapes(
        path.name,
        {key: tuple(value.shape) for key, value in found.items()},
        {key: tuple(value.shape) for key, value in wanted.items()},
    )
    with torch.no_grad():
        for key, value in wanted.items():
            value.copy_(found[key])
    return progress


def read_progress(path: Path) -> Progress:
    """Where the run of a state is.

    Raises:
        UserError: There is none, or it is damaged.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            found = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}). Delete it to begin anew.") from None
    progress = parse_record(
        metadata.get("progress", "").encode(), Progress, where=f"{path.name}: progress"
    )
    return progress, found


def _moments(model: nn.Module, optimiser: Optimizer) -> Iterator[tuple[str, Tensor]]:
    """What Adam remembers of each parameter, under names that no order decides."""
    for name, parameter in model.named_parameters():
        for kind, value in sorted(optimiser.state.get(parameter, {}).items()):
            yield f"optimiser.{kind}.{name}", value


def fill_moments(model: nn.Module, optimiser: Optimizer) -> None:
    """Give a fresh Adam the moments that its first step would."""
    for parameter in model.parameters():
        optimiser.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }


def write_model(
    folder: Path, model: AutoGaze, *, threshold: float | None = None, ratio: float | None = None
) -> None:
    """Write a checkpoint in the released layout, natural positions and kind of loss noted in it.

    Args:
        folder: Where `config.json` and `model.safetensors` go.
        model: What was trained.
        threshold: Default threshold: a loss of the kind that the model predicts.
        ratio: Default cap.

    Raises:
        UserError: The disk is full, or the folder may not be written.
    """
    state = {name: value.detach().float().cpu() for name, value in model.state_dict().items()}
    weights = to_upstream(state, model.config)
    halved = {key: value.half() for key, value in weights.items()}
    write_bytes(folder / WEIGHTS_NAME, [save(halved)])
    config = upstream_config(model.config, threshold=threshold, ratio=ratio)
    write_bytes(folder / CONFIG_NAME, [json_bytes(config)])


def upstream_config(
    config: GazeConfig, *, threshold: float | None, ratio: float | None
) -> dict[str, object]:
    """The `config.json` that describes such a model."""
    scaling = config.rope_scaling
    found: dict[str, object] = {
        **({} if config.license is None else {"license": config.license}),
        "loss_kind": config.loss_kind,
        "positions": config.positions,
        "scales": "+".join(map(str, config.scales)),
        "max_num_frames": config.clip_frames,
        "num_vision_tokens_each_frame": config.num_cells,
        "gazing_ratio_config": {
            "sample_strategy_during_inference": "fixed",
            "fixed": {"gazing_ratio": 1.0 if ratio is None else ratio},
        },
        "has_task_loss_requirement_during_inference": threshold is not None,
        "gaze_model_config": {
            "input_img_size": config.image_size,
            "vision_model_config": {
                "depth": config.encoder_depth,
                "hidden_dim": config.width,
                "kernel_size": config.patch_size,
                "out_dim": config.width,
                "temporal_patch_size": 1,
                "trunk_spatial_kernel_size": config.kernel_cells,
                "trunk_temporal_kernel_size": config.kernel_frames,
            },
            "connector_config": {"hidden_dim": config.width, "num_tokens": config.vision_tokens},
            "gaze_decoder_config": {
                "attention_bias": False,
                "eos_token_id": config.num_cells,
                "head_dim": config.head_width,
                "hidden_act": "silu",
                "hidden_size": config.width,
                "intermediate_size": config.mlp_width,
                "mlp_bias": False,
                "num_attention_heads": config.num_heads,
                "num_hidden_layers": config.num_layers,
                "num_key_value_heads": config.num_heads,
                "num_multi_token_pred": config.tokens_per_forward,
                "rms_norm_eps": config.norm_eps,
                "rope_scaling": None
                if scaling is None
                else {
                    "factor": scaling.factor,
                    "high_freq_factor": scaling.high_freq_factor,
                    "low_freq_factor": scaling.low_freq_factor,
                    "original_max_position_embeddings": scaling.original_max_position_embeddings,
                    "rope_type": "llama3",
                },
                "rope_theta": config.rope_theta,
                "tie_word_embeddings": False,
                "vocab_size": config.vocab,
            },
        },
    }
    if threshold is not None:
        found["task_loss_requirement_config"] = {
            "sample_strategy_during_inference": "fixed",
            "fixed": {"task_loss_requirement": threshold},
        }
    return found
