"""Remembering what a scan found: one note a video, in the cache folder.

A note is believed only if its own digest is right and the video has the path, size, time and the
first and last bytes that it was written for. Otherwise the video is scanned again.
"""

import dataclasses
import hashlib
import io
import json
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from hlvid.errors import UserError
from hlvid.files import cache_dir, canonical_json, write_bytes
from hlvid.frame_index import FrameIndex, Packets
from hlvid.video_file import container_of
from hlvid.video_info import VideoInfo, scan

FORMAT = 1
"""Raised when a note's content changes meaning."""
_EDGE_BYTES = 65536
_DIGEST_BYTES = 32


def cached_scan(path: Path) -> tuple[VideoInfo, FrameIndex]:
    """`hlvid.video_info.scan`, remembered as long as the file stays the same.

    Raises:
        VideoError: The file cannot be read; a subclass tells why.
    """
    container_of(path)
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    note = cache_dir() / "frame-index" / f"{name}.npz"
    key = _key(path)
    if known := _recall(note, key):
        return known
    found = scan(path)
    if _key(path) == key:
        # A cache that cannot be written costs time, never the result.
        with suppress(UserError):
            write_bytes(note, [_pack(key, *found)])
    return found


def _key(path: Path) -> str:
    """What a note was written for, in one word."""
    with path.open("rb") as file:
        head = file.read(_EDGE_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _EDGE_BYTES))
        tail = file.read(_EDGE_BYTES)
        modified_ns = os.fstat(file.fileno()).st_mtime_ns
    fields = [
        field.name for field in (*dataclasses.fields(VideoInfo), *dataclasses.fields(Packets))
    ]
    where = os.fsencode(path.resolve()).hex()
    software = [FORMAT, fields, av.__version__, av.library_versions]
    state = hashlib.sha256(canonical_json([*software, where, size, modified_ns]))
    state.update(head)
    state.update(tail)
    return state.hexdigest()


def _pack(key: str, info: VideoInfo, index: FrameIndex) -> bytes:
    packets = index.packets
    time_base = (index.time_base.numerator, index.time_base.denominator)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        key=np.array(key),
        info=np.array(json.dumps(dataclasses.asdict(info))),
        time_base=np.array(time_base, dtype=np.int64),
        is_counted=np.array(index.is_counted),
        pts=index.pts,
        is_key=index.is_key,
        packet=index.packet,
        packets_pts=packets.pts,
        packets_dts=packets.dts,
        packets_position_bytes=packets.position_bytes,
        packets_is_key=packets.is_key,
        packets_is_shown=packets.is_shown,
    )
    content = file.getvalue()
    return hashlib.sha256(content).digest() + content


def _recall(note: Path, key: str) -> tuple[VideoInfo, FrameIndex] | None:
    try:
        data = note.read_bytes()
    except OSError:
        return None
    content = data[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != data[:_DIGEST_BYTES]:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        if str(saved["key"]) != key:
            return None
        numerator, denominator = saved["time_base"].tolist()
        fields = [field.name for field in dataclasses.fields(Packets)]
        index = FrameIndex(
            time_base=Fraction(numerator, denominator),
            pts=saved["pts"],
            is_key=saved["is_key"],
            packet=saved["packet"],
            packets=Packets(**{name: saved[f"packets_{name}"] for name in fields}),
            is_counted=bool(saved["is_counted"]),
        )
        return VideoInfo(**json.loads(str(saved["info"]))), index
