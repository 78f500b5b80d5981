"""What a training run depends on, read from a TOML or JSON file and kept in its checkpoints.

Defaults are the paper's (arXiv 2603.12254, appendix B) where it gives a value.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gaze.config import GazeConfig
from gaze.train.grpo import GrpoSettings
from gaze.train.labels import Budgets
from gaze.train.ntp import NtpSettings
from gaze.train.pyramid import Pyramid
from hlvid.errors import UserError
from hlvid.files import MAX_JSON_BYTES, digest, parse_record, read_bytes
from hlvid.types import Record

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]


class ModelSettings(Record):
    """Sizes of the model; the released ones by default."""

    width: Count = 192
    num_layers: Count = 4
    num_heads: Count = 6
    mlp_width: Count = 384
    encoder_depth: Count = 1
    sides: tuple[int, ...] = (2, 4, 7, 14)
    """Cells along a side at each scale."""
    patch_size: Count = 16

    def config(self, *, loss_kind: str, clip_frames: int) -> GazeConfig:
        """The configuration of such a model.

        Args:
            loss_kind: What it is trained to predict.
            clip_frames: Frames of the clips that it is trained on: longer videos are cut to them.
        """
        scales = tuple(side * self.patch_size for side in self.sides)
        return GazeConfig(
            width=self.width,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            mlp_width=self.mlp_width,
            encoder_depth=self.encoder_depth,
            image_size=scales[-1],
            patch_size=self.patch_size,
            scales=scales,
            clip_frames=clip_frames,
            positions="natural",
            loss_kind=loss_kind,
        )

    def pyramid(self) -> Pyramid:
        """The reconstruction over the same cells."""
        return Pyramid(self.sides, patch_size=self.patch_size)


class DataSettings(Record):
    """Where clips come from: folders of videos, or photographs, scenes and films that ship."""

    num_frames: Count = 16
    folder: str | None = None
    """Videos of one's own instead of all that follows; one in eight is held out for validation, of
    one that is alone the last eighth."""
    labels: str | None = None
    """A gazing_labels.json for them, for the first stage; without it labels are found on the way.
    """
    moving: Weight = 0.7
    """Share of clips that pan over photographs."""
    scenes: Weight = 0.25
    """Share cut from rendered scenes."""
    films: Weight = 0.05
    """Share cut from films that an installed package carries; 0 where none does."""
    num_scenes: Count = 24


class TrainSettings(Record):
    """One stage of training.

    The paper goes 150 times through its labels and 3 times through its clips; here clips do not
    end, and steps are counted. The optimiser is Adam in both stages, as in the released first one;
    the paper names none for the second.
    """

    stage: Literal["ntp", "grpo"]
    steps: Count
    seed: Annotated[int, Field(ge=0)] = 0
    batch_size: Count = 256
    """Clips of a forward, on each process. The paper's step has 256 clips in both stages; the
    released commands have 1024 in the first and 64 in the second."""
    accumulate: Count = 1
    """Forwards of a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    final_learning_rate: Annotated[float, Field(ge=0)] = 1e-5
    """Reached linearly; the paper does not tell it, the released code has this."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of a gradient; the paper tells none."""
    precision: Literal["fp32", "bf16"] = "fp32"
    start: str | None = None
    """Checkpoint folder to begin with, such as the first stage's best."""
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    budgets: Budgets = Budgets()
    ntp: NtpSettings = NtpSettings()
    grpo: GrpoSettings = GrpoSettings()
    log_every: Count = 10
    save_every: Count = 100
    """Steps; a slice ends after one of these."""
    validate_every: Count = 500
    validation_clips: Count = 32

    def learning_rate_at(self, step: int) -> float:
        """Linear from nothing over the warm-up, then linear down to the last step's."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate + done * (self.final_learning_rate - self.learning_rate)

    @property
    def sha256(self) -> str:
        """Of all that the curve depends on."""
        return digest(self.model_dump(mode="json", exclude={"log_every"}))


def read_settings(path: Path) -> TrainSettings:
    """Read a configuration; `mini-ntp` and the like name those that ship.

    Raises:
        UserError: There is no such file, or it is not one of ours.
    """
    shipped = Path(__file__).parent / "configs"
    if not path.exists() and path.parent == Path() and (shipped / f"{path}.toml").is_file():
        path = shipped / f"{path}.toml"
    elif not path.exists():
        names = ", ".join(sorted(file.stem for file in shipped.glob("*.toml")))
        raise UserError(f"--config {path}: there is no such file. Shipped are {names}.")
    data = read_bytes(path, max_bytes=MAX_JSON_BYTES)
    if path.suffix == ".toml":
        try:
            data = json.dumps(tomllib.loads(data.decode())).encode()
        except (ValueError, TypeError) as error:
            raise UserError(f"{path.name}: is not TOML ({error}).") from None
    return parse_record(data, TrainSettings, where=path.name)
