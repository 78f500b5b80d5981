"""Video sites, through yt-dlp as a library: what they list, what they say of a video, its bytes.

Nothing is taken from a site's answer but the fields named here, and no name of its becomes a path.
State is our journal: yt-dlp's own archive and cache are not used. Whatever a fragment lacks, a
format lacks or a postprocessor would mend is a failure, never a file.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from typing import Any

from hlvid.build.codes import Ended, clean
from hlvid.build.download import code_of_status
from hlvid.build.licenses import spdx_of
from hlvid.build.pacing import persevere
from hlvid.build.records import Format
from hlvid.build.spec import check_url
from hlvid.build.stage import Desk
from hlvid.errors import UserError

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REQUEST_GAP_SECONDS = 0.75
_MAX_FORMATS = 500
_MAX_WORDS_CHARACTERS = 2000
_CODECS = (
    (re.compile(r"vp0?9"), "vp9"),
    (re.compile(r"av0?1"), "av1"),
    (re.compile(r"avc|h\.?264"), "h264"),
    (re.compile(r"hev|hvc|h\.?265"), "hevc"),
)

_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"not a bot|captcha", "bot_check"),
        (r"try again later|too many requests|rate.?limit", "rate_limited"),
        (r"confirm your age|age.?restricted", "age_gate"),
        (r"members.only|join this channel", "members_only"),
        (r"premium", "premium"),
        (r"private video|is private", "private"),
        (r"account .*terminated", "account_terminated"),
        (r"who has blocked it|copyright", "copyright_block"),
        (r"violat.* (terms|polic|guideline)|terms of service", "removed_tos"),
        (r"removed by the uploader|uploader has (closed|not made)", "removed_uploader"),
        (r"not (made this video )?available in your (country|location|region)", "geo_blocked"),
        (r"video (is )?(unavailable|not available|no longer available)|removed", "removed"),
        (r"drm", "drm"),
        (r"premieres? in|will begin in|upcoming", "upcoming"),
        (r"live event|is live", "live"),
        (r"sign in|log ?in|cookies", "login_required"),
        (r"requested format is not available", "format_gone"),
        (r"unsupported url|no suitable extractor", "unsupported_site"),
        (r"fragment", "fragment_missing"),
        (r"bytes read|content too short|did not get any data", "content_too_short"),
        (r"no space left", "disk_full"),
        (r"redirect", "redirect_loop"),
        (r"timed? ?out|connection|resolve|transport|network", "network"),
    )
)
"""What a site's refusal says -> our code; the first that fits."""
_NOT_PUBLIC = {
    "private": "private",
    "premium_only": "premium",
    "subscriber_only": "members_only",
    "needs_auth": "login_required",
}
"""What yt-dlp says of a video that cookies open: nobody else could fetch it again."""


@dataclass(frozen=True)
class Said:
    """What a site says of a video."""

    title: str
    channel: str | None
    license: str | None
    """An SPDX identifier, where the site's words are known to mean one."""
    duration_seconds: float | None
    live_status: str | None
    has_drm: bool
    formats: tuple[Format, ...]


def url_id(url: str) -> str:
    """The id of a candidate that is known by its address alone."""
    return f"url-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def listed(url: str, max_videos: int, desk: Desk) -> list[tuple[str, str]]:
    """The videos that an address leads to.

    Args:
        url: Whatever yt-dlp takes: a video, a playlist, a channel, 'ytsearch20:words'.
        max_videos: Most to take, from the beginning.
        desk: Of the task.

    Returns:
        (id, address) of each.

    Raises:
        Ended: The site refuses, or cannot be reached.
    """
    options = {"extract_flat": "in_playlist", "playlistend": max_videos, "lazy_playlist": False}
    info = _extract(url, desk, options)
    entries = info.get("entries") if info.get("_type") == "playlist" else [info]
    found = []
    for entry in list(entries or ())[:max_videos]:
        place = str(entry.get("webpage_url") or entry.get("url") or url)
        try:
            check_url(place)
        except ValueError:
            continue
        key = str(entry.get("ie_key") or entry.get("extractor_key") or "").lower()
        name = str(entry.get("id") or "")
        # The generic extractor's id is the last part of the path: many addresses share one.
        has_id = key not in ("", "generic") and key.isascii() and key.isalnum()
        is_safe = has_id and _SAFE_ID.fullmatch(name)
        found.append((f"{key}-{name}" if is_safe else url_id(place), place))
    return found


def described(url: str, desk: Desk) -> Said:
    """What a site says of one video, its formats among it.

    Raises:
        Ended: The site refuses, cannot be reached, or yt-dlp lacks what it needs to see all of
            the formats.
    """
    options = {"format": "bv*/b/ba", "ignore_no_formats_error": True, "noplaylist": True}
    info = _extract(url, desk, options)
    if info.get("_type") == "playlist":
        raise Ended("unsupported_site", "leads to several videos where one was expected")
    if code := _NOT_PUBLIC.get(str(info.get("availability"))):
        raise Ended(code, "shown to this account alone")
    formats = [f for f in info.get("formats") or () if f.get("vcodec") != "none"]
    duration = info.get("duration")
    return Said(
        title=str(info.get("title") or ""),
        channel=_text(info.get("channel_id") or info.get("uploader_id")),
        license=spdx_of(info.get("license")),
        duration_seconds=float(duration) if isinstance(duration, int | float) else None,
        live_status=_text(info.get("live_status")),
        has_drm=bool(info.get("_has_drm")) and not formats,
        formats=tuple(sorted(map(_format, formats[:_MAX_FORMATS]), key=lambda f: f.format_id)),
    )


def fetched(url: str, format_id: str | None, folder: Path, desk: Desk) -> tuple[Path, str | None]:
    """Fetch one format of a video as it is, without sound where the site has it so.

    Args:
        url: The video's address.
        format_id: As it was described; None where nothing is described, for what there is.
        folder: For the file; what is in it is lost.
        desk: Of the task.

    Returns:
        The file, and the format that it is of.

    Raises:
        Ended: It could not be had whole.
    """
    rules = desk.bench.spec.fetch
    attempt = 0

    def tell(progress: Mapping[str, Any]) -> None:
        sizes = progress.get("downloaded_bytes"), progress.get("total_bytes")
        if max(size or 0 for size in sizes) > rules.max_bytes:
            raise _TooLarge(f"more than {rules.max_bytes} bytes")
        if desk.pacer is not None:
            desk.pacer.check()

    def once() -> Mapping[str, Any]:
        # What an earlier attempt left may be of another version of the file.
        nonlocal attempt
        shutil.rmtree(folder / f"attempt-{attempt}", ignore_errors=True)
        attempt += 1
        place = folder / f"attempt-{attempt}"
        place.mkdir()
        options = {
            "format": "bv/bv*/b" if format_id is None else _literally(format_id),
            "outtmpl": {"default": str(place / "media").replace("%", "%%")},
            "noplaylist": True,
            "fixup": "never",
            "postprocessors": [],
            "skip_unavailable_fragments": False,
            "fragment_retries": rules.num_tries,
            "retries": rules.num_tries,
            "continuedl": True,
            "overwrites": True,
            "progress_hooks": [tell],
        }
        with _youtube_dl(desk, options) as ydl:
            info: Mapping[str, Any] = ydl.extract_info(url, download=True)
            return info

    pacer = desk.pacer
    if pacer is None:
        raise TypeError("fetching needs a pacer")
    info = persevere(once, rules, pacer, is_site=True)
    done: Sequence[Mapping[str, Any]] = info.get("requested_downloads") or []
    part = folder / f"attempt-{attempt}" / "media"
    if len(done) != 1 or not part.is_file():
        raise Ended("unknown", "yt-dlp ended well but left no single file")
    return part, _text(done[0].get("format_id"))


class _TooLarge(Exception):
    """More came than is allowed."""


def _extract(url: str, desk: Desk, options: Mapping[str, Any]) -> Mapping[str, Any]:
    if desk.pacer is None:
        raise TypeError("asking a site needs a pacer")

    def once() -> Mapping[str, Any]:
        with _youtube_dl(desk, options) as ydl:
            info: Mapping[str, Any] = ydl.sanitize_info(ydl.extract_info(url, download=False))
            return info

    return persevere(once, desk.bench.spec.fetch, desk.pacer)


@contextmanager
def _youtube_dl(desk: Desk, options: Mapping[str, Any]) -> Iterator[Any]:
    """yt-dlp, told to be quiet, to keep nothing and to mend nothing.

    Raises:
        Ended: For what it raises, one of our codes; its words without cookies.
    """
    import yt_dlp

    rules = desk.bench.spec.fetch
    words = _Words()
    with _cookies(desk) as cookies:
        settings = {
            "quiet": True,
            "noprogress": True,
            "logger": words,
            "cachedir": False,
            "socket_timeout": rules.timeout_seconds,
            "sleep_interval_requests": min(_REQUEST_GAP_SECONDS, rules.seconds_between),
            "extractor_retries": 0,
            "allow_unplayable_formats": False,
            "color": "no_color",
            "cookiefile": None if cookies is None else str(cookies),
            **options,
        }
        try:
            with yt_dlp.YoutubeDL(settings) as ydl:
                yield ydl
        except yt_dlp.utils.YoutubeDLError as error:
            raise _ended(error, cookies) from None
        except _TooLarge as error:
            raise Ended("too_large", str(error)) from None
        finally:
            desk.note["yt_dlp"] = yt_dlp.version.__version__
            said = _without_secrets(" | ".join(words.lines), cookies)
            desk.note["yt_dlp_said"] = clean(said, max_characters=_MAX_WORDS_CHARACTERS)
    if any("javascript runtime" in line.lower() for line in words.lines):
        raise Ended("format_missing_runtime", "yt-dlp sees not all formats")


class _Words:
    """Keeps what yt-dlp says, for the journal."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, message: str) -> None:
        """Not kept: it may hold requests."""

    def info(self, message: str) -> None:
        """Not kept."""

    def warning(self, message: str) -> None:
        """Kept."""
        self.lines.append(message)

    def error(self, message: str) -> None:
        """Kept."""
        self.lines.append(message)


@contextmanager
def _cookies(desk: Desk) -> Iterator[Path | None]:
    """A copy of the cookie file, since yt-dlp writes into the one it is given."""
    source = desk.bench.cookies
    if source is None:
        yield None
        return
    folder = desk.bench.folder / "scratch" / f"{desk.name}.cookies"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "cookies.txt"
    try:
        copy.touch(mode=0o600)
        copy.write_bytes(source.read_bytes())
        yield copy
    except OSError as error:
        raise UserError(f"--cookies: cannot be used ({error.strerror}).") from None
    finally:
        copy.unlink(missing_ok=True)
        folder.rmdir()


def _without_secrets(text: str, cookies: Path | None) -> str:
    if cookies is not None:
        jar = MozillaCookieJar(cookies)
        try:
            jar.load(ignore_discard=True, ignore_expires=True)
        except (LoadError, OSError):
            return ""
        for cookie in jar:
            if cookie.value:
                text = text.replace(cookie.value, "***")
    return text


def _ended(error: BaseException, cookies: Path | None) -> Ended:
    """The code for a refusal: by the kind of the error, by its HTTP status, then by its words."""
    import yt_dlp

    chain = list(_causes(error))
    for each in chain:
        if isinstance(each, _TooLarge):
            return Ended("too_large", str(each))
        if isinstance(each, yt_dlp.utils.GeoRestrictedError):
            return Ended("geo_blocked", ", ".join(sorted(each.countries or ())))
        if isinstance(each, yt_dlp.networking.exceptions.HTTPError):
            if each.redirect_loop:
                return Ended("redirect_loop")
            return code_of_status(each.status, each.response.headers)
    text = " ".join(str(each) for each in chain)
    # Of a fragment, only the words are handed on; of a whole file, a refusal is not retried.
    if found := re.search(r"HTTP Error (\d{3}).*Giving up after", text):
        by_status = code_of_status(int(found[1]), {})
        is_missing = by_status.code in ("removed", "forbidden", "unknown")
        return Ended("fragment_missing", by_status.detail) if is_missing else by_status
    for pattern, code in _PATTERNS:
        if pattern.search(text):
            return Ended(code)
    return Ended("unknown", type(chain[-1]).__name__, note=_without_secrets(text, cookies))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what yt-dlp wrapped in it."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner: Sequence[Any] = getattr(each, "exc_info", None) or ()
        waiting += [*inner, getattr(each, "cause", None), each.__cause__, each.__context__]


def _format(info: Mapping[str, Any]) -> Format:
    name = str(info.get("vcodec") or "").lower()
    codec = next((code for pattern, code in _CODECS if pattern.match(name)), None)
    height, fps = info.get("height"), info.get("fps")
    return Format(
        format_id=str(info.get("format_id"))[:200],
        codec=codec or _text(name or None),
        height=height if isinstance(height, int) else None,
        fps=float(fps) if isinstance(fps, int | float) else None,
        dynamic_range=_text(info.get("dynamic_range")),
    )


def _literally(format_id: str) -> str:
    """A format's id as yt-dlp's selector takes it; what it would take for more is refused."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", format_id):
        raise Ended("unsupported_site", "the format has an id that yt-dlp cannot be asked for")
    return format_id


def _text(value: object) -> str | None:
    return clean(str(value), max_characters=200) if value not in (None, "") else None
