"""From nothing to a page: fetch a benchmark, check the machine, sit a preset, mark and publish."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluators.commands.options import (
    AsJson,
    Asked,
    Data,
    GazeWeights,
    Limit,
    Out,
    Seed,
    Selector,
    typed,
)
from hlvid.console import say
from hlvid.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluators.exam import Exam, Settings
    from evaluators.preset import Preset
    from evaluators.probing import ArmProbe
    from hlvid.datasets import Benchmark


def fetch(
    benchmark: Annotated[str, typer.Argument(help="hlvid or videomme.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder to fill; by default where it is looked for.")
    ] = None,
) -> None:
    """Fetch a published benchmark from the hub, unpack it, and check that all of it is there.

    Says first how large it is. Stopped at any moment, the same command goes on.

    Example: hlvid-eval fetch hlvid --data /data/hlvid
    """
    from hlvid.datasets import source_of
    from hlvid.datasets.faults import find_faults

    if source_of(benchmark) is None:
        raise UserError(f"{benchmark}: cannot be fetched. Allowed are hlvid and videomme.")
    got = _fetch(benchmark, data)
    faults = list(find_faults(got))
    for fault in faults:
        say(fault)
    about = got.id
    say(f"{about.num_questions} questions on {about.num_videos} videos, {about.revision}")
    typer.echo(str(got.root))
    if faults:
        raise UserError(f"{len(faults)} videos are missing or short.", exit_code=3)


def presets(as_json: AsJson = False) -> None:
    """List the presets that 'reproduce' takes."""
    from evaluators.preset import presets as known

    if as_json:
        rows = {name: one.model_dump(mode="json") for name, one in known().items()}
        typer.echo(json.dumps(rows, indent=2))
        return
    for name, preset in known().items():
        typer.echo(f"{name:16} {preset.summary}")


def reproduce(  # noqa: PLR0913
    preset: Annotated[str, typer.Argument(help="See 'hlvid-eval presets'.")],
    model: Annotated[str, typer.Option(help="See 'hlvid-eval models'.")],
    weights: Annotated[str, typer.Option(help="PATH or hub id of the model's weights.")] = "",
    selector: Selector = "",
    gaze_weights: GazeWeights = None,
    data: Data = None,
    out: Out = Path("runs"),
    limit: Limit = None,
    seed: Seed = 0,
    best_off: Annotated[
        Path | None,
        typer.Option(help="Runs on another benchmark that choose the best off configuration."),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the weights.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it takes and can show, and stop.")
    ] = False,
    probe: Annotated[
        bool,
        typer.Option(
            help="Before videos are fetched, ask all arms a question on a rendered one, to tell "
            "the hours."
        ),
    ] = True,
) -> None:
    """Repeat a preset from nothing: fetch, check, plan, run, mark and make the page.

    Off, on and the controls that the sentence 'gaze helps' needs sit side by side. Says first what
    it takes and what it can show. With --selector another way of choosing takes AutoGaze's place.
    The same command goes on where it was stopped.

    Example: hlvid-eval reproduce paper-hlvid --model qwen --out runs/hlvid
    """
    from evaluators.models import find
    from evaluators.preset import find_preset

    chosen, examinee = find_preset(preset), find(model)
    also = [one for one in chosen.also if one.partition("@")[0] in examinee.variants]
    if left_out := sorted(set(chosen.also) - set(also)):
        say(f"left out, {model} knows no such arms: {', '.join(left_out)}")
    asked = Asked(
        model=model,
        gaze="both",
        selector=selector or ",".join(chosen.selectors),
        gaze_weights=gaze_weights,
        also=",".join(also),
        weights=weights,
        canvas=chosen.canvas if "canvas" in examinee.options else "",
        benchmark=chosen.benchmark,
        data=data,
        frames=chosen.num_frames,
        out=out,
        limit=limit or chosen.limit,
        seed=seed,
        trust_remote_code=trust_remote_code,
        best_off=best_off,
    )
    _foretell(chosen, asked, probe=probe)
    if dry_run:
        return
    _check_weights(asked)
    _check_out(asked)
    asked = replace(asked, data=_fetch(chosen.benchmark, data).root)
    _sit(_with_controls(asked) if chosen.with_controls else asked, chosen)


def _check_weights(asked: Asked) -> None:
    """Refuse to fetch videos for a model or a gaze that is not here.

    Raises:
        UserError: Weights are missing; a sentence for each.
    """
    from evaluators.models import find
    from gaze.checkpoint import MissingWeights

    told = find(asked.model).missing(asked.options)
    try:
        asked.arms()
    except MissingWeights as missing:
        told.append(str(missing))
    if told:
        raise UserError(f"{' '.join(told)} No video was fetched.")


def _check_out(asked: Asked) -> None:
    """Refuse to fetch videos for a folder in which another exam was sat: no plan fits there.

    Raises:
        UserError: Runs of another exam lie in --out, and none of this one.
    """
    from hlvid.plans import PLAN_FILE
    from hlvid.runs import RECORD_FILE, read_run

    ours, others = False, None
    for file in sorted(asked.out.glob(f"*/{RECORD_FILE}")):
        with contextlib.suppress(UserError):
            record = read_run(file.parent).record
            sat = record.benchmark.name, record.model.name, record.frames.num_frames, record.limit
            is_ours = sat == (asked.benchmark, asked.model, asked.frames, asked.limit)
            ours, others = ours or is_ours, others if is_ours else file.parent
    if others is not None and not ours and not (asked.out / PLAN_FILE).exists():
        raise UserError(
            f"--out {asked.out}: runs of another exam lie there, such as {others.name}, and a plan "
            "is made before all runs of its folder. Choose another --out. No video was fetched."
        )


def _with_controls(asked: Asked) -> Asked:
    """With the controls that are missing, selectors and variants that the model knows."""
    from evaluators.arms import missing_controls
    from evaluators.models import find
    from evaluators.variants import missing_variants

    arms = asked.arms()
    selectors = missing_controls([arm for arm in arms if arm.variant is None])
    more = [arm.name for arm in missing_variants(arms, find(asked.model).variants)]
    also = ",".join(filter(None, [asked.also, *more]))
    return replace(asked, selector=",".join(selectors), also=also)


def _sit(asked: Asked, preset: "Preset") -> None:
    from evaluators.commands.sit import tell
    from evaluators.engine import quiet
    from evaluators.exam import prepare
    from evaluators.plan import find_plan
    from evaluators.run import run

    settings = asked.settings()
    _check(asked, settings)
    quiet()
    exam = prepare(settings)
    if not _has_runs(exam):
        _plan(exam, preset)
    elif find_plan(exam) is None:
        say("plan: none was made before these runs, so all that they show is exploratory")
    runs = run(settings, typed())
    ended: typer.Exit | None = None
    try:
        tell(settings, runs, as_json=False)
    except typer.Exit as error:
        # Some questions FAILED: what was answered is still worth its page.
        ended = error
    _page(settings)
    if ended is not None:
        raise ended


def _has_runs(exam: "Exam") -> bool:
    """Whether an arm of this exam was sat in its folder before."""
    from hlvid.runs import RECORD_FILE, read_run

    for file in exam.settings.out.glob(f"*/{RECORD_FILE}"):
        with contextlib.suppress(UserError):
            if exam.is_of(read_run(file.parent).record):
                return True
    return False


def _foretell(preset: "Preset", asked: Asked, *, probe: bool) -> None:
    """What it takes and can show, as far as that is known before anything is here."""
    from evaluators.commands.planning import effect_lines
    from evaluators.estimate import effects_of
    from hlvid.datasets import folder_of, load, source_of
    from hlvid.datasets.hub import ask

    data, is_here = asked.data, True
    source, root = source_of(preset.benchmark), data or folder_of(preset.benchmark)
    place = next(p for p in (root.absolute(), *root.absolute().parents) if p.is_dir())
    free = f"{shutil.disk_usage(place).free / 1e9:.1f} GB are free at {root}"
    if source is None:
        about = load(preset.benchmark, data=data).id
        counts = about.num_questions, about.num_videos
        say(f"disk: rendered here; {free}")
    elif _is_here(preset.benchmark, root):
        counts = source.num_questions, source.num_videos
        say(f"disk: the videos are here; {free}")
    else:
        is_here = False
        counts, offer = (source.num_questions, source.num_videos), ask(source)
        say(f"disk: {offer.num_bytes / 1e9:.1f} GB to fetch ({source.about}); {free}")
    num = min(filter(None, (asked.limit, counts[0])))
    counts = num, min(num, counts[1])
    say(f"questions: {counts[0]} on {counts[1]} videos at most")
    effects = effects_of(*counts)
    for line in effect_lines(effects.accuracy, effects.in_deviations):
        say(line)
    if is_here or not probe:
        say("hours: told by a probe of the videos before the first answer")
    else:
        say(_hours(preset, asked, *counts))


def _hours(preset: "Preset", asked: Asked, num_questions: int, num_videos: int) -> str:
    """How long all arms take together, by a rendered video."""
    from evaluators.engine import quiet
    from evaluators.probing import seconds_of
    from evaluators.stand_in import probe_stand_in

    say("hours: asking all arms a question on a rendered video (--no-probe leaves it out)")
    quiet()
    try:
        asked = _with_controls(asked) if preset.with_controls else asked
        settings = replace(asked.without_arms(), arms=asked.arms())
        probes = probe_stand_in(settings)
    except UserError as error:
        return f"hours: not known. {error}"
    _tell_problems(probes)
    ran = [one for one in probes if not one.problem]
    if not ran:
        return "hours: not known, since no arm could answer. See above."
    seconds = seconds_of(ran, num_questions, num_videos)
    return (
        f"hours: {seconds / 3600:.2f} for {len(ran)} of {len(probes)} arms, by a rendered video of "
        f"{asked.frames} frames of 3840x2160; finding frames in longer videos comes on top"
    )


def _is_here(benchmark: str, root: Path) -> bool:
    from hlvid.datasets import load
    from hlvid.datasets.faults import find_faults

    try:
        return not any(find_faults(load(benchmark, data=root)))
    except UserError:
        return False


def _fetch(name: str, data: Path | None) -> "Benchmark":
    """The benchmark, fetched or rendered where it was not here."""
    from hlvid.datasets import folder_of, load, source_of
    from hlvid.datasets.hub import ask
    from hlvid.datasets.hub import fetch as fetch_all

    source, root = source_of(name), data or folder_of(name)
    if _is_here(name, root):
        return load(name, data=root)
    if source is None:
        return _render(root)
    offer = ask(source)
    say(f"{len(offer.files)} files, {offer.num_bytes / 1e9:.2f} GB, commit {offer.commit[:12]}")
    return fetch_all(offer, root, load=lambda folder: load(name, data=folder), tell=say)


def _render(root: Path) -> "Benchmark":
    from hlvid.datasets import HLVID_SYNTHETIC, load
    from hlvid.synthetic import RenderSettings, render

    settings = dict(load(HLVID_SYNTHETIC, data=root).settings)
    num_videos = int(settings.pop("videos"))  # type: ignore[arg-type]
    say(f"rendering {num_videos} videos of hlvid-synthetic")
    render(root, RenderSettings(**settings), num_videos=num_videos)  # type: ignore[arg-type]
    return load(HLVID_SYNTHETIC, data=root)


def _check(asked: Asked, settings: "Settings") -> None:
    """Refuse to begin what cannot end.

    Raises:
        UserError: A check of the doctor's FAILs.
    """
    from evaluators.diagnosis import Patient, diagnose

    patient = Patient(
        model=asked.model,
        options=asked.options,
        has_autogaze=any(arm.weights for arm in settings.arms),
        gaze_weights=asked.gaze_weights,
        benchmark=settings.benchmark,
        data=settings.data,
        num_frames=settings.num_frames,
        out=settings.out,
        verify=False,
    )
    failed = [check for check in diagnose(patient) if check.state != "PASS"]
    for check in failed:
        say(f"{check.state}  {check.name}: {check.found}. {check.fix}")
    if any(check.state == "FAIL" for check in failed):
        raise UserError("the machine cannot sit this exam; mend what FAILs.", exit_code=1)


def _plan(exam: "Exam", preset: "Preset") -> None:
    """Write the plan down, and say how long it will take, before the first answer."""
    from evaluators.commands.planning import PROBE_QUESTIONS
    from evaluators.estimate import estimate
    from evaluators.plan import make_plan, write_plan
    from evaluators.probing import first_of_each_video, probe_arms
    from hlvid.plans import read_plan

    if read_plan(exam.settings.out) is None:
        gazing = next(arm.name for arm in exam.settings.arms if arm.selector is not None)
        plan = make_plan(exam, primary=gazing, against="off", margin=preset.margin)
        say(f"plan: {write_plan(plan, exam.settings.out)}")
    probes = probe_arms(exam, first_of_each_video(exam.sat, PROBE_QUESTIONS))
    _tell_problems(probes)
    if (seconds := estimate(exam, probes).seconds) is not None:
        say(f"hours: {seconds / 3600:.2f} for {len(exam.settings.arms)} arms, by a probe")


def _tell_problems(probes: "Sequence[ArmProbe]") -> None:
    for one in probes:
        if one.problem:
            say(f"{one.arm}: {one.problem}")


def _page(settings: "Settings") -> None:
    """Make the page with the leaderboard's own command, which is another package."""
    from evaluators.report import page_command

    program, *rest = page_command(settings)
    beside = Path(sys.executable).with_name(program)
    found = str(beside) if beside.is_file() else shutil.which(program)
    if found is None:
        raise UserError(f"{program}: is not installed. pip install hlvid")
    data = {} if settings.data is None else {"HLVID_DATA": str(settings.data)}
    say(shlex.join([program, *rest]))
    done = subprocess.run([found, *rest], env={**os.environ, **data}, check=False)
    if done.returncode:
        raise UserError(f"{program}: ended with {done.returncode}.", exit_code=1)
