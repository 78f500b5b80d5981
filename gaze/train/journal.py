"""What a run says about itself: one JSON object a line, and the same for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hlvid.errors import UserError
from hlvid.files import write_bytes

NAME = "log.jsonl"


class Journal:
    """Appends numbers to `log.jsonl` and to TensorBoard's files in one folder.

    Lines of steps after the one that a run goes on from are taken away first: a run that was
    killed repeats them.

    Args:
        folder: Of the run.
        step: Steps done.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        from tensorboardX import SummaryWriter

        self._path = folder / NAME
        kept = [line for line in _lines(self._path) if json.loads(line)["step"] <= step]
        write_bytes(self._path, [f"{line}\n".encode() for line in kept])
        self._file = self._path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()

    def begin(self, step: int, about: Mapping[str, Any]) -> None:
        """Write down where the steps from here on are made, if anything is said of it."""
        if about:
            self._file.write(json.dumps({"step": step, "slice": about}, sort_keys=True) + "\n")
            self._file.flush()

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Write one line."""
        line = json.dumps({"step": step, **values}, sort_keys=True)
        self._file.write(line + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)


def _lines(path: Path) -> list[str]:
    """Whole lines of a log; a last line that was cut short is left out.

    Raises:
        UserError: It is no log of ours.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line.rstrip("\n") for line in lines if line.endswith("\n")]
        if all(isinstance(json.loads(line)["step"], int) for line in whole):
            return whole
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: is no log of a run ({error}). Move it away.") from None
    raise UserError(f"{path}: is no log of a run. Move it away.")
