"""What a selector is given, and what it says about itself."""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gaze.selectors.budget import Shares
from gaze.selectors.kept import Cells, Kept
from gaze.views import Frame, Ids, Views
from hlvid.types import Evidence

Spends = Literal["view", "frame", "clip", "video"]
"""Within what a budget is exact: a frame of a view, a frame, a clip of a view, or the video."""

Mapping = Literal["aligned", "finest", "union", "mask-coarse"]
"""How cells of several scales become native tokens: `gaze.selectors.autogaze` says it."""

Reads = Literal["tokens", "views", "quarters"]
"""The native tokens, or each view or quarter of one as a square of as many tokens as a view has."""


@dataclass(frozen=True)
class SelectorInfo:
    """What tables and commands must know about a selector.

    Args:
        name: Of its entry point.
        summary: One line for people.
        is_control: It exists to be compared with; a bare partner name never means it.
        is_privileged: It is given what a user does not have.
        needs_budget: It cannot run without `budget` (or a number of tokens).
        notes: What every table must say beside it.
        takes_budget: A budget may be given.
        needs_threshold: It cannot run without `threshold`.
        takes_threshold: A threshold may be given.
        needs_partner: It copies another selector's counts: 'random-matched:autogaze'.
        needs_donor: It copies another video's choice: 'transplanted:autogaze'.
        reads_question: It is given the question, and so it, and what copies it, choose anew for
            every question of a video: each costs a look of its own. No other selector is given it.
        spends: Within what its budget is exact.
        weights: Its default checkpoint, if it is a model: a hub id. Others may be given.
        reads: What of a frame its own model reads; None without a model.
        mapping: How its cells become native tokens.
        code: Of another package's: its name, its version, and the digest of the file that holds the
            selector.
    """

    name: str
    summary: str
    is_control: bool = False
    is_privileged: bool = False
    needs_budget: bool = True
    notes: tuple[str, ...] = ()
    takes_budget: bool = True
    needs_threshold: bool = False
    takes_threshold: bool = False
    needs_partner: bool = False
    needs_donor: bool = False
    reads_question: bool = False
    spends: Spends = "view"
    weights: str | None = None
    reads: Reads | None = None
    mapping: Mapping = "aligned"
    code: str | None = None

    def tokens_read(self, views: Views) -> int:
        """Tokens of a frame that its own model reads, those of squares outside the canvas too."""
        if self.reads is None:
            return 0
        if self.reads == "tokens":
            return views.num_tokens
        side = views.size if self.reads == "views" else views.size // 2
        return replace(views, size=side).num_views * views.size**2


@dataclass(frozen=True)
class Chunk:
    """Up to 16 frames of the whole canvas: one clip of every view. All that a selector sees.

    Args:
        frames: Each (height, width, 3) uint8, RGB, read-only.
        index: Of the chunk in its video: also the index of the clip in every view.
        first_frame: Index of its first frame in the video.
        views: How the canvas is divided.
        shares: Tokens that each frame and view may keep, (num_frames, num_views), read-only; None
            is no limit.
        threshold: The selector's own stopping rule, if one was asked for.
        question: The question's text as a model is sent it; None for a selector that does not
            say that it reads it.
        seed: Of the run.
        video_id: Of the video.
        weights: The selector's checkpoint, a folder or hub id; None where it has no model.
    """

    frames: tuple[Frame, ...]
    index: int
    first_frame: int
    views: Views
    shares: Shares | None
    threshold: float | None
    question: str | None
    seed: int
    video_id: str
    weights: str | None = None

    def random_bits(self, view: int, count: int) -> NDArray[np.uint64]:
        """Random integers that depend on (seed, video_id, clip, view) and on nothing else."""
        text = f"{self.seed}\n{self.video_id}\n{self.index}\n{view}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
        return np.random.PCG64(seed).random_raw(count)


@dataclass(frozen=True)
class Choice:
    """What a selector of several scales returns: its order of tokens, and the cells behind it.

    Args:
        orders: As a selector of one scale returns them.
        cells: Of every frame, those whose tokens the shares allow.
    """

    orders: Sequence[Ids]
    cells: Sequence[Cells | None]


Choose = Callable[[Chunk], Sequence[Ids] | Choice]
"""Orders tokens: one array a frame of distinct ids `row * cols + col`, first choice first."""


@dataclass(frozen=True)
class Plan:
    """What a built-in privileged selector is given. It sees no pixels.

    Args:
        num_frames: Frames of the video.
        views: How the canvas is divided.
        shares: Tokens that each frame and view may keep by the rule for all, (num_frames,
            num_views).
        frame_seconds: When each frame is shown, in seconds from the first frame, (num_frames,), or
            (num_frames, times) where one choice is for several frames.
        evidence: Of each question, where its answer can be seen: alternatives.
        donor: What was kept of another video.
    """

    num_frames: int
    views: Views
    shares: Shares
    frame_seconds: NDArray[np.float64] | None
    evidence: tuple[tuple[Evidence, ...], ...]
    donor: Kept | None


@dataclass(frozen=True)
class Privileged:
    """A selector that is given what no other is.

    Args:
        info: About it.
        plan: Called once a video; returns the ordered tokens of every frame.
    """

    info: SelectorInfo
    plan: Callable[[Plan], Sequence[Ids]]


@dataclass(frozen=True)
class Selector:
    """A way of choosing tokens.

    Args:
        info: About it.
        start: Called once a video; returns what is called for each of its chunks in turn.
    """

    info: SelectorInfo
    start: Callable[[], Choose]


def selector(**about: Any) -> Callable[[Choose | type[Any]], Selector]:  # noqa: ANN401
    """Make a selector out of a function, or of a class whose instances carry state over a video.

    Args:
        about: Fields of `SelectorInfo`; the summary is the first line of the docstring.
    """

    def wrap(choose: Choose | type[Any]) -> Selector:
        return _wrap(choose, **about)

    return wrap


def describe(name: str, loaded: Any) -> Selector | Privileged:  # noqa: ANN401
    """Name what an entry point holds: a `Selector`, or a plain function or class.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(loaded, Selector | Privileged):
        return replace(loaded, info=replace(loaded.info, name=name))
    if not callable(loaded):
        raise TypeError(f"{type(loaded).__name__} is neither a function nor a class")
    return _wrap(loaded, name=name)


def _wrap(choose: Any, *, name: str = "", **about: Any) -> Selector:  # noqa: ANN401
    lines = (inspect.getdoc(choose) or "").splitlines()
    info = SelectorInfo(name=name, summary=lines[0].rstrip(".") if lines else "", **about)
    return Selector(info, choose if isinstance(choose, type) else lambda: choose)
