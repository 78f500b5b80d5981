"""Where a choice about a question is free, digests make it: its split, the letters of its options.

The same rules and the same questions before it give the same choice.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from hlvid.build.set_rules import SplitName, SplitRules
from hlvid.types import Record


class Policy(Record):
    """The rules of the spec that decided where a choice was free."""

    salt: str
    shares: Annotated[Mapping[SplitName, float], Field(min_length=1)]
    group_by_channel: bool
    """Whether clips of one channel were one group."""


@dataclass(frozen=True)
class Undecided:
    """What of a question decides about its split and letters."""

    question_id: str
    category: str
    num_choices: int
    group_id: str
    sources: tuple[str, ...]
    """Candidates whose clips its group has: they go where it goes."""


class Decisions:
    """Decides about one question after the other.

    Args:
        splits: Each group, and each source of a group, that is decided -> its split.
        taken: (split, category, place) of the right options of the questions that are in the set.
    """

    def __init__(self, splits: Mapping[str, str], taken: Iterable[tuple[str, str, int]]) -> None:
        self._splits = dict(splits)
        self._balance = _Balance(taken)

    def take(self, question: Undecided, policy: Policy) -> tuple[str, tuple[int, ...]]:
        """Split and order of the next question."""
        kin = (question.group_id, *question.sources)
        known = [self._splits[name] for name in kin if name in self._splits]
        split = known[0] if known else split_of(question.group_id, policy)
        for name in kin:
            self._splits.setdefault(name, split)
        return split, self._balance.letters(question, split, policy.salt)


class _Balance:
    """Keeps the right options spread evenly over the letters, in each split and category."""

    def __init__(self, taken: Iterable[tuple[str, str, int]]) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}
        for split, category, place in taken:
            self._of(split, category)[place] += 1

    def _of(self, split: str, category: str) -> list[int]:
        return self._counts.setdefault((split, category), [0] * 26)

    def letters(self, question: Undecided, split: str, salt: str) -> tuple[int, ...]:
        """The order of a question's options: by digest, the right one at a letter that is rare."""
        num, name = question.num_choices, question.question_id
        counts = self._of(split, question.category)
        places = sorted(range(num), key=lambda i: keyed_digest(salt, f"{name}:letter:{i}"))
        place = min(places, key=lambda i: (counts[i], places.index(i)))
        counts[place] += 1
        wrong = sorted(range(1, num), key=lambda i: keyed_digest(salt, f"{name}:option:{i}"))
        return (*wrong[:place], 0, *wrong[place:])


def keyed_digest(salt: str, name: str) -> bytes:
    """What decides wherever a choice is free: BLAKE2b of a name under the salt."""
    return hashlib.blake2b(name.encode(), key=salt.encode()[:64], digest_size=16).digest()


def split_of(group_id: str, rules: SplitRules | Policy) -> str:
    """The split of a group: of all groups, each split gets about its share.

    Adding groups never moves others.
    """
    place = int.from_bytes(keyed_digest(rules.salt, f"group:{group_id}")[:8], "big") / 2**64
    end = 0.0
    names = sorted(rules.shares)
    for name in names:
        end += rules.shares[name]
        if place < end:
            return name
    return names[-1]
