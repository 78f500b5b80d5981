"""What a question is put through, to see what its answer depends on."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hlvid.types.runs import ModelId
from hlvid.types.values import Identifier, Record, Seconds, Sha256


class Probe(Record):
    """One way of asking a question, to see what its answer depends on. Holds no right answer."""

    probe_id: Sha256
    """Digest of the rest, without `path`: the same asking is never done twice."""
    question_id: Identifier
    kind: Literal[
        "blind",
        "permuted",
        "single-frame",
        "context",
        "resolution",
        "oracle-crop",
        "other-crop",
        "elsewhere",
    ]
    """Without the video; with the options in another order; one frame; a window of the video; the
    evidence on fewer lines; the evidence cut out; as much cut out beside it, which shows whether
    the cutting tells anything; what lies outside the evidence, which shows whether another place
    could also answer."""
    text: str
    """Exactly what is sent."""
    stem: str
    choices: Annotated[tuple[str, ...], Field(min_length=2, max_length=26)]
    path: str | None = None
    """The video's file on this machine; None where the model is to see nothing."""
    video_sha256: Sha256 | None = None
    frame_seconds: tuple[Seconds, ...] = ()
    """Which frames: those shown so long after the first one, ascending."""
    height: Annotated[int, Field(gt=0)] | None = None
    """Lines to which the frames are made smaller before anything else; None leaves them."""
    crop: tuple[Seconds, Seconds, Seconds, Seconds] | None = None
    """(x0, y0, x1, y1): what is cut out of every frame, in pixels of the displayed frame."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        parts = self.path is not None, self.video_sha256 is not None, bool(self.frame_seconds)
        if parts != (self.kind != "blind",) * 3:
            raise ValueError(f"a probe of kind {self.kind} with {sum(parts)} of the video's fields")
        if list(self.frame_seconds) != sorted(set(self.frame_seconds)):
            raise ValueError("frame_seconds do not ascend")
        if self.crop and not (self.crop[0] < self.crop[2] and self.crop[1] < self.crop[3]):
            raise ValueError(f"crop {self.crop} is empty")
        return self


class ProbeAnswer(Record):
    """What a model replied to a probe, or why it could not."""

    probe_id: Sha256
    model: ModelId
    response: str | None = None
    """The raw text, as it came. Exactly one of response and error is set."""
    error: str | None = None

    @model_validator(mode="after")
    def _is_answer_or_error(self) -> Self:
        if (self.response is None) == (self.error is None):
            raise ValueError("exactly one of response and error must be set")
        return self
