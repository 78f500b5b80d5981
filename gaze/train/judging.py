"""What a model's own choices lose."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gaze.model import AutoGaze
from gaze.preprocess import normalize
from gaze.train.pyramid import Pyramid
from gaze.train.rollout import roll_out
from gaze.train.sequences import Sequences

_CLIPS_AT_ONCE = 8


@torch.no_grad()
def choose(
    model: AutoGaze, pixels: Tensor, *, ratio: float, threshold: float | None = None
) -> Sequences:
    """What a model gazes at, at the positions that it was made for.

    The same as `AutoGaze.select` on a CPU; on a GPU too it uses the weights as they are now. More
    frames than the model's clips have are taken clip by clip.

    Args:
        model: Being trained, or trained.
        pixels: (B, T, 3, S, S) of any size, values 0 to 255.
        ratio: Most cells of a frame, as a share.
        threshold: Predicted loss at which a frame ends.
    """
    found = []
    size = model.config.clip_frames
    for part in pixels.split(_CLIPS_AT_ONCE):
        frames = [_choose_clip(model, clip, ratio, threshold) for clip in part.split(size, dim=1)]
        longest = max(ids.shape[-1] for ids in frames)
        found.append(torch.cat([_padded(ids, longest) for ids in frames], 1))
    longest = max(ids.shape[-1] for ids in found)
    return Sequences(torch.cat([_padded(ids, longest) for ids in found]))


def _choose_clip(model: AutoGaze, clip: Tensor, ratio: float, threshold: float | None) -> Tensor:
    """Ids (B, T, M) of clips of at most the model's length."""
    features, _ = model.encoder(normalize(clip))
    caps = torch.full(clip.shape[:2], model.config.cap(ratio), device=clip.device)
    limit = None if threshold is None else features.new_full((len(clip),), threshold)
    positions = model.positions
    return roll_out(model.decoder, features, caps, threshold=limit, positions=positions).ids


def _padded(ids: Tensor, longest: int) -> Tensor:
    return F.pad(ids, (0, longest - ids.shape[-1]), value=-1)


def chosen_losses(model: AutoGaze, pixels: Tensor, pyramid: Pyramid, *, ratio: float) -> Tensor:
    """(B, T) the loss of each frame when the model's choices at a kept ratio are kept."""
    found = choose(model, pixels, ratio=ratio)
    table = pyramid.table(pixels)
    return table.losses(found.mask(table.num_cells))
