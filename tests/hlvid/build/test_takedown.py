"""Takedowns: what goes, what goes with it, what stays, and that none of it comes back."""

import pytest

from hlvid.build.clip import clips_of
from hlvid.build.fetch import FETCH
from hlvid.build.index import INDEX
from hlvid.build.rebuild import rebuild
from hlvid.build.report import candidate_endings, clip_endings, reconcile
from hlvid.build.stages import STAGES
from hlvid.build.takedown import take_down
from hlvid.errors import UserError


def named(work):
    return {task.item.input.locator: task.item.id for task in work.tasks(STAGES[1])}


@pytest.fixture
def long_shop(workshop, clips, waves):
    """A film of a frame a second that gives three clips, each of other pictures."""
    pictures = [waves(number // 8 * 7) for number in range(30)]
    workshop.rules["clip"] = {"target_seconds": 8.0, "tolerance": 0.5, "max_per_source": 3}
    moments = [10 * number for number in range(30)]
    workshop.take(clips.make(name="long", pictures=pictures, pts=moments))
    return workshop


@pytest.fixture
def alike_shop(workshop, clips):
    """A film, and the same encoded weaker."""
    workshop.take(clips.make(), clips.make(name="weak", options={"crf": "30"}))
    return workshop


def kept_and_dropped(work):
    """Ids of the two alike films: the one that was kept, the duplicate."""
    ended = {e.code: e.id for e in candidate_endings(work)}
    return ended[None], ended["duplicate"]


def test_what_is_taken_down_goes_and_stays_away(small_shop):
    work = small_shop.run()
    ids = named(work)
    item = ids["other-h264-30-64x48.mp4"]
    asset = next(asset for each, asset in work.passed(FETCH) if each.id == item)
    path = work.store.path(asset.file)
    done = take_down(work, item, "the owner\nasked \x1b[2J for it")
    assert done.num_files == 4
    assert not path.exists()
    work = small_shop.run()
    assert not path.exists()
    (ending,) = [e for e in candidate_endings(work) if e.id == item]
    assert (ending.state, ending.code) == ("tombstoned", "takedown")
    assert ending.detail == "the owner asked [2J for it"
    assert reconcile(work, verify=True) == []
    assert rebuild(work, num_workers=0).differences == ()
    for journals in (work.folder / "journal").rglob("*.jsonl"):
        if journals.parent.name != "list":
            assert item not in journals.read_text()
    # The same bytes do not come back under another name either.
    (small_shop.folder / "own" / "again.mp4").write_bytes(
        (small_shop.folder / "own" / "other-h264-30-64x48.mp4").read_bytes()
    )
    work = small_shop.run()
    again = named(work)["again.mp4"]
    assert [e.state for e in candidate_endings(work) if e.id == again] == ["tombstoned"]
    assert not path.exists()


def test_a_takedown_removes_what_earlier_rules_made(small_shop):
    item = named(small_shop.run())["other-h264-30-64x48.mp4"]
    small_shop.rules["clip"]["target_seconds"] = 2.4
    work = small_shop.run()
    before = {media.sha256 for media in work.store.all()}
    small_shop.rules["select"]["min_seconds"] = 99.0
    work = small_shop.run()
    # The source and, of either length, a clip, its index and its hashes.
    done = take_down(work, item, "asked")
    assert done.num_files == 7
    assert before - {media.sha256 for media in work.store.all()} >= {
        media.sha256 for media in work.tombstones[item].media
    }
    assert len(work.tombstones[item].media) == 3
    text = "".join(p.read_text() for p in (work.folder / "journal").glob("[!l]*/*.jsonl"))
    assert f'"item":"{item}' not in text
    small_shop.rules["select"]["min_seconds"] = 1.0
    work = small_shop.run()
    assert {e.state for e in candidate_endings(work) if e.id == item} == {"tombstoned"}
    assert reconcile(work, verify=True) == []


def test_what_shows_the_same_goes_too(alike_shop):
    work = alike_shop.run()
    kept, dropped = kept_and_dropped(work)
    done = take_down(work, kept, "asked")
    assert [clip.rpartition(".")[0] for clip in done.also] == [dropped]
    work = alike_shop.run()
    assert {e.state for e in candidate_endings(work)} == {"tombstoned"}
    assert reconcile(work, verify=True) == []
    assert rebuild(work, num_workers=0).differences == ()


def test_what_shows_the_same_stays_when_told_so(alike_shop):
    work = alike_shop.run()
    kept, dropped = kept_and_dropped(work)
    assert take_down(work, kept, "asked", alone=True).also == ()
    work = alike_shop.run()
    states = {e.id: e.state for e in candidate_endings(work)}
    assert states == {kept: "tombstoned", dropped: "selected"}
    assert rebuild(work, num_workers=0).differences == ()


def test_an_earlier_tombstone_keeps_its_reason(alike_shop):
    work = alike_shop.run()
    kept, dropped = kept_and_dropped(work)
    clip = next(clip.clip_id for candidate, clip in clips_of(work) if candidate == dropped)
    assert take_down(work, clip, "a face", alone=True).also == ()
    assert take_down(work, kept, "the owner asked").also == (clip,)
    assert {t.id: t.reason for t in work.tombstones.values()} == {
        kept: "the owner asked",
        clip: "a face",
    }


def test_a_clip_alone_can_be_taken_down(long_shop):
    work = long_shop.run()
    (_, one), *others = clips_of(work)
    assert len(others) == 2
    done = take_down(work, one.clip_id, "a face")
    assert (done.num_files, done.also) == (3, ())
    work = long_shop.run()
    assert all(work.todo(stage) == [] for stage in STAGES)
    (endings,) = clip_endings(work).values()
    assert [e.state for e in endings] == ["tombstoned", "selected", "selected"]
    assert (endings[0].code, endings[0].detail) == ("takedown", "a face")
    assert {e.state for e in candidate_endings(work)} == {"selected"}
    assert reconcile(work, verify=True) == []
    assert rebuild(work, num_workers=0).differences == ()
    # Cut again, its siblings are there and it is not.
    work.store.path(others[0][1].file).unlink()
    work = long_shop.run()
    assert reconcile(work, verify=True) == []
    assert one.file not in list(work.store.all())


def test_a_moment_does_not_come_back_in_a_clip_of_another_length(long_shop):
    work = long_shop.run()
    long_shop.rules["clip"]["target_seconds"] = 16.0
    long_shop.rules["clip"]["max_per_source"] = 1
    ((_, longer),) = clips_of(long_shop.run())
    long_shop.rules["clip"] |= {"target_seconds": 8.0, "max_per_source": 3}
    work = long_shop.open()
    first = clips_of(work)[0][1]
    take_down(work, first.clip_id, "a face")
    assert longer.file not in list(work.store.all())
    assert [e.state for e in work.entries(INDEX)] == ["tombstoned", "passed", "passed"]
    for seconds in (16.0, 24.0):
        long_shop.rules["clip"]["target_seconds"] = seconds
        work = long_shop.run()
        assert work.entries(INDEX)[0].state == "tombstoned"
        assert reconcile(work) == []
        assert rebuild(work, num_workers=0).differences == ()


def test_twins_of_the_same_bytes_go_together(workshop, clips):
    path = clips.make()
    workshop.take(path)
    (workshop.folder / "own" / "twin.mp4").write_bytes(path.read_bytes())
    work = workshop.run()
    one, other = sorted(named(work).values())
    assert other in take_down(work, one, "asked").also
    work = workshop.run()
    assert {e.state for e in candidate_endings(work)} == {"tombstoned"}
    assert rebuild(work, num_workers=0).differences == ()


def test_a_takedown_that_was_killed_is_finished_by_the_next(small_shop, monkeypatch):
    work = small_shop.run()
    item = named(work)["other-h264-30-64x48.mp4"]

    def killed(media):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(work.store, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            take_down(work, item, "asked")
    assert take_down(small_shop.open(), item, "asked").num_files == 4
    assert reconcile(small_shop.run(), verify=True) == []


def test_a_takedown_needs_an_id_and_a_reason(small_shop):
    work = small_shop.run("probe")
    with pytest.raises(UserError, match="is neither a candidate nor a clip"):
        take_down(work, "file-0000", "asked")
    with pytest.raises(UserError, match="--reason: is empty"):
        take_down(work, next(iter(named(work).values())), " \n")
