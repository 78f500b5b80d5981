"""The part of docs/benchmarks.md that is of one GPU: what gpu_check.py wrote, and its targets."""

from __future__ import annotations

from collections.abc import Sequence

from measure import Row
from table import markdown

AGREEMENT = "teacher-forced agreement with fp32"
TIMES_UPSTREAM = 10
"""Target: as many times faster than the released code, one clip."""
THRESHOLD_CLIPS_A_SECOND, MANY_CLIPS = 1500, 512
"""Target with a threshold, for at least so many clips."""
ROUNDS_GAIN, ROUNDS_CLIPS = 1.2, 45
"""What the second schedule must gain, at so many clips, to be the default."""


def gpu_part(rows: Sequence[Row]) -> list[str]:
    """Everything about one GPU as Markdown."""
    machine = next(row for row in _of(rows, "machine") if "gpu" in row)
    return [
        f"## AutoGaze on {machine['gpu']}",
        "",
        f"{machine['memory_gib']} GiB, torch {machine['torch']}, CUDA {machine['cuda']}, Triton "
        f"{machine['triton']}. Matrix products in bfloat16 reach {machine['bf16_tflops']:.0f} "
        f"TFLOP/s here, a copy {machine['copy_tb_per_s']:.2f} TB/s. `make gpu-check` measures it. "
        "The timed model has the released sizes and seeded random weights.",
        "",
        *_targets(rows),
        *_checks(rows),
        *_lock_step(rows),
        *_thresholds(rows),
        *_tower(rows),
        *_upstream(rows),
        *_not_run(rows),
    ]


def _of(rows: Sequence[Row], section: str) -> list[Row]:
    """The rows of a section without its time."""
    return [row for row in rows if row["section"] == section and set(row) != {"section", "seconds"}]


def _type(row: Row) -> str:
    """The working type, and what is multiplied where that is another."""
    name = str(row["dtype"]).removeprefix("torch.")
    products = row.get("products", "working")
    return name if products == "working" else f"{name}, products in {products}"


def _targets(rows: Sequence[Row]) -> list[str]:
    """Targets beside what was measured."""
    found = []
    for row in _of(rows, "lock_step"):
        if row.get("target") is None:
            continue
        sign, bound, unit = row["target"].split(" ")
        value = row["ms"] if unit == "ms" else row["clips_a_second"]
        is_met = value <= float(bound) if sign == "<=" else value >= float(bound)
        what = f"{_clips(row)}, {row['cap']} cells a frame, {_type(row)}"
        found.append([what, row["target"], f"{value:,.1f} {unit}", met(is_met)])
    for row in _of(rows, "threshold"):
        if row.get("schedule") == "lock-step" and row["clips"] >= MANY_CLIPS:
            rate, what = row["clips_a_second"], f"{_clips(row)}, threshold, bfloat16"
            target, is_met = (
                f">= {THRESHOLD_CLIPS_A_SECOND} clips/s",
                rate >= THRESHOLD_CLIPS_A_SECOND,
            )
            found.append([what, target, f"{rate:,.1f} clips/s", met(is_met)])
    for row in _of(rows, "agreement"):
        if row.get("what") == AGREEMENT:
            share = f"{100 * row['agreement']:.2f} %"
            target = f">= {100 * row['target']:g} %"
            found.append([f"{AGREEMENT}, {_type(row)}", target, share, met(row["meets_target"])])
    for row in _of(rows, "upstream"):
        if row.get("clips") == 1:
            times = f"{row['times_faster']:g} times"
            target = f">= {TIMES_UPSTREAM} times"
            is_met = row["times_faster"] >= TIMES_UPSTREAM
            found.append([f"1 clip, the released code, {_type(row)}", target, times, met(is_met)])
    return [*markdown(("what", "target", "measured", "met"), found), ""]


def _clips(row: Row) -> str:
    return "1 clip" if row["clips"] == 1 else f"{row['clips']:,} clips"


def met(is_met: bool) -> str:
    """Whether a target is met, as the tables say it."""
    return "yes" if is_met else "**no**"


def _checks(rows: Sequence[Row]) -> list[str]:
    """What was checked before anything was timed."""
    found = []
    for section, what in (
        ("attention", "attention kernels against a mask in fp32, relative error"),
        ("choose", "choose kernel against its oracle, wrong of cases"),
        ("fixtures", "fixtures of the released code, log-probability error"),
        ("agreement", "fp32 kernels against the plain path, equal slots"),
        ("select", "clips together and each alone, kept ratio"),
        ("invariance", "a clip alone, among others and in another lane, bit for bit"),
        ("threshold", "rounds choose what lock-step chooses"),
        ("upstream", "the released code on this card chooses the same"),
    ):
        checked = [row for row in _of(rows, section) if "ok" in row]
        if not checked:
            continue
        passed = f"{sum(row['ok'] for row in checked)} of {len(checked)}"
        found.append([what, passed, _worst(section, checked)])
    return ["Right first:", "", *markdown(("check", "passed", "worst"), found), ""]


def _worst(section: str, rows: Sequence[Row]) -> str:
    """The number of a check that says most."""
    if section == "attention":
        of: dict[str, float] = {}
        for row in rows:
            if "error" in row and "dtype" in row:
                worst = max(row["error"], row["error_in_graph"])
                of[_type(row)] = max(of.get(_type(row), 0.0), worst)
        return ", ".join(f"{value:.1e} {name}" for name, value in of.items())
    if section == "choose":
        return ", ".join(f"{row['wrong']} of {row['cases']:,}" for row in rows if "cases" in row)
    if section == "fixtures":
        return f"{max(row.get('log_prob_error', 0.0) for row in rows):.1e}"
    if section == "agreement":
        return ", ".join(f"{100 * row['same_slots']:g} %" for row in rows if "same_slots" in row)
    if section == "select":
        return ", ".join(f"{row['kept_ratio']:.3f}" for row in rows if "kept_ratio" in row)
    return ""


def _lock_step(rows: Sequence[Row]) -> list[str]:
    """Times without a threshold, the prediction beside them."""
    found = [
        [
            _type(row),
            f"{row['cap']}",
            f"{row['clips']:,}",
            f"{row['ms']:.1f} [{row['ms_spread'][0]:.1f}, {row['ms_spread'][1]:.1f}]",
            f"{row['encoder_ms']:.1f}",
            f"{row['ms_a_clip']:.3f}",
            f"{row['model_ms_a_clip_large_batch']:.2f}",
            f"{row['clips_a_second']:,.0f}",
            f"{row['peak_gib_without_input']:.2f}",
        ]
        for row in _of(rows, "lock_step")
        if "ms" in row
    ]
    header = ("type", "cells a frame", "clips", "ms [least, most]", "of it encoder", "ms a clip")
    header += ("predicted, large batch", "clips a second", "peak GiB")
    caption = "A ratio and no threshold, clips of 16 frames, device time from pixels to choices:"
    return [caption, "", *markdown(header, found), ""]


def _thresholds(rows: Sequence[Row]) -> list[str]:
    """The two schedules where frames end by themselves."""
    found = [
        [
            row["schedule"],
            f"{row['clips']:,}",
            f"{row['ms']:.1f} [{row['ms_spread'][0]:.1f}, {row['ms_spread'][1]:.1f}]",
            f"{row['clips_a_second']:,.0f}",
            f"{100 * row['kept_ratio']:.1f} %",
        ]
        for row in _of(rows, "threshold")
        if "schedule" in row
    ]
    caption = "A threshold, at most 198 cells a frame, bfloat16:"
    header = ("schedule", "clips", "ms [least, most]", "clips a second", "kept")
    times = {
        row["schedule"]: row["ms"]
        for row in _of(rows, "threshold")
        if "schedule" in row and row["clips"] == ROUNDS_CLIPS
    }
    gain = []
    if {"lock-step", "rounds"} <= set(times):
        gain = [
            f"At {ROUNDS_CLIPS} clips lock-step takes {times['lock-step'] / times['rounds']:.2f} "
            f"times what rounds take; above {ROUNDS_GAIN} rounds would be the default.",
            "",
        ]
    return [caption, "", *markdown(header, found), "", *gain]


def _tower(rows: Sequence[Row]) -> list[str]:
    """The tower with and without gaze."""
    found = []
    for row in _of(rows, "tower"):
        if "kept_ratio" in row:
            name = f"gazing ratio {row['kept_ratio']:g}"
            times = [f"{row['times_faster_with_gaze']:g}", f"{row['times_faster_tower_alone']:g}"]
            both = f"{row['tower_ms'] + row['gaze_ms']:.1f}"
            found.append([name, f"{row['tokens']:,}", f"{row['tower_ms']:.1f}", both, *times])
        elif "tower_ms" in row:
            found.append([row["kept"], f"{row['tokens']:,}", f"{row['tower_ms']:.1f}"] + [""] * 3)
    caption = (
        "SigLIP2-SO400M with random weights over four clips of 16 frames and 392 pixels, bfloat16, "
        "the same variable-length attention in all arms, block-causal:"
    )
    header = ("kept", "tokens", "tower ms", "gaze and tower ms", "times faster", "tower alone")
    return [caption, "", *markdown(header, found), ""]


def _upstream(rows: Sequence[Row]) -> list[str]:
    """The released code on the same card."""
    found = [
        [
            _type(row),
            f"{row['clips']}",
            f"{row['upstream_ms']:.0f}",
            f"{row['ours_ms']:.1f}",
            f"{row['times_faster']:g}",
        ]
        for row in _of(rows, "upstream")
        if "upstream_ms" in row
    ]
    if not found:
        return []
    caption = "The released code on the same card, the same weights and clips, ratio 0.1:"
    return [caption, "", *markdown(("type", "clips", "its ms", "ours", "times faster"), found), ""]


def _not_run(rows: Sequence[Row]) -> list[str]:
    """What was not run, and what failed, each with its reason."""
    lines = [
        f"- {name.replace('_', ' ')}: {reason}"
        for row in _of(rows, "not_run")
        for name, reason in sorted(row.items())
        if name != "section"
    ]
    lines += [
        f"- {row['section'].replace('_', ' ')} failed: {row['error']}"
        for row in rows
        if isinstance(row.get("error"), str)
    ]
    return ["Not run there:", "", *(lines or ["- nothing"]), ""]
