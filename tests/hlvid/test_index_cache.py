import os
import shutil

import numpy as np
import pytest

from hlvid import index_cache
from hlvid.video import VideoReader


@pytest.fixture
def scans(monkeypatch):
    """The names of the files that were really scanned."""
    names = []
    scan = index_cache.scan
    monkeypatch.setattr(index_cache, "scan", lambda path: names.append(path.name) or scan(path))
    return names


@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_a_scan_is_remembered_whole(clips, index_notes, scans, codec):
    path = clips.make(codec, "mkv")
    first, second = VideoReader(path), VideoReader(path)
    assert scans == [path.name]
    assert second.info == first.info
    for name in ("pts", "is_key", "packet"):
        assert np.array_equal(getattr(second.index, name), getattr(first.index, name))
    assert second.index.time_base == first.index.time_base
    a, b = list(first.frames([5, 20])), list(second.frames([5, 20]))
    assert all(np.array_equal(x.pixels, y.pixels) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_corrupt_note_is_written_anew(clips, index_notes, scans, place):
    path = clips.make()
    VideoReader(path)
    (note,) = index_notes.glob("*.npz")
    good = note.read_bytes()
    bad = bytearray(good)
    bad[place] ^= 0xFF
    for content in (bytes(bad), good[:50], b""):
        note.write_bytes(content)
        assert VideoReader(path).info.num_frames == 30
        assert len(note.read_bytes()) > 500
    assert len(scans) == 4


def test_a_note_of_another_content_is_not_believed(clips, index_notes, scans, tmp_path):
    path = tmp_path / "video.mkv"
    shutil.copy(clips.make("h264", "mkv"), path)
    assert VideoReader(path).info.num_frames == 30
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    size = path.stat().st_size
    other = clips.make("h264", "mkv", name="other", num_frames=20).read_bytes()
    # The same size, and the same time of change.
    path.write_bytes(other[:size] + b"\xec" * max(0, size - len(other)))
    os.utime(path, ns=times)
    assert VideoReader(path).info.num_frames == 20
    assert len(scans) == 2


def test_a_cache_that_cannot_be_written_does_no_harm(clips, tmp_path, monkeypatch):
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("HLVID_CACHE", os.fspath(in_the_way))
    assert len(list(VideoReader(clips.make()).frames([0, 29]))) == 2
