"""One file by HTTP, whole or not at all: streamed, resumed where the server proves it is the same.

A file is resumed only under a strong validator (RFC 9110, 8.8 and 13.1.5): its first part and its
last are then of one version. What arrives compressed, of unknown length or of a type that is no
video is refused before it is read. Bodies are never decoded, so none can grow.
"""

import email.utils
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import urllib3

from hlvid.build.codes import Ended
from hlvid.build.records import Pin
from hlvid.build.spec import FetchRules, check_url
from hlvid.errors import UserError
from hlvid.files import read_json, write_json
from hlvid.types import Count, Record

MAX_REDIRECTS = 10
SAVE_BYTES = 64 * 2**20
"""So much may have to be fetched again after a power failure."""
_BLOCK_BYTES = 2**18
_SPARE_BYTES = 2**26
_TYPES = ("video/", "application/octet-stream", "binary/octet-stream", "application/mp4")
_SETTLED_SECONDS = 60
"""A date is a strong validator once it is so old (RFC 9110, 8.8.2.2)."""

_BY_STATUS = {
    401: "login_required",
    403: "forbidden",
    404: "removed",
    408: "network",
    410: "removed",
    425: "network",
    429: "rate_limited",
    451: "geo_blocked",
}


class _Resume(Record):
    """What lies beside an unfinished file."""

    validator: str
    num_bytes: Count
    """So many of its bytes are certainly on the disk."""
    total_bytes: Count


@dataclass
class _Body:
    """A response whose body may be read."""

    response: urllib3.BaseHTTPResponse
    start: int
    total: int | None
    """Length of the whole file; None where only the framing of its chunks tells the end."""
    validator: str | None


def code_of_status(status: int, headers: Mapping[str, str]) -> Ended:
    """What an HTTP status that is no success means."""
    after = _retry_after_seconds(headers.get("Retry-After"))
    if status == 503 and after is not None:
        code = "rate_limited"
    else:
        code = _BY_STATUS.get(status, "network" if status >= 500 else "unknown")
    return Ended(code, f"HTTP status {status}", after_seconds=after)


def download(
    url: str,
    folder: Path,
    rules: FetchRules,
    pin: Pin,
    *,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Fetch a file into a folder, going on with what lies there.

    Args:
        url: http or https.
        folder: Holds nothing else, on a disk with room; what is unfinished stays in it.
        rules: Limits.
        pin: What is known of the bytes; the digest is not checked here.
        check: Called at each block; raises `Ended` to stop, and what came stays.

    Raises:
        Ended: It could not be had; the code tells why and whether trying again may help.
    """
    part, note = folder / "body.part", folder / "resume.json"
    resume = _read_resume(part, note)
    try:
        body = _open(url, rules, resume)
        try:
            _check(body, folder, rules, pin)
            body.total = body.total or pin.num_bytes
            _receive(body, part, note, rules, check)
        finally:
            body.response.close()
    except urllib3.exceptions.IncompleteRead as error:
        raise Ended("content_too_short", _short(error)) from None
    except urllib3.exceptions.HTTPError as error:
        is_short = any(isinstance(a, urllib3.exceptions.IncompleteRead) for a in error.args)
        code = "content_too_short" if is_short else "network"
        raise Ended(code, type(error).__name__, note=str(error)) from None
    return part


def _short(error: urllib3.exceptions.IncompleteRead) -> str:
    return f"{error.partial} bytes came, {error.expected} are missing"


def _read_resume(part: Path, note: Path) -> _Resume | None:
    """Where to go on; None for the start."""
    with suppress(UserError, OSError):
        resume = read_json(note, _Resume)
        if resume.num_bytes and part.stat().st_size >= resume.num_bytes:
            os.truncate(part, resume.num_bytes)
            return resume
    note.unlink(missing_ok=True)
    part.unlink(missing_ok=True)
    return None


def _open(url: str, rules: FetchRules, resume: _Resume | None) -> _Body:
    """Ask for the file, or the rest of it, following redirects."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "hlvid-build"}
    if resume:
        headers |= {"Range": f"bytes={resume.num_bytes}-", "If-Range": resume.validator}
    for _ in range(MAX_REDIRECTS):
        response = _manager(url, rules).request(
            "GET", url, headers=headers, preload_content=False, redirect=False, retries=False
        )
        place = response.headers.get("Location")
        if response.status not in (301, 302, 303, 307, 308) or place is None:
            break
        response.close()
        url = urljoin(url, place)
        try:
            check_url(url)
        except ValueError as error:
            raise Ended("redirect_loop", f"leads to what is no allowed address: {error}") from None
    else:
        raise Ended("redirect_loop", f"more than {MAX_REDIRECTS} redirects")
    if response.status == 206 and resume:
        return _rest(response, resume)
    if response.status == 416 and resume:
        raise Ended("network", "the rest of the file is not there any more")
    if response.status != 200:
        response.close()
        raise code_of_status(response.status, response.headers)
    length = response.headers.get("Content-Length", "")
    is_chunked = "chunked" in response.headers.get("Transfer-Encoding", "")
    total = int(length) if length.isdecimal() and not is_chunked else None
    return _Body(response, 0, total, _validator(response.headers))


def _rest(response: urllib3.BaseHTTPResponse, resume: _Resume) -> _Body:
    """Believe the rest of a file only if it fits what there is of it."""
    start = resume.num_bytes
    promised = f"bytes {start}-{resume.total_bytes - 1}/{resume.total_bytes}"
    etag = response.headers.get("ETag", resume.validator)
    is_same = etag == resume.validator or not resume.validator.startswith('"')
    if response.headers.get("Content-Range") != promised or not is_same:
        response.close()
        raise Ended("network", "the rest that came does not fit the part that is there")
    return _Body(response, start, resume.total_bytes, resume.validator)


def _validator(headers: Mapping[str, str]) -> str | None:
    """What tells this version of the file from others, where the server gives such a thing."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    modified, now = headers.get("Last-Modified", ""), headers.get("Date", "")
    with suppress(ValueError, TypeError):
        age = email.utils.parsedate_to_datetime(now) - email.utils.parsedate_to_datetime(modified)
        if age.total_seconds() >= _SETTLED_SECONDS:
            return modified
    return None


def _check(body: _Body, folder: Path, rules: FetchRules, pin: Pin) -> None:
    """Refuse what is no video, or whose end cannot be told."""
    headers, total = body.response.headers, body.total
    media_type = headers.get("Content-Type", "video/").strip().lower()
    if not media_type.startswith(_TYPES):
        raise Ended("wrong_type", f"Content-Type is {media_type}")
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Ended("encoded", f"Content-Encoding is {encoding}")
    is_framed = "chunked" in headers.get("Transfer-Encoding", "")
    if total is None and not is_framed and pin == Pin():
        raise Ended("length_unknown", "neither Content-Length nor chunks")
    if None not in (total, pin.num_bytes) and total != pin.num_bytes:
        raise Ended("source_changed", f"{total} bytes, not {pin.num_bytes}")
    if (total or 0) > rules.max_bytes:
        raise Ended("too_large", f"{total} bytes; allowed are {rules.max_bytes}")
    if shutil.disk_usage(folder).free < (total or 0) - body.start + _SPARE_BYTES:
        raise Ended("disk_full")


def _receive(
    body: _Body, part: Path, note: Path, rules: FetchRules, check: Callable[[], None]
) -> None:
    """Write the body behind what is there, noting from time to time how much is safe."""
    num_bytes = saved = body.start
    if not body.start:
        note.unlink(missing_ok=True)  # it is of another version, perhaps
    with part.open("r+b" if body.start else "wb") as file:
        file.seek(body.start)

        def save() -> None:
            nonlocal saved
            file.flush()
            os.fsync(file.fileno())
            saved = num_bytes
            if body.validator and body.total:
                resume = _Resume(
                    validator=body.validator, num_bytes=num_bytes, total_bytes=body.total
                )
                write_json(note, resume)

        pace = _Pace(rules)
        try:
            while block := body.response.read1(_BLOCK_BYTES, decode_content=False):
                if num_bytes + len(block) > (body.total or rules.max_bytes):
                    raise Ended("too_large", f"more than {body.total or rules.max_bytes} bytes")
                file.write(block)
                num_bytes += len(block)
                pace.check(len(block))
                check()
                if num_bytes - saved >= SAVE_BYTES:
                    save()
        finally:
            save()
    if body.total is not None and num_bytes != body.total:
        raise Ended("content_too_short", f"{num_bytes} of {body.total} bytes")


class _Pace:
    """Gives up on a server that sends, but next to nothing."""

    def __init__(self, rules: FetchRules) -> None:
        self._rules = rules
        self._since = time.monotonic()
        self._num_bytes = 0

    def check(self, num_bytes: int) -> None:
        self._num_bytes += num_bytes
        took = time.monotonic() - self._since
        if took < self._rules.timeout_seconds:
            return
        if self._num_bytes < took * self._rules.min_bytes_per_second:
            least = self._rules.min_bytes_per_second
            raise Ended("network", f"slower than {least} bytes a second")
        self._since, self._num_bytes = time.monotonic(), 0


def _manager(url: str, rules: FetchRules) -> urllib3.PoolManager:
    """A connection of its own, through the proxy that the environment names, if any."""
    timeout = urllib3.Timeout(connect=rules.timeout_seconds, read=rules.timeout_seconds)
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, timeout=timeout)
    return urllib3.PoolManager(timeout=timeout)


def _retry_after_seconds(value: str | None) -> float | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3); None where it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    with suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
