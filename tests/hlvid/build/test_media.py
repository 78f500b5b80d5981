"""Probe, clip, index and dedup on 4K films, and on small ones where the size does not matter."""

import itertools
import json
from copy import deepcopy as copy_of

import av
import numpy as np
import pytest
from PIL import Image, ImageFilter

from hlvid.build.clip import CLIP, copy, cut, packets_digest
from hlvid.build.dedup import DEDUP, MATCH, frame_hashes, join, smallest
from hlvid.build.detail import detail_decibels
from hlvid.build.index import INDEX
from hlvid.build.likeness import alike, as_signs
from hlvid.build.probe import PROBE, places
from hlvid.build.report import candidate_endings
from hlvid.build.spec import ClipRules, ProbeRules
from hlvid.build.stages import by_name
from hlvid.video import VideoReader

RULES_4K = {
    "select": {
        "min_seconds": 6.0,
        "min_height": 2160,
        "codecs": ["vp9", "av1", "h264"],
        "licenses": ["*"],
    },
    "probe": {},
    "clip": {"target_seconds": 6.0, "tolerance": 0.1},
}


@pytest.fixture
def shop_4k(workshop):
    workshop.rules.update(copy_of(RULES_4K))
    return workshop


def test_films_end_where_they_should(shop_4k, films):
    good = films.make()
    cut_off = shop_4k.folder / "cut.webm"
    whole = films.make("vp9", photograph="seeding")
    cut_off.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    page = shop_4k.folder / "page.mp4"
    page.write_text("<html>Not found</html>")
    wanted = {
        good: ("selected", None),
        whole: ("selected", None),
        films.make("av1", photograph="Dragonfly"): ("selected", None),
        films.make(is_upscaled=True): ("quarantined", "upscaled"),
        films.make("hevc", is_hdr=True, num_frames=2): ("rejected", "codec"),
        films.make(num_frames=4): ("rejected", "too_short"),
        cut_off: ("quarantined", "truncated"),
        page: ("quarantined", "not_a_video"),
    }
    shop_4k.take(*wanted)
    work = shop_4k.run(num_workers=2)
    locators = {t.item.id: t.item.input.locator for t in work.tasks(by_name("discover"))}
    found = {locators[e.id]: (e.state, e.code) for e in candidate_endings(work)}
    assert found == {path.name: state for path, state in wanted.items()}
    for _, clips in work.passed(CLIP):
        (clip,) = clips.clips
        assert (clip.num_frames, clip.duration_seconds, clip.start_pts) == (6, 6.0, 0)


def test_hdr_is_refused_by_what_the_pictures_say(shop_4k, films):
    shop_4k.rules["select"]["codecs"] = ["hevc"]
    shop_4k.take(films.make("hevc", is_hdr=True, num_frames=2))
    (entry,) = shop_4k.run("probe").entries(PROBE)
    assert (entry.state, entry.code) == ("rejected", "hdr")


@pytest.mark.parametrize("photograph", ["sunset", "seeding", "Dragonfly", "friends"])
def test_enlarged_pictures_are_told_from_large_ones(photograph_windows, photograph):
    (native,) = photograph_windows(photograph, 1, 0, False)
    (enlarged,) = photograph_windows(photograph, 1, 0, True)
    least = ProbeRules().min_detail_decibels
    assert detail_decibels([enlarged]) < least < detail_decibels([native])
    # Nothing is made of a frame out of focus, and little of a caption on enlarged ones.
    soft = np.asarray(Image.fromarray(native).filter(ImageFilter.GaussianBlur(12)))
    assert abs(detail_decibels([soft, native]) - detail_decibels([native])) < 1
    captioned = enlarged.copy()
    captioned[-300:-100, 1000:2000] = native[-300:-100, 1000:2000]
    assert detail_decibels([enlarged, captioned, enlarged]) < least
    # Contrast is not detail.
    faint = (native // 4 + 90).astype(np.uint8)
    assert abs(detail_decibels([faint]) - detail_decibels([native])) < 1.5


def test_nothing_is_said_for_empty_pictures():
    assert detail_decibels([np.full((2160, 3840), 128, np.uint8)]) == -100
    assert detail_decibels([]) == -100
    assert detail_decibels([np.zeros((100, 100), np.uint8)]) == -100


def test_beginning_middle_and_end_are_decoded(clips, workshop):
    assert places(30) == (0, 1, 2, 15, 16, 17, 27, 28, 29)
    assert places(4) == (0, 1, 2, 3)
    assert places(1) == (0,)
    path = clips.make("h264", "mkv", name="whole")
    packets = VideoReader(path).index.packets
    for number in (1, 16, 29):
        start = int(packets.position_bytes[number])
        content = bytearray(path.read_bytes())
        content[start + 12 : start + 60] = bytes(48)
        workshop.take(clips.write(f"hole-{number}.mkv", content))
    states = {e.code for e in workshop.run("probe").entries(PROBE)}
    assert states <= {"decode_corrupt", "truncated", None}
    assert "decode_corrupt" in states


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_piece_holds_the_very_frames_of_its_source(clips, tmp_path, codec, container):
    source = clips.make(codec, container)
    whole = VideoReader(source)
    rules = ClipRules(target_seconds=1.0, tolerance=0.9, max_per_source=9)
    pieces = cut(whole.index, rules)
    assert pieces
    for number, piece in enumerate(pieces):
        target = tmp_path / f"{number}.mp4"
        digest = copy(source, whole.index, piece, target)
        assert packets_digest(target) == digest
        part = VideoReader(target)
        pts = whole.index.pts
        wanted = np.flatnonzero((pts >= piece.start_pts) & (pts < piece.end_pts))
        assert part.info.num_frames == len(wanted) == piece.num_frames
        assert part.index.pts[0] == 0
        assert not part.info.is_truncated
        theirs = [frame.pixels for frame in whole.frames(wanted)]
        for ours, frame in zip(part.frames(range(len(wanted))), theirs, strict=True):
            assert np.array_equal(ours.pixels, frame)
        steps = np.diff(pts[wanted]) * float(whole.index.time_base)
        ours_steps = np.diff(part.index.pts) * float(part.index.time_base)
        assert np.allclose(steps, ours_steps, atol=1.1e-3)


def test_pieces_do_not_overlap_and_leave_nothing_out(clips):
    index = VideoReader(clips.make("vp9", num_frames=60, name="long")).index
    pieces = cut(index, ClipRules(target_seconds=1.6, tolerance=0.5, max_per_source=99))
    assert len(pieces) > 2
    for one, other in itertools.pairwise(pieces):
        assert one.stop == other.start
        assert one.end_pts <= other.start_pts
    shown = sum(int(((index.pts >= p.start_pts) & (index.pts < p.end_pts)).sum()) for p in pieces)
    assert shown == sum(piece.num_frames for piece in pieces)


def test_a_film_without_a_fitting_keyframe_gives_no_clip(clips, workshop):
    workshop.rules["clip"] = {"target_seconds": 1.0, "tolerance": 0.01}
    workshop.take(clips.make("vp9", num_frames=30))
    workshop.rules["select"]["codecs"] = ["vp9"]
    (entry,) = workshop.run("clip").entries(CLIP)
    assert (entry.state, entry.code) == ("rejected", "no_clip")


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1"])
def test_the_same_piece_has_the_same_bytes_every_time(films, tmp_path, codec):
    source = films.make(
        codec, photograph={"vp9": "seeding", "av1": "Dragonfly"}.get(codec, "sunset")
    )
    index = VideoReader(source).index
    (piece,) = cut(index, ClipRules(target_seconds=6.0, tolerance=0.1))
    for name in ("one.mp4", "other.mp4"):
        copy(source, index, piece, tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "other.mp4").read_bytes()


def test_what_mp4_cannot_say_is_refused(clips, workshop):
    turned = clips.turn(clips.make(), "turned.mp4", (0, 1, -1, 0))
    workshop.take(turned)
    (entry,) = workshop.run("clip").entries(CLIP)
    assert entry.state == "passed" or (entry.state, entry.code) == ("rejected", "no_clip")
    if entry.output is not None:
        (clip,) = entry.output.clips
        assert (clip.width, clip.height) == (48, 64)


def test_the_list_of_frames_is_what_a_reader_finds(clips, workshop):
    workshop.take(clips.make())
    work = workshop.run("index")
    (entry,) = work.entries(INDEX)
    content = json.loads(work.store.path(entry.output.index).read_bytes())
    with av.open(str(work.store.path(entry.output.clip.file))) as container:
        decoded = [frame.pts for frame in container.decode(video=0)]
        packets = [p for p in av.open(container.name).demux(video=0) if p.size]
    assert content["frames"]["pts"] == decoded
    assert content["packets"]["dts"] == [p.dts for p in packets]
    assert content["packets"]["position_bytes"] == [p.pos for p in packets]
    assert len(content["frames"]["packet"]) == entry.output.clip.num_frames


def test_the_same_film_in_other_bytes_is_a_duplicate(shop_4k, films):
    shop_4k.take(films.make(), films.make("vp9"), films.make("vp9", photograph="seeding"))
    work = shop_4k.run(num_workers=2)
    states = sorted((e.state, e.code or "") for e in work.entries(DEDUP))
    assert states == [("passed", ""), ("passed", ""), ("rejected", "duplicate")]
    (rejected,) = [e for e in work.entries(DEDUP) if e.output is None]
    kept = {e.item for e in work.entries(DEDUP) if e.output is not None}
    assert rejected.detail.removeprefix("of ") in kept
    (pairs,) = [matches.pairs for _, matches in work.passed(MATCH)]
    assert len(pairs) == 1


def test_empty_frames_are_like_nothing(clips):
    black = [np.zeros((48, 64, 3), np.uint8)] * 30
    reader = VideoReader(clips.make(name="black", pictures=black), size=(320, 180))
    hashes = frame_hashes(reader)
    assert set(hashes) == {None}
    assert alike(as_signs(hashes), as_signs(hashes), 128) == 0.0
    assert alike(as_signs(hashes), as_signs(["0" * 64] * 3), 128) == 0.0
    assert alike(as_signs([]), as_signs(["0" * 64]), 128) == 0.0


def test_a_clip_is_found_in_a_longer_film_and_not_in_its_pieces():
    rng = np.random.default_rng(0)
    film = [rng.bytes(32).hex() for _ in range(40)]
    film[12] = None
    whole, cut = as_signs(film), as_signs(film[8:20])
    assert alike(whole, cut, 8) == alike(cut, whole, 8) == 1.0
    assert alike(whole, as_signs(film[:6] + film[30:36]), 8) == 0.5
    assert alike(whole, as_signs(film[::-1]), 8) < 0.05
    assert alike(whole, as_signs([rng.bytes(32).hex() for _ in range(40)]), 60) == 0.0


def test_bits_are_counted_as_they_are():
    one = as_signs(["0" * 64, "f" * 64])
    other = as_signs(["0" * 63 + "7", "f" * 32 + "0" * 32, "a" * 64])
    assert alike(one, other, 3) == 0.5
    assert alike(one, other, 2) == 0.0
    assert alike(one, other, 128) == 1.0


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
