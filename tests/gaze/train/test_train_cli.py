import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gaze.cli import app
from gaze.config import GazeConfig
from gaze.model import AutoGaze
from gaze.train import scenes
from gaze.train.films import whole_film
from gaze.train.label_file import read_labels
from gaze.train.pyramid import Pyramid
from gaze.train.sequences import Sequences
from gaze.train.settings import read_settings
from gaze.train.sources import training_batches, validation_batch
from gaze.train.state import STATE_NAME, write_model
from hlvid.errors import UserError
from hlvid.synthetic.encoding import encode

CONFIG = """
stage = "ntp"
steps = 4
batch_size = 2
save_every = 2
validate_every = 4
validation_clips = 2

[model]
width = 16
num_layers = 1
num_heads = 2
mlp_width = 16

[data]
num_frames = 3
folder = "FOLDER"
labels = "LABELS"
"""


@pytest.fixture
def videos(tmp_path):
    """Two films of six frames in which a bright block moves."""
    folder = tmp_path / "films" / "train"
    for number in range(2):
        planes = []
        for frame in range(6):
            plane = np.full((240, 160), 90, dtype=np.uint8)
            plane[160:] = 128  # no colour
            plane[60 : 90 + 20 * number, 20 * frame : 20 * frame + 30] = 220
            planes.append(plane)
        encode(planes, folder / f"film{number}.mp4", fps=5)
    return folder


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_labels_of_a_folder_are_written_and_trained_on(videos, tmp_path):
    labels = tmp_path / "gazing_labels.json"
    assert call("labels", videos, "--out", labels, "--frames", 3).exit_code == 0
    entries = read_labels(labels, num_cells=265)
    assert sorted(entries) == ["films/train/film0.mp4", "films/train/film1.mp4"]
    entry = entries["films/train/film1.mp4"]
    pixels = whole_film(videos / "film1.mp4", num_frames=3, size=224)
    pyramid = Pyramid()
    gaze = Sequences.from_lists([entry.gazing_pos]).gaze(pyramid.cells_per_scale)
    losses = pyramid.losses(torch.from_numpy(pixels)[None], gaze)[0].tolist()
    assert losses == pytest.approx([frame[-1] for frame in entry.task_losses], abs=1e-5)

    config = tmp_path / "run.toml"
    config.write_text(CONFIG.replace("FOLDER", str(videos)).replace("LABELS", str(labels)))
    run = tmp_path / "run"
    words = ("train", "ntp", "--config", config, "--out", run, "--workers", 0)
    first = call(*words, "--max-minutes", 0)
    assert (first.exit_code, json.loads(first.stdout)["step"]) == (3, 2)
    second = call(*words)
    assert (second.exit_code, json.loads(second.stdout)["step"]) == (0, 4)
    assert (run / STATE_NAME).is_file() and (run / "best" / "config.json").is_file()
    assert list((run / "tensorboard").iterdir())

    settings = read_settings(config)
    batches = [training_batches(settings)[number].sources for number in range(3)]
    trained_on = {Path(source).name for sources in batches for source in sources}
    held_out = set(validation_batch(settings).sources)
    assert len(trained_on) == len(held_out) == 1 and not trained_on & held_out
    sharp = settings.model_copy(update={"ntp": settings.ntp.model_copy(update={"sharpness": 4.0})})
    with pytest.raises(UserError, match="sharpness"):
        training_batches(sharp)
    (videos / held_out.pop()).unlink()
    with pytest.raises(UserError, match="Labels need two"):
        training_batches(settings)


def test_a_film_that_cannot_be_read_costs_the_others_nothing(videos, tmp_path, monkeypatch):
    (videos / "broken.mp4").write_bytes(b"no film")
    monkeypatch.chdir(videos.parent)
    done = call("labels", videos.name, "--out", tmp_path / "labels.json", "--frames", 3)
    assert done.exit_code == 0
    assert "left out: " in done.stderr and "2 of 3 videos" in done.stderr
    names = [f"films/train/film{number}.mp4" for number in (0, 1)]
    assert sorted(read_labels(tmp_path / "labels.json", num_cells=265)) == names, "as typed or not"


def test_labels_go_on_where_they_were_stopped(videos, tmp_path, monkeypatch):
    """What a killed call has found stands in a file beside, its last line torn."""
    from gaze.train import films

    out, part = tmp_path / "labels.json", tmp_path / "labels.json.3-0.part"
    assert call("labels", videos, "--out", out, "--frames", 3).exit_code == 0
    assert not part.exists()
    whole = json.loads(out.read_text())
    (first, entry), (second, _) = sorted(whole.items())
    line = json.dumps({"key": first, **entry})
    part.write_text(f"{line}\n{line[:40]}")
    opened, read = [], films.whole_film
    monkeypatch.setattr(
        films, "whole_film", lambda film, **k: opened.append(film) or read(film, **k)
    )
    out.write_text("of before")
    assert call("labels", videos, "--out", out, "--frames", 3).exit_code == 0
    assert [film.name for film in opened] == [second.rpartition("/")[2]]
    assert json.loads(out.read_text()) == whole
    assert not part.exists()


def test_mistakes_are_told_in_a_sentence(videos, tmp_path):
    (tmp_path / "empty").mkdir()
    for words, said in (
        (("labels", tmp_path / "empty"), "holds no video"),
        (("labels", videos, "--frames", 16), "has 6 frames"),
        (("train", "grpo", "--config", "mini-ntp", "--out", tmp_path), "of stage 'ntp'"),
        (("evaluate", "--weights", tmp_path, "--also", "ntp"), "NAME=WEIGHTS"),
    ):
        found = call(*words)
        assert isinstance(found.exception, UserError) and said in str(found.exception)


@pytest.fixture
def drawn_scenes(tmp_path, monkeypatch, pixels):
    """A cache in which scenes are drawn already: a window each, of moving squares."""
    monkeypatch.setenv("HLVID_CACHE", str(tmp_path / "cache"))
    scenes._stored.cache_clear()
    for split, number in (("validation", 4), ("test", 1)):
        for scene in range(number):
            path = scenes._path(split, scene, 224)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, pixels(1, scenes.RUN_FRAMES, 224, seed=scene).numpy())
    yield
    scenes._stored.cache_clear()


@pytest.mark.usefixtures("drawn_scenes")
def test_a_checkpoint_of_another_loss_is_measured_at_its_own_positions(videos, tmp_path):
    """It is compared at kept ratios, and no loss is asked of it."""
    config = GazeConfig(width=16, num_layers=1, num_heads=2, mlp_width=16)
    weights, out = tmp_path / "weights", tmp_path / "out"
    write_model(weights, AutoGaze.from_seed(config, 0), threshold=0.7)
    words = ("--weights", weights, "--folder", videos, "--clips", 2, "--frames", 2, "--scenes", 1)
    told = call("evaluate", *words, "--out", out)
    assert told.exit_code == 0 and told.stdout == (out / "evaluation.md").read_text()
    assert "No loss is asked for: `videomae` is predicted" in told.stdout
    assert "loss asked for |" not in told.stdout
    found = json.loads((out / "evaluation.json").read_text())
    assert (found["positions"], found["predicts"], found["asked"]) == ("released", "videomae", [])
    names = [one["name"] for one in found["evaluations"]]
    assert names == ["synthetic", "moving", "scenes", "real"]
    assert all((out / f"{name}.svg").is_file() for name in names)
