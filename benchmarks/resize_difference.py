"""How far our canvas is from the one that the stock processor would make of the same frames.

Every arm sees a canvas that is decoded straight to its size; the stock processor of Qwen-VL is
given whole frames and resizes them itself (bicubic, antialiased). Where a canvas has the video's
own size there is nothing to resize; the model's own rule may still round its sides. The two differ
in chroma most: ours scales the half-size planes once, the stock way twice. The clip has as much
detail in colour as in luma, which videos seldom have.

    python benchmarks/resize_difference.py    # writes benchmarks/results/resize_difference.jsonl
    python benchmarks/resize_difference.py --quick
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from bench_video import make_clip  # noqa: E402
from measure import Rows, parser, result_file  # noqa: E402
from transformers.image_utils import SizeDict  # noqa: E402
from transformers.video_processing_utils import BaseVideoProcessor  # noqa: E402

from evaluators.canvas import parse_canvas  # noqa: E402
from evaluators.models.qwen.byte_tokens import make_processor  # noqa: E402
from evaluators.models.qwen.geometry import native_size  # noqa: E402
from hlvid.console import progress  # noqa: E402
from hlvid.video import VideoReader, uniform_indices  # noqa: E402

BENCHMARK = "resize_difference"
FAMILIES = {"qwen2_5_vl": 28, "qwen3_vl": 32}
"""With the side of a merged token, in pixels."""
CANVASES = ("native", "1596x896", "1920x1088", "768x448")
NUM_FRAMES = 4
LUMA = np.array([0.2126, 0.7152, 0.0722])
"""Shares of red, green and blue in luma (BT.709)."""


def compare(family: str, canvas: str, num_frames: int) -> dict[str, object]:
    """The largest and the mean difference of the 8-bit values of a few frames."""
    path, processor = make_clip("h264"), make_processor(family).video_processor
    with VideoReader(path) as reader:
        source = reader.info.width, reader.info.height
        indices = uniform_indices(reader.info.num_frames, num_frames)
        width, height = native_size(*parse_canvas(canvas, "native")(*source), side=FAMILIES[family])
        whole = [frame.pixels for frame in reader.frames(indices)]
    with VideoReader(path, size=(width, height)) as reader:
        ours = [frame.pixels for frame in reader.frames(indices)]
    most, total, total_luma = 0, 0.0, 0.0
    for mine, frame in zip(ours, whole, strict=True):
        video = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
        size = SizeDict(height=height, width=width)
        # The arithmetic of its resize without its rule for sizes, which gives another size.
        stock = BaseVideoProcessor.resize(processor, video, size=size, resample=processor.resample)
        theirs = stock[0].permute(1, 2, 0).numpy()
        difference = mine.astype(np.int16) - theirs
        most = max(most, int(np.abs(difference).max()))
        total += float(np.abs(difference).mean())
        total_luma += float(np.abs(difference @ LUMA).mean())
    return {
        "width": width,
        "height": height,
        "most": most,
        "mean": round(total / len(ours), 4),
        "mean_luma": round(total_luma / len(ours), 4),
    }


def main() -> None:
    """Run what the command line asks for."""
    asked = parser(BENCHMARK, __doc__).parse_args()
    num_frames = 1 if asked.quick else NUM_FRAMES
    cases = [(family, canvas) for family in FAMILIES for canvas in CANVASES]
    with (
        Rows(BENCHMARK, result_file(BENCHMARK, asked), {"num_frames": num_frames}) as rows,
        progress(len(cases), BENCHMARK) as bar,
    ):
        for family, canvas in cases:
            key = {"family": family, "canvas": canvas}
            if not rows.find("resize", **key):
                rows.add("resize", **key, **compare(family, canvas, num_frames))
            bar.advance(note=f"{family}, {canvas}")


if __name__ == "__main__":
    main()
