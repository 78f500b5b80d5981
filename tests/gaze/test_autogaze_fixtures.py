"""Ours against the released implementation, number by number.

The fixtures were made by NVlabs/AutoGaze at commit 2943b28 with transformers 4.51.3 and torch
2.14.1, fp32, CPU, on a two-layer model of width 48 in the released layout.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from gaze.model import AutoGaze
from gaze.preprocess import preprocess, preprocess_on_device
from gaze.vit import GazedVit, Kept, VitConfig, pad_like

FOLDER = Path(__file__).parents[1] / "fixtures" / "autogaze"
OUTPUTS = np.load(FOLDER / "outputs.npz")
ALL = json.loads((FOLDER / "cases.json").read_text())
CASES = {case["name"]: case for case in ALL["cases"]}
GAZES = [name for name, case in CASES.items() if "args" in case]
PLAIN = [name for name in GAZES if "target_scales" not in CASES[name]["args"]]
TILED = [name for name in GAZES if name not in PLAIN]
TOWERS = [name for name, case in CASES.items() if "siglip" in case]


def video_of(case):
    random = np.random.RandomState(case["video_seed"])
    batch, frames, size = case["batch"], case["frames"], case["size"]
    base = random.standard_normal((batch, 1, 3, 14, 14)).astype(np.float32)
    drift = (0.4 * random.standard_normal((batch, frames, 3, 14, 14))).astype(np.float32)
    small = torch.from_numpy(base + drift.cumsum(1)).flatten(0, 1)
    large = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    return large.unflatten(0, (batch, frames))


@pytest.fixture(scope="module")
def model():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield AutoGaze.from_pretrained(FOLDER)
    torch.set_num_threads(threads)


def assert_same_slots(gaze, name):
    padded = OUTPUTS[f"{name}.if_padded_gazing"]
    positions = OUTPUTS[f"{name}.gazing_pos"]
    assert gaze.is_padding.numpy().reshape(padded.shape).tolist() == padded.tolist()
    found = gaze.positions.numpy().reshape(positions.shape)
    assert found[~padded].tolist() == positions[~padded].tolist()
    expected = OUTPUTS[f"{name}.num_gazing_each_frame"]
    assert gaze.num_per_frame.tolist() == expected.tolist()


@pytest.mark.parametrize("name", GAZES)
def test_released_batches_are_reproduced(model, name):
    case = CASES[name]
    gaze = model.select(video_of(case), batch_rule="released", **case["args"])
    assert_same_slots(gaze, name)
    for scale, mask in enumerate(gaze.masks):
        assert np.array_equal(mask.numpy(), OUTPUTS[f"{name}.mask{scale}"].astype(bool))


@pytest.mark.parametrize("name", PLAIN)
def test_a_clip_alone_is_a_clip_in_any_batch(model, name):
    case = CASES[name]
    video = video_of(case)
    together = model.select(video, **case["args"])
    for index in range(case["batch"]):
        alone = model.select(video[index : index + 1], **case["args"])
        assert_same_slots(alone, f"{name}.alone{index}")
        assert torch.equal(alone.mask[0], together.mask[index])
        kept = zip(alone.kept(0), together.kept(index), strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in kept)


@pytest.mark.parametrize("name", PLAIN)
def test_streaming_equals_the_whole_clip(model, name):
    case = CASES[name]
    video, ratio = video_of(case), case["args"].get("gazing_ratio")
    whole = model.select(video, **case["args"])
    state = None
    for t in range(case["frames"]):
        controls = dict(case["args"])
        if isinstance(ratio, list):
            controls["gazing_ratio"] = ratio[t]
        one, state = model.stream(video[:, t : t + 1], state, **controls)
        assert torch.equal(one.mask[:, 0], whole.mask[:, t])


@pytest.mark.parametrize("name", ["fixed_ratio", "long"])
def test_scores_of_a_finished_sequence(model, name):
    case = CASES[name]
    video = video_of(case)
    gaze = model.select(video, **case["args"])
    score = model.log_prob(video, gaze)
    real = ~gaze.is_padding.numpy()
    for found, key in ((score.log_prob, "log_action_probs"), (score.predicted_loss, None)):
        expected = OUTPUTS[f"{name}.{key or 'task_loss_prediction'}"]
        assert np.abs(found.numpy() - expected)[real].max() < 1e-4


@pytest.mark.parametrize("name", TILED)
def test_sub_tiles_alone_are_merged_scale_by_scale(model, name):
    case = CASES[name]
    gaze = model.select(video_of(case), **case["args"])
    scales, patch = case["args"]["target_scales"], case["args"]["target_patch_size"]
    cells = [2, 4, 7, 14]
    for index in range(case["batch"]):
        for scale, mask in enumerate(gaze.masks):
            side = scales[scale] // patch
            whole = np.zeros((case["frames"], 2 * cells[scale], 2 * cells[scale]), dtype=bool)
            first = sum(side**2 for side in cells[:scale])
            for row in range(2):
                for column in range(2):
                    key = f"{name}.alone{index}.tile{row}{column}"
                    real = ~OUTPUTS[f"{key}.if_padded_gazing"]
                    frame, ids = np.divmod(OUTPUTS[f"{key}.gazing_pos"][real], 265)
                    here = (ids >= first) & (ids < first + cells[scale] ** 2)
                    y, x = np.divmod(ids[here] - first, cells[scale])
                    whole[frame[here], row * cells[scale] + y, column * cells[scale] + x] = True
            expected = whole[:, :side, :side].reshape(case["frames"], -1)
            assert np.array_equal(mask[index].numpy(), expected)


@pytest.mark.parametrize("name", TOWERS)
def test_siglip_over_kept_cells(model, name):
    case = CASES[name]
    gaze_case = CASES[case["gaze_case"]]
    gaze = model.select(video_of(gaze_case), batch_rule="released", **gaze_case["args"])
    sizes = dict(case["siglip"])
    is_independent = sizes.pop("frame_independent_encoding", False)
    scales = tuple(int(scale) for scale in sizes.pop("scales").split("+"))
    tower = GazedVit.from_state(
        VitConfig(**sizes, scales=scales),
        load_file(FOLDER / f"{name}.safetensors"),
        pattern="frame_independent" if is_independent else "block_causal",
    )
    found = pad_like(gaze, tower(video_of(case), Kept.from_gaze(gaze)))
    expected = OUTPUTS[f"{name}.last_hidden_state"]
    assert np.abs(found.numpy() - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "size"), [("preprocess_shortest_edge", 224), ("preprocess_square", (224, 224))]
)
def test_preprocessing(name, size):
    random = np.random.RandomState(ALL["seed"] * 10 + 20)
    frames = (random.rand(3, 360, 640, 3) * 255).astype(np.uint8)
    found = preprocess(frames, size=size)
    expected = OUTPUTS[f"{name}.pixels"]
    assert np.abs(found[..., ::16, ::16].numpy() - expected).max() < 1e-5
    there = preprocess_on_device(torch.from_numpy(frames).permute(0, 3, 1, 2), size=size)
    one_step = 1.01 / 127.5 / 0.224
    assert (there - found).abs().max() < one_step
