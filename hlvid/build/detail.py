"""Whether a 4K frame holds 4K detail: the share of a picture's energy that only 4K can hold.

Enlarging 1080p makes pixels, not detail: what lies above the smaller picture's highest frequency, a
quarter of a cycle a pixel, stays empty but for what the scaler and the codec left there. The score
is the power density there, relative to that of coarser detail at the same places, in decibels; it
does not depend on contrast. Only places with much coarser detail are looked at, since sky and walls
are empty in any size. `benchmarks/build_thresholds.py` measures it on a control set.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

TILE_PIXELS = 256
COARSE_CYCLES = (0.10, 0.20)
"""Cycles a pixel, half-open; along the axis where the frequency is higher."""
FINE_CYCLES = (0.26, 0.32)
_BUSIEST_SHARE = 0.25
_QUIET = 1e-3
"""Power density of a tile that is as good as empty, in squared levels of 0 to 255."""
NO_DETAIL_DECIBELS = -100.0
"""Of a picture without coarse detail: nothing can be said for it."""

Luma = npt.NDArray[np.uint8]


def detail_decibels(frames: Iterable[Luma]) -> float:
    """The score of the frame that shows most.

    Args:
        frames: Luma, uint8 (height, width) each, at the stored size.

    Returns:
        10 log10(fine / coarse), to a tenth of a decibel; natural video at its full size has more
        than the same enlarged.
    """
    return max((_frame_decibels(frame) for frame in frames), default=NO_DETAIL_DECIBELS)


def _frame_decibels(luma: Luma) -> float:
    coarse, fine = _densities(_tiles(luma))
    busiest = np.argsort(-coarse, kind="stable")[: max(1, int(len(coarse) * _BUSIEST_SHARE))]
    if coarse.size == 0 or float(coarse[busiest].mean()) < _QUIET:
        return NO_DETAIL_DECIBELS
    ratio = float(fine[busiest].sum() / coarse[busiest].sum())
    return round(10 * float(np.log10(max(ratio, 1e-10))), 1)


def _tiles(luma: Luma) -> npt.NDArray[np.float32]:
    """Cut into whole tiles: (num_tiles, TILE_PIXELS, TILE_PIXELS)."""
    rows, columns = (side // TILE_PIXELS for side in luma.shape)
    whole = luma[: rows * TILE_PIXELS, : columns * TILE_PIXELS]
    split = whole.reshape(rows, TILE_PIXELS, columns, TILE_PIXELS).swapaxes(1, 2)
    return split.reshape(-1, TILE_PIXELS, TILE_PIXELS).astype(np.float32)


def _densities(
    tiles: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean power of the coarse and of the fine band, (num_tiles,) each."""
    window = np.hanning(TILE_PIXELS).astype(np.float32)
    window = window[:, None] * window
    down = np.abs(np.fft.fftfreq(TILE_PIXELS))[:, None]
    highest = np.maximum(down, np.fft.rfftfreq(TILE_PIXELS))
    bands = [(highest >= low) & (highest < high) for low, high in (COARSE_CYCLES, FINE_CYCLES)]
    densities = np.empty((2, len(tiles)))
    for number, tile in enumerate(tiles):
        power = np.abs(np.fft.rfft2((tile - tile.mean()) * window)) ** 2
        densities[:, number] = [power[band].mean() for band in bands]
    densities /= TILE_PIXELS**2
    return densities[0], densities[1]
