"""Doing one task, in whatever process: every way in which it can end becomes a record."""

import errno
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hlvid.build.codes import CODES, Ended, State, clean
from hlvid.build.pacing import Pacer
from hlvid.build.records import Entry, Output
from hlvid.build.stage import Bench, Desk, Task, scratch_name
from hlvid.errors import UserError
from hlvid.files import canonical_json
from hlvid.video_file import BrokenVideo, LostFrame


@dataclass(frozen=True)
class Finished:
    """How a task ended, ready for the journal."""

    entry: Mapping[str, Any]
    note: Mapping[str, Any]

    @property
    def code(self) -> str | None:
        """None where it passed."""
        code = self.entry["code"]
        return None if code is None else str(code)


def perform(
    task: Task[Any], bench: Bench, *, pacer: Pacer | None = None, pin: str | None = None
) -> Finished:
    """Do a task; its failure is a result, not an exception.

    Args:
        task: What to do.
        bench: The run's folder, spec and store.
        pacer: Of network stages.
        pin: Digest of what the same item gave before, where that is known.
    """
    desk = Desk(bench, scratch_name(task.stage.name, task.key), pacer, pin)
    started = time.time()
    try:
        output = task.stage.perform(task.item.input, task.parameters, desk)
    except Ended as end:
        return finish(task, end, {**desk.note, "words": end.note, **_times(started)})
    except Exception as error:  # noqa: BLE001  # one item's failure must not end the others
        ended = _ended(error)
        words = clean("".join(traceback.format_exception(error)[-6:]), max_characters=4000)
        return finish(task, ended, {**desk.note, "words": words, **_times(started)})
    return finish(task, output, {**desk.note, **_times(started)})


def finish(task: Task[Any], result: Output | Ended, note: Mapping[str, Any]) -> Finished:
    """Make the entry of a task that passed, or that ended."""
    ended = result if isinstance(result, Ended) else None
    entry = Entry[Any](
        item=task.item.id,
        candidate=task.item.candidate,
        task=task.key,
        state=ended.state if ended else State.PASSED,
        code=ended.code if ended else None,
        detail=(ended.detail or None) if ended else None,
        output=None if isinstance(result, Ended) else result,
    )
    content = entry.model_dump(mode="json")
    canonical_json(content)
    return Finished(content, {key: value for key, value in note.items() if value not in ("", None)})


def stops(code: str | None) -> bool:
    """Whether a run may not go on after this code."""
    return code is not None and CODES[code].stops


def _ended(error: Exception) -> Ended:
    # `probe` looks at three places only: damage between them shows when all is decoded.
    if isinstance(error, BrokenVideo | LostFrame):
        return Ended("decode_corrupt", str(error).partition(": ")[2].partition(". ")[0])
    # Files are written by functions that turn what the disk says into a sentence.
    cause = error.__context__ if isinstance(error, UserError) else error
    if isinstance(cause, OSError):
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return Ended("disk_full")
        return Ended("io_error", errno.errorcode.get(cause.errno or 0, type(cause).__name__))
    if isinstance(error, MemoryError):
        return Ended("no_memory")
    return Ended("defect", type(error).__name__)


def _times(started: float) -> dict[str, float]:
    return {
        "started_unix_seconds": round(started, 3),
        "took_seconds": round(time.time() - started, 3),
    }
