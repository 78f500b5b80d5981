"""Runs to build pages from: seeded and plausible, made of the real types by the real writers."""

import json
import random
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from hlvid import datasets, prompt, runs
from hlvid.files import digest, json_bytes, sha256_file, write_bytes
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
from leaderboard import cli
from leaderboard.build import build_site

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
        weights="invented",
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


def exam(
    *, num_videos: int = 24, per_video: int = 8, seed: int = 0, name: str = "street-signs"
) -> datasets.Benchmark:
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
    return datasets.Benchmark(name=name, revision="1", questions=tuple(questions), videos=videos)


def film(folder: Path, benchmark: datasets.Benchmark, *, num_frames: int = 45) -> None:
    """Write the videos of an exam, a frame a second: grey, but red in the box of the evidence."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for video_id in benchmark.video_ids:
        with av.open(folder / "videos" / video_id, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            for second in range(num_frames):
                pixels = np.full((180, 320, 3), 120, dtype=np.uint8)
                if 10 <= second < 40:
                    pixels[100:130, 100:200] = (220, 20, 20)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())


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
    benchmark: datasets.Benchmark, model: ModelId, arm: ArmSettings
) -> list[Prediction]:
    """What such a model might answer; the same question is easy or hard in every arm."""
    rng = random.Random(f"{model.name} {arm.name}")
    selector = (arm.selector or "off").split(":")[0]
    share = arm.budget or 1.0
    found = []
    for question in benchmark.questions:
        ease = random.Random(question.video_id).gauss(0, 0.12)
        sees = (
            SEES.get(selector, 0.3) * (0.55 if share < 0.05 and selector != "oracle" else 1.0)
            + ease
        )
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
                sitting="5" * 16,
            )
        )
    return found


def record(
    exam: datasets.Benchmark,
    sat_by: ModelId,
    arm: ArmSettings,
    answers: list[Prediction],
    **changes: object,
) -> RunRecord:
    """The record of a run; `changes` replace its fields."""
    frames = FrameSettings(num_frames=6)
    fields: dict[str, object] = {
        "group_id": digest(sat_by.model_dump())[:16],
        "adaptation": "training-free" if arm.gaze == "on" else "none",
        "benchmark": exam.id,
        "model": sat_by,
        "arm": arm,
        "frames": frames,
        "generation": {"do_sample": False, "max_new_tokens": 16},
        "provenance": Provenance(
            command=("hlvid-eval", "--model", sat_by.name, "--gaze", "both", "--out", "runs"),
            git_commit="0" * 40,
            git_dirty=False,
            software={"hlvid": "0.1.0", "python": "3.11.9", "libavcodec": "61.19.101"},
            hardware=Hardware(
                cpu="Example CPU", num_cores=2, memory_bytes=8 * 2**30, platform="Linux-6.1-x86_64"
            ),
        ),
        "predictions_sha256": runs.predictions_sha256(answers),
        "summary": summarize(grade_all(exam.questions, answers)),
        "status": "complete",
    }
    fields |= changes
    settings = ("benchmark", "model", "arm", "frames", "generation", "seed", "limit", "repeat")
    defaults = {"generation": {}, "seed": 0, "limit": None, "repeat": 0}
    run_id = runs.make_run_id(**{name: (defaults | fields)[name] for name in settings})
    return RunRecord.model_validate({"run_id": run_id} | fields)


def write(folder: Path, exam: datasets.Benchmark, name: str, arm: ArmSettings, **changes):
    """Write one run, its record changed as said, and return its record.

    `answers`, where given, replace what such a model might answer.
    """
    answers = changes.pop("answers", None)
    if answers is None:
        answers = predictions(exam, MODELS[name], arm)
    made = record(exam, MODELS[name], arm, answers, **changes)
    runs.write_run(folder / made.run_id, made, answers)
    return made


def write_wall(
    folder: Path, benchmark: datasets.Benchmark, names: Sequence[str] = tuple(MODELS)
) -> None:
    """Write the benchmark to `folder/exam` and each arm's run to `folder/runs/<run_id>`."""
    datasets.write(folder / "exam", benchmark)
    for name in names:
        for arm in arms(name):
            write(folder / "runs", benchmark, name, arm)


def build_pages(folder: Path, runs_folder: str = "runs", **options: object) -> Path:
    """Build the pages of `folder/runs` into `folder/site`, and say where."""

    def refuse(reason: str) -> None:
        raise AssertionError(reason)

    out = folder / "site"
    build_site([folder / runs_folder], [folder / "exam"], out, tell=refuse, **options)
    return out


class Reader(HTMLParser):
    """Reads a page strictly: whatever is opened is closed in order, ids are unique."""

    VOID = frozenset(("meta", "link", "br", "img", "input", "wbr"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: set[str] = set()
        self.text: dict[str, list[str]] = {}
        self.rows: list[list[str]] = []
        self.style = ""
        self.script = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if (identifier := dict(attrs).get("id")) is not None:
            assert identifier not in self.ids, identifier
            self.ids.add(identifier)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open, tag
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        if "style" in self.open:
            self.style += data
        if "script" in self.open:
            self.script += data
        for tag in set(self.open):
            self.text.setdefault(tag, []).append(data)
        if {"td", "th"} & set(self.open) and "svg" not in self.open:
            self.rows[-1][-1] += data

    def attributes(self, name: str) -> list[str]:
        """All values of an attribute, in order."""
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


def tamper(folder: Path, change) -> None:
    """Change a run's record as JSON and make all digests fit again, as a forger would."""
    content = json.loads((folder / "run.json").read_text())
    change(content)
    write_bytes(folder / "run.json", [json_bytes(content)])
    sign(folder)


def sign(folder: Path) -> None:
    """Write SHA256SUMS for what lies in the folder."""
    digests = {name: sha256_file(folder / name) for name in ("predictions.jsonl", "run.json")}
    sums = "".join(f"{found}  {name}\n" for name, found in digests.items())
    write_bytes(folder / "SHA256SUMS", [sums.encode()])


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Run hlvid-leaderboard in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hlvid-leaderboard", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def small(tmp_path, lab):
    """Two runs on a small exam: (folder with exam/ and runs/, their records)."""
    exam = lab.exam(num_videos=4, per_video=3)
    datasets.write(tmp_path / "exam", exam)
    detail = ArmSettings(gaze="on", selector="detail", budget=0.1)
    records = [
        lab.write(tmp_path / "runs", exam, "ocr", arm) for arm in (ArmSettings(gaze="off"), detail)
    ]
    return tmp_path, records


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(
        MODELS=MODELS,
        Reader=Reader,
        arms=arms,
        build_pages=build_pages,
        exam=exam,
        film=film,
        group_of=lambda name: digest(MODELS[name].model_dump())[:16],
        predictions=predictions,
        record=record,
        sha256_file=sha256_file,
        sign=sign,
        tamper=tamper,
        write=write,
        write_wall=write_wall,
    )


@pytest.fixture(scope="session")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `exam/` and `runs/`: every kind of model on 24 videos of 8 questions."""
    folder = tmp_path_factory.mktemp("wall")
    write_wall(folder, exam())
    return folder


@pytest.fixture(scope="session")
def site(wall: Path) -> Path:
    """The folder with the pages of the wall."""
    return build_pages(wall)


@pytest.fixture(scope="session")
def page(site: Path) -> str:
    """The main page of the wall."""
    return (site / "index.html").read_text()
