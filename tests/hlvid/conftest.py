"""Tiny clips, made by real encoders when a test asks for one."""

import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

ENCODERS = {
    # Pictures that refer to each other across keyframes, and to later ones.
    "h264": (
        "libx264",
        {"x264-params": "keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0:open-gop=1"},
    ),
    "hevc": (
        "libx265",
        {
            "x265-params": "keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0:open-gop=1"
            ":log-level=none"
        },
    ),
    # Hidden pictures that only others refer to.
    "vp9": ("libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8"}),
    "av1": ("libaom-av1", {"cpu-used": "8", "lag-in-frames": "10"}),
}


def picture(number, width, height):
    """A picture that no other number has: gradients that move, and noise."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 3 + number * 7, y * 5 + number * 3, x + y + number * 11)
    pixels = np.stack([channel % 256 for channel in channels], axis=-1).astype(np.uint8)
    noise = np.random.default_rng(number).integers(0, 256, (height // 4, width // 4, 3))
    pixels[height // 4 :, width // 4 :][: height // 4, : width // 4] = noise
    return pixels


class Clips:
    """Makes clips in one folder; the same clip is made once."""

    def __init__(self, folder):
        self.folder = folder

    def make(
        self,
        codec="h264",
        container="mp4",
        *,
        name="clip",
        num_frames=30,
        size=(64, 48),
        pts=None,
        pictures=None,
        pixel_format="yuv420p",
        colours=None,
        options=None,
        aspect=None,
    ):
        """Encode a clip of 10 frames a second with a keyframe every 8 frames.

        Args:
            pts: One for each frame, in tenths of a second.
            pictures: RGB, instead of the moving gradients.
            aspect: Width of a pixel by its height, such as "4/3".
            colours: (matrix, range, primaries, transfer) to declare and to encode with.
        """
        path = self.folder / f"{name}-{codec}-{num_frames}-{size[0]}x{size[1]}.{container}"
        if path.exists():
            return path
        encoder, base_options = ENCODERS[codec]
        with av.open(os.fspath(path), "w") as output:
            stream = output.add_stream(
                encoder, rate=10, options={**base_options, **(options or {})}
            )
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            stream.gop_size = 8
            context = stream.codec_context
            if aspect:
                context.sample_aspect_ratio = Fraction(aspect)
            if colours:
                context.colorspace, context.color_range = colours[:2]
                context.color_primaries, context.color_trc = colours[2:]
            for i in range(num_frames):
                pixels = picture(i, *size) if pictures is None else pictures[i]
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
                    format=pixel_format,
                    src_colorspace="SMPTE240M",
                    dst_colorspace=colours[0] if colours else "ITU601",
                    src_color_range="JPEG",
                    dst_color_range=colours[1] if colours else "MPEG",
                )
                if colours:
                    frame.colorspace, frame.color_range = colours[:2]
                frame.pts = i if pts is None else pts[i]
                frame.time_base = Fraction(1, 10)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        return path

    def remux(self, source, name, edit=lambda packets: packets, *, options=None):
        """Write the packets of a clip to another file, edited on the way."""
        path = self.folder / name
        with (
            av.open(os.fspath(source)) as read,
            av.open(os.fspath(path), "w", container_options=options or {}) as output,
        ):
            template = read.streams.video[0]
            opaque = {"opaque": True} if template.codec_context.name == "libdav1d" else {}
            stream = output.add_stream_from_template(template, **opaque)
            for packet in edit([packet for packet in read.demux(template) if packet.size]):
                packet.stream = stream
                output.mux(packet)
        return path

    def turn(self, source, name, matrix):
        """Copy an MP4 clip with (a, b, c, d) as its display matrix."""
        content = bytearray(source.read_bytes())
        # ISO/IEC 14496-12, 8.3.2: version and flags, five times and ids, reserved, layer, volume.
        start = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
        a, b, c, d = (value << 16 for value in matrix)
        content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        return self.write(name, content)

    def write(self, name, content):
        """Write bytes to a file of the folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def decoded(self, path):
        """All frames of a clip in the order in which the decoder gives them."""
        with av.open(os.fspath(path)) as source:
            return list(source.decode(video=0))


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def index_notes(tmp_path, monkeypatch):
    """A cache folder of the test's own; where the notes about frame indices lie."""
    monkeypatch.setenv("HLVID_CACHE", os.fspath(tmp_path / "cache"))
    return Path(tmp_path / "cache" / "frame-index")
