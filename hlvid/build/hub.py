"""The hub, as far as the builder needs it: what a dataset holds, and the client that changes it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hlvid.errors import UserError


@contextmanager
def client() -> Iterator[Any]:
    """The hub's client; its errors become sentences without addresses that may hold a token."""
    try:
        import huggingface_hub
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise UserError(
            "hub: huggingface_hub is not installed. Install it: pip install 'hlvid[build]'."
        ) from None
    # Whichever HTTP package the hub's client rests on, its errors have that one's as their base.
    unreachable: Any = HfHubHTTPError.__bases__[0]
    try:
        yield huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise UserError(
            f"hub: it refuses ({status}). Is the repository there, and are you logged in "
            "with a token that may write (hf auth login)?",
            exit_code=1,
        ) from None
    except (unreachable, OSError) as error:
        raise UserError(
            f"hub: it cannot be reached ({type(error).__name__}). The same command goes on.",
            exit_code=1,
        ) from None


def listing(api: Any, repository: str, revision: str) -> dict[str, Any]:  # noqa: ANN401
    """Every file of a dataset at a revision, by its path."""
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(repository, revision=revision, recursive=True, repo_type="dataset")
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def content(api: Any, repository: str, revision: str, path: str) -> bytes:  # noqa: ANN401
    """A small file as the hub gives it out, past any cache."""
    with tempfile.TemporaryDirectory() as folder:
        got = api.hf_hub_download(
            repository, path, revision=revision, repo_type="dataset", local_dir=folder
        )
        return Path(got).read_bytes()
