"""Decoding the next video while one is sat, where no times are kept that this would disturb."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from evaluators.canvas import Canvas, Shape, decode
from evaluators.halting import Halt

Decoded = tuple[Canvas, ExitStack]


class Ahead:
    """Gives the canvases of videos; a thread may decode the next one meanwhile.

    Use it as a context manager: nothing goes on being decoded after it.

    Args:
        paths: The videos in the order in which they will be opened.
        num_frames: Of `evaluators.canvas.decode`.
        scratch: Of `evaluators.canvas.decode`; ahead, it holds two canvases at once.
        shape: Of `evaluators.canvas.decode`.
        is_on: Whether anything is decoded ahead.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        num_frames: int,
        scratch: Path,
        shape: Shape,
        is_on: bool,
    ) -> None:
        self._next = dict(itertools.pairwise(paths)) if is_on else {}
        self._num_frames, self._scratch, self._shape = num_frames, scratch, shape
        self._over = Halt()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decode-ahead")
        self._coming: dict[Path, Future[Decoded]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.is_asked = True
        self._pool.shutdown(cancel_futures=True)

    @contextmanager
    def open(self, path: Path) -> Iterator[Canvas]:
        """The canvas of a video; the one after it is begun with.

        Raises:
            VideoError: The video cannot be read.
            NoRoom: The frames do not fit on the disk.
        """
        coming, self._coming = self._coming, {}
        with ExitStack() as stack:
            if path in coming and coming[path].exception() is None:
                canvas, opened = coming[path].result()
            else:  # What went wrong ahead may go well now: there is room for one canvas, not two.
                canvas, opened = self._decode(path)
            stack.enter_context(opened)
            if (following := self._next.get(path)) is not None:
                self._coming = {following: self._pool.submit(self._decode, following)}
            yield canvas

    def _decode(self, path: Path) -> Decoded:
        canvas = decode(
            path,
            num_frames=self._num_frames,
            scratch=self._scratch,
            shape=self._shape,
            halt=self._over,
        )
        with ExitStack() as stack:
            return stack.enter_context(canvas), stack.pop_all()
