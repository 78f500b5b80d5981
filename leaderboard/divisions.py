"""Divisions: closed runs share all settings that are not the arm, open ones report theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

from hlvid import datasets
from hlvid.types import RunRecord


@dataclass(frozen=True)
class Closed:
    """What a benchmark pins for its closed division."""

    num_frames: int
    canvas: str = "source"
    """Of an MLLM also 'native': the same by its own rule for sizes."""
    max_new_tokens: int = 16


CLOSED: Mapping[str, Closed] = {
    datasets.HLVID: Closed(num_frames=128),
    datasets.HLVID_SYNTHETIC: Closed(num_frames=6),
}
"""Benchmarks with a closed division; of any other benchmark all runs are open."""


def why_open(record: RunRecord) -> tuple[str, ...]:
    """What keeps a run out of the closed division; empty for a closed one.

    Closed: the pinned prompt (which reading checks), the pinned frames and canvas, greedy decoding,
    one question at a time, the whole benchmark.
    """
    pinned = CLOSED.get(record.benchmark.name)
    if pinned is None:
        return ("the benchmark has no closed division",)
    reasons = []
    if record.model.kind in ("mllm", "reader"):
        if record.frames.num_frames != pinned.num_frames:
            reasons.append(f"{record.frames.num_frames} frames, not {pinned.num_frames}")
        whole = (pinned.canvas, "native") if record.model.kind == "mllm" else (pinned.canvas,)
        if record.frames.canvas not in whole:
            reasons.append(f"canvas {record.frames.canvas}, not {pinned.canvas}")
    generation = record.generation
    if generation.get("do_sample", False) is not False or generation.get("temperature", 0):
        reasons.append("replies are sampled, not greedy")
    if generation.get("num_beams", 1) != 1:
        reasons.append("replies are searched by beams, not greedy")
    if generation.get("batch_size", 1) != 1:
        reasons.append("more than one question at a time")
    if generation.get("max_new_tokens", pinned.max_new_tokens) != pinned.max_new_tokens:
        reasons.append(f"replies of other than {pinned.max_new_tokens} tokens")
    if record.limit is not None:
        reasons.append("limited")
    return tuple(reasons)


def division_of(record: RunRecord) -> str:
    """'closed' or 'open'."""
    return "open" if why_open(record) else "closed"
