"""Probe, clip, index and dedup on 4K films, and on small ones where the size does not matter."""

import itertools
import json
from copy import deepcopy as copy_of

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hlvid.build.clip import CLIP, copies, cut, packets_digest
from hlvid.build.dedup import DEDUP, MATCH
from hlvid.build.detail import detail_decibels
from hlvid.build.index import INDEX
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
    # Frames out of focus neither condemn the sharp one among them nor hide an enlarged one.
    soft = np.asarray(Image.fromarray(native).filter(ImageFilter.GaussianBlur(12)))
    assert detail_decibels([soft, native, soft]) > least
    assert detail_decibels([soft, enlarged, soft]) < least
    # Nor does a piece that is sharp.
    mended = enlarged.copy()
    mended[-300:-100, 1000:2000] = native[-300:-100, 1000:2000]
    assert detail_decibels([enlarged, mended, enlarged]) < least
    # Contrast is not detail.
    faint = (native // 4 + 90).astype(np.uint8)
    assert abs(detail_decibels([faint]) - detail_decibels([native])) < 1.5


def captioned(pixels):
    """With two outlined lines of words at the bottom."""
    image = Image.fromarray(pixels)
    words = "And what did they see from the bridge\nwhen the last train had left the station?"
    place, font = (image.width / 2, image.height * 0.96), ImageFont.load_default(size=98)
    ImageDraw.Draw(image).multiline_text(
        place, words, 255, font, "md", align="center", stroke_width=4, stroke_fill=0
    )
    return np.asarray(image)


def with_bars(pixels):
    """With bars that leave 2.39:1."""
    bar = round((pixels.shape[0] - pixels.shape[1] / 2.39) / 2)
    inside = pixels.copy()
    inside[:bar] = inside[-bar:] = 16
    return inside


@pytest.mark.parametrize("photograph", ["sunset", "seeding", "Dragonfly"])
@pytest.mark.parametrize("lay_over", [captioned, with_bars])
def test_what_is_laid_over_enlarged_pictures_hides_nothing(
    photograph_windows, photograph, lay_over
):
    (native,) = photograph_windows(photograph, 1, 0, False)
    (enlarged,) = photograph_windows(photograph, 1, 0, True)
    least = ProbeRules().min_detail_decibels
    assert detail_decibels([lay_over(enlarged)]) < least < detail_decibels([lay_over(native)])
    assert detail_decibels([enlarged, lay_over(enlarged), enlarged]) < least


def test_a_person_may_let_a_film_through(shop_4k, films):
    shop_4k.take(films.make(is_upscaled=True, num_frames=8))
    (entry,) = shop_4k.run("probe").entries(PROBE)
    assert (entry.state, entry.code) == ("quarantined", "upscaled")
    shop_4k.rules["probe.let_through"] = {entry.item: ["duration_mismatch"]}
    assert shop_4k.run("probe").entries(PROBE)[0].code == "upscaled"
    shop_4k.rules["probe.let_through"] = {entry.item: ["upscaled"], "file-0": ["upscaled"]}
    (passed,) = shop_4k.run("probe").entries(PROBE)
    assert passed.state == "passed"
    assert passed.output.detail_decibels < ProbeRules().min_detail_decibels


def test_a_ruling_on_one_film_is_no_work_for_the_others(clips, workshop, tmp_path):
    workshop.take(clips.make(), clips.make("vp9"))
    before = {e.item: e.task for e in workshop.run("probe").entries(PROBE)}
    (first, second) = sorted(before)
    workshop.rules["probe.let_through"] = {first: ["upscaled"]}
    after = {e.item: e.task for e in workshop.run("probe").entries(PROBE)}
    assert after[second] == before[second]
    assert after[first] != before[first]


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


@pytest.mark.parametrize(("seconds", "stage"), [(6.0, "fingerprint"), (2.1, "clip")])
def test_damage_that_probe_does_not_see_has_its_code(clips, workshop, seconds, stage):
    path = clips.make("h264", "mkv", num_frames=60, name="long")
    content = bytearray(path.read_bytes())
    start = len(content) // 4
    for place in range(start, start + 200):
        content[place] ^= 0xFF
    workshop.rules["clip"] = {"target_seconds": seconds, "tolerance": 0.2}
    workshop.take(clips.write("hole.mkv", content))
    work = workshop.run("dedup")
    assert [e.state for e in work.entries(PROBE)] == ["passed"]
    (entry,) = work.entries(by_name(stage))
    assert (entry.state, entry.code) == ("quarantined", "decode_corrupt")
    assert "frame" in entry.detail
    (ending,) = candidate_endings(work)
    assert (ending.stage, ending.code) == (stage, "decode_corrupt")


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_piece_holds_the_very_frames_of_its_source(clips, tmp_path, codec, container):
    source = clips.make(codec, container)
    whole = VideoReader(source)
    rules = ClipRules(target_seconds=1.0, tolerance=0.9, max_per_source=9)
    pieces = cut(whole.index, rules)
    assert pieces
    for number, (piece, target, digest) in enumerate(copies(source, pieces, tmp_path)):
        assert piece == pieces[number]
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
    found = [
        target.read_bytes() for _ in range(2) for _, target, _ in copies(source, [piece], tmp_path)
    ]
    assert len(found) == 2
    assert found[0] == found[1]


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_pieces_written_together_are_those_written_alone(
    clips, tmp_path, monkeypatch, codec, container
):
    source = clips.make(codec, container, num_frames=60, name="long")
    index = VideoReader(source).index
    pieces = cut(index, ClipRules(target_seconds=1.0, tolerance=0.5, max_per_source=5))[::2]
    assert len(pieces) > 1
    alone = [
        (target.read_bytes(), digest)
        for piece in pieces
        for _, target, digest in copies(source, [piece], tmp_path)
    ]
    read = []

    def counted(container, stream):
        for packet in container.demux(stream):
            if packet.size:
                read.append(packet.pts)
                yield packet

    monkeypatch.setattr("hlvid.build.clip._packets", counted)
    together = [(t.read_bytes(), digest) for _, t, digest in copies(source, pieces, tmp_path)]
    assert together == alone
    assert len(read) == pieces[-1].stop


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
