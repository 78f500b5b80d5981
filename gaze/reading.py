"""Reading text in a frame: one pretrained detector and recogniser, always in 32-bit floats.

RapidOCR with the PP-OCRv6 models that its wheel carries, run by OpenVINO. On processors with bf16
units OpenVINO would compute in bf16 unasked, which reads differently; RapidOCR has no setting for
that, so its models are compiled again here with OpenVINO's own `INFERENCE_PRECISION_HINT`, and the
compiled model is asked what it runs in. Nothing is downloaded.

The detector weighs what it sees by averages over its whole input: in a 4K frame that is grey but
for one sign it finds no text at all, in a window of 900 pixels around the sign it does. Frames are
therefore shown to it at full size in overlapping windows, and its map is put together before boxes
are drawn; lines are read one by one. What is read of a sign thus depends on its surroundings, and
not on how much of the rest of the frame was kept.
"""

import functools
import importlib
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gaze.views import Frame
from hlvid.errors import UserError

DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNISER = "PP-OCRv6_rec_small.onnx"
MAX_CANDIDATES = 100_000
"""Blobs of the detector's map that are looked at. RapidOCR's own 1000 are soon used up by the
specks of a textured 4K frame, from the bottom up, and all text above them is then lost unsaid."""
MIN_WINDOW_PIXELS = 736
"""Smallest side of a window; RapidOCR enlarges frames with a shorter one to it."""
MAX_WINDOW_PIXELS = 896
MOST_TIMES_AS_LONG = 6
"""Sides of a frame that is shown as it is: what is longer is a strip."""
STRIDE = 32
"""The detector takes windows whose sides are multiples of it."""
GLANCE = 32
"""Of so many pixels along a side one is looked at first."""
MARGIN_PIXELS = 64
"""What a window sees beyond the part whose result is used, at least."""


@dataclass(frozen=True)
class Line:
    """One line of text.

    Args:
        text: As it was read.
        score: Mean confidence of its characters, 0 to 1.
        box: Four corners (x, y) in pixels of the frame, clockwise from the top left, (4, 2).
    """

    text: str
    score: float
    box: NDArray[np.float32]


class TextReader:
    """Finds and reads text in whole frames at full size.

    Raises:
        UserError: The extra `gaze` is not installed, or the processor's 32-bit path is not to be
            had.
    """

    def __init__(self) -> None:
        send_nothing()
        try:
            rapidocr = importlib.import_module("rapidocr")
        except ImportError as error:
            raise UserError(
                f"TextReader: {error.name} is not installed. "
                "Install with: pip install 'hlvid[gaze]'."
            ) from error
        models = Path(str(rapidocr.__file__)).parent / "models"
        for name in (DETECTOR, RECOGNISER):
            if not (models / name).is_file():
                raise UserError(
                    f"TextReader: this rapidocr carries no {name}. Install rapidocr>=3.10,<4."
                )
        engine = rapidocr.EngineType.OPENVINO
        self._engine = rapidocr.RapidOCR(
            params={
                "Global.use_cls": False,
                "Det.max_candidates": MAX_CANDIDATES,
                "Det.limit_side_len": MIN_WINDOW_PIXELS,
                "Rec.rec_batch_num": 1,
                "Global.log_level": "error",
                "Det.engine_type": engine,
                "Det.model_path": str(models / DETECTOR),
                "Rec.engine_type": engine,
                "Rec.model_path": str(models / RECOGNISER),
            }
        )
        blank = np.zeros((64, 64, 3), dtype=np.uint8)
        self._engine(blank, use_det=True, use_cls=False, use_rec=False)
        self._engine(blank, use_det=False, use_cls=False, use_rec=True)
        self._detector = self._engine.text_det
        for part in (self._detector, self._engine.text_rec):
            part.session.session = _compiled(part.session.model).create_infer_request()
        grey = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
        self._normalised = self._detector.get_preprocess().normalize(grey).T.astype(np.float32)
        self._finders: dict[tuple[int, int], Any] = {}

    def detect(self, frame_rgb: Frame) -> NDArray[np.float32]:
        """Find text.

        Args:
            frame_rgb: (height, width, 3).

        Returns:
            Corners (x, y) of the boxes, surest first, (num_boxes, 4, 2), in pixels of the frame.
        """
        boxes, scores = self._find(_as_bgr(frame_rgb))
        return boxes[np.argsort(-scores, kind="stable")]

    def read(self, frame_rgb: Frame) -> list[Line]:
        """Find text and read it, from top to bottom and left to right.

        Args:
            frame_rgb: (height, width, 3).
        """
        frame = _as_bgr(frame_rgb)
        boxes = self._detector.sorted_boxes(self._find(frame)[0])
        if len(boxes) == 0:
            return []
        found = self._engine.recognize_txt(self._engine.crop_text_regions(frame, boxes))
        return [
            Line(text=text, score=float(score), box=box)
            for text, score, box in zip(found.txts, found.scores, boxes, strict=True)
            if text.strip() and score >= self._engine.text_score
        ]

    def _find(self, frame_bgr: Frame) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Boxes and their scores, (num_boxes, 4, 2) and (num_boxes,)."""
        height, width = size = frame_bgr.shape[:2]
        frame_bgr = _no_strip(frame_bgr)
        height, width = frame_bgr.shape[:2]
        if min(height, width) < MIN_WINDOW_PIXELS:
            is_text = self._detector.session(self._detector.get_preprocess()(frame_bgr))
        else:
            is_text = np.zeros((1, 1, height, width), dtype=np.float32)
            for down, across in itertools.product(_windows(height), _windows(width)):
                seen = self._is_text_in(frame_bgr[down.seen, across.seen])
                is_text[0, 0, down.own, across.own] = seen[down.inside, across.inside]
        found, scores = self._detector.postprocess_op(is_text, (height, width))
        boxes = np.asarray(found, dtype=np.float32).reshape(-1, 4, 2)
        if (height, width) != size:  # What was repeated beside a strip is none of it.
            is_inside = (boxes.min(axis=1) < size[::-1]).all(axis=1)
            edges = np.array(size[::-1], dtype=np.float32) - 1
            return np.minimum(boxes[is_inside], edges), np.asarray(scores)[is_inside]
        return boxes, np.asarray(scores)

    def _is_text_in(self, window_bgr: Frame) -> NDArray[np.float32]:
        """The probability that each pixel of a window is text; its edge is repeated to a stride."""
        if _is_blank(window_bgr):
            return np.zeros(window_bgr.shape[:2], dtype=np.float32)
        height, width = window_bgr.shape[:2]
        below, right = -height % STRIDE, -width % STRIDE
        padded = np.pad(window_bgr, ((0, below), (0, right), (0, 0)), mode="edge")
        pixels = np.empty((1, 3, *padded.shape[:2]), dtype=np.float32)
        for channel, values in enumerate(self._normalised):
            np.take(values, padded[..., channel], out=pixels[0, channel])
        probability: NDArray[np.float32] = self._finder(*padded.shape[:2]).infer([pixels])[0]
        return probability[0, 0, :height, :width].copy()

    def _finder(self, height: int, width: int) -> Any:  # noqa: ANN401
        """The detector compiled for one size of window: a sixth faster than for any size."""
        if (height, width) not in self._finders:
            model = self._detector.session.model.clone()
            model.reshape([1, 3, height, width])
            self._finders[height, width] = _compiled(model).create_infer_request()
        return self._finders[height, width]


class _Window(NamedTuple):
    """Along one side of a frame: what the detector is shown, and which part of that is used."""

    seen: slice
    own: slice
    """The part whose result is used, in pixels of the frame."""
    inside: slice
    """The same part, in pixels of the window."""


def _windows(length: int) -> list[_Window]:
    """Even windows over a length; each owns its side of the middle of every overlap."""
    overlap = 2 * MARGIN_PIXELS
    num = max(1, -(-(length - overlap) // (MAX_WINDOW_PIXELS - overlap)))
    side = -(-(length + (num - 1) * overlap) // (num * STRIDE)) * STRIDE
    side = min(max(side, MIN_WINDOW_PIXELS), length)
    starts = [window * (length - side) // max(num - 1, 1) for window in range(num)]
    middles = [(before + side + after) // 2 for before, after in itertools.pairwise(starts)]
    owned = itertools.pairwise([0, *middles, length])
    return [
        _Window(slice(start, start + side), slice(a, b), slice(a - start, b - start))
        for start, (a, b) in zip(starts, owned, strict=True)
    ]


@functools.cache
def shared_reader() -> TextReader:
    """The reader of this process: loading one takes a second or two, so all share it."""
    return TextReader()


def send_nothing() -> None:
    """Keep OpenVINO from telling its maker that it was imported; it does so in a forked process.

    That process can also hang this one: its thread and ours wait for each other's imports. OpenVINO
    takes a stub of its own where the package that sends is not there.
    """
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)


def _is_blank(window: Frame) -> bool:
    """Whether all values are one; a few pixels mostly tell that they are not."""
    few = window[::GLANCE, ::GLANCE]
    return bool(few.min() == few.max()) and bool(window.min() == window.max())


def _no_strip(frame: Frame) -> Frame:
    """A frame whose shorter side is repeated at its edge until it is no strip.

    A strip would be enlarged until its shorter side is as long as a window's: 20 x 300 pixels would
    take 3 GB.
    """
    height, width = frame.shape[:2]
    below = max(0, -(-width // MOST_TIMES_AS_LONG) - height)
    right = max(0, -(-height // MOST_TIMES_AS_LONG) - width)
    if not (below or right):
        return frame
    return np.pad(frame, ((0, below), (0, right), (0, 0)), mode="edge")


def _as_bgr(frame_rgb: Frame) -> Frame:
    return np.ascontiguousarray(frame_rgb[..., ::-1])


def _compiled(model: Any) -> Any:  # noqa: ANN401
    """A model compiled by OpenVINO to compute in 32-bit floats."""
    openvino = importlib.import_module("openvino")
    precision = openvino.properties.hint.inference_precision
    compiled = openvino.Core().compile_model(model, "CPU", {precision: openvino.Type.f32})
    used = compiled.get_property(precision)
    if used != openvino.Type.f32:
        raise UserError(
            f"TextReader: OpenVINO computes in {used.get_type_name()} where f32 was asked for. "
            "Reading in another precision gives other text: install openvino>=2026.1."
        )
    return compiled
