"""Evidence recall: how often does a selector keep what a question is about? No model is asked.

Recall has two factors: whether a sampled frame shows the evidence at all (the sampling's doing),
and whether the kept tokens cover it there (the selector's). Beside the selectors stand what random
tokens are expected to give, and the ceiling of one that is shown the evidence (COMPARISON.md 16).
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluators.arms import make_arm, pins
from evaluators.canvas import Canvas, decode
from evaluators.engine import quiet
from evaluators.exam import (
    ID_DIGITS,
    SCRATCH_FOLDER,
    evidence_by_video,
    first_questions,
    tell_missing,
    video_paths,
)
from evaluators.gazing import (
    Donors,
    Failure,
    Place,
    choose_all,
    failure,
    reads_question,
)
from evaluators.halting import INTERRUPTED, CannotGoOn, Halt, Stopped, on_signals
from evaluators.ledger import Ledger
from evaluators.provenance import software
from gaze.evidence import boxes_shown
from gaze.recall import evidence_recall, random_expectation
from gaze.selectors import budget_tokens, list_selectors, share
from gaze.views import Views
from hlvid.console import progress
from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.files import canonical_json, digest, write_bytes
from hlvid.statistics import accuracy_interval
from hlvid.types import ArmSettings, Evidence

BUDGETS = (0.02, 0.05, 0.1, 0.25)
LEDGER_FILE = f"{SCRATCH_FOLDER}/recall.jsonl"
ITEMS_FILE = "recall.jsonl"
ORACLE = "oracle"
EXPECTED = "random-expected"
"""What random tokens give on average, over all ways to draw them."""

Evident = Mapping[str, Sequence[Evidence]]
"""Question id -> evidence, of one video."""
Measured = Mapping[str, Sequence[Any]]
"""Question id -> temporal hit, spatial cover given a hit, and whether it is recalled: 0 or 1, or
between them where it is an expectation."""


@dataclass(frozen=True)
class Row:
    """One selector at one budget over a benchmark's questions with evidence."""

    arm: str
    num_questions: int
    num_videos: int
    temporal_hit: float
    """Share of questions of which a sampled frame shows the evidence."""
    cover_given_hit: float | None
    """Mean share of the evidence box that is covered, over these questions."""
    recalled_given_hit: float | None
    """Share of these questions whose evidence is recalled."""
    recall: float
    """Temporal hit times recalled given a hit: recalled questions among all."""
    low: float | None
    high: float | None
    """95 % interval of the recall, clustered by video; None for an expectation."""


@dataclass(frozen=True)
class Survey:
    """What is measured.

    Args:
        benchmark: Its questions with evidence count.
        arms: Selectors with their budgets.
        num_frames: To sample from a video.
        out: Folder for the ledger and the result.
        seed: Of selectors.
    """

    benchmark: Benchmark
    arms: tuple[ArmSettings, ...]
    num_frames: int
    out: Path
    seed: int

    def key(self, video_id: str, name: str) -> str:
        """What the finished measure of a row on a video is kept under."""
        parts = [*self._of_all, self.seed]
        parts += [marks] if (marks := self.benchmark.marked_sha256) else []
        what = self.rows[name]
        parts += [pins(what)] if isinstance(what, ArmSettings) else []
        return f"{video_id}/{name}/{digest([*parts, software()])[:ID_DIGITS]}"

    def canvas_key(self, video_id: str) -> str:
        """What the digest of a video's pixels is kept under."""
        return f"{video_id}/canvas/{digest(self._of_all)[:ID_DIGITS]}"

    @property
    def _of_all(self) -> list[Any]:
        return [self.benchmark.id.model_dump(mode="json"), self.num_frames]

    @property
    def rows(self) -> dict[str, ArmSettings | float]:
        """What is measured by name: every arm, and the expectation at each budget."""
        budgets = sorted({arm.budget for arm in self.arms if arm.budget is not None})
        expected = {f"{EXPECTED}@{budget:g}": budget for budget in budgets}
        return {**{arm.name: arm for arm in self.arms}, **expected}


def all_selectors(*, with_weights: bool) -> list[str]:
    """Every selector that takes a budget and copies no other.

    Args:
        with_weights: Whether those are wanted that need weights, which may not be here.
    """
    return [
        info.name
        for info in list_selectors().values()
        if info.takes_budget
        and not (info.needs_partner or info.needs_donor)
        and (with_weights or info.weights is None)
    ]


def with_ceiling(arms: Iterable[ArmSettings]) -> tuple[ArmSettings, ...]:
    """The arms, and the oracle at each of their budgets."""
    named = {arm.name: arm for arm in arms}
    for budget in sorted({arm.budget for arm in named.values() if arm.budget is not None}):
        oracle = make_arm(ORACLE, budget=budget)
        named.setdefault(oracle.name, oracle)
    return tuple(named.values())


def measure(survey: Survey) -> tuple[list[Row], list[str]]:
    """Measure every arm on every video, or go on with it, and write the items to a file.

    Returns:
        A row for each arm and each budget's expectation; and a sentence for each arm and video
        that failed, whose questions are left out of that row.

    Raises:
        UserError: No question has evidence, no video is there, or the user wanted the end.
    """
    quiet()
    evidence = evidence_by_video(survey.benchmark)
    if not evidence:
        raise UserError(
            f"benchmark {survey.benchmark.name}: none of its questions has evidence. Recall needs "
            "questions that say where the answer is seen; of hlvid, DATA/evidence/hlvid.jsonl does."
        )
    tell_missing(survey.benchmark)
    donors = Donors(
        video_paths(survey.benchmark),
        first_questions(survey.benchmark.questions),
        num_frames=survey.num_frames,
        scratch=survey.out / SCRATCH_FOLDER,
        seed=survey.seed,
    )
    found: dict[str, dict[str, Measured]] = {name: {} for name in survey.rows}
    failed: list[str] = []
    with (
        on_signals() as halt,
        Ledger(survey.out / LEDGER_FILE) as ledger,
        progress(len(evidence), "recall") as bar,
    ):
        try:
            for video_id in donors.sitting_order(evidence):
                measuring = _video(survey, video_id, evidence[video_id], donors, ledger, halt)
                for name, value in measuring:
                    if isinstance(value, Failure):
                        failed.append(f"{name} on {video_id}: {value.sentence}")
                    else:
                        found[name][video_id] = value
                bar.advance(1, video_id)
        except Stopped:
            raise UserError(
                "stopped; what is finished is kept. The same command goes on from there.",
                exit_code=INTERRUPTED,
            ) from None
    _write_items(survey.out / ITEMS_FILE, found)
    return [_row(name, videos) for name, videos in found.items() if videos], failed


def _video(
    survey: Survey,
    video_id: str,
    evidence: Evident,
    donors: Donors,
    ledger: Ledger,
    halt: Halt,
) -> Iterator[tuple[str, Measured | Failure]]:
    """Every row's measure of one video: from the ledger, or taken now."""
    missing = {}
    for name, what in survey.rows.items():
        known = ledger.get(survey.key(video_id, name))
        if known is None:
            missing[name] = what
        else:
            yield name, known
    if not missing:
        return
    arms = [what for what in missing.values() if isinstance(what, ArmSettings)]
    with ExitStack() as stack:
        try:
            foreign = donors.give(video_id, arms, halt)
            path = survey.benchmark.video_path(video_id)
            canvas = stack.enter_context(
                decode(path, num_frames=survey.num_frames, scratch=survey.out / SCRATCH_FOLDER)
            )
        except Exception as error:  # noqa: BLE001 - a broken video must not end the others
            yield from dict.fromkeys(missing, failure(error)).items()
            return
        _keep_pixels(survey, video_id, canvas, ledger)
        place = Place(canvas, video_id, survey.seed, evidence, foreign, is_timed=False)
        shared = [arm for arm in arms if not reads_question(arm)]
        donors.remember(video_id, choose_all(place, shared, halt))
        texts = {q.question_id: q.text for q in survey.benchmark.questions}
        for name, what in missing.items():
            halt.check()
            if isinstance(what, ArmSettings):
                value = _recalls(place, what, texts, halt)
            else:
                value = _expectations(canvas, evidence, what)
            if not isinstance(value, Failure):
                ledger.append(survey.key(video_id, name), value)
            yield name, value


def _keep_pixels(survey: Survey, video_id: str, canvas: Canvas, ledger: Ledger) -> None:
    """Refuse to put rows over different pixels into one table.

    Raises:
        CannotGoOn: The video has changed since a row of it was measured.
    """
    key = survey.canvas_key(video_id)
    if (before := ledger.get(key)) is None:
        ledger.append(key, canvas.sha256)
    elif before != canvas.sha256:
        raise CannotGoOn(
            f"video {video_id}: its pixels are not those that finished rows were measured on. Put "
            "back the file, or choose another --out.",
            exit_code=1,
        )


def _recalls(
    place: Place, arm: ArmSettings, texts: Mapping[str, str], halt: Halt
) -> Measured | Failure:
    canvas = place.canvas
    width, height = canvas.size
    measured = {}
    for question_id, one in place.evidence.items():
        asked = replace(place, question=texts[question_id])
        choice = choose_all(asked, [arm], halt)[arm.name]
        if isinstance(choice, Failure):
            return choice
        recall = evidence_recall(choice.kept, canvas.frame_seconds, one, width=width, height=height)
        measured[question_id] = (
            recall.temporal_hit,
            recall.spatial_cover,
            float(recall.is_recalled),
        )
    return measured


def _expectations(canvas: Canvas, evidence: Evident, budget: float) -> Measured:
    width, height = canvas.size
    views = Views(height, width)
    num_kept = budget_tokens(budget, canvas.num_frames * views.num_tokens)
    counts = share(num_kept, canvas.num_frames, views)
    measured = {}
    for question_id, one in evidence.items():
        hit = any(boxes_shown(one, seconds) for seconds in canvas.frame_seconds.tolist())
        expected = random_expectation(counts, views, canvas.frame_seconds, one)
        measured[question_id] = (hit, expected.spatial_cover if hit else None, expected.recall)
    return measured


def _row(name: str, videos: Mapping[str, Measured]) -> Row:
    items = [(video_id, *item) for video_id, many in videos.items() for item in many.values()]
    covers = [cover for _, is_hit, cover, _ in items if is_hit]
    recalled = [share_ for *_, share_ in items]
    interval = None
    if not name.startswith(EXPECTED):
        interval = accuracy_interval([one == 1.0 for one in recalled], [item[0] for item in items])
    return Row(
        arm=name,
        num_questions=len(items),
        num_videos=len(videos),
        temporal_hit=len(covers) / len(items),
        cover_given_hit=statistics.fmean(covers) if covers else None,
        recalled_given_hit=sum(recalled) / len(covers) if covers else None,
        recall=statistics.fmean(recalled),
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
    )


def _write_items(path: Path, found: Mapping[str, Mapping[str, Measured]]) -> None:
    names = ("temporal_hit", "spatial_cover", "recalled")
    write_bytes(
        path,
        (
            canonical_json(
                {
                    "arm": arm,
                    "video_id": video_id,
                    "question_id": question_id,
                    **dict(zip(names, item, strict=True)),
                }
            )
            + b"\n"
            for arm, videos in found.items()
            for video_id, many in videos.items()
            for question_id, item in many.items()
        ),
    )
