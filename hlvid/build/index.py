"""The list of a clip's frames, beside the clip: what a reader would find by reading all packets.

The file is canonical JSON: `time_base` as [numerator, denominator] of seconds a tick; `frames`, in
presentation order, with `pts`, `is_key` and `packet` (its number in decoding order); and `packets`,
in decoding order, with `pts`, `dts`, `position_bytes` and `is_key`. Lists of one table are equally
long; None stands for what a packet does not have.
"""

from collections.abc import Iterator
from typing import Any

from hlvid.build.clip import CLIP, clips_of
from hlvid.build.records import Clip, Indexed
from hlvid.build.stage import Desk, Item, Nothing, Stage, no_parameters
from hlvid.build.work import Work
from hlvid.files import canonical_json
from hlvid.frame_index import MISSING, FrameIndex, Int64
from hlvid.video import VideoReader


def _inputs(work: Work) -> Iterator[Item[Clip]]:
    for candidate, clip in clips_of(work):
        yield Item(clip.clip_id, candidate, clip)


def _index(clip: Clip, parameters: Nothing, desk: Desk) -> Indexed:
    with VideoReader(desk.store.path(clip.file), num_threads=1, accept_hdr=True) as reader:
        content = tables(reader.index)
    with desk.scratch() as folder:
        part = folder / "index.json"
        part.write_bytes(canonical_json(content))
        return Indexed(clip=clip, index=desk.store.put(part))


def tables(index: FrameIndex) -> dict[str, Any]:
    """The frames and packets of a video as plain JSON."""
    packets = index.packets
    return {
        "time_base": [index.time_base.numerator, index.time_base.denominator],
        "frames": {
            "pts": index.pts.tolist(),
            "is_key": index.is_key.tolist(),
            "packet": index.packet.tolist(),
        },
        "packets": {
            "pts": _known(packets.pts),
            "dts": _known(packets.dts),
            "position_bytes": _known(packets.position_bytes),
            "is_key": packets.is_key.tolist(),
        },
    }


def _known(values: Int64) -> list[int | None]:
    return [None if value == MISSING else value for value in values.tolist()]


INDEX: Stage[Clip, Indexed] = Stage(
    name="index",
    version=1,
    output=Indexed,
    inputs=_inputs,
    parameters=no_parameters,
    perform=_index,
    after=CLIP,
)
