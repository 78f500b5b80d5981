"""Publish the checkpoint that the training runs have come to, measure it, and write its card.

`make publish-autogaze` after `make train-autogaze`. Of each run the best is judged on the same
validation clips, which are as long as the held-out ones; the best of these is calibrated on such
clips and goes to gaze/autogaze-mini/ with its card; its measurement on held-out clips, beside
controls and beside the best of the other runs, to docs/autogaze-mini/.
No number of the card is written by hand.

    python benchmarks/autogaze_mini.py
    python benchmarks/autogaze_mini.py --card    # only the card and its pictures
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from measure import Row  # noqa: E402
from table import markdown  # noqa: E402

from evaluators.provenance import git_state, hardware  # noqa: E402
from gaze.checkpoint import find_checkpoint  # noqa: E402
from gaze.info import describe  # noqa: E402
from gaze.train import carried, films, moving, scenes  # noqa: E402
from gaze.train.calibrate import Calibration  # noqa: E402
from gaze.train.journal import NAME as LOG  # noqa: E402
from gaze.train.judging import chosen_losses  # noqa: E402
from gaze.train.measure import (  # noqa: E402
    SEEDS,
    TARGET_RATIO,
    Measurement,
    load_model,
    measure,
    publish,
    synthetic,
)
from gaze.train.pyramid import Pyramid  # noqa: E402
from gaze.train.report import asked_table  # noqa: E402
from gaze.train.settings import TrainSettings, read_settings  # noqa: E402
from gaze.train.slices import BEST  # noqa: E402
from gaze.train.start import begin  # noqa: E402
from gaze.train.state import write_model  # noqa: E402
from hlvid.console import say  # noqa: E402
from hlvid.files import read_json, write_bytes, write_json  # noqa: E402
from hlvid.plot import Line, log_axis, plot_lines, step_axis  # noqa: E402
from hlvid.synthetic import photographs  # noqa: E402
from hlvid.types import Record  # noqa: E402

RUNS = Path("training", "autogaze-mini")
STAGES = {
    "ntp": "mini-ntp",
    "own": "mini-own",
    "regret": "mini-regret",
    "carried": "mini-carried",
    "grpo": "mini-grpo",
    "grpo-only": "mini-grpo-only",
}
"""Folder of each run, and the configuration that ships."""
TRAINED = {
    "ntp": "next-token prediction",
    "own": "next-token prediction",
    "regret": "next-token prediction",
    "carried": "next-token prediction",
    "grpo": "both stages",
    "grpo-only": "GRPO only",
}
"""What the model of each run has been trained by, from its beginning on."""
UNTRAINED = "untrained"
CHECKPOINT = Path("gaze", "autogaze-mini")
DOCS = Path("docs", "autogaze-mini")
VALIDATION = "validation.svg"
MINIMISED = {
    "labels.svg": ("cross_entropy", "Cross-entropy of the first stage's labels, training clips"),
    "regret.svg": ("regret", "What a frame's choices give away, training clips"),
    "rewards.svg": ("reconstruction", "Loss that the second stage lowers, other clips every step"),
}
"""Picture -> what of the log it shows, and its title."""
STANDING = "standing.json"
POINTS = 20
"""Of a training curve, each the mean of as many lines of the log."""


def log_of(run: str) -> list[Row]:
    """The lines of a run's log; none where there is no such run, or it was never validated."""
    path = ROOT / RUNS / run / LOG
    if not path.is_file():
        return []
    log = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return log if any("validation_loss" in row for row in log) else []


def best_of(log: Sequence[Row]) -> Row:
    """The line of a log at which the model was best on validation clips."""
    return min((row for row in log if "validation_loss" in row), key=_loss)


class Standing(Record):
    """What the best of each run loses on the same validation clips, and where it was measured."""

    num_clips: int
    num_frames: int
    """All of them are remembered, whatever a run's own clips had."""
    losses: dict[str, float]
    cpu: str
    num_cores: int
    git_commit: str | None
    git_dirty: bool | None

    @property
    def best(self) -> str:
        """The run that is published."""
        return min(self.losses, key=self.losses.__getitem__)


def standing(num_clips: int, num_frames: int) -> Standing:
    """Judge the best of each run."""
    pyramid = Pyramid()
    held = synthetic("validation", num_clips, num_frames, num_scenes=4, size=pyramid.size)
    losses = {}
    for run in STAGES:
        if (folder := ROOT / RUNS / run / BEST).is_dir():
            model = load_model(str(folder), pyramid, clip_frames=num_frames)
            losses[run] = float(
                chosen_losses(model, held.pixels, pyramid, ratio=TARGET_RATIO).mean()
            )
    if not losses:
        sys.exit(f"{RUNS}: holds no run that was validated. Run make train-autogaze first.")
    commit, is_dirty = git_state()
    return Standing(
        num_clips=num_clips,
        num_frames=num_frames,
        losses=losses,
        cpu=hardware().cpu,
        num_cores=hardware().num_cores,
        git_commit=commit,
        git_dirty=is_dirty,
    )


def label(run: str) -> str:
    """What the best of a run is called beside the others."""
    return f"`{run}` ({TRAINED.get(run, 'none')})"


def hours(log: Sequence[Row], settings: TrainSettings) -> float:
    """What the steps of a run took together."""
    paces = [row["seconds_a_step"] for row in log if "seconds_a_step" in row]
    return sum(paces) * settings.log_every / 3600


def make(num_clips: int, num_frames: int, num_scenes: int) -> None:
    """Publish and measure."""
    judged = standing(num_clips, num_frames)
    write_json(ROOT / DOCS / STANDING, judged)
    chosen = judged.best
    publish(
        ROOT / RUNS / chosen / BEST,
        ROOT / CHECKPOINT,
        ratio=TARGET_RATIO,
        num_clips=num_clips,
        clip_frames=num_frames,
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(Path(STAGES["ntp"]))
        write_model(Path(folder), begin(settings, loss_kind=Pyramid.kind))
        also = {label(UNTRAINED): folder}
        also |= {
            label(run): str(ROOT / RUNS / run / BEST) for run in judged.losses if run != chosen
        }
        measure(
            "mini",
            ROOT / DOCS,
            also=also,
            folder=None,
            num_clips=num_clips,
            num_frames=num_frames,
            num_scenes=num_scenes,
            label=label(chosen),
        )


def pictures() -> None:
    """What the runs said of themselves, step by step."""
    logs = {run: log for run in STAGES if (log := log_of(run))}
    frames = {run: read_settings(Path(STAGES[run])).data.num_frames for run in logs}
    for name, (value, title) in MINIMISED.items():
        lines = {run: [row for row in log if value in row] for run, log in logs.items()}
        draw(
            name,
            title,
            {
                f"{run}, {frames[run]} frames": smoothed(rows, value)
                for run, rows in lines.items()
                if rows
            },
        )
    draw(
        VALIDATION,
        f"Loss at {TARGET_RATIO:.0%} kept, on each run's own validation clips",
        {
            f"{run}, {frames[run]} frames": [
                (row["step"], row["validation_loss"]) for row in log if "validation_loss" in row
            ]
            for run, log in logs.items()
        },
    )


def smoothed(rows: Sequence[Row], value: str) -> list[tuple[float, float]]:
    """Step and mean of each of `POINTS` parts of a log."""
    size = -(-len(rows) // POINTS)
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [(part[-1]["step"], statistics.fmean(row[value] for row in part)) for part in parts]


def draw(name: str, title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """A picture of lines over steps."""
    points = [point for line in lines.values() for point in line]
    drawn = plot_lines(
        [Line(label, line) for label, line in lines.items()],
        title=title,
        x=step_axis(max(step for step, _ in points)),
        y=log_axis(value for _, value in points),
    )
    write_bytes(ROOT / DOCS / name, [drawn.encode()])


def card() -> str:
    """The model card."""
    told = describe(find_checkpoint("mini"))
    measured = read_json(ROOT / DOCS / "evaluation.json", Measurement)
    judged = read_json(ROOT / DOCS / STANDING, Standing)
    settings = read_settings(Path(STAGES[judged.best]))
    calibration = read_json(ROOT / CHECKPOINT / "calibration.json", Calibration)
    if measured.weights_sha256 != told["sha256"]:
        sys.exit(f"{DOCS}: measures another checkpoint. Run this without --card.")
    weights = ROOT / CHECKPOINT / "model.safetensors"
    rows = []
    for run, config in STAGES.items():
        if not (log := log_of(run)):
            continue
        of_run = read_settings(Path(config))
        best = best_of(log)
        rows.append(
            [
                f"`{run}`",
                TRAINED[run],
                f"{log[-1]['step']:,} of {of_run.steps:,}",
                f"{of_run.batch_size} of {of_run.data.num_frames} frames",
                f"{hours(log, of_run):.1f}",
                f"{best['step']:,}",
                f"{judged.losses[run]:.4f}" if run in judged.losses else "",
            ]
        )
    return "\n".join(
        [
            "---",
            "license: apache-2.0",
            "library_name: hlvid",
            "tags: [autogaze, video, token-selection]",
            "---",
            "# autogaze-mini",
            "",
            f"A model of the architecture of AutoGaze (arXiv 2603.12254) with {told['layers']} "
            f"layers, {told['heads']} heads and {told['parameters']:,} parameters "
            f"({weights.stat().st_size / 1e6:.1f} MB in half precision), trained by this project "
            "from random values. It is not the released model and knows nothing of its weights. "
            "Apache-2.0. `--gaze-weights mini` takes it, anywhere and offline.",
            "",
            "It is to be asked what gaze is asked: which cells of a frame are worth keeping. What "
            "an MLLM answers with it is for `hlvid-eval` to find out; nothing here says it.",
            "",
            "## Data",
            "",
            *_data(settings),
            "",
            "## Training",
            "",
            "`make train-autogaze` makes these runs, and goes on with one that is not at its end; "
            "`make publish-autogaze` writes all of this page and of "
            "[its measurement](../../docs/autogaze-mini/evaluation.md). "
            "The configurations are in `gaze/train/configs`, the last states of the runs in "
            f"`{RUNS.as_posix()}`. `ntp` predicts greedy gazes; `own` goes on from its best and "
            "learns from what it gazes at itself (DAgger), `regret` does so with every choice "
            "counted by what it gives away, over pictures without end too, `carried` over more "
            "photographs; `grpo` goes on from there and lowers the loss itself; `grpo-only` does "
            "so from the beginning, to be compared with. Of each run the step that was best on "
            "its own validation clips is judged on "
            f"{judged.num_clips} of {judged.num_frames} frames, all of which every model "
            f"remembers; published is `{judged.best}`, the best of these.",
            "",
            "GRPO had a small part of the clips that next-token prediction had, so the runs say "
            "what it gives in so many steps, and not what it can give.",
            "",
            *markdown(
                (
                    "run",
                    "trained by",
                    "steps",
                    "clips a step",
                    "hours",
                    "best at",
                    "loss at 10 % kept",
                ),
                rows,
            ),
            "",
            "In these the paper is not followed: labels are soft, by what every cell gains; there "
            "are stages of its own gazes (DAgger), the last of which lowers the regret of its "
            "choices and not their cross-entropy; GRPO is paid for every frame of a clip, has "
            f"groups of {read_settings(Path(STAGES['grpo'])).grpo.group} (`grpo`) and "
            f"{read_settings(Path(STAGES['grpo-only'])).grpo.group} (`grpo-only`), "
            "and draws most of its lengths as budgets of labels are drawn; the loss is not "
            "VideoMAE's. "
            "A fresh model is no plain noise: its filters begin as cosines, its last layer hands "
            "on the place that it attends to.",
            "",
            f"Judged and measured on {judged.num_cores} cores of {judged.cpu}, {_commit(judged)}.",
            "",
            *(
                f"![{title}](../../docs/autogaze-mini/{name})"
                for name, (_, title) in MINIMISED.items()
            ),
            f"![validation](../../docs/autogaze-mini/{VALIDATION})",
            "",
            "## What it keeps, on held-out clips",
            "",
            f"Clips of seed {SEEDS['test']}. Those of seeds 0 to 2 were looked at while runs "
            "were planned; by these nothing was chosen. Whether a control sees all scales or the "
            f"finest alone was decided on validation clips (seed {SEEDS['validation']}, other "
            "photographs and scenes).",
            "",
            (ROOT / DOCS / "evaluation.md").read_text(encoding="utf-8").rstrip(),
            "",
            "![synthetic clips](../../docs/autogaze-mini/synthetic.svg)",
            "",
            "## Threshold",
            "",
            f"It predicts the loss `{calibration.loss_kind}`; its default threshold is "
            f"{calibration.threshold:g}. Its loss head was multiplied by {calibration.scale:.3f}, "
            "so that asking for the default on validation clips gives it:",
            "",
            *asked_table(calibration.asked),
            "",
            "## Limits",
            "",
            f"- The loss is not the paper's: `{calibration.loss_kind}` paints kept cells and "
            "measures differences of red, green and blue, over the deviation of the clip's luma; "
            "it knows nothing of what a frame means.",
            f"- It was trained on clips of {settings.data.num_frames} frames and gazes at "
            f"{told['clip_frames']} at once, as it was judged and measured; longer videos are cut.",
            "- Few photographs and one renderer stand behind the clips, and intervals tell of "
            "other clips of these, not of the world's videos.",
            f"- It was trained at {told['positions']} positions, and says so in its `config.json`.",
            "",
        ]
    )


def _data(settings: TrainSettings) -> list[str]:
    """What it was trained on, with authors and licences."""
    data = settings.data
    names = photographs.names("training")
    pictures = [one for one in photographs.catalogue() if one.file in names]
    rows = [
        [
            one.title,
            one.author,
            str(one.year),
            one.license,
            "scenes" if one.file in moving.VALIDATION else "clips that pan over it, scenes",
        ]
        for one in pictures
    ]
    measured = ", ".join(name for name, split in films.CARRIED.items() if split == "test")
    film = ", ".join(name for name, split in films.CARRIED.items() if split == "training")
    more, chosen_by = (
        ", ".join(name.removeprefix(carried.PREFIX) for name in carried.names(split))
        for split in ("training", "validation")
    )
    over_more = (
        f"{data.carried:.0%} over photographs that {carried.CARRIER} carries ({more}; free of "
        "terms), "
        if data.carried
        else ""
    )
    return [
        f"Clips drawn from seed {settings.seed}: {data.moving:.0%} pan and zoom over photographs, "
        f"{data.painted:.0%} over shapes and noise that are drawn without end, "
        f"{over_more}"
        f"{data.scenes:.0%} are windows of {data.num_scenes} rendered scenes (their seed: "
        f"{scenes.SEEDS['training']:,}), {data.films:.0%} are cut from {film} (Big Buck Bunny, "
        f"Blender Foundation, CC-BY-3.0) as {films.CARRIER} carries it. "
        f"{films.CARRIER} also carries {measured}, on which it is measured (`real`) and never "
        "trained: their terms are not known. "
        "Photographs that are reserved for benchmarks and held-out clips are never opened. Two "
        "that validation clips pan over may texture training scenes; with these take turns "
        f"{chosen_by} of {carried.CARRIER}.",
        "",
        *markdown(("photograph", "author", "year", "licence", "used for"), rows),
    ]


def _commit(judged: Standing) -> str:
    if judged.git_commit is None:
        return "outside a checkout"
    changed = " with changes" if judged.git_dirty else ""
    return f"commit {judged.git_commit[:12]}{changed}"


def _loss(row: Row) -> float:
    return float(row["validation_loss"])


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--card", action="store_true", help="only write the card and its pictures")
    parser.add_argument("--clips", type=int, default=96, help="of each set")
    parser.add_argument("--frames", type=int, default=16, help="of a clip")
    parser.add_argument("--scenes", type=int, default=24, help="to cut clips from")
    asked = parser.parse_args()
    if not asked.card:
        make(asked.clips, asked.frames, asked.scenes)
    pictures()
    write_bytes(ROOT / CHECKPOINT / "README.md", [card().encode()])
    say(f"{CHECKPOINT}: published. Next: hlvid-gaze show VIDEO --weights mini --out gaze.html")


if __name__ == "__main__":
    main()
