"""yt-dlp against a server on the loopback address: its generic extractor, real files and lists."""

import av
import pytest

from hlvid.build import sites
from hlvid.build.codes import Ended
from hlvid.build.discover import DISCOVER
from hlvid.build.fetch import FETCH
from hlvid.build.probe import PROBE

FILM = "/film.mp4"


@pytest.fixture
def film(films):
    return films.make(num_frames=2).read_bytes()


def ends(workshop, until="fetch"):
    work = workshop.run(until)
    stage = {"discover": DISCOVER, "fetch": FETCH, "probe": PROBE}[until]
    return work, work.entries(stage)


def media_files(workshop):
    return [p for p in (workshop.folder / "work" / "media").rglob("*") if p.is_file()]


def test_a_direct_file_is_fetched_as_it_is(workshop, site, film):
    workshop.site("page", site.put(FILM, film))
    work, (entry,) = ends(workshop)
    assert entry.state == "passed"
    assert work.store.path(entry.output.file).read_bytes() == film
    (source,) = work.entries(DISCOVER)
    assert source.output.license == "unknown"
    assert source.item.startswith("url-")


TITLE = "../../etc/passwd \x1b[2J <script>alert(1)</script> $(rm -rf ~); `id` \u202e"


def test_a_hostile_title_stays_data(workshop, site, film):
    site.put(FILM, film)
    page = f"<html><head><title>{TITLE.replace('<', '&lt;')}</title></head>"
    page += f"<body><video src='{FILM}'></video></body></html>"
    workshop.site("page", site.put("/watch", page.encode(), type_="text/html; charset=utf-8"))
    before = {p for p in workshop.folder.parent.rglob("*")}
    work, (entry,) = ends(workshop)
    assert entry.state == "passed"
    title = only(work.entries(DISCOVER)).output.title
    assert "etc/passwd" in title
    assert title.isprintable()
    names = {p.name for p in workshop.folder.parent.rglob("*")} - {p.name for p in before}
    assert not {name for name in names if "passwd" in name or "script" in name}


def only(entries):
    (entry,) = entries
    return entry


@pytest.mark.parametrize(
    ("steps_of", "code"),
    [
        (lambda s: [s.status(410)], "removed"),
        (lambda s: [s.status(403)], "forbidden"),
        (lambda s: [s.status(429)] * 3, "rate_limited"),
        (lambda s: [s.status(302, Location=FILM)] * 300, "redirect_loop"),
    ],
)
def test_refusals_have_their_codes(workshop, site, steps, film, steps_of, code):
    workshop.rules["fetch"]["pause_seconds"] = 0.01
    workshop.site("page", site.put(FILM, film))
    workshop.run("discover")
    site.script(FILM, *steps_of(steps))
    _, (entry,) = ends(workshop)
    assert (entry.state, entry.code) == ("failed", code)
    assert media_files(workshop) == []


def test_a_file_that_ends_early_is_never_taken_for_whole(workshop, site, steps, film):
    workshop.site("page", site.put(FILM, film, etag=None))
    workshop.run("discover")
    site.script(FILM, *[steps.cut_short(1000)] * 60)
    _, (entry,) = ends(workshop)
    assert (entry.state, entry.code) == ("failed", "content_too_short")
    assert media_files(workshop) == []
    site.scripts.clear()
    work, (entry,) = ends(workshop)
    assert work.store.path(entry.output.file).read_bytes() == film


def test_a_bomb_is_stopped_at_the_limit(workshop, site, steps, film):
    workshop.rules["fetch"]["max_bytes"] = len(film) * 2
    workshop.site("page", site.put(FILM, film))
    workshop.run("discover")
    site.script(FILM, *[steps.bomb(len(film) * 8)] * 9)
    _, (entry,) = ends(workshop)
    assert (entry.state, entry.code) == ("failed", "too_large")
    assert media_files(workshop) == []


@pytest.fixture(scope="session")
def playlist(films, tmp_path_factory):
    """A film cut into fragments, as sites serve them."""
    folder = tmp_path_factory.mktemp("playlist")
    options = {"hls_time": "2", "hls_segment_type": "fmp4", "hls_playlist_type": "vod"}
    with (
        av.open(str(films.make(num_frames=6))) as read,
        av.open(str(folder / "film.m3u8"), "w", format="hls", options=options) as written,
    ):
        stream = read.streams.video[0]
        output = written.add_stream_from_template(stream)
        for packet in read.demux(stream):
            if packet.size:
                packet.stream = output
                written.mux(packet)
    return folder


def serve_playlist(site, playlist):
    for path in playlist.iterdir():
        type_ = "application/vnd.apple.mpegurl" if path.suffix == ".m3u8" else "video/mp4"
        site.put(f"/{path.name}", path.read_bytes(), type_=type_)
    return f"{site.root}/film.m3u8"


def test_a_film_in_fragments_is_put_together(workshop, site, playlist):
    workshop.rules["select"]["min_height"] = 2160
    workshop.site("list", serve_playlist(site, playlist))
    _, (entry,) = ends(workshop, "probe")
    assert (entry.state, entry.code) == ("passed", None)
    assert entry.output.num_frames == 6
    assert (entry.output.width, entry.output.height) == (3840, 2160)


def test_a_missing_fragment_ends_the_download(workshop, site, steps, playlist):
    workshop.site("list", serve_playlist(site, playlist))
    fragment = sorted(p.name for p in playlist.glob("*.m4s"))[1]
    site.script(f"/{fragment}", *[steps.status(404)] * 60)
    _, (entry,) = ends(workshop)
    assert (entry.state, entry.code) == ("failed", "fragment_missing")
    assert media_files(workshop) == []


@pytest.mark.parametrize(
    ("availability", "code"),
    [("private", "private"), ("subscriber_only", "members_only"), ("needs_auth", "login_required")],
)
def test_what_only_an_account_may_see_is_not_taken(monkeypatch, availability, code):
    """The sites that tell this cannot be had here; what yt-dlp says of them is made up."""
    info = {"title": "t", "duration": 9.0, "formats": [{"format_id": "1", "vcodec": "vp9"}]}
    monkeypatch.setattr(sites, "_extract", lambda url, desk, options: info)
    assert sites.described("https://example.org/v", None).title == "t"
    info["availability"] = availability
    with pytest.raises(Ended) as ended:
        sites.described("https://example.org/v", None)
    assert ended.value.code == code


def test_cookies_reach_the_site_and_no_file(workshop, site, steps, film):
    workshop.site("page", site.put(FILM, film))
    secret = "s3cr3t-0123456789"
    jar = workshop.folder / "jar.txt"
    line = f"127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t{secret}\n"
    jar.write_text(f"# Netscape HTTP Cookie File\n{line}")
    content = jar.read_bytes()
    site.script(FILM, steps.status(200), steps.status(500, X_Echo=secret))
    work = workshop.open()
    work = type(work).open(workshop.folder / "work", workshop.spec, cookies=jar)
    from hlvid.build.discover import LIST
    from hlvid.build.engine import run_stage
    from hlvid.build.select import SELECT

    for stage in (LIST, DISCOVER, SELECT, FETCH):
        run_stage(work, stage)
    assert any(secret in headers.get("Cookie", "") for _, headers, _ in site.requests)
    assert jar.read_bytes() == content
    for path in (workshop.folder / "work").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
