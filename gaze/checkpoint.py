"""Which checkpoint is meant: its folder, what it says of itself, its digest. Nothing heavy here.

A checkpoint is named by a folder, by a hub id, or as the one that the package carries: `mini`
(`autogaze-mini/` beside this file, with its card). In a record, and wherever the same one must be
met again, the name is pinned by what it held: `nvidia/AutoGaze#loss=videomae&sha256=...`. A pinned
name is loaded as a plain one is, and refused where the files are no longer those.
"""

import functools
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gaze.config import GazeConfig, read_config
from hlvid.console import say
from hlvid.errors import UserError

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
MINI = "mini"
"""Names the checkpoint that ships; a folder of that name is `./mini`."""
_MINI_FOLDER = Path(__file__).parent / "autogaze-mini"
RELEASED = "nvidia/AutoGaze"
RELEASED_SIZE = "13 MB"
RELEASED_TERMS = "NVIDIA's source code licence: non-commercial research only"

_PINNED = re.compile(
    r"(?P<name>.+)#loss=(?P<loss>[a-z0-9-]{1,32})&sha256=(?P<sha256>[0-9a-f]{64})", re.DOTALL
)


class MissingWeights(UserError):
    """A checkpoint that is not on this machine and cannot be fetched."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder, with its configuration read.

    Args:
        name: As it was asked for, without what it was pinned by.
        folder: Holds `config.json` and `model.safetensors`.
        config: Of the model.
    """

    name: str
    folder: Path
    config: GazeConfig

    @property
    def weights(self) -> Path:
        """The file of tensors."""
        return self.folder / WEIGHTS_NAME

    @cached_property
    def files_sha256(self) -> dict[str, str]:
        """SHA-256 of each file."""
        from hlvid.digest_cache import sha256_cached

        return {name: sha256_cached(self.folder / name) for name in (CONFIG_NAME, WEIGHTS_NAME)}

    @property
    def sha256(self) -> str:
        """Digest of both files: tensors, and the threshold, cap and rules that go with them."""
        from hlvid.files import digest

        return digest(self.files_sha256)

    @property
    def pinned(self) -> str:
        """The name with the kind of loss that its threshold belongs to, and its digest."""
        return f"{self.name}#loss={self.config.loss_kind}&sha256={self.sha256}"

    @property
    def terms(self) -> str:
        """The licence: its own, or the released weights' where it names none."""
        return self.config.license or RELEASED_TERMS


def find_checkpoint(weights: str | Path) -> Checkpoint:
    """Find a checkpoint and read its configuration.

    Args:
        weights: `mini`, a folder or a hub id; pinned or not. A path is a folder.

    Raises:
        MissingWeights: It is neither a folder nor in reach of the hub.
        UserError: The folder holds no checkpoint, or not the one that was pinned.
    """
    text = spelled(weights)
    pin = _PINNED.fullmatch(text)
    name = pin["name"] if pin else text
    folder = _folder(name)
    found = Checkpoint(name, folder, read_config(folder / CONFIG_NAME))
    if not found.weights.is_file():
        raise UserError(
            f"{found.weights}: there is no such file. Only safetensors are read, never pickled "
            "weights."
        )
    if pin and found.pinned != text:
        raise UserError(
            f"{name}: its files are not those of sha256 {pin['sha256'][:16]}... any more. Put back "
            "the checkpoint that was used, or begin anew with this one."
        )
    return found


def spelled(weights: str | Path) -> str:
    """The name as text. A path to a folder `mini` has lost the './' that told it from ours."""
    text = str(weights)
    return f"./{text}" if isinstance(weights, Path) and text.partition("#")[0] == MINI else text


@functools.cache
def tell_terms(checkpoint: Checkpoint) -> None:
    """Say once that weights without a licence of their own are for research only."""
    if checkpoint.config.license is None:
        say(
            f"{checkpoint.name}: these AutoGaze weights name no licence of their own, so they are "
            f"under {RELEASED_TERMS}."
        )


def _folder(name: str) -> Path:
    if name == MINI:
        return _MINI_FOLDER
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    looks_like_id = name.count("/") == 1 and not name.startswith((".", "/", "~"))
    if folder.exists() or not looks_like_id:
        raise UserError(
            f"{name}: this is no checkpoint directory. Allowed are {MINI}, which comes with the "
            f"package, a folder with {CONFIG_NAME} and {WEIGHTS_NAME}, or a hub id like {RELEASED}."
        )
    return _from_hub(name)


@functools.cache
def _from_hub(name: str) -> Path:
    """Fetch a hub id, or find it in the hub's cache; asked for once in a process."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, allow_patterns=[CONFIG_NAME, WEIGHTS_NAME]))
    except Exception as error:  # any failure of a network client is the same to the user
        size = f"{RELEASED_SIZE}, {RELEASED_TERMS}; " if name == RELEASED else ""
        raise MissingWeights(
            f"{name}: these weights are not on this machine, and the hub could not give them "
            f"({size}{type(error).__name__}). Download them elsewhere and pass their folder, with "
            f"{CONFIG_NAME} and {WEIGHTS_NAME}."
        ) from error
