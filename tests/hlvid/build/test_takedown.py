"""Takedowns: what goes, what goes with it, what stays, and that none of it comes back."""

import pytest

from hlvid.build import journal
from hlvid.build.clip import clips_of
from hlvid.build.dedup import MATCH
from hlvid.build.fetch import FETCH
from hlvid.build.index import INDEX
from hlvid.build.rebuild import rebuild
from hlvid.build.records import Entry, Matches, Pair
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


# --- what shows the same, by which rules --------------------------------------------------------


def states_of(work):
    return {e.id: e.state for e in candidate_endings(work)}


def compared_otherwise(work, *pairs):
    """Let a journal tell that other rules once found some clips alike."""
    found = tuple(Pair(first=one, second=other, share=0.5) for one, other in pairs)
    entry = Entry[Matches](
        item="all", candidate=None, task="0" * 64, state="passed", output=Matches(pairs=found)
    )
    with journal.Writer(work.journal_folder(MATCH) / "1-of-2.jsonl") as writer:
        writer.write(journal.make_line(entry.model_dump(mode="json"), {}, attempt=0))


def clips_by_name(work):
    """Name of a file, up to its first dash -> its clip."""
    files = {item: name.partition("-")[0] for name, item in named(work).items()}
    return {files[candidate]: clip.clip_id for candidate, clip in clips_of(work)}


def test_what_a_loose_experiment_found_alike_stays(small_shop):
    small_shop.rules["dedup"] = {"max_distance": 128, "min_share": 0.01}
    work = small_shop.run()
    assert len([pair for _, matches in work.passed(MATCH) for pair in matches.pairs]) == 3
    del small_shop.rules["dedup"]
    work = small_shop.run()
    other = named(work)["other-h264-30-64x48.mp4"]
    assert take_down(work, other, "asked").also == ()
    # Nor does it lead anywhere when it is asked for again.
    assert take_down(small_shop.run(), other, "asked").also == ()
    states = states_of(small_shop.run())
    assert states.pop(other) == "tombstoned"
    assert sorted(states.values()) == ["rejected", "rejected", "selected"]


def test_pairs_of_an_earlier_version_are_compared_again_before_they_count(small_shop):
    work = small_shop.run("fingerprint")
    item = named(work)["other-h264-30-64x48.mp4"]
    ids = clips_by_name(work)
    compared_otherwise(work, (ids["other"], ids["copy.mkv"]))
    before = {media.sha256 for media in work.store.all()}
    with pytest.raises(UserError, match=r"^takedown: by rules of another time, .* --alone"):
        take_down(work, item, "asked")
    assert {media.sha256 for media in work.store.all()} == before
    assert work.tombstones == {}
    assert take_down(work, item, "asked", alone=True).also == ()


def test_a_copy_that_is_no_longer_compared_goes_by_the_rules_it_was_found_by(
    workshop, clips, waves
):
    film = clips.make()
    workshop.take(film, clips.make(name="other", pictures=[waves(n) for n in range(30)]))
    workshop.take(clips.make(name="weak", options={"crf": "30"}), name="lent")
    workshop.rules["dedup"] = {"max_distance": 91}
    work = workshop.run()
    (pair,) = [pair for _, matches in work.passed(MATCH) for pair in matches.pairs]
    lent = workshop.sources.pop()
    del workshop.rules["dedup"]
    work = workshop.run()
    asked = named(work)[film.name]
    (gone,) = {pair.first, pair.second} - {clip.clip_id for _, clip in clips_of(work)}
    assert take_down(work, asked, "asked").also == (gone,)
    workshop.sources.append(lent)
    work = workshop.run()
    assert sorted(states_of(work).values()) == ["selected", "tombstoned", "tombstoned"]


def test_links_of_other_rules_are_no_chain(workshop, clips, waves):
    """A film that is gone, and was alike two that are there, does not tie these together."""
    workshop.take(
        clips.make(name="one", pictures=[waves(n) for n in range(30)]),
        clips.make(name="two", pictures=[waves(n * 7 + 3) for n in range(30)]),
    )
    workshop.take(clips.make(name="between", pictures=[waves(2)] * 30), name="lent")
    ids = clips_by_name(workshop.run())
    workshop.sources.pop()
    work = workshop.run()
    assert list(work.passed(MATCH))
    compared_otherwise(
        work, *[(ids[name], ids["between"]) for name in ("one", "two")], (ids["two"], ids["one"])
    )
    one, two = (ids[name].rpartition(".")[0] for name in ("one", "two"))
    assert take_down(workshop.open(), one, "asked").also == (ids["between"],)
    assert states_of(workshop.run()) == {one: "tombstoned", two: "selected"}


def test_what_would_go_is_told_and_stays(alike_shop):
    work = alike_shop.run()
    kept, dropped = kept_and_dropped(work)
    before = {path: path.stat().st_mtime_ns for path in work.folder.rglob("*")}
    told = take_down(work, kept, "asked", dry_run=True)
    assert {path: path.stat().st_mtime_ns for path in work.folder.rglob("*")} == before
    assert [clip.rpartition(".")[0] for clip in told.also] == [dropped]
    assert take_down(alike_shop.open(), kept, "asked") == told
