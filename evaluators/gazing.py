"""What each arm keeps of a video, computed before any arm is timed.

An arm whose selector copies another (`random-matched:detail`) needs that one's choice on the same
canvas; `transplanted:detail` needs it on another video's. One whose selector reads the question, or
copies such a one, chooses for every question; all others choose once for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from evaluators.arms import partner_of
from evaluators.canvas import SOURCE, Canvas, Shape, decode
from evaluators.halting import CannotGoOn, Halt
from evaluators.mapping import first_frames, num_slices, slice_frames, unite
from evaluators.timing import GAZE, Stopwatch, peak_memory_bytes, reset_peak_memory
from gaze.selectors import (
    Kept,
    Request,
    SelectorInfo,
    budget_tokens,
    list_selectors,
    select_stream,
)
from gaze.views import CLIP_FRAMES
from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.types import OUT_OF_MEMORY, ArmSettings, Evidence

MORE = 1.1
"""Times the budget of frames, where their pairs are less than what may be kept of pairs."""
KEEP_ALL = "all"
"""The selector that stands for gaze off."""
MAX_SENTENCE_CHARACTERS = 500


@dataclass(frozen=True)
class Chosen:
    """What an arm keeps of a canvas, and how long it took to choose.

    With pairs of frames it is kept slice by slice.
    """

    kept: Kept
    gaze_ms: float
    peak_memory_bytes: int = 0
    """While it chose."""


@dataclass(frozen=True)
class Failure:
    """Why one video, arm or question came to nothing, in one sentence."""

    sentence: str


@dataclass(frozen=True)
class Place:
    """A video's canvas and what selectors are told about it.

    Args:
        canvas: The frames.
        video_id: Of the video.
        seed: Of the run; with an arm's own it makes the selector's.
        evidence: Question id -> evidence; reaches privileged selectors only.
        foreign: What partners keep of the donor video, by the partner arm's name.
        question: Text of the question that is asked; reaches selectors that read it only.
        done: What was chosen before, by the arm's name and the question where that was read.
        device: Where memory is counted.
        is_timed: Whether how long a choice takes is kept: a selector is then warmed up before it.
    """

    canvas: Canvas
    video_id: str
    seed: int
    evidence: Mapping[str, Sequence[Evidence]] = field(default_factory=dict)
    foreign: Mapping[str, Kept | Failure] = field(default_factory=dict)
    question: str | None = None
    done: dict[tuple[str, str | None], Chosen | Failure] = field(default_factory=dict)
    device: str = "cpu"
    is_timed: bool = True


def failure(error: Exception) -> Failure:
    """What went wrong, in one line.

    Raises:
        CannotGoOn: The error itself, where it is one that ends the run.
    """
    if isinstance(error, CannotGoOn):
        raise error
    name = type(error).__name__
    told = str(error) if isinstance(error, UserError) else f"{name}: {error}"
    # The device's error is torch's own, which may not be imported.
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        told = OUT_OF_MEMORY + told
    return Failure(" ".join(told.split())[:MAX_SENTENCE_CHARACTERS] or name)


def choose_all(
    place: Place, arms: Iterable[ArmSettings], halt: Halt
) -> dict[str, Chosen | Failure]:
    """Every arm's choice by its name, each computed once even where several arms copy it."""
    done = place.done

    def choose(arm: ArmSettings) -> Chosen | Failure:
        key = arm.name, place.question if reads_question(arm) else None
        if key not in done:
            halt.check()
            partner = partner_of(arm)
            copied = None if partner is None else choose(partner)
            try:
                made = copied if isinstance(copied, Failure) else _choose(place, arm, copied)
            except Exception as error:  # noqa: BLE001 - one arm's failure must not end the others
                made = failure(error)
            done[key] = made
        return done[key]

    return {arm.name: choose(arm) for arm in arms}


def reads_question(arm: ArmSettings) -> bool:
    """Whether an arm's selector, or the one that it copies, is given the question."""
    partner = partner_of(arm)
    return any(about_selector(one).reads_question for one in (arm, partner) if one is not None)


def _choose(place: Place, arm: ArmSettings, copied: Chosen | None) -> Chosen | Failure:
    """Run one selector; with a partner, what that one kept stands for budget and threshold.

    A matched control has its partner's counts in every frame and view, all others their sum. The
    oracle chooses once for all questions of a video, so it is shown the evidence of all. A variant
    with a partner chooses nothing itself: what the partner kept says how much it may show.
    """
    if arm.partner is not None and copied is not None:
        return Chosen(copied.kept, 0.0)
    partner, about, canvas = partner_of(arm), about_selector(arm), place.canvas
    donor = place.foreign[partner.name] if partner and about.needs_donor else None
    if isinstance(donor, Failure):
        return donor
    budget = None if arm.selector is None else arm.budget
    if copied is not None:
        budget = None if about.needs_partner else _as_budget(copied.kept)
    request = Request(
        budget=budget,
        threshold=None if copied else arm.threshold,
        seed=_seed(place.seed, arm.seed),
        video_id=place.video_id,
        question=place.question if about.reads_question else None,
        evidence=tuple(place.evidence.values()) if about.is_privileged else None,
        partner=copied.kept if copied and about.needs_partner else None,
        donor=donor,
        token_pixels=canvas.shape.token_pixels,
        weights=arm.weights if about.weights else None,
    )
    if about.reads and place.is_timed:
        _warm_up(arm, canvas, request)
    clock = Stopwatch()
    reset_peak_memory(place.device)
    with clock.stage(GAZE):
        kept = _run(arm, canvas, request)
    if arm.selector is None:
        return Chosen(kept, 0.0)
    return Chosen(kept, clock.stage_ms[GAZE], peak_memory_bytes(place.device))


def _seed(of_run: int, of_arm: int) -> int:
    """One seed of both; no seed of one run's arm is one of another run's."""
    if of_run == 0:
        return of_arm
    return int(digest(["seed", of_run, of_arm])[:8], 16)


def _as_budget(kept: Kept) -> float:
    """A budget that allows exactly as many tokens of the same grid as were kept."""
    return min(1.0, (kept.num_tokens + 0.5) / (kept.num_frames * kept.rows * kept.cols))


_warm: set[tuple[object, ...]] = set()


def _warm_up(arm: ArmSettings, canvas: Canvas, request: Request) -> None:
    """Load a selector's model, and run it once on a chunk, before it is timed."""
    num_frames = min(CLIP_FRAMES, canvas.num_frames)
    key: tuple[object, ...] = (about_selector(arm).name,)
    if arm.weights is not None:  # on a GPU each size and limit has kernels of its own
        limits = (request.budget, request.threshold)
        key = (*key, arm.weights, *limits, canvas.size, canvas.shape.token_pixels, num_frames)
    if key not in _warm:
        _run(arm, canvas, request, num_frames=num_frames)
        _warm.add(key)


def _run(
    arm: ArmSettings, canvas: Canvas, request: Request, *, num_frames: int | None = None
) -> Kept:
    """Select from the first frames, or all, and unite the pairs.

    What sees no pixels chooses slices at once: copies because what they copy was united already,
    the oracle because evidence of either frame is evidence of the slice.
    """
    about, pairing = about_selector(arm), canvas.shape.pairing
    is_of_slices = about.needs_partner or about.needs_donor or about.is_privileged
    frames, seconds = canvas.pixels[:num_frames], canvas.frame_seconds[:num_frames]
    if is_of_slices:
        seconds = seconds[np.array(slice_frames(len(frames), pairing))]  # (slices, 2)
        frames = first_frames(frames, pairing)

    def choose(budget: float | None) -> Kept:
        return select_stream(
            arm.selector or KEEP_ALL,
            (frames[i] for i in range(len(frames))),
            replace(request, frame_seconds=seconds, budget=budget),
            size=canvas.size,
            num_frames=len(frames),
        )

    kept, budget = choose(request.budget), request.budget
    if is_of_slices:
        return kept
    pairs = partial(unite, views=canvas.views, pairing=pairing, spends=about.spends)
    if budget is None:
        return pairs(kept, num_kept=None)
    num_pairs = num_slices(len(frames), pairing)
    num_kept = budget_tokens(budget, num_pairs * canvas.views.num_tokens)
    is_spent = kept.num_tokens >= num_kept * len(frames) // num_pairs
    while (united := pairs(kept, num_kept=num_kept)).num_tokens < num_kept and is_spent:
        # The last of an odd number of frames stands twice: what was kept of the others may be less.
        if budget == 1:
            break
        budget = min(1.0, budget * MORE)
        kept = choose(budget)
    return united


def about_selector(arm: ArmSettings) -> SelectorInfo:
    """What is known of an arm's own selector, whoever it copies."""
    return list_selectors()[(arm.selector or KEEP_ALL).partition(":")[0]]


class Donors:
    """Which video another one takes a foreign mask from, and what was kept of it.

    Videos stand in a circle, in the order of the digests of their ids; each takes from the next
    that can be read. Sat in the reverse of that order, a video's donor was sat just before it, and
    its choice is at hand; otherwise the donor is decoded on its own. A selector that reads the
    question is given the donor's own first one.

    Args:
        videos: Every video of the benchmark with its path; None where its file is missing.
        questions: Text of the first question about each of them.
        num_frames: Frames to sample.
        scratch: Folder for the donor's canvas.
        seed: Of the run.
        shape: How the donor's frames are put on its canvas.
    """

    def __init__(
        self,
        videos: Mapping[str, Path | None],
        questions: Mapping[str, str],
        *,
        num_frames: int,
        scratch: Path,
        seed: int,
        shape: Shape = SOURCE,
    ) -> None:
        self._videos = videos
        self._questions = questions
        self._circle = sorted(videos, key=lambda video_id: digest(["donor", video_id]))
        self._num_frames = num_frames
        self._scratch = scratch
        self._seed = seed
        self._shape = shape
        self._at_hand: dict[tuple[str, str], Kept] = {}

    def sitting_order(self, video_ids: Iterable[str]) -> list[str]:
        """The videos so that each comes right after its donor, where both are sat."""
        wanted = set(video_ids)
        return [video_id for video_id in reversed(self._circle) if video_id in wanted]

    def donors_of(self, video_id: str) -> list[str]:
        """The other videos whose files are here, from the next of the circle on."""
        at = self._circle.index(video_id)
        others = (*self._circle[at + 1 :], *self._circle[:at])
        return [other for other in others if self._videos[other] is not None]

    def remember(self, video_id: str, chosen: Mapping[str, Chosen | Failure]) -> None:
        """Keep what was chosen of a video for all its questions until the next one's turn."""
        self._at_hand = {
            (video_id, name): choice.kept
            for name, choice in chosen.items()
            if isinstance(choice, Chosen)
        }

    def give(
        self, video_id: str, arms: Iterable[ArmSettings], halt: Halt
    ) -> dict[str, Kept | Failure]:
        """What the partners of transplanting arms keep of the donor, by the partner arm's name."""
        wanted = [partner_of(arm) for arm in arms if about_selector(arm).needs_donor]
        partners = {arm.name: arm for arm in wanted if arm is not None}
        if not partners:
            return {}
        try:
            return self._take(video_id, partners, halt)
        except Exception as error:  # noqa: BLE001 - no donor fails the transplanting arms only
            return dict.fromkeys(partners, failure(error))

    def _take(
        self, video_id: str, partners: Mapping[str, ArmSettings], halt: Halt
    ) -> dict[str, Kept | Failure]:
        """From the first donor that can be read, which depends on the files alone."""
        why = "none is here."
        for donor in self.donors_of(video_id):
            given: dict[str, Kept | Failure] = {
                name: self._at_hand[donor, name]
                for name in partners
                if (donor, name) in self._at_hand
            }
            missing = [arm for name, arm in partners.items() if name not in given]
            try:
                looked = self._look_at(donor, missing, halt) if missing else {}
            except UserError as error:
                why = failure(error).sentence
                continue
            for name, choice in looked.items():
                given[name] = choice.kept if isinstance(choice, Chosen) else choice
            return given
        raise UserError(f"transplanted: a mask needs another video that can be read: {why}")

    def _look_at(
        self, donor: str, arms: Sequence[ArmSettings], halt: Halt
    ) -> dict[str, Chosen | Failure]:
        path = self._videos[donor]
        assert path is not None
        with decode(
            path, num_frames=self._num_frames, scratch=self._scratch, shape=self._shape
        ) as canvas:
            place = Place(canvas, donor, self._seed, question=self._questions.get(donor))
            return choose_all(place, arms, halt)
