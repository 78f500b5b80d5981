"""Selectors that are given more than others: evidence, a donor's choice, a partner's counts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gaze.evidence import RECALLED_COVER, box_cover, boxes_shown
from gaze.selectors.blind import even_steps, random
from gaze.selectors.budget import Shares, cut
from gaze.selectors.kept import Kept
from gaze.selectors.protocol import Plan, Privileged, Selector, SelectorInfo
from gaze.views import Ids, Views
from hlvid.errors import UserError
from hlvid.types import Evidence

random_matched = Selector(
    replace(
        random.info,
        summary="Keeps random tokens, as many a frame and view as its partner",
        needs_budget=False,
        needs_partner=True,
    ),
    random.start,
)


def plan_oracle(plan: Plan) -> Sequence[Ids]:
    """Keep the cells of the evidence boxes at each frame's times, then even raster steps.

    It is the ceiling of every other selector's evidence recall, so it alone may move tokens
    between frames: where the evidence asks for more than the equal share of a frame and view, the
    others give up some of theirs. Where the budget is too small for all evidence, as much of it as
    can be is recalled: each question is served in one frame before any is in a second one.
    """
    if plan.frame_seconds is None or not plan.evidence:
        raise UserError("selector 'oracle': the question has no evidence. Leave it out.")
    views = plan.views
    shown = _evidence_first(plan)
    needed = np.stack([np.bincount(views.view_of[i], minlength=views.num_views) for i in shown])
    parts = _make_room(plan.shares, needed)
    chosen = []
    for frame, cells in enumerate(shown):
        rest = even_steps(views, views.num_cells.astype(np.int64), frame)
        order = np.concatenate([cells, rest[~np.isin(rest, cells)]])
        chosen.append(cut(order, views.view_of, parts[frame]))
    return chosen


def _evidence_first(plan: Plan) -> list[Ids]:
    """Cells of every frame that show evidence, as many of them as the whole budget pays for.

    In the first turn each question is served where its evidence takes fewest cells, whichever of
    its alternatives that is; in the second where it takes next fewest, and so on. Within a turn the
    smallest comes first, and what of a box is not needed for its recall comes last.
    """
    claims = []
    for alternatives in plan.evidence:
        boxes = sorted(_boxes_of(alternatives, plan), key=lambda box: box[0])
        for turn, (num_needed, frame, cells) in enumerate(boxes):
            claims.append(((turn, 0, num_needed), frame, cells[:num_needed]))
            claims.append(((turn, 1, num_needed), frame, cells[num_needed:]))
    shown = [np.empty(0, dtype=np.int32)] * plan.num_frames
    left = int(plan.shares.sum())
    for _, frame, cells in sorted(claims, key=lambda claim: claim[0]):
        new = cells[~np.isin(cells, shown[frame])][:left]
        shown[frame] = np.concatenate([shown[frame], new])
        left -= new.size
    return shown


def _boxes_of(evidence: Sequence[Evidence], plan: Plan) -> Iterator[tuple[int, int, Ids]]:
    """Of every box on the canvas: how many cells recall it, its frame, its cells, fullest first."""
    assert plan.frame_seconds is not None
    for frame, moments in enumerate(plan.frame_seconds.reshape(plan.num_frames, -1).tolist()):
        boxes = dict.fromkeys(box for at in moments for box in boxes_shown(evidence, at))
        for box in boxes:
            cover = box_cover(box, plan.views).ravel()
            cells = np.argsort(-cover, kind="stable").astype(np.int32)[: np.count_nonzero(cover)]
            if cells.size:
                num_needed = int(np.searchsorted(np.cumsum(cover[cells]), RECALLED_COVER)) + 1
                yield num_needed, frame, cells


def _make_room(shares: Shares, needed: Shares) -> Shares:
    """Raise shares to what is needed, the rest giving up proportionally; the sum stays."""
    spare = np.maximum(shares - needed, 0)
    missing = int(np.maximum(needed - shares, 0).sum())
    if missing == 0:
        return shares
    given, remainder = np.divmod(spare * missing, int(spare.sum()))
    first = np.argsort(-remainder, axis=None, kind="stable")[: missing - int(given.sum())]
    given.ravel()[first] += 1
    room: Shares = np.maximum(shares, needed) - given
    return room


def plan_transplanted(plan: Plan) -> Sequence[Ids]:
    """Keep what was kept of another video: the same counts and spatial statistics, no content."""
    donor, views = plan.donor, plan.views
    if donor is None:
        raise UserError("selector 'transplanted': no donor. Give what was kept of another video.")
    source = (np.arange(plan.num_frames) * donor.num_frames) // plan.num_frames
    sizes = np.array([tokens.size for tokens in donor.tokens], dtype=np.int64)
    weights = sizes[source]
    if (lively := np.flatnonzero(sizes)).size:  # Of an empty frame no order is known.
        source = lively[np.abs(lively[None] - source[:, None]).argmin(1)]
    counts = _apportion(int(plan.shares.sum()), weights, views.num_tokens)
    return [
        _resize(donor, int(frame), views)[:count]
        for frame, count in zip(source, counts, strict=True)
    ]


def _apportion(total: int, weights: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Split a total in proportion to weights, none above `most`, largest remainder first."""
    counts = np.zeros_like(weights)
    while (left := total - int(counts.sum())) > 0:
        open_weights = np.where(counts < most, np.maximum(weights, int(not weights.any())), 0)
        if not open_weights.any():
            open_weights = (counts < most).astype(np.int64)
        part, remainder = np.divmod(left * open_weights, int(open_weights.sum()))
        first = np.argsort(-remainder, kind="stable")[: left - int(part.sum())]
        part[first] += 1
        counts = np.minimum(counts + part, most)
    return counts


def _resize(donor: Kept, frame: int, views: Views) -> Ids:
    """All tokens of a grid: where the donor kept, in its order; then outwards from there."""
    none = donor.rows * donor.cols
    rank = np.full(none, none, dtype=np.int64)
    rank[donor.tokens[frame]] = np.arange(donor.tokens[frame].size)
    rows = (2 * np.arange(views.rows) + 1) * donor.rows // (2 * views.rows)
    cols = (2 * np.arange(views.cols) + 1) * donor.cols // (2 * views.cols)
    resized = rank.reshape(donor.rows, donor.cols)[np.ix_(rows, cols)]
    away = ndimage.distance_transform_cdt(resized == none, metric="chessboard")
    return np.lexsort((resized.ravel(), away.ravel())).astype(np.int32)


oracle = Privileged(
    SelectorInfo(
        name="oracle",
        summary="Keeps the cells of the evidence boxes",
        is_control=True,
        is_privileged=True,
        spends="video",
        notes=("privileged: is shown where the answer is",),
    ),
    plan_oracle,
)
transplanted = Privileged(
    SelectorInfo(
        name="transplanted",
        summary="Keeps what its partner kept of another video",
        is_control=True,
        needs_budget=False,
        needs_donor=True,
        spends="video",
    ),
    plan_transplanted,
)
BUILT_IN: tuple[object, ...] = (random_matched, oracle, transplanted)
"""The only objects that may be privileged or have a partner; compared by identity."""
