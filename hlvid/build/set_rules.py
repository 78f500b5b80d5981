"""The second half of the spec: what is asked of questions, splits and the package."""

import shlex
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from hlvid.types import Identifier, Record

FlagName = Literal[
    "longest_answer",
    "gold_in_stem",
    "vague",
    "answerable_blind",
    "answerable_small",
    "unanswerable_crop",
    "other_place",
]
"""What a person should look at; see `hlvid.build.lint` and `hlvid.build.audit`."""
Version = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){2}$")
]
SplitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Line = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\r\n]*$")]
Lines = Annotated[int, Field(ge=16, le=4320)]


class QuestionRules(Record):
    """`[questions]`: where what people and models wrote lies, and how much of it is needed."""

    folder: Annotated[str, StringConstraints(min_length=1, max_length=300)] = "annotations"
    """Relative to the spec; with `questions/`, `replies/`, `rulings/` and `answers/`, all of them
    JSON Lines: the part of the work that belongs under version control."""
    num_replies: Annotated[int, Field(ge=0, le=20)] = 2
    """Blind re-answers that a question needs."""
    ignored_flags: tuple[FlagName, ...] = ()
    """Flags that need no person's ruling."""


class AuditRules(Record):
    """`[audit]`: by which models and in which ways each question is asked."""

    models: Mapping[Identifier, Line] = {}
    """Name -> command with the words {probes} and {answers}; without models nothing is asked."""
    num_permutations: Annotated[int, Field(gt=0, le=26)] = 4
    num_frames: Annotated[int, Field(gt=0, le=1024)] = 16
    """Of the whole video, and of every window of it."""
    num_evidence_frames: Annotated[int, Field(gt=0, le=64)] = 1
    """Of the evidence, for the resolution ladder and the crops."""
    heights: Annotated[tuple[Lines, ...], Field(min_length=2, max_length=16)] = (
        360,
        720,
        1080,
        2160,
    )
    """The resolution ladder, ascending; the frames are the same on every rung."""
    context_seconds: tuple[Annotated[float, Field(gt=0, le=86400)], ...] = (30.0,)
    """The context ladder: lengths of windows; the whole video is always its last rung."""
    crop_margin: Annotated[float, Field(ge=0, le=10)] = 0.5
    """What a crop shows around the evidence box, as a share of the box's longer side."""
    max_blind_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of a question's blind askings that may be right before it is flagged."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for name, command in self.models.items():
            try:
                words = shlex.split(command)
            except ValueError as error:
                raise ValueError(
                    f"audit.models.{name}: the command cannot be taken apart ({error})"
                ) from None
            if not {"{probes}", "{answers}"} <= set(words):
                raise ValueError(
                    f"audit.models.{name}: the command needs the words {{probes}} and {{answers}}"
                )
        if list(self.heights) != sorted(set(self.heights)):
            raise ValueError("audit.heights do not ascend")
        return self


class SplitRules(Record):
    """`[split]`: which questions go where; what the lock holds never moves."""

    version: Version = "1.0.0"
    salt: Annotated[str, StringConstraints(max_length=64)] = ""
    """Key of the digests that decide about order, splits and letters."""
    shares: Annotated[
        Mapping[SplitName, Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)
    ] = {"test": 1.0}
    """Split -> share of the groups."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = sum(self.shares.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"split.shares add up to {total:g}, not to 1")
        return self


class PackageRules(Record):
    """`[package]`: what the published set says of itself."""

    title: Line = ""
    description: Line = ""
    license: Line = "unknown"
    """Of the questions, as SPDX; each video has its own."""
    contact: Line = ""
    """Where to ask for something to be taken down."""
    url: Line = ""
    """Where the set is published."""
    date: Annotated[str, StringConstraints(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    """Of publication, YYYY-MM-DD."""
    creators: tuple[Line, ...] = ()
    collection: Line = ""
    """How the videos were found, in a sentence; for the card."""
    limitations: Line = ""
    changes: Mapping[Version, Line] = {}
    """Version -> what a person says of it, for the changelog."""
