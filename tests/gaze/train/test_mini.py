"""The checkpoint that ships: it is the one that was measured, and it is worth its name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gaze.checkpoint import find_checkpoint
from gaze.model import AutoGaze
from gaze.train.arms import Held, coarse_first
from gaze.train.calibrate import ask
from gaze.train.judging import chosen_losses
from gaze.train.moving import MovingClips
from gaze.train.pyramid import Pyramid

ROOT = Path(__file__).parents[3]
MAX_BYTES = 15_000_000


@pytest.fixture(scope="module")
def held_out():
    """Clips over the reserved photographs, (24, 4, 3, 224, 224)."""
    clips = MovingClips("test", 0, 4)
    return torch.from_numpy(np.stack([clips.clip(index).pixels for index in range(24)]))


def test_it_is_here_is_small_and_names_its_terms():
    found = find_checkpoint("mini")
    assert found.weights.stat().st_size < MAX_BYTES
    assert (found.config.license, found.config.loss_kind) == ("Apache-2.0", Pyramid.kind)
    assert found.config.positions == "natural"
    assert find_checkpoint(found.pinned).sha256 == found.sha256


def test_its_card_and_measurement_are_of_these_weights():
    found = find_checkpoint("mini")
    measured = json.loads((ROOT / "docs/autogaze-mini/evaluation.json").read_text())
    assert measured["weights_sha256"] == found.sha256, "run make publish-autogaze"
    card = (found.folder / "README.md").read_text()
    assert (ROOT / "docs/autogaze-mini/evaluation.md").read_text().rstrip() in card


def test_it_loses_less_than_coarse_first_on_clips_it_never_saw(held_out):
    pyramid, model = Pyramid(), AutoGaze.from_pretrained("mini")
    held = Held(held_out, pyramid)
    for ratio in (0.05, 0.2):
        ours = chosen_losses(model, held_out, pyramid, ratio=ratio).mean(1)
        budget = model.config.cap(ratio)
        plain = held.table.losses(coarse_first(held, budget, "all")).mean(1)
        assert float((ours < plain).float().mean()) > 0.75
        assert float(ours.mean()) < float(plain.mean())


def test_its_threshold_means_what_it_says(held_out):
    model = AutoGaze.from_pretrained("mini")
    found = ask(model, held_out, Pyramid(), model.config.default_threshold)
    assert abs(found.given - found.asked) <= 0.2 * found.asked  # of few clips
    less = ask(model, held_out, Pyramid(), 1.5 * model.config.default_threshold)
    assert less.given > found.given
    assert less.ratio < found.ratio
