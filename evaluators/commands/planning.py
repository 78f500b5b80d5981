"""Before a run and beside it: what it will take and can show, and how long each arm takes."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evaluators.commands.options import FAILED, AsJson, Asked, asks
from hlvid.console import say

if TYPE_CHECKING:
    from evaluators.estimate import Estimate
    from evaluators.probing import ArmProbe

PROBE_QUESTIONS = 2


@asks
def plan(
    asked: Asked,
    primary: Annotated[
        str, typer.Option(help="Arm that is judged; the first with gaze by default.")
    ] = "",
    against: Annotated[
        str, typer.Option(help="Arm it is held against; the first other by default.")
    ] = "",
    margin: Annotated[
        float, typer.Option(help="How much less accuracy is still no worse, as a share.")
    ] = 0.02,
    probe: Annotated[
        bool, typer.Option(help=f"Ask {PROBE_QUESTIONS} questions to see what the rest takes.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Say what a run will take and can show, and write down what it is to show.

    OUT/plan.json names the primary endpoint; the run's records carry its digest, and 'compare'
    tells it from what is exploratory. It is written before the run or not at all.

    Example: hlvid-eval plan --model qwen --gaze both --primary autogaze --against off
    --margin 0.02, then the same command without 'plan' and what follows --gaze both.
    """
    from dataclasses import asdict

    from evaluators.engine import quiet
    from evaluators.estimate import estimate
    from evaluators.exam import prepare
    from evaluators.plan import make_plan, write_plan
    from evaluators.probing import first_of_each_video, probe_arms

    settings = asked.settings()
    quiet()
    exam = prepare(settings)
    made = make_plan(exam, primary=primary, against=against, margin=margin)
    path = write_plan(made, settings.out)
    probes = []
    if probe:
        say(f"probing {len(settings.arms)} arms with {PROBE_QUESTIONS} questions")
        probes = probe_arms(exam, first_of_each_video(exam.sat, PROBE_QUESTIONS))
    found = estimate(exam, probes)
    if as_json:
        body = {"plan": made.model_dump(mode="json"), "plan_sha256": made.sha256}
        arms = [asdict(one) for one in probes]
        typer.echo(json.dumps({**body, "estimate": asdict(found), "arms": arms}, indent=2))
    else:
        typer.echo("\n".join([*_told(found), *_arms(probes)]))
        one = made.primary
        typer.echo(
            f"primary endpoint: {one.arm} against {one.reference} ({one.contrast.value}), no worse "
            f"by {100 * one.margin:g} points; all else is exploratory"
        )
    say(f"written: {path}; its digest goes into the records of the runs beside it")


@asks
def perf(
    asked: Asked,
    questions: Annotated[int, typer.Option(min=1, help="Drawn by --seed.")] = 64,
    warm_up: Annotated[int, typer.Option(min=0, help="Questions asked before the clock.")] = 3,
    passes: Annotated[int, typer.Option(min=1, help="How often each is asked.")] = 2,
    throughput: Annotated[
        bool,
        typer.Option(
            "--throughput",
            help="Then sit each arm that copies no other alone, the next video decoded meanwhile: "
            "questions a minute.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Time the arms of a run that has been sat: one question at a time, arms taking turns.

    The replies must be those of the accuracy run in OUT, in every pass; exit code 1 where one is
    not. Single times go to OUT/perf.json. Times charge decoding and gaze of a video to each of its
    questions in full; the speed-up "per video" divides them among those.

    Example: hlvid-eval perf --model qwen --gaze both --out runs --questions 64
    """
    from evaluators.engine import quiet
    from evaluators.exam import prepare
    from evaluators.performance import measure, table, write

    settings = asked.settings()
    quiet()
    found = measure(
        prepare(settings),
        num=questions,
        warm_up=warm_up,
        num_passes=passes,
        with_throughput=throughput,
    )
    path = write(found, settings.out)
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else table(found))
    say(f"written: {path}")
    for arm, ids in found.differing.items():
        say(f"{arm}: {len(ids)} replies are not those of the accuracy run, such as {ids[0]}")
    if found.differing:
        raise typer.Exit(FAILED)


def _told(found: "Estimate") -> list[str]:
    missing = f", {found.num_missing} of them missing" if found.num_missing else ""
    lines = [
        f"questions: {found.num_questions} on {found.num_videos} videos{missing}, "
        f"{found.num_frames} frames of each",
        f"disk: {found.scratch_bytes / 1e9:.2f} GB scratch, {found.result_bytes / 1e6:.0f} MB kept",
    ]
    if found.seconds is not None:
        lines.append(f"time: {found.seconds / 3600:.2f} h, by the probe")
    lines += effect_lines(found.effects.accuracy, found.effects.in_deviations)
    return lines


def effect_lines(accuracy: Any, in_deviations: float) -> list[str]:  # noqa: ANN401
    """The minimum detectable effects as a reader takes them."""
    points = ", ".join(
        f"{100 * effect:.1f} points where {float(share):.0%} of answers differ"
        for share, effect in accuracy.items()
    )
    return [
        f"smallest difference of accuracy that it can show (80 % power): {points}",
        "smallest difference of log-probability margin or of divergence: "
        f"{in_deviations:.2f} standard deviations of a question's difference",
    ]


def _arms(probes: "list[ArmProbe]") -> list[str]:
    from evaluators.report import align

    if not probes:
        return []
    decoding = max(one.seconds_to_decode for one in probes)
    rows = [("arm", "visual tokens", "kept", "s a video", "s a question", "")]
    for one in probes:
        rows.append(
            (
                one.arm,
                "-" if one.visual_tokens is None else f"{one.visual_tokens:.0f}",
                "-" if one.kept_ratio is None else f"{one.kept_ratio:.1%}",
                f"{one.seconds_per_look:.2f}",
                f"{one.seconds_per_answer:.2f}",
                one.problem,
            )
        )
    return [f"decoding: {decoding:.2f} s a video, once for all arms", *align(rows)]
