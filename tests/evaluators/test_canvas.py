"""One clock for frames, evidence, subtitles and probes: it starts at the video's first frame."""

from fractions import Fraction

import av
import numpy as np
import pytest

from evaluators.answering import _frames
from evaluators.canvas import SOURCE, decode
from hlvid.types import Probe
from hlvid.video import VideoReader

FIRST_SECONDS = 1.4


@pytest.fixture
def late(tmp_path):
    """Ten frames a second, the first of them at 1.4 s of the file's own clock."""
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for i in range(11):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * i, np.uint8), "rgb24")
            frame.pts, frame.time_base = 14 + i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with VideoReader(path) as reader:
        assert float(reader.index.pts[0] * reader.index.time_base) == pytest.approx(FIRST_SECONDS)
    return path


def test_a_canvas_counts_from_the_first_frame(late, tmp_path):
    with decode(late, num_frames=3, scratch=tmp_path) as canvas:
        assert canvas.frame_seconds.tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_a_probe_is_shown_the_frame_it_names_at_the_time_it_names(late, tmp_path):
    probe = Probe(
        probe_id="0" * 64,
        question_id="q",
        kind="single-frame",
        text="What?\nA. a\nB. b",
        stem="What?",
        choices=("a", "b"),
        path=str(late),
        video_sha256="0" * 64,
        frame_seconds=(0.5,),
    )
    pixels, seconds, _ = _frames(probe, late, SOURCE, tmp_path)
    assert seconds.tolist() == pytest.approx([0.5])
    assert int(pixels[0].mean()) == pytest.approx(100, abs=4)
