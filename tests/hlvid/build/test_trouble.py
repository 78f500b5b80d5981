"""What goes wrong in the world outside, and what a curator does next: nothing is lost by either."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hlvid.build import stages
from hlvid.build.discover import DISCOVER
from hlvid.build.engine import run_stage
from hlvid.build.fetch import FETCH
from hlvid.build.pacing import Pacer
from hlvid.build.performing import perform
from hlvid.build.probe import PROBE
from hlvid.build.spec import read_spec
from hlvid.build.stage import Item, Task
from hlvid.build.telling import leave
from hlvid.cli import app
from hlvid.errors import UserError

FILM = "/film.mp4"


def call(shop, *words):
    verb, *rest = words
    done = CliRunner().invoke(
        app, [verb, str(shop.spec), *map(str, rest), "--work", str(shop.folder / "work")]
    )
    if isinstance(done.exception, UserError):
        raise done.exception
    return done


def as_sentence(number):
    try:
        raise OSError(number, os.strerror(number))
    except OSError as error:
        raise UserError(f"x: cannot be written ({error.strerror}).") from None


def as_it_is(number):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("fail", [as_sentence, as_it_is])
@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EIO, "io_error"), (errno.EMFILE, "io_error"), (errno.EDQUOT, "disk_full")],
)
def test_what_passes_by_itself_is_tried_again_by_itself(workshop, clips, fail, number, code):
    workshop.take(clips.make())
    work = workshop.open()

    def failing(thing, parameters, desk):
        fail(number)

    task = work.tasks(stages.by_name("list"))[0]
    stage = replace(task.stage, perform=failing)
    entry = perform(
        Task(stage, Item("x", None, task.item.input), task.parameters), work.bench
    ).entry
    assert (entry["state"], entry["code"]) == ("failed", code)
    assert "/" not in (entry["detail"] or "")

    def greedy(thing, parameters, desk):
        raise MemoryError

    stage = replace(task.stage, perform=greedy)
    entry = perform(
        Task(stage, Item("x", None, task.item.input), task.parameters), work.bench
    ).entry
    assert (entry["state"], entry["code"]) == ("failed", "no_memory")


def test_a_run_with_a_defect_has_failed(workshop, clips):
    workshop.take(clips.make())
    work = workshop.run("fetch")

    def broken(asset, parameters, desk):
        raise ZeroDivisionError

    broken_stage = replace(PROBE, perform=broken)
    run_stage(work, broken_stage, num_workers=0)
    with pytest.raises(BaseException) as caught:  # typer's Exit
        leave(work, failures_only=True)
    assert caught.value.exit_code == 3


def test_a_file_that_was_mended_is_fetched_again_where_its_code_is_named(workshop, clips):
    whole = clips.make()
    workshop.take(whole)
    place = workshop.folder / "own" / whole.name
    data = place.read_bytes()
    place.write_bytes(data[: len(data) // 2])
    code = next(e.code for e in workshop.run("probe").entries(PROBE))
    assert code in ("truncated", "not_a_video")
    place.write_bytes(data)
    done = call(workshop, "fetch", "--retry", code)
    assert "fetch        1 items: 1 passed" in done.stdout
    assert [e.code for e in workshop.run("probe").entries(PROBE)] == [None]
    listed = call(workshop, "status", "--items")
    assert whole.name in listed.stdout


def test_sources_that_contradict_each_other_are_refused(workshop, site, clips):
    film = clips.make()
    url = site.put(FILM, film.read_bytes())
    (workshop.folder / "urls.txt").write_text(f"{url}\n")
    workshop.sources.append({"name": "l", "kind": "list", "path": "urls.txt", "category": "av"})
    workshop.url("pinned", url, license="CC-BY-4.0", num_bytes=len(film.read_bytes()))
    work = workshop.run("discover")
    ((item, source),) = work.passed(DISCOVER)
    assert source.license == "CC-BY-4.0"
    assert item.input.pin.num_bytes == len(film.read_bytes())
    workshop.sources[0]["license"] = "CC0-1.0"
    with pytest.raises(UserError, match=r"sources l and pinned: both lead to .* license 'CC0-1.0'"):
        workshop.run("discover")


def test_a_folder_that_is_gone_keeps_nobody_from_a_takedown(workshop, clips):
    workshop.take(clips.make())
    work = workshop.run("probe")
    ((item, _),) = work.passed(FETCH)
    shutil.rmtree(workshop.folder / "own")
    done = call(workshop, "takedown", item.id, "--reason", "asked")
    assert f"{item.id} tombstoned" in done.stdout
    assert "Its 1 videos are those that were listed before" in done.stderr
    (workshop.folder / "work" / "journal" / "list").rename(workshop.folder / "elsewhere")
    with pytest.raises(UserError, match="is no folder"):
        call(workshop, "status")


def test_what_a_folder_holds_besides_is_told(workshop, clips):
    film = clips.make()
    workshop.take(film)
    own = workshop.folder / "own"
    (own / "link.mp4").symlink_to(film)
    (own / "notes.MTS").write_bytes(b"?")
    done = call(workshop, "discover")
    assert "links were passed over (1)" in done.stderr
    assert "files of other kinds were passed over ('.MTS')" in done.stderr
    (workshop.folder / "none").mkdir()
    workshop.sources.append({"name": "n", "kind": "folder", "path": "none", "category": "av"})
    with pytest.raises(UserError, match=r"source n: .* leads to no video"):
        call(workshop, "discover")


def test_a_bad_line_of_peoples_keeps_no_video_from_being_made_or_taken_down(workshop, clips):
    workshop.take(clips.make())
    folder = workshop.folder / workshop.open().spec.questions.folder / "questions"
    folder.mkdir(parents=True)
    (folder / "x.jsonl").write_text('{"stem": "?"}\n')
    done = call(workshop, "run", "--until", "dedup")
    assert done.exit_code == 0, done.output
    assert "questions/x.jsonl:1" in done.stderr
    ((item, _),) = workshop.open().passed(FETCH)
    done = call(workshop, "takedown", item.id, "--reason", "asked")
    assert done.exit_code == 0 and "tombstoned" in done.stdout
    with pytest.raises(UserError, match=r"questions/x\.jsonl:1"):
        call(workshop, "lint")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("licenses = [[1979-05-27]]", "is a date"),
        (f"seed = {'9' * 5000}", "is not TOML"),
    ],
)
def test_a_spec_of_strange_values_is_one_sentence(tmp_path, lines, said):
    (tmp_path / "spec.toml").write_text(f'name = "x"\n{lines}\n')
    with pytest.raises(UserError, match=said):
        read_spec(tmp_path / "spec.toml")


def test_an_address_too_long_is_one_sentence(workshop):
    workshop.sources.append({"name": "l", "kind": "list", "path": "u.txt", "category": "av"})
    (workshop.folder / "u.txt").write_text(f"http://127.0.0.1:9/{'a' * 5000}\n")
    with pytest.raises(UserError, match=r"u.txt:1 \(source l\): .*is longer than 4096"):
        call(workshop, "discover")


def test_an_unknown_id_is_refused(workshop, clips):
    workshop.take(clips.make())
    with pytest.raises(UserError, match="--only: 'typo' is no id of this set"):
        call(workshop, "discover", "--only", "typo")


def test_a_narrow_upright_video_is_not_large(workshop, clips):
    workshop.take(clips.make())
    workshop.rules["select"]["min_height"] = 50  # the film has 64 x 48
    ((_, code),) = [(e.item, e.code) for e in workshop.run("probe").entries(PROBE)]
    assert code == "too_low"


def slowly(site, handler, path):
    """A step: the body, a little at a time."""
    body = site.bodies[path]
    handler.send_response(200)
    handler.send_header("Content-Type", "video/mp4")
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("ETag", site.etags[path])
    handler.end_headers()
    for start in range(0, len(body), 2048):
        handler.wfile.write(body[start : start + 2048])
        handler.wfile.flush()
        time.sleep(0.05)


def test_an_interrupted_download_ends_soon_and_goes_on(workshop, site, clips):
    body = clips.make().read_bytes() + b"\0" * 2_000_000
    url = site.put(FILM, body)
    workshop.url("one", url)
    site.script(FILM, slowly)
    words = ("fetch", str(workshop.spec), "--work", str(workshop.folder / "work"))
    for verb in ("discover", "select"):
        assert call(workshop, verb).exit_code == 0
    program = Path(sys.executable).with_name("hlvid-build")
    running = subprocess.Popen([program, *words], stderr=subprocess.PIPE, text=True)
    part = None
    until = time.monotonic() + 60
    while time.monotonic() < until and part is None:
        found = (workshop.folder / "work" / "scratch").rglob("body.part")
        part = next((p for p in found if p.stat().st_size > 4096), None)
        time.sleep(0.05)
    assert part is not None
    running.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert running.wait(timeout=30) == 130
    assert time.monotonic() - began < 20  # the rest would take 50 s
    assert call(workshop, "fetch").exit_code == 0
    ranges = [headers.get("Range") for path, headers, _ in site.requests if path == FILM]
    assert ranges[0] is None and ranges[-1].startswith("bytes=")


def test_a_long_pause_is_told_of(tmp_path, capsys):
    pacer = Pacer(tmp_path / "pause.json", seconds_between=0.0)
    pacer.pause(3000)
    until = pacer._paused_until()
    for _ in range(2):
        pacer._tell(until)
    assert capsys.readouterr().err.count("paused until") == 1
