"""What the adapter needs of transformers: hooks that are public, and came with late versions."""

import inspect
from importlib import import_module
from typing import Any

VERSIONS = ">=5.23,<6"
"""Those that it was run with; as in pyproject.toml."""
NAMES = (
    "transformers.AttentionInterface",
    "transformers.vision_utils.get_vision_position_ids",
    "transformers.vision_utils.get_vision_interpolation_indices_and_weights",
    "transformers.vision_utils.get_vision_window_index",
    "transformers.modeling_outputs.BaseModelOutputWithPooling",
    "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl.Qwen2_5_VLModel",
    "transformers.models.qwen3_vl.modeling_qwen3_vl.Qwen3VLModel",
)
PARAMETER = "mm_encoder_outputs"
"""Of both families' `forward`: takes the tokens of a tower that was run apart."""


def lacking() -> list[str]:
    """The names that the installed transformers does not have."""
    found = {name: _find(name) for name in NAMES}
    lacks = [name for name, value in found.items() if value is None]
    for name, model in found.items():
        if inspect.isclass(model) and name.endswith("Model"):
            forward: Any = getattr(model, "forward", model)
            is_there = PARAMETER in inspect.signature(forward).parameters
            lacks += [] if is_there else [f"{PARAMETER} of {name}.forward"]
    return lacks


def _find(name: str) -> Any:  # noqa: ANN401
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute, None)
    except ImportError:
        return None
