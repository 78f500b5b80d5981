"""Loading a Qwen-VL model: from a folder, from the hub's cache, or with random values.

Nothing is fetched here, and no code that comes with weights is run.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from evaluators import attention
from evaluators.models.qwen import byte_tokens
from hlvid.errors import UserError
from hlvid.files import digest, sha256_cached
from hlvid.types import ModelId

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
"""The `model_type` of weights that are understood."""
DEFAULT = "Qwen/Qwen2.5-VL-7B-Instruct"
DIMENSIONS = Path(__file__).parent / "dimensions"
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


def load(weights: str, *, load_format: LoadFormat, device: str, seed: int) -> Loaded:
    """Load a model onto a device: 16-bit floats on CUDA, 32-bit floats elsewhere.

    Args:
        weights: A folder, a hub id, or with 'dummy' one of `dimensions()`; '' for the default.
        load_format: 'dummy' for random values at the real size.
        device: 'cpu', 'cuda', 'cuda:1'.
        seed: Of random values.

    Raises:
        UserError: The weights are not here, or not of the family; the sentence says what to do.
    """
    import torch

    if load_format not in ("weights", "dummy"):
        raise UserError(f"--load-format: {load_format!r}. Allowed are weights and dummy.")
    name = weights or DEFAULT
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    if load_format == "dummy":
        model, processor = _make(find_dimensions(name), dtype, device, seed)
        about = ModelId(name="qwen", kind="mllm", weights=name, load_format="dummy")
        return Loaded(_ready(model), processor, about)
    folder = _folder(name)
    _check_family(folder)
    import transformers

    auto: Any = transformers
    settings = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = auto.AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", use_safetensors=True, **settings
        )
        processor = auto.AutoProcessor.from_pretrained(folder, **settings)
    except (OSError, ValueError, KeyError, ImportError) as error:
        told = " ".join(str(error).split())[:300]
        raise UserError(f"--weights {name}: cannot be loaded ({told}).") from None
    return Loaded(_ready(model.to(device)), processor, _about(name, folder))


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
    """Ready to run, with the tower's attention exchanged: it cannot be named before it is made."""
    model.set_attn_implementation({"text_config": "sdpa", "vision_config": attention.register()})
    return model.eval()


def missing_weights(weights: str, load_format: str) -> list[str]:
    """A sentence where the weights are not here."""
    try:
        if load_format == "weights":
            _folder(weights or DEFAULT)
    except UserError as error:
        return [str(error)]
    return []


def _folder(name: str) -> Path:
    """Where weights lie: a folder, or the hub's cache on this machine."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        raise UserError(_how_to_get(name)) from None


def _how_to_get(name: str) -> str:
    """What is not here, how large it is and under what licence, and how to get it."""
    known = next((one for one in dimensions().values() if one.weights == name), None)
    about = "" if known is None else f" ({known.num_bytes / 1e9:.1f} GB, {known.license})"
    return (
        f"--weights: {name}{about} is neither a folder nor in the hub's cache on this machine. "
        f"Fetch it with 'hf download {name}', or measure latency only with --load-format dummy."
    )


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


def _about(name: str, folder: Path) -> ModelId:
    known = next((one for one in dimensions().values() if one.weights == name), None)
    files = sorted(folder.glob("*.safetensors"))
    is_hub = folder.parent.name == "snapshots"
    return ModelId(
        name="qwen",
        kind="mllm",
        weights=name if is_hub else folder.name,
        revision=folder.name if is_hub else None,
        weights_sha256=digest([[file.name, sha256_cached(file)] for file in files]),
        load_format="weights",
        license=None if known is None else known.license,
    )
