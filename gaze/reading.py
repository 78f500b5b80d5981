"""Reading text in a frame: one pretrained detector and recogniser, always in 32-bit floats.

RapidOCR with the PP-OCRv6 models that its wheel carries, run by OpenVINO. On processors with bf16
units OpenVINO would compute in bf16 unasked, which reads differently; RapidOCR has no setting for
that, so its models are compiled again here with OpenVINO's own `INFERENCE_PRECISION_HINT`, and the
compiled model is asked what it runs in. Nothing is downloaded.
"""

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze.views import Frame
from hlvid.errors import UserError

DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNISER = "PP-OCRv6_rec_small.onnx"
MAX_SIDE_PIXELS = 1 << 16
"""RapidOCR halves what is longer than this; its own default of 2000 would halve a 4K frame."""


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
                "Global.max_side_len": MAX_SIDE_PIXELS,
                "Global.log_level": "error",
                "Det.engine_type": engine,
                "Det.model_path": str(models / DETECTOR),
                "Rec.engine_type": engine,
                "Rec.model_path": str(models / RECOGNISER),
            }
        )
        blank = np.zeros((64, 64, 3), dtype=np.uint8)
        self._run(blank, is_reading=False)
        self._engine(blank, use_det=False, use_cls=False, use_rec=True)
        for part in (self._engine.text_det, self._engine.text_rec):
            _compile_in_float32(part.session)

    def detect(self, frame_rgb: Frame) -> NDArray[np.float32]:
        """Find text.

        Args:
            frame_rgb: (height, width, 3).

        Returns:
            Corners (x, y) of the boxes, surest first, (num_boxes, 4, 2), in pixels of the frame.
        """
        detector = self._engine.text_det
        pixels = detector.get_preprocess()(_as_bgr(frame_rgb))
        # RapidOCR sorts the boxes it returns but not their scores; here they still belong together.
        boxes, scores = detector.postprocess_op(detector.session(pixels), frame_rgb.shape[:2])
        if len(boxes) == 0:
            return np.empty((0, 4, 2), dtype=np.float32)
        surest_first = np.argsort(-np.asarray(scores), kind="stable")
        return np.asarray(boxes, dtype=np.float32)[surest_first]

    def read(self, frame_rgb: Frame) -> list[Line]:
        """Find text and read it, from top to bottom and left to right.

        Args:
            frame_rgb: (height, width, 3).
        """
        found = self._run(_as_bgr(frame_rgb), is_reading=True)
        if found.txts is None:
            return []
        return [
            Line(text=text, score=float(score), box=np.asarray(box, dtype=np.float32))
            for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
        ]

    def _run(self, frame_bgr: Frame, *, is_reading: bool) -> Any:  # noqa: ANN401
        # RapidOCR remembers these switches from call to call: all three, every time.
        return self._engine(frame_bgr, use_det=True, use_cls=False, use_rec=is_reading)


@functools.cache
def shared_reader() -> TextReader:
    """The reader of this process: loading one takes a second or two, so all share it."""
    return TextReader()


def _as_bgr(frame_rgb: Frame) -> Frame:
    return np.ascontiguousarray(frame_rgb[..., ::-1])


def _compile_in_float32(session: Any) -> None:  # noqa: ANN401
    """Replace a RapidOCR session's compiled model by one that computes in 32-bit floats."""
    openvino = importlib.import_module("openvino")
    precision = openvino.properties.hint.inference_precision
    compiled = openvino.Core().compile_model(session.model, "CPU", {precision: openvino.Type.f32})
    used = compiled.get_property(precision)
    if used != openvino.Type.f32:
        raise UserError(
            f"TextReader: OpenVINO computes in {used.get_type_name()} where f32 was asked for. "
            "Reading in another precision gives other text: install openvino>=2026.1."
        )
    session.session = compiled.create_infer_request()
