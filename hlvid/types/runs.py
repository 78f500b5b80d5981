"""What was answered, how it was marked, and what a stranger needs to do it again."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from hlvid.types.values import Count, Identifier, Letter, Milliseconds, Ratio, Record, Sha256


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


OUT_OF_MEMORY = "OUT OF MEMORY: "
"""Begins `Prediction.error` where memory ran out at that question."""


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
    """Whether a sampled frame lies inside an evidence span; None where no evidence is known, or
    where the arm shows something else than what was kept of the canvas."""
    spatial_cover: Annotated[float, Field(ge=0, le=1)] | None = None
    """Largest share of the evidence box covered by kept tokens, over the frames that hit: on the
    run's own canvas, in its tokens, with one choice for both frames of a pair. `hlvid-eval recall`
    measures it on single frames of the source's size, in tokens of 32 pixels."""
    stage_ms: Mapping[str, Milliseconds] = {}
    """Milliseconds a stage. What questions share (decoding, and gaze unless the selector reads the
    question) is charged in full to each of them."""
    peak_memory_bytes: Count | None = None
    sitting: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = None
    """Digest of the arms that took their turns when this was timed: only answers of one sitting
    give a speed-up. None where there are no times, or nobody knows."""

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
    load_format: Literal["weights", "dummy", "own", "none"] = "none"
    """'own' where other code loads it or a server has it, which tells nobody a digest."""
    license: str | None = None


Variant = Literal[
    "off-stock",
    "off-bare",
    "off-generate",
    "blind",
    "context-only",
    "fewer-frames",
    "fewer-and-lower",
    "lower-resolution",
    "evs",
    "after-tower",
]
"""Arms beside `off` and the selectors. Without gaze: the stock processor's own size, keep-all
without the context stream, the same by the stock model's own code, no visual tokens, the context
stream alone, a share of the frames, of both, of the pixels, pruning by the tower's features. With
gaze: the same tokens, dropped after the tower."""


STOCK_CODE: Variant = "off-generate"
"""Keep-all as transformers runs it, its attention included: how far it answers otherwise than
`off-bare` is what the implementation adds to the noise floor. Never an arm of a comparison."""

CHEAPER_OFF: tuple[Variant, ...] = ("fewer-frames", "fewer-and-lower", "lower-resolution")
"""Variants that spend less by showing less, without looking at what is shown."""

SPENDING: tuple[Variant, ...] = (*CHEAPER_OFF, "evs")
"""Variants that spend a budget, or what a partner kept."""


class ArmSettings(Record):
    """One gaze setting: `off`, or a selector with its budget, threshold and seed."""

    gaze: Literal["on", "off"]
    variant: Variant | None = None
    selector: Identifier | None = None
    """None when gaze is off. A matched control names its partner: 'random-matched:detail'."""
    partner: Identifier | None = None
    """Of a variant that spends what a selector kept of the video, as near below as it can: that
    one's name. Weights, budget and threshold are then the partner's."""
    weights: str | None = None
    budget: Ratio | None = None
    threshold: float | None = None
    seed: int = 0
    mapping: str = "aligned"
    """How cells of several scales became native tokens: 'aligned', 'finest', 'union' or
    'mask-coarse'."""
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
        if self.partner is not None and self.variant not in SPENDING:
            raise ValueError(f"partner {self.partner!r} with variant {self.variant!r}")
        return self

    @property
    def name(self) -> str:
        """'off', 'detail@0.1', 'random-matched:detail@0.1#3': unique within a group of arms.

        Variants begin with their name: 'off-bare', 'evs@0.1', 'after-tower:detail@0.1',
        'fewer-frames:detail@0.1'.
        """
        name = ":".join(filter(None, (self.variant, self.selector or self.partner))) or "off"
        if self.budget is not None:
            name += f"@{self.budget:g}"
        if self.threshold is not None:
            name += f"+{self.threshold:g}"
        return name if self.seed == 0 else f"{name}#{self.seed}"


LOOPED_ATTENTION = "segments"
"""`generation['attention']` of runs whose tower goes through its segments one length after the
other: a speed-up of such a run would be one of the loop, so none is told."""


class FrameSettings(Record):
    """How frames are taken from a video and what canvas they are put on."""

    num_frames: Annotated[int, Field(gt=0)]
    sampling: Literal["uniform"] = "uniform"
    """round(linspace(0, num_frames - 1, N)) in presentation order; all when there are fewer."""
    canvas: str = "source"
    """'source' for the size of the video, 'native' for the nearest size that the model's own resize
    rule gives, 'own' for what the model's own code makes of the frames, which nothing here tells,
    'Np' for the size of the video with a shorter side of N pixels at most, else 'WIDTHxHEIGHT'; the
    model's own rule rounds it."""
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
    infeasible_because: Annotated[str, StringConstraints(max_length=500)] | None = None
    """A sentence: what the arm said of the first question that it could not take."""

    @model_validator(mode="after")
    def _infeasible_has_no_accuracy(self) -> Self:
        if (self.status == "infeasible") != (self.summary is None):
            raise ValueError(f"status {self.status!r} contradicts the presence of a summary")
        if self.infeasible_because is not None and self.status != "infeasible":
            raise ValueError(f"status {self.status!r} contradicts a reason to be infeasible")
        return self
