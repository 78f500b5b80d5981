"""Running a selector over a video."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze.selectors.budget import Shares, budget_tokens, cut, share
from gaze.selectors.catalog import load
from gaze.selectors.kept import Cells, Kept
from gaze.selectors.protocol import Choice, Chunk, Plan, Privileged, Selector, SelectorInfo
from gaze.views import CLIP_FRAMES, TOKEN_PIXELS, Frame, Ids, Views, chunks
from hlvid.errors import UserError
from hlvid.types import Evidence


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a selector: the arguments of `select`.

    Only a `Chunk` made from it reaches the selector itself.
    """

    seed: int
    video_id: str
    budget: float | None = None
    threshold: float | None = None
    num_kept: int | Sequence[int] | Shares | None = None
    question: str | None = None
    evidence: Sequence[Sequence[Evidence]] | None = None
    partner: Kept | None = None
    donor: Kept | None = None
    frame_seconds: Sequence[float] | NDArray[np.float64] | None = None
    token_pixels: int = TOKEN_PIXELS
    weights: str | None = None


def select(  # noqa: PLR0913
    name: str,
    canvas: Any,  # noqa: ANN401
    *,
    budget: float | None,
    threshold: float | None = None,
    num_kept: int | Sequence[int] | Shares | None = None,
    seed: int,
    video_id: str,
    question: str | None = None,
    evidence: Sequence[Sequence[Evidence]] | None = None,
    partner: Kept | None = None,
    donor: Kept | None = None,
    frame_seconds: Sequence[float] | NDArray[np.float64] | None = None,
    token_pixels: int = TOKEN_PIXELS,
    weights: str | None = None,
) -> Kept:
    """Choose tokens of a canvas.

    Args:
        name: Of the selector: 'detail', 'random-matched:detail'.
        canvas: uint8 (num_frames, height, width, 3): an array, a memory map, or a list of frames.
            Read frame by frame, never copied whole, never written.
        budget: Share of all native tokens of the video, in (0, 1].
        threshold: The selector's own stopping rule.
        num_kept: Exact tokens instead of a budget: for the video, a frame, or a frame and view.
        seed: Of the run.
        video_id: Of the video.
        question: The question's text, for selectors that read it and for no others.
        evidence: Of each question its alternatives, for `oracle` only.
        partner: What the partner of a matched control kept; its counts go before all budgets.
        donor: What was kept of another video, for `transplanted` only. Without budget and num_kept
            the donor's own number of tokens is kept, scaled to this canvas.
        frame_seconds: When each frame is shown, in seconds from the first frame, or (num_frames,
            times); for `oracle` only.
        token_pixels: Side of a native token.
        weights: Checkpoint of a selector that is a model, a folder or hub id; its own by default.

    Raises:
        UserError: As `select_stream`.
    """
    if len(canvas) == 0:
        raise UserError(f"selector {name!r}: video {video_id} has no frames on its canvas.")
    request = Request(
        budget=budget,
        threshold=threshold,
        num_kept=num_kept,
        seed=seed,
        video_id=video_id,
        question=question,
        evidence=evidence,
        partner=partner,
        donor=donor,
        frame_seconds=frame_seconds,
        token_pixels=token_pixels,
        weights=weights,
    )
    height, width = canvas[0].shape[:2]
    frames = (canvas[frame] for frame in range(len(canvas)))
    return select_stream(name, frames, request, size=(width, height), num_frames=len(canvas))


def select_stream(
    name: str,
    frames: Iterable[Frame],
    request: Request,
    *,
    size: tuple[int, int],
    num_frames: int,
) -> Kept:
    """Choose tokens of a stream of frames, holding one chunk of 16 frames at a time.

    Args:
        name: Of the selector.
        frames: Each uint8 (height, width, 3), RGB.
        request: What is asked for.
        size: (width, height) of the canvas in pixels.
        num_frames: Frames in the stream.

    Raises:
        UserError: The selector is not known or refuses the request; or it returns what is no
            choice.
    """
    views = Views(size[1], size[0], request.token_pixels)
    selector = load(name)
    shares = _shares(selector.info, request, views, num_frames)
    if isinstance(selector, Privileged):
        assert shares is not None
        tokens = selector.plan(_plan(request, views, num_frames, shares))
        return Kept(tuple(tokens), views.rows, views.cols)
    kept = list(_run(selector, frames, request, views, num_frames, shares))
    cells = tuple(of for _, of in kept if of is not None)
    return Kept(tuple(ids for ids, _ in kept), views.rows, views.cols, cells or None)


def _shares(info: SelectorInfo, request: Request, views: Views, num_frames: int) -> Shares | None:
    """Tokens a frame and view, or None where the selector stops by itself."""
    where = f"selector {info.name!r}"
    if info.needs_threshold and request.threshold is None:
        raise UserError(f"{where}: it needs --threshold.")
    if request.threshold is not None and not info.takes_threshold:
        raise UserError(f"{where}: it takes no --threshold. Give --budget.")
    if request.question is not None and not info.reads_question:
        raise UserError(f"{where}: it reads no question. Leave it out.")
    if info.reads_question and request.question is None:
        raise UserError(f"{where}: it reads the question. Give one.")
    if request.weights is not None and info.weights is None:
        raise UserError(f"{where}: it has no weights ({request.weights}). Leave them out.")
    is_limited = request.budget is not None or request.num_kept is not None
    if is_limited and not info.takes_budget:
        raise UserError(f"{where}: it takes no --budget.")
    if info.needs_partner:
        return _partner_counts(info, request, views, num_frames)
    if request.num_kept is not None:
        return share(request.num_kept, num_frames, views)
    total = num_frames * views.num_tokens
    if request.budget is not None:
        return share(budget_tokens(request.budget, total), num_frames, views)
    if info.needs_donor and request.donor is not None:
        return share(round(request.donor.kept_ratio * total), num_frames, views)
    if info.needs_budget or info.needs_donor:
        raise UserError(f"{where}: it needs --budget, a ratio in (0, 1].")
    return None


def _partner_counts(info: SelectorInfo, request: Request, views: Views, num_frames: int) -> Shares:
    partner = request.partner
    if partner is None:
        raise UserError(f"selector {info.name!r}: it needs what its partner kept.")
    grid = (partner.num_frames, partner.rows, partner.cols)
    if grid != (num_frames, views.rows, views.cols):
        raise UserError(
            f"selector {info.name!r}: its partner's frames, rows and columns {grid} are not the "
            f"canvas's {(num_frames, views.rows, views.cols)}. Both must read one canvas."
        )
    return partner.counts(views)


def _plan(request: Request, views: Views, num_frames: int, shares: Shares) -> Plan:
    seconds = request.frame_seconds
    if seconds is not None and len(seconds) != num_frames:
        raise ValueError(f"{len(seconds)} frame_seconds for {num_frames} frames")
    evidence = request.evidence or ()
    if any(isinstance(one, Evidence) for one in evidence):
        raise UserError("evidence: give a list for each question, of the places that answer it.")
    return Plan(
        num_frames=num_frames,
        views=views,
        shares=shares,
        frame_seconds=None if seconds is None else np.asarray(seconds, dtype=np.float64),
        evidence=tuple(tuple(one) for one in evidence if one),
        donor=request.donor,
    )


def _run(
    selector: Selector,
    frames: Iterable[Frame],
    request: Request,
    views: Views,
    num_frames: int,
    shares: Shares | None,
) -> Iterator[tuple[Ids, Cells | None]]:
    """Call a selector chunk by chunk and cut what it returns to the shares."""
    choose = selector.start()
    theirs = replace(views)  # arrays of its own: what it does to them changes nothing here
    first = 0
    for held in chunks(frames):
        own = None if shares is None else shares[first : first + len(held)]
        chunk = Chunk(
            frames=tuple(_read_only(frame, views) for frame in held),
            index=first // CLIP_FRAMES,
            first_frame=first,
            views=theirs,
            shares=None if own is None else _locked_copy(own),
            threshold=request.threshold,
            question=request.question,
            seed=request.seed,
            video_id=request.video_id,
            weights=request.weights or selector.info.weights,
        )
        chosen = choose(chunk)
        choice = chosen if isinstance(chosen, Choice) else Choice(chosen, [None] * len(held))
        orders = _checked(choice.orders, chunk, selector.info.name)
        kept = orders if own is None else _cut(orders, own, views, selector.info)
        yield from zip(kept, choice.cells, strict=True)
        first += len(held)
        del chunk, held  # or two chunks would be in memory while the next is read
    if first != num_frames:
        raise ValueError(f"{first} frames came where {num_frames} were announced")


def _locked_copy(shares: Shares) -> Shares:
    locked = shares.copy()
    locked.flags.writeable = False
    return locked


def _read_only(frame: Any, views: Views) -> Frame:  # noqa: ANN401
    pixels: Frame = np.asarray(frame).view()
    if pixels.dtype != np.uint8 or pixels.shape != (views.height, views.width, 3):
        raise ValueError(
            f"frame {pixels.dtype} {pixels.shape} is not uint8 {(views.height, views.width, 3)}"
        )
    pixels.flags.writeable = False
    return pixels


def _checked(orders: Sequence[Ids], chunk: Chunk, name: str) -> list[Ids]:
    """What a selector returned, as int32 arrays; refused where it is no choice."""
    arrays = [np.asarray(order) for order in orders]
    if len(arrays) != len(chunk.frames):
        raise UserError(
            f"selector {name!r}: it returned {len(arrays)} orders for {len(chunk.frames)} frames."
        )
    for frame, order in enumerate(arrays, chunk.first_frame):
        is_choice = order.ndim == 1 and (order.size == 0 or order.dtype.kind in "iu")
        if is_choice and order.size:
            is_inside = int(order.min()) >= 0 and int(order.max()) < chunk.views.num_tokens
            is_choice = is_inside and np.unique(order).size == order.size
        if not is_choice:
            raise UserError(
                f"selector {name!r}: frame {frame} is no order of distinct token ids in "
                f"[0, {chunk.views.num_tokens}): {order.dtype} {order.shape}."
            )
    return [order.astype(np.int32) for order in arrays]


def _cut(orders: Sequence[Ids], shares: Shares, views: Views, info: SelectorInfo) -> list[Ids]:
    """The first tokens of each order that the shares allow."""
    view_of = views.view_of
    if info.spends == "frame":
        return [order[: int(part.sum())] for order, part in zip(orders, shares, strict=True)]
    if info.spends == "view":
        return [cut(order, view_of, part) for order, part in zip(orders, shares, strict=True)]
    left = shares.sum(axis=0)
    kept = []
    for order in orders:
        kept.append(cut(order, view_of, left))
        left = left - np.bincount(view_of[kept[-1]], minlength=left.size)
    return kept
