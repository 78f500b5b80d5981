"""The sizes of an AutoGaze model, read from an upstream ``config.json`` and from nothing else.

Every number that decides how much memory is taken is bounded here, before anything is allocated:
a checkpoint is a stranger's file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hlvid.errors import UserError

MAX_CONFIG_BYTES = 1 << 20
"""An upstream config.json holds about 8 kB."""

Positions = Literal["released", "natural"]
"""Rotary positions of the later blocks of a frame: those of the frame's last vision tokens, as the
released code has them, or the next free ones, as training has them."""
RELEASED_LOSS = "videomae"
"""Loss that the released checkpoint predicts: pixels, DINOv2 and SigLIP2 of a video MAE (arXiv
2603.12254, appendix A)."""


@dataclass(frozen=True)
class RopeScaling:
    """The frequency scaling of Llama 3 (Llama 3.1 model card, ``rope_type: llama3``)."""

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int = 8192


@dataclass(frozen=True)
class GazeConfig:
    """What decides the shape of every tensor and the order of the vocabulary.

    The defaults are the released model's sizes (arXiv 2603.12254, appendix A).
    """

    width: int = 192
    """C: width of the encoder's trunk and of the decoder."""
    num_layers: int = 4
    num_heads: int = 6
    mlp_width: int = 384
    norm_eps: float = 1e-5
    rope_theta: float = 500_000.0
    rope_scaling: RopeScaling | None = field(default_factory=RopeScaling)
    tokens_per_forward: int = 10
    """K: tokens predicted by one forward, one head each."""
    image_size: int = 224
    patch_size: int = 16
    encoder_depth: int = 1
    kernel_frames: int = 3
    kernel_cells: int = 3
    scales: tuple[int, ...] = (32, 64, 112, 224)
    """Pixels of a frame's side at each scale, coarse to fine."""
    clip_frames: int = 16
    default_ratio: float | None = 0.75
    default_threshold: float | None = 0.7
    positions: Positions = "released"
    """What a checkpoint was made for; upstream's config.json has no such key, ours says 'natural'.
    """
    loss_kind: str = RELEASED_LOSS
    """The kind of loss that is predicted, to which any threshold belongs; ours names its own."""
    license: str | None = None
    """Terms of the weights; None where config.json names none, as upstream's does not."""

    @property
    def head_width(self) -> int:
        """D, values of one head."""
        return self.width // self.num_heads

    @property
    def cells_per_scale(self) -> tuple[int, ...]:
        """Cells of a frame at each scale, coarse to fine: the order of the vocabulary."""
        return tuple((scale // self.patch_size) ** 2 for scale in self.scales)

    @property
    def num_cells(self) -> int:
        """Ids of a frame, all scales together; the end-of-sequence id is the next number."""
        return sum(self.cells_per_scale)

    @property
    def vocab(self) -> int:
        """V: cells and the end-of-sequence id."""
        return self.num_cells + 1

    @property
    def vision_tokens(self) -> int:
        """P: vision tokens of a frame, one a cell of the finest scale."""
        return (self.image_size // self.patch_size) ** 2

    def cap(self, ratio: float) -> int:
        """Most ids of one frame at a gazing ratio: max(1, floor(ratio * cells)), in fp32.

        The released code multiplies in fp32, and a few ratios round differently in fp64.
        """
        import numpy as np

        return max(1, int(np.float32(ratio) * np.float32(self.num_cells)))


def autogaze_base() -> GazeConfig:
    """The sizes of the released checkpoint ``nvidia/AutoGaze``."""
    return GazeConfig()


class _Section:
    """One JSON object of a config file, with its path for error sentences."""

    def __init__(self, where: str, value: object) -> None:
        if not isinstance(value, Mapping):
            raise UserError(f"{where}: this is no object ({_short(value)}). {_EXPECTED}")
        self.where, self.value = where, value

    def section(self, name: str) -> _Section:
        return _Section(f"{self.where}: {name}", self._get(name))

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UserError(
                f"{self.where}: {name} is {_short(value)}. "
                f"Allowed is a whole number from {low} to {high}."
            )
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        value = self._get(name, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            raise UserError(
                f"{self.where}: {name} is {_short(value)}. "
                f"Allowed is a number from {low:g} to {high:g}."
            )
        return float(value)

    def word(self, name: str, allowed: re.Pattern[str], default: str) -> str:
        value = self.value.get(name, default)
        if not isinstance(value, str) or not allowed.fullmatch(value):
            raise UserError(
                f"{self.where}: {name} is {_short(value)}. Allowed is {allowed.pattern}."
            )
        return value

    def must_be(self, name: str, expected: object) -> None:
        if (value := self.value.get(name, expected)) != expected:
            raise UserError(
                f"{self.where}: {name} is {_short(value)}. Only {expected!r} is supported."
            )

    def _get(self, name: str, default: object = None) -> Any:  # noqa: ANN401
        value = self.value.get(name, default)
        if value is None:
            raise UserError(f"{self.where}: {name} is missing. {_EXPECTED}")
        return value


_POSITIONS = re.compile("released|natural")
_LOSS_KIND = re.compile("[a-z0-9][a-z0-9-]{0,31}")
_LICENSE = re.compile("[A-Za-z0-9][A-Za-z0-9 .+()-]{0,79}")
_EXPECTED = "Expected is the config.json of an AutoGaze checkpoint, as save_pretrained writes it."


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def read_config(path: Path) -> GazeConfig:
    """Read an upstream ``config.json``.

    Args:
        path: The file.

    Raises:
        UserError: It is missing, too large, no JSON object, or describes no AutoGaze.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UserError(f"{path}: larger than {MAX_CONFIG_BYTES} bytes. {_EXPECTED}")
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}). {_EXPECTED}") from error
    return parse_config(raw, where=path.name)


def parse_config(raw: object, *, where: str = "config.json") -> GazeConfig:
    """Check an upstream configuration and reduce it to what the model needs.

    Three keys at the top are ours: `positions`, `loss_kind` and `license`. A checkpoint without
    them is taken for a released one. Keys that are not known are left alone, as upstream does.

    Raises:
        UserError: A field is missing, of the wrong kind, out of bounds, or two disagree.
    """
    top = _Section(where, raw)
    model = top.section("gaze_model_config")
    vision = model.section("vision_model_config")
    decoder = model.section("gaze_decoder_config")
    width = decoder.integer("hidden_size", 1, 4096)
    raw_license = top.value.get("license")
    config = GazeConfig(
        width=width,
        num_layers=decoder.integer("num_hidden_layers", 1, 64),
        num_heads=decoder.integer("num_attention_heads", 1, 64),
        mlp_width=decoder.integer("intermediate_size", 1, 16384),
        norm_eps=decoder.number("rms_norm_eps", 1e-12, 1e-1),
        rope_theta=decoder.number("rope_theta", 1.0, 1e9),
        rope_scaling=_rope_scaling(decoder),
        tokens_per_forward=decoder.integer("num_multi_token_pred", 1, 64),
        image_size=model.integer("input_img_size", 16, 1024),
        patch_size=vision.integer("kernel_size", 1, 64),
        encoder_depth=vision.integer("depth", 1, 16),
        kernel_frames=vision.integer("trunk_temporal_kernel_size", 2, 9),
        kernel_cells=vision.integer("trunk_spatial_kernel_size", 1, 9),
        scales=_scales(top),
        clip_frames=top.integer("max_num_frames", 1, 1024, default=16),
        default_ratio=_default_ratio(top),
        default_threshold=_default_threshold(top),
        positions=top.word("positions", _POSITIONS, "released"),  # type: ignore[arg-type]
        loss_kind=top.word("loss_kind", _LOSS_KIND, RELEASED_LOSS),
        license=None if raw_license is None else top.word("license", _LICENSE, ""),
    )
    vision.must_be("temporal_patch_size", 1)
    vision.must_be("hidden_dim", width)
    vision.must_be("out_dim", width)
    model.section("connector_config").must_be("hidden_dim", width)
    model.section("connector_config").must_be("num_tokens", config.vision_tokens)
    decoder.must_be("num_key_value_heads", config.num_heads)
    decoder.must_be("attention_bias", False)
    decoder.must_be("mlp_bias", False)
    decoder.must_be("hidden_act", "silu")
    decoder.must_be("vocab_size", config.vocab)
    decoder.must_be("eos_token_id", config.num_cells)
    decoder.must_be("tie_word_embeddings", False)
    top.must_be("num_vision_tokens_each_frame", config.num_cells)
    decoder.must_be("head_dim", config.head_width)
    if config.kernel_cells % 2 == 0:
        raise UserError(
            f"{where}: trunk_spatial_kernel_size is {config.kernel_cells}. Allowed are odd sizes."
        )
    if width % config.num_heads or config.head_width % 2:
        raise UserError(
            f"{where}: width {width} does not split into {config.num_heads} even heads."
        )
    return config


def _rope_scaling(decoder: _Section) -> RopeScaling | None:
    if decoder.value.get("rope_scaling") is None:
        return None
    scaling = decoder.section("rope_scaling")
    scaling.must_be("rope_type", "llama3")
    return RopeScaling(
        factor=scaling.number("factor", 1.0, 1e4),
        low_freq_factor=scaling.number("low_freq_factor", 1e-3, 1e3),
        high_freq_factor=scaling.number("high_freq_factor", 1e-3, 1e4),
        original_max_position_embeddings=scaling.integer(
            "original_max_position_embeddings", 1, 1 << 24
        ),
    )


def _scales(top: _Section) -> tuple[int, ...]:
    text = str(top.value.get("scales"))
    parts = text.split("+")
    if len(text) > 60 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UserError(
            f"{top.where}: scales is {_short(text)}. Expected is a list like '32+64+112+224'."
        )
    scales = tuple(sorted(int(part) for part in parts))
    model = top.section("gaze_model_config")
    patch = model.section("vision_model_config").integer("kernel_size", 1, 64)
    image = model.integer("input_img_size", 16, 1024)
    is_fit = scales[-1] == image and scales[0] >= patch and len(set(scales)) == len(scales)
    if not is_fit or any(scale % patch for scale in scales):
        raise UserError(
            f"{top.where}: scales {text!r} do not fit an image of {image} pixels "
            f"and patches of {patch}."
        )
    return scales


def _default_ratio(top: _Section) -> float | None:
    ratio = top.value.get("gazing_ratio_config")
    if not isinstance(ratio, Mapping) or ratio.get("sample_strategy_during_inference") != "fixed":
        return None
    value = top.section("gazing_ratio_config").section("fixed").number("gazing_ratio", 0.0, 1.0)
    return value if value > 0 else None


def _default_threshold(top: _Section) -> float | None:
    if top.value.get("has_task_loss_requirement_during_inference") is not True:
        return None
    threshold = top.section("task_loss_requirement_config")
    if threshold.value.get("sample_strategy_during_inference") != "fixed":
        return None
    return threshold.section("fixed").number("task_loss_requirement", -1e9, 1e9)
