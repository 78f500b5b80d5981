import itertools
import json

import numpy as np
import pytest
import torch

from gaze.train.label_file import Entry, key_of, read_labels, write_labels
from gaze.train.labels import Budgets, along, greedy, greedy_slow
from gaze.train.pyramid import Pyramid
from gaze.train.sequences import Sequences
from hlvid.errors import UserError

SMALL = Pyramid((1, 2, 3, 6), patch_size=8)
SMALL_CELLS = sum(SMALL.cells_per_scale)


def test_the_closed_form_is_the_slow_search(pixels):
    video = pixels(3, 3, SMALL.size, seed=5)
    budgets = torch.tensor([[7, 1, 4], [3, 9, 2], [12, 5, 6]])
    fast = greedy(SMALL.table(video), budgets)
    slow = greedy_slow(SMALL, video, budgets)
    assert fast.sequences.lists() == slow.sequences.lists()
    assert torch.allclose(fast.losses, slow.losses, atol=1e-5)


def test_losses_fall_and_are_those_of_the_reconstruction(pixels):
    pyramid = Pyramid()
    video = pixels(2, 2, 224)
    labels = greedy(pyramid.table(video), torch.tensor([[20, 12], [6, 30]]))
    final = pyramid.losses(video, labels.sequences.gaze(pyramid.cells_per_scale))
    for clip, losses in enumerate(labels.loss_lists()):
        for frame, noted in enumerate(losses):
            assert all(a >= b - 1e-6 for a, b in itertools.pairwise(noted))
            assert noted[-1] == pytest.approx(float(final[clip, frame]), abs=1e-5)


@pytest.mark.parametrize("gazes", ["greedy", "any"])
def test_gains_are_what_each_cell_would_have_lowered_the_loss_by(pixels, gazes):
    table = SMALL.table(pixels(2, 2, SMALL.size, seed=3))
    if gazes == "greedy":
        labels = greedy(table, torch.tensor([[5, 4], [3, 6]]), keeps_gains=True)
    else:
        drawn = torch.stack([torch.randperm(SMALL_CELLS)[:5] for _ in range(4)]).view(2, 2, 5)
        drawn[1, 0, 3:] = -1
        labels = along(table, Sequences(drawn))
        assert labels.sequences.ids.equal(drawn)
    before = torch.zeros(2, 2, SMALL_CELLS, dtype=torch.bool)
    for clip, frames in enumerate(labels.sequences.lists()):
        for frame, ids in enumerate(frames):
            for slot, chosen in enumerate(ids):
                gains = labels.gains[clip, frame, slot].float()
                now = table.losses(before)[clip, frame]
                for cell in range(SMALL_CELLS):
                    tried = before.clone()
                    tried[clip, frame, cell] = True
                    gain = float(now - table.losses(tried)[clip, frame])
                    is_kept = bool(before[clip, frame, cell])
                    assert float(gains[cell]) == pytest.approx(
                        0 if is_kept else max(0, gain), abs=2e-3
                    )
                assert gazes == "any" or gains[chosen] == gains.max()
                before[clip, frame, chosen] = True


def test_labels_along_greedy_gazes_are_greedy_labels(pixels):
    table = SMALL.table(pixels(2, 3, SMALL.size, seed=4))
    budgets = torch.tensor([[5, 4, 1], [3, 6, 2]])
    asked = greedy(table, budgets, stops_early=True, keeps_gains=True)
    found = along(table, asked.sequences)
    assert found.sequences.ids.equal(asked.sequences.ids)
    assert found.losses.equal(asked.losses)
    assert found.gains.equal(asked.gains)


def test_losses_along_any_gazes_are_those_of_the_reconstruction(pixels):
    table = SMALL.table(pixels(2, 2, SMALL.size, seed=5))
    drawn = torch.stack([torch.randperm(SMALL_CELLS)[:6] for _ in range(4)]).view(2, 2, 6)
    labels = along(table, Sequences(drawn))
    last = labels.losses.gather(2, labels.sequences.count.sub(1).unsqueeze(2)).squeeze(2)
    assert torch.allclose(last, table.losses(labels.sequences.mask(SMALL_CELLS)), atol=1e-6)


def test_a_frame_that_shows_nothing_new_ends_early(pixels):
    still = pixels(1, 1, SMALL.size).expand(-1, 2, -1, -1, -1)
    total = sum(SMALL.cells_per_scale)
    budgets = torch.tensor([[total, 5]])
    labels = greedy(SMALL.table(still), budgets, stops_early=True)
    assert labels.sequences.count[0, 1] == 1
    assert greedy(SMALL.table(still), budgets).sequences.count[0].tolist() == [total, 5]


def test_budgets_follow_the_restricted_exponential():
    rng = np.random.default_rng(0)
    drawn = np.array([Budgets().draw(rng, 16, 265) for _ in range(2000)])
    ratio = drawn.sum(1) / (16 * 265)
    assert drawn.min() >= 1
    assert ratio.min() > 0.018 and ratio.max() < 0.205
    scale, low, high = 0.1, 0.02, 0.2
    weight = np.exp(-np.linspace(low, high, 10001) / scale)
    expected = (np.linspace(low, high, 10001) * weight).sum() / weight.sum()
    assert ratio.mean() == pytest.approx(expected, abs=0.003)
    parts = drawn / drawn.sum(1, keepdims=True)
    assert parts[:, 0].mean() == pytest.approx(10 / (10 + 15 * 3), abs=0.01)


def test_label_files_survive_a_round_trip_and_are_upstreams(tmp_path, pixels):
    labels = greedy(SMALL.table(pixels(1, 2, SMALL.size)), torch.tensor([[4, 3]]))
    entry = Entry(labels.sequences.lists()[0], labels.loss_lists()[0])
    video = tmp_path / "InternVid" / "train" / "clip.mp4"
    path = tmp_path / "gazing_labels.json"
    write_labels(path, {key_of(video): entry})
    raw = json.loads(path.read_text())
    assert list(raw) == ["InternVid/train/clip.mp4"]
    assert set(raw["InternVid/train/clip.mp4"]) == {"gazing_pos", "task_losses"}
    assert read_labels(path, num_cells=50) == {key_of(video): entry}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "dict"),
        ("{", "not JSON"),
        ('{"a": {"gazing_pos": [[1]]}}', "task_losses"),
        ('{"a": {"gazing_pos": [[1]], "task_losses": [[1.0, 2.0]]}}', "different shapes"),
        ('{"a": {"gazing_pos": [[]], "task_losses": [[]]}}', "without ids"),
        ('{"a": {"gazing_pos": [[265]], "task_losses": [[0.5]]}}', "below 265"),
        ('{"a": {"gazing_pos": [[3, 3]], "task_losses": [[0.5, 0.5]]}}', "twice"),
        ('{"a": {"gazing_pos": [[3]], "task_losses": [[NaN]]}}', "finite"),
    ],
)
def test_broken_label_files_are_refused(tmp_path, content, said):
    path = tmp_path / "gazing_labels.json"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        read_labels(path, num_cells=265)
