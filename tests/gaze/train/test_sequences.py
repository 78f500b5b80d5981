import pytest
import torch

from gaze.config import GazeConfig
from gaze.model import AutoGaze
from gaze.preprocess import normalize
from gaze.train.judging import choose
from gaze.train.rollout import sample
from gaze.train.sequences import Costs, Sequences, score

CONFIG = GazeConfig(width=48, num_layers=2, num_heads=2, mlp_width=32, positions="natural")


@pytest.fixture(scope="module")
def model():
    return AutoGaze.from_seed(CONFIG, 4)


def ragged(counts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    clips = [[torch.randperm(265, generator=generator)[:n].tolist() for n in c] for c in counts]
    return Sequences.from_lists(clips)


def test_scores_are_those_of_the_model(model, pixels):
    video = normalize(pixels(3, 3, 224))
    sequences = ragged([[10, 3, 21], [1, 20, 5], [9, 11, 10]])
    features, _ = model.encoder(video)
    ours = score(model.decoder, features, sequences)
    gaze = sequences.gaze(CONFIG.cells_per_scale)
    theirs = model.log_prob(video, gaze)
    slots = sequences.ids.shape[-1]
    for found, expected in zip(ours[:2], theirs, strict=True):
        expected = expected.unflatten(1, (3, slots))
        assert (found - expected)[sequences.is_real].abs().max() < 1e-4
        assert (found[~sequences.is_real] == 0).all()


def test_a_clip_scores_the_same_alone_and_in_a_batch(model, pixels):
    features, _ = model.encoder(normalize(pixels(2, 2, 224)))
    sequences = ragged([[10, 7], [23, 2]])
    both = score(model.decoder, features, sequences, excludes_chosen=True)
    for clip in range(2):
        alone = score(
            model.decoder,
            features[clip : clip + 1],
            Sequences.from_lists([sequences.lists()[clip]]),
            excludes_chosen=True,
        )
        for found, expected in zip(alone[:2], both[:2], strict=True):
            width = found.shape[-1]
            assert torch.allclose(found[0], expected[clip][..., :width], atol=1e-5)


def test_excluded_ids_have_no_probability(model, pixels):
    features, _ = model.encoder(normalize(pixels(1, 1, 224)))
    everything = Sequences(torch.arange(265).view(1, 1, 265))
    scored = score(model.decoder, features, everything, excludes_chosen=True)
    assert scored.log_prob[0, 0, -1] == 0  # the last one left is certain
    plain = score(model.decoder, features, everything)
    assert (scored.log_prob >= plain.log_prob - 1e-5).all()


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_what_a_draw_costs_is_counted_cell_by_cell(model, pixels, temperature):
    """At each place: the cells' probabilities, one score a cell, times what each costs."""
    features, _ = model.encoder(normalize(pixels(1, 2, 224)))
    before = [[200, 7, 31], [90]]
    values = torch.rand(1, 2, 3, 265, generator=torch.Generator().manual_seed(3))
    asked = Costs(values, temperature)
    sequences = Sequences.from_lists([before])
    found = score(model.decoder, features, sequences, excludes_chosen=True, costs=asked).cost
    for frame, slot in ((0, 0), (0, 2), (1, 0)):
        used = before[frame][:slot]
        log_prob = torch.full((265,), -torch.inf)
        for cell in range(265):
            if cell not in used:
                tried = [*before[:frame], [*used, cell]]
                one = Sequences.from_lists([[*tried, *[[0]] * (1 - frame)]])
                scored = score(model.decoder, features, one, excludes_chosen=True)
                log_prob[cell] = scored.log_prob[0, frame, slot]
        share = (log_prob / temperature).softmax(0)
        expected = float((share * values[0, frame, slot]).sum())
        assert float(found[0, frame, slot]) == pytest.approx(expected, rel=1e-4)
    assert found[0, 1, 1:].tolist() == [0, 0]


def test_gradients_are_those_of_finite_differences(pixels):
    config = GazeConfig(
        width=8, num_layers=2, num_heads=2, mlp_width=8, patch_size=4, image_size=8, scales=(4, 8)
    )
    model = AutoGaze.from_seed(config, 1).double().requires_grad_(True)
    video = normalize(pixels(1, 2, 8)).double()
    sequences = Sequences.from_lists([[[0, 3], [4, 1, 2]]])

    def objective():
        features, _ = model.encoder(video)
        scored = score(model.decoder, features, sequences, excludes_chosen=True)
        return scored.log_prob.sum() + scored.loss.square().sum()

    objective().backward()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            flat, step = parameter.view(-1), 1e-4
            place = int(parameter.grad.abs().argmax())
            before = float(flat[place])
            values = []
            for sign in (1, -1):
                flat[place] = before + sign * step
                values.append(float(objective()))
            flat[place] = before
            slope = (values[0] - values[1]) / (2 * step)
            found = float(parameter.grad.view(-1)[place])
            assert slope == pytest.approx(found, rel=2e-2, abs=1e-4), name


def test_choices_are_those_of_the_model(model, pixels):
    video = pixels(3, 2, 224)
    for controls in ({"ratio": 0.09}, {"ratio": 0.3, "threshold": 0.0}):
        found = choose(model, video, **controls)
        gaze = model.select(
            normalize(video),
            gazing_ratio=controls["ratio"],
            task_loss_requirement=controls.get("threshold"),
        )
        assert found.lists() == [[f.tolist() for f in gaze.kept(clip)] for clip in range(3)]


def test_choices_are_those_of_the_model_at_its_own_positions(pixels):
    """Of weights so large that positions matter."""
    video, found = pixels(3, 2, 224), {}
    for positions in ("released", "natural"):
        model = AutoGaze.from_seed(CONFIG, 4, positions=positions)
        with torch.no_grad():
            for parameter in model.decoder.parameters():
                parameter.mul_(8)
        chosen = choose(model, video, ratio=0.3).lists()
        gaze = model.select(normalize(video), gazing_ratio=0.3)
        assert chosen == [[f.tolist() for f in gaze.kept(clip)] for clip in range(3)]
        found[positions] = chosen
    assert found["released"] != found["natural"]


def test_draws_follow_seed_lengths_and_temperature(model, pixels):
    features, _ = model.encoder(normalize(pixels(2, 2, 224)))
    caps = torch.tensor([[4, 25], [1, 12]])
    with torch.no_grad():
        first, again, other = (
            sample(model.decoder, features, caps, temperature=1.0, seed=seed) for seed in (1, 1, 2)
        )
        cold = sample(model.decoder, features, caps, temperature=1e-6, seed=3)
    assert torch.equal(first.count, caps)
    assert first.lists() == again.lists() != other.lists()
    assert all(len(set(frame)) == len(frame) for clip in first.lists() for frame in clip)
    likeliest = choose(model, pixels(2, 2, 224), ratio=4 / 265)
    assert cold.lists()[0][0] == likeliest.lists()[0][0]


def test_draws_are_as_likely_as_their_scores_say(pixels):
    config = GazeConfig(
        width=8, num_layers=1, num_heads=1, mlp_width=8, patch_size=4, image_size=8, scales=(4, 8)
    )
    model = AutoGaze.from_seed(config, 2)
    features, _ = model.encoder(normalize(pixels(1, 1, 8)))
    many = features.expand(4000, -1, -1, -1)
    with torch.no_grad():
        found = sample(model.decoder, many, torch.full((4000, 1), 2), temperature=1.5, seed=0)
        pairs = found.ids[:, 0]
        for pair in ([0, 1], [3, 0], [2, 4]):
            scored = score(
                model.decoder,
                features,
                Sequences.from_lists([[pair]]),
                excludes_chosen=True,
                temperature=1.5,
            )
            expected = float(scored.log_prob.sum().exp())
            share = float((pairs == torch.tensor(pair)).all(1).float().mean())
            assert share == pytest.approx(expected, abs=4 * (expected / 4000) ** 0.5 + 1e-3)
