"""Which films show the same: runs of frames that are alike, blocks of clips, groups."""

import numpy as np
import pytest

from hlvid.build import dedup
from hlvid.build.dedup import (
    DEDUP,
    MATCH,
    Hashes,
    frame_hashes,
    in_blocks,
    join,
    smallest,
)
from hlvid.build.engine import Shard, run_stage
from hlvid.build.likeness import NUM_BITS, RUN_FRAMES, alike, as_signs
from hlvid.build.records import Media
from hlvid.build.report import reconcile
from hlvid.build.stages import STAGES
from hlvid.video import VideoReader

BEFORE_MATCH = STAGES[: STAGES.index(MATCH)]


def film_of(num_frames, seed=0):
    """Hashes of frames none of which is like another."""
    rng = np.random.default_rng(seed)
    return [rng.bytes(NUM_BITS // 8).hex() for _ in range(num_frames)]


def share(one, other, max_distance=8, **more):
    found = alike(as_signs(one), as_signs(other), max_distance, **more)
    assert found == alike(as_signs(other), as_signs(one), max_distance, **more)
    return found


FILM = film_of(300)


@pytest.mark.parametrize(
    "copy",
    [
        FILM[120:180],
        FILM[20:],
        FILM[:100] + FILM[130:],
        FILM[:90] + FILM[100:190] + FILM[205:],
        film_of(40, seed=1) + FILM[:100] + film_of(7, seed=2) + FILM[130:],
    ],
    ids=["cut out", "start cut off", "30 s cut", "10 s and 15 s cut", "advertisements"],
)
def test_a_copy_that_was_cut_or_timed_anew_is_found(copy):
    assert share(FILM, copy) > 0.85


def test_a_film_sped_up_by_four_percent_is_found():
    faster = [FILM[int(number * 25 / 24)] for number in range(288)]
    assert share(FILM, faster) == 1.0


def test_frames_that_are_alike_out_of_order_are_no_copy():
    # Two drives: each frame of one has a like in the other, but what comes next has not.
    rng = np.random.default_rng(3)
    assert share(FILM, [FILM[number] for number in rng.permutation(300)]) < 0.05
    assert share(FILM, FILM[::-1]) < 0.05
    # Rooms that hold still, which both films show, in another order.
    rooms = [room for room in FILM[:10] for _ in range(30)]
    assert share(rooms, rooms[150:] + rooms[:150]) == 0.5
    assert share(rooms, rooms[::-1]) == 0.1
    assert share(FILM, film_of(300, seed=4), 60) == 0.0


def test_a_run_has_as_many_frames_as_it_must():
    for length, found in ((RUN_FRAMES - 1, 0.0), (RUN_FRAMES, RUN_FRAMES / 40)):
        other = film_of(40, seed=5)
        other[10 : 10 + length] = FILM[100 : 100 + length]
        assert share(FILM, other) == found


def test_what_shows_next_to_nothing_is_like_nothing():
    logo = ["5" * 64] * 3
    dark = logo + [None] * 297
    assert share(dark, dark) < 0.05
    assert share(dark, logo + FILM[3:]) < 0.05
    assert share(dark, [None] * 100 + logo + [None] * 197) < 0.05
    # A fade in the middle is no reason to say nothing.
    faded = [*FILM[:200], *[None] * 100]
    assert share(faded, faded) == 1.0
    assert share(FILM, faded) == 1.0
    assert share([None] * 30, [None] * 30, 128) == 0.0
    assert share([None] * 30, FILM, 128) == 0.0
    assert share([], FILM) == 0.0


def test_an_empty_frame_does_not_end_a_run():
    film = FILM[:8]
    film[4] = None
    assert share(film, film) == 1.0


def test_a_share_that_is_too_small_may_be_left_unknown():
    part = film_of(200, seed=6) + FILM[:100]
    exact = share(FILM, part)
    assert exact == pytest.approx(1 / 3)
    assert share(FILM, part, least=0.9) == 0.0
    assert share(FILM, part, least=exact) == exact


def test_bits_are_counted_as_they_are():
    zeros, ones = ["0" * 64], ["f" * 64]
    assert share(zeros, ["0" * 63 + "7"], 3) == 1.0
    assert share(zeros, ["0" * 63 + "7"], 2) == 0.0
    assert share(zeros, ones, 128) == 0.0
    assert share(ones, ["f" * 32 + "0" * 32], 128) == 1.0
    assert share(ones, ["f" * 32 + "0" * 32], 127) == 0.0
    assert share(ones, ones, 0) == 1.0
    assert share([None, *ones], [None, *ones], 0) == 1.0


def test_empty_frames_have_no_hash(clips):
    black = [np.zeros((48, 64, 3), np.uint8)] * 30
    reader = VideoReader(clips.make(name="black", pictures=black), size=(320, 180))
    assert set(frame_hashes(reader)) == {None}


# --- blocks --------------------------------------------------------------------------------------


def named(names):
    media = Media(sha256="0" * 64, num_bytes=1)
    return [Hashes(clip_id=name, clip_sha256="0" * 64, hashes=media) for name in names]


def test_a_clip_that_is_added_changes_the_block_it_falls_in(monkeypatch):
    monkeypatch.setattr(dedup, "BLOCK_CLIPS", 8)
    names = [f"clip-{number}" for number in range(0, 400, 2)]
    before = dict(in_blocks(named(names)))
    assert 15 < len(before) < 40
    assert [c.clip_id for block in before.values() for c in block] == names
    after = dict(in_blocks(named(sorted([*names, "clip-201"], key=lambda n: int(n[5:])))))
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert 1 <= len(changed) <= 2


def test_blocks_find_the_same_pairs_and_only_new_rows_are_compared(
    small_shop, clips, waves, monkeypatch
):
    work = small_shop.run()
    whole = [pair for _, matches in work.passed(MATCH) for pair in matches.pairs]
    assert len(whole) == 1
    decided = work.manifest_path(DEDUP).read_bytes()
    monkeypatch.setattr(dedup, "BLOCK_CLIPS", 1)
    work = small_shop.open("blocks")
    for stage in (*BEFORE_MATCH, MATCH, DEDUP):
        count = 1 if stage.runs_on == "network" else 3
        for index in range(count):
            run_stage(work, stage, num_workers=0, shard=Shard(index, count))
    assert len(work.entries(MATCH)) == 6
    assert [pair for _, matches in work.passed(MATCH) for pair in matches.pairs] == whole
    assert work.manifest_path(DEDUP).read_bytes() == decided
    assert reconcile(work) == []
    small_shop.take(clips.make(name="new", pictures=[waves(3 * n + 1) for n in range(30)]))
    work = small_shop.open("blocks")
    for stage in BEFORE_MATCH:
        run_stage(work, stage, num_workers=0)
    assert len(work.tasks(MATCH)) == 10
    assert len(work.todo(MATCH)) == 4


def test_nothing_is_decided_before_all_blocks_are_compared(small_shop, monkeypatch):
    monkeypatch.setattr(dedup, "BLOCK_CLIPS", 1)
    work = small_shop.run("fingerprint")
    run_stage(work, MATCH, num_workers=0, shard=Shard(0, 2))
    assert 0 < len(work.todo(MATCH)) < 6
    assert run_stage(work, DEDUP, num_workers=0).num_items == 0
    run_stage(work, MATCH, num_workers=0)
    assert run_stage(work, DEDUP, num_workers=0).num_items == 3


def test_rules_that_do_not_compare_leave_the_comparison_alone(small_shop):
    before = [entry.task for entry in small_shop.run().entries(MATCH)]
    small_shop.rules["dedup"] = {"group_by_channel": True}
    assert [task.key for task in small_shop.open().tasks(MATCH)] == before
    small_shop.rules["dedup"] = {"min_share": 0.6}
    assert [task.key for task in small_shop.open().tasks(MATCH)] != before


# --- groups --------------------------------------------------------------------------------------


def test_groups_join_over_any_number_of_links():
    links = [("b", "c"), ("d", "e"), ("c", "d"), ("x", "y")]
    together = join(links)
    assert len({together[name] for name in "bcde"}) == 1
    assert together["x"] != together["b"]
    assert smallest(["a", "b", "c", "d", "e"], links) == {
        "a": "a",
        "b": "b",
        "c": "b",
        "d": "b",
        "e": "b",
    }
