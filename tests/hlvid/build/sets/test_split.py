"""The lock: splits, numbers and letters that are decided once, and what follows from that."""

import json
import shutil

import pytest

from hlvid.build.deciding import split_of
from hlvid.build.dedup import DEDUP
from hlvid.build.lock import LOCK_FILE, Lock, Member, read_lock
from hlvid.build.set_rules import SplitRules
from hlvid.build.split import split
from hlvid.errors import UserError


def test_other_bytes_of_a_clip_are_a_change(draft):
    lock, rules = Lock(), SplitRules(salt="s")
    lock.extend([Member(draft(0, "clip"), "group", "av", "0" * 64)], {}, rules)
    lines = lock.extend([Member(draft(0, "clip"), "group", "av", "1" * 64)], {}, rules)
    assert [line.event for line in lines] == ["changed"]


def test_letters_are_balanced_and_groups_stay_together(draft):
    lock = Lock()
    members = [
        Member(draft(i, f"clip{i % 40}"), f"group{i % 20}", ("av", "household")[i % 3 == 0])
        for i in range(201)
    ]
    rules = SplitRules(salt="s", shares={"dev": 0.4, "test": 0.6})
    lock.extend(members, {}, rules)
    splits = {}
    for line in lock.active:
        splits.setdefault(line.group_id, set()).add(line.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {s for found in splits.values() for s in found} == {"dev", "test"}
    for split_ in ("dev", "test"):
        for category in ("av", "household"):
            letters = [
                line.letter
                for line in lock.active
                if (line.split, line.category) == (split_, category)
            ]
            counts = [letters.count(letter) for letter in "ABCD"]
            assert max(counts) - min(counts) <= 1
    assert sorted(line.number for line in lock.active) == list(range(201))
    shares = [split_of(f"g{i}", rules) for i in range(4000)]
    assert 0.35 < shares.count("dev") / 4000 < 0.45


def test_clips_locked_apart_may_not_turn_out_to_belong_together(draft):
    rules = SplitRules(salt="s", shares={"dev": 0.5, "test": 0.5})
    lock = Lock()
    members = [Member(draft(i, f"clip{i}"), f"group{i}", "av") for i in range(8)]
    lock.extend(members, {}, rules)
    assert {line.split for line in lock.active} == {"dev", "test"}
    merged = [Member(m.draft, "group0", m.category) for m in members]
    with pytest.raises(UserError, match="locked apart"):
        lock.extend(merged, {}, rules)


def test_a_source_stays_in_its_split_when_its_questions_are_withdrawn(draft):
    rules = SplitRules(salt="s", shares={"dev": 0.5, "test": 0.5})
    lock = Lock()
    old = [Member(draft(i, f"a{i}.0-9"), f"a{i}.0-9", "av", sources=(f"a{i}",)) for i in range(30)]
    lock.extend(old, {}, rules)
    grown = [
        Member(m.draft, m.group_id, "av", sources=(*m.sources, f"b{m.sources[0]}")) for m in old
    ]
    assert {line.event for line in lock.extend(grown, {}, rules)} == {"changed"}
    assert lock.extend(old, {}, rules) == []
    before = {line.sources: line.split for line in lock.active}
    lock.extend([], {m.draft.question_id: "takedown" for m in old}, rules)
    assert lock.active == []
    # What is left of each group: a clip that nothing was asked about, under a name of its own.
    new = [
        Member(draft(99, f"ba{i}.9-18"), f"ba{i}.9-18", "av", sources=(f"ba{i}",))
        for i in range(30)
    ]
    lock.extend(new, {}, rules)
    now = {line.sources: line.split for line in lock.active}
    assert {split_of(m.group_id, rules) for m in new} == {"dev", "test"} == set(now.values())
    assert now == {(each[1],): split for each, split in before.items()}


def test_splits_and_letters_follow_from_the_lock_alone(draft):
    lock = Lock()
    members = [
        Member(draft(i, f"clip{i % 40}"), f"group{i % 20}", "av", sources=(f"s{i % 20}",))
        for i in range(120)
    ]
    shares = {"dev": 0.4, "test": 0.6}
    gone = {m.draft.question_id: "takedown" for m in members}
    lock.extend(members[:60], {}, SplitRules(salt="s", shares=shares))
    lock.extend(members[10:80], gone, SplitRules(version="1.1.0", salt="t", shares=shares))
    lock.extend(members, {}, SplitRules(version="1.2.0", salt="t", shares={"test": 1.0}))
    assert {line.event for line in lock.lines} == {"added", "withdrawn", "restored"}
    assert list(lock.unfounded()) == []
    for number in (0, 30, 75):
        line = next(line for line in lock.lines if line.number == number)
        one, other, *rest = line.order
        for changes in (
            {"order": (other, one, *rest)},
            {"split": {"dev": "test", "test": "dev"}[line.split]},
            {"policy": line.policy.model_copy(update={"salt": "u"})},
        ):
            mine = (line.question_id,)
            forged = [
                each.model_copy(update=changes) if each.question_id in mine else each
                for each in lock.lines
            ]
            assert next(Lock(forged).unfounded(), None) == line.question_id, changes


def test_channels_that_were_kept_together_are_not_parted_later(desk):
    desk.shop.rules["dedup"] = {"group_by_channel": True}
    desk.shop.run()
    work, _ = desk.settled(num_each=1)
    lock, _ = split(work)
    assert {line.policy.group_by_channel for line in lock.active} == {True}
    assert {line.policy.salt for line in lock.active} == {"pepper"}
    desk.shop.rules["dedup"] = {"group_by_channel": False}
    desk.shop.run()
    with pytest.raises(UserError, match=r"^dedup\.group_by_channel: is false, and splits\.lock"):
        split(desk.settle())


def test_the_lock_names_the_sources_of_a_group(desk):
    work, _ = desk.settled(num_each=1)
    lock, _ = split(work)
    for line in lock.active:
        assert line.sources == (line.group_id.rpartition(".")[0],)


def test_a_lock_that_was_edited_is_refused(desk):
    work, _ = desk.settled(num_each=2)
    split(work)
    path = desk.shop.folder / LOCK_FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    moved = {**lines[0], "event": "changed", "split": "dev"}
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, moved]))
    with pytest.raises(UserError, match=r"split of question .* was moved"):
        read_lock(path)
    older = {**lines[0], "event": "changed", "version": "0.9.0"}
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, older]))
    with pytest.raises(UserError, match=r"version 0\.9\.0 follows 1\.0\.0"):
        read_lock(path)


def test_what_is_half_done_withdraws_nothing(desk):
    work, drafts = desk.settled(num_each=2)
    split(work)
    before = (desk.shop.folder / LOCK_FILE).read_bytes()
    shutil.rmtree(desk.folder / "replies")
    with pytest.raises(UserError, match="nothing says what became of it"):
        split(desk.settle())
    desk.answer(drafts)
    desk.write(drafts[1:])
    with pytest.raises(UserError, match="nothing says what became of it"):
        split(desk.settle())
    assert (desk.shop.folder / LOCK_FILE).read_bytes() == before


def test_a_copy_that_comes_later_takes_no_place_of_a_locked_clip(desk, clips):
    work, _ = desk.settled(num_each=2)
    before, _ = split(work)
    desk.shop.rules["split"] = {"version": "1.1.0", "salt": "pepper"}
    (film,) = (desk.shop.folder / "own").glob("film0*")
    desk.shop.take(*(clips.remux(film, f"copy{i}.mkv") for i in range(8)))
    entries = {e.item: e for e in desk.shop.run().entries(DEDUP)}
    assert min(entries) not in desk.clips  # the smallest id is a copy's
    ends = {name: entry.code for name, entry in entries.items()}
    assert ends == {name: None if name in desk.clips else "duplicate" for name in ends}
    assert len(ends) == 10
    after, lines = split(desk.settle())
    asked = [(line.question_id, line.group_id) for line in before.active]
    assert [(line.question_id, line.group_id) for line in after.active] == asked
    assert {line.event for line in lines} == {"changed"}  # its source is of their group now
