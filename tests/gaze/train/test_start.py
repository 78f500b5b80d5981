import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError

from gaze.checkpoint import find_checkpoint
from gaze.preprocess import normalize
from gaze.train.batches import Batch
from gaze.train.labels import Labels, along, greedy
from gaze.train.loop import PIXEL_SHARE, train
from gaze.train.ntp import NextToken, NtpSettings
from gaze.train.rollout import roll_out
from gaze.train.settings import ModelSettings, TrainSettings
from gaze.train.start import begin
from gaze.train.state import write_model
from hlvid.errors import UserError
from hlvid.files import parse_record

RELEASED = ModelSettings()
SMALL = ModelSettings(
    width=32, num_layers=2, num_heads=2, mlp_width=32, sides=(1, 2, 4), patch_size=8
)


def settings_of(model, **changes):
    text = {"stage": "ntp", "steps": 1, "batch_size": 2, "learning_rate": 1e-3, **changes}
    text["model"] = json.loads(model.model_dump_json())
    text.setdefault("data", {"num_frames": 2, "scenes": 0, "films": 0})
    return parse_record(json.dumps(text).encode(), TrainSettings, where="test")


def fresh(model):
    return begin(settings_of(model), loss_kind="pyramid-l1")


@pytest.mark.parametrize("sizes", [RELEASED, ModelSettings(num_layers=3, num_heads=3)])
def test_what_the_last_layer_attends_to_is_named(sizes):
    model = fresh(sizes)
    decoder, config = model.decoder, model.config
    last = decoder.layers[-1]
    with torch.no_grad():
        rows = model.encoder.position
        none = torch.zeros(())
        _, _, value = last.project(rows, none + 1, none)  # turned by nothing
        copied = value.flatten(-2) @ last.out.weight.T  # as if one place had all attention
        logits, _ = decoder.heads(copied)
    finest = config.num_cells - config.cells_per_scale[-1]
    assert config.cells_per_scale[-1] == config.vision_tokens
    named = logits[:, :, finest : config.num_cells].argmax(-1)  # (P, K)
    assert (named == torch.arange(config.vision_tokens)[:, None]).float().mean() > 0.98


def test_the_encoder_tells_detail_from_its_absence():
    """A readout of features finds patches with fine stripes, however dark or bright they are."""
    model = fresh(RELEASED)
    generator = torch.Generator().manual_seed(0)
    is_striped = torch.rand(8, 1, 14, 14, generator=generator) < 0.5
    stripes = 12.0 * torch.cos(torch.arange(224) * torch.pi / 2)  # a period of four pixels
    mask = is_striped.repeat_interleave(16, 2).repeat_interleave(16, 3)
    level = 60 + 130 * torch.rand(8, 1, 14, 14, generator=generator)
    level = level.repeat_interleave(16, 2).repeat_interleave(16, 3)
    video = (level + mask * stripes).unsqueeze(2).expand(-1, -1, 3, -1, -1).round().byte()
    with torch.no_grad():
        features = (model.encoder(normalize(video))[0] - model.encoder.position).flatten(0, 2)
    features = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    wanted = is_striped.flatten().double() * 2 - 1
    half = len(wanted) // 2
    gram = features[:half].T @ features[:half] + 1e-3 * torch.eye(features.shape[1])
    readout = torch.linalg.solve(gram, features[:half].T @ wanted[:half])
    found = (features[half:] @ readout).sign()
    assert (found == wanted[half:]).double().mean() > 0.95


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_small_models_begin_too(heads):
    sizes = SMALL.model_copy(update={"num_heads": heads})
    assert all(torch.isfinite(p).all() for p in fresh(sizes).parameters())


def test_a_start_keeps_its_terms_and_is_refused_where_its_heads_are_others(tmp_path):
    model = fresh(SMALL)
    assert model.config.license == "Apache-2.0"
    model.config = replace(model.config, license="CC-BY-NC-4.0")
    write_model(tmp_path, model, threshold=None, ratio=None)
    assert find_checkpoint(tmp_path).terms == "CC-BY-NC-4.0"
    again = begin(settings_of(SMALL, start=str(tmp_path)), loss_kind="pyramid-l1")
    write_model(tmp_path / "b", again, threshold=None, ratio=None)
    assert find_checkpoint(tmp_path / "b").terms == "CC-BY-NC-4.0"
    wider = SMALL.model_copy(update={"num_heads": 4})
    with pytest.raises(UserError, match=r"has num_heads 2, and the model of \[model\] 4"):
        begin(settings_of(wider, start=str(tmp_path)), loss_kind="pyramid-l1")


def test_layers_of_many_inputs_move_less(tmp_path):
    """The first step of Adam moves every weight by its learning rate."""
    settings = settings_of(SMALL, validation_clips=2)
    before = dict(begin(settings, loss_kind="pyramid-l1").named_parameters())
    train(settings, tmp_path)
    from safetensors.torch import load_file

    after = load_file(tmp_path / "last.safetensors")
    moved = {
        name: float((after[f"model.{name}"] - value.detach()).abs().max())
        for name, value in before.items()
    }
    shares = {
        "decoder.embed.weight": 1.0,
        "encoder.blocks.0.conv.weight": 32 / (32 * 27),
        "encoder.patch.weight": PIXEL_SHARE * 32 / (3 * 64),
    }
    for name, share in shares.items():
        assert moved[name] == pytest.approx(1e-3 * share, rel=0.05), name


def labelled(model, pixels):
    table = model.pyramid().table(pixels)
    labels = greedy(table, torch.tensor([[6, 4], [3, 8]]), keeps_gains=True)
    return Batch(0, pixels, ("a", "b"), labels)


def test_sharp_targets_are_the_greedy_cells(pixels):
    sizes = SMALL
    model, batch = fresh(sizes), labelled(sizes, pixels(2, 2, 32))
    losses = [
        float(NextToken(model, NtpSettings(sharpness=s))(batch)["cross_entropy"])
        for s in (1.0, 4.0, 3000.0)
    ]
    plain = float(NextToken(model, NtpSettings())(batch)["cross_entropy"])
    assert losses[-1] == pytest.approx(plain, abs=0.02)
    assert all(abs(a - plain) > abs(b - plain) for a, b in pairwise(losses))


def test_where_no_cell_gains_the_greedy_one_is_the_target(pixels):
    sizes = SMALL
    model, batch = fresh(sizes), labelled(sizes, pixels(2, 2, 32))
    labels = Labels(
        batch.labels.sequences, batch.labels.losses, torch.zeros_like(batch.labels.gains)
    )
    flat = Batch(0, batch.pixels, batch.sources, labels)
    ours = NextToken(model, NtpSettings(sharpness=4.0))(flat)["cross_entropy"]
    assert float(ours) == pytest.approx(
        float(NextToken(model, NtpSettings())(batch)["cross_entropy"])
    )


def test_one_loss_far_off_does_not_decide_a_step(pixels):
    sizes = SMALL
    model, batch = fresh(sizes), labelled(sizes, pixels(2, 2, 32))
    far = batch.labels.losses.clone()
    far[0, 0, 0] = 100.0
    outlier = Batch(0, batch.pixels, batch.sources, Labels(batch.labels.sequences, far))
    squared, linear = (
        float(NextToken(model, NtpSettings(loss_delta=delta))(outlier)["loss_error"]) ** 2
        for delta in (None, 0.5)
    )
    num_ids = int(batch.labels.sequences.count.sum())
    assert squared > 9000 / num_ids
    assert linear < 0.5 * 2 * 100 / num_ids + 1


def test_ones_own_gazes_are_labelled_by_what_would_have_been_best_there(pixels):
    model, video = fresh(SMALL), pixels(2, 2, 32)
    table, budgets = SMALL.pyramid().table(video), torch.tensor([[6, 4], [3, 8]])
    settings = NtpSettings(sharpness=4.0, own=True)
    batch = Batch(0, video, ("a", "b"), budgets=budgets, table=table)
    with torch.no_grad():
        features, _ = model.encoder(normalize(video))
        gazes = roll_out(model.decoder, features, budgets)
    assert gazes.count.equal(budgets)
    by_hand = Batch(0, video, ("a", "b"), along(table, gazes))
    asked = NextToken(model, settings.model_copy(update={"own": False}))(by_hand)
    for name, value in NextToken(model, settings)(batch).items():
        assert torch.allclose(value, asked[name]), name


def test_ones_own_gazes_without_gains_are_refused():
    with pytest.raises(ValidationError, match="own: needs sharpness"):
        NtpSettings(own=True)


def test_cold_regret_is_what_ones_own_gazes_gave_away(pixels):
    model, video = fresh(SMALL), pixels(2, 2, 32)
    table, budgets = SMALL.pyramid().table(video), torch.tensor([[6, 4], [3, 8]])
    settings = NtpSettings(
        sharpness=4.0,
        own=True,
        excludes_chosen=True,
        regret_weight=2.0,
        regret_temperature=1e-6,
        cross_entropy_weight=0.0,
        loss_weight=0.0,
    )
    batch = Batch(0, video, ("a", "b"), budgets=budgets, table=table)
    found = NextToken(model, settings)(batch)
    with torch.no_grad():
        features, _ = model.encoder(normalize(video))
        labels = along(table, roll_out(model.decoder, features, budgets))
    ids, gains = labels.sequences.ids, labels.gains.float()
    best = gains.amax(-1)
    given_away = best - gains.gather(-1, ids.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    expected = (given_away / best.clamp(min=1))[ids >= 0].sum() / 4
    assert float(expected) > 0
    assert float(found["regret"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(found["loss"].detach()) == pytest.approx(2 * float(expected), rel=1e-4)


def test_regret_without_gains_is_refused():
    with pytest.raises(ValidationError, match="regret_weight: needs sharpness"):
        NtpSettings(regret_weight=1.0)
    with pytest.raises(ValidationError, match="cross_entropy_weight: 0 needs regret_weight"):
        NtpSettings(cross_entropy_weight=0.0)
