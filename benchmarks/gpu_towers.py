"""Vision towers of Qwen-VL at full size, with and without gaze: the second stage of the GPU check.

Random values in bf16. Both arms use the variable-length attention that every run uses; kept tokens
are random, because only their number matters here. Gaze is AutoGaze of the released size over all
views of 16 frames, eight slices, capped at the kept ratio; its resampling is left out. Once the
tower is run with transformers' own loop over segments too, to show what that would have claimed.

Needs transformers and pydantic beside what the first stage needs; nothing is fetched.

    python benchmarks/gpu_towers.py --out benchmarks/results/gpu_towers.jsonl
    python benchmarks/gpu_towers.py --device cpu --dimensions small-qwen3-vl --canvases 448x448
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

try:
    import pydantic  # noqa: F401
    import transformers
except ImportError as missing:
    sys.exit(f"gpu_towers: {missing}. Carry the wheels of transformers and pydantic along.")

from evaluators import attention  # noqa: E402
from evaluators.pruning import MERGE, PAD_TOKENS, ROWS, Stream, place  # noqa: E402
from gaze.config import autogaze_base  # noqa: E402
from gaze.model import AutoGaze  # noqa: E402

DIMENSIONS = ROOT / "evaluators/models/qwen/dimensions"
MODELS = ("qwen3-vl-8b", "qwen2.5-vl-7b")
CANVASES = ("3840x2160", "1920x1088", "768x448")
RATIOS = (0.25, 0.1, 0.05)
SLICES, FRAMES = 8, 16
VIEW = 14
"""Tokens along a side of a view."""
MOST_ROWS = 131_072
"""Patch rows of one call of a tower."""
TARGETS = {
    ("qwen3-vl-8b", "3840x2160"): (20.0, 0.01),
    ("qwen3-vl-8b", "1920x1088"): (8.0, 0.05),
    ("qwen3-vl-8b", "768x448"): (1.5, None),
    ("qwen2.5-vl-7b", "3840x2160"): (10.0, 0.02),
}
"""Speed-up of the tower with gaze at 10 % kept, at least, and selector tax, at most."""
Line = dict[str, Any]


def make_tower(name: str, device: torch.device) -> tuple[Any, dict[str, Any]]:
    """A tower of real size with random values, and the whole config it is of."""
    auto: Any = transformers
    config = json.loads((DIMENSIONS / f"{name}.json").read_text(encoding="utf-8"))["config"]
    whole = auto.AutoConfig.for_model(**config)
    kinds = {
        "qwen3_vl": "Qwen3VLVisionModel",
        "qwen2_5_vl": "Qwen2_5_VisionTransformerPretrainedModel",
    }
    module = __import__(
        f"transformers.models.{config['model_type']}.modeling_{config['model_type']}",
        fromlist=["modeling"],
    )
    vision = whole.vision_config
    vision._attn_implementation = "sdpa"
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with torch.device(device):
        torch.manual_seed(0)
        tower = getattr(module, kinds[config["model_type"]])(vision)
    tower.config._attn_implementation = attention.register()  # not known before it is made
    return tower.to(dtype).eval().requires_grad_(requires_grad=False), config


def kept_stream(rows: int, cols: int, ratio: float | None, seed: int) -> Stream:
    """All tokens of some slices, or so many random ones of each."""
    if ratio is None:
        return Stream.whole(SLICES, rows, cols)
    generator = torch.Generator().manual_seed(seed)
    num = max(1, int(ratio * rows * cols))
    order = torch.rand(SLICES, rows * cols, generator=generator).argsort(-1)[:, :num]
    index = order.sort(-1).values + torch.arange(SLICES).unsqueeze(1) * rows * cols
    return Stream(SLICES, rows, cols, index.flatten().numpy())


def encode(tower: Any, stream: Stream, device: torch.device) -> None:  # noqa: ANN401
    """Run a stream through a tower, whole slices at a time."""
    dtype = next(tower.parameters()).dtype
    config = tower.config
    width = 3 * config.temporal_patch_size * config.patch_size**2
    first = 0
    while first < stream.slices:
        last, rows = first, 0
        while last < stream.slices and (
            last == first or rows + int(stream.per_slice[last]) * ROWS <= MOST_ROWS
        ):
            rows += int(stream.per_slice[last]) * ROWS
            last += 1
        part = stream.part(first, last)
        places = place([part], tower, pad_to=PAD_TOKENS if device.type == "cuda" else 1)
        hooks = {k: v.to(device) if torch.is_tensor(v) else v for k, v in places.hooks.items()}
        num_rows = (places.num_tokens + places.num_padding) * ROWS
        pixels = torch.zeros(num_rows, width, device=device, dtype=dtype)
        with torch.inference_mode():
            tower(pixels, grid_thw=torch.tensor([part.grid_thw], device=device), **hooks)
        first = last


def timed(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median milliseconds after one warm-up."""
    times = []
    for number in range(repeats + 1):
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if number:
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def gaze_ms(views: int, ratio: float, device: torch.device, repeats: int) -> float:
    """Gazing at 16 frames of all views."""
    config = autogaze_base()
    model = AutoGaze.from_seed(config, 0, device=device)
    if device.type == "cpu":
        video = torch.randn(views, FRAMES, 3, 224, 224)
        return timed(partial(model.select, video, gazing_ratio=ratio), device, repeats)
    from gpu_arm import Arm, moving_video

    tiles = moving_video(views, FRAMES, seed=7, dtype=torch.bfloat16)
    arm = Arm(model, slots=views, cap=config.cap(ratio), dtype=torch.bfloat16)
    return timed(partial(arm.run, tiles), device, repeats)


def measure(name: str, canvas: str, tower: Any, device: torch.device) -> Iterator[Line]:  # noqa: ANN401
    """One canvas: all tokens, then each ratio with gaze."""
    side = tower.config.patch_size * MERGE
    width, height = map(int, canvas.split("x"))
    rows, cols = round(height / side), round(width / side)
    views = -(-rows // VIEW) * -(-cols // VIEW)
    repeats = 3 if device.type == "cuda" else 1
    about = {"model": name, "canvas": canvas, "views": views, "slices": SLICES}
    full = timed(partial(encode, tower, kept_stream(rows, cols, None, 0), device), device, repeats)
    yield {**about, "kept": "all", "tokens": SLICES * rows * cols, "tower_ms": round(full, 3)}
    for ratio in RATIOS:
        stream = kept_stream(rows, cols, ratio, 1)
        part = timed(partial(encode, tower, stream, device), device, repeats)
        gaze = gaze_ms(views, ratio, device, repeats)
        speed_up = full / (part + gaze)
        tax = gaze / (full - part) if full > part else None
        line: Line = {
            **about,
            "kept": ratio,
            "tokens": int(stream.index.size),
            "tower_ms": round(part, 3),
            "gaze_ms": round(gaze, 3),
            "times_faster_with_gaze": round(speed_up, 2),
            "times_faster_tower_alone": round(full / part, 2),
            "selector_tax": None if tax is None else round(tax, 4),
        }
        if ratio == 0.1 and (name, canvas) in TARGETS:
            least, most = TARGETS[name, canvas]
            is_cheap = most is None or (tax is not None and tax <= most)
            line |= {"target_times": least, "target_tax": most}
            line |= {"ok": speed_up >= least and is_cheap}
        yield line


def looped(name: str, tower: Any, device: torch.device) -> Line:  # noqa: ANN401
    """Both arms on transformers' own loop over segments: a speed-up that is never to be quoted."""
    tower.config._attn_implementation = "sdpa"
    width, height = map(int, CANVASES[1].split("x"))
    side = tower.config.patch_size * MERGE
    rows, cols = round(height / side), round(width / side)
    times = [
        timed(partial(encode, tower, kept_stream(rows, cols, ratio, 1), device), device, 1)
        for ratio in (None, 0.1)
    ]
    tower.config._attn_implementation = attention.register()
    return {
        "model": name,
        "canvas": CANVASES[1],
        "attention": "transformers' loop over segments",
        "all_ms": round(times[0], 3),
        "kept_ms": round(times[1], 3),
        "would_have_claimed": round(times[0] / times[1], 2),
    }


def frames_that_fit(name: str, config: dict[str, Any], canvas: str) -> Line:
    """Frames whose visual tokens fill the context of the language model, in each arm."""
    side = config["vision_config"]["patch_size"] * MERGE
    width, height = map(int, canvas.split("x"))
    context = config["text_config"]["max_position_embeddings"]
    a_slice = round(height / side) * round(width / side)
    most = {f"{ratio:g}": 2 * int(context // max(1, ratio * a_slice)) for ratio in (1.0, *RATIOS)}
    return {"model": name, "canvas": canvas, "context": context, "most_frames_by_kept": most}


def main() -> int:
    """Run all models and canvases; 0 when every target was met."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--device", default="cuda")
    options.add_argument("--dimensions", nargs="+", default=list(MODELS))
    options.add_argument("--canvases", nargs="+", default=list(CANVASES))
    options.add_argument("--out", type=Path)
    asked = options.parse_args()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.stderr.write("gpu_towers: no CUDA device. Run it where there is one.\n")
        return 2
    is_met = True
    lines = []
    for name in asked.dimensions:
        tower, config = make_tower(name, device)
        found: Iterator[Line] = (
            line for canvas in asked.canvases for line in measure(name, canvas, tower, device)
        )
        extra = [frames_that_fit(name, config, canvas) for canvas in asked.canvases]
        extra += [looped(name, tower, device)] if device.type == "cuda" else []
        for line in (*found, *extra):
            is_met &= line.get("ok") is not False
            lines.append(json.dumps({"section": "language_model_towers", **line}) + "\n")
            sys.stdout.write(lines[-1])
            sys.stdout.flush()
            if asked.out is not None:
                asked.out.write_text("".join(lines), encoding="utf-8")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
