import subprocess
import sys

import numpy as np
import pytest

from gaze.train import carried, painted
from gaze.train.clips import Mixture, draws
from gaze.train.films import FilmClips, carried_films, films_of, whole_film
from gaze.train.moving import VALIDATION, CarriedClips, MovingClips, PaintedClips, names
from gaze.train.settings import DataSettings
from gaze.train.sources import clips_of
from hlvid.errors import UserError
from hlvid.synthetic import photographs
from hlvid.synthetic.encoding import encode


@pytest.fixture
def film(tmp_path):
    """Twelve frames of 96 x 64 pixels, each brighter than the last."""
    planes = [np.full((96, 96), 60 + 10 * number, dtype=np.uint8) for number in range(12)]
    for plane in planes:
        plane[64:] = 128  # no colour
    encode(planes, tmp_path / "film.mp4", fps=10)
    return tmp_path / "film.mp4"


def test_photographs_belong_to_one_split_each():
    splits = [set(names(split)) for split in ("training", "validation", "test")]
    assert splits[1] == set(VALIDATION)
    assert splits[2] == {photo.file for photo in photographs.catalogue() if photo.is_reserved}
    assert sum(map(len, splits)) == len(set.union(*splits)) == len(photographs.catalogue())


def test_a_clip_depends_on_seed_and_index_alone():
    clips = MovingClips("training", 3, 4)
    first = [clips.clip(index).pixels for index in (7, 2, 5)]
    again = [MovingClips("training", 3, 4).clip(index).pixels for index in (5, 7, 2)]
    assert np.array_equal(first[0], again[1])
    assert np.array_equal(first[1], again[2])
    assert np.array_equal(first[2], again[0])
    assert not np.array_equal(first[0], MovingClips("training", 4, 4).clip(7).pixels)
    assert first[0].shape == (4, 3, 224, 224) and first[0].dtype == np.uint8


def test_only_training_clips_drift_more_often():
    def clips(split, drifting):
        data = DataSettings(num_frames=8, moving=1, scenes=0, films=0, drifting=drifting)
        found = clips_of(data, split, seed=0, size=32)
        return [found.clip(index).pixels.astype(float) for index in range(24)]

    def change(many):
        return np.mean([abs(pixels[-1].mean() - pixels[0].mean()) for pixels in many])

    assert change(clips("training", 1.0)) > 1.5 * change(clips("training", 0.0))
    assert np.array_equal(clips("validation", 1.0), clips("validation", 0.0))


def test_painted_clips_are_of_pictures_that_no_other_split_shows():
    first = PaintedClips("training", 0, 3, 32)
    clip, again = first.clip(30), PaintedClips("training", 0, 3, 32).clip(30)
    assert np.array_equal(clip.pixels, again.pixels) and clip.pixels.shape == (3, 3, 32, 32)
    sources = {first.clip(index).source for index in range(48)}
    assert len(sources) > 6  # a few pictures serve a dozen clips
    others = {PaintedClips("validation", 0, 3, 32).clip(index).source for index in range(48)}
    others |= {PaintedClips("training", 1, 3, 32).clip(index).source for index in range(48)}
    assert not sources & others
    pictures = [painted.picture(painted.name_of("training", n)).astype(float) for n in range(6)]
    assert len({picture.mean() for picture in pictures}) == 6
    assert all(picture.shape == (768, 1152, 3) and picture.std() > 3 for picture in pictures)


def test_workers_make_the_batches_that_one_process_makes():
    code = (
        "from gaze.train.batches import DrawnBatches, load\n"
        "from gaze.train.moving import MovingClips, PaintedClips\n"
        "from gaze.train.labels import Budgets\n"
        "if __name__ == '__main__':\n"
        "    clips = MovingClips('validation', 0, 2)\n"
        "    batches = DrawnBatches(clips, 2, 0, Budgets(), gazes='greedy')\n"
        "    plain, made = (load(batches, range(3, 7, 2), num_workers=n) for n in (0, 1))\n"
        "    for a, b in zip(plain, made, strict=True):\n"
        "        assert a.number == b.number and a.pixels.equal(b.pixels)\n"
        "        assert a.labels.sequences.ids.equal(b.labels.sequences.ids)\n"
        "        print(a.number)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.split() == ["3", "5"], ran.stderr


def test_training_never_opens_a_reserved_photograph(tmp_path):
    """An audit hook sees every file that the interpreter opens, whoever asks for it."""
    code = (
        "import sys\n"
        "opened = set()\n"
        "sys.addaudithook(lambda event, args: opened.add(str(args[0])) if event == 'open' else 0)\n"
        "from gaze.train import scenes\n"
        "from gaze.train.settings import DataSettings\n"
        "from gaze.train.sources import clips_of\n"
        "data = DataSettings(num_frames=2, num_scenes=1, films=0)\n"
        "for split in ('training', 'validation'):\n"
        "    scenes._draw(split, 0, 224)\n"  # here, and not in processes that have no hook
        "for split, data in {\n"
        "    'training': data,\n"
        "    'validation': data.model_copy(update={'scenes': 0}),\n"
        "}.items():\n"
        "    clips = clips_of(data, split, seed=0, size=224)\n"
        "    for index in range(60):\n"
        "        clips.clip(index)\n"
        "    assert clips_of(data, split, seed=0, size=224).clip(3) is not None\n"
        "print(*sorted(opened), sep='\\n')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"HLVID_CACHE": str(tmp_path), "PATH": ""},
    )
    assert ran.returncode == 0, ran.stderr
    opened = {line.rpartition("/")[2] for line in ran.stdout.splitlines()}
    everything = {photo.file for photo in photographs.catalogue()}
    reserved = {photo.file for photo in photographs.catalogue() if photo.is_reserved}
    assert opened & everything == everything - reserved
    scenes = list(tmp_path.rglob("training-*.npy"))
    assert len(scenes) == 1 and np.load(scenes[0]).shape == (12, 16, 3, 224, 224)


def test_films_are_cut_in_time_and_place(film):
    clips = FilmClips([film], 0, 4, 32)
    found = [clips.clip(index) for index in range(8)]
    assert {clip.source for clip in found} == {"film.mp4"}
    for clip in found:
        means = clip.pixels.reshape(4, -1).mean(1)
        assert clip.pixels.shape == (4, 3, 32, 32)
        steps = np.diff(means)
        assert (steps > 0).all() and np.ptp(steps) < 0.5 * steps.mean()
    assert len({round(float(clip.pixels[0].mean())) for clip in found}) > 1


def test_a_film_shorter_than_a_clip_is_refused(film):
    with pytest.raises(UserError, match="16 are needed"):
        FilmClips([film], 0, 16, 32).clip(0)


def test_carried_films_are_on_one_side_only():
    training, test = carried_films("training"), carried_films("test")
    assert [path.name for path in training] == ["bigbuckbunny.mp4"]
    assert [path.name for path in test] == ["bikes.mp4", "carphone_pristine.mp4"]


def test_carried_photographs_are_trained_on_and_chosen_by_but_never_measured_on():
    splits = {split: carried.names(split) for split in ("training", "validation", "test")}
    assert not set(splits["training"]) & set(splits["validation"]) and not splits["test"]
    for split in ("training", "validation"):
        found = [CarriedClips(split, 0, 2, 32).clip(index) for index in range(40)]
        assert {clip.source for clip in found} == set(splits[split])
        assert all(clip.pixels.std() > 0 for clip in found)
    data = DataSettings(num_frames=2, moving=0, scenes=0, films=0, carried=1)
    assert clips_of(data, "training", seed=0, size=32).clip(0).source in splits["training"]


def test_a_photograph_that_is_not_installed_is_named():
    name = f"{carried.PREFIX}never-carried.png"
    with pytest.raises(UserError, match=f"{name}: is not installed.*carried = 0"):
        carried.pixels(name)


def test_a_mixture_draws_by_weight():
    parts = [MovingClips(split, 0, 1, 8) for split in ("training", "validation")]
    mixture = Mixture(parts, [1, 3], 0)
    sources = [mixture.clip(index).source for index in range(60)]
    share = sum(source in VALIDATION for source in sources) / len(sources)
    assert 0.55 < share < 0.92


def brightness(path, *, low, num_frames):
    """A film each of whose frames is one step brighter than the last."""
    planes = [np.full((96, 96), low + number, dtype=np.uint8) for number in range(num_frames)]
    for plane in planes:
        plane[64:] = 128  # no colour
    encode(planes, path, fps=10)


def shown(clips, number):
    """Brightness of every frame of some clips."""
    found = [clips.clip(index).pixels.mean((1, 2, 3)) for index in range(number)]
    return np.concatenate(found)


def test_one_film_in_eight_is_held_out_for_validation(tmp_path):
    def split(split, number):
        return [path.name for path in films_of(tmp_path / str(number), split)]

    for number in (2, 7, 16, 40):
        names = [f"{index}.mp4" for index in range(number)]
        (tmp_path / str(number)).mkdir()
        for name in names:
            (tmp_path / str(number) / name).touch()
        training, validation = split("training", number), split("validation", number)
        assert len(validation) == max(1, number // 8)
        assert sorted(training + validation) == sorted(names)
        assert split("test", number) == sorted(names)
    (tmp_path / "40").rename(tmp_path / "moved")  # the split is in the names alone
    assert [path.name for path in films_of(tmp_path / "moved", "validation")] == validation


def test_what_is_trained_on_is_not_validated_with(tmp_path):
    for number in range(3):
        brightness(tmp_path / f"film{number}.mp4", low=40 + 50 * number, num_frames=12)
    data = DataSettings(num_frames=3, folder=str(tmp_path))
    training, validation = (
        {clips_of(data, split, seed=0, size=32).clip(index).source for index in range(24)}
        for split in ("training", "validation")
    )
    assert len(training) == 2 and len(validation) == 1
    assert not training & validation


def test_a_film_that_is_alone_is_split_in_time(tmp_path):
    brightness(tmp_path / "film.mp4", low=40, num_frames=64)
    data = DataSettings(num_frames=2, folder=str(tmp_path))
    training, validation, test = (
        shown(clips_of(data, split, seed=0, size=32), 80)
        for split in ("training", "validation", "test")
    )
    assert training.max() < validation.min()
    assert validation.max() - validation.min() < 0.25 * (training.max() - training.min())
    assert test.min() < training.max() < validation.min() < test.max()
    short = DataSettings(num_frames=40, folder=str(tmp_path))
    with pytest.raises(UserError, match="80 are needed"):
        clips_of(short, "validation", seed=0, size=32).clip(0)


def test_splits_of_a_folder_and_films_that_ship_have_draws_of_their_own(film):
    splits = [shown(FilmClips([film], 0, 4, 32, split), 8) for split in ("training", "test", None)]
    assert not np.array_equal(splits[0], splits[1])
    assert not np.array_equal(splits[1], splits[2])
    draw = draws("film", 0, 5)  # as the shipped runs were begun
    assert int(draw.integers(1)) == 0
    step = int(draw.integers(1, 4))
    spread = 3 * step
    first = int(draw.integers(12 - spread))
    frames = FilmClips([film], 0, 4, 32).clip(5).pixels.mean((1, 2, 3))
    whole = whole_film(film, num_frames=12, size=32).mean((1, 2, 3))
    assert frames == pytest.approx(whole[first : first + spread + 1 : step], abs=1)
