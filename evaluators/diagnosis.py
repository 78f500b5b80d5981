"""Whether this machine can sit an exam: each part looked at by itself, with what would mend it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluators import models
from evaluators.examinee import Examinee
from hlvid.datasets import Benchmark, load, source_of
from hlvid.datasets.faults import find_faults
from hlvid.errors import UserError
from hlvid.types import LOOPED_ATTENTION

State = Literal["PASS", "WARN", "FAIL"]
ENGINE_VERSION = "0.7.3"
MAX_NAMED = 5
LARGEST_FRAME_BYTES = 3840 * 2160 * 3


@dataclass(frozen=True)
class Check:
    """One part of the machine."""

    name: str
    state: State
    found: str
    fix: str = ""
    """What to do; '' where nothing is wrong."""


@dataclass(frozen=True)
class Patient:
    """What is going to be sat on this machine.

    Args:
        model: Of `evaluators.models.MODELS`.
        options: Of the model.
        has_autogaze: Whether an arm needs AutoGaze's weights.
        gaze_weights: As typed.
        benchmark: A name or a folder.
        data: Folder that holds its videos.
        num_frames: To sample.
        out: Folder for runs.
        verify: Read all packets and digests of all videos.
        prefetch: The next video's frames lie beside those of one that is sat.
    """

    model: str
    options: Mapping[str, str]
    has_autogaze: bool
    gaze_weights: str | None
    benchmark: str
    data: Path | None
    num_frames: int
    out: Path
    verify: bool
    prefetch: bool = False


def diagnose(patient: Patient) -> Iterator[Check]:
    """All checks, those that cost little first."""
    examinee = models.find(patient.model)
    for check in (_gpu, _driver, _attention, _neighbours):
        yield check(models.MODELS[patient.model].kind == "mllm")
    yield _engine()
    if patient.model == "qwen":
        yield _library()
    yield _weights(patient, examinee)
    yield _gaze_weights(patient)
    yield _disk(patient)
    yield from _data(patient, sees_video=examinee.sees_video)


def _gpu(is_needed: bool) -> Check:
    import torch

    if torch.cuda.is_available():
        found = [
            f"{torch.cuda.get_device_name(i)}, {torch.cuda.mem_get_info(i)[1] / 2**30:.0f} GiB"
            for i in range(torch.cuda.device_count())
        ]
        return Check("gpu", "PASS", "; ".join(found))
    if not is_needed:
        return Check("gpu", "PASS", "none, and the model needs none")
    return Check(
        "gpu",
        "WARN",
        "no CUDA device",
        "An MLLM is very slow without one, and gets no speed-up figure. Use a machine with a GPU.",
    )


def _driver(is_needed: bool) -> Check:
    import torch

    driver = _ask_driver("--query-gpu=driver_version")
    built = torch.version.cuda
    state: State
    if not driver:
        state = "WARN" if is_needed else "PASS"
        fix = "Install the driver of your GPU." if is_needed else ""
        return Check("driver", state, "nvidia-smi tells of no device", fix)
    said = f"driver {driver[0]}, torch {torch.__version__} built for CUDA {built}"
    if torch.cuda.is_available():
        return Check("driver", "PASS", said)
    fix = "Install a newer driver, or a torch that is built for an older CUDA."
    state = "FAIL" if is_needed else "WARN"
    return Check("driver", state, f"{said}; torch cannot use the device", fix)


def _attention(is_needed: bool) -> Check:
    if not is_needed:
        return Check("attention", "PASS", "not used")
    import torch

    from evaluators.attention import backend

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = backend(device, torch.bfloat16, 80)
    if found != LOOPED_ATTENTION:
        return Check("attention", "PASS", found)
    fix = "Runs are right, but get no speed-up figure. Use a CUDA device with triton."
    return Check("attention", "WARN", "a loop over segments", fix)


def _neighbours(is_needed: bool) -> Check:
    # torch has opened the card by now, so this process is one of those that use it.
    using = _ask_driver("--query-compute-apps=pid,used_memory")
    others = [line for line in using if line.partition(",")[0].strip() != str(os.getpid())]
    if not others:
        return Check("neighbours", "PASS", "nobody else uses the card")
    fix = "Wait for them or use another card: times taken beside others are worth nothing."
    return Check("neighbours", "WARN", f"{len(others)} processes: {'; '.join(others)}", fix)


def _engine() -> Check:
    from importlib import metadata

    try:
        found = metadata.version("lmms_eval")
    except metadata.PackageNotFoundError:
        return Check("engine", "FAIL", "lmms-eval is not installed", "pip install 'hlvid[eval]'")
    if found == ENGINE_VERSION:
        return Check("engine", "PASS", f"lmms-eval {found}")
    fix = f"pip install lmms-eval=={ENGINE_VERSION}"
    return Check("engine", "FAIL", f"lmms-eval {found}, not {ENGINE_VERSION}", fix)


def _library() -> Check:
    from importlib import metadata

    from evaluators.models.qwen.needs import VERSIONS, lacking

    found = f"transformers {metadata.version('transformers')}"
    if not (lacks := lacking()):
        return Check("transformers", "PASS", found)
    fix = f"pip install 'transformers{VERSIONS}'"
    return Check("transformers", "FAIL", f"{found} has no {', '.join(lacks)}", fix)


def _weights(patient: Patient, examinee: type[Examinee]) -> Check:
    try:
        missing = examinee.missing(patient.options)
    except UserError as error:
        missing = [str(error)]
    if missing:
        return Check("weights", "FAIL", "not here", " ".join(missing))
    return Check("weights", "PASS", "here, or none needed")


def _gaze_weights(patient: Patient) -> Check:
    from gaze.checkpoint import RELEASED, find_checkpoint

    if not patient.has_autogaze:
        return Check("gaze weights", "PASS", "none needed")
    try:
        found = find_checkpoint(patient.gaze_weights or RELEASED)
        return Check("gaze weights", "PASS", f"{found.pinned} ({found.terms})")
    except UserError as error:
        return Check("gaze weights", "FAIL", "not here", str(error))


def _disk(patient: Patient) -> Check:
    place = patient.out.absolute()
    while not place.is_dir():
        place = place.parent
    free = shutil.disk_usage(place).free
    needed = (1 + patient.prefetch) * LARGEST_FRAME_BYTES * patient.num_frames
    whose = "two 4K videos" if patient.prefetch else "a 4K video"
    said = f"{free / 1e9:.1f} GB free for runs and the frames of {whose} ({needed / 1e9:.1f} GB)"
    if free > needed:
        return Check("disk", "PASS", said)
    return Check("disk", "FAIL", said, "Free some space, choose another --out or fewer --frames.")


def _data(patient: Patient, *, sees_video: bool) -> Iterator[Check]:
    try:
        benchmark = load(patient.benchmark, data=patient.data)
    except UserError as error:
        yield Check("questions", "FAIL", "not here", str(error))
        return
    yield _questions(benchmark)
    if sees_video:
        yield _videos(benchmark, verify=patient.verify)


def _questions(benchmark: Benchmark) -> Check:
    about, source = benchmark.id, source_of(benchmark.name)
    said = (
        f"{about.num_questions} on {about.num_videos} videos, "
        f"digest {about.questions_sha256[:16]}, {about.revision}"
    )
    if source is None or benchmark.revision.startswith("released"):
        return Check("questions", "PASS", said)
    fix = f"Published are {source.num_questions} on {source.num_videos}: fetch them again."
    return Check("questions", "WARN", said, fix)


def _videos(benchmark: Benchmark, *, verify: bool) -> Check:
    faults = list(find_faults(benchmark, verify=verify))
    how = "packets and digests read" if verify else "lengths only; --verify reads them"
    if not faults:
        return Check("videos", "PASS", f"{len(benchmark.video_ids)} are here ({how})")
    more = f" and {len(faults) - MAX_NAMED} more" if len(faults) > MAX_NAMED else ""
    source = source_of(benchmark.name)
    fix = "Put back the files." if source is None else source.how_to_get(benchmark.root or Path())
    return Check("videos", "FAIL", "; ".join(faults[:MAX_NAMED]) + more, fix)


def _ask_driver(query: str) -> list[str]:
    """Lines that the driver's tool answers; none where there is no tool or no device."""
    try:
        done = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return [line.strip() for line in lines if line.strip()]
