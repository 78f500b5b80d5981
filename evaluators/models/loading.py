"""Loading networks with transformers: whole or not at all, and in a sentence what went wrong."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hlvid.errors import UserError

MOST_NAMED = 3
NO_ROOM = ("out of memory", "allocate memory", "not enough memory")
"""What torch's allocators say, where it is no error of a type of its own."""


def load_whole(kind: Any, folder: Path, **settings: Any) -> Any:  # noqa: ANN401
    """A network with all its tensors: transformers itself fills those that lack with random values.

    Args:
        kind: One of transformers' auto classes.
        folder: Where the weights lie.
        settings: Of `from_pretrained`.

    Raises:
        ValueError: Tensors are missing, or are of other sizes than the config says.
    """
    network, found = kind.from_pretrained(
        folder, output_loading_info=True, ignore_mismatched_sizes=True, **settings
    )
    for what, keys in (
        ("its files lack", found["missing_keys"]),
        ("of other sizes than its config says are", found["mismatched_keys"]),
    ):
        if keys:
            raise ValueError(f"{what} {_named(keys)}: fetch them again, whole")
    return network


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Say in one sentence why weights cannot be loaded, or made.

    Args:
        name: As the user typed it.

    Raises:
        UserError: They cannot be read, or have no room.
    """
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _no_room(name, error) from None
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        if any(words in str(error).lower() for words in NO_ROOM):
            raise _no_room(name, error) from None
        raise UserError(f"--weights {name}: cannot be loaded ({_short(error)}).") from None


def _no_room(name: str, error: BaseException) -> UserError:
    return UserError(
        f"--weights {name}: do not fit into memory ({_short(error)}). Spread them with "
        "--device-map, or take smaller --weights.",
        exit_code=1,
    )


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _named(keys: Mapping[str, Any] | set[Any]) -> str:
    """The first few of them, a mismatched one without its sizes."""
    names = sorted(key if isinstance(key, str) else str(key[0]) for key in keys)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
