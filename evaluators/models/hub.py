"""Weights that lie in a folder or in the hub's cache on this machine. Nothing is fetched here."""

from collections.abc import Callable
from pathlib import Path

from hlvid.digest_cache import sha256_cached
from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.types import ModelId


def find_folder(
    name: str, *, about: str = "", revision: str | None = None, else_: str = ""
) -> Path:
    """Where weights lie.

    Args:
        name: A folder or a hub id.
        about: Size and licence, for the sentence that says that they are not here.
        revision: Of the hub id; None for what the cache calls its main one.
        else_: What else can be done without them.

    Raises:
        UserError: They are not here; the sentence says how to get them.
    """
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        pinned = f" --revision {revision}" if revision else ""
        raise UserError(
            f"--weights: {name}{f' ({about})' if about else ''} is neither a folder nor in the "
            f"hub's cache on this machine. Fetch it with 'hf download {name}{pinned}'{else_}."
        ) from None


def tell_missing(find: Callable[[], object]) -> list[str]:
    """What `find` says of weights that are not here; nothing where it finds them."""
    try:
        find()
    except UserError as error:
        return [str(error)]
    return []


TOLD = (
    *("*.safetensors", "*.bin", "*.py"),
    *("config.json", "generation_config.json", "*processor_config.json"),
    *("tokenizer*", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json"),
    "chat_template*",
)
"""What transformers reads and what can change an answer: tensors, code, configuration, tokenizer,
chat template."""


def describe(model: str, name: str, folder: Path, license_: str | None) -> ModelId:
    """What a record says of an MLLM's weights.

    Args:
        model: Of the adapter.
        name: As they were asked for.
        folder: Where they lie.
        license_: Of the weights, where it is known.
    """
    files = sorted({file for pattern in TOLD for file in folder.glob(pattern) if file.is_file()})
    is_hub = folder.parent.name == "snapshots"
    return ModelId(
        name=model,
        kind="mllm",
        weights=name if is_hub else folder.name,
        revision=folder.name if is_hub else None,
        weights_sha256=digest([[file.name, sha256_cached(file)] for file in files]),
        load_format="weights",
        license=license_,
    )
