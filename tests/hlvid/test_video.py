import hashlib
import itertools
import struct
import time

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlvid import decoding
from hlvid.decoding import plan
from hlvid.frame_index import FrameIndex, Packets, index_by_time
from hlvid.open_video import OpenVideo
from hlvid.pixels import ToRgb
from hlvid.video import LostFrame, VideoReader, frames_sha256, uniform_indices

pytestmark = pytest.mark.usefixtures("index_notes")

PAIRS = [
    *((codec, box) for codec in ("h264", "hevc", "vp9", "av1") for box in ("mp4", "mkv")),
    ("vp9", "webm"),
    ("av1", "webm"),
]
INDEX_SETS = {
    "dense": list(range(30)),
    "sparse": [0, 14, 29],
    "every GOP": [1, 9, 17, 25],
    "before a keyframe": [7],
    "a keyframe": [8],
    "last": [29],
    "a run": [5, 6, 7, 8, 9, 10],
}

# Frames 5 to 7 of every 8 may refer to the next keyframe.
ONE_A_KEYFRAME = [i for i in range(96) if i % 8 == 4]
FOUR_A_KEYFRAME = [i for i in range(96) if 0 < i % 8 <= 4]


@pytest.fixture
def spans(monkeypatch):
    """The packets that were decoded, as (start, stop), one for each stretch."""
    seen = []
    outputs = OpenVideo.outputs

    def spy(self, packets, start, stop, **how):
        seen.append((start, stop))
        return outputs(self, packets, start, stop, **how)

    monkeypatch.setattr(OpenVideo, "outputs", spy)
    return seen


def assert_equal_to_brute_force(path, clips, wanted, *, num_threads=2):
    with VideoReader(path, num_threads=num_threads) as reader:
        frames = list(reader.frames(wanted))
        width, height = reader.info.width, reader.info.height
    assert [frame.index for frame in frames] == wanted
    convert = ToRgb(width=width, height=height)
    everything = clips.decoded(path)
    for frame in frames:
        assert frame.pts == everything[frame.index].pts
        assert np.array_equal(frame.pixels, convert(everything[frame.index]))


@pytest.mark.parametrize(("codec", "container"), PAIRS)
def test_frames_are_those_of_decoding_everything(clips, codec, container):
    path = clips.make(codec, container)
    assert len(clips.decoded(path)) == 30
    for wanted in INDEX_SETS.values():
        for num_threads in (1, 2):
            assert_equal_to_brute_force(path, clips, wanted, num_threads=num_threads)


@pytest.mark.parametrize(("codec", "container"), PAIRS)
def test_seeks_land_on_the_planned_keyframe(clips, codec, container, spans):
    path = clips.make(codec, container)
    reader = VideoReader(path, num_threads=1)
    spans.clear()
    list(reader.frames([0, 17, 29]))
    planned = [(s.start, s.stop) for s in plan(reader.index, [0, 17, 29], seek_cost_frames=8)]
    assert len(planned) == 2
    assert spans == planned
    keyframe = planned[-1][0]
    with OpenVideo(path, num_threads=1) as video:
        first, packets = video._at_or_before(reader.index.packets, keyframe)
        assert first == keyframe
        assert next(packets).is_keyframe


def test_a_dense_read_is_one_stretch(clips, spans):
    reader = VideoReader(clips.make(), num_threads=2)
    spans.clear()
    list(reader.frames(range(30)))
    assert spans == [(0, 30)]


@pytest.mark.parametrize("wanted", [ONE_A_KEYFRAME, FOUR_A_KEYFRAME])
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_reading_side_by_side_gives_what_reading_in_turn_gives(clips, codec, wanted, monkeypatch):
    path = clips.make(codec, "mkv", name="long", num_frames=96)
    reader = VideoReader(path, num_threads=2)
    beside = list(reader.frames(wanted))
    monkeypatch.setattr(decoding, "MAX_FRAMES_APART", 0)
    in_turn = list(reader.frames(wanted))
    assert [frame.pts for frame in beside] == [frame.pts for frame in in_turn]
    for a, b in zip(beside, in_turn, strict=True):
        assert np.array_equal(a.pixels, b.pixels)


@pytest.mark.parametrize("wanted", [ONE_A_KEYFRAME, FOUR_A_KEYFRAME])
def test_few_frames_wait_for_a_slow_reader(clips, wanted, monkeypatch):
    num_decoded, num_waiting = itertools.count(1), []
    decode = OpenVideo.decode
    last = [0]

    def counted(self, index, segment):
        for numbered in decode(self, index, segment):
            last[0] = next(num_decoded)
            yield numbered

    monkeypatch.setattr(OpenVideo, "decode", counted)
    path = clips.make("h264", "mkv", name="long", num_frames=96)
    for num_taken, _ in enumerate(VideoReader(path, num_threads=2).frames(wanted), 1):
        time.sleep(0.01)
        num_waiting.append(last[0] - num_taken)
    assert len(num_waiting) == len(wanted)
    # Two workers, each with a frame in hand, two frames on the shelf, and the one awaited.
    assert 1 < max(num_waiting) <= 5


def test_few_frames_decode_little(clips, spans):
    reader = VideoReader(clips.make(name="long", num_frames=96), num_threads=2)
    spans.clear()
    list(reader.frames([8, 40, 80]))
    assert sum(stop - start for start, stop in spans) == 3


@st.composite
def indices_and_targets(draw):
    gops = draw(st.lists(st.integers(1, 12), min_size=1, max_size=12))
    is_key = [i == 0 for length in gops for i in range(length)]
    count = len(is_key)
    pts = np.arange(count) * 3
    packets = Packets(
        pts=pts,
        dts=pts,
        position_bytes=pts,
        is_key=np.array(is_key),
        is_shown=np.ones(count, dtype=bool),
    )
    targets = draw(st.sets(st.integers(0, count - 1), min_size=1))
    return index_by_time(packets, 1, []), sorted(targets), draw(st.integers(0, 20))


@given(indices_and_targets())
def test_a_plan_covers_every_target_once_and_goes_forward(case):
    index, targets, cost = case
    segments = plan(index, targets, seek_cost_frames=cost)
    assert [frame for segment in segments for frame in segment.frames] == targets
    for segment in segments:
        assert index.packets.is_key[segment.start]
        for frame in segment.frames:
            start, stop = index.span(frame)
            assert segment.start <= start < stop <= segment.stop
    for a, b in itertools.pairwise(segments):
        assert a.stop + cost <= b.start
    sequential = targets[-1] + 1
    assert sum(s.stop - s.start for s in segments) <= sequential


def test_variable_rate_is_told_and_timed(clips):
    pts = [0, 1, 2, 10, 11, 30, 31, 32, 33, 34, 35, 60, 61, 62, 63, 64, 65, 66, 67, 90]
    for codec, container in (("h264", "mp4"), ("vp9", "webm")):
        path = clips.make(codec, container, name="variable", num_frames=20, pts=pts)
        with VideoReader(path) as reader:
            assert reader.info.is_variable_rate
            seconds = [frame.pts_seconds for frame in reader.frames(range(20))]
        assert seconds == pytest.approx([time / 10 for time in pts], abs=0.001)
        assert_equal_to_brute_force(path, clips, [3, 11, 19])
    assert not VideoReader(clips.make("h264", "mkv")).info.is_variable_rate


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_an_edit_list_hides_frames(clips, codec):
    def begin_later(packets):
        step = packets[0].duration
        for packet in packets:
            packet.pts -= 11 * step
            packet.dts -= 11 * step
        return packets

    path = clips.remux(clips.make(codec), f"edited-{codec}.mp4", begin_later)
    info = VideoReader(path).info
    assert (info.num_frames, info.num_frames_declared) == (19, 30)
    for wanted in ([0], [18], [2, 9, 15], list(range(19))):
        assert_equal_to_brute_force(path, clips, wanted)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_frames_without_timestamps_are_counted(clips, codec):
    def before_zero(packets):
        for packet in packets:
            packet.pts -= 1100
            packet.dts = None if packet.dts is None else packet.dts - 1100
        return packets

    options = {"avoid_negative_ts": "disabled"}
    path = clips.remux(clips.make(codec, "mkv"), f"bare-{codec}.mkv", before_zero, options=options)
    everything = clips.decoded(path)
    assert [frame.pts for frame in everything[:12]] == [None] * 11 + [0]
    with VideoReader(path, num_threads=2) as reader:
        assert reader.index.pts.tolist() == [100 * i - 1100 for i in range(30)]
        frames = list(reader.frames([0, 5, 12, 29]))
    convert = ToRgb(width=64, height=48)
    for frame in frames:
        assert np.array_equal(frame.pixels, convert(everything[frame.index]))


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_frames_that_share_a_timestamp_keep_their_order(clips, codec):
    def share(packets):
        for packet in packets[1:]:
            if packet.pts // 100 % 3 == 1:
                packet.pts -= 100
            packet.dts = None
        return packets

    path = clips.remux(clips.make(codec, "mkv"), f"shared-{codec}.mkv", share)
    assert len(set(VideoReader(path).index.pts.tolist())) < 30
    for wanted in ([3], [4], [0, 4, 5, 8, 10, 11, 19, 21], list(range(30))):
        assert_equal_to_brute_force(path, clips, wanted)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_wrong_keyframe_marks_cost_time_only(clips, container):
    def mark_all(packets):
        for packet in packets:
            packet.is_keyframe = True
        return packets

    # HEVC only: of the other codecs libavformat itself finds the keyframes.
    path = clips.remux(clips.make("hevc", container), f"marked.{container}", mark_all)
    assert VideoReader(path).index.packets.is_key.all()
    for wanted in ([4], [14, 16, 23], [29]):
        assert_equal_to_brute_force(path, clips, wanted)


def test_pictures_that_refresh_bit_by_bit_are_right(clips):
    options = {"x264-params": "intra-refresh=1:keyint=8:bframes=0"}
    path = clips.make(name="refresh", options=options)
    for wanted in ([10], [17, 27], [29]):
        assert_equal_to_brute_force(path, clips, wanted)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_what_a_cut_left_without_its_reference_is_no_frame(clips, codec):
    path = clips.remux(clips.make(codec), f"cut-{codec}.mp4", lambda packets: packets[5:])
    assert VideoReader(path).info.num_frames == 22
    for wanted in ([0], [1, 8, 21]):
        assert_equal_to_brute_force(path, clips, wanted)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_decoding_starts_at_a_keyframe(clips, codec):
    whole = clips.make(codec, "mkv")
    path = clips.remux(whole, f"middle-{codec}.mkv", lambda packets: packets[3:])
    with VideoReader(path) as reader:
        assert reader.index.pts.tolist() == list(range(800, 3000, 100))
        (frame,) = reader.frames([2])
    (same,) = VideoReader(whole).frames([10])
    assert np.array_equal(frame.pixels, same.pixels)


def test_fragments_are_read(clips):
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    path = clips.remux(clips.make(), "fragments.mp4", options=options)
    for wanted in ([0], [12, 29], list(range(30))):
        assert_equal_to_brute_force(path, clips, wanted)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_a_single_frame_is_a_video(clips, codec):
    path = clips.make(codec, name="single", num_frames=1)
    info = VideoReader(path).info
    assert (info.num_frames, info.duration_seconds, info.fps) == (1, 0.1, 10)
    assert_equal_to_brute_force(path, clips, [0])


def test_sound_beside_the_video_is_passed_by(clips, tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as output, av.open(str(clips.make())) as source:
        sound = output.add_stream("aac", rate=44100)
        video = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
            silence.rate = 44100
            output.mux(sound.encode(silence))
            if packet.size:
                packet.stream = video
                output.mux(packet)
        output.mux(sound.encode())
    assert VideoReader(path).info.num_frames == 30
    for wanted in ([3, 20], list(range(30))):
        assert_equal_to_brute_force(path, clips, wanted)


def test_info_tells_what_the_video_is(clips):
    info = VideoReader(clips.make("vp9", "webm")).info
    assert (info.width, info.height, info.codec, info.pixel_format) == (64, 48, "vp9", "yuv420p")
    assert (info.num_frames, info.num_frames_declared, info.is_truncated) == (30, None, False)
    assert (info.duration_seconds, info.fps) == (pytest.approx(3), pytest.approx(10))
    assert not info.is_variable_rate
    assert VideoReader(clips.make()).info.num_frames_declared == 30


def test_frames_come_one_by_one(clips, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        ToRgb,
        "__call__",
        lambda self, frame, convert=ToRgb.__call__: decoded.append(frame) or convert(self, frame),
    )
    with VideoReader(clips.make()) as reader:
        frames = reader.frames(range(30))
        next(frames)
        next(frames)
        assert len(decoded) == 2
    assert list(frames) == []
    with pytest.raises(ValueError, match="closed"):
        reader.frames([0])


def test_frames_must_ascend_and_exist(clips):
    reader = VideoReader(clips.make())
    with pytest.raises(ValueError, match="ascend"):
        reader.frames([3, 3])
    with pytest.raises(LostFrame, match=r"frame 30 is not there\. The file holds frames 0 to 29"):
        reader.frames([0, 30])
    with pytest.raises(LostFrame):
        reader.frames([-1])
    assert list(reader.frames([])) == []


@pytest.mark.parametrize(
    ("num_frames", "n", "expected"),
    [
        (1, 16, [0]),
        (5, 5, [0, 1, 2, 3, 4]),
        (100, 1, [0]),
        (100, 2, [0, 99]),
        (100, 6, [0, 20, 40, 59, 79, 99]),
        (10, 4, [0, 3, 6, 9]),
    ],
)
def test_uniform_indices_are_rounded_and_include_both_ends(num_frames, n, expected):
    assert uniform_indices(num_frames, n).tolist() == expected


@given(st.integers(1, 10_000), st.integers(1, 300))
def test_uniform_indices_ascend(num_frames, n):
    indices = uniform_indices(num_frames, n)
    assert len(indices) == min(n, num_frames)
    assert (np.diff(indices) > 0).all()
    assert indices[0] == 0
    assert n == 1 or indices[-1] == num_frames - 1


def test_uniform_indices_of_nothing_are_refused():
    with pytest.raises(ValueError, match="num_frames=0"):
        uniform_indices(0, 16)


def test_frames_digest_is_of_times_in_order():
    expected = hashlib.sha256(struct.pack("<2q", -1, 512)).hexdigest()
    assert frames_sha256([-1, 512]) == expected
    assert frames_sha256(np.array([-1, 512])) == expected
    assert frames_sha256([512, -1]) != expected


def test_an_index_is_of_frames_not_packets():
    packets = Packets(
        pts=np.array([0, 30, 10, 20]),
        dts=np.array([0, 10, 20, 30]),
        position_bytes=np.arange(4),
        is_key=np.array([True, False, False, False]),
        is_shown=np.array([True, True, False, True]),
    )
    index = index_by_time(packets, 1, [])
    assert isinstance(index, FrameIndex)
    assert index.pts.tolist() == [0, 20, 30]
    assert index.packet.tolist() == [0, 3, 1]
    assert index.span(1) == (0, 4)
