"""Seconds a step of training against clip length and batch: one JSON line each.

    python benchmarks/bench_train.py [--frames 2,4,8,16] [--batch 1,4,12] [--steps 5]

Measures the first stage for the sizes of the shipped configuration and for the released ones, in
float32 and bfloat16, and what making a clip and its greedy label costs.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from gaze.model import AutoGaze
from gaze.train.batches import Batch, DrawnBatches
from gaze.train.labels import Budgets
from gaze.train.moving import MovingClips
from gaze.train.ntp import NextToken, NtpSettings
from gaze.train.settings import ModelSettings, read_settings
from gaze.train.start import begin


def tell(**values: object) -> None:
    """Print one line."""
    print(json.dumps(values), flush=True)


def seconds_a_step(model: AutoGaze, batch: Batch, *, precision: str, steps: int) -> float:
    """The fastest of a few steps, after one that is not counted."""
    objective = NextToken(model, NtpSettings(excludes_chosen=True)).to(batch.pixels.device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    is_half = precision == "bf16"
    taken = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        with torch.autocast(batch.pixels.device.type, dtype=torch.bfloat16, enabled=is_half):
            loss = objective(batch)["loss"]
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if batch.pixels.is_cuda:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def main() -> int:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", default="2,4,8,16")
    parser.add_argument("--batch", default="1,4,12")
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tell(device=str(device), threads=torch.get_num_threads(), torch=torch.__version__)
    mini = read_settings(Path("mini-ntp"))
    sizes = {"mini": mini, "released": mini.model_copy(update={"model": ModelSettings()})}
    pyramid = mini.model.pyramid()
    for num_frames in map(int, options.frames.split(",")):
        clips = MovingClips("training", 0, num_frames)
        for size in map(int, options.batch.split(",")):
            batches = DrawnBatches(clips, size, 0, Budgets(), pyramid)
            _ = batches[0]  # photographs are opened once
            started = time.perf_counter()
            batch = batches[1].to(device)
            made = (time.perf_counter() - started) / size
            for name, settings in sizes.items():
                for precision in ("fp32", "bf16"):
                    model = begin(settings, loss_kind=pyramid.kind).to(device)
                    taken = seconds_a_step(model, batch, precision=precision, steps=options.steps)
                    tell(
                        model=name,
                        precision=precision,
                        frames=num_frames,
                        batch=size,
                        seconds_a_step=taken,
                        seconds_a_frame=taken / size / num_frames,
                        seconds_to_make_a_clip=made,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
