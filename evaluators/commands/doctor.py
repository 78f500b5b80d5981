"""Whether this machine can do what a command asks for."""

import json
from typing import Annotated

import typer

from evaluators.commands.options import FAILED, AsJson, Asked, asks
from hlvid.console import say
from hlvid.errors import UserError


@asks
def doctor(
    asked: Asked,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every packet and digest of all videos.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check GPU, driver, attention, disk, data, weights and neighbours: PASS, WARN or FAIL.

    Takes the options of the command that is going to be run. Exit codes: 0 it can run, 1 a check
    FAILs; each says how to mend it.

    Example: hlvid-eval doctor --model qwen --gaze both --benchmark hlvid
    """
    from dataclasses import asdict

    from evaluators.diagnosis import Patient, diagnose
    from evaluators.models import MODELS
    from gaze.checkpoint import MissingWeights

    if asked.model not in MODELS:
        raise UserError(f"--model: {asked.model!r} is not known. They are: {', '.join(MODELS)}.")
    try:
        has_autogaze = any(arm.weights for arm in asked.arms())
    except MissingWeights:
        has_autogaze = True
    patient = Patient(
        model=asked.model,
        options=asked.options,
        has_autogaze=has_autogaze,
        gaze_weights=asked.gaze_weights,
        benchmark=asked.benchmark_name,
        data=asked.data,
        num_frames=asked.frames,
        out=asked.out,
        verify=verify,
        prefetch=asked.prefetch,
    )
    checks = []
    for check in diagnose(patient):
        checks.append(check)
        if not as_json:
            typer.echo(f"{check.state}  {check.name}: {check.found}")
            if check.fix:
                typer.echo(f"      {check.fix}")
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    num_failed = sum(check.state == "FAIL" for check in checks)
    if num_failed:
        say(f"{num_failed} checks FAIL")
        raise typer.Exit(FAILED)
