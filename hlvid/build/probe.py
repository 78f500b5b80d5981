"""Whether a file is what it seems: beginning, middle and end decoded, held against the rules."""

from collections.abc import Iterator, Sequence

import numpy as np

from hlvid.build.codes import Ended
from hlvid.build.detail import Luma, detail_decibels
from hlvid.build.discover import DISCOVER
from hlvid.build.fetch import FETCH
from hlvid.build.likeness import keyframes_sha256, picture_hash
from hlvid.build.records import Media, Probed
from hlvid.build.spec import Doubt, ProbeRules, SelectRules, Spec
from hlvid.build.stage import Desk, Item, Stage
from hlvid.build.work import Work
from hlvid.types import Record, Seconds
from hlvid.video import (
    BrokenVideo,
    LostFrame,
    NotAVideo,
    UnsupportedVideo,
    VideoInfo,
    VideoReader,
)
from hlvid.video_file import is_cut_short

FRAMES_A_PLACE = 3
"""Decoded one after another at the beginning, in the middle and at the end."""
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""ITU-R BT.709-6, 3.2."""


class Suspect(Record):
    """A file that came, and what was said of it."""

    file: Media
    duration_seconds: Seconds | None
    """As the site said it."""
    let_through: tuple[Doubt, ...] = ()
    """What a person found to be wrong of it."""


class Rules(Record):
    """What of the spec a file is held against."""

    select: SelectRules
    probe: ProbeRules


def _inputs(work: Work) -> Iterator[Item[Suspect]]:
    said = {item.id: source.duration_seconds for item, source in work.passed(DISCOVER)}
    let_through = work.spec.probe.let_through
    for item, asset in work.passed(FETCH):
        suspect = Suspect(
            file=asset.file,
            duration_seconds=said[item.id],
            let_through=tuple(sorted(set(let_through.get(item.id, ())))),
        )
        yield Item(item.id, item.candidate, suspect)


def _rules(spec: Spec) -> Rules:
    """The rules without what is let through: of that, each file has its own."""
    return Rules(select=spec.select, probe=spec.probe.model_copy(update={"let_through": {}}))


def _probe(suspect: Suspect, rules: Rules, desk: Desk) -> Probed:
    path = desk.store.path(suspect.file)
    try:
        with VideoReader(path, num_threads=1, accept_hdr=True) as reader:
            _check_info(reader.info, suspect, rules)
            numbers = places(reader.info.num_frames)
            hashes: list[str | None] = []
            score = detail_decibels(_lumas(reader, numbers, hashes))
            num_keyframes = int(reader.index.packets.is_key.sum())
            keyframes = keyframes_sha256(reader.index)
            info = reader.info
    except UnsupportedVideo as error:
        raise Ended("codec", _without_name(error, path.name)) from None
    except NotAVideo as error:
        raise Ended("not_a_video", _without_name(error, path.name)) from None
    except (BrokenVideo, LostFrame) as error:
        code = "truncated" if is_cut_short(path) else "decode_corrupt"
        raise Ended(code, _without_name(error, path.name)) from None
    least = rules.probe.min_detail_decibels
    if score < least and "upscaled" not in suspect.let_through:
        raise Ended("upscaled", f"{score:g} dB of fine detail; at least {least:g} are asked for")
    return Probed(
        file=suspect.file,
        width=info.width,
        height=info.height,
        codec=info.codec,
        pixel_format=info.pixel_format,
        bit_depth=info.bit_depth,
        is_hdr=info.is_hdr,
        matrix=info.matrix,
        transfer=info.transfer,
        primaries=info.primaries,
        is_full_range=info.is_full_range,
        rotation_degrees=info.rotation_degrees,
        fps=round(info.fps, 6),
        is_variable_rate=info.is_variable_rate,
        num_frames=info.num_frames,
        num_keyframes=num_keyframes,
        duration_seconds=round(info.duration_seconds, 6),
        detail_decibels=score,
        frames_decoded=numbers,
        keyframes_sha256=keyframes,
        hashes=tuple(hashes),
    )


def places(num_frames: int) -> tuple[int, ...]:
    """The frames that are decoded: some of the beginning, of the middle and of the end."""
    starts = (0, num_frames // 2, num_frames - FRAMES_A_PLACE)
    wanted = {s + i for s in starts for i in range(FRAMES_A_PLACE)}
    return tuple(sorted(number for number in wanted if 0 <= number < num_frames))


def _lumas(reader: VideoReader, numbers: Sequence[int], hashes: list[str | None]) -> Iterator[Luma]:
    """Luma of the first frame of each place; of every frame its hash is noted."""
    last = -2
    for frame in reader.frames(numbers):
        hashes.append(picture_hash(frame.pixels))
        if frame.index != last + 1:
            yield np.rint(frame.pixels @ _LUMA).astype(np.uint8)
        last = frame.index


def _check_info(info: VideoInfo, suspect: Suspect, rules: Rules) -> None:
    """Hold what the file says of itself against the rules; what is damaged comes first."""
    wanted, seconds = rules.select, info.duration_seconds
    if info.is_truncated:
        raise Ended("truncated", f"{info.num_frames} of {info.num_frames_declared} frames")
    said = suspect.duration_seconds
    if "duration_mismatch" in suspect.let_through:
        said = None
    if said is not None and abs(said - seconds) > rules.probe.duration_tolerance_seconds:
        raise Ended("duration_mismatch", f"{seconds:.3f} s, where the site said {said:g} s")
    if info.codec not in wanted.codecs:
        raise Ended("codec", info.codec)
    # A narrow upright video has many lines and few pixels: its shorter side counts.
    if min(info.width, info.height) < wanted.min_height:
        raise Ended("too_low", f"{info.width}x{info.height}; {wanted.min_height} lines are asked")
    if info.is_hdr:
        raise Ended("hdr", f"{info.transfer}, {info.bit_depth} bits")
    if info.bit_depth > wanted.max_bit_depth:
        raise Ended("bit_depth", f"{info.bit_depth}; at most {wanted.max_bit_depth} are allowed")
    if info.is_variable_rate and not wanted.allow_variable_rate:
        raise Ended("variable_rate")
    if seconds < wanted.min_seconds:
        raise Ended("too_short", f"{seconds:.3f} s; {wanted.min_seconds:g} s are asked for")


def _without_name(error: Exception, name: str) -> str:
    """The sentence without the name of the file, which here is only its digest."""
    return str(error).removeprefix(f"{name}: ").partition(". ")[0]


PROBE: Stage[Suspect, Probed] = Stage(
    name="probe",
    version=6,
    output=Probed,
    inputs=_inputs,
    parameters=_rules,
    perform=_probe,
    after=FETCH,
)
