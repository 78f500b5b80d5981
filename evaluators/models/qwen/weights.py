"""Loading a Qwen-VL model: from a folder, from the hub's cache, or with random values.

Nothing is fetched here, and no code that comes with weights is run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from evaluators import attention
from evaluators.models.hub import describe, find_folder, tell_missing
from evaluators.models.loading import load_whole, loading
from evaluators.models.qwen import byte_tokens
from hlvid.errors import UserError
from hlvid.types import ModelId

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
"""The `model_type` of weights that are understood."""
DEFAULT = "Qwen/Qwen2.5-VL-7B-Instruct"
MINI = ("mini", "qwen3-mini")
"""The small model that this repository trained and ships."""
SHIPPED = Path(__file__).parents[1] / "qwen3-mini"
"""Its folder in the package."""
MINI_LICENSE = "Apache-2.0"
DIMENSIONS = Path(__file__).parent / "dimensions"
DEVICE_MAPS = ("auto", "balanced", "sequential")
"""transformers' own ways of spreading a model over devices."""
ALIGNED_BYTES = 64
"""Where torch begins what it allocates itself."""
LoadFormat = Literal["weights", "dummy"]


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run.

    Args:
        model: transformers' model, in evaluation mode.
        processor: Its tokenizer, chat template and video processor.
        about: For records.
    """

    model: Any
    processor: Any
    about: ModelId


@dataclass(frozen=True)
class Dimensions:
    """The sizes of a published model.

    Args:
        name: Of the file.
        weights: Hub id; None for one of our own sizes.
        license: Of the weights.
        num_bytes: Of the weights in 16 bits.
        config: transformers' config as a dictionary.
    """

    name: str
    weights: str | None
    license: str | None
    num_bytes: int
    config: dict[str, Any]


def load(
    weights: str,
    *,
    load_format: LoadFormat,
    device: str,
    seed: int,
    device_map: str | Mapping[str, str | int] = "",
) -> Loaded:
    """Load a model onto a device, or over several: 16-bit floats on CUDA, 32-bit floats elsewhere.

    Args:
        weights: A folder, a hub id, 'mini' for the model that ships, or with 'dummy' one of
            `dimensions()`; '' for the default.
        load_format: 'dummy' for random values at the real size.
        device: 'cpu', 'cuda', 'cuda:1'.
        seed: Of random values.
        device_map: 'auto', 'balanced' or 'sequential' lets transformers spread a model that is
            larger than one card over all of them, then over memory; or a place for each module.

    Raises:
        UserError: The weights are not here, not whole, not of the family, do not fit into memory or
            cannot be spread; the sentence says what to do.
    """
    import torch

    if load_format not in ("weights", "dummy"):
        raise UserError(f"--load-format: {load_format!r}. Allowed are weights and dummy.")
    if isinstance(device_map, str) and device_map not in ("", *DEVICE_MAPS):
        raise UserError(f"--device-map: {device_map!r}. Allowed are {', '.join(DEVICE_MAPS)}.")
    if device_map and load_format == "dummy":
        raise UserError("--device-map: random values are made on one device. Leave it out.")
    name = weights or DEFAULT
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    if load_format == "dummy":
        with loading(name):
            model, processor = _make(find_dimensions(name), dtype, device, seed)
            model = _ready(model)
        about = ModelId(name="qwen", kind="mllm", weights=name, load_format="dummy")
        return Loaded(model, processor, about)
    folder = _folder(name)
    _check_family(folder)
    import transformers

    auto: Any = transformers
    settings = {"local_files_only": True, "trust_remote_code": False}
    with loading(name):
        model = load_whole(
            auto.AutoModelForImageTextToText,
            folder,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            device_map=device_map or device,
            **settings,
        )
        processor = auto.AutoProcessor.from_pretrained(folder, **settings)
        model = _ready(model)
    return Loaded(model, processor, describe("qwen", name, folder, _license(name)))


def device_of(network: Any) -> Any:  # noqa: ANN401
    """Where a network's first layer computes; of one that is spread, its weights may lie elsewhere.

    Args:
        network: A module, on one device or dispatched by accelerate.

    Returns:
        A `torch.device`.
    """
    import torch

    for module in network.modules():
        place = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if place is not None:
            return torch.device(place)
    return next(network.parameters()).device


@cache
def dimensions() -> dict[str, Dimensions]:
    """All sizes that ship with the package, by the name of their file."""
    found = {}
    for path in sorted(DIMENSIONS.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found[path.stem] = Dimensions(
            name=path.stem,
            weights=content["weights"],
            license=content["license"],
            num_bytes=content["num_bytes"],
            config=content["config"],
        )
    return found


def find_dimensions(name: str) -> Dimensions:
    """Sizes by the name of their file or by the hub id of the weights that have them.

    Raises:
        UserError: There are none.
    """
    for one in dimensions().values():
        if name in (one.name, one.weights):
            return one
    raise UserError(
        f"--weights: no dimensions of {name!r} for --load-format dummy. Allowed are: "
        f"{', '.join(dimensions())}."
    )


def _make(
    sizes: Dimensions,
    dtype: Any,  # noqa: ANN401
    device: str,
    seed: int,
) -> tuple[Any, Any]:
    import torch
    import transformers

    auto: Any = transformers
    processor = byte_tokens.make_processor(sizes.config["model_type"])
    config = auto.AutoConfig.for_model(**sizes.config, **byte_tokens.ids(processor.tokenizer))
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(seed)
        model = auto.AutoModelForImageTextToText.from_config(
            config, dtype=dtype, attn_implementation="sdpa"
        )
    end = processor.tokenizer.eos_token_id
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = end
    return model, processor


def _ready(model: Any) -> Any:  # noqa: ANN401
    """Ready to run, with the tower's attention exchanged: it cannot be named before it is made.

    Weights that lie in memory as they lie in their file are copied: on a CPU the last digits of a
    product depend on where its factors begin, and so would on how a file's header is written.
    """
    model.set_attn_implementation({"text_config": "sdpa", "vision_config": attention.register()})
    for values in model.parameters():
        if values.device.type == "cpu" and values.data_ptr() % ALIGNED_BYTES:
            values.data = values.data.clone()
    return model.eval()


def missing_weights(weights: str, load_format: str) -> list[str]:
    """A sentence where the weights are not here."""
    if load_format != "weights":
        return []
    return tell_missing(lambda: _folder(weights or DEFAULT))


def _folder(name: str) -> Path:
    """Where weights lie, or how large they are, under what licence, and what can be done."""
    if name in MINI:
        return _shipped()
    known = _known(name)
    return find_folder(
        name,
        about="" if known is None else f"{known.num_bytes / 1e9:.1f} GB, {known.license}",
        else_=", or measure latency only with --load-format dummy",
    )


def _shipped() -> Path:
    """Where the small model lies in this package.

    Raises:
        UserError: It is not trained yet.
    """
    if (SHIPPED / "model.safetensors").is_file():
        return SHIPPED
    raise UserError(
        "--weights mini: qwen3-mini (5 million parameters, Apache-2.0) is not in this package. "
        "Train it with 'make train-mini', then 'hlvid-eval train publish training/qwen3-mini', or "
        "measure latency only with --weights small-qwen3-vl --load-format dummy."
    )


def _license(name: str) -> str | None:
    """Of the weights, where it is known."""
    known = _known(name)
    if name in MINI:
        return MINI_LICENSE
    return None if known is None else known.license


def _known(name: str) -> Dimensions | None:
    return next((one for one in dimensions().values() if one.weights == name), None)


def _check_family(folder: Path) -> None:
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        family = content["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--weights {folder}: has no readable config.json ({error}).") from None
    if family not in FAMILIES:
        raise UserError(
            f"--weights {folder.name}: model_type {family!r} is not of the family. "
            f"Allowed are {' and '.join(FAMILIES)}."
        )
