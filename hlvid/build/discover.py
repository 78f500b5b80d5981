"""What there is: from the spec's sources to candidates, and what is known of each without media.

`list` turns every source of the spec into addresses; `discover` asks for what a site says of each.
What a site says is asked once and then frozen in the journal: a later answer changes nothing. Lists
and folders of one's own are read again at each command, and where they are not there any more, what
they last led to is what there is.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from hlvid.build import sites
from hlvid.build.codes import Ended, clean
from hlvid.build.records import (
    MAX_LOCATOR_CHARACTERS,
    Candidate,
    Kind,
    Listing,
    Locator,
    Pin,
    Source,
)
from hlvid.build.spec import MAX_VIDEOS, SourceRules, check_address
from hlvid.build.stage import Desk, Item, Nothing, Stage, no_parameters
from hlvid.build.work import Work
from hlvid.console import say
from hlvid.datasets import VIDEO_SUFFIXES
from hlvid.errors import UserError
from hlvid.files import read_bytes, shown
from hlvid.types import Record

MAX_LIST_BYTES = 16 * 2**20
_MAX_TITLE_CHARACTERS = 300
UNKNOWN = "unknown"


class Addresses(Record):
    """A source of the spec, with the lines of its list or the files of its folder."""

    rules: SourceRules
    locators: tuple[Locator, ...] = ()


def _list_inputs(work: Work) -> Iterator[Item[Addresses]]:
    for rules in work.spec.sources:
        locators: tuple[str, ...] = ()
        if rules.kind in ("list", "folder"):
            locators = _own(work, rules)
        elif rules.kind == "url" and rules.url is not None:
            locators = (rules.url,)
        if len(locators) > rules.max_videos:
            raise UserError(
                f"source {rules.name}: its {rules.kind} leads to {len(locators)} videos, and its "
                f"max_videos is {rules.max_videos}. Raise it (to {MAX_VIDEOS} at most), or make "
                f"several {rules.kind}s of it."
            )
        yield Item(rules.name, None, Addresses(rules=rules, locators=locators))


def _own(work: Work, rules: SourceRules) -> tuple[str, ...]:
    """What a list or a folder leads to; what it last led to where it is gone."""
    path = work.bench.spec_folder / (rules.path or "")
    is_list = rules.kind == "list"
    is_there = path.is_file() if is_list else path.is_dir()
    read = _read_list if is_list else _walk
    if is_there and (found := tuple(read(path, rules.name))):
        return found
    before = [
        line
        for line in work.lines(LIST).values()
        if line.entry["item"] == rules.name and line.entry["output"] is not None
    ]
    if not before:
        if not is_there:
            return tuple(read(path, rules.name))  # which says what is wrong
        raise UserError(f"source {rules.name}: {shown(str(path))} leads to no video.")
    last = max(before, key=lambda line: float(line.note.get("started_unix_seconds", 0.0)))
    candidates = last.entry["output"]["candidates"]
    say(
        f"source {rules.name}: {shown(str(path))} {'is empty' if is_there else 'is gone'}. Its "
        f"{len(candidates)} videos are those that were listed before."
    )
    return tuple(str(candidate["locator"]) for candidate in candidates)


def passed_over(work: Work) -> Iterator[str]:
    """A sentence for each folder with links, or files of kinds that are no video's here."""
    for rules in work.spec.sources:
        folder = work.bench.spec_folder / (rules.path or "")
        if rules.kind != "folder" or not folder.is_dir():
            continue
        inside = [
            Path(place) / each
            for place, folders, names in os.walk(folder)
            for each in (*folders, *names)
        ]
        num_links = sum(path.is_symlink() for path in inside)
        others = {
            path.suffix
            for path in inside
            if not path.name.lower().endswith(VIDEO_SUFFIXES) and not path.is_dir()
        }
        if num_links:
            yield f"source {rules.name}: links were passed over ({num_links}); none is followed."
        if others:
            kinds = ", ".join(sorted(shown(kind) for kind in others)[:5])
            yield (
                f"source {rules.name}: files of other kinds were passed over ({kinds}). Videos are "
                f"{', '.join(VIDEO_SUFFIXES)}."
            )


def _list(addresses: Addresses, parameters: Nothing, desk: Desk) -> Listing:
    rules = addresses.rules
    if rules.kind == "site":
        found = sites.listed(rules.url or "", rules.max_videos, desk)
    else:
        found = [(_id(rules, locator), locator) for locator in addresses.locators]
    kind: Kind = "site" if rules.kind == "site" else "file" if rules.kind == "folder" else "url"
    candidates = {
        candidate_id: Candidate(
            candidate_id=candidate_id,
            listing=rules.name,
            kind=kind,
            locator=locator,
            category=rules.category,
            license=rules.license,
            pin=Pin(sha256=rules.sha256, num_bytes=rules.num_bytes),
        )
        for candidate_id, locator in found
    }
    return Listing(candidates=tuple(candidates.values()))


def _id(rules: SourceRules, locator: str) -> str:
    """The same wherever the folder lies, and whatever else the spec says."""
    if rules.kind == "folder":
        name = b"\0".join((rules.name.encode(), os.fsencode(locator)))
        return f"file-{hashlib.sha256(name).hexdigest()[:16]}"
    return sites.url_id(locator)


def _read_list(path: Path, name: str) -> Iterator[str]:
    data = read_bytes(path, max_bytes=MAX_LIST_BYTES)
    for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        try:
            if len(url) > MAX_LOCATOR_CHARACTERS:
                raise ValueError(f"url {shown(url)} is longer than {MAX_LOCATOR_CHARACTERS}")
            check_address(url)
        except ValueError as error:
            raise UserError(f"{path.name}:{number} (source {name}): {error}.") from None
        yield url


def _walk(folder: Path, name: str) -> Iterator[str]:
    """Names of the videos in a folder and below, in order; links are not followed."""
    if not folder.is_dir():
        raise UserError(
            f"source {name}: {shown(str(folder))} is no folder. Name one, relative to the spec."
        )

    def refuse(error: OSError) -> None:
        raise UserError(
            f"source {name}: {shown(str(error.filename))} cannot be read ({error.strerror})."
        ) from None

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for each in sorted(names):
            path = Path(place) / each
            if not each.lower().endswith(VIDEO_SUFFIXES) or path.is_symlink() or not path.is_file():
                continue
            relative = path.relative_to(folder).as_posix()
            if not relative.isascii() and os.fsencode(relative).decode(errors="ignore") != relative:
                raise UserError(f"source {name}: {shown(relative)} is not UTF-8. Rename the file.")
            yield relative


def _discover_inputs(work: Work) -> Iterator[Item[Candidate]]:
    """Every candidate once, as the first source of the spec that leads to it has it.

    A licence or a pin that only a later source names is taken over; two that differ are refused.
    """
    listings = {item.id: listing for item, listing in work.passed(LIST)}
    found: dict[str, Candidate] = {}
    for rules in work.spec.sources:
        for candidate in listings[rules.name].candidates if rules.name in listings else ():
            known = found.get(candidate.candidate_id)
            found[candidate.candidate_id] = _joined(known, candidate) if known else candidate
    for name, candidate in found.items():
        yield Item(name, name, candidate)


def _joined(one: Candidate, other: Candidate) -> Candidate:
    """What two sources say of one video.

    Raises:
        UserError: They contradict each other.
    """
    pin = {}
    for field in ("sha256", "num_bytes"):
        pin[field] = _either(one, other, field, getattr(one.pin, field), getattr(other.pin, field))
    license_ = _either(one, other, "license", one.license, other.license)
    return one.model_copy(update={"license": license_, "pin": Pin(**pin)})


def _either(one: Candidate, other: Candidate, field: str, ours: Any, theirs: Any) -> Any:  # noqa: ANN401
    if None not in (ours, theirs) and ours != theirs:
        raise UserError(
            f"sources {one.listing} and {other.listing}: both lead to {shown(one.locator)}, with "
            f"{field} {shown(str(ours))} and {shown(str(theirs))}. Let them say the same, or leave "
            "it out of one of the two."
        )
    return theirs if ours is None else ours


def _discover(candidate: Candidate, parameters: Nothing, desk: Desk) -> Source:
    said = sites.described(candidate.locator, desk) if candidate.kind == "site" else None
    path = unquote(urlsplit(candidate.locator).path) if candidate.kind == "url" else ""
    title = said.title if said else PurePosixPath(path or candidate.locator).name
    by_site = said.license if said else None
    evidence: Any = "spec" if candidate.license else "site" if by_site else "none"
    if said and said.has_drm:
        raise Ended("drm")
    return Source(
        candidate=candidate,
        title=clean(title, max_characters=_MAX_TITLE_CHARACTERS),
        channel=said.channel if said else None,
        license=candidate.license or by_site or UNKNOWN,
        license_evidence=evidence,
        duration_seconds=said.duration_seconds if said else None,
        live_status=said.live_status if said else None,
        formats=said.formats if said else (),
    )


LIST: Stage[Addresses, Listing] = Stage(
    name="list",
    version=1,
    output=Listing,
    inputs=_list_inputs,
    parameters=no_parameters,
    perform=_list,
    runs_on="network",
)
DISCOVER: Stage[Candidate, Source] = Stage(
    name="discover",
    version=2,
    output=Source,
    inputs=_discover_inputs,
    parameters=no_parameters,
    perform=_discover,
    runs_on="network",
    after=LIST,
)
