"""What a training run depends on, read from a TOML or JSON file and kept in its checkpoints.

Defaults are the paper's (arXiv 2603.12254, appendix B) where it gives a value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gaze.config import GazeConfig
from gaze.train.features import WEIGHT, FeatureLoss
from gaze.train.grpo import GrpoSettings
from gaze.train.labels import Budgets
from gaze.train.moving import DRIFTING
from gaze.train.ntp import NtpSettings
from gaze.train.pyramid import Pyramid
from gaze.train.reconstruction import Reconstruction
from gaze.train.slices import Count, SliceSettings, read_config
from gaze.train.videomae import VideoMae
from hlvid.errors import UserError
from hlvid.types import Record

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

    later: ClassVar[frozenset[str]] = frozenset({"painted", "carried", "drifting"})

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
    painted: Weight = 0.0
    """Share of clips that pan over pictures of nothing, drawn without end."""
    carried: Weight = 0.0
    """Share of clips that pan over photographs that an installed package carries; see
    `gaze.train.carried`."""
    drifting: Annotated[float, Field(ge=0, le=1)] = DRIFTING
    """Share of the training clips over photographs and over painted pictures whose exposure drifts;
    held-out clips keep the default."""
    films: Weight = 0.05
    """Share cut from films that an installed package carries; 0 where none does."""
    num_scenes: Count = 24


class FeatureSettings(Record):
    """A vision model whose features are compared too."""

    name: Annotated[str, Field(pattern="^[a-z0-9]+$")]
    """Part of the name of the loss."""
    model: str
    """Folder or hub id: DINOv2, SigLIP2 and others that Hugging Face's `AutoModel` loads."""
    weight: Weight = WEIGHT


class ReconstructionSettings(Record):
    """What the second stage lowers; models are judged by the pyramid in either case."""

    videomae: str | None = None
    """Folder of a VideoMAE: `config.json` with its sizes as in `gaze.train.videomae`, and the
    released state's tensors as `model.safetensors`. None for the pyramid."""
    features: tuple[FeatureSettings, ...] = ()
    """Beside the pixels of VideoMAE; the paper has DINOv2 and SigLIP2."""

    @model_validator(mode="after")
    def _features_are_of_videomae(self) -> Self:
        if self.features and self.videomae is None:
            raise ValueError("features: belong to videomae, which is not named")
        return self

    def load(self, pyramid: Pyramid) -> Reconstruction:
        """Read it.

        Args:
            pyramid: What it is where nothing is named.

        Raises:
            UserError: A model cannot be read, or keeps other cells.
        """
        if self.videomae is None:
            return pyramid
        losses = [
            FeatureLoss.from_pretrained(one.name, one.model, weight=one.weight)
            for one in self.features
        ]
        found = VideoMae.from_folder(Path(self.videomae), losses)
        if found.cells_per_scale != pyramid.cells_per_scale:
            raise UserError(
                f"[reconstruction] videomae: keeps {found.cells_per_scale} cells, the model "
                f"{pyramid.cells_per_scale}. Allowed are the same."
            )
        return found


class TrainSettings(SliceSettings):
    """One stage of training.

    The paper goes 150 times through its labels and 3 times through its clips; here clips do not
    end, and steps are counted. The optimiser is Adam in both stages, as in the released first one;
    the paper names none for the second. It tells no final learning rate either, the default is the
    released code's; and no largest norm of a gradient.
    """

    later: ClassVar[frozenset[str]] = frozenset({"reconstruction"})

    stage: Literal["ntp", "grpo"]
    batch_size: Count = 256
    """Clips of a forward, on each process. The paper's step has 256 clips in both stages; the
    released commands have 1024 in the first and 64 in the second."""
    start: str | None = None
    """Checkpoint folder to begin with, such as the first stage's best."""
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    budgets: Budgets = Budgets()
    ntp: NtpSettings = NtpSettings()
    grpo: GrpoSettings = GrpoSettings()
    reconstruction: ReconstructionSettings = ReconstructionSettings()
    validation_clips: Count = 32

    @model_validator(mode="after")
    def _labels_are_of_the_pyramid(self) -> Self:
        if self.stage == "ntp" and self.reconstruction.videomae is not None:
            raise ValueError("reconstruction: belongs to grpo; labels are the pyramid's")
        return self


def read_settings(path: Path) -> TrainSettings:
    """Read a configuration; `mini-ntp` and the like name those that ship.

    Raises:
        UserError: There is no such file, or it is not one of ours.
    """
    return read_config(path, TrainSettings, shipped=Path(__file__).parent / "configs")
