import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from gaze.model import AutoGaze
from gaze.train.grpo import GrpoSettings, discounted_returns
from gaze.train.judging import chosen_losses
from gaze.train.labels import greedy
from gaze.train.loop import train
from gaze.train.settings import ReconstructionSettings, TrainSettings, read_settings
from gaze.train.sources import validation_batch
from gaze.train.state import read_progress
from hlvid.errors import UserError
from hlvid.files import parse_record

SMALL = {
    "stage": "ntp",
    "steps": 8,
    "batch_size": 2,
    "learning_rate": 2e-3,
    "clip_norm": 1.0,
    "log_every": 1,
    "save_every": 2,
    "validate_every": 4,
    "validation_clips": 2,
    "model": {
        "width": 16, "num_layers": 2, "num_heads": 2, "mlp_width": 16, "sides": [1, 2, 4],
        "patch_size": 8,
    },
    "data": {"num_frames": 2, "scenes": 0, "films": 0},
    "ntp": {"excludes_chosen": True},
}  # fmt: skip
RUN = (
    "import sys\n"
    "from pathlib import Path\n"
    "from gaze.train.loop import train\n"
    "from gaze.train.settings import read_settings\n"
    "train(read_settings(Path(sys.argv[1])), Path(sys.argv[2]))\n"
)


def settings_of(**changes):
    return parse_record(json.dumps({**SMALL, **changes}).encode(), TrainSettings, where="test")


def curve(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "seconds_a_step" not in k} for line in lines]


def weights(folder):
    with safe_open(folder / "last.safetensors", framework="pt") as opened:
        return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**SMALL, "steps": 60, "save_every": 5}))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    running = subprocess.Popen([sys.executable, "-c", RUN, config, killed])
    try:
        while not (killed / "log.jsonl").exists() or len(curve(killed)) < 8:
            assert running.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert 8 <= len(curve(killed)) < 60 and (killed / "last.safetensors").is_file()
    for folder in (killed, whole):
        subprocess.run([sys.executable, "-c", RUN, config, folder], check=True)
    assert curve(whole) == curve(killed)
    ours, theirs = weights(killed), weights(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_slices_make_the_curve_of_one_piece(tmp_path):
    settings = settings_of()
    first = train(settings, tmp_path / "sliced", max_minutes=0)
    assert (first.progress.step, first.is_done) == (2, False)
    while not train(settings, tmp_path / "sliced", max_minutes=0).is_done:
        pass
    assert train(settings, tmp_path / "whole").is_done
    assert curve(tmp_path / "sliced") == curve(tmp_path / "whole")
    assert train(settings, tmp_path / "whole").first_step == settings.steps  # nothing is left


def test_another_runs_folder_is_refused(tmp_path):
    train(settings_of(), tmp_path, max_minutes=0)
    with pytest.raises(UserError, match="other settings"):
        train(settings_of(seed=1), tmp_path)
    (tmp_path / "last.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be read"):
        train(settings_of(), tmp_path)


def test_accumulated_steps_are_those_of_larger_batches(tmp_path):
    """Equal numbers of ids in every batch, so that their means weigh the same."""
    flat = {"low": 0.1, "high": 0.1001, "first": 1e9, "rest": 1e9}
    plain = settings_of(steps=2, batch_size=4, clip_norm=None, budgets=flat)
    parts = settings_of(steps=2, batch_size=2, accumulate=2, clip_norm=None, budgets=flat)
    train(plain, tmp_path / "plain")
    train(parts, tmp_path / "parts")
    ours, theirs = weights(tmp_path / "plain"), weights(tmp_path / "parts")
    counts = [line["cross_entropy"] for line in curve(tmp_path / "plain") if "loss" in line]
    found = [line["cross_entropy"] for line in curve(tmp_path / "parts") if "loss" in line]
    assert counts == pytest.approx(found, rel=0.05)
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-2) for k in ours if "model." in k)


def test_a_short_training_beats_random(tmp_path):
    settings = settings_of(
        steps=120, batch_size=12, learning_rate=8e-3, save_every=120, validate_every=120,
        model={**SMALL["model"], "width": 32, "mlp_width": 64},
    )  # fmt: skip
    train(settings, tmp_path)
    lines = [line for line in curve(tmp_path) if "loss" in line]
    first, last = (np.mean([line["loss"] for line in part]) for part in (lines[:20], lines[-20:]))
    assert last < first - 0.15
    pixels = validation_batch(settings.model_copy(update={"validation_clips": 64})).pixels
    pyramid = settings.model.pyramid()
    model = AutoGaze.from_pretrained(tmp_path / "best")
    assert (model.positions, model.config.loss_kind) == ("natural", "pyramid-l1")
    table = pyramid.table(pixels)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(*pixels.shape[:2], table.num_cells, generator=generator)
    kept = drawn.argsort(-1).argsort(-1) < model.config.cap(0.2)
    ours = chosen_losses(model, pixels, pyramid, ratio=0.2)
    budgets = torch.full(pixels.shape[:2], model.config.cap(0.2))
    best = greedy(table, budgets).losses[..., -1].mean()
    assert best < ours.mean() < table.losses(kept).mean() - 0.02


def test_the_second_stage_lowers_the_reconstructions_loss(tmp_path):
    grpo = {"group": 6, "rewarded_frames": None, "budget_share": 1.0, "temperature_end": 0.5}
    settings = settings_of(
        stage="grpo", steps=40, batch_size=8, learning_rate=5e-3, save_every=40, grpo=grpo,
        validate_every=40,
    )  # fmt: skip
    train(settings, tmp_path)
    lines = [line["reconstruction"] for line in curve(tmp_path) if "reconstruction" in line]
    assert np.mean(lines[-15:]) < np.mean(lines[:15]) - 0.03


def test_returns_are_discounted_by_the_cells_between():
    count = torch.tensor([[2, 1, 3]])
    losses = torch.tensor([[0.5, 0.25]])  # of frames 0 and 2
    found = discounted_returns(count, 3, losses, [0, 2], 0.9)[0]
    number = {(0, 0): 0, (0, 1): 1, (1, 0): 2, (2, 0): 3, (2, 1): 4, (2, 2): 5}
    for (frame, slot), place in number.items():
        expected = -0.25 * 0.9 ** (5 - place)
        expected -= 0.5 * 0.9 ** (1 - place) if frame == 0 else 0
        assert float(found[frame, slot]) == pytest.approx(expected, rel=1e-5)


def test_the_temperature_follows_its_schedule():
    paper = GrpoSettings()
    assert [round(paper.temperature(d), 4) for d in (0, 0.5, 1)] == [1.0, 0.1, 0.01]
    linear = GrpoSettings(schedule="linear", temperature_start=3.0, temperature_end=0.3)
    assert linear.temperature(0.5) == pytest.approx(1.65)


@pytest.mark.parametrize(
    "name",
    [
        "mini-ntp",
        "mini-own",
        "mini-regret",
        "mini-carried",
        "mini-grpo",
        "mini-grpo-only",
    ],
)
def test_shipped_configurations_are_read(name):
    settings = read_settings(Path(name))
    assert settings.stage == ("grpo" if "grpo" in name else "ntp")
    assert settings.learning_rate_at(0) <= settings.learning_rate
    assert settings.learning_rate_at(settings.steps) == pytest.approx(settings.final_learning_rate)


def test_a_configuration_with_a_mistake_is_refused(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('stage = "ntp"\nsteps = 0\n')
    with pytest.raises(UserError, match="steps"):
        read_settings(path)
    path.write_text("stage = \n")
    with pytest.raises(UserError, match="not TOML"):
        read_settings(path)
    with pytest.raises(UserError, match="mini-ntp"):
        read_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("run", ["ntp", "own", "regret", "carried", "grpo", "grpo-only"])
def test_the_committed_runs_are_those_of_the_shipped_configurations(run):
    """So `make train-autogaze` goes on with them: a setting that came later changes no digest."""
    state = Path(__file__).parents[3] / "training" / "autogaze-mini" / run / "last.safetensors"
    settings = read_settings(Path(f"mini-{run}"))
    assert read_progress(state).settings_sha256 == settings.sha256
    lowered = ReconstructionSettings(videomae="weights")
    changed = settings.model_copy(update={"stage": "grpo", "reconstruction": lowered})
    assert changed.sha256 != settings.model_copy(update={"stage": "grpo"}).sha256
