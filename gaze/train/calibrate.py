"""Making a threshold mean what it says: who asks for a loss gets it on clips not seen before.

A model predicts the loss of its next picture, and stops a frame when the prediction falls to the
threshold. Predictions are off, and a frame ends only after a whole block of cells. Scaling the loss
head by one number takes up both at the loss that is asked for; what other losses give is reported.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gaze.model import AutoGaze
from gaze.train.judging import choose
from gaze.train.pyramid import Pyramid
from hlvid.errors import UserError
from hlvid.types import Record

CAP_RATIO = 0.75
"""Most cells of a frame, as in the released checkpoint."""
_NUM_HALVINGS = 12


class Asked(Record):
    """What came of asking for a loss."""

    asked: float
    given: float
    ratio: float
    """Share of all cells that it took."""
    decided: float
    """Share of frames that the threshold ended. The others were below it with their first cell, or
    took as many as a frame may: what these lose is not the threshold's doing."""
    given_where_decided: float | None
    """Mean loss of these; None where there are none."""


class Calibration(Record):
    """How a checkpoint's threshold was set, kept beside it."""

    loss_kind: str
    threshold: float
    """The default: a loss, which is asked for as it is."""
    scale: float
    """What the loss head was multiplied by."""
    asked: tuple[Asked, ...]
    """On the clips it was set on, the default first."""


def check_kind(model: AutoGaze, pyramid: Pyramid) -> None:
    """Refuse thresholds of a model that predicts another kind of loss than the pyramid's.

    Raises:
        UserError: It does.
    """
    if (kind := model.config.loss_kind) != pyramid.kind:
        raise UserError(
            f"threshold: the checkpoint predicts the loss {kind}. Allowed is {pyramid.kind}; at a "
            "given kept ratio any checkpoint can be compared."
        )


def ask(model: AutoGaze, pixels: Tensor, pyramid: Pyramid, threshold: float) -> Asked:
    """What asking a model for a loss gives on some clips.

    Raises:
        UserError: The model predicts another kind of loss.
    """
    check_kind(model, pyramid)
    found = choose(model, pixels, ratio=CAP_RATIO, threshold=threshold)
    table = pyramid.table(pixels)
    losses = table.losses(found.mask(table.num_cells))
    is_decided = (found.count > 1) & (found.count < model.config.cap(CAP_RATIO))
    return Asked(
        asked=threshold,
        given=float(losses.mean()),
        ratio=float(found.count.float().mean()) / table.num_cells,
        decided=float(is_decided.float().mean()),
        given_where_decided=float(losses[is_decided].mean()) if is_decided.any() else None,
    )


def calibrate(
    model: AutoGaze,
    pixels: Tensor,
    pyramid: Pyramid,
    *,
    target: float,
    others: Sequence[float] = (),
) -> Calibration:
    """Scale the loss head so that asking for the target gives it.

    Args:
        model: Changed in place.
        pixels: Validation clips.
        pyramid: The reconstruction.
        target: The loss that is to become the default threshold.
        others: Other losses to ask for afterwards.

    Raises:
        UserError: The model predicts another kind of loss, or no threshold gives the target: it
            never gets so low, or starts below it.
    """
    low, high = 1e-3 * target, 8.0 * target
    if not ask(model, pixels, pyramid, low).given <= target:
        raise UserError(f"calibrate: the model does not reach a loss of {target:g}. Ask for more.")
    if not ask(model, pixels, pyramid, high).given >= target:
        raise UserError(f"calibrate: one block a frame loses less than {target:g}. Ask for less.")
    for _ in range(_NUM_HALVINGS):
        middle = (low * high) ** 0.5
        if ask(model, pixels, pyramid, middle).given > target:
            high = middle
        else:
            low = middle
    scale = target / (low * high) ** 0.5
    with torch.no_grad():
        model.decoder.loss_head.weight.mul_(scale)
    return Calibration(
        loss_kind=pyramid.kind,
        threshold=target,
        scale=scale,
        asked=tuple(ask(model, pixels, pyramid, one) for one in (target, *others)),
    )
