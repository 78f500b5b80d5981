"""The GPU kernels and their scheduling, run on a CPU through Triton's interpreter.

The interpreter must be asked for before triton is imported, so the comparison runs in a process of
its own; each line that it prints is one equality that was checked.
"""

import os
import subprocess
import sys

import torch

from gaze.cuda.packed import round_to_tf32

CHECK = """
import math, torch
from torch.nn import functional as F
from gaze.attention import Lanes, attend
from gaze.choose import choose
from gaze.config import GazeConfig
from gaze.cuda.check import choose_on_device
from gaze.cuda.engine import Engine, supports
from gaze.cuda.packed import round_to_tf32
from gaze.gazes import Gaze
from gaze.model import AutoGaze

torch.set_num_threads(1)
torch.manual_seed(0)
config = GazeConfig(num_layers=2, image_size=64, scales=(16, 32, 48, 64))
assert supports(config)
model = AutoGaze.from_seed(config, 0)
video = F.interpolate(torch.randn(6, 3, 8, 8), size=(64, 64), mode="bilinear")
video = video.unflatten(0, (3, 2))
caps = [25, 12]
engine = Engine(model.encoder, model.decoder, num_slots=4, caps=caps, dtype=torch.float32)
engine.features(video)
features, _ = model.encoder(video)
print("features", torch.allclose(engine.slots.features[:3], features, atol=1e-4))
cap = torch.tensor(caps, dtype=torch.int32)

def same(expected):
    found = Gaze.from_frames(engine.frames(3), config.cells_per_scale)
    return torch.equal(found.positions, expected.positions)

ratios = [0.85, 0.41]
expected = model.select(video, gazing_ratio=ratios)
engine.decode(clips=3, cap=cap, blocks_per_frame=[2, 1])
print("known blocks", same(expected))
limit = float(model.log_prob(video, expected).predicted_loss.quantile(0.2))
forbidden = torch.rand(3, 30) < 0.3
expected = model.select(
    video, gazing_ratio=ratios, task_loss_requirement=limit, forbidden=forbidden
)
for schedule in ("lock-step", "rounds"):
    engine.decode(
        clips=3, cap=cap, threshold=torch.tensor([limit] * 2), forbidden=forbidden,
        schedule=schedule,
    )
    print(schedule, same(expected))
for weight in model.parameters():
    weight.data = round_to_tf32(weight.data)
engine = Engine(
    model.encoder, model.decoder, num_slots=4, caps=[12, 6], dtype=torch.float32, products="tf32"
)
engine.features(video)
engine.decode(clips=3, cap=cap // 2, blocks_per_frame=[1, 0])
print("products in tf32", same(model.select(video, gazing_ratio=[0.41, 0.21])))
engine = Engine(
    model.encoder, model.decoder, num_slots=4, caps=[1], dtype=torch.bfloat16, products="tf32"
)
print("cache of the working type", engine.slots.key[0].dtype == torch.bfloat16
    and {engine.slots.features.dtype, engine.weights.heads.dtype} == {torch.float32})
q, k, v = torch.randn(3, 150, 2, 8).unbind(0)
for causal in (True, False):
    lanes = Lanes(
        q_start=torch.tensor([0, 5, 45, 46], dtype=torch.int32),
        k_start=torch.tensor([0, 20, 100], dtype=torch.int32),
        k_len=torch.tensor([0, 70, 33], dtype=torch.int32),
        max_q=40, max_k=70, causal=causal,
    )
    found = attend(q[:46], k, v, lanes, backend="triton")
    expected = attend(q[:46], k, v, lanes, backend="masked")
    print("attend", torch.allclose(found, expected, atol=1e-5))
logits, losses = torch.randn(12, 10, 31).round(), torch.randn(12, 10)
taken = torch.rand(12, 30) < torch.rand(12, 1)
used = torch.randint(0, 2, (12,)) * taken.sum(1)
state = dict(used=used, cap=used + torch.randint(1, 20, (12,)), threshold=torch.randn(12) - 1)
found = choose_on_device(logits, losses, taken=taken, **state)
expected = choose(logits, losses, taken=taken.clone(), **state)
live = torch.arange(10) < expected.num_emitted[:, None]
print("choose", torch.equal(found.ids[live], expected.ids[live])
    and torch.equal(found.is_padded[live], expected.is_padded[live])
    and torch.equal(found.num_pending, expected.num_pending)
    and torch.equal(found.is_end, expected.is_end))
"""


def test_kernels_and_schedules_equal_the_plain_path():
    result = subprocess.run(
        [sys.executable, "-c", CHECK],
        env=os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.split("\n")[:-1]
    assert len(lines) == 9
    assert [line for line in lines if "False" in line] == []


def test_tf32_keeps_ten_bits_and_rounds_ties_to_even():
    kept = torch.tensor([0.0, 1.0, -1.5, 1 + 2**-10, -(2.0**-100), 2.0**127])
    assert torch.equal(round_to_tf32(kept), kept)
    between = torch.tensor([1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-11 - 2**-20, 1 + 2**-12])
    expected = torch.tensor([1.0, 1 + 2**-9, -1 - 2**-10, 1.0])
    assert torch.equal(round_to_tf32(between), expected)
    many = torch.randn(1000)
    error = (round_to_tf32(many) - many).abs()
    assert (error <= many.abs() * 2**-11).all()
    assert error.max() > 0
