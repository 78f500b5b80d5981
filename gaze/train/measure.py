"""The measurement of a checkpoint from its weights to its pages, and its publication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gaze.config import Positions
from gaze.model import AutoGaze
from gaze.train.arms import Scales
from gaze.train.calibrate import Asked, Calibration, ask, calibrate, check_kind
from gaze.train.clips import Clip, Clips, Split
from gaze.train.evaluate import (
    CURVE_RATIOS,
    RATIOS,
    Crossing,
    Estimate,
    Evaluation,
    HeldOut,
    Tell,
    better_scales,
    compare,
    control_losses,
    model_losses,
    needed_ratio,
)
from gaze.train.films import FilmClips, carried_films, folder_clips
from gaze.train.judging import chosen_losses
from gaze.train.moving import CarriedClips, MovingClips
from gaze.train.pyramid import Pyramid
from gaze.train.report import asked_table, picture, shown, table
from gaze.train.scenes import SceneClips
from gaze.train.state import write_model
from hlvid.console import progress
from hlvid.errors import UserError
from hlvid.files import write_bytes, write_json
from hlvid.synthetic import photographs
from hlvid.types import Record

SEEDS: dict[Split, int] = {"validation": 0, "test": 3}
"""Of clips. Those of the test's seeds 0 to 2 were looked at while the checkpoint that ships was
made; by these nothing was chosen."""
TARGET_RATIO = 0.1
"""The fixed loss is the first model's at this ratio."""
ALL = slice(None)
KINDS = {"moving": slice(0, None, 2), "scenes": slice(1, None, 2)}
"""The synthetic clips, which take turns."""
PARTS = {"synthetic": {"synthetic": ALL, **KINDS}, "real": {"real": ALL}}
"""Of each set of clips what is reported: all together and, where there are kinds, each apart."""


def clusters_of(part: str) -> str:
    """What the sources of some test clips are, and what they share.

    Drawn with every photograph flat in its mean colour, windows of eight test scenes kept 89 %
    (streets) and 94 % (rooms) of their luma's variance and 87 and 88 % of its gradient energy
    (medians): most of what a scene shows is its own.
    """
    number = len(photographs.names("benchmark"))
    shared = (
        f"Scenes share their surfaces and pictures, which are all from the same {number} "
        "photographs; layout, words and colours are each scene's own. So an interval tells of "
        "other scenes with these photographs, not of other photographs."
    )
    return {
        "moving": f"the photograph that a clip pans over, one of {number}.",
        "scenes": f"the scene. {shared}",
        "synthetic": f"the photograph that a moving clip pans over, one of {number}, and the scene "
        f"of the other clips. {shared}",
        "real": "the film.",
    }[part]


class Needed(Record):
    """The share of cells that a model needs for a loss."""

    clips: str
    """On which clips."""
    model: str
    loss: float
    ratio: Estimate | None
    """None where it never gets so low."""
    times: Estimate | None
    """How many times the first model's share that is, on the same resamples; None of the first, and
    where there is no ratio."""


class Measurement(Record):
    """What `hlvid-gaze evaluate` writes."""

    weights: str
    weights_sha256: str
    positions: Positions
    """At which it was decoded: its own."""
    predicts: str
    """The kind of loss that its threshold asks for."""
    evaluations: tuple[Evaluation, ...]
    needed: tuple[Needed, ...]
    asked: tuple[Asked, ...]
    """Losses asked for by threshold, and what they gave, on the synthetic clips. None where the
    checkpoint predicts another kind of loss than is measured."""


def measure(
    weights: str,
    out: Path,
    *,
    also: Mapping[str, str],
    folder: Path | None,
    num_clips: int,
    num_frames: int,
    num_scenes: int,
    label: str = "autogaze",
) -> str:
    """Measure a checkpoint on held-out clips.

    Args:
        weights: `mini`, folder or hub id.
        out: Folder to write.
        also: Other checkpoints, for the ratio that a loss needs.
        folder: Real videos that were not trained on; by default films that an installed package
            carries.
        num_clips: Of each set.
        num_frames: T.
        num_scenes: Rendered scenes of the test split.
        label: What it is called beside the other checkpoints.

    Returns:
        The tables.

    Raises:
        UserError: A checkpoint chooses among other cells, or a video cannot be read.
    """
    from gaze.checkpoint import find_checkpoint

    pyramid = Pyramid()
    model = load_model(weights, pyramid)
    checked = synthetic("validation", num_clips, num_frames, num_scenes=4, size=pyramid.size)
    sets = {"synthetic": synthetic("test", num_clips, num_frames, num_scenes, size=pyramid.size)}
    if (real := _real(folder, num_clips, num_frames, pyramid.size)) is not None:
        sets["real"] = real
    with progress(len(checked.pixels) * (1 + 2 * len(sets)), "evaluate") as bar:
        scales = better_scales(control_losses(checked, pyramid, tell=bar.advance))
        evaluations = tuple(
            evaluation
            for name, held in sets.items()
            for evaluation in evaluations_of(name, held, model, pyramid, scales, bar.advance)
        )
    memory = model.config.clip_frames
    models = {label: model} | {
        name: load_model(other, pyramid, clip_frames=memory) for name, other in also.items()
    }
    asked = _asked(model, sets["synthetic"], pyramid)
    measurement = Measurement(
        weights=weights,
        weights_sha256=find_checkpoint(weights).sha256,
        positions=model.positions,
        predicts=model.config.loss_kind,
        evaluations=evaluations,
        needed=_needed(models, sets["synthetic"], pyramid),
        asked=asked,
    )
    write_json(out / "evaluation.json", measurement)
    text = "\n".join([*map(table, evaluations), _needed_table(measurement)])
    write_bytes(out / "evaluation.md", [text.encode()])
    for evaluation in evaluations:
        write_bytes(out / f"{evaluation.name}.svg", [picture(evaluation).encode()])
    return text


def evaluations_of(
    name: str,
    held: HeldOut,
    model: AutoGaze,
    pyramid: Pyramid,
    scales: Mapping[tuple[str, float], Scales],
    tell: Tell,
) -> list[Evaluation]:
    """Compare a model with the controls on all clips of a set, and on each kind of them apart.

    Args:
        name: Of the set, see `PARTS`.
        held: The clips.
        model: The model.
        pyramid: The loss.
        scales: Of `better_scales` on validation clips.
        tell: Told of clips that are done.
    """
    ours = model_losses(model, held, pyramid, ratios=RATIOS, tell=tell)
    controls = control_losses(held, pyramid, tell=tell)
    return [
        compare(
            part,
            held.part(which),
            {key: column[which] for key, column in ours.items()},
            {key: column[which] for key, column in controls.items()},
            scales,
            loss_kind=pyramid.kind,
            clusters=clusters_of(part),
        )
        for part, which in PARTS[name].items()
    ]


def publish(
    weights: Path, out: Path, *, ratio: float, num_clips: int, clip_frames: int | None = None
) -> Calibration:
    """Calibrate a checkpoint on validation clips and write it, its calibration beside it.

    Args:
        weights: Checkpoint folder.
        out: Checkpoint folder to write.
        ratio: The default threshold becomes the loss that the model has at this ratio.
        num_clips: Validation clips.
        clip_frames: What it is to gaze at before it forgets; its own by default.

    Raises:
        UserError: The checkpoint cannot be read or calibrated, or predicts another kind of loss.
    """
    pyramid = Pyramid()
    model = load_model(str(weights), pyramid, clip_frames=clip_frames)
    check_kind(model, pyramid)
    frames = model.config.clip_frames
    held = synthetic("validation", num_clips, frames, num_scenes=4, size=pyramid.size)
    target = round(float(chosen_losses(model, held.pixels, pyramid, ratio=ratio).mean()), 2)
    others = [round(target * factor, 3) for factor in (0.75, 1.25, 1.5)]
    found = calibrate(model, held.pixels, pyramid, target=target, others=others)
    write_model(out, model, threshold=target, ratio=0.75)
    write_json(out / "calibration.json", found)
    return found


def load_model(weights: str, pyramid: Pyramid, *, clip_frames: int | None = None) -> AutoGaze:
    """A checkpoint that chooses among the cells of a pyramid, whatever loss it predicts.

    Args:
        weights: `mini`, folder or hub id.
        pyramid: The cells.
        clip_frames: Frames that it gazes at before it forgets, instead of its own number: models
            that are compared remember equally far back.

    Raises:
        UserError: It cannot be read, or its cells are others.
    """
    model = AutoGaze.from_pretrained(weights)
    if clip_frames is not None:
        model.config = replace(model.config, clip_frames=clip_frames)
    if model.config.cells_per_scale != pyramid.cells_per_scale:
        raise UserError(f"{weights}: chooses among other cells than {pyramid.sides} a side.")
    return model


def synthetic(
    split: Split, num_clips: int, num_frames: int, num_scenes: int, *, size: int
) -> HeldOut:
    """Clips of photographs and of rendered scenes in turns, see `KINDS`.

    Few photographs ship: those of validation take turns with ones that are carried.
    """
    seed = SEEDS[split]
    scenes = SceneClips(split, seed, num_frames, num_scenes, size)
    scenes.prepare()
    kinds: list[Clips] = [MovingClips(split, seed, num_frames, size), scenes]
    if split == "validation":
        kinds += [CarriedClips(split, seed, num_frames, size), scenes]
    return HeldOut.of([kinds[index % len(kinds)].clip(index) for index in range(num_clips)])


def _real(folder: Path | None, num_clips: int, num_frames: int, size: int) -> HeldOut | None:
    if folder is not None:
        clips = folder_clips(folder, "test", seed=SEEDS["test"], num_frames=num_frames, size=size)
    elif films := carried_films("test"):
        clips = FilmClips(films, SEEDS["test"], num_frames, size)
    else:
        return None
    found: list[Clip] = [clips.clip(index) for index in range(num_clips)]
    return HeldOut.of(found)


def _asked(model: AutoGaze, held: HeldOut, pyramid: Pyramid) -> tuple[Asked, ...]:
    default, is_other = model.config.default_threshold, model.config.loss_kind != pyramid.kind
    if default is None or is_other:
        return ()
    return tuple(ask(model, held.pixels, pyramid, default * x) for x in (1.0, 0.75, 1.25, 1.5))


def _needed(models: Mapping[str, AutoGaze], held: HeldOut, pyramid: Pyramid) -> tuple[Needed, ...]:
    """What each model needs for the first one's loss at 10 % kept, on all synthetic clips first."""
    with progress(len(models) * len(held.pixels), "ratio for a loss") as bar:
        curves = {
            name: model_losses(model, held, pyramid, ratios=CURVE_RATIOS, tell=bar.advance)
            for name, model in models.items()
        }
    found = []
    for part, which in PARTS["synthetic"].items():
        target = float(next(iter(curves.values()))[TARGET_RATIO][which].mean())
        first: Crossing | None = None
        for name, curve in curves.items():
            columns = {ratio: column[which] for ratio, column in curve.items()}
            at = needed_ratio(columns, held.sources[which], target)
            ratio = None if at is None else at.estimate()
            times = None if at is None or first is None else at.estimate(first)
            found.append(Needed(clips=part, model=name, loss=target, ratio=ratio, times=times))
            first = first or at
    return tuple(found)


def _needed_table(measurement: Measurement) -> str:
    first = measurement.needed[0].model
    lines = [
        f"| clips | model | kept share needed for the loss | times that of {first} |",
        "|---|---|--:|--:|",
    ]
    for one in measurement.needed:
        ratio = f"above {CURVE_RATIOS[-1]:.0%}" if one.ratio is None else shown(one.ratio)
        times = "" if one.times is None else shown(one.times)
        lines.append(f"| `{one.clips}` | {one.model} | {ratio} for {one.loss:.3f} | {times} |")
    if measurement.asked:
        lines += ["", *asked_table(measurement.asked)]
    elif measurement.predicts != Pyramid.kind:
        predicts = measurement.predicts
        lines += [
            "",
            f"No loss is asked for: `{predicts}` is predicted, `{Pyramid.kind}` measured.",
        ]
    return "\n".join(lines) + "\n"
