"""The ways in which a question is asked, to see what its answer depends on.

Everything follows from the question, its clip and the rules; where a choice is free (a window, the
order of the options) a digest makes it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from hlvid.build.lint import Linted
from hlvid.build.questions import Draft
from hlvid.build.records import Clip
from hlvid.build.set_rules import AuditRules
from hlvid.files import digest
from hlvid.prompt import render
from hlvid.types import Probe

Box = tuple[float, float, float, float]
MIN_CROP_PIXELS = 224.0


def probes_of(linted: Linted, rules: AuditRules, *, path: str) -> list[Probe]:
    """All probes of a question, each once.

    Args:
        linted: The question and its clip.
        rules: Which rungs the ladders have.
        path: Where the clip lies on this machine; no digest depends on it.
    """
    asker = _Asker(linted, path)
    found = {probe.probe_id: probe for probe in _all(asker, linted, rules)}
    return list(found.values())


class _Asker:
    """Makes the probes of one question."""

    def __init__(self, linted: Linted, path: str) -> None:
        self._draft, self._clip, self._path = linted.draft, linted.clip, path
        self._orders = orders(linted.draft)

    def ask(self, kind: str, rotation: int = 0, **where: Any) -> Probe:  # noqa: ANN401
        """One probe, its options turned on by some places."""
        draft = self._draft
        choices = tuple(draft.choices[i] for i in self._orders[rotation])
        content: dict[str, Any] = {
            "question_id": draft.question_id,
            "kind": kind,
            "text": render(draft.stem, choices, draft.instruction),
            "stem": draft.stem,
            "choices": choices,
            "video_sha256": None if kind == "blind" else self._clip.file.sha256,
            **where,
        }
        path = None if kind == "blind" else self._path
        return Probe(probe_id=digest(content), path=path, **content)


def orders(draft: Draft) -> list[tuple[int, ...]]:
    """Every turn of one order of the options, so that each of them stands once at every letter.

    Returns:
        Numbers of the options; the order itself comes first, and does not tell which is right.
    """
    numbers = range(len(draft.choices))
    first = sorted(numbers, key=lambda i: digest([draft.wording_sha256, draft.choices[i]]))
    return [tuple(first[i:] + first[:i]) for i in numbers]


def _all(asker: _Asker, linted: Linted, rules: AuditRules) -> Iterator[Probe]:
    clip, draft = linted.clip, linted.draft
    length = _length(clip)
    whole = spread(0.0, length, rules.num_frames)
    for rotation in range(min(rules.num_permutations, len(draft.choices))):
        yield asker.ask("blind", rotation)
        yield asker.ask("permuted", rotation, frame_seconds=whole)
    chance = int(digest(["window", draft.wording_sha256]), 16) % 2**32 / 2**32
    yield asker.ask("single-frame", frame_seconds=(round(chance * length, 3),))
    for seconds in rules.context_seconds:
        start = chance * max(0.0, length - seconds)
        window = spread(start, min(length, start + seconds), rules.num_frames)
        yield asker.ask("context", frame_seconds=window)
    elsewhere = tuple(t for t in whole if all(e.box_at(t) is None for e in draft.evidence))
    if elsewhere:
        yield asker.ask("elsewhere", frame_seconds=elsewhere)
    evidence = draft.evidence[0]
    end = min(evidence.end_seconds, length)
    shown = spread(min(evidence.start_seconds, end), end, rules.num_evidence_frames)
    for height in rules.heights:
        if height <= clip.height:
            yield asker.ask("resolution", frame_seconds=shown, height=height)
    boxes = [evidence.box_at(t) or evidence.boxes[-1][1:] for t in shown]
    crop = crop_around(boxes, clip, rules)
    yield asker.ask("oracle-crop", frame_seconds=shown, crop=crop)
    other = beside(crop, clip)
    if other is not None:
        yield asker.ask("other-crop", frame_seconds=shown, crop=other)


def _length(clip: Clip) -> float:
    """Up to the moment at which the last frame is still shown."""
    return max(0.001, clip.duration_seconds - 0.5 / clip.fps)


def spread(start: float, end: float, num: int) -> tuple[float, ...]:
    """The middles of so many equal parts of a stretch, in ms; those that are the same once."""
    step = (end - start) / num
    return tuple(sorted({round(start + (i + 0.5) * step, 3) for i in range(num)}))


def crop_around(boxes: Sequence[Box], clip: Clip, rules: AuditRules) -> Box:
    """What holds all boxes with a margin, inside the frame and not tiny; whole pixels."""
    x0, y0 = min(b[0] for b in boxes), min(b[1] for b in boxes)
    x1, y1 = max(b[2] for b in boxes), max(b[3] for b in boxes)
    margin = rules.crop_margin * max(x1 - x0, y1 - y0)
    left, right = _within(x0 - margin, x1 + margin, clip.width)
    top, bottom = _within(y0 - margin, y1 + margin, clip.height)
    return left, top, right, bottom


def _within(low: float, high: float, size: int) -> tuple[float, float]:
    lack = max(0.0, MIN_CROP_PIXELS - (high - low)) / 2
    low, high = low - lack, high + lack
    low, high = max(0.0, low + min(0.0, size - high)), min(float(size), high - min(0.0, low))
    return float(int(low)), float(min(size, int(high + 0.999)))


def beside(crop: Box, clip: Clip) -> Box | None:
    """A part of the frame as large as the crop and without any of it; None where it fills both."""
    x0, y0, x1, y1 = crop
    width, height = x1 - x0, y1 - y0
    for left, top in ((0.0, y0), (clip.width - width, y0), (x0, 0.0), (x0, clip.height - height)):
        if left + width <= x0 or left >= x1 or top + height <= y0 or top >= y1:
            return left, top, left + width, top + height
    return None
