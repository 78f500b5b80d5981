"""Seeded draws that are the same on every machine, in every version of Python and numpy."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_WORD_BYTES = 8
_WORDS = 1 << (8 * _WORD_BYTES)


class Chance:
    """A stream of draws, named by its key: SHA-256 of the key and a counter, 64 bits at a time.

    Args:
        key: What the stream is for; equal keys give equal streams.
    """

    def __init__(self, *key: str | int) -> None:
        self._key = "\x1f".join(str(part) for part in key).encode()
        self._counter = 0

    def below(self, limit: int) -> int:
        """An integer in [0, limit), every value as likely as any other."""
        if not 0 < limit <= _WORDS:
            raise ValueError(f"limit {limit} is not in 1..2^64")
        fair = _WORDS - _WORDS % limit
        while True:
            block = hashlib.sha256(self._key + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
            for start in range(0, len(block), _WORD_BYTES):
                word = int.from_bytes(block[start : start + _WORD_BYTES], "big")
                if word < fair:
                    return word % limit

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high)."""
        return low + self.below(high - low)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], num: int) -> list[T]:
        """`num` of the items, no position twice, in random order."""
        pool = list(items)
        if num > len(pool):
            raise ValueError(f"{num} of {len(pool)} items were asked for")
        for i in range(num):
            j = self.between(i, len(pool))
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:num]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All items in random order."""
        return self.sample(items, len(items))
