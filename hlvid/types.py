"""The records that cross a border: every file this project reads or writes holds one of these.

They are validated at construction and never changed afterwards. Nothing here does I/O, and nothing
here imports another module of ours.
"""

import itertools
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

SCHEMA_VERSION = 1
"""Raised when a field changes meaning; a reader refuses a version it does not know."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@#+-]{0,199}$")]
"""An id that is safe as a file name and a table cell: no separators, no spaces, no markup."""
Letter = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Key = tuple[float, float, float, float, float]
"""(time_seconds, x0, y0, x1, y1): a box at one moment, in pixels of the displayed frame."""


class Record(BaseModel):
    """What all wire types share: frozen, no unknown field, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Video(Record):
    """One video of a benchmark, without its bytes."""

    video_id: Identifier
    path: str | None = None
    """Relative to the benchmark's folder, forward slashes, never leaving it."""
    url: str | None = None
    sha256: Sha256 | None = None
    width: Annotated[int, Field(gt=0)]
    """Pixels of the displayed frame, rotation applied."""
    height: Annotated[int, Field(gt=0)]
    duration_seconds: Seconds
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    license: str
    """SPDX identifier, or 'unknown'."""
    source: str
    """Where the pixels come from: a URL, a source id, or the command that rendered them."""

    @model_validator(mode="after")
    def _path_stays_inside(self) -> Self:
        if self.path is not None:
            parts = self.path.split("/")
            if self.path.startswith("/") or "\\" in self.path or not all(parts) or ".." in parts:
                raise ValueError(
                    f"path {self.path!r} leaves the benchmark's folder. "
                    "Allowed are relative paths with forward slashes and no '..'"
                )
        return self


class Evidence(Record):
    """Where in a video the answer can be seen. Never reaches a model."""

    start_seconds: Seconds
    end_seconds: Seconds
    """Half-open: the evidence is visible at t when start_seconds <= t < end_seconds."""
    boxes: Annotated[tuple[Key, ...], Field(min_length=1)]
    """Keys in order of time; between two keys the box moves linearly, outside them it stays."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.end_seconds <= self.start_seconds:
            raise ValueError(
                f"end_seconds {self.end_seconds} is not after start_seconds {self.start_seconds}"
            )
        times = [key[0] for key in self.boxes]
        if times != sorted(times):
            raise ValueError("boxes are not in order of time")
        for _, x0, y0, x1, y1 in self.boxes:
            if not (0 <= x0 < x1 and 0 <= y0 < y1):
                raise ValueError(f"box ({x0}, {y0}, {x1}, {y1}) is empty or starts outside")
        return self

    def box_at(self, time_seconds: float) -> tuple[float, float, float, float] | None:
        """The box (x0, y0, x1, y1) in pixels at a moment, or None outside the span."""
        if not self.start_seconds <= time_seconds < self.end_seconds:
            return None
        keys = self.boxes
        if time_seconds <= keys[0][0]:
            return keys[0][1:]
        for before, after in itertools.pairwise(keys):
            if time_seconds <= after[0]:
                span = after[0] - before[0]
                share = (time_seconds - before[0]) / span if span > 0 else 1.0
                x0, y0, x1, y1 = (
                    a + share * (b - a) for a, b in zip(before[1:], after[1:], strict=True)
                )
                return x0, y0, x1, y1
        return keys[-1][1:]


class Question(Record):
    """One multiple-choice question. The order of its choices is data and never shuffled."""

    question_id: Identifier
    video_id: Identifier
    category: str
    capability: str | None = None
    """What it asks for, where known: 'text', 'colour' or 'counting'."""
    text: str
    """Exactly what is sent to a model: stem, lettered choices, instruction."""
    stem: str
    choices: Annotated[tuple[str, ...], Field(min_length=2, max_length=26)]
    answer: Letter | None
    """The letter of the right choice, or None where the labels are withheld."""
    evidence: tuple[Evidence, ...] = ()
    """Alternatives: seeing any one of them is enough to answer."""

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of the choices, ('A', 'B', ...)."""
        return tuple(chr(ord("A") + i) for i in range(len(self.choices)))

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.answer is not None and self.answer not in self.letters:
            raise ValueError(f"answer {self.answer!r} is not one of {'/'.join(self.letters)}")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"choices {list(self.choices)} are not distinct")
        if (
            not self.text.strip()
            or not self.stem.strip()
            or not all(c.strip() for c in self.choices)
        ):
            raise ValueError("text, stem and choices must not be empty")
        return self


class TokenCounts(Record):
    """The four counts of a question and arm, and what the first three are shares of."""

    selector: Count
    """Tokens that the selector itself read; 0 for selectors without a model."""
    encoded: Count
    """Patches that the vision tower (or reader) encoded."""
    visual: Count
    """Visual tokens in the prompt, context stream and thumbnails included."""
    text: Count
    """Other prompt tokens."""
    visual_off: Count
    """Visual tokens of `off` on the same canvas: kept_ratio = visual / visual_off."""


class Prediction(Record):
    """What one arm answered to one question, or why it could not."""

    question_id: Identifier
    arm: str
    prompt_sha256: Sha256
    prompt_ids_sha256: Sha256 | None = None
    """Digest of the prompt's ids, the visual tokens of a slice collapsed to one symbol: equal in
    all gaze arms of a question. None where the model has no such ids."""
    response: str | None = None
    """The raw text, as it came. Exactly one of response and error is set."""
    error: str | None = None
    status: Literal["ok", "failed"]
    letter_log_probabilities: Mapping[str, float] | None = None
    """Letter -> natural logarithm of its probability, where the model is local."""
    frames_sha256: Sha256 | None = None
    """Digest of the presentation times of the frames that were read."""
    canvas_sha256: Sha256 | None = None
    """Digest of the canvas's bytes, equal in all arms of an iso-input comparison."""
    tokens: TokenCounts | None = None
    temporal_hit: bool | None = None
    """Whether a sampled frame lies inside an evidence span; None where no evidence is known."""
    spatial_cover: Annotated[float, Field(ge=0, le=1)] | None = None
    """Largest share of the evidence box covered by kept tokens, over the frames that hit."""
    stage_ms: Mapping[str, Milliseconds] = {}
    """Milliseconds a stage. Decode and gaze of a video are charged in full to every question."""
    peak_memory_bytes: Count | None = None

    @model_validator(mode="after")
    def _is_answer_or_error(self) -> Self:
        if (self.response is None) == (self.error is None):
            raise ValueError("exactly one of response and error must be set")
        if (self.status == "ok") != (self.error is None):
            raise ValueError(f"status {self.status!r} contradicts the presence of an error")
        return self


class Outcome(StrEnum):
    """How a prediction was marked. Only CORRECT scores; all four stay in the denominator."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    FAILED = "failed"


class Grade(Record):
    """The mark of one prediction."""

    question_id: Identifier
    video_id: Identifier
    category: str
    letter: Letter | None
    outcome: Outcome


class Summary(Record):
    """What a run scored; must equal a re-grade of its predictions."""

    num_questions: Count
    num_videos: Count
    num_correct: Count
    num_wrong: Count
    num_unparsed: Count
    num_failed: Count
    accuracy: Annotated[float, Field(ge=0, le=1)]
    """Strict: correct / all questions."""
    accuracy_low: Annotated[float, Field(ge=0, le=1)]
    accuracy_high: Annotated[float, Field(ge=0, le=1)]
    """95 % Wilson interval on the effective number of questions, clustered by video."""
    standard_error: Annotated[float, Field(ge=0)] | None
    """Cluster-robust; None with fewer than two videos."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        parts = self.num_correct + self.num_wrong + self.num_unparsed + self.num_failed
        if parts != self.num_questions:
            raise ValueError(f"outcomes add up to {parts}, not to {self.num_questions} questions")
        return self


class BenchmarkId(Record):
    """Which exam was sat."""

    name: Identifier
    revision: str
    """Commit, version or render settings: what tells two contents of one name apart."""
    questions_sha256: Sha256
    num_questions: Count
    num_videos: Count


class ModelId(Record):
    """Which model sat it."""

    name: Identifier
    """The adapter: 'ocr', 'qwen', ..."""
    kind: Literal["mllm", "reader", "language", "control"]
    """Readers, language models and controls never share a table with MLLMs."""
    weights: str | None = None
    """Hub id, local directory, 'mini' or 'dummy'; None for a model without weights."""
    revision: str | None = None
    weights_sha256: Sha256 | None = None
    load_format: Literal["weights", "dummy", "none"] = "none"
    license: str | None = None


Variant = Literal[
    "off-stock",
    "off-bare",
    "blind",
    "context-only",
    "fewer-frames",
    "lower-resolution",
    "evs",
    "after-tower",
]
"""Arms beside `off` and the selectors. Without gaze: the stock processor's own size, keep-all
without the context stream, no visual tokens, the context stream alone, a share of the frames, a
share of the pixels, pruning by the tower's features. With gaze: the same tokens, dropped after the
tower."""


class ArmSettings(Record):
    """One gaze setting: `off`, or a selector with its budget, threshold and seed."""

    gaze: Literal["on", "off"]
    variant: Variant | None = None
    selector: Identifier | None = None
    """None when gaze is off. A matched control names its partner: 'random-matched:detail'."""
    weights: str | None = None
    budget: Ratio | None = None
    threshold: float | None = None
    seed: int = 0
    mapping: str = "aligned"
    privileged: bool = False
    """The selector was given something a user does not have (evidence, the answer's place)."""
    notes: tuple[str, ...] = ()
    """What every table must say beside the arm, such as 'shares the reader's detector'."""

    @model_validator(mode="after")
    def _off_has_no_selector(self) -> Self:
        if (self.gaze == "off") != (self.selector is None):
            raise ValueError(f"gaze {self.gaze!r} with selector {self.selector!r}")
        if self.variant is not None and (self.variant == "after-tower") != (self.gaze == "on"):
            raise ValueError(f"gaze {self.gaze!r} with variant {self.variant!r}")
        return self

    @property
    def name(self) -> str:
        """'off', 'detail@0.1', 'random-matched:detail@0.1#3': unique within a group of arms.

        Variants begin with their name: 'off-bare', 'evs@0.1', 'after-tower:detail@0.1'.
        """
        if self.selector is None:
            name = self.variant or "off"
        else:
            name = f"{self.variant}:{self.selector}" if self.variant else self.selector
        if self.budget is not None:
            name += f"@{self.budget:g}"
        if self.threshold is not None:
            name += f"+{self.threshold:g}"
        return name if self.seed == 0 else f"{name}#{self.seed}"


class FrameSettings(Record):
    """How frames are taken from a video and what canvas they are put on."""

    num_frames: Annotated[int, Field(gt=0)]
    sampling: Literal["uniform"] = "uniform"
    """round(linspace(0, num_frames - 1, N)) in presentation order; all when there are fewer."""
    canvas: str = "source"
    """'source' for the size of the video, 'native' for the nearest size that the model's own resize
    rule gives, else 'WIDTHxHEIGHT'."""
    token_pixels: Annotated[int, Field(gt=0)] = 32
    """Side of a native token on the canvas."""
    pairing: Literal["none", "stock", "repeat"] = "none"
    context: Count = 0
    """Native tokens along a side that one token of the context stream covers; 0 for no stream."""


class Hardware(Record):
    """The machine a run was made on."""

    cpu: str
    num_cores: Annotated[int, Field(gt=0)]
    memory_bytes: Annotated[int, Field(gt=0)]
    gpus: tuple[str, ...] = ()
    platform: str


class Provenance(Record):
    """What a stranger needs to make the run again."""

    command: tuple[str, ...]
    git_commit: str | None
    git_dirty: bool | None
    software: Mapping[str, str]
    """Package or library -> version; libavcodec too."""
    hardware: Hardware


class RunRecord(Record):
    """One arm's run: everything about it but the predictions, which lie beside it."""

    schema_version: Literal[1] = 1
    run_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    group_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """Digest of the command's arms: runs with one group_id are paired."""
    plan_sha256: Sha256 | None = None
    adaptation: Literal["none", "training-free", "fine-tuned"] = "none"
    benchmark: BenchmarkId
    model: ModelId
    arm: ArmSettings
    frames: FrameSettings
    generation: Mapping[str, str | int | float | bool] = {}
    seed: int = 0
    limit: int | None = None
    """A limited run is never ranked."""
    repeat: Count = 0
    provenance: Provenance
    predictions_file: Literal["predictions.jsonl"] = "predictions.jsonl"
    predictions_sha256: Sha256
    summary: Summary | None
    """None where the arm could not run at all."""
    status: Literal["complete", "partial", "failed", "infeasible"]

    @model_validator(mode="after")
    def _infeasible_has_no_accuracy(self) -> Self:
        if (self.status == "infeasible") != (self.summary is None):
            raise ValueError(f"status {self.status!r} contradicts the presence of a summary")
        return self


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
