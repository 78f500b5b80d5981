"""From settings to clips and batches."""

from __future__ import annotations

from pathlib import Path

from gaze.train.batches import Batch, DrawnBatches, Gazes, LabelledBatches
from gaze.train.clips import Clips, Mixture, Split
from gaze.train.films import FilmClips, carried_films, films_in, films_of, folder_clips
from gaze.train.label_file import key_of, read_labels
from gaze.train.moving import DRIFTING, CarriedClips, MovingClips, PaintedClips
from gaze.train.scenes import SceneClips
from gaze.train.settings import DataSettings, TrainSettings
from hlvid.errors import UserError

_VALIDATION_SCENES = 4


def clips_of(data: DataSettings, split: Split, *, seed: int, size: int) -> Clips:
    """Clips of a split. Scenes that are not in the cache are drawn now.

    Args:
        data: What they are made of.
        split: What they are for. Nothing that is trained on is validated with.
        seed: Another seed, other clips.
        size: S, pixels of a side.

    Raises:
        UserError: There is nothing to cut clips from, or the cache may not be written.
    """
    if data.folder is not None:
        folder = Path(data.folder)
        return folder_clips(folder, split, seed=seed, num_frames=data.num_frames, size=size)
    drifting = data.drifting if split == "training" else DRIFTING
    parts: list[tuple[float, Clips]] = [
        (weight, kind(split, seed, data.num_frames, size, drifting))
        for weight, kind in (
            (data.moving, MovingClips),
            (data.painted, PaintedClips),
            (data.carried, CarriedClips),
        )
    ]
    if data.scenes:
        num_scenes = data.num_scenes if split == "training" else _VALIDATION_SCENES
        scenes = SceneClips(split, seed, data.num_frames, num_scenes, size)
        scenes.prepare()
        parts.append((data.scenes, scenes))
    if data.films and (films := carried_films(split)):
        parts.append((data.films, FilmClips(films, seed, data.num_frames, size)))
    wanted = [(weight, part) for weight, part in parts if weight]
    if not wanted:
        raise UserError("[data]: nothing to train on. Give one of the shares a value above 0.")
    return Mixture([part for _, part in wanted], [weight for weight, _ in wanted], seed)


def training_batches(settings: TrainSettings) -> DrawnBatches | LabelledBatches:
    """The batches of a stage, by number.

    Raises:
        UserError: As `clips_of`, or no film has labels in the file that is named, or there is only
            one: labels are of whole films, so that none would be left to validate with; or gains
            are wanted of labels that hold none.
    """
    data, pyramid = settings.data, settings.model.pyramid()
    if data.labels is not None:
        if data.folder is None or settings.stage != "ntp":
            raise UserError("[data] labels: belong to a folder of videos and to the first stage.")
        if settings.ntp.sharpness is not None:
            raise UserError(
                "[ntp] sharpness: needs what every cell gains, and files of labels tell the chosen "
                "ones alone. Leave out sharpness, or labels."
            )
        folder = Path(data.folder)
        if len(films_in(folder)) == 1:
            raise UserError(f"{folder}: holds one video. Labels need two: one is held out.")
        entries = read_labels(Path(data.labels), num_cells=sum(pyramid.cells_per_scale))
        films = films_of(folder, "training")
        pairs = [(film, entries[key_of(film)]) for film in films if key_of(film) in entries]
        if not pairs:
            raise UserError(f"{data.labels}: has no label of a training video in {folder}.")
        return LabelledBatches(pairs, settings.batch_size, pyramid.size, settings.seed)
    clips = clips_of(data, "training", seed=settings.seed, size=pyramid.size)
    gazes: Gazes = "none"
    if settings.stage == "ntp":
        is_soft = settings.ntp.sharpness is not None
        gazes = "own" if settings.ntp.own else "greedy-gains" if is_soft else "greedy"
    return DrawnBatches(
        clips, settings.batch_size, settings.seed, settings.budgets, pyramid, gazes=gazes
    )


def validation_batch(settings: TrainSettings) -> Batch:
    """The clips by which a run's best model is chosen; the same for every seed.

    Raises:
        UserError: As `clips_of`.
    """
    size = settings.model.pyramid().size
    clips = clips_of(settings.data, "validation", seed=0, size=size)
    return DrawnBatches(clips, settings.validation_clips)[0]
