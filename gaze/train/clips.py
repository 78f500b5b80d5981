"""What every source of training clips is: a deterministic function of an index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Split = Literal["training", "validation", "test"]
"""What a clip may be used for. `test` alone shows the reserved photographs; `validation` chooses
among settings and checkpoints, on scenes and views of its own."""


@dataclass(frozen=True)
class Clip:
    """A short square video.

    Attributes:
        pixels: (T, 3, S, S) uint8 RGB.
        source: What it was cut from: clips of one source are not independent of each other.
    """

    pixels: NDArray[np.uint8]
    source: str


class Clips(Protocol):
    """An endless, seeded supply of clips."""

    def clip(self, index: int) -> Clip:
        """The clip of an index: the same in every process, in whatever order they are asked for."""
        ...


def draws(*key: str | int) -> np.random.Generator:
    """A generator that depends on a key alone."""
    spelled = "\x1f".join(str(part) for part in key).encode()
    seed = int.from_bytes(hashlib.sha256(spelled).digest()[:16], "big")
    return np.random.Generator(np.random.PCG64(seed))


@dataclass(frozen=True)
class Mixture:
    """Clips of several kinds.

    Args:
        parts: The kinds.
        weights: How often each is drawn.
        seed: Of the draw.
    """

    parts: Sequence[Clips]
    weights: Sequence[float]
    seed: int

    def clip(self, index: int) -> Clip:
        """One clip of one kind."""
        share = np.array(self.weights) / sum(self.weights)
        kind = int(draws("mixture", self.seed, index).choice(len(self.parts), p=share))
        return self.parts[kind].clip(index)
