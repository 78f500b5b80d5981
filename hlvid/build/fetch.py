"""From a candidate that is wanted to its bytes in the store: as they are, nothing re-encoded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hlvid.build import journal, sites
from hlvid.build.codes import Ended
from hlvid.build.download import download
from hlvid.build.likeness import check_equivalent
from hlvid.build.pacing import persevere
from hlvid.build.records import Asset, Kind, Locator, Pin, Probed, Text
from hlvid.build.select import SELECT
from hlvid.build.stage import Desk, Item, Nothing, Stage, no_parameters
from hlvid.build.work import Work
from hlvid.errors import UserError
from hlvid.files import canonical_json, parse_record, sha256_file
from hlvid.types import Identifier, Record
from hlvid.video_file import NotAVideo, container_of


class Wanted(Record):
    """Which bytes to fetch: nothing that a site may say otherwise tomorrow."""

    listing: Identifier
    kind: Kind
    locator: Locator
    format_id: Text | None
    pin: Pin


def _inputs(work: Work) -> Iterator[Item[Wanted]]:
    for item, selection in work.passed(SELECT):
        candidate = item.input.candidate
        wanted = Wanted(
            listing=candidate.listing,
            kind=candidate.kind,
            locator=candidate.locator,
            format_id=selection.format_id,
            pin=candidate.pin,
        )
        yield Item(item.id, item.candidate, wanted)


def _fetch(wanted: Wanted, parameters: Nothing, desk: Desk) -> Asset:
    pin = wanted.pin.sha256 or desk.pin
    desk.note["pin"] = pin
    format_id = wanted.format_id
    with desk.scratch(keep=wanted.kind == "url") as folder:
        if wanted.kind == "site":
            part, format_id = sites.fetched(wanted.locator, wanted.format_id, folder, desk)
        elif wanted.kind == "url":
            part = _download(wanted, folder, desk)
        else:
            part = _copy(wanted, folder, desk)
        container = None
        with suppress(NotAVideo):
            container = container_of(part)
        replaces = None
        may_differ = desk.bench.accept_equivalent and not wanted.pin.sha256
        if may_differ and pin is not None and sha256_file(part) != pin:
            rules = desk.bench.spec.dedup
            check_equivalent(part, _known(desk, pin), max_distance=rules.max_distance)
            replaces, pin = pin, None
        file = desk.store.put(part, pin=pin)
        return Asset(file=file, container=container, format_id=format_id, replaces=replaces)


def _known(desk: Desk, sha256: str) -> Probed:
    """What `probe` found in a file that was there before."""
    for line in journal.read_all(desk.bench.folder / "journal" / "probe"):
        output = line.entry["output"]
        if output is not None and output["file"]["sha256"] == sha256:
            with suppress(UserError):
                return parse_record(canonical_json(output), Probed, where="journal of probe")
    raise Ended("source_changed", "and nothing is known of what the old file showed")


def _download(wanted: Wanted, folder: Path, desk: Desk) -> Path:
    rules, pacer = desk.bench.spec.fetch, desk.pacer
    if pacer is None:
        raise TypeError("fetching needs a pacer")
    num_requests = 0

    def once() -> Path:
        nonlocal num_requests
        num_requests += 1
        return download(wanted.locator, folder, rules, wanted.pin, check=pacer.check)

    try:
        return persevere(once, rules, pacer)
    finally:
        desk.note["num_requests"] = num_requests


def _copy(wanted: Wanted, folder: Path, desk: Desk) -> Path:
    """Copy a file of a folder, refusing one that changes meanwhile."""
    rules = next(r for r in desk.bench.spec.sources if r.name == wanted.listing)
    source = desk.bench.spec_folder / (rules.path or "") / wanted.locator
    part = folder / "copy"
    try:
        before = source.stat()
        if shutil.disk_usage(folder).free < before.st_size:
            raise Ended("disk_full")
        shutil.copyfile(source, part)
        after = source.stat()
    except FileNotFoundError:
        raise Ended("file_missing", os.fsencode(wanted.locator).decode(errors="replace")) from None
    except PermissionError:
        raise Ended("forbidden", "the file may not be read") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Ended("network", "the file changed while it was read")
    return part


FETCH: Stage[Wanted, Asset] = Stage(
    name="fetch",
    version=1,
    output=Asset,
    inputs=_inputs,
    parameters=no_parameters,
    perform=_fetch,
    runs_on="network",
    after=SELECT,
)
