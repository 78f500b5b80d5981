import dataclasses
import json
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from gaze.config import GazeConfig
from gaze.model import AutoGaze
from gaze.train import measure
from gaze.train.arms import CONTROLS, Held, oracle
from gaze.train.calibrate import ask, calibrate
from gaze.train.evaluate import (
    ORACLE,
    HeldOut,
    better_scales,
    compare,
    control_losses,
    model_losses,
    needed_ratio,
)
from gaze.train.pyramid import Pyramid
from gaze.train.report import picture, table
from gaze.train.state import write_model
from hlvid.errors import UserError
from hlvid.synthetic import photographs

PYRAMID = Pyramid((1, 2, 4), patch_size=8)
CONFIG = GazeConfig(
    width=16, num_layers=1, num_heads=2, mlp_width=16, image_size=32, patch_size=8,
    scales=(8, 16, 32), clip_frames=2, positions="natural", loss_kind="pyramid-l1",
)  # fmt: skip
RATIOS = (0.1, 0.3)


@pytest.fixture(scope="module")
def model():
    return AutoGaze.from_seed(CONFIG, 0)


def held_out(pixels, clips, sources):
    names = tuple(f"film {number % sources}" for number in range(clips))
    return HeldOut(pixels(clips, 4, 32, seed=clips), names)


@pytest.mark.parametrize("scales", ["all", "finest"])
@pytest.mark.parametrize("name", CONTROLS)
def test_controls_spend_the_budget_in_every_frame(pixels, name, scales):
    held = Held(pixels(2, 3, 32), PYRAMID)
    for budget in (1, 6, 16):
        kept = CONTROLS[name](held, budget, scales)
        assert kept.sum(-1).eq(budget).all()
        if scales == "finest":
            assert not kept[..., :5].any()


def test_coarse_first_keeps_coarse_cells_and_spreads_the_rest(pixels):
    held = Held(pixels(1, 2, 32), PYRAMID)
    kept = CONTROLS["coarse-first"](held, 7, "all")
    assert kept[..., :5].all()
    assert not torch.equal(kept[0, 0], kept[0, 1])


def test_change_keeps_what_has_changed_since_it_was_kept():
    video = torch.full((1, 3, 3, 32, 32), 128, dtype=torch.uint8)
    video[0, 0, :, :8, :8] = 250  # the first cell of the finest scale
    video[0, 1:, :, 24:, 24:] = 10  # the last one, from then on
    video[0, 1:, :, :8, :8] = 250
    kept = CONTROLS["change"](Held(video, PYRAMID), 1, "finest")
    cells = kept.float().argmax(-1)[0].tolist()
    assert cells[:2] == [5, 20]
    assert cells[2] not in (20,)  # nothing is left to see there


def test_detail_keeps_what_has_most_edges():
    video = torch.full((1, 1, 3, 32, 32), 128, dtype=torch.uint8)
    video[..., 8:16:2, 16:24] = 255
    kept = CONTROLS["detail"](Held(video, PYRAMID), 1, "finest")
    assert kept.float().argmax(-1).item() == 5 + 1 * 4 + 2


def test_nothing_beats_the_oracle_in_the_first_frame(pixels):
    held = Held(pixels(4, 1, 32), PYRAMID)
    best = held.table.losses(oracle(held, 5, "all"))
    for arm in CONTROLS.values():
        for scales in ("all", "finest"):
            assert (held.table.losses(arm(held, 5, scales)) > best - 0.03).all()


def test_an_evaluation_pairs_arms_clip_by_clip(model, pixels):
    held, checked = held_out(pixels, 16, 8), held_out(pixels, 6, 3)

    def nothing(_):
        pass

    scales = better_scales(control_losses(checked, PYRAMID, ratios=RATIOS, tell=nothing))
    controls = control_losses(held, PYRAMID, ratios=RATIOS, tell=nothing)
    ours = model_losses(model, held, PYRAMID, ratios=RATIOS, tell=nothing)
    found = compare(
        "synthetic", held, ours, controls, scales, loss_kind="pyramid-l1", clusters="the film."
    )
    assert (found.num_clips, found.num_sources, found.num_frames) == (16, 8, 4)
    row = found.row("random", 0.3)
    column = controls["random", scales["random", 0.3], 0.3]
    assert row.loss.mean == pytest.approx(column.mean())
    assert row.excess.mean == pytest.approx((column - ours[0.3]).mean())
    assert row.excess.low < row.excess.mean < row.excess.high
    assert found.row(ORACLE, 0.3).loss.mean < row.loss.mean
    seven = held_out(pixels, 16, 7)
    few = compare(
        "real", seven, ours, controls, scales, loss_kind="pyramid-l1", clusters="the film."
    )
    assert few.row("random", 0.3).excess.low is None
    text = table(found)
    assert "| `greedy oracle` |" in text and "16 clips of 4 frames from 8 sources" in text
    assert "Clusters of the intervals: the film." in text
    assert "no intervals" in table(few) and "no intervals" not in text
    drawn = ElementTree.fromstring(picture(found))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 7


def test_the_better_scales_are_those_that_lose_less():
    columns = {("a", "all", 0.1): [3.0, 1.0], ("a", "finest", 0.1): [1.0, 2.0]}
    columns |= {("a", "all", 0.2): [1.0, 1.0], ("a", "finest", 0.2): [1.0, 2.0]}
    found = better_scales({key: np.array(column) for key, column in columns.items()})
    assert found == {("a", 0.1): "finest", ("a", 0.2): "all"}


def test_the_ratio_that_a_loss_needs_lies_where_the_curve_crosses():
    ratios = (0.1, 0.2, 0.4)
    spread = np.array([0.9, 1.0, 1.1, 1.0] * 2)
    curves = {ratio: spread * (1 - np.log2(ratio / 0.1) / 4) for ratio in ratios}
    at = needed_ratio(curves, list("abcdefgh"), 0.875)
    found = at.estimate()
    assert found.mean == pytest.approx(0.1 * 2**0.5)
    assert found.low < found.mean < found.high
    assert needed_ratio(curves, list("abcdefgh"), 0.3) is None
    of_seven = needed_ratio(curves, list("abcdefga"), 0.875).estimate()
    assert (of_seven.mean, of_seven.low, of_seven.high) == (found.mean, None, None)


def test_two_ratios_are_compared_on_the_same_resamples():
    """One model needs half the other's cells on every clip: certain, unlike either share."""
    spread = np.random.default_rng(0).uniform(0.8, 1.2, 16)
    curve = {ratio: spread * ratio**-0.3 for ratio in (0.05, 0.1, 0.2, 0.4, 0.8)}
    half = {ratio: curve[min(2 * ratio, 0.8)] for ratio in curve}
    sources = [f"{n}" for n in range(16)]
    first, other = (needed_ratio(one, sources, 1.75) for one in (half, curve))
    assert other.estimate().high - other.estimate().low > 0.02
    times = other.estimate(first)
    assert (times.mean, times.low, times.high) == pytest.approx((2, 2, 2))


def test_moving_clips_and_scenes_are_reported_apart_beside_all_together(model, pixels):
    """Photographs are four: their clips have no interval of their own, and all have the scenes'."""
    clips = pixels(32, 2, 32, seed=5)
    sources = [
        f"{'scene' if n % 2 else 'photograph'} {n // 2 % (12 if n % 2 else 4)}" for n in range(32)
    ]
    held = HeldOut(clips, tuple(sources))
    scales = dict.fromkeys([(arm, r) for arm in (*CONTROLS, ORACLE) for r in measure.RATIOS], "all")
    every = measure.evaluations_of("synthetic", held, model, PYRAMID, scales, lambda _: None)
    assert [(one.name, one.num_clips, one.num_sources) for one in every] == [
        ("synthetic", 32, 16), ("moving", 16, 4), ("scenes", 16, 12),
    ]  # fmt: skip
    together, moving, scenes = (one.row("random", 0.2) for one in every)
    assert together.loss.mean == pytest.approx((moving.loss.mean + scenes.loss.mean) / 2)
    assert moving.loss.low is moving.excess.low is None
    assert scenes.excess.low < scenes.excess.mean < scenes.excess.high
    texts = [table(one) for one in every]
    assert "[" not in texts[1] and "no intervals" in texts[1]
    number = sum(photo.is_reserved for photo in photographs.catalogue())
    assert f"one of {number}." in texts[1]
    assert all(f"from the same {number} photographs" in text for text in (texts[0], texts[2]))

    needed = {one.clips: one for one in measure._needed({"autogaze": model}, held, PYRAMID)}
    assert list(needed) == ["synthetic", "moving", "scenes"]
    assert needed["moving"].ratio is not None and needed["moving"].ratio.low is None
    share = needed["scenes"].ratio
    assert share.low <= share.mean <= share.high
    assert needed["scenes"].times is None  # it is the first


def test_a_calibrated_threshold_gives_the_loss_that_is_asked_for(pixels, tmp_path):
    model = AutoGaze.from_seed(CONFIG, 0)
    with torch.no_grad():
        model.decoder.loss_head.weight.abs_().mul_(0.2)
    video = pixels(24, 2, 32)
    nothing = PYRAMID.table(video).losses(torch.zeros(24, 2, 21, dtype=torch.bool)).mean()
    found = calibrate(model, video, PYRAMID, target=round(0.55 * float(nothing), 2))
    assert found.asked[0].given == pytest.approx(found.threshold, rel=0.1)
    assert 0 < found.asked[0].decided <= 1
    one_cell, all_cells = (ask(model, video, PYRAMID, threshold) for threshold in (1e9, -1e9))
    assert one_cell.ratio == pytest.approx(1 / 21) and all_cells.ratio > 0.7
    for ended in (one_cell, all_cells):  # by the first cell and by the cap
        assert (ended.decided, ended.given_where_decided) == (0.0, None)
    write_model(tmp_path, model, threshold=found.threshold, ratio=0.75)
    read = AutoGaze.from_pretrained(tmp_path)
    assert read.config.default_threshold == found.threshold
    assert (read.config.default_ratio, read.config.clip_frames) == (0.75, 2)
    assert (read.config.loss_kind, read.positions) == ("pyramid-l1", "natural")
    assert "license" not in json.loads((tmp_path / "config.json").read_text()), "it named none"


def test_a_threshold_of_another_kind_of_loss_is_refused(pixels, tmp_path):
    config = dataclasses.replace(
        CONFIG, loss_kind="videomae", positions="released", default_threshold=0.7
    )
    model, video = AutoGaze.from_seed(config, 0), pixels(2, 2, 32)
    for refused in (
        lambda: ask(model, video, PYRAMID, 0.7),
        lambda: calibrate(model, video, PYRAMID, target=0.7),
    ):
        with pytest.raises(UserError, match="predicts the loss videomae"):
            refused()
    held = held_out(pixels, 4, 2)
    assert measure._asked(model, held, PYRAMID) == ()
    found = model_losses(model, held, PYRAMID, ratios=RATIOS, tell=lambda _: None)
    assert all(np.isfinite(column).all() for column in found.values())


def test_nothing_is_published_of_a_checkpoint_that_predicts_another_loss(tmp_path):
    config = GazeConfig(width=16, num_layers=1, num_heads=2, mlp_width=16)
    assert (config.loss_kind, config.positions) == ("videomae", "released")
    write_model(tmp_path / "made", AutoGaze.from_seed(config, 0))
    with pytest.raises(UserError, match="predicts the loss videomae"):
        measure.publish(tmp_path / "made", tmp_path / "out", ratio=0.1, num_clips=2)
    assert not (tmp_path / "out").exists()
