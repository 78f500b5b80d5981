"""Parity checks with anybody's own checkpoint: batches, order, streams, devices, released code."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gaze import verify_upstream
from gaze.checkpoint import Checkpoint
from gaze.config import GazeConfig
from gaze.gazes import Gaze
from gaze.model import AutoGaze
from hlvid.errors import UserError

NUM_CLIPS, NUM_FRAMES = 3, 4
RATIO = 0.2
STOPPING = 0.1
"""Share of tokens whose predicted loss lies below the threshold that the checks stop at."""
TOLERANCE = 1e-4
UPSTREAM_SECONDS = 900
UPSTREAM_EPSILON = 1e-8
"""What the released code adds to a probability before it takes the logarithm."""


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: What is claimed.
        passed: Whether it held; None where it was not made.
        detail: What was compared, or why it was not.
    """

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class Upstream:
    """The released implementation.

    Args:
        checkout: Folder of its repository.
        python: Program that has its requirements.
    """

    checkout: Path
    python: Path


def drifting_clips(config: GazeConfig, *, num_clips: int, num_frames: int, seed: int) -> Tensor:
    """Seeded clips in which something moves, preprocessed, (B, T, 3, S, S) float32."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(num_clips, 1, 3, 14, 14, generator=generator)
    drift = 0.4 * torch.randn(num_clips, num_frames, 3, 14, 14, generator=generator)
    small = (base + drift.cumsum(1)).flatten(0, 1)
    size = (config.image_size, config.image_size)
    large = F.interpolate(small, size=size, mode="bilinear")
    return large.view(num_clips, num_frames, *large.shape[1:])


def checks(checkpoint: Checkpoint, upstream: Upstream | None) -> Iterator[Check]:
    """Make all checks, one by one, in fp32 on CPU.

    Args:
        checkpoint: Of the weights.
        upstream: The released implementation, where there is a checkout.

    Raises:
        UserError: The checkpoint cannot be loaded, or the released implementation not be run.
    """
    name = str(checkpoint.folder.resolve())
    model = AutoGaze.from_pretrained(name, dtype=torch.float32)
    size = {"num_clips": NUM_CLIPS, "num_frames": NUM_FRAMES}
    video = drifting_clips(model.config, **size, seed=0)
    controls: dict[str, Any] = {
        "gazing_ratio": RATIO,
        "task_loss_requirement": stopping_threshold(model, video),
    }
    together = model.select(video, **controls)
    stops = f"{NUM_CLIPS} clips of {NUM_FRAMES} frames, {int(together.num_kept.sum())} cells kept"
    alone = [model.select(video[i : i + 1], **controls) for i in range(NUM_CLIPS)]
    same = all(_same_order(one, 0, together, i) for i, one in enumerate(alone))
    yield Check("a clip alone is a clip in a batch", same, stops)
    order = torch.arange(NUM_CLIPS - 1, -1, -1)
    turned = model.select(video[order], **controls)
    same = all(_same_order(turned, i, together, int(order[i])) for i in range(NUM_CLIPS))
    yield Check("the order of a batch has no say", same, "the same clips in reverse")
    yield _stream(model, controls)
    yield _cuda(name, model, video, controls)
    if upstream is None:
        told = "give --upstream, a checkout of NVlabs/AutoGaze, and --upstream-python"
        yield Check("choices are the released implementation's", None, told)
        return
    yield from _upstream(name, video, controls, upstream)


def stopping_threshold(model: AutoGaze, video: Tensor) -> float:
    """A threshold at which some frames of these clips end before the cap, and some do not."""
    score = model.log_prob(video, model.select(video, gazing_ratio=RATIO))
    return round(float(score.predicted_loss.flatten().quantile(STOPPING)), 3)


def _same_order(a: Gaze, clip_a: int, b: Gaze, clip_b: int) -> bool:
    pairs = zip(a.kept(clip_a), b.kept(clip_b), strict=True)
    return all(torch.equal(one.cpu(), other.cpu()) for one, other in pairs)


def _stream(model: AutoGaze, controls: dict[str, Any]) -> Check:
    num_frames = model.config.clip_frames + 1
    video = drifting_clips(model.config, num_clips=1, num_frames=num_frames, seed=1)
    whole = model.select(video, **controls).kept(0)
    state, same = None, True
    for frame in range(num_frames):
        one, state = model.stream(video[:, frame : frame + 1], state, **controls)
        same &= torch.equal(one.kept(0)[0], whole[frame])
    detail = f"{num_frames} frames, one at a time: a clip and the first frame of the next"
    return Check("a stream is the whole video", same, detail)


def _cuda(name: str, model: AutoGaze, video: Tensor, controls: dict[str, Any]) -> Check:
    claim = "a GPU in fp32 chooses what a CPU does"
    if not torch.cuda.is_available():
        return Check(claim, None, "there is no CUDA device here")
    other = AutoGaze.from_pretrained(name, device="cuda", dtype=torch.float32)
    ours, theirs = model.select(video, **controls).mask, other.select(video, **controls).mask.cpu()
    shared = (ours & theirs).sum() / (ours | theirs).sum()
    return Check(claim, torch.equal(ours, theirs), f"cells in common: {float(shared):.4f} of 1")


def _upstream(
    name: str, video: Tensor, controls: dict[str, Any], upstream: Upstream
) -> Iterator[Check]:
    """Compare slots, padding and scores; the released code knows one rule of positions only."""
    model = AutoGaze.from_pretrained(name, dtype=torch.float32, positions="released")
    by_ratio = {"gazing_ratio": RATIO}
    cases: list[dict[str, Any]] = [
        {"name": f"{limit}{clip}", "clips": [clip], "controls": dict(given)}
        for limit, given in (("ratio", by_ratio), ("threshold", controls))
        for clip in range(NUM_CLIPS)
    ]
    batch = {"name": "batch", "clips": list(range(NUM_CLIPS)), "controls": controls}
    found = run_upstream(name, video, [*cases, batch], upstream)
    error, same = 0.0, {"ratio": True, "threshold": True, "batch": True}
    for case in [*cases, batch]:
        kind = case["name"].rstrip("0123456789")
        clips = video[case["clips"]]
        gaze = model.select(
            clips, **case["controls"], batch_rule="released" if kind == "batch" else "alone"
        )
        theirs = {key: found[f"{case['name']}.{key}"] for key in verify_upstream.OUTPUTS}
        is_same = _same_slots(gaze, theirs)
        same[kind] &= is_same
        if is_same:
            error = max(error, _score_error(model, clips, gaze, theirs))
    for kind, told in (
        ("ratio", f"{NUM_CLIPS} clips alone, a ratio: positions and padding"),
        ("threshold", f"{NUM_CLIPS} clips alone, ratio and threshold: positions and padding"),
        ("batch", "the same clips as one batch, by the released batch rule"),
    ):
        yield Check("choices are the released implementation's", same[kind], told)
    yield Check(
        "scores are the released implementation's",
        all(same.values()) and error < TOLERANCE,
        f"largest difference {error:.1e}, allowed {TOLERANCE:g}",
    )


def _same_slots(gaze: Gaze, theirs: dict[str, Any]) -> bool:
    padded = theirs["is_padding"].astype(bool)
    ours = gaze.is_padding.numpy()
    return (
        ours.shape == padded.shape
        and bool((ours == padded).all())
        and bool((gaze.positions.numpy() == theirs["positions"])[~padded].all())
        and gaze.num_per_frame.tolist() == theirs["num_per_frame"].tolist()
    )


def _score_error(model: AutoGaze, video: Tensor, gaze: Gaze, theirs: dict[str, Any]) -> float:
    score, is_real = model.log_prob(video, gaze), ~gaze.is_padding.numpy()
    log_prob = np.log(score.log_prob.exp().numpy() + UPSTREAM_EPSILON)
    pairs = (("log_prob", log_prob), ("predicted_loss", score.predicted_loss.numpy()))
    return max(float(np.abs(ours - theirs[key])[is_real].max()) for key, ours in pairs)


def run_upstream(
    weights: str, video: Tensor, cases: list[dict[str, Any]], upstream: Upstream
) -> dict[str, Any]:
    """Let the released implementation gaze, in a process of its own.

    Args:
        weights: Folder of the checkpoint.
        video: (B, T, 3, S, S), preprocessed.
        cases: Each with `name`, `clips` (numbers in the batch) and `controls`.
        upstream: The implementation.

    Returns:
        Arrays by `case.name`, with the names of `verify_upstream.OUTPUTS`.

    Raises:
        UserError: It could not be run; the sentence ends with its own last words.
    """
    if not (upstream.checkout / "autogaze").is_dir():
        raise UserError(
            f"--upstream: {upstream.checkout} holds no folder 'autogaze'. Give a checkout of "
            "NVlabs/AutoGaze."
        )
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        np.savez(inputs, video=video.numpy(), cases=np.array(json.dumps(cases)))
        # Run where it lies, it would find our modules beside it before those it means.
        script = shutil.copy(verify_upstream.__file__, folder)
        places = [upstream.checkout.resolve(), Path(weights).resolve(), inputs, outputs]
        try:
            done = subprocess.run(
                [str(upstream.python), script, *map(str, places)],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=UPSTREAM_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(
                f"--upstream-python: {upstream.python} cannot be run ({type(error).__name__}). "
                "Give a Python that has transformers 4.51."
            ) from None
        if done.returncode or not outputs.is_file():
            words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(
                f"--upstream: the released implementation failed ({words[:200]}). It needs torch, "
                "transformers 4.51, einops, omegaconf and timm.",
                exit_code=1,
            )
        with np.load(outputs, allow_pickle=False) as found:
            return dict(found)
