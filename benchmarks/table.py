"""Make the README's table: every selector at four budgets before the reader; evidence recall.

It takes hours on two cores and goes on where it was stopped. Records, predictions and evidence
recall go to docs/table/, from there into the README between its markers, by this script alone.

    .venv/bin/python benchmarks/table.py            # run what is missing, then write the README
    .venv/bin/python benchmarks/table.py --write    # only write the README from docs/table/
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaze.evidence import RECALLED_COVER
from hlvid.console import say
from hlvid.datasets import load
from hlvid.files import write_bytes
from hlvid.runs import GradedRun, grade_run, read_run
from hlvid.statistics import accuracy_interval, mean_difference, rank_agreement
from hlvid.types import Outcome, Question

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path("docs", "table")
"""From the repository's folder: no path of this machine gets into a record."""
README = ROOT / "README.md"
BENCHMARK = "hlvid-synthetic"
NUM_VIDEOS, SECONDS, NUM_FRAMES = 24, 100, 6
BUDGETS = (0.02, 0.05, 0.1, 0.25)
CONTROLLED = (0.02, 0.1)
"""At these, all controls of each learned or measured gaze."""
SEEDS = {0.1: range(5)}
"""Of `random-matched`; one where nothing is said."""
SELECTORS = ("random", "uniform", "centre", "centre-frame", "change", "detail", "text", "oracle")
GAZE, WEIGHTS = "autogaze", "mini"
"""AutoGaze with the weights that ship."""
MAPPINGS, MAPPED_AT = ("finest", "union", "mask-coarse"), 0.1
"""Ways to turn AutoGaze's cells into native tokens beside the default, and the budget they get."""
LOOKING = ("detail", GAZE)
"""Those of which the controls copy the counts, and the masks of other videos."""
RANDOM = "random-matched:detail"
RECALL_FILE = "recall_rows.jsonl"
BLIND = ("gold", "random-letter", "text-only")


def run_missing(out: Path) -> None:
    """Render, sit and measure whatever docs/table/ does not hold yet."""
    render = ("--videos", NUM_VIDEOS, "--seconds", SECONDS, "--seed", 0)
    command("hlvid-build", "render", *render)
    both = ("--benchmark", BENCHMARK, "--frames", NUM_FRAMES, "--out", out)
    for model in BLIND:
        command("hlvid-eval", "--model", model, *both)
    weights = ("--gaze-weights", WEIGHTS)
    budgets = ("--budget", ",".join(f"{budget:g}" for budget in BUDGETS))
    measured = (*SELECTORS, GAZE, f"{GAZE}-native", *map(transplanted, LOOKING))
    measured += tuple(f"{mapped(mapping)}@{MAPPED_AT:g}" for mapping in MAPPINGS)
    recall = ("--selector", ",".join(measured), *budgets, *weights, "--json")
    write_bytes(ROOT / out / RECALL_FILE, [command("hlvid-eval", "recall", *both, *recall)])
    gaze = ("--gaze", "both", "--selector", ",".join(reader_arms()), *weights)
    command("hlvid-eval", "--model", "ocr", *both, *gaze)


def reader_arms() -> list[str]:
    """The arms of the reader that gaze, as the command takes them."""
    return [
        f"{name}@{budget:g}" + (f"#0-{len(seeds_of(budget)) - 1}" if name in CONTROLS else "")
        for budget in BUDGETS
        for name in selectors_at(budget)
    ]


def selectors_at(budget: float) -> tuple[str, ...]:
    """What the reader is shown at a budget, in the order of the table."""
    if budget not in CONTROLLED:
        return (*SELECTORS, GAZE, RANDOM)
    mappings = tuple(map(mapped, MAPPINGS)) if budget == MAPPED_AT else ()
    return (*SELECTORS, GAZE, *mappings, *map(transplanted, LOOKING), *CONTROLS)


def seeds_of(budget: float) -> range:
    """Of `random-matched` at a budget."""
    return SEEDS.get(budget, range(1))


def mapped(mapping: str) -> str:
    """AutoGaze with another mapping."""
    return f"{GAZE}-{mapping}"


def matched(selector: str) -> str:
    """The control that spends at random what a selector spent."""
    return f"random-matched:{selector}"


def transplanted(selector: str) -> str:
    """The control that keeps of a video what a selector kept of another."""
    return f"transplanted:{selector}"


CONTROLS = tuple(map(matched, LOOKING))


def command(program: str, *arguments: object) -> bytes:
    """Run one of our commands and return its output; exit with its code if it fails."""
    words = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
    say(" ".join([program, *words[1:]]))
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, cwd=ROOT)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def graded_runs(folder: Path, questions: Sequence[Question]) -> dict[tuple[str, str], GradedRun]:
    """All complete runs below a folder, verified and marked again, by model and arm."""
    runs = {}
    for record in sorted(folder.glob("*/run.json")):
        run = grade_run(read_run(record.parent), questions)
        if run.record.status != "complete":
            sys.exit(f"{record}: is {run.record.status}. The table needs complete runs.")
        runs[run.record.model.name, run.record.arm.name] = run
    return runs


def correct(run: GradedRun) -> np.ndarray:
    """1 where the run is right, (questions,)."""
    return np.array([grade.outcome is Outcome.CORRECT for grade in run.grades], dtype=float)


def recalled(run: GradedRun, questions: Sequence[Question]) -> np.ndarray:
    """1 where the evidence was kept, (questions,); what the reader saw decides, not `recall`."""
    by_id = {prediction.question_id: prediction for prediction in run.predictions}
    found = [by_id[question.question_id] for question in questions]
    return np.array(
        [one.temporal_hit == 1 and (one.spatial_cover or 0) >= RECALLED_COVER for one in found],
        dtype=float,
    )


def percent(value: float) -> str:
    """A share as the tables show it."""
    return f"{100 * value:.1f}"


def with_interval(is_correct: np.ndarray, videos: Sequence[str]) -> str:
    """Accuracy with its clustered 95 % interval, in percent."""
    found = accuracy_interval(is_correct, videos)
    return f"{percent(found.accuracy)} [{percent(found.low)}, {percent(found.high)}]"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, the first column to the left, the others to the right."""
    line = "| " + " | ".join(header) + " |"
    return [
        line,
        "|---|" + "--:|" * (len(header) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def reader_rows(
    runs: dict[tuple[str, str], GradedRun], questions: Sequence[Question]
) -> list[list[str]]:
    """One row an arm of the reader: accuracy, on text questions, against random-matched."""
    videos = [question.video_id for question in questions]
    is_text = np.array([question.capability == "text" for question in questions])
    text_videos = [video for video, keep in zip(videos, is_text, strict=True) if keep]
    arms = [("off", None)] + [
        (f"{selector}@{budget:g}", budget)
        for budget in BUDGETS
        for selector in selectors_at(budget)
        if ("ocr", f"{selector}@{budget:g}") in runs
    ]
    rows = []
    for name, budget in arms:
        run = runs["ocr", name]
        seeds = seeds_of(budget) if budget and name.startswith(matched("")) else range(1)
        copies = [runs["ocr", f"{name}#{seed}" if seed else name] for seed in seeds]
        scores = np.mean([correct(copy) for copy in copies], axis=0)
        difference = "" if budget is None else against_random(runs, scores, budget, videos, name)
        rows.append(
            [
                marked(name, run) + (f", mean of {len(copies)} seeds" if len(copies) > 1 else ""),
                percent(kept_ratio(run)),
                with_interval(correct(run), videos) if len(copies) == 1 else percent(scores.mean()),
                with_interval(correct(run)[is_text], text_videos)
                if len(copies) == 1
                else percent(scores[is_text].mean()),
                difference,
                percent(float(np.mean([g.letter is None for g in run.grades]))),
            ]
        )
    return rows


def reader_part(runs: dict[tuple[str, str], GradedRun], questions: Sequence[Question]) -> list[str]:
    """The reader's table with its caption; a sentence where its runs are not there yet."""
    if ("ocr", "off") not in runs:
        return ["The reader's table is not there yet: it takes hours, and `make table` makes it."]
    return [
        f"The **reader** sees only what each selector keeps. `{GAZE}` has the weights that ship "
        f"(`{WEIGHTS}`). Against random: paired difference in points to `{RANDOM}`, for `{GAZE}` "
        f"to `{matched(GAZE)}` where that was sat, at the same number of tokens. "
        "† is shown where the answer is, but not the words by which the question names the "
        "thing. ‡ shares the reader's own text detector.",
        "",
        *markdown(
            ("arm", "kept", "accuracy", "text questions", "against random", "no answer"),
            reader_rows(runs, questions),
        ),
    ]


def against_random(
    runs: dict[tuple[str, str], GradedRun],
    scores: np.ndarray,
    budget: float,
    videos: Sequence[str],
    name: str,
) -> str:
    """Paired difference to the mean over the seeds of random-matched, in points."""
    is_mapped = any(name.startswith(mapped(mapping)) for mapping in MAPPINGS)
    if name.startswith(matched("")) or is_mapped:  # No control has the counts of these.
        return ""
    own = f"{matched(GAZE)}@{budget:g}"
    control = own if GAZE in name and ("ocr", own) in runs else f"{RANDOM}@{budget:g}"
    names = [control + (f"#{seed}" if seed else "") for seed in seeds_of(budget)]
    reference = np.mean([correct(runs["ocr", other]) for other in names], axis=0)
    return difference(scores, reference, videos)


def difference(ours: np.ndarray, theirs: np.ndarray, videos: Sequence[str]) -> str:
    """Paired difference with its clustered 95 % interval, in points."""
    found = mean_difference(ours, theirs, videos)
    return f"{100 * found.difference:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def kept_ratio(run: GradedRun) -> float:
    """Visual tokens kept / visual tokens of `off`, over all questions."""
    counts = [p.tokens for p in run.predictions if p.tokens is not None]
    return sum(c.visual for c in counts) / sum(c.visual_off for c in counts)


def marked(name: str, run: GradedRun) -> str:
    """An arm's name with a mark for each of its notes."""
    marks = ("†" if run.record.arm.privileged else "") + (
        "‡" if any("detector" in note for note in run.record.arm.notes) else ""
    )
    return f"`{name}`{marks}"


def blind_rows(runs: dict[tuple[str, str], GradedRun], videos: Sequence[str]) -> list[list[str]]:
    """The models that never look at a video."""
    return [[f"`{model}`", with_interval(correct(runs[model, "off"]), videos)] for model in BLIND]


def agreement_part(
    runs: dict[tuple[str, str], GradedRun], questions: Sequence[Question]
) -> list[str]:
    """Whether evidence recall and the reader rank selectors alike."""
    if ("ocr", "off") not in runs:
        return []
    videos = [question.video_id for question in questions]
    told = []
    for budget in BUDGETS:
        names = [f"{selector}@{budget:g}" for selector in (*SELECTORS, GAZE)]
        arms = [runs["ocr", name] for name in names if ("ocr", name) in runs]
        arms = [run for run in arms if not run.record.arm.privileged]
        recalls = [recalled(run, questions) for run in arms]
        found = rank_agreement(recalls, [correct(run) for run in arms], videos)
        if found.tau is None:
            told.append(f"at {budget:.0%} one of them tells no selector from another")
            continue
        interval = "" if found.low is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
        told.append(f"at {budget:.0%} {found.tau:+.2f}{interval} over {len(arms)} selectors")
    return [
        "",
        "Do evidence recall and the reader rank selectors alike? Kendall's tau-b of the two, "
        f"resampled by video: {'; '.join(told)}.",
    ]


def mapping_part(
    runs: dict[tuple[str, str], GradedRun], questions: Sequence[Question]
) -> list[str]:
    """What the other mappings recall and read against the default, at the same budget."""
    names = {mapping: f"{mapped(mapping)}@{MAPPED_AT:g}" for mapping in MAPPINGS}
    default = ("ocr", f"{GAZE}@{MAPPED_AT:g}")
    if not {default, *(("ocr", name) for name in names.values())} <= set(runs):
        return []
    videos = [question.video_id for question in questions]
    told = []
    for mapping, name in names.items():
        ours, theirs = runs["ocr", name], runs[default]
        points = [
            difference(measure(ours), measure(theirs), videos)
            for measure in (lambda run: recalled(run, questions), correct)
        ]
        kept = percent(kept_ratio(ours))
        told.append(f"`{mapping}` (keeps {kept}) recalls {points[0]} and reads {points[1]}")
    return [
        "",
        f"Mapping of AutoGaze's cells to native tokens at {MAPPED_AT:.0%}, in points against the "
        f"default `aligned` (keeps {percent(kept_ratio(runs[default]))}): {'; '.join(told)}.",
    ]


def recall_rows(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A row a selector, a column a budget; most recall at the tenth first."""
    by_name: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found:
        name, _, budget = row["arm"].rpartition("@")
        by_name.setdefault(name, {})[budget] = row
    order = sorted(by_name, key=lambda name: (-by_name[name][f"{MAPPED_AT:g}"]["recall"], name))
    return [
        [f"`{name}`", *(recall_cell(by_name[name].get(f"{budget:g}")) for budget in BUDGETS)]
        for name in order
    ]


def recall_cell(row: dict[str, Any] | None) -> str:
    """Recall with its interval, then the mean cover; '-' where it was not measured."""
    if row is None:
        return "-"
    between = "" if row["low"] is None else f" [{percent(row['low'])}, {percent(row['high'])}]"
    cover = row["cover_given_hit"]
    return f"{percent(row['recall'])}{between} / {'-' if cover is None else percent(cover)}"


def recall_part(folder: Path) -> list[str]:
    """The table of evidence recall with its caption; nothing where it is not measured yet."""
    if not (folder / RECALL_FILE).is_file():
        return ["Evidence recall is not there yet: `make table` measures it."]
    found = [json.loads(line) for line in (folder / RECALL_FILE).read_text().splitlines()]
    hits = sorted({percent(row["temporal_hit"]) for row in found})
    return [
        "**Evidence recall**, no model: share of questions whose evidence is at least 90 % kept in "
        "a sampled frame, and behind the stroke the mean share of the evidence box that is kept "
        f"where a frame shows it. Such a frame is among those sampled for {' to '.join(hits)} % of "
        "the questions (temporal hit), whatever is kept of it: recall = temporal hit x recalled "
        "given a hit. Columns are budgets.",
        "",
        *markdown(("selector", *(f"{budget:.0%}" for budget in BUDGETS)), recall_rows(found)),
    ]


def readme_part(folder: Path, questions: Sequence[Question]) -> str:
    """The README's tables as Markdown."""
    runs = graded_runs(folder, questions)
    videos = [question.video_id for question in questions]
    machine = runs["gold", "off"].record.provenance.hardware
    return "\n".join(
        [
            f"`{BENCHMARK}`: {len(set(videos))} videos of {SECONDS} s in 4K, {len(questions)} "
            f"questions, {NUM_FRAMES} frames a video. Made on {machine.num_cores} "
            f"cores of {machine.cpu}; every run is in [docs/table](docs/table). All shares in "
            "percent, 95 % intervals clustered by video.",
            "",
            *reader_part(runs, questions),
            *agreement_part(runs, questions),
            *mapping_part(runs, questions),
            "",
            "Models that **never see** the video (25 is chance; `gold` is told the answers):",
            "",
            *markdown(("model", "accuracy"), blind_rows(runs, videos)),
            "",
            *recall_part(folder),
        ]
    )


def write_readme(part: str) -> None:
    """Put the tables between the README's markers."""
    begin, end = "<!-- table:begin -->", "<!-- table:end -->"
    text = README.read_text()
    head, tail = text.split(begin)[0], text.split(end)[1]
    write_bytes(README, [f"{head}{begin}\n{part}\n{end}{tail}".encode()])


def main() -> None:
    """Run what is missing, then write the README."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--write", action="store_true", help="only write the README from docs/table/"
    )
    parser.add_argument("--out", type=Path, default=TABLE, help="folder of the records")
    options = parser.parse_args()
    if not options.write:
        run_missing(options.out)
    write_readme(readme_part(ROOT / options.out, load(BENCHMARK).questions))
    say(f"README.md: written. Next: hlvid-leaderboard build {options.out} --out site")


if __name__ == "__main__":
    main()
