"""What the media stages hand to each other, one record an item; media by digest, never by path."""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from hlvid.build.codes import CODES, State
from hlvid.types import Count, Identifier, Record, Seconds, Sha256

Text = Annotated[str, StringConstraints(max_length=500)]
MAX_LOCATOR_CHARACTERS = 4096
Locator = Annotated[str, StringConstraints(max_length=MAX_LOCATOR_CHARACTERS)]
Kind = Literal["site", "url", "file"]


class Media(Record):
    """An object of the store."""

    sha256: Sha256
    num_bytes: Count


class Output(Record):
    """What a stage makes of an item that passes."""

    def media(self) -> Sequence[Media]:
        """The objects of the store that the stage put there for this item."""
        return ()


O = TypeVar("O", bound=Output)  # noqa: E741


class Entry(Record, Generic[O]):
    """How one stage ended for one item: a line of the stage's manifest."""

    item: Identifier
    candidate: Identifier | None
    """The source that the item comes from; None before there are candidates."""
    task: Sha256
    """Digest of stage, version, parameters and input."""
    state: State
    code: str | None = None
    detail: str | None = None
    output: O | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if (self.state == State.PASSED) != (self.output is not None):
            raise ValueError(f"state {self.state} contradicts the presence of an output")
        if self.state == State.PASSED:
            if self.code is not None:
                raise ValueError(f"state {self.state} has a code")
        elif self.code not in CODES or CODES[self.code].state != self.state:
            raise ValueError(f"code {self.code!r} does not belong to state {self.state}")
        return self


AnyEntry = Entry[Any]


class Pin(Record):
    """What is known beforehand of a file's bytes."""

    sha256: Sha256 | None = None
    num_bytes: Count | None = None


class Candidate(Record):
    """A video that may be taken, before anybody asked for more than its address."""

    candidate_id: Identifier
    """'youtube-ID' and the like, 'url-DIGEST' or 'file-DIGEST'."""
    listing: Identifier
    """Name of the spec's source that led to it."""
    kind: Kind
    locator: Locator
    """A URL, or a path inside the source's folder."""
    category: Text
    license: Text | None
    """As the curator says it in the spec; None leaves it to the site."""
    pin: Pin = Pin()


class Listing(Output):
    """What one source of the spec led to."""

    candidates: tuple[Candidate, ...]


class Format(Record):
    """One way in which a site offers a video."""

    format_id: Text
    codec: Text | None
    height: int | None
    fps: float | None
    dynamic_range: Text | None


class Source(Output):
    """What is known of a candidate without its media."""

    candidate: Candidate
    title: Text
    channel: Text | None = None
    license: Text
    """SPDX where it is known, else 'unknown'."""
    license_evidence: Literal["spec", "site", "none"]
    duration_seconds: Seconds | None = None
    live_status: Text | None = None
    formats: tuple[Format, ...] = ()


class Selection(Output):
    """A candidate that the rules want."""

    format_id: Text | None
    """Which format to fetch; None where there is no choice or none is known."""


class Asset(Output):
    """A source file in the store, as it came."""

    file: Media
    container: Literal["mp4", "matroska"] | None
    """By its first bytes; None where these are of neither."""
    format_id: Text | None = None
    replaces: Sha256 | None = None
    """Digest of the file whose place it took, since it shows the same; see --accept-equivalent."""

    def media(self) -> Sequence[Media]:
        """The file."""
        return (self.file,)


class Probed(Output):
    """What decoding a source file showed."""

    file: Media
    width: int
    height: int
    codec: Text
    pixel_format: Text
    bit_depth: int
    is_hdr: bool
    matrix: Text
    transfer: Text
    primaries: Text
    is_full_range: bool
    rotation_degrees: int
    fps: float
    is_variable_rate: bool
    num_frames: int
    num_keyframes: int
    duration_seconds: Seconds
    detail_decibels: float
    """See `hlvid.build.detail`."""
    frames_decoded: tuple[int, ...]
    keyframes_sha256: Sha256
    """Digest of the numbers of its keyframes."""
    hashes: tuple[str | None, ...]
    """Of each frame that was decoded, None for empty ones; see `hlvid.build.likeness`."""


class Clip(Record):
    """One piece of a source file, cut at keyframes, as a file of its own."""

    clip_id: Identifier
    file: Media
    packets_sha256: Sha256
    """Digest of the coded pictures, which do not depend on who wrote the container."""
    start_pts: int
    """In ticks of the source's clock; half-open."""
    end_pts: int
    ticks_per_second: Annotated[float, Field(gt=0)]
    start_seconds: float
    duration_seconds: Seconds
    num_frames: int
    width: int
    height: int
    fps: float

    @property
    def span(self) -> tuple[float, float]:
        """When it begins and ends, in seconds of the source's clock; half-open."""
        return self.start_pts / self.ticks_per_second, self.end_pts / self.ticks_per_second


class Clips(Output):
    """The pieces of one source file."""

    clips: tuple[Clip, ...]

    def media(self) -> Sequence[Media]:
        """One file a piece."""
        return tuple(clip.file for clip in self.clips)


class Indexed(Output):
    """A clip whose frames are listed."""

    clip: Clip
    index: Media
    """See `hlvid.build.index`."""

    def media(self) -> Sequence[Media]:
        """The list."""
        return (self.index,)


class Fingerprint(Output):
    """Image hashes of a clip's frames, one a second."""

    clip_sha256: Sha256
    hashes: Media
    num_hashes: int
    """Without those of empty frames, which have none."""

    def media(self) -> Sequence[Media]:
        """The hashes."""
        return (self.hashes,)


class Pair(Record):
    """Two clips that show the same."""

    first: Identifier
    second: Identifier
    share: Annotated[float, Field(ge=0, le=1)]
    """Of the frames of the clip with fewer, without the empty ones but at least of half its length,
    how many the other shows too, in the same order; 1 where the files are the same."""


class Matches(Output):
    """All pairs of clips that show the same, in two blocks of them."""

    pairs: tuple[Pair, ...]


class Placed(Output):
    """A clip that is kept, and the clips it may not be parted from."""

    clip: Clip
    group_id: Identifier
    """The smallest id of its group: clips of one source, or like one another."""
