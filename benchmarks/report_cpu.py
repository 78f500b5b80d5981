"""The parts of docs/benchmarks.md that `make bench` measures, one function a result file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import Row
from report_gpu import met
from table import markdown

FIGURES = Path(__file__).with_name("paper_figures.json")
MAP = "break-even.svg"


def machine_part(rows: Sequence[Row]) -> list[str]:
    """What it was measured on."""
    machine = rows[0]
    versions = ", ".join(f"{name} {version}" for name, version in machine["software"].items())
    commit = (machine["git_commit"] or "unknown")[:12]
    state = " with uncommitted changes" if machine["git_dirty"] else ""
    gpus = f" and {', '.join(machine['gpus'])}" if machine["gpus"] else ""
    threads = machine["settings"].get("threads")
    return [
        f"On {machine['num_cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB{gpus}; "
        f"{versions}; {f'{threads} threads; ' if threads else ''}commit {commit}{state}.",
        "",
    ]


def reading_part(rows: Sequence[Row]) -> list[str]:
    """Reading sampled frames, and the memory of it."""
    found = []
    for row in _of(rows, "read ratio"):
        same = {"codec": row["codec"], "num_frames": row["num_frames"]}
        times = [r for r in _of(rows, "read") if same.items() <= r.items()]
        seconds = [
            statistics.median([r[f"{way}_seconds"] for r in times]) for way in ("plain", "reader")
        ]
        target = "" if row["target"] is None else f">= {row['target']:g}"
        found.append(
            [
                row["codec"],
                f"{row['num_frames']}",
                *(f"{s:.1f}" for s in seconds),
                f"{row['rounds']}",
                _interval(row),
                target,
                "" if row["is_met"] is None else met(row["is_met"]),
            ]
        )
    header = ("codec", "frames", "plain s", "reader s", "rounds", "times faster")
    memory = [
        [row["spread"], f"{row['num_frames']}", f"{row['peak_rss_bytes'] / 2**20:,.0f}"]
        for row in _of(rows, "views memory")
    ]
    lines = [
        "Frames spread evenly over 300 s of 3840x2160, one keyframe every 5 s: the reader, which "
        "has never seen the file, against decoding it from the start.",
        "",
        *markdown((*header, "target", "met"), found),
        "",
        "Peak memory of streaming them as views, each in a process of its own:",
        "",
        *markdown(("frames lie", "frames", "peak MiB"), memory),
        "",
    ]
    for row in _of(rows, "views memory ratio"):
        few, many = row["num_frames"]
        lines.append(
            f"- {row['spread']}: {many} frames take {row['ratio']:.3f} times the memory of {few} "
            f"(target: within {100 * (row['target'] - 1):.0f} %; met: {met(row['is_met'])})"
        )
    return [*lines, ""]


def resize_part(rows: Sequence[Row]) -> list[str]:
    """Our canvas against the stock processor's."""
    found = [
        [
            row["family"],
            row["canvas"],
            f"{row['width']}x{row['height']}",
            f"{row['most']}",
            f"{row['mean']:.2f}",
            f"{row['mean_luma']:.2f}",
        ]
        for row in _of(rows, "resize")
    ]
    return [
        "All arms see one canvas, decoded straight to its size. The difference of its 8-bit values "
        "to those that the stock processor's own resize makes of whole frames, mostly of colour: "
        "the half-size colour planes are scaled once here, twice there, and the clip has more "
        "detail in them than videos have.",
        "",
        *markdown(("family", "canvas", "pixels", "largest", "mean", "mean of luma"), found),
        "",
    ]


def training_part(rows: Sequence[Row]) -> list[str]:
    """Seconds a step of training."""
    steps = _of(rows, "step")
    ways = list(dict.fromkeys((r["stage"], r["model"], r["precision"]) for r in steps))
    found = []
    for made in _of(rows, "data"):
        here = [r for r in steps if (r["frames"], r["batch"]) == (made["frames"], made["batch"])]
        by_way = {(r["stage"], r["model"], r["precision"]): r["ms"] for r in here}
        seconds = [f"{by_way[way] / 1e3:.3f}" for way in ways]
        found.append([f"{made['batch']} of {made['frames']}", *seconds, f"{made['ms'] / 1e3:.3f}"])
    header = ("clips of frames", *(" ".join(way) for way in ways), "making the batch")
    return [
        "Seconds a step of the optimiser (medians, all ways of a batch in turns): the first stage "
        "at the shipped and at the released sizes, the same along the model's own gazes (`own`), "
        "and the second at the shipped sizes, all from random values. Making a batch, with its "
        "greedy labels, is done by other processes.",
        "",
        *markdown(header, found),
        "",
    ]


def memory_part(rows: Sequence[Row]) -> list[str]:
    """Gazing at 4K in a stream."""
    settings = rows[0]["settings"]
    found = [
        [
            f"{row['num_frames']}",
            f"{row['num_tokens']:,}",
            f"{row['peak_rss_bytes'] / 2**30:.2f}",
        ]
        for row in _of(rows, "memory")
    ]
    lines = [
        f"`{settings['selector']}` with random weights of the released size at a budget of "
        f"{settings['budget']:g}, frames of 3840x2160 spread evenly over 300 s, decoding included:",
        "",
        *markdown(("frames", "tokens kept", "peak GiB"), found),
        "",
    ]
    for row in _of(rows, "memory ratio"):
        lines.append(
            f"Most to least: {row['ratio']:.3f} (target: at most {row['target_ratio']:g}); most "
            f"{row['most_gib']:.2f} GiB (target: under {row['target_gib']:g}). "
            f"Met: {met(row['is_met'])}."
        )
    return [*lines, ""]


def break_even_part(rows: Sequence[Row]) -> list[str]:
    """The map of towers and gazing ratios."""
    found = []
    for row in _of(rows, "cell"):
        limit = row["break_even_tower_ms"]
        tax = row["selector_tax"]
        found.append(
            [
                f"{row['tower']} at {row['view']}",
                f"{row['frames']}",
                f"{100 * row['gazing_ratio']:g} %",
                f"{row['tokens_on']:,} of {row['tokens_off']:,}",
                *(f"{row[name]:,.0f}" for name in ("tower_off_ms", "gaze_ms", "tower_on_ms")),
                _interval(row),
                "never" if tax is None else f"{tax:.2f}",
                "never" if limit is None else f"{limit:,.0f}",
            ]
        )
    header = ("tower at pixels", "frames", "gazing ratio", "tokens", "tower alone ms", "gaze ms")
    header += ("tower on kept ms", "times faster", "selector tax", "pays above ms")
    return [
        f"![Times faster with gaze, by tower and gazing ratio]({MAP})",
        "",
        "One clip in fp32. *Tower alone*: every finest cell, every frame alone. *Times faster*: "
        "tower alone over gaze and tower on what was kept, rounds by turns, 95 % bootstrap of the "
        "rounds. *Selector tax*: gaze over what the tower saves. *Pays above*: what a tower that "
        "keeps the same share of its time must cost alone for gazing to pay. Weights are random "
        "and change no time; nothing here speaks of accuracy.",
        "",
        *markdown(header, found),
        "",
        *_not_run(rows, lambda row: f"{row['tower']} at {row['view']} pixels"),
    ]


def grid_part(rows: Sequence[Row]) -> list[str]:
    """The paper's grid beside ours."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    paper = {(cell["fps"], cell["resolution"]): cell for cell in figures["cells"]}
    found = []
    for row in _of(rows, "cell"):
        figure = paper[row["fps"], row["resolution"]]
        seconds = [figure.get(f"{way}_gaze_seconds") for way in ("without", "with")]
        found.append(
            [
                f"{row['fps']} x {row['resolution']}",
                f"{row['setting']}, {row['tower_dtype']}",
                f"{100 * row['paper_gazing_ratio']:g} %, {100 * row['gazing_ratio']:.1f} %",
                *("" if s is None else f"{s:g}" for s in seconds),
                _paper_speed_up(figure),
                *(f"{row[name] / 1e3:.3g}" for name in ("off_ms", "gaze_ms", "tower_on_ms")),
                _interval(row),
            ]
        )
    header = ("frames/s x pixels", "setting", "gazing ratio, paper and here", "paper: without s")
    header += ("with s", "times", "here: without s", "gaze s", "tower s", "times faster")
    return [
        f"{rows[0]['settings']['tower']} with random weights over one second of video, gazing at "
        "the ratio of the paper's figure, gaze's time included. Setting *paper*: fp32, no fused "
        "attention in the tower. Setting *people*: variable-length attention, half types where "
        f"they are faster. {figures['paper']}: {figures['how']} Its seconds are read off a picture "
        "and of another machine: only the ratios can be compared.",
        "",
        *markdown(header, found),
        "",
        *_not_run(rows, lambda row: f"{row['fps']} x {row['resolution']}, {row['setting']}"),
    ]


def _paper_speed_up(figure: Row) -> str:
    """As printed, or from the two readings."""
    if "speed_up" in figure:
        return f"{figure['speed_up']:g} (printed)"
    if {"with_gaze_seconds", "without_gaze_seconds"} <= set(figure):
        return f"{figure['without_gaze_seconds'] / figure['with_gaze_seconds']:.2g}"
    return ""


def mllm_part(rows: Sequence[Row]) -> list[str]:
    """Every selector and budget before a small MLLM, by canvas."""
    settings = rows[0]["settings"]
    found = []
    for row in _of(rows, "arm"):
        limit, tax = row["break_even_tower_ms"], row["selector_tax"]
        is_off = row["tokens"] == row["tokens_off"]
        found.append(
            [
                f"{row['views']}",
                f"`{row['arm']}`",
                f"{row['tokens']:,}",
                *(f"{row[name]:,.0f}" for name in ("gaze_ms", "tower_ms", "total_ms")),
                f"{row['tower_speed_up']:.2f}",
                f"{row['speed_up']:.2f}",
                "" if is_off else "never" if tax is None else f"{tax:.2f}",
                "" if is_off else "never" if limit is None else f"{limit:,.0f}",
                f"{row['peak_rss_bytes'] / 2**30:.2f}",
            ]
        )
    header = ("views", "arm", "tokens", "gaze ms", "tower ms", "all ms", "tower faster")
    header += ("all faster", "selector tax", "pays above tower ms", "peak GiB")
    return [
        f"`{settings['model']}` answers one question about {settings['num_frames']} frames of a "
        "300 s 4K clip; random values, fp32; a view is 448 pixels a side. Medians of the rounds; "
        "decoding is the same in all arms and left out. The tower is far smaller than a real one, "
        "so *all faster* is the worst case for gaze: *pays above* is what the tower must cost "
        "alone. AutoGaze has the released size and random weights. Nothing here speaks of "
        "accuracy.",
        "",
        *markdown(header, found),
        "",
    ]


def long_part(rows: Sequence[Row]) -> list[str]:
    """Very many whole frames in one prompt."""
    settings = rows[0]["settings"]
    lines = []
    for row in _of(rows, "long"):
        stages = ", ".join(f"{name} {ms / 1e3:,.1f} s" for name, ms in row["stage_ms"].items())
        lines += [
            f"`{settings['model']}`, arm `{row['arm']}`, {row['num_frames']:,} frames of "
            f"{settings['canvas']} in one prompt: {row['tokens']:,} visual tokens of "
            f"{row['tokens_off']:,}, {row['patches']:,} patches through the tower; {stages}; peak "
            f"memory {row['peak_rss_bytes'] / 2**30:.2f} GiB. The frames are on no disk: they are "
            "decoded within the stage that reads them, `gaze` or `preprocess`, "
            f"{row['num_decoded']:,} times in all.",
            "",
        ]
    return lines


def rounding_part(rows: Sequence[Row]) -> list[str]:
    """What each rounding costs in agreement."""
    found = [
        [row["what"], f"{100 * row['error']:.3f} %", f"{100 * row['agreement']:.2f} %"]
        for row in _of(rows, "rounding")
    ]
    slots = next((row["slots"] for row in _of(rows, "rounding")), 0)
    return [
        "Emulated on a CPU: fp32 arithmetic whose operands are rounded as a GPU path would round "
        "them, the fp32 prefix given, natural positions, random weights of the released size, "
        f"{slots:,} slots. It says which roundings matter; `make gpu-check` measures the rest.",
        "",
        *markdown(("rounded", "relative error of logits", "same choice"), found),
        "",
    ]


def upstream_part(rows: Sequence[Row]) -> list[str]:
    """AutoGaze on a CPU against the released code."""
    found = [
        [
            f"{row['batch']}",
            f"{row['gazing_ratio']:g}",
            f"{row['upstream_s']:.2f}",
            f"{row['ours_s']:.2f}",
            f"{row['times_faster']:g} [{row['times_faster_spread'][0]:g}, "
            f"{row['times_faster_spread'][1]:g}]",
            f">= {row['wanted']:g}",
            met(row["is_met"]),
            "yes" if row["equal"] else "**no**",
            f"{row['time_over_matmul_time']:g}",
        ]
        for row in _of(rows, "case")
    ]
    header = ("clips", "ratio", "its s", "ours s", "times faster [least, most]", "target", "met")
    header += ("same choices", "ours over its products' time")
    return [
        "The same weights and clips of 16 frames in fp32, by turns in one process. The last column "
        "is our time over that of as many operations in a large matrix product of the same moment.",
        "",
        *markdown(header, found),
        "",
    ]


def coverage_part(rows: Sequence[Row]) -> list[str]:
    """How often intervals hold the truth."""
    settings = rows[0]["settings"]
    found = [
        [
            row["row"],
            f"{100 * row['truth']:g} %",
            f"{100 * row['coverage']:.1f} %",
            f"{100 * row['half_width']:.1f}",
            *(
                f"{100 * row[name]:.1f} %" if name in row else ""
                for name in ("rejected", "rejected_mcnemar")
            ),
        ]
        for row in rows
        if row["row"] in ("accuracy", "difference")
    ]
    header = ("of", "truth", "95 % interval holds it", "half width, points", "p < 0.05", "McNemar")
    sizes = " or ".join(map(str, settings["questions"]))
    return [
        f"{settings['repetitions']:,} simulated benchmarks of {settings['num_videos']} videos with "
        f"{sizes} questions each, correlation {settings['icc']:g} within a video:",
        "",
        *markdown(header, found),
        "",
    ]


def _of(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["row"] == kind]


def _not_run(rows: Sequence[Row], name: Callable[[Row], str]) -> list[str]:
    """What did not fit, each with its reason."""
    found = [f"- {name(row)}: {row['reason']}" for row in _of(rows, "not run")]
    return ["Not run:", "", *found, ""] if found else []


def _interval(row: Row) -> str:
    """A speed-up with its interval, where there is one."""
    text = f"{row['speed_up']:.2f}"
    if row["speed_up_low"] is None:
        return text
    return f"{text} [{row['speed_up_low']:.2f}, {row['speed_up_high']:.2f}]"
