"""Every mistake is one clear sentence; a stranger's checkpoint can do no more than be refused."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gaze.config import GazeConfig, parse_config
from gaze.model import AutoGaze
from gaze.preprocess import preprocess
from gaze.weights import from_upstream, random_weights, to_upstream, write_checkpoint
from hlvid.errors import UserError

FOLDER = Path(__file__).parents[1] / "fixtures" / "autogaze"
TINY = GazeConfig(
    width=24, num_layers=1, num_heads=2, mlp_width=32, image_size=64, scales=(16, 32, 48, 64)
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model():
    return AutoGaze.from_seed(TINY, 0)


@pytest.fixture
def checkpoint(tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(FOLDER / name, tmp_path / name)
    (tmp_path / "config.json").chmod(0o644)
    (tmp_path / "model.safetensors").chmod(0o644)
    return tmp_path


GOOD = torch.zeros(1, 2, 3, 64, 64)


@pytest.mark.parametrize(
    ("video", "words"),
    [
        (torch.zeros(1, 2, 4, 64, 64), "4 channels"),
        (torch.zeros(1, 0, 3, 64, 64), "nothing in it"),
        (torch.zeros(2, 3, 64, 64), "4 dimensions"),
        (torch.zeros(1, 2, 3, 64, 64, dtype=torch.uint8), "Preprocess it first"),
        (torch.full((1, 2, 3, 64, 64), math.nan), "NaN"),
    ],
)
def test_videos_that_are_none(model, video, words):
    with pytest.raises(UserError, match=words):
        model.select(video, gazing_ratio=0.5)


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ({"gazing_ratio": 0}, "above 0"),
        ({"gazing_ratio": 1.5}, "up to 1"),
        ({"gazing_ratio": math.nan}, "above 0"),
        ({"gazing_ratio": "much"}, "a number"),
        ({"gazing_ratio": [0.5]}, "1 values for 2 frames"),
        ({"task_loss_requirement": math.nan}, "finite"),
        ({"gazing_ratio": 0.5, "forbidden": torch.zeros(1, 7, dtype=torch.bool)}, "forbidden"),
        ({"gazing_ratio": 0.5, "target_scales": (16, 32, 48, 64)}, "go together"),
        ({"target_scales": (1, 2), "target_patch_size": 1, "gazing_ratio": 1}, "ascending"),
        ({"target_scales": (16, 32, 48, 96), "target_patch_size": 16, "gazing_ratio": 1}, "square"),
    ],
)
def test_controls_out_of_range(model, controls, words):
    with pytest.raises(UserError, match=words):
        model.select(GOOD, **controls)


def test_a_gaze_of_another_video_is_not_scored(model):
    gaze = model.select(GOOD, gazing_ratio=0.5)
    with pytest.raises(UserError, match="not of 1 clips of 3 frames"):
        model.log_prob(torch.zeros(1, 3, 3, 64, 64), gaze)


def test_a_stream_keeps_its_batch(model):
    _, state = model.stream(GOOD[:, :1], gazing_ratio=0.5)
    with pytest.raises(UserError, match="one state a batch"):
        model.stream(torch.zeros(2, 1, 3, 64, 64), state, gazing_ratio=0.5)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("gaze_model_config", "gaze_decoder_config", "hidden_size"), 10**9, "whole number"),
        (("gaze_model_config", "gaze_decoder_config", "num_hidden_layers"), -1, "whole number"),
        (("gaze_model_config", "gaze_decoder_config", "num_hidden_layers"), True, "whole number"),
        (("gaze_model_config", "gaze_decoder_config", "rms_norm_eps"), math.nan, "number from"),
        (("gaze_model_config", "gaze_decoder_config", "vocab_size"), 999, "vocab_size is 999"),
        (("gaze_model_config", "vision_model_config", "trunk_spatial_kernel_size"), 2, "odd"),
        (("gaze_model_config", "vision_model_config"), "none", "no object"),
        (("scales",), "1+2+x", "a list like"),
        (("scales",), "7+224", "do not fit"),
        (("scales",), "32+64+224+224", "do not fit"),
        (("gaze_model_config",), None, "missing"),
    ],
)
def test_hostile_configs(path, value, words):
    raw = json.loads((FOLDER / "config.json").read_text())
    place = raw
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(UserError, match=words):
        parse_config(raw)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"a": ' * 5000, "\x00"])
def test_configs_that_are_no_config(checkpoint, text):
    (checkpoint / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        AutoGaze.from_pretrained(checkpoint)


@pytest.mark.parametrize("damage", ["cut", "garbage", "gone", "pickle"])
def test_corrupt_weights(checkpoint, damage):
    weights = checkpoint / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif damage == "garbage":
        weights.write_bytes(b"\xff" * 64)
    else:
        weights.unlink()
    if damage == "pickle":
        torch.save({}, checkpoint / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        AutoGaze.from_pretrained(checkpoint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w, key: w.pop(key), "1 missing, first 'gazing_model.connector.pos_embed'"),
        (lambda w, key: w.update(other=torch.zeros(1)), "1 unknown, first 'other'"),
        (lambda w, key: w.update({key: torch.zeros(2, 2)}), "is \\(2, 2\\) where"),
        (lambda w, key: w[key].fill_(math.nan), "pos_embed holds values"),
        (lambda w, key: w.update({key: w[key].to(torch.int64)}), "pos_embed holds values"),
    ],
)
def test_weights_of_another_model(checkpoint, change, words):
    weights = load_file(checkpoint / "model.safetensors")
    change(weights, "gazing_model.connector.pos_embed")
    save_file(weights, checkpoint / "model.safetensors")
    with pytest.raises(UserError, match=words):
        AutoGaze.from_pretrained(checkpoint)


@pytest.mark.parametrize("name", ["no/such/folder", "./nowhere", "plain"])
def test_what_is_no_checkpoint(name):
    with pytest.raises(UserError, match="no checkpoint directory"):
        AutoGaze.from_pretrained(name)


def test_a_checkpoint_survives_a_round_trip(tmp_path):
    raw = json.loads((FOLDER / "config.json").read_text())
    config = parse_config(raw)
    weights = random_weights(config, 4)
    again = to_upstream(from_upstream(weights, config), config)
    assert all(torch.equal(weights[key], again[key]) for key in weights)
    write_checkpoint(tmp_path / "saved", raw, again)
    model = AutoGaze.from_pretrained(tmp_path / "saved")
    expected = AutoGaze.from_seed(config, 4).state_dict()
    assert all(torch.equal(expected[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    "frames", [[], [np.zeros((4, 4, 4), np.uint8)], [np.zeros((4, 4, 3), np.float32)]]
)
def test_frames_that_cannot_be_preprocessed(frames):
    with pytest.raises(UserError, match="preprocess"):
        preprocess(frames)
