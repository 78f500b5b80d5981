"""Runs to build pages from: seeded and plausible, made of the real types by the real writers."""

import random
from pathlib import Path

import pytest

from hlvid import datasets, prompt, runs
from hlvid.grading import grade_all, summarize
from hlvid.types import (
    ArmSettings,
    Evidence,
    FrameSettings,
    Hardware,
    ModelId,
    Prediction,
    Provenance,
    Question,
    RunRecord,
    TokenCounts,
    Video,
)

LETTERS = "ABCD"
TOKENS_OFF = 6 * 68 * 120
MODELS = {
    "ocr": ModelId(
        name="ocr",
        kind="reader",
        weights="PP-OCRv6",
        revision="3.10.0",
        load_format="weights",
        license="Apache-2.0",
    ),
    "qwen": ModelId(
        name="qwen",
        kind="mllm",
        weights="qwen3-mini",
        revision="1",
        load_format="weights",
        license="Apache-2.0",
    ),
    "text-only": ModelId(
        name="text-only",
        kind="language",
        weights="SmolLM2-135M",
        load_format="weights",
        license="Apache-2.0",
    ),
    "gold": ModelId(name="gold", kind="control"),
    "random-letter": ModelId(name="random-letter", kind="control"),
}
SEES = {"off": 0.95, "detail": 0.62, "text": 0.9, "oracle": 0.96, "random-matched": 0.22}
"""How often a selector at 10 % shows the evidence."""


def exam(*, num_videos: int = 24, per_video: int = 8, seed: int = 0) -> datasets.Benchmark:
    """A small benchmark of its own, with evidence, whose videos nobody needs."""
    rng = random.Random(seed)
    questions, videos = [], {}
    for v in range(num_videos):
        video_id = f"v{v:02d}"
        videos[video_id] = Video(
            video_id=video_id,
            width=3840,
            height=2160,
            duration_seconds=100.0,
            fps=1.0,
            license="CC0-1.0",
            source="seeded",
        )
        for q in range(per_video):
            stem = f"What does sign {q} of street {v} say?"
            choices = tuple(f"word {v}-{q}-{c}" for c in LETTERS)
            questions.append(
                Question(
                    question_id=f"{video_id}-q{q}",
                    video_id=video_id,
                    category="av" if v % 2 else "household",
                    capability="text",
                    text=prompt.render(stem, choices),
                    stem=stem,
                    choices=choices,
                    answer=rng.choice(LETTERS),
                    evidence=(
                        Evidence(
                            start_seconds=10.0,
                            end_seconds=40.0,
                            boxes=((10.0, 100.0, 100.0, 200.0, 130.0),),
                        ),
                    ),
                )
            )
    return datasets.Benchmark(
        name="street-signs", revision="1", questions=tuple(questions), videos=videos
    )


def arms(name: str) -> list[ArmSettings]:
    """Off and, for a model that sees, detail, text, oracle and random-matched at 2 and 10 %."""
    found = [ArmSettings(gaze="off")]
    if name not in ("ocr", "qwen"):
        return found
    for budget in (0.1, 0.02):
        for selector in ("detail", "text", "oracle"):
            found.append(
                ArmSettings(
                    gaze="on",
                    selector=selector,
                    budget=budget,
                    privileged=selector == "oracle",
                    notes=("shares the reader's detector",) if selector == "text" else (),
                )
            )
        for seed in range(5 if budget == 0.1 else 1):
            found.append(
                ArmSettings(gaze="on", selector="random-matched:detail", budget=budget, seed=seed)
            )
    return found


def predictions(
    benchmark: datasets.Benchmark, model: ModelId, arm: ArmSettings, *, seed: int = 0
) -> list[Prediction]:
    """What such a model might answer; the same question is easy or hard in every arm."""
    rng = random.Random(f"{seed} {model.name} {arm.name}")
    selector = (arm.selector or "off").split(":")[0]
    share = arm.budget or 1.0
    found = []
    for question in benchmark.questions:
        ease = random.Random(f"{seed} {question.video_id}").gauss(0, 0.12)
        sees = SEES[selector] * (0.55 if share < 0.05 and selector != "oracle" else 1.0) + ease
        is_seen = random.Random(f"{selector} {question.question_id}").random() < sees
        right = question.answer or "A"
        guess = rng.choice(LETTERS)
        if model.name == "gold":
            response = right
        elif model.kind in ("language", "control"):
            response = guess
        elif is_seen and rng.random() < 0.97:
            response = f"The answer is {right}."
        else:
            response = guess if rng.random() < 0.8 else "Cannot determine."
        slow = 5200.0 if model.name == "ocr" else 640.0
        work = slow * (0.12 + 0.88 * share) * rng.uniform(0.9, 1.15)
        decode, gaze = 2100.0 * rng.uniform(0.95, 1.05), 0.0 if selector == "off" else 310.0
        if model.kind in ("language", "control"):
            decode, gaze, work = 0.0, 0.0, 45.0 if model.kind == "language" else 0.02
        visual = int(TOKENS_OFF * share)
        found.append(
            Prediction(
                question_id=question.question_id,
                arm=arm.name,
                prompt_sha256=prompt.prompt_sha256(question.text),
                response=response,
                status="ok",
                frames_sha256="1" * 64,
                canvas_sha256="2" * 64,
                tokens=TokenCounts(
                    selector=0, encoded=visual, visual=visual, text=90, visual_off=TOKENS_OFF
                )
                if model.kind in ("reader", "mllm")
                else None,
                temporal_hit=True if model.kind in ("reader", "mllm") else None,
                spatial_cover=(0.97 if is_seen else 0.3)
                if model.kind in ("reader", "mllm")
                else None,
                stage_ms={
                    "decode": decode,
                    "gaze": gaze,
                    "read": work,
                    "end_to_end": decode + gaze + work,
                },
                peak_memory_bytes=int(1.4 * 2**30),
            )
        )
    return found


def record(
    benchmark: datasets.Benchmark,
    model: ModelId,
    arm: ArmSettings,
    answers: list[Prediction],
    **changes: object,
) -> RunRecord:
    """The record of a run; `changes` replace its fields."""
    frames = FrameSettings(num_frames=6)
    run_id = runs.make_run_id(
        benchmark=benchmark.id,
        model=model,
        arm=arm,
        frames=frames,
        generation={},
        seed=0,
        limit=None,
        repeat=0,
    )
    fields: dict[str, object] = {
        "run_id": run_id,
        "group_id": runs.make_run_id(
            benchmark=benchmark.id,
            model=model,
            arm=ArmSettings(gaze="off"),
            frames=frames,
            generation={},
            seed=0,
            limit=None,
            repeat=0,
        ),
        "adaptation": "training-free" if arm.gaze == "on" else "none",
        "benchmark": benchmark.id,
        "model": model,
        "arm": arm,
        "frames": frames,
        "provenance": Provenance(
            command=("hlvid-eval", "--model", model.name, "--gaze", "both", "--out", "runs"),
            git_commit="0" * 40,
            git_dirty=False,
            software={"hlvid": "0.1.0", "python": "3.11.9", "libavcodec": "61.19.101"},
            hardware=Hardware(
                cpu="Example CPU", num_cores=2, memory_bytes=8 * 2**30, platform="Linux-6.1-x86_64"
            ),
        ),
        "predictions_sha256": runs.predictions_sha256(answers),
        "summary": summarize(grade_all(benchmark.questions, answers)),
        "status": "complete",
    }
    return RunRecord.model_validate(fields | changes)


def make_runs(folder: Path, benchmark: datasets.Benchmark, models: tuple[str, ...]) -> None:
    """Write the benchmark to `folder/exam` and each arm's run to `folder/runs/<run_id>`."""
    datasets.write(folder / "exam", benchmark)
    for name in models:
        for arm in arms(name):
            answers = predictions(benchmark, MODELS[name], arm)
            made = record(benchmark, MODELS[name], arm, answers)
            runs.write_run(folder / "runs" / made.run_id, made, answers)


@pytest.fixture(scope="session")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `exam/` and `runs/`: every kind of model on 24 videos of 8 questions."""
    folder = tmp_path_factory.mktemp("wall")
    make_runs(folder, exam(), tuple(MODELS))
    return folder
