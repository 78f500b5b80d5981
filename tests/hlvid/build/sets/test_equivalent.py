"""Sources that give other bytes when they are fetched again: refused, unless they show the same."""

import hashlib
import re

import pytest
from typer.testing import CliRunner

from hlvid.build.dedup import DEDUP
from hlvid.build.engine import run_stage
from hlvid.build.fetch import FETCH
from hlvid.build.questions import add
from hlvid.build.rebuild import rebuild
from hlvid.build.report import reconcile
from hlvid.build.split import split
from hlvid.build.stages import QUESTION_STAGES
from hlvid.cli import app

FILM = "/film.mp4"


@pytest.fixture
def pictures(waves):
    return [waves(number) for number in range(30)]


@pytest.fixture
def fetched(workshop, site, clips, pictures):
    """A set of one source, whose bytes were then lost."""
    film = clips.make(name="first", pictures=pictures)
    workshop.url("one", site.put(FILM, film.read_bytes()))
    work = workshop.run()
    (entry,) = work.entries(FETCH)
    work.store.path(entry.output.file).unlink()
    return workshop


def fetch(shop, *words):
    arguments = ["fetch", str(shop.spec), "--work", str(shop.folder / "work"), *words]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code in (0, 1), done.output
    (entry,) = shop.open().entries(FETCH)
    return entry


def anew(clips, pictures, name="anew", **more):
    """The same film, encoded with less care."""
    return clips.make(name=name, pictures=pictures, options={"crf": "33"}, **more).read_bytes()


def test_what_shows_the_same_is_taken_when_told_so(fetched, site, clips, pictures):
    (before,) = fetched.open().entries(FETCH)
    (kept,) = fetched.open().entries(DEDUP)
    site.put(FILM, anew(clips, pictures))
    assert fetch(fetched).code == "source_changed"
    assert fetch(fetched, "--retry", "source_changed").code == "source_changed"
    after = fetch(fetched, "--accept-equivalent")
    assert after.state == "passed"
    assert after.output.replaces == before.output.file.sha256 != after.output.file.sha256
    work = fetched.run()
    (now,) = work.entries(DEDUP)
    assert now.output.clip.clip_id == kept.output.clip.clip_id
    assert now.output.clip.span == kept.output.clip.span
    assert now.output.clip.file != kept.output.clip.file
    assert reconcile(work, verify=True) == []
    assert rebuild(work, num_workers=0).differences == ()
    # What took its place is what is known from now on.
    work.store.path(after.output.file).unlink()
    assert fetch(fetched).state == "passed"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda c, p: anew(c, p, "longer", num_frames=31), "number of frames: 31, not 30"),
        (lambda c, p: anew(c, p, "larger", size=(80, 60)), "width: 80, not 64"),
        (lambda c, p: anew(c, [*p[:14], *[p[0][::-1]] * 16], "end"), "frame 1[0-9] shows some"),
        (lambda c, p: b"no film at all" * 99, "cannot be read"),
    ],
)
def test_what_shows_something_else_is_refused_all_the_same(
    fetched, site, clips, pictures, make, said
):
    more = [*pictures, pictures[0]]
    site.put(FILM, make(clips, more if "31" in said else pictures))
    entry = fetch(fetched, "--accept-equivalent")
    assert (entry.state, entry.code) == ("failed", "source_changed")
    assert re.search(said, entry.detail)
    site.put(FILM, clips.make(name="first", pictures=pictures).read_bytes())
    assert fetch(fetched, "--retry", "source_changed").state == "passed"


def test_bytes_that_the_spec_names_are_never_replaced(workshop, site, clips, pictures):
    film = clips.make(name="first", pictures=pictures).read_bytes()
    workshop.url("one", site.put(FILM, film), sha256=hashlib.sha256(film).hexdigest())
    work = workshop.run("probe")
    (entry,) = work.entries(FETCH)
    work.store.path(entry.output.file).unlink()
    site.put(FILM, anew(clips, pictures))
    assert fetch(workshop, "--accept-equivalent").code == "source_changed"


def test_other_verbs_do_not_take_it(workshop, clips):
    workshop.take(clips.make())
    done = CliRunner().invoke(app, ["probe", str(workshop.spec), "--accept-equivalent"])
    assert str(done.exception).startswith("--accept-equivalent: is of fetch")


def test_a_lock_takes_it_as_a_change_and_nothing_moves(
    fetched, site, clips, pictures, draft, reply
):
    (entry,) = fetched.open().entries(DEDUP)
    drafts = [draft(number, entry.item) for number in range(3)]
    folder = fetched.folder / "annotations"
    add(folder / "questions", "ann", drafts)
    for name in ("bob", "eve"):
        add(folder / "replies", name, [reply(each, name) for each in drafts])
    fetched.rules["split"] = {"version": "1.0.0", "salt": "s"}
    before, _ = split(settled(fetched))
    site.put(FILM, anew(clips, pictures))
    fetch(fetched, "--accept-equivalent")
    fetched.run()
    fetched.rules["split"]["version"] = "1.0.1"
    lock, lines = split(settled(fetched))
    assert [line.event for line in lines] == ["changed"] * 3
    assert list(lock.unfounded()) == []
    for line in before.lines:
        now = lock.last[line.question_id]
        assert (now.number, now.split, now.order) == (line.number, line.split, line.order)
        assert now.content_sha256 != line.content_sha256


def settled(shop):
    work = shop.open()
    for stage in QUESTION_STAGES:
        run_stage(work, stage)
    return work
