import email.utils
import json
import os
import time
from pathlib import Path

import pytest

from hlvid.build.download import code_of_status
from hlvid.build.fetch import FETCH
from hlvid.build.stages import STAGES
from hlvid.errors import UserError

FILM = "/film.mp4"


@pytest.fixture
def film(films):
    return films.make(num_frames=2).read_bytes()


def fetched(workshop):
    (entry,) = workshop.run("fetch").entries(FETCH)
    return entry


def media_files(workshop):
    return [p for p in (workshop.folder / "work" / "media").rglob("*") if p.is_file()]


def test_a_file_arrives_whole_and_is_kept_under_its_digest(workshop, site, film):
    workshop.url("one", site.put(FILM, film))
    work = workshop.run("fetch")
    (entry,) = work.entries(FETCH)
    path = work.store.path(entry.output.file)
    assert path.read_bytes() == film
    assert path.name == entry.output.file.sha256
    assert not path.stat().st_mode & 0o222
    assert site.count(FILM) == 1
    workshop.run("fetch")
    assert site.count(FILM) == 1
    assert not list((workshop.folder / "work" / "scratch").iterdir())


CODES = {
    "unauthorised": ("login_required", lambda s: [s.status(401)]),
    "forbidden": ("forbidden", lambda s: [s.status(403)]),
    "missing": ("removed", lambda s: [s.status(404)]),
    "gone": ("removed", lambda s: [s.status(410)]),
    "legal": ("geo_blocked", lambda s: [s.status(451)]),
    "teapot": ("unknown", lambda s: [s.status(418)]),
    "busy": ("rate_limited", lambda s: [s.status(429)] * 3),
    "error": ("network", lambda s: [s.status(500)] * 3),
    "reset": ("network", lambda s: [s.reset] * 3),
    "truncated": ("content_too_short", lambda s: [s.cut_short(100)] * 3),
    "stalled": ("network", lambda s: [s.stall] * 3),
    "page": ("wrong_type", lambda s: [s.headers_only(Content_Type="text/html")]),
    "bomb": ("encoded", lambda s: [s.bomb()]),
    "endless": ("length_unknown", lambda s: [s.headers_only(Content_Length=None)]),
    "loop": ("redirect_loop", lambda s: [s.status(302, Location=FILM)] * 10),
    "elsewhere": ("redirect_loop", lambda s: [s.status(302, Location="file:///etc/passwd")]),
    "huge": ("too_large", lambda s: [s.headers_only(Content_Length=str(2**50))]),
}


@pytest.mark.parametrize("name", CODES)
def test_every_failure_has_its_code_and_leaves_nothing(workshop, site, steps, film, name):
    code, make = CODES[name]
    workshop.rules["fetch"]["pause_seconds"] = 0.01
    workshop.url("one", site.put(FILM, film))
    script = make(steps)
    site.script(FILM, *script)
    entry = fetched(workshop)
    assert (entry.state, entry.code) == ("failed", code)
    assert entry.output is None
    assert media_files(workshop) == []
    assert site.count(FILM) == len(script)
    assert fetched(workshop).state in ("failed", "passed")
    (entry,) = workshop.run("fetch", retry=[code]).entries(FETCH)
    assert entry.state == "passed"
    assert [p.read_bytes() for p in media_files(workshop)] == [film]


def test_what_may_pass_is_tried_again_by_itself(workshop, site, steps, film):
    workshop.url("one", site.put(FILM, film))
    site.script(FILM, steps.status(500), steps.reset)
    assert fetched(workshop).state == "passed"
    site.script(FILM, *[steps.status(500)] * 3)
    workshop.sources.clear()
    workshop.url("two", site.put("/b.mp4", film))
    site.script("/b.mp4", *[steps.status(502)] * 3)
    assert fetched(workshop).code == "network"
    assert fetched(workshop).state == "passed"


def test_a_broken_download_goes_on_where_it_stopped(workshop, site, steps, film):
    workshop.url("one", site.put(FILM, film))
    half = len(film) // 2
    site.script(FILM, steps.cut_short(half))
    assert fetched(workshop).state == "passed"
    (_, first, _), (_, second, _) = site.requests
    assert "Range" not in first
    assert second["Range"] == f"bytes={half}-"
    assert second["If-Range"] == site.etags[FILM]
    assert [p.read_bytes() for p in media_files(workshop)] == [film]


def test_another_run_goes_on_with_what_one_left(workshop, site, steps, film):
    workshop.url("one", site.put(FILM, film))
    site.script(FILM, *[steps.cut_short(1000)] * 3)
    assert fetched(workshop).code == "content_too_short"
    assert fetched(workshop).state == "passed"
    assert site.requests[-1][1]["Range"] == "bytes=3000-"
    assert [p.read_bytes() for p in media_files(workshop)] == [film]


def test_two_versions_are_never_mixed(workshop, site, steps, film):
    workshop.url("one", site.put(FILM, film))
    other = bytes(reversed(film))

    def replaced(server, handler, path):
        server.serve(handler, path, stop_at=len(film) // 2)
        server.put(FILM, other)

    site.script(FILM, replaced)
    assert fetched(workshop).state == "passed"
    assert site.requests[1][1]["If-Range"] != site.etags[FILM]
    assert [p.read_bytes() for p in media_files(workshop)] == [other]


def test_a_server_that_ignores_the_condition_is_not_believed(workshop, site, steps, film):
    workshop.url("one", site.put(FILM, film))
    other = bytes(reversed(film))

    def rest_of_another(server, handler, path):
        start = int(handler.headers["Range"][6:-1])
        handler.send_response(206)
        handler.send_header("Content-Type", "video/mp4")
        handler.send_header("ETag", '"another"')
        handler.send_header("Content-Range", f"bytes {start}-{len(film) - 1}/{len(film)}")
        handler.send_header("Content-Length", str(len(film) - start))
        handler.end_headers()
        handler.wfile.write(other[start:])

    site.script(FILM, steps.cut_short(1000), rest_of_another)
    assert fetched(workshop).state == "passed"
    assert [p.read_bytes() for p in media_files(workshop)] == [film]


def test_what_is_known_of_one_version_is_forgotten_with_it(workshop, site, steps, film):
    """Cut, then another version of which nothing is known, cut later, then the first one again."""
    workshop.url("one", site.put(FILM, film))
    first, other, half = site.etags[FILM], bytes(reversed(film)), len(film) // 2

    def another(server, handler, path):
        server.put(FILM, other, etag=None)
        server.serve(handler, path, stop_at=half + 1000)
        server.put(FILM, film, etag=first)

    site.script(FILM, steps.cut_short(half), another)
    assert fetched(workshop).state == "passed"
    assert [p.read_bytes() for p in media_files(workshop)] == [film]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_validator_it_starts_again(workshop, site, steps, film, etag):
    workshop.url("one", site.put(FILM, film, etag=etag))
    site.script(FILM, steps.cut_short(1000))
    assert fetched(workshop).state == "passed"
    assert all("Range" not in headers for _, headers, _ in site.requests)
    assert [p.read_bytes() for p in media_files(workshop)] == [film]


def test_a_source_that_gives_other_bytes_later_is_said_to_have_changed(workshop, site, film):
    workshop.url("one", site.put(FILM, film))
    assert fetched(workshop).state == "passed"
    (path,) = media_files(workshop)
    path.unlink()
    site.put(FILM, film + b"\0")
    entry = fetched(workshop)
    assert (entry.state, entry.code) == ("failed", "source_changed")
    assert media_files(workshop) == []
    site.put(FILM, film)
    (entry,) = workshop.run("fetch", retry=["source_changed"]).entries(FETCH)
    assert entry.state == "passed"


@pytest.mark.parametrize("pin", [{"sha256": "0" * 64}, {"num_bytes": 5}])
def test_a_source_must_be_what_the_spec_says(workshop, site, film, pin):
    workshop.url("one", site.put(FILM, film), **pin)
    assert fetched(workshop).code == "source_changed"
    assert media_files(workshop) == []


def test_a_named_length_makes_up_for_a_server_that_names_none(workshop, site, steps, film):
    workshop.url("one", site.put(FILM, film), num_bytes=len(film))
    site.script(FILM, steps.headers_only(body=film[:-1], Content_Length=None))
    entry = fetched(workshop)
    assert entry.state == "passed"
    assert entry.output.file.num_bytes == len(film)
    assert site.count(FILM) == 2


@pytest.mark.parametrize(("headers", "least"), [({}, 0.2), ({"Retry_After": "1"}, 1.0)])
def test_one_refusal_for_haste_pauses_everything(workshop, site, steps, film, headers, least):
    workshop.rules["fetch"]["num_parallel"] = 2
    for number in range(3):
        workshop.url(f"n{number}", site.put(f"/{number}.mp4", film))
    seen = []

    def busy(server, handler, path):
        steps.status(429, **headers)(server, handler, path)
        seen.append(time.monotonic())

    for number in range(3):
        site.script(f"/{number}.mp4", busy)
    entries = workshop.run("fetch").entries(FETCH)
    assert [entry.state for entry in entries] == ["passed"] * 3
    after = [at for _, _, at in site.requests if at > seen[0]]
    # One request may be under way when the other is refused.
    assert sum(at < seen[0] + 0.95 * least for at in after) <= 1
    assert len(site.requests) == 3 + len(seen)


def test_a_pause_outlives_the_process(workshop, site, film):
    workshop.url("one", site.put(FILM, film))
    pause = workshop.folder / "work" / "pause.json"
    pause.parent.mkdir()
    until = time.time() + 0.3
    pause.write_text(json.dumps({"paused_until_unix_seconds": until}))
    assert fetched(workshop).state == "passed"
    assert time.time() >= until


def test_a_clock_set_back_does_not_stop_the_work_for_years(workshop, site, film):
    workshop.url("one", site.put(FILM, film))
    pause = workshop.folder / "work" / "pause.json"
    pause.parent.mkdir()
    pause.write_text(json.dumps({"paused_until_unix_seconds": time.time() + 10**8}))
    assert fetched(workshop).state == "passed"


def test_a_server_says_how_long_in_seconds_or_as_a_date():
    assert code_of_status(429, {"Retry-After": "120"}).after_seconds == 120
    date = email.utils.formatdate(time.time() + 90, usegmt=True)
    assert 80 < code_of_status(503, {"Retry-After": date}).after_seconds <= 90
    assert code_of_status(503, {"Retry-After": date}).code == "rate_limited"
    assert code_of_status(503, {}).code == "network"
    for nonsense in ("soon", "-5", "99999999999999999999 GMT"):
        assert code_of_status(429, {"Retry-After": nonsense}).after_seconds is None


HOSTILE = [
    "..%2f..%2f..%2fetc%2fpasswd.mp4",
    "%1b[2J%00%0a<script>alert(1)</script>.mp4",
    "$(touch%20pwned);%60id%60%20%7c%20rm%20-rf%20~.mp4",
    "%e2%80%ae4pm.exe.mp4",
]


def test_hostile_addresses_stay_data(workshop, site, film):
    for number, name in enumerate(HOSTILE):
        workshop.url(f"n{number}", site.put(f"/{name}", film))
    work = workshop.run("fetch")
    assert [entry.state for entry in work.entries(FETCH)] == ["passed"] * len(HOSTILE)
    for entry in work.entries(STAGES[1]):
        assert entry.output.title.isprintable()
    inside = {p for p in workshop.folder.parent.rglob("*") if p.is_file()}
    assert {p.name for p in inside if "pwned" in p.name or "passwd" in p.name} == set()
    assert len(media_files(workshop)) == 1


def test_hostile_file_names_stay_data(workshop, clips):
    small = clips.make()
    folder = workshop.folder / "own"
    workshop.take()
    names = ["\x1b[31mred.mp4", "$(touch pwned).mp4", "<img src=x>.mp4", "-rf.mp4", "a\nb.mp4"]
    for name in names:
        (folder / name).write_bytes(small.read_bytes())
    (folder / "link.mp4").symlink_to("/etc/passwd")
    work = workshop.run("fetch")
    assert [entry.state for entry in work.entries(FETCH)] == ["passed"] * len(names)
    assert len(media_files(workshop)) == 1
    assert not Path("pwned").exists()
    (folder / os.fsdecode(b"\xff.mp4")).write_bytes(small.read_bytes())
    with pytest.raises(UserError, match=r"^source own: .*is not UTF-8\. Rename the file\."):
        workshop.run("list")
