"""Answering probes: single questions, each with the frames, size and crop that a file names.

The file comes from whoever builds a benchmark (`hlvid.types.Probe`), the answers go back as
`hlvid.types.ProbeAnswer`. Probes that show the same are looked at once.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluators.canvas import Canvas, Shape, scratch_array
from evaluators.examinee import Examinee, View
from evaluators.gazing import failure
from evaluators.ledger import Ledger
from evaluators.mapping import num_slices
from evaluators.task import GENERATION
from evaluators.timing import Stopwatch
from gaze.selectors import Kept
from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.types import ArmSettings, Probe, ProbeAnswer, Question
from hlvid.video import VideoReader, frames_sha256

NOTHING_PIXELS = 448
"""Side of the grey frame of which nothing is shown to a model that is asked blind."""

Look = tuple[object, ...]


def answer_all(
    examinee: Examinee,
    probes: Sequence[Probe],
    *,
    seed: int = 0,
    ledger: Ledger | None = None,
    tell: Callable[[int], None] = lambda num: None,
) -> list[ProbeAnswer]:
    """Ask a model every probe; what cannot be answered says why.

    Args:
        examinee: Who is asked.
        probes: In any order, each once.
        seed: That the examinee was made with.
        ledger: Keeps what was replied, so that a later call goes on; None keeps nothing.
        tell: Called after each look with the number of probes that it answered.

    Returns:
        One answer a probe, in their order.
    """
    config = _config(examinee, seed)
    by_look: dict[Look, list[Probe]] = {}
    found: dict[str, ProbeAnswer] = {}
    for probe in probes:
        known = None if ledger is None else ledger.get(f"{probe.probe_id}/{config}")
        if known is None:
            by_look.setdefault(_look(probe) if examinee.sees_video else (), []).append(probe)
        else:
            found[probe.probe_id] = _made(examinee, probe, str(known))
    tell(len(found))
    for together in by_look.values():
        for answer in _answer(examinee, together):
            found[answer.probe_id] = answer
            if ledger is not None and answer.response is not None:
                ledger.append(f"{answer.probe_id}/{config}", answer.response)
        tell(len(together))
    return [found[probe.probe_id] for probe in probes]


def _config(examinee: Examinee, seed: int) -> str:
    """Digest of all that can change a reply, beside the probe."""
    shape, model = (
        record.model_dump(mode="json") for record in (examinee.shape.settings(1), examinee.model)
    )
    return digest([model, shape, dict(examinee.settings), dict(GENERATION), seed])


def _look(probe: Probe) -> Look:
    """What of a probe decides about the pixels."""
    return probe.path, probe.video_sha256, probe.frame_seconds, probe.height, probe.crop


def _answer(examinee: Examinee, probes: Sequence[Probe]) -> list[ProbeAnswer]:
    """Look once and ask all probes that show the same."""
    notes: Any = None
    with ExitStack() as stack:
        if examinee.sees_video:
            try:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                notes = examinee.watch(_view(examinee, probes[0], scratch), _clock(examinee))
            except Exception as error:  # noqa: BLE001 - one look's failure must not end the others
                return [_made(examinee, probe, error) for probe in probes]
        return [_ask(examinee, probe, notes) for probe in probes]


def _ask(examinee: Examinee, probe: Probe, notes: Any) -> ProbeAnswer:  # noqa: ANN401
    question = Question(
        question_id=probe.question_id,
        video_id=probe.video_sha256 or "none",
        category="probe",
        text=probe.text,
        stem=probe.stem,
        choices=probe.choices,
        answer=None,
    )
    try:
        response = examinee.answer(question, notes, _clock(examinee)).response
        return _made(examinee, probe, response)
    except Exception as error:  # noqa: BLE001 - one probe's failure must not end the others
        return _made(examinee, probe, error)


def _made(examinee: Examinee, probe: Probe, result: str | Exception) -> ProbeAnswer:
    said = {"response": result} if isinstance(result, str) else {"error": failure(result).sentence}
    return ProbeAnswer(probe_id=probe.probe_id, model=examinee.model, **said)


def _clock(examinee: Examinee) -> Stopwatch:
    return Stopwatch(examinee.device)


def _view(examinee: Examinee, probe: Probe, scratch: Path) -> View:
    """All of the frames that a probe names; of a blind one, nothing of a grey frame."""
    shape = examinee.shape
    if probe.path is None:
        size = _fitted(shape, NOTHING_PIXELS, NOTHING_PIXELS)
        pixels = np.full((1, size[1], size[0], 3), 128, dtype=np.uint8)
        arm = ArmSettings(gaze="off", variant="blind" if "blind" in examinee.variants else None)
        return _seen(_canvas(pixels, np.zeros(1), [0], shape, 0.0), arm, num_kept=0)
    started = time.perf_counter_ns()
    pixels, seconds, pts = _frames(probe, Path(probe.path), shape, scratch)
    decode_ms = (time.perf_counter_ns() - started) / 1e6
    return _seen(_canvas(pixels, seconds, pts, shape, decode_ms), ArmSettings(gaze="off"))


def _seen(canvas: Canvas, arm: ArmSettings, num_kept: int | None = None) -> View:
    views = canvas.views
    ids = np.arange(views.num_tokens if num_kept is None else num_kept, dtype=np.int32)
    kept = Kept(
        (ids,) * num_slices(canvas.num_frames, canvas.shape.pairing), views.rows, views.cols
    )
    return View(canvas, kept, views, arm)


def _frames(
    probe: Probe, path: Path, shape: Shape, scratch: Path
) -> tuple[NDArray[np.uint8], NDArray[np.float64], list[int]]:
    """(pixels, seconds, pts) of the frames of a probe, on the canvas that the model wants."""
    with VideoReader(path) as reader:
        size = reader.info.width, reader.info.height
        times = (reader.index.pts - reader.index.pts[0]) * float(reader.index.time_base)
    crop = tuple(round(edge) for edge in probe.crop) if probe.crop else (0, 0, *size)
    if not (crop[0] < crop[2] <= size[0] and crop[1] < crop[3] <= size[1]):
        raise UserError(f"probe {probe.probe_id[:12]}: crop {crop} is not in a frame of {size}.")
    is_whole = crop == (0, 0, *size)
    shown = crop[2] - crop[0], crop[3] - crop[1]
    if probe.height is not None and probe.height < shown[1]:
        shown = max(1, round(shown[0] * probe.height / shown[1])), probe.height
    # Fewer lines first, then the model's own size: what was lost does not come back.
    wanted = _fitted(shape, *shown)
    numbers = np.unique(np.searchsorted(times, np.array(probe.frame_seconds) + 1e-6, "right") - 1)
    pixels = scratch_array((len(numbers), wanted[1], wanted[0], 3), scratch)
    pts, seconds = [], np.zeros(len(numbers))
    with VideoReader(path, size=shown if is_whole else size) as reader:
        for i, frame in enumerate(reader.frames(numbers)):
            cut = frame.pixels
            if not is_whole:
                cut = cut[crop[1] : crop[3], crop[0] : crop[2]]
            pixels[i] = _resized(_resized(cut, shown), wanted)
            pts.append(frame.pts)
            seconds[i] = reader.index.since_first(frame.pts)
    return pixels, seconds, pts


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame at another (width, height); the same frame where it has that size."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _fitted(shape: Shape, width: int, height: int) -> tuple[int, int]:
    return shape.fit(width, height) if shape.fit else (width, height)


def _canvas(
    pixels: NDArray[np.uint8],
    seconds: NDArray[np.float64],
    pts: Sequence[int],
    shape: Shape,
    decode_ms: float,
) -> Canvas:
    digest = hashlib.sha256()
    for frame in pixels:
        digest.update(frame.tobytes())
    return Canvas(
        pixels=pixels,
        frame_seconds=seconds,
        frames_sha256=frames_sha256(pts),
        sha256=digest.hexdigest(),
        decode_ms=decode_ms,
        shape=shape,
    )
