"""Whether a 4K frame holds 4K detail: the share of a picture's energy that only 4K can hold.

Enlarging 1080p makes pixels, not detail: what lies above the smaller picture's highest frequency, a
quarter of a cycle a pixel, stays empty but for what the scaler and the codec left there. The score
is the power density there, relative to that of coarser detail at the same places, in decibels; it
does not depend on contrast. What a cheap scaler leaves there is a mirror image of what lies below,
and betrays it: power then falls less steeply behind the quarter than before it, which it does not
in a natural picture. By how much less is taken off the score.

Only places with much coarser detail are looked at, since sky and walls are empty in any size; and
only those that nothing was laid over, since captions, clocks and bars are drawn at the size of the
frame after the film was enlarged. They betray themselves: a bar is a row or column without any
detail, and letters jump from pixel to pixel as no lens does. A caption of little contrast counts
as detail. `benchmarks/build_thresholds.py` measures all of it on a control set.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

TILE_PIXELS = 256
COARSE_CYCLES = (0.10, 0.20)
"""Cycles a pixel, half-open; along the axis where the frequency is higher."""
FINE_CYCLES = (0.26, 0.32)
MIRROR_CYCLES = ((0.14, 0.18), (0.20, 0.24), (0.26, 0.30))
"""Two bands before a quarter of a cycle and one behind it, as far apart from each other."""
_BANDS = (COARSE_CYCLES, FINE_CYCLES, *MIRROR_CYCLES)
_BUSIEST_SHARE = 0.25
_MAX_FLAT_LEVELS = 2
"""Between the brightest and the darkest pixel of a row or column that is part of a bar."""
_JUMP_LEVELS = 110
"""Between two neighbours, where one is of a letter and the other is not."""
_MAX_JUMPS_SHARE = 0.003
"""Of the neighbours in a tile without letters. Of photographs at their own size at most 0.0017
jump, of tiles with letters at least 0.008."""
_QUIET = 1e-3
"""Power density of a tile that is as good as empty, in squared levels of 0 to 255."""
NO_DETAIL_DECIBELS = -100.0
"""Of a picture without coarse detail: nothing can be said for it."""

Luma = npt.NDArray[np.uint8]


def detail_decibels(frames: Iterable[Luma]) -> float:
    """The score of a film, from the busiest places of all frames together.

    A frame out of focus adds none of these, and what was laid over a frame is left out.

    Args:
        frames: Luma, uint8 (height, width) each, at the stored size.

    Returns:
        10 log10(fine / coarse), less what a mirror image betrays, to a tenth of a decibel; natural
        video at its full size has more than the same enlarged.
    """
    found = [_densities(_bare(_tiles(frame))) for frame in frames]
    densities = np.concatenate([np.empty((len(_BANDS), 0)), *found], axis=1)
    order = np.argsort(-densities[0], kind="stable")
    busiest = densities[:, order[: max(1, int(len(order) * _BUSIEST_SHARE))]]
    if busiest.size == 0 or float(busiest[0].mean()) < _QUIET:
        return NO_DETAIL_DECIBELS
    coarse, fine, far, near, behind = 10 * np.log10(np.maximum(busiest.mean(1), 1e-10))
    mirrored = max(0.0, (behind - near) - (near - far))
    return round(float(fine - coarse - mirrored), 1)


def _tiles(luma: Luma) -> Luma:
    """Cut into whole tiles: (num_tiles, TILE_PIXELS, TILE_PIXELS)."""
    rows, columns = (side // TILE_PIXELS for side in luma.shape)
    whole = luma[: rows * TILE_PIXELS, : columns * TILE_PIXELS]
    split = whole.reshape(rows, TILE_PIXELS, columns, TILE_PIXELS).swapaxes(1, 2)
    return split.reshape(-1, TILE_PIXELS, TILE_PIXELS)


def _bare(tiles: Luma) -> Luma:
    """The tiles that neither bars run through nor letters lie on."""
    is_bare = np.array(
        [not _has_bar(tile) and not _has_letters(tile) for tile in tiles], dtype=bool
    )
    kept: Luma = tiles[is_bare]
    return kept


def _has_bar(tile: Luma) -> bool:
    return any(np.ptp(tile, axis=axis).min() <= _MAX_FLAT_LEVELS for axis in (0, 1))


def _has_letters(tile: Luma) -> bool:
    levels = tile.astype(np.int16)
    shares = [(np.abs(np.diff(levels, axis=axis)) > _JUMP_LEVELS).mean() for axis in (0, 1)]
    return float(np.mean(shares)) > _MAX_JUMPS_SHARE


def _densities(tiles: Luma) -> npt.NDArray[np.float64]:
    """Mean power of each band, (5, num_tiles)."""
    window = np.hanning(TILE_PIXELS).astype(np.float32)
    window = window[:, None] * window
    down = np.abs(np.fft.fftfreq(TILE_PIXELS))[:, None]
    highest = np.maximum(down, np.fft.rfftfreq(TILE_PIXELS))
    bands = [(highest >= low) & (highest < high) for low, high in _BANDS]
    densities = np.empty((len(_BANDS), len(tiles)))
    for number, tile in enumerate(tiles.astype(np.float32)):
        power = np.abs(np.fft.rfft2((tile - tile.mean()) * window)) ** 2
        densities[:, number] = [power[band].mean() for band in bands]
    return densities / TILE_PIXELS**2
