import json
import os
import subprocess
import sys

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from hlvid.errors import UserError
from hlvid.video import (
    BrokenVideo,
    HdrVideo,
    LostFrame,
    NotAVideo,
    UnsupportedVideo,
    VideoError,
    VideoReader,
)

pytestmark = pytest.mark.usefixtures("index_notes")

CODECS = ["h264", "hevc", "vp9", "av1"]


def make_sound(path, *, with_cover):
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.rate = 44100
        packets = [*sound.encode(silence), *sound.encode()]
        if with_cover:
            cover = output.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
            cover.disposition = Disposition.attached_pic.value
            packets += [*cover.encode(av.VideoFrame(16, 16, "yuvj420p")), *cover.encode()]
        output.mux(packets)


def test_what_is_no_video_is_named(clips, tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "picture.png")
    os.mkfifo(tmp_path / "pipe.mp4")
    make_sound(tmp_path / "sound.mp4", with_cover=False)
    make_sound(tmp_path / "cover.mp4", with_cover=True)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    said = {
        "missing.mp4": r"cannot be opened \(No such file",
        "empty.mp4": r"is empty \(0 bytes\)",
        "text.mp4": "is not a video",
        "picture.png": "is not a video",
        "pipe.mp4": "is not a regular file",
        "sound.mp4": "holds no video stream",
        "cover.mp4": "holds no video stream",
    }
    for name, sentence in said.items():
        with pytest.raises(NotAVideo, match=f"^{name}: {sentence}"):
            VideoReader(tmp_path / name)
    with pytest.raises(NotAVideo, match="is not a regular file"):
        VideoReader(tmp_path)
    assert issubclass(VideoError, UserError)


def test_other_codecs_are_refused(tmp_path):
    path = tmp_path / "old.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        output.mux(stream.encode())
    with pytest.raises(UnsupportedVideo, match=r"codec mpeg4 is not read here\. Allowed are h264"):
        VideoReader(path)


def test_absurd_sizes_are_refused_before_they_take_memory(clips):
    content = clips.make("vp9").read_bytes()
    # VP9's frame header has 4 bits after its sync code, then width and height less one.
    start = b"\x49\x83\x42" + (63 << 20 | 47 << 4).to_bytes(5, "big")[:4]
    assert content.count(start) == 4
    absurd = b"\x49\x83\x42" + (32767 << 20 | 32767 << 4).to_bytes(5, "big")[:4]
    path = clips.write("absurd.mp4", content.replace(start, absurd))
    with pytest.raises(VideoError, match=r"^absurd.mp4: "):
        VideoReader(path)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_file_cut_short_gives_the_frames_it_has(clips, codec, container):
    options = {"movflags": "faststart"} if container == "mp4" else {}
    whole = clips.remux(clips.make(codec, container), f"f-{codec}.{container}", options=options)
    everything = {frame.pts: frame for frame in VideoReader(whole).frames(range(30))}
    content = whole.read_bytes()
    path = clips.write(f"short-{codec}.{container}", content[: len(content) * 7 // 10])
    with VideoReader(path) as reader:
        info = reader.info
        assert info.is_truncated
        assert 10 < info.num_frames < 28
        assert info.num_frames_declared == (30 if container == "mp4" else None)
        frames = list(reader.frames(range(info.num_frames)))
        with pytest.raises(LostFrame, match=r"frame 29 is not there.*and is cut short"):
            reader.frames([29])
    for frame in frames:
        assert np.array_equal(frame.pixels, everything[frame.pts].pixels)
    assert not VideoReader(whole).info.is_truncated


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("share", [0.004, 0.05, 0.09])
def test_a_file_cut_before_its_first_frame_is_broken(clips, container, share):
    content = clips.make("vp9", container).read_bytes()
    path = clips.write(f"stump.{container}", content[: int(len(content) * share)])
    with pytest.raises(BrokenVideo, match=f"^stump.{container}: "):
        VideoReader(path)


def test_a_container_that_promises_more_frames_is_not_believed(clips):
    content = bytearray(clips.make().read_bytes())
    # ISO/IEC 14496-12, 8.6.1.2: version, flags and number of entries stand before the first count.
    count = content.index(b"stts") + 12
    assert int.from_bytes(content[count : count + 4], "big") == 30
    content[count : count + 4] = (300).to_bytes(4, "big")
    path = clips.write("promises.mp4", content)
    with VideoReader(path) as reader:
        assert (reader.info.num_frames, reader.info.num_frames_declared) == (30, 300)
        assert reader.info.duration_seconds == pytest.approx(3)
        assert len(list(reader.frames(range(30)))) == 30
        with pytest.raises(LostFrame, match="frame 30 is not there"):
            reader.frames([30])


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1"])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_damage_costs_the_frames_it_touches_only(clips, codec, num_threads):
    path = clips.make(codec, "mkv", name="whole")
    whole = VideoReader(path)
    good = {frame.index: frame.pixels for frame in whole.frames(range(30))}
    packets = whole.index.packets
    key = int(np.flatnonzero(packets.is_key)[2])
    start, end = packets.position_bytes[key : key + 2]
    content = bytearray(path.read_bytes())
    content[start + 12 : end - 8] = os.urandom(int(end - start) - 20)
    path = clips.write(f"damaged-{codec}-{num_threads}.mkv", content)
    lost = []
    with VideoReader(path, num_threads=num_threads) as reader:
        assert reader.info.num_frames == 30
        for i in range(30):
            try:
                (frame,) = reader.frames([i])
                assert np.array_equal(frame.pixels, good[i])
            except LostFrame as error:
                assert f"frame {i} is damaged" in str(error)
                lost.append(i)
    assert set(lost) <= set(range(13, 24))
    assert 16 in lost


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_a_hole_in_the_file_never_shows(clips, codec, num_threads):
    path = clips.make(codec, name="large", size=(320, 240))
    whole = VideoReader(path)
    good = {frame.index: frame.pixels for frame in whole.frames(range(30))}
    packets = whole.index.packets
    start, end = packets.position_bytes[17:19]
    assert end - start > 1200
    content = bytearray(path.read_bytes())
    content[start + 100 : end] = bytes(int(end - start) - 100)
    path = clips.write(f"hole-{codec}.mp4", content)
    lost = []
    with VideoReader(path, num_threads=num_threads) as reader:
        for i in range(14, 26):
            try:
                (frame,) = reader.frames([i])
                assert np.array_equal(frame.pixels, good[i])
            except LostFrame:
                lost.append(i)
    assert int(np.flatnonzero(whole.index.packet == 17)[0]) in lost
    assert set(lost) <= set(range(16, 24))


def test_ten_bits_are_told_and_read(clips):
    for codec in ("h264", "hevc", "av1"):
        path = clips.make(codec, name="deep", pixel_format="yuv420p10le")
        info = VideoReader(path).info
        assert (info.bit_depth, info.is_hdr) == (10, False)
        (frame,) = VideoReader(path).frames([3])
        (same,) = VideoReader(clips.make(codec)).frames([3])
        assert np.abs(frame.pixels.astype(int) - same.pixels).mean() < 12


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_hdr_is_refused_unless_accepted(clips, codec):
    colours = (9, 1, 9, 16)
    path = clips.make(codec, name="hdr", pixel_format="yuv420p10le", colours=colours)
    reader = VideoReader(path)
    info = reader.info
    assert (info.is_hdr, info.transfer, info.matrix, info.primaries) == (
        True,
        "pq",
        "bt2020",
        "bt2020",
    )
    with pytest.raises(HdrVideo, match=r"is HDR \(pq, 10 bits\)"):
        reader.frames([0])
    assert len(list(VideoReader(path, accept_hdr=True).frames([0, 5]))) == 2


def test_wide_colours_of_undeclared_transfer_pass_for_hdr(clips):
    colours = (9, 1, 9, 2)
    path = clips.make("hevc", name="wide", pixel_format="yuv420p10le", colours=colours)
    with pytest.raises(HdrVideo):
        VideoReader(path).frames([0])


FUZZ = """
import collections, json, pathlib, random, sys
from hlvid.video import VideoError, VideoReader, uniform_indices

source, copy, num_seeds = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
content, tally = source.read_bytes(), collections.Counter()
for seed in range(num_seeds):
    chance = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(chance.choice([1, 3, 10, 40])):
        end = len(damaged) if seed % 2 else len(damaged) // 3
        damaged[chance.randrange(end)] = chance.randrange(256)
    copy.write_bytes(damaged[: chance.randrange(len(damaged))] if seed % 5 == 0 else damaged)
    try:
        reader = VideoReader(copy, num_threads=2, accept_hdr=True)
        for wanted in ([0], uniform_indices(reader.info.num_frames, 5)):
            try:
                for frame in reader.frames(wanted):
                    assert frame.pixels.shape == (reader.info.height, reader.info.width, 3)
                    tally["frames"] += 1
            except VideoError:
                tally["refused frames"] += 1
    except VideoError:
        tally["refused videos"] += 1
print(json.dumps(tally))
"""


@pytest.mark.parametrize(
    ("codec", "container"), [("h264", "mp4"), ("hevc", "mkv"), ("vp9", "webm"), ("av1", "mp4")]
)
def test_random_damage_gives_frames_or_a_named_error(clips, tmp_path, codec, container):
    path = clips.make(codec, container)
    command = [sys.executable, "-c", FUZZ, str(path), str(tmp_path / f"copy.{container}"), "60"]
    # In a process of its own: what would crash or hang is C.
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert tally["frames"] > 20
    assert tally["refused videos"] > 0


def test_pixels_that_are_said_to_be_wide_make_no_frame_too_large(clips):
    """A file of a few kB that shows 1024x1024 pixels as 1024000x1024 square ones."""
    path = clips.make("h264", name="broad", size=(1024, 1024), num_frames=2, aspect="1000/1")
    with pytest.raises(UnsupportedVideo, match="with pixels of 1000 are too large"):
        VideoReader(path)
