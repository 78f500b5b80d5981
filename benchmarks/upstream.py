"""The released implementation, built beside ours with the same weights, from a checkout of it.

Needs what it needs (transformers 4.51, einops, omegaconf); its logging libraries are not called.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch

from gaze.config import GazeConfig
from gaze.weights import random_weights

FIXTURE_CONFIG = Path(__file__).resolve().parents[1] / "tests/fixtures/autogaze/config.json"


def config_json(config: GazeConfig) -> dict[str, Any]:
    """A `config.json` as the released code writes it, of a model of these sizes."""
    raw: dict[str, Any] = json.loads(FIXTURE_CONFIG.read_text(encoding="utf-8"))
    model = raw["gaze_model_config"]
    model["vision_model_config"] |= {"hidden_dim": config.width, "out_dim": config.width}
    model["connector_config"]["hidden_dim"] = config.width
    model["gaze_decoder_config"] |= {
        "hidden_size": config.width,
        "head_dim": config.head_width,
        "intermediate_size": config.mlp_width,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
    }
    return raw


def load_upstream(checkout: Path, config: GazeConfig, *, seed: int) -> Any:  # noqa: ANN401
    """An upstream model of these sizes with the weights of ``AutoGaze.from_seed(config, seed)``."""
    for name in ("generation", "modeling_utils", "models.llama.modeling_llama"):
        importlib.import_module(f"transformers.{name}")
    for name in ("wandb", "loguru"):
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].logger = None  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout))
    package = importlib.import_module("autogaze.models.autogaze")
    built = package.AutoGaze(package.AutoGazeConfig(**config_json(config)))
    built.load_state_dict(random_weights(config, seed))
    return built.eval()


@torch.no_grad()
def select(model: Any, video: torch.Tensor, **controls: float) -> torch.Tensor:  # noqa: ANN401
    """Positions (B, N) that it chooses."""
    found: torch.Tensor = model({"video": video}, generate_only=True, **controls)["gazing_pos"]
    return found
