"""Whether qwen3-mini measures what it ships to measure: the criteria of its card, on unseen videos.

It renders hlvid-synthetic with a seed that nothing here was made with, writes the plan of the run,
lets the model sit it with every selector at two budgets, measures evidence recall of the same
selectors, and judges. It takes hours on two cores and goes on where it was stopped.

    .venv/bin/python benchmarks/fit_mini.py                        # the model that ships
    .venv/bin/python benchmarks/fit_mini.py --weights FOLDER       # a run's best
    .venv/bin/python benchmarks/fit_mini.py --quick                # oracle and blind, 4 videos
"""

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from evaluators.models.qwen.weights import MINI, SHIPPED
from evaluators.train.publishing import Criterion, Fitness
from hlvid.console import say
from hlvid.datasets import load
from hlvid.files import json_bytes, sha256_file, write_bytes
from hlvid.runs import GradedRun, grade_run, read_run
from hlvid.statistics import accuracy_interval, paired_difference
from hlvid.types import Outcome, Question

ROOT = Path(__file__).resolve().parents[1]
BENCHMARK = "hlvid-synthetic"
SEED, SECONDS = 5_151, 100
"""Of the videos that it is judged on; nobody looked at them before the last weights were there."""
QUICK_SEED = 4_242
NUM_QUESTIONS = 190
CHANCE = 0.25
ORACLE, ORACLE_BUDGET = "oracle", 0.01
WANTED_ORACLE, LEAST_ORACLE = 0.8, 0.6
WANTED_RANKS = 0.8
APART = 0.15
"""Evidence recall between two selectors that have to be told apart."""
RECALL_FILE = "recall.jsonl"
SELECTORS = (
    "random", "uniform", "centre", "centre-frame", "change", "change-unbounded", "detail", "text",
)  # fmt: skip


def run_missing(asked: argparse.Namespace) -> None:
    """Render, plan, sit and measure whatever is not there yet."""
    data, out = asked.out / "data", runs_of(asked)
    seed = QUICK_SEED if asked.quick else SEED
    render = ("--videos", asked.videos, "--seconds", SECONDS, "--seed", seed, "--out", data)
    command("hlvid-build", "render", *render)
    sit = (
        *("--benchmark", BENCHMARK, "--data", data, "--frames", asked.frames),
        *("--model", "qwen", "--weights", asked.weights, "--pairing", asked.pairing),
        *("--context", asked.context, "--gaze", "on", "--selector", ",".join(arms(asked))),
        *("--also", "blind", "--out", out),
    )
    command("hlvid-eval", "plan", *sit, "--primary", oracle(), "--against", "blind", "--no-probe")
    command("hlvid-eval", *sit)
    if not asked.quick:
        recall = ("--benchmark", BENCHMARK, "--data", data, "--frames", asked.frames)
        budgets = ",".join(f"{budget:g}" for budget in asked.budgets)
        found = command(
            *("hlvid-eval", "recall", *recall, "--selector", ",".join(SELECTORS)),
            *("--budget", budgets, "--out", asked.out / "recall", "--json"),
        )
        write_bytes(asked.out / RECALL_FILE, [found])


def weights_of(asked: argparse.Namespace) -> str:
    """Digest of what is judged."""
    folder = SHIPPED if asked.weights in MINI else Path(asked.weights)
    return sha256_file(folder / "model.safetensors")


def runs_of(asked: argparse.Namespace) -> Path:
    """Folder of the runs of these weights and these frames: none of others are in it."""
    settings = f"{asked.frames}-{asked.pairing}-{asked.context}"
    return Path(asked.out, "runs", f"{weights_of(asked)[:12]}-{settings}")


def oracle() -> str:
    """The arm whose accuracy says whether the model can read at all."""
    return f"{ORACLE}@{ORACLE_BUDGET:g}"


def arms(asked: argparse.Namespace) -> list[str]:
    """What is sat beside `blind`."""
    if asked.quick:
        return [oracle()]
    return [oracle(), *(f"{name}@{b:g}" for b in asked.budgets for name in SELECTORS)]


def command(program: str, *arguments: object) -> bytes:
    """Run one of our commands and return its output; exit with its code if it fails."""
    words = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
    say(" ".join([program, *words[1:]]))
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def judge(asked: argparse.Namespace) -> Fitness:
    """Hold the runs against the criteria."""
    questions = load(BENCHMARK, data=asked.out / "data").questions
    runs: dict[str, GradedRun] = {}
    for record in sorted(runs_of(asked).glob("*/run.json")):
        run = grade_run(read_run(record.parent), questions)
        runs[run.record.arm.name] = run
    videos = [question.video_id for question in questions]
    right = {name: correct(run) for name, run in runs.items()}
    criteria = [
        at_chance(right["blind"], videos),
        reads(right[oracle()], videos, questions),
    ]
    if not asked.quick:
        lines = (asked.out / RECALL_FILE).read_text(encoding="utf-8").splitlines()
        recall = {row["arm"]: float(row["recall"]) for row in map(json.loads, lines)}
        for budget in asked.budgets:
            names = [f"{name}@{budget:g}" for name in SELECTORS]
            criteria.append(rises(budget, names, recall, right))
            criteria.append(tells_apart(budget, names, recall, right, videos))
    is_fit = all(one.is_met for one in criteria) and not asked.quick
    others = all(one.is_met for one in criteria if one.name != oracle())
    least = float(right[oracle()].mean()) >= LEAST_ORACLE
    least = least and len(questions) >= NUM_QUESTIONS
    return Fitness(
        weights_sha256=weights_of(asked),
        benchmark=f"{BENCHMARK} of seed {QUICK_SEED if asked.quick else SEED}",
        num_questions=len(questions),
        settings=f"{asked.frames} frames, pairing {asked.pairing}, context {asked.context}",
        criteria=tuple(criteria),
        is_fit=is_fit,
        ships=others and least and not asked.quick,
    )


def correct(run: GradedRun) -> np.ndarray:
    """1 where the run is right, (questions,)."""
    return np.array([grade.outcome is Outcome.CORRECT for grade in run.grades], dtype=float)


def shown(right: np.ndarray, videos: Sequence[str]) -> str:
    """Accuracy with its clustered 95 % interval."""
    found = accuracy_interval(right, videos)
    return f"{100 * found.accuracy:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def at_chance(right: np.ndarray, videos: Sequence[str]) -> Criterion:
    """Without visual tokens the model must not know more than chance."""
    found = accuracy_interval(right, videos)
    return Criterion(
        name="no visual tokens",
        wanted="an interval that holds 25 %",
        found=shown(right, videos),
        is_met=found.low <= CHANCE <= found.high,
    )


def reads(right: np.ndarray, videos: Sequence[str], questions: Sequence[Question]) -> Criterion:
    """With the evidence before it the model must read it."""
    num = len(questions)
    most = f"letters alone tell {100 * told_by_letters(questions):.1f} % at most"
    return Criterion(
        name=oracle(),
        wanted=f"at least 80 % on {NUM_QUESTIONS} questions",
        found=f"{shown(right, videos)} on {num}; {most}",
        is_met=float(right.mean()) >= WANTED_ORACLE and num >= NUM_QUESTIONS,
    )


def told_by_letters(questions: Sequence[Question]) -> float:
    """How often one is right who reads every letter that the oracle shows, and sees nothing else.

    It shows the evidence of all questions of a video and hardly a word by which they name a thing:
    where several of a question's options are on view, the letters leave a guess.
    """
    keys: dict[str, list[str]] = {}
    for one in questions:
        if one.capability == "text":
            keys.setdefault(one.video_id, []).append(right_choice(one))
    shares = [
        1 / sum(key in one.choices for key in keys[one.video_id])
        if one.capability == "text"
        else 1.0
        for one in questions
    ]
    return float(np.mean(shares))


def right_choice(question: Question) -> str:
    """The text of the right option."""
    return question.choices[question.letters.index(question.answer or "")]


def rises(
    budget: float,
    names: Sequence[str],
    recall: Mapping[str, float],
    right: Mapping[str, np.ndarray],
) -> Criterion:
    """Accuracy must rise with evidence recall over the selectors."""
    ranks = [rankdata([recall[n] for n in names]), rankdata([right[n].mean() for n in names])]
    found = float(np.corrcoef(*ranks)[0, 1]) if all(len(set(one)) > 1 for one in ranks) else 0.0
    return Criterion(
        name=f"accuracy rises with evidence recall at {100 * budget:g} %",
        wanted=f"Spearman at least {WANTED_RANKS}",
        found=f"{found:.2f} over {len(names)} selectors",
        is_met=found >= WANTED_RANKS,
    )


def tells_apart(
    budget: float,
    names: Sequence[str],
    recall: Mapping[str, float],
    right: Mapping[str, np.ndarray],
    videos: Sequence[str],
) -> Criterion:
    """Selectors whose evidence recall differs much must differ in accuracy, the same way round."""
    pairs, told = 0, 0
    for first, second in itertools.permutations(names, 2):
        if recall[first] - recall[second] >= APART:
            pairs += 1
            told += paired_difference(right[first], right[second], videos).low > 0
    return Criterion(
        name=f"selectors {100 * APART:g} points apart in recall at {100 * budget:g} %",
        wanted="every pair told apart",
        found=f"{told} of {pairs}",
        is_met=told == pairs,
    )


def main() -> None:
    """Measure what is missing, judge, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--weights", default="mini", help="a checkpoint folder, or mini")
    parser.add_argument("--out", type=Path, default=Path("fit"), help="folder of videos and runs")
    parser.add_argument("--result", type=Path, default=ROOT / "docs" / "mini" / "fit.json")
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--pairing", default="repeat", choices=("repeat", "stock"))
    parser.add_argument("--context", type=int, default=0)
    parser.add_argument("--budgets", type=float, nargs=2, default=(0.1, 0.2))
    parser.add_argument("--quick", action="store_true", help="oracle and blind alone; no verdict")
    parser.add_argument("--judge", action="store_true", help="only judge what is there")
    asked = parser.parse_args()
    if asked.quick:
        asked.videos = min(asked.videos, 4)
        asked.out = asked.out / "quick"
    if not asked.judge:
        run_missing(asked)
    found = judge(asked)
    for one in found.criteria:
        say(f"{'met' if one.is_met else 'NOT MET'}: {one.name}: {one.found} (wanted {one.wanted})")
    if asked.quick:
        return
    write_bytes(asked.result, [json_bytes(found.model_dump(mode="json"))])
    say(f"{asked.result}: {'fit' if found.is_fit else 'short' if found.ships else 'not fit'}")


if __name__ == "__main__":
    main()
