"""The model that a stage begins with: seeded, or another stage's best."""

from __future__ import annotations

import torch
from torch import nn

from gaze.encoder import Encoder
from gaze.model import AutoGaze
from gaze.train.settings import TrainSettings
from gaze.weights import upstream_shapes
from hlvid.errors import UserError

_SPREAD = 0.02
"""Standard deviation of fresh weights, as usual for such decoders."""
_EMBEDDING_SPREAD = 0.2
"""Of fresh embeddings of cells and places: as large as the vision tokens that they stand beside."""


def begin(settings: TrainSettings, *, loss_kind: str) -> AutoGaze:
    """The model to train, at natural positions, in float32.

    Args:
        settings: Of the stage.
        loss_kind: Kind of loss that it will predict.

    Raises:
        UserError: The checkpoint to start from cannot be read, or is of another size.
    """
    config = settings.model.config(loss_kind=loss_kind, clip_frames=settings.data.num_frames)
    if settings.start is None:
        return _fresh(AutoGaze(config), settings.seed)
    model = AutoGaze.from_pretrained(settings.start, dtype=torch.float32)
    if upstream_shapes(model.config) != upstream_shapes(config):
        raise UserError(
            f"start {settings.start}: is a model of other sizes. Set [model] to its own, or take "
            "another start."
        )
    fresh = AutoGaze(config)
    fresh.load_state_dict(model.state_dict())
    return fresh


def _fresh(model: AutoGaze, seed: int) -> AutoGaze:
    """Seeded weights from which training is quick."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv3d):
                fan_in = module.weight[0].numel()
                spread = fan_in**-0.5 if isinstance(module, nn.Conv3d) else _SPREAD
                module.weight.normal_(0.0, spread, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(0.0, _EMBEDDING_SPREAD, generator=generator)
            elif isinstance(module, Encoder):
                module.position.normal_(0.0, _EMBEDDING_SPREAD, generator=generator)
    return model
