"""The spec: one TOML file that says what a benchmark is built from and by which rules.

`example.toml` beside this module shows every field with its default.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, model_validator

from hlvid.build.set_rules import AuditRules, PackageRules, QuestionRules, SplitRules
from hlvid.errors import UserError
from hlvid.files import canonical_json, parse_record, read_bytes, shown
from hlvid.types import Identifier, Record, Sha256

MAX_SPEC_BYTES = 4 * 2**20
MAX_VIDEOS = 5000
"""That one source may lead to."""
ANY = "*"
_SIGNS = re.compile(r"(?i)x-(amz|goog|ms)-.*|sig|signature|.*token|api_?key|password|key-pair-id")
"""Names in an address's query under which stores and sites take a signature or a secret."""

Category = Annotated[str, Field(min_length=1, max_length=100)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(gt=0)]
Codec = Literal["vp9", "av1", "h264", "hevc"]
Doubt = Literal["upscaled", "duration_mismatch"]
"""A code for which `probe` puts a file under quarantine that may be sound all the same."""


class SourceRules(Record):
    """One `[[sources]]` of the spec: an address or a folder that leads to videos."""

    name: Identifier
    kind: Literal["site", "url", "list", "folder"]
    """`site`: whatever yt-dlp can list (a video, a playlist, 'ytsearch20:words'); `url`: one file
    by HTTP; `list`: a text file of such URLs, one a line; `folder`: the videos in a folder."""
    category: Category
    url: Annotated[str, Field(max_length=500)] | None = None
    path: str | None = None
    """Of a list or folder, relative to the spec."""
    license: str | None = None
    """What the curator knows of the rights, as an SPDX identifier; else what the site says."""
    max_videos: Annotated[int, Field(gt=0, le=MAX_VIDEOS)] = 1000
    """Of a site, the first so many of what it lists are taken; a list or folder with more is
    refused."""
    sha256: Sha256 | None = None
    """Of a `url`: the bytes that it must give."""
    num_bytes: Whole | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        wants = "url" if self.kind in ("site", "url") else "path"
        if (self.url is None) == (wants == "url") or (self.path is None) == (wants == "path"):
            raise ValueError(f"source {self.name}: a {self.kind} needs {wants}, and nothing else")
        if self.kind != "url" and (self.sha256 or self.num_bytes):
            raise ValueError(f"source {self.name}: sha256 and num_bytes belong to a url")
        if self.kind == "url" and self.url is not None:
            check_address(self.url)
        return self


class SelectRules(Record):
    """`[select]`: which videos are wanted; checked on what the site says, and again by decoding."""

    min_seconds: NonNegative = 300.0
    min_height: Whole = 2160
    codecs: Annotated[tuple[Codec, ...], Field(min_length=1)] = ("vp9", "av1")
    """In order of preference."""
    max_bit_depth: Literal[8, 10, 12] = 8
    allow_variable_rate: bool = True
    licenses: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC0-1.0",
    )
    """SPDX identifiers; '*' for any, 'unknown' too."""


class FetchRules(Record):
    """`[fetch]`: how politely and how stubbornly; nothing here changes what is fetched."""

    num_parallel: Annotated[int, Field(gt=0, le=8)] = 1
    seconds_between: NonNegative = 10.0
    """Between two downloads from a site."""
    pause_seconds: NonNegative = 3600.0
    """Of everything, when a server says 'too many requests' and not for how long."""
    num_tries: Annotated[int, Field(gt=0, le=20)] = 5
    backoff_seconds: NonNegative = 2.0
    """After the first failure; doubled after each, up to a minute."""
    timeout_seconds: Positive = 30.0
    """Without a byte, or with fewer than min_bytes_per_second on average."""
    min_bytes_per_second: Annotated[int, Field(ge=0)] = 4096
    max_bytes: Whole = 32 * 2**30


class ProbeRules(Record):
    """`[probe]`: what counts as a sound file of real 4K."""

    min_detail_decibels: float = -17.0
    """See `hlvid.build.detail`; -1000 lets all pass. What the default lets through is measured by
    `benchmarks/build_thresholds.py`."""
    duration_tolerance_seconds: NonNegative = 2.0
    """Between what the site said and what is there."""
    let_through: Mapping[Identifier, Annotated[tuple[Doubt, ...], Field(min_length=1)]] = {}
    """Candidate -> codes that a person looked into and found to be wrong of it."""


class ClipRules(Record):
    """`[clip]`: how long the pieces are."""

    target_seconds: Annotated[float, Field(ge=1, le=7200)] = 300.0
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of target_seconds that a clip may be shorter or longer, for the sake of a keyframe."""
    max_per_source: Annotated[int, Field(gt=0, le=1000)] = 1


class DedupRules(Record):
    """`[dedup]`: when two clips show the same."""

    max_distance: Annotated[int, Field(ge=0, le=128)] = 90
    """Of 256 bits, between the hashes of two frames that are alike. What the default lets through
    is measured by `benchmarks/build_copies.py`."""
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of the frames of the clip that has fewer, without the empty ones but at least of half its
    length, how many must the other show too, in the same order; see `hlvid.build.likeness.alike`.
    """
    group_by_channel: bool = False
    """Whether clips of one channel belong to one group, which no split parts."""


class Spec(Record):
    """What a benchmark is built from and by which rules."""

    name: Identifier
    sources: Annotated[tuple[SourceRules, ...], Field(min_length=1)]
    select: SelectRules = SelectRules()
    fetch: FetchRules = FetchRules()
    probe: ProbeRules = ProbeRules()
    clip: ClipRules = ClipRules()
    dedup: DedupRules = DedupRules()
    questions: QuestionRules = QuestionRules()
    audit: AuditRules = AuditRules()
    split: SplitRules = SplitRules()
    package: PackageRules = PackageRules()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [source.name for source in self.sources]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"source {twice[0]} is there twice. Each needs a name of its own")
        return self


def read_spec(path: Path) -> Spec:
    """Read and check a spec.

    Raises:
        UserError: It is missing, not TOML, or a field is not in order; the sentence names it.
    """
    data = read_bytes(path, max_bytes=MAX_SPEC_BYTES)
    try:
        content = tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise UserError(f"{path.name}: is not UTF-8. Allowed is a TOML file in UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path.name}: is not TOML ({shown(str(error))[1:-1]}). "
            "See: hlvid-build init, which writes an example."
        ) from None
    try:
        _refuse_times(content, path.name)
        return parse_record(canonical_json(content), Spec, where=path.name)
    except ValueError:
        raise UserError(f"{path.name}: holds inf or nan. Allowed are numbers.") from None


def example_bytes() -> bytes:
    """The example that ships: every field, its default and what it does."""
    return (resources.files("hlvid.build") / "example.toml").read_bytes()


def check_address(url: str) -> None:
    """Refuse what `check_url` refuses, and an address that is signed: it would be published.

    Raises:
        ValueError: One sentence, without what the address is signed with.
    """
    check_url(url)
    signed = [name for name, _ in parse_qsl(urlsplit(url).query) if _SIGNS.fullmatch(name)]
    if signed:
        raise ValueError(
            f"a url of host {shown(urlsplit(url).hostname or '')} is signed ({shown(signed[0])}), "
            "and addresses are published. Give one without, or fetch the file and name its folder"
        )


def check_url(url: str) -> None:
    """Refuse an address that is not plain HTTP, or that carries a password.

    Raises:
        ValueError: One sentence, without the address itself where it may hold a secret.
    """
    try:
        parts = urlsplit(url)
        has_user, host, _ = "@" in parts.netloc, parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"url {shown(url)} is not a URL") from None
    if has_user:
        raise ValueError(f"a url of host {shown(host)} holds a user name or password; leave it out")
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url:
        raise ValueError(f"url {shown(url)} is not allowed. Allowed are http:// and https://")


def _refuse_times(content: Mapping[str, Any], where: str) -> None:
    """TOML knows dates, JSON does not, and nothing here wants one."""
    for key, value in content.items():
        inner = value if isinstance(value, list) else [value]
        for each in inner:
            if isinstance(each, datetime | date | time):
                raise UserError(f"{where}: field {shown(key)} is a date. Write it in quotes.")
            if isinstance(each, Mapping):
                _refuse_times(each, where)
            elif isinstance(each, list):
                _refuse_times({key: each}, where)
