"""What a stranger needs to make a run again: the machine, the software, the command, the commit."""

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from hlvid.files import digest
from hlvid.types import Hardware, Provenance

PACKAGES = (
    "hlvid",
    "lmms_eval",
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "gguf",
    "numpy",
    "scipy",
    "pillow",
    "av",
    "rapidocr",
    "openvino",
    "opencv-python-headless",
    "opencv-python",
    "rapidfuzz",
    "datasets",
)
"""Distributions that can change an answer or a time."""


def provenance(command: tuple[str, ...]) -> Provenance:
    """Describe this process on this machine.

    Args:
        command: As it was typed, program first.
    """
    commit, is_dirty = git_state()
    return Provenance(
        command=command,
        git_commit=commit,
        git_dirty=is_dirty,
        software=software(),
        hardware=hardware(),
    )


def timed_on() -> str:
    """Digest of this machine and its software: what times must have in common to be compared."""
    # Without it no GPU is seen, and what has been imported by now differs between commands.
    import torch  # noqa: F401

    return digest([hardware().model_dump(mode="json"), software()])


def software() -> dict[str, str]:
    """Version of Python, of the packages that matter, and of the decoder."""
    return dict(_software())


@functools.cache
def _software() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        import av
    except ImportError:
        return found
    found["libavcodec"] = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return found


def hardware() -> Hardware:
    """The processor, its cores that this process may use, memory and GPUs."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Hardware(
        cpu=_processor(),
        num_cores=len(os.sched_getaffinity(0)),
        memory_bytes=pages,
        gpus=_gpus(),
        platform=platform.platform(),
    )


def git_state(package: Path = Path(__file__)) -> tuple[str | None, bool | None]:
    """Commit of the checkout that this code runs from, and whether tracked files differ from it.

    Those below `docs` do not count: what a long measurement writes there as it goes is no code.

    Args:
        package: A file of ours. Installed into an environment that lies inside somebody else's
            checkout it is not tracked there, and their commit is not ours.

    Returns:
        (None, None) where this code is not run from a checkout, or there is no git.
    """
    folder = package.parent
    if _git(folder, "ls-files", "--error-unmatch", package.name) is None:
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    where = ("--", ":(top)", ":(top,exclude)docs")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", *where)
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> tuple[str, ...]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ()
    return tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
