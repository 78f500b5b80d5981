"""How long gazing takes on this machine: the model alone, and the selector on whole frames.

Beside each time stands the bound that matrix products set: the work of the gaze that was made,
over the rate of a product measured right before. The work counts what has to be computed, the last
layer for one row a forward, and no more.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from gaze.checkpoint import find_checkpoint
from gaze.config import GazeConfig, autogaze_base
from gaze.gazes import Gaze
from gaze.model import AutoGaze
from gaze.selectors import Request, select_stream
from gaze.selectors.autogaze import load_model
from gaze.verify import drifting_clips
from gaze.views import Views
from hlvid.errors import UserError

PRODUCT = {"cpu": 1536, "cuda": 8192}
"""Side of the matrices whose product is timed, by device."""
FLOP_PER_GFLOP = 1e9


def work_gflop(config: GazeConfig, gaze: Gaze) -> float:
    """Work of a gaze in GFLOP, encoder included; two for each multiplication and addition.

    A frame's first forward takes its vision tokens and the cells left over from the frame before;
    each later one takes a block. Rows go through the linear layers and see all keys before them;
    in the last layer only keys and values are made of all rows.
    """
    width, block = config.width, config.tokens_per_forward
    linear = 2 * (4 * width**2 + 3 * width * config.mlp_width)
    keys_and_values = 2 * 2 * width**2
    heads = 2 * width * block * (config.vocab + 1)
    total = 0.0
    counts = gaze.num_per_frame.tolist()
    padding = torch.split(gaze.is_padding, counts, dim=1)
    for clip in range(gaze.positions.shape[0]):
        num_keys = pending = 0
        for frame, padded in enumerate(padding):
            if frame % config.clip_frames == 0:
                num_keys = pending = 0
            num_cells = int((~padded[clip]).sum())
            left, rows = num_cells, pending + config.vision_tokens
            while True:
                num_keys += rows
                seen = rows * num_keys - rows * (rows - 1) / 2
                total += (config.num_layers - 1) * (rows * linear + 4 * width * seen)
                total += rows * keys_and_values + linear + 4 * width * num_keys + heads
                pending = min(left, block)
                left -= pending
                if left <= 0:
                    break
                rows = pending
    total += _encoder(config) * gaze.positions.shape[0] * len(counts)
    return total / FLOP_PER_GFLOP


def _encoder(config: GazeConfig) -> float:
    """Work of one frame."""
    patch = 2 * 3 * config.patch_size**2 * config.width
    taps = config.kernel_frames * config.kernel_cells**2
    blocks = 2 * config.encoder_depth * taps * config.width**2
    return float(config.vision_tokens * (patch + blocks + 2 * config.width**2))


def product_gflops(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP a second of a matrix product, now."""
    side = PRODUCT[device.type]
    a = torch.randn(side, side, device=device, dtype=dtype)
    best = min(_seconds(lambda: a @ a, device) for _ in range(4))
    return 2 * side**3 / best / FLOP_PER_GFLOP


def time_model(
    model: AutoGaze, controls: dict[str, Any], *, num_clips: int, num_frames: int, repeats: int
) -> dict[str, Any]:
    """Time the model on clips that lie in memory, ready to be read."""
    video = drifting_clips(model.config, num_clips=num_clips, num_frames=num_frames, seed=0)
    video = video.to(model.device)
    gaze = model.select(video, **controls)
    told = _timed(lambda: model.select(video, **controls), model, repeats)
    gflop = work_gflop(model.config, gaze)
    return {
        "what": "model",
        "clips": num_clips,
        "frames": num_frames,
        "cells_kept": int(gaze.num_kept.sum()),
        **told,
        "ms_a_clip": round(told["ms"] / num_clips / -(-num_frames // model.config.clip_frames), 2),
        "gflop": round(gflop, 2),
        "times_matmul_bound": round(told["ms"] / 1e3 / (gflop / told["matmul_gflops"]), 2),
    }


def time_selector(
    model: AutoGaze, request: Request, *, size: tuple[int, int], num_frames: int, repeats: int
) -> dict[str, Any]:
    """Time the selector on frames: cut into views, resized, gazed at, mapped to tokens.

    Args:
        model: The one that the request's weights name: it is loaded already.
        request: With weights.
        size: Width and height of a frame in pixels.
        num_frames: Of the video.
        repeats: Times to measure.
    """
    width, height = size
    random = np.random.default_rng(0)
    tile = random.integers(0, 256, (8, -(-height // 32), -(-width // 32), 3), dtype=np.uint8)
    frames = [one.repeat(32, axis=0).repeat(32, axis=1)[:height, :width] for one in tile]

    def work() -> Any:  # noqa: ANN401
        stream = (frames[i % len(frames)] for i in range(num_frames))
        return select_stream("autogaze", stream, request, size=size, num_frames=num_frames)

    kept = work()
    told = _timed(work, model, repeats)
    return {
        "what": "selector",
        "resolution": f"{width}x{height}",
        "views": Views(height, width, request.token_pixels).num_views,
        "frames": num_frames,
        "tokens_kept": kept.num_tokens,
        **told,
        "ms_a_frame": round(told["ms"] / num_frames, 1),
    }


def _timed(work: Callable[[], object], model: AutoGaze, repeats: int) -> dict[str, Any]:
    """Median and extremes of some runs, the rate of a product measured before each."""
    dtype = model.decoder.embed.weight.dtype
    rates, runs = [], []
    for _ in range(repeats):
        rates.append(product_gflops(model.device, dtype))
        runs.append(1e3 * _seconds(work, model.device))
    return {
        "device": model.device.type,
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "ms": round(statistics.median(runs), 2),
        "ms_low": round(min(runs), 2),
        "ms_high": round(max(runs), 2),
        "matmul_gflops": round(statistics.median(rates), 1),
    }


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall clock of one call, with what it left running on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def prepare(
    weights: str | None,
    *,
    budget: float | None,
    threshold: float | None,
    clips: Sequence[int],
    frames: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    repeats: int,
) -> list[Callable[[], dict[str, Any]]]:
    """Every combination, ready to be timed.

    Args:
        weights: A checkpoint; None is the released size with random values, for the model alone.
        budget: Gazing ratio of the model, budget of the selector.
        threshold: Of both.
        clips: Numbers of clips at once, through the model.
        frames: Lengths.
        sizes: Widths and heights in pixels, through the selector.
        repeats: Times to measure each.

    Raises:
        UserError: The weights cannot be had, or none are given for the selector.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if weights is None:
        if sizes:
            raise UserError(
                "--resolution: the selector needs --weights. Leave it out, or add them."
            )
        dtype = torch.float16 if device == "cuda" else torch.float32
        model = AutoGaze.from_seed(autogaze_base(), 0, device=device, dtype=dtype)
        pinned = "random"
    else:
        pinned = find_checkpoint(weights).pinned
        model = load_model(pinned, device)
    controls = {"gazing_ratio": budget, "task_loss_requirement": threshold}
    request = Request(seed=0, video_id="bench", budget=budget, threshold=threshold, weights=pinned)
    same = {"repeats": repeats}
    work: list[Callable[[], dict[str, Any]]] = []
    for num_frames in frames:
        for num_clips in clips:
            size = {"num_clips": num_clips, "num_frames": num_frames}
            work.append(partial(time_model, model, controls, **size, **same))
        for shape in sizes:
            work.append(
                partial(time_selector, model, request, size=shape, num_frames=num_frames, **same)
            )
    return work


def in_words(line: dict[str, Any]) -> str:
    """One result for people."""
    of = f"{line['clips']} clips" if line["what"] == "model" else line["resolution"]
    told = f"{of} of {line['frames']} frames: {line['ms']:g} ms ({line['ms_low']:g} to "
    told += f"{line['ms_high']:g}) on {line['device']} in {line['dtype']}"
    if line["what"] == "model":
        return (
            f"{told}, {line['ms_a_clip']:g} ms a clip, {line['times_matmul_bound']:g} times what "
            f"{line['gflop']:g} GFLOP take at {line['matmul_gflops']:g} GFLOP/s"
        )
    return f"{told}, {line['ms_a_frame']:g} ms a frame of {line['views']} views"
