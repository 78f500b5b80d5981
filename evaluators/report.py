"""What stands on the screen when a run has ended."""

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evaluators.arms import missing_controls
from evaluators.exam import Settings
from evaluators.models import find
from evaluators.recall import Row
from evaluators.timing import END_TO_END
from evaluators.variants import missing_variants
from hlvid.datasets import Benchmark, is_built_in, official_score
from hlvid.grading import summarize
from hlvid.runs import GradedRun
from hlvid.statistics import Comparison, quantile_interval
from hlvid.types import Grade, Outcome

HEADER = (
    "arm", "accuracy", "95 %", "kept", "mean s", "p50 s", "p90 s", "no letter", "failed", "peak MB",
    "run",
)  # fmt: skip
RECALL_HEADER = (
    "selector", "questions", "temporal hit", "cover|hit", "recalled|hit", "recall", "95 %",
)  # fmt: skip


def describe(run: GradedRun, folder: Path, benchmark: Benchmark | None = None) -> dict[str, Any]:
    """One arm's run as JSON."""
    record = run.record
    summary = None if record.model.load_format == "dummy" else record.summary
    video_of = {g.question_id: g.video_id for g in run.grades if g.outcome is not Outcome.FAILED}
    ok = [p for p in run.predictions if p.question_id in video_of]
    timed = [p for p in ok if END_TO_END in p.stage_ms]
    times = [p.stage_ms[END_TO_END] for p in timed]
    videos = [video_of[p.question_id] for p in timed]
    peaks = [p.peak_memory_bytes for p in ok if p.peak_memory_bytes is not None]
    ratios = [p.tokens.visual / p.tokens.visual_off for p in ok if p.tokens is not None]
    return {
        "arm": record.arm.name,
        "repeat": record.repeat,
        "run_id": record.run_id,
        "group_id": record.group_id,
        "status": record.status,
        "folder": str(folder),
        "num_failed": len(run.predictions) - len(ok),
        "summary": None if summary is None else summary.model_dump(mode="json"),
        "official": None if summary is None else _official(run, benchmark),
        "categories": {} if summary is None else _categories(run),
        "kept_ratio": statistics.fmean(ratios) if ratios else None,
        "mean_ms": statistics.fmean(times) if times else None,
        "p50_ms": _quantile(times, videos, 0.5),
        "p90_ms": _quantile(times, videos, 0.9),
        "peak_memory_bytes": max(peaks, default=None),
        "notes": list(record.arm.notes),
    }


def table(runs: Sequence[dict[str, Any]]) -> str:
    """The arms side by side, in plain text."""
    rows = [HEADER]
    for run in runs:
        summary = run["summary"]
        low, high = (summary or {}).get("accuracy_low"), (summary or {}).get("accuracy_high")
        rows.append(
            (
                _label(run),
                f"{summary['accuracy']:.1%}" if summary else run["status"],
                f"{low:.1%}-{high:.1%}" if summary else "-",
                _shown(run["kept_ratio"], 1, ".1%"),
                _shown(run["mean_ms"], 1e3, ".2f"),
                _shown(run["p50_ms"], 1e3, ".2f"),
                _shown(run["p90_ms"], 1e3, ".2f"),
                str(summary["num_unparsed"]) if summary else "-",
                str(run["num_failed"]),
                _shown(run["peak_memory_bytes"], 1e6, ".0f"),
                run["run_id"],
            )
        )
    lines = align(rows)
    notes = {_label(run): "; ".join(run["notes"]) for run in runs if run["notes"]}
    for run in runs:
        if official := run["official"]:
            said = f"official score {official['accuracy']:.1%} of {official['num_answered']}"
            arm = _label(run)
            notes[arm] = "; ".join(filter(None, [notes.get(arm, ""), said]))
    return "\n".join([*lines, *(f"  {arm}: {note}" for arm, note in notes.items())])


def categories(run: dict[str, Any]) -> str:
    """What each category of questions scored, in plain text."""
    rows = [("category", "questions", "videos", "accuracy", "95 %")]
    for name, one in run["categories"].items():
        interval = f"{one['accuracy_low']:.1%}-{one['accuracy_high']:.1%}"
        counts = str(one["num_questions"]), str(one["num_videos"])
        rows.append((name, *counts, f"{one['accuracy']:.1%}", interval))
    return "\n".join(align(rows))


def recall_table(rows: Sequence[Row]) -> str:
    """Evidence recall with its two factors, in plain text."""
    lines = [RECALL_HEADER]
    for row in rows:
        interval = "-" if row.low is None else f"{row.low:.1%}-{row.high:.1%}"
        lines.append(
            (
                row.arm,
                str(row.num_questions),
                f"{row.temporal_hit:.1%}",
                _shown(row.cover_given_hit, 1, ".1%"),
                _shown(row.recalled_given_hit, 1, ".1%"),
                f"{row.recall:.1%}",
                interval,
            )
        )
    return "\n".join(align(lines))


def comparison(found: Comparison) -> str:
    """Two arms against each other, in a few lines."""
    lines = [f"{found.arm} against {found.reference} ({found.contrast.value}): {found.verdict}"]
    if (difference := found.accuracy) is not None:
        interval = "no interval"
        if difference.low is not None and difference.high is not None:
            interval = f"95 % {100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
        lines.append(
            f"accuracy {100 * difference.difference:+.1f} points ({interval}), "
            f"only {found.arm} right {difference.only_a}, only {found.reference} right "
            f"{difference.only_b}, of {difference.num_questions} on {difference.num_clusters} "
            "videos"
        )
    for name, mean in (
        ("log-probability margin of the right letter", found.log_probability_margin),
        ("divergence of the letters", found.divergence),
    ):
        if mean is not None:
            bounds = f"95 % {mean.low:+.3f} to {mean.high:+.3f}"
            lines.append(f"{name} {mean.difference:+.3f} nats ({bounds})")
    for name, ratio in (
        ("end to end", found.speed_up_end_to_end),
        ("without decode", found.speed_up_without_decode),
        ("model only", found.speed_up_model_only),
    ):
        if ratio is not None:
            bounds = "" if ratio.low is None else f" (95 % {ratio.low:.2f} to {ratio.high:.2f})"
            lines.append(f"speed-up {name} {ratio.ratio:.2f}{bounds}")
    if found.speed_up_end_to_end is None:
        lines.append(
            "no speed-up: that takes times of both arms from one command on one machine, and no "
            "attention by a loop; 'hlvid-eval perf' takes them"
        )
    return "\n".join(lines)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text as columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def next_command(settings: Settings) -> str:
    """What to type after a run: the controls and gaze off, if they are missing, else the page."""
    arms = [arm for arm in settings.arms if arm.variant is None]
    if all(arm.selector is not None for arm in arms):
        selectors = ",".join(missing_controls(arms))
        more = missing_variants(settings.arms, find(settings.model).variants)
        whole = replace(settings, arms=(*settings.arms, *more))
        return command(whole, "--gaze", "both", "--selector", selectors)
    words = page_command(settings)
    if is_built_in(settings.benchmark) and settings.data is not None:
        words = ["env", f"HLVID_DATA={settings.data}", *words]
    return shlex.join(words)


def page_command(settings: Settings) -> list[str]:
    """What makes a page of the runs; a built-in benchmark's questions are found by HLVID_DATA."""
    words = ["hlvid-leaderboard", "build", str(settings.out), "--out", str(settings.out / "site")]
    return words + ([] if is_built_in(settings.benchmark) else ["--questions", settings.benchmark])


def command(settings: Settings, *gaze: str) -> str:
    """The command line that asks for these settings, with other arms."""
    words = ["hlvid-eval", "--model", settings.model, "--benchmark", settings.benchmark, *gaze]
    words += ["--frames", str(settings.num_frames), "--out", str(settings.out)]
    words += [] if settings.data is None else ["--data", str(settings.data)]
    words += [] if settings.limit is None else ["--limit", str(settings.limit)]
    words += [] if settings.seed == 0 else ["--seed", str(settings.seed)]
    words += [] if settings.gaze_weights is None else ["--gaze-weights", settings.gaze_weights]
    for name, value in settings.options.items():
        is_flag = name == "trust_remote_code"
        words += [f"--{name.replace('_', '-')}", *([] if is_flag else [value])]
    also = [arm.name for arm in settings.arms if arm.variant is not None]
    words += ["--also", ",".join(also)] if also else []
    words += [] if settings.best_off is None else ["--best-off", str(settings.best_off)]
    words += ["--repeat-off"] if settings.repeat_off else []
    words += ["--prefetch"] if settings.prefetch else []
    return shlex.join(words)


def _label(run: dict[str, Any]) -> str:
    return f"{run['arm']} again" if run["repeat"] else str(run["arm"])


def _official(run: GradedRun, benchmark: Benchmark | None) -> dict[str, Any] | None:
    """What the benchmark's own marking gives; None where it has none, or no reply has a letter."""
    if benchmark is None:
        return None
    score = official_score(benchmark.name, benchmark.questions, run.predictions)
    if score is None or score.accuracy is None:
        return None
    return {**asdict(score), "accuracy": score.accuracy}


def _categories(run: GradedRun) -> dict[str, Any]:
    by_category: dict[str, list[Grade]] = {}
    for grade in run.grades:
        by_category.setdefault(grade.category, []).append(grade)
    return {name: summarize(grades).model_dump(mode="json") for name, grades in by_category.items()}


def _quantile(times: Sequence[float], videos: Sequence[str], q: float) -> float | None:
    """A quantile, or None where there are too few values to bound it."""
    if not times:
        return None
    found = quantile_interval(times, q, clusters=videos)
    return None if found.low is None or found.high is None else found.value


def _shown(value: float | None, unit: float, style: str) -> str:
    return "-" if value is None else format(value / unit, style)
