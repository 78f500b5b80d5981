"""What can be said of a set in numbers, taken from the manifests: for its card and for people."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hlvid.build.adjudicate import ADJUDICATE, Settled, agreement
from hlvid.build.discover import DISCOVER
from hlvid.build.lint import LINT, letter_balance, written
from hlvid.build.lock import LockLine
from hlvid.build.measuring import intervals
from hlvid.build.probe import PROBE
from hlvid.build.report import candidate_endings, counts
from hlvid.build.stages import QUESTION_STAGES
from hlvid.build.work import Work

Pair = tuple[LockLine, Settled]


def facts(work: Work, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Counts and measurements of the questions of a set and of the videos that they are about.

    Args:
        work: Where it was made.
        pairs: Each question of the set with its line in the lock.
    """
    settled = [each for _, each in pairs]
    clips = {each.clip.clip_id: each.clip for each in settled}
    seconds = sorted(clip.duration_seconds for clip in clips.values())
    return {
        "num_questions": len(pairs),
        "num_videos": len(clips),
        "num_groups": len({each.group_id for each in settled}),
        "total_bytes": sum(clip.file.num_bytes for clip in clips.values()),
        "duration_seconds": {"least": seconds[0], "most": seconds[-1], "total": sum(seconds)},
        "categories": _count(line.category for line, _ in pairs),
        "capabilities": _count(each.draft.capability or "unknown" for each in settled),
        "splits": _count(line.split for line, _ in pairs),
        "letters": _letters([line for line, _ in pairs]),
        "sizes": _count(f"{clip.width}x{clip.height}" for clip in clips.values()),
        "evidence_seconds": _quantiles(
            [e.end_seconds - e.start_seconds for each in settled for e in each.draft.evidence]
        ),
        **_sources(work, pairs),
        "candidates": counts(candidate_endings(work)),
        "written": _written(work),
        "agreement": _agreement(work, settled),
        "audit": intervals([(each.clip.clip_id, each.measured) for each in settled]),
        "flags": _count(flag.check for each in settled for flag in each.flags),
        "num_replies_needed": work.spec.questions.num_replies,
        "num_rulings": sum(each.ruling is not None for each in settled),
    }


def questions_told(work: Work) -> list[dict[str, Any]]:
    """What became of every written question, in the order of ids, with what was found."""
    rows: dict[str, dict[str, Any]] = {
        task.item.id: {
            "question_id": task.item.id,
            "state": "pending",
            "code": None,
            "detail": None,
            "flags": [],
            "measured": [],
        }
        for task in work.tasks(LINT)
    }
    for stage in QUESTION_STAGES:
        for entry in work.entries(stage):
            row = rows[entry.item]
            is_settled = stage is ADJUDICATE and entry.output is not None
            state = "settled" if is_settled else str(entry.state)
            row |= {"state": state, "code": entry.code, "detail": entry.detail}
            if entry.output is not None:
                row["flags"] = [flag.model_dump(mode="json") for flag in entry.output.flags]
                measured = getattr(entry.output, "measured", ())
                row["measured"] = [each.model_dump(mode="json") for each in measured]
    return list(rows.values())


def _sources(work: Work, pairs: Sequence[Pair]) -> Mapping[str, Any]:
    """Codecs and licences of the videos."""
    wanted = {each.clip.clip_id.rpartition(".")[0] for _, each in pairs}
    codecs = {i.id: p.codec for i, p in work.passed(PROBE) if i.id in wanted}
    licenses = {i.id: s.license for i, s in work.passed(DISCOVER) if i.id in wanted}
    return {"codecs": _count(codecs.values()), "licenses": _count(licenses.values())}


def _written(work: Work) -> dict[str, int]:
    """'settled', 'quarantined disputed', ... -> how many of the written questions."""
    last = {}
    for stage in QUESTION_STAGES:
        for entry in work.entries(stage):
            last[entry.item] = f"{entry.state} {entry.code or ''}".strip()
    found = Counter("settled" if state == "passed" else state for state in last.values())
    found["pending"] += len(work.tasks(LINT)) - len(last)
    return {name: number for name, number in sorted(found.items()) if number}


def _agreement(work: Work, settled: Sequence[Settled]) -> dict[str, Any]:
    """Of all questions that were answered blind, and of those that are kept."""
    replies = written(work).replies
    answered = [
        (item.input.audited.linted.draft, item.input.replies)
        for item in (task.item for task in work.tasks(ADJUDICATE))
        if item.input.replies
    ]
    kept = [(e.draft, replies[e.draft.question_id]) for e in settled if e.num_replies]
    return {
        "answered": {"num_questions": len(answered), **agreement(answered)},
        "kept": {"num_questions": len(kept), **agreement(kept)},
    }


def _letters(lines: Sequence[LockLine]) -> dict[str, Any]:
    """Split -> how often each letter is right, and whether that is too uneven to be chance."""
    found: dict[str, Any] = {}
    for split in sorted({line.split for line in lines}):
        mine = [line for line in lines if line.split == split]
        num = max(len(line.order) for line in mine)
        full = [line.letter for line in mine if len(line.order) == num]
        found[split] = {
            "counts": _count(line.letter for line in mine),
            "uneven": letter_balance(full, num),
        }
    return found


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    shares = {"least": 0.0, "median": 0.5, "most": 1.0}
    return {name: round(float(np.quantile(values, q)), 3) for name, q in shares.items()}


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
