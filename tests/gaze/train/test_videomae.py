import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from gaze.gazes import Gaze
from gaze.model import AutoGaze
from gaze.train.features import FeatureLoss
from gaze.train.loop import train
from gaze.train.sequences import Sequences
from gaze.train.settings import read_settings
from gaze.train.videomae import VideoMae
from hlvid.errors import UserError

FOLDER = Path(__file__).parents[2] / "fixtures" / "autogaze"
CASES = {case["name"]: case for case in json.loads((FOLDER / "cases.json").read_text())["cases"]}
OUTPUTS = np.load(FOLDER / "outputs.npz")
SIZES = {
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "decoder_hidden_size", "decoder_num_hidden_layers", "decoder_num_attention_heads",
    "decoder_intermediate_size", "layer_norm_eps", "patch_size", "max_num_frames",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    config = CASES["videomae"]["config"]
    kept = {name: config[name] for name in SIZES} | {"scales": [32, 64, 112, 224]}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    (tmp_path / "model.safetensors").write_bytes((FOLDER / "videomae.safetensors").read_bytes())
    return tmp_path


def video_of(case):
    random = np.random.RandomState(case["video_seed"])
    batch, frames, size = case["batch"], case["frames"], case["size"]
    base = random.standard_normal((batch, 1, 3, 14, 14)).astype(np.float32)
    drift = (0.4 * random.standard_normal((batch, frames, 3, 14, 14))).astype(np.float32)
    small = torch.from_numpy(base + drift.cumsum(1)).flatten(0, 1)
    large = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    return large.unflatten(0, (batch, frames))


def test_the_released_reconstruction_is_reproduced(folder):
    case = CASES["videomae"]
    key = case["gaze_case"]
    padded = torch.from_numpy(OUTPUTS[f"{key}.if_padded_gazing"])
    gaze = Gaze(
        torch.from_numpy(OUTPUTS[f"{key}.gazing_pos"]).masked_fill(padded, -1),
        padded,
        torch.from_numpy(OUTPUTS[f"{key}.num_gazing_each_frame"]),
        (4, 16, 49, 196),
    )
    frames = case["frame_idx_to_reconstruct"]
    video = video_of(case)
    found = VideoMae.from_folder(folder).reconstruct(video, gaze, frames)
    expected = torch.from_numpy(OUTPUTS["videomae.reconstruction_sub"])
    assert (found[..., ::16, ::16] - expected).abs().max() < 1e-4
    loss = (found - video[:, frames]).abs().mean((2, 3, 4))
    known = torch.from_numpy(OUTPUTS["videomae.loss_each_reconstruction_frame"])
    assert (loss - known).abs().max() < 1e-4


def test_a_frame_is_guessed_from_itself_and_the_past_alone(folder, pixels):
    model, video = VideoMae.from_folder(folder), pixels(1, 3, 224)
    short = Sequences.from_lists([[[3, 80], [100]]]).gaze(model.cells_per_scale)
    longer = Sequences.from_lists([[[3, 80], [100], [7, 200]]]).gaze(model.cells_per_scale)
    first = model.losses(video, short, frames=[1])
    assert torch.allclose(first, model.losses(video, longer, frames=[1]), atol=1e-5)
    assert model.losses(video, longer).shape == (1, 3)
    other = Sequences.from_lists([[[9, 80], [100]]]).gaze(model.cells_per_scale)
    assert (first - model.losses(video, other, frames=[1])).abs().max() > 1e-6


def test_features_of_any_vision_model_are_added(folder, pixels):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14
    )
    seen = FeatureLoss(
        "dinov2", Dinov2WithRegistersModel(config), size=28, patch_size=14, weight=0.3
    )
    video = pixels(2, 2, 224)
    plain, both = VideoMae.from_folder(folder), VideoMae.from_folder(folder, [seen])
    gaze = Sequences.from_lists([[[3], [100]], [[5, 9], [1]]]).gaze(plain.cells_per_scale)
    assert (plain.kind, both.kind) == ("videomae", "videomae-dinov2")
    assert (both.losses(video, gaze) > plain.losses(video, gaze)).all()
    shown = video[:, :1].float() / 255
    assert (seen(shown, shown) == 0).all()
    hidden = seen._read(shown.flatten(0, 1))
    assert hidden.shape == (2, 4, 64)  # four patches, four layers, no class token or registers


def test_the_second_stage_lowers_its_loss_when_the_configuration_says_so(folder, tmp_path):
    config = tmp_path / "run.toml"
    text = (
        'stage = "grpo"\nsteps = 1\nbatch_size = 1\nlog_every = 1\nsave_every = 1\n'
        "validation_clips = 1\n"
        f'[reconstruction]\nvideomae = "{folder.as_posix()}"\n'
        "[model]\nwidth = 16\nnum_layers = 1\nnum_heads = 2\nmlp_width = 16\n"
        "[data]\nnum_frames = 2\nscenes = 0\nfilms = 0\n"
        "[grpo]\ngroup = 2\ncap_ratio = 0.02\n"
    )
    config.write_text(text)
    train(read_settings(config), tmp_path / "run")
    state = load_file(tmp_path / "run" / "last.safetensors")
    assert not any("reconstruction" in name or "decoder_pred" in name for name in state)
    assert AutoGaze.from_pretrained(str(tmp_path / "run" / "best")).config.loss_kind == "videomae"
    for wrong, said in (
        ('stage = "ntp"\nsteps = 1\n[reconstruction]\nvideomae = "x"\n', "belongs to grpo"),
        (text.replace("[model]", "[model]\nsides = [1, 2, 4]"), "Allowed are the same"),
    ):
        config.write_text(wrong)
        with pytest.raises(UserError, match=said):
            train(read_settings(config), tmp_path / "other")


@pytest.mark.parametrize("damage", ["missing", "unknown", "misshaped", "no file"])
def test_weights_are_read_strictly(folder, damage):
    path = folder / "model.safetensors"
    weights = load_file(path)
    if damage == "missing":
        del weights["decoder.mask_token"]
    elif damage == "unknown":
        weights["head.weight"] = torch.zeros(2)
    elif damage == "misshaped":
        weights["vit.layernorm.bias"] = torch.zeros(31)
    save_file(weights, path)
    if damage == "no file":
        path.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        VideoMae.from_folder(folder)
