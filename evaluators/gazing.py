"""What each arm keeps of a video, computed before any arm is timed.

An arm whose selector copies another (`random-matched:detail`) needs that one's choice on the same
canvas; `transplanted:detail` needs it on another video's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluators.arms import leading
from evaluators.canvas import Canvas, decode
from evaluators.halting import CannotGoOn, Halt
from evaluators.timing import Stopwatch
from gaze.selectors import Kept, list_selectors, select
from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.types import ArmSettings, Evidence

KEEP_ALL = "all"
"""The selector that stands for gaze off."""
MAX_SENTENCE_CHARACTERS = 500


@dataclass(frozen=True)
class Chosen:
    """What an arm keeps of a canvas, and how long it took to choose."""

    kept: Kept
    gaze_ms: float


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
        seed: Of the run; an arm's own seed is added.
        evidence: Question id -> evidence; reaches privileged selectors only.
        foreign: What partners keep of the donor video, by the partner arm's name.
    """

    canvas: Canvas
    video_id: str
    seed: int
    evidence: Mapping[str, Sequence[Evidence]] = field(default_factory=dict)
    foreign: Mapping[str, Kept | Failure] = field(default_factory=dict)


def failure(error: Exception) -> Failure:
    """What went wrong, in one line.

    Raises:
        CannotGoOn: The error itself, where it is one that ends the run.
    """
    if isinstance(error, CannotGoOn):
        raise error
    told = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return Failure(" ".join(told.split())[:MAX_SENTENCE_CHARACTERS] or type(error).__name__)


def choose_all(
    place: Place, arms: Iterable[ArmSettings], halt: Halt
) -> dict[str, Chosen | Failure]:
    """Every arm's choice by its name, each computed once even where several arms copy it."""
    done: dict[str, Chosen | Failure] = {}

    def choose(arm: ArmSettings) -> Chosen | Failure:
        if arm.name not in done:
            halt.check()
            partner = partner_of(arm)
            copied = None if partner is None else choose(partner)
            try:
                made = copied if isinstance(copied, Failure) else _choose(place, arm, copied)
            except Exception as error:  # noqa: BLE001 - one arm's failure must not end the others
                made = failure(error)
            done[arm.name] = made
        return done[arm.name]

    return {arm.name: choose(arm) for arm in arms}


def partner_of(arm: ArmSettings) -> ArmSettings | None:
    """The arm whose choice a control copies: the same budget and threshold, first seed."""
    _, _, partner = (arm.selector or "").partition(":")
    if not partner:
        return None
    return ArmSettings(gaze="on", selector=partner, budget=arm.budget, threshold=arm.threshold)


def _choose(place: Place, arm: ArmSettings, copied: Chosen | None) -> Chosen | Failure:
    """Run one selector; with a partner, its counts stand for budget and threshold.

    A video is gazed at once for all its questions, so the oracle is shown the evidence of all.
    """
    partner = partner_of(arm)
    donor = place.foreign[partner.name] if partner and _needs_donor(arm) else None
    if isinstance(donor, Failure):
        return donor
    clock = Stopwatch()
    with clock.stage("gaze"):
        kept = select(
            arm.selector or KEEP_ALL,
            place.canvas.pixels,
            budget=None if copied else arm.budget,
            threshold=None if copied else arm.threshold,
            num_kept=copied.kept.num_tokens if copied and donor else None,
            seed=place.seed + arm.seed,
            video_id=place.video_id,
            evidence=tuple(one for many in place.evidence.values() for one in many)
            if _is_privileged(arm)
            else None,
            partner=copied.kept if copied and not donor else None,
            donor=donor,
            frame_seconds=place.canvas.frame_seconds,
        )
    return Chosen(kept, 0.0 if arm.selector is None else clock.stage_ms["gaze"])


def _is_privileged(arm: ArmSettings) -> bool:
    return arm.selector is not None and leading(arm.selector).is_privileged


def _needs_donor(arm: ArmSettings) -> bool:
    return arm.selector is not None and list_selectors()[arm.selector.partition(":")[0]].needs_donor


class Donors:
    """Which video another one takes a foreign mask from, and what was kept of it.

    Videos stand in a circle, in the order of the digests of their ids; each takes from the next.
    Sat in the reverse of that order, a video's donor was sat just before it, and its choice is at
    hand; otherwise the donor is decoded on its own.

    Args:
        videos: Every video of the benchmark with its path; None where its file is missing.
        num_frames: Frames to sample.
        scratch: Folder for the donor's canvas.
        seed: Of the run.
    """

    def __init__(
        self, videos: Mapping[str, Path | None], *, num_frames: int, scratch: Path, seed: int
    ) -> None:
        self._videos = videos
        self._circle = sorted(videos, key=lambda video_id: digest(["donor", video_id]))
        self._num_frames = num_frames
        self._scratch = scratch
        self._seed = seed
        self._at_hand: dict[tuple[str, str], Kept] = {}

    def sitting_order(self, video_ids: Iterable[str]) -> list[str]:
        """The videos so that each comes right after its donor, where both are sat."""
        wanted = set(video_ids)
        return [video_id for video_id in reversed(self._circle) if video_id in wanted]

    def donor_of(self, video_id: str) -> str:
        """The next video of the circle.

        Raises:
            UserError: There is no other.
        """
        if len(self._circle) < 2:
            raise UserError("transplanted: the benchmark has one video. A mask needs a second one.")
        return self._circle[(self._circle.index(video_id) + 1) % len(self._circle)]

    def remember(self, video_id: str, chosen: Mapping[str, Chosen | Failure]) -> None:
        """Keep what was chosen of a video until the next one's turn."""
        self._at_hand = {
            (video_id, name): choice.kept
            for name, choice in chosen.items()
            if isinstance(choice, Chosen)
        }

    def give(
        self, video_id: str, arms: Iterable[ArmSettings], halt: Halt
    ) -> dict[str, Kept | Failure]:
        """What the partners of transplanting arms keep of the donor, by the partner arm's name."""
        wanted = [partner_of(arm) for arm in arms if _needs_donor(arm)]
        partners = {arm.name: arm for arm in wanted if arm is not None}
        if not partners:
            return {}
        try:
            donor = self.donor_of(video_id)
            given: dict[str, Kept | Failure] = {
                name: self._at_hand[donor, name]
                for name in partners
                if (donor, name) in self._at_hand
            }
            if missing := [arm for name, arm in partners.items() if name not in given]:
                for name, choice in self._look_at(donor, missing, halt).items():
                    given[name] = choice.kept if isinstance(choice, Chosen) else choice
        except Exception as error:  # noqa: BLE001 - a broken donor fails the transplanting arms only
            given = dict.fromkeys(partners, failure(error))
        return given

    def _look_at(
        self, donor: str, arms: Sequence[ArmSettings], halt: Halt
    ) -> dict[str, Chosen | Failure]:
        path = self._videos[donor]
        if path is None:
            raise UserError(f"transplanted: the donor video {donor} is missing.")
        with decode(path, num_frames=self._num_frames, scratch=self._scratch) as canvas:
            return choose_all(Place(canvas, donor, self._seed), arms, halt)
