"""What a training run of the shipped MLLM depends on, read from a TOML or JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gaze.train.slices import Count, SliceSettings, read_config
from hlvid.types import Record

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Task = Literal["dense", "read", "several", "options", "exam"]
"""What a batch asks: which characters each token shows; what is written; what is written under one
of several words; which of four options is; a question of the renderer's."""
MOST_TOKENS = 2000
"""Of a slice: side by side they are compressed as one JPEG, no wider than 65,535 pixels."""
TASKS: tuple[Task, ...] = ("dense", "read", "several", "options", "exam")


class ModelSettings(Record):
    """Sizes of the model; patch, merge and frames of a token are the family's."""

    vision_width: Count = 128
    vision_layers: Count = 6
    vision_heads: Count = 4
    vision_mlp: Count = 384
    deepstack: tuple[int, ...] = (1, 3)
    """Layers of the tower whose features reach the first layers of the language model."""
    width: Count = 192
    layers: Count = 6
    heads: Count = 6
    kv_heads: Count = 3
    mlp: Count = 512
    positions: Count = 256
    """Learned places of the tower, a square."""
    context: Count = 32_768
    """Tokens of the longest prompt."""

    def config(self) -> dict[str, Any]:
        """Transformers' config, without the ids of the tokenizer."""
        head = self.width // self.heads
        third = head // 6
        return {
            "model_type": "qwen3_vl",
            "tie_word_embeddings": True,
            "text_config": {
                "hidden_size": self.width,
                "intermediate_size": self.mlp,
                "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads,
                "num_key_value_heads": self.kv_heads,
                "head_dim": head,
                "vocab_size": 264,
                "max_position_embeddings": self.context,
                "rms_norm_eps": 1e-6,
                "hidden_act": "silu",
                "tie_word_embeddings": True,
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 10_000.0,
                    "mrope_section": [head // 2 - 2 * third, third, third],
                    "mrope_interleaved": True,
                },
            },
            "vision_config": {
                "depth": self.vision_layers,
                "hidden_size": self.vision_width,
                "intermediate_size": self.vision_mlp,
                "num_heads": self.vision_heads,
                "out_hidden_size": self.width,
                "patch_size": 16,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
                "num_position_embeddings": self.positions,
                "deepstack_visual_indexes": list(self.deepstack),
                "hidden_act": "gelu_pytorch_tanh",
            },
        }


class Stage(Record):
    """Some steps of the curriculum.

    Args:
        name: Of it, in the log.
        steps: How many.
        tasks: What its batches ask, and how often each.
        looks: Pictures or videos of a batch.
        asks: Questions about each of them.
        tokens: Most tokens of a slice that are shown of signs and scenes.
        slices: Most slices of a video; every other look has so many.
        whole: Share of looks of which everything is shown; of the others a random part is.
        keeps: Least share of the tokens with text that such a part holds.
        distracts: Most distracting tokens of a sign for each that is about the question.
        others: Most cells of a slice that show nothing but a photograph, beside the signs; half of
            the looks have some. Without them the tower takes a crowd for letters.
        crowds: Share of looks that show whole other signs too.
        moves: Share of looks whose slices hold two different frames.
        plain: Share of looks at signs that are dark on light, straight and clean.
        thorough: Share of scenes that are shown as the oracle shows them: the evidence of every
            question, and little else. Of the others, more or less of everything is shown.
        blind: Share of looks that are asked about without being shown.
        warmup: Steps over which the learning rate rises anew.
        freezes: Whether the tower stays as it is: long looks then cost a third.
    """

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$")]
    steps: Count
    tasks: dict[Task, Weight]
    looks: Count = 8
    asks: Count = 1
    tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] = 96
    slices: Count = 1
    whole: Share = 0.5
    keeps: Share = 0.9
    distracts: Weight = 0.0
    others: Annotated[int, Field(ge=0, le=MOST_TOKENS)] = 0
    crowds: Share = 0.0
    moves: Share = 0.1
    plain: Share = 0.0
    thorough: Share = 0.0
    blind: Share = 0.0
    warmup: Annotated[int, Field(ge=0)] = 0
    freezes: bool = False

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if sum(self.tasks.values()) <= 0:
            raise ValueError(f"stage {self.name}: has no task")
        return self


class MiniSettings(SliceSettings):
    """The curriculum, stage after stage; `steps` is their sum."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    model: ModelSettings = ModelSettings()
    weight_decay: Weight = 0.01
    dense_weight: Weight = 1.0
    """Of the dense loss beside that of answers."""
    match_weight: Weight = 1.0
    """Of the loss that says of each option whether it is what is shown."""
    validation_looks: Count = 64
    """Of each task."""
    hold: Share = 0.0
    """Share of the steps at the full learning rate; then it falls linearly."""
    start: str | None = None
    """Folder of a run whose weights are where this one begins; its optimiser is not taken over."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.steps != (total := sum(stage.steps for stage in self.stages)):
            raise ValueError(f"steps {self.steps}: the stages have {total} in all")
        return self

    def stage_at(self, step: int) -> Stage:
        """The stage of a step; the last one after the end."""
        return self._place(step)[0]

    def learning_rate_at(self, step: int) -> float:
        """Held, then linear down to the last step's; from nothing in the warm-up of a stage."""
        stage, done = self._place(step)
        warmup = stage.warmup or (self.warmup_steps if stage is self.stages[0] else 0)
        rise = min(1.0, (done + 1) / warmup) if warmup else 1.0
        held = self.hold * self.steps
        fall = max(0.0, step - held) / max(1.0, self.steps - held)
        return rise * (self.learning_rate + fall * (self.final_learning_rate - self.learning_rate))

    def _place(self, step: int) -> tuple[Stage, int]:
        """The stage of a step, and how many of its steps are done."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        return self.stages[-1], self.stages[-1].steps


def read_settings(path: Path) -> MiniSettings:
    """Read a configuration; `mini` names the one that ships.

    Raises:
        UserError: There is no such file, or it is not one of ours.
    """
    return read_config(path, MiniSettings, shipped=Path(__file__).parent / "configs")
