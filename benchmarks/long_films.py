"""Minutes of rendered film, and what copies of them look like: the control set of `dedup`.

Streets seen from a slow and from a fast car, in which one second looks much like another; rooms
that hold still for seconds; and films that are black but for a logo, which all of them show, and a
few seconds of their own. Drawn at two frames a second and made small; every copy is written as a
file and read as `dedup` reads clips.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from measure import Rows
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hlvid.build.dedup import frame_hashes
from hlvid.build.likeness import HASHED_SIZE, Signs, alike, as_signs
from hlvid.build.spec import DedupRules
from hlvid.synthetic import RenderSettings, drawing, generate
from hlvid.video import VideoReader

FPS = 2
WIDTH, HEIGHT = 320, 180
KINDS = {"slow drives": (0, 20), "fast drives": (0, 4), "rooms": (1, 20)}
"""Kind -> index of the video, and how many seconds each evidence can be seen at least, which says
how fast the car may be."""
DARKENED, DARK = "slow drives", "nearly black"
LOGO_SECONDS, OWN_SECONDS = 5, 10
UNRELATED = "another of its kind"

Film = NDArray[np.uint8]
"""(num_frames, HEIGHT, WIDTH, 3) in RGB."""


@dataclass(frozen=True)
class Copy:
    """A film in another guise.

    Args:
        frames: What it shows.
        quality: Constant rate factor of H.264.
        rate: Frames a second.
    """

    frames: Film
    quality: int = 23
    rate: Fraction = Fraction(FPS)


def drawn(kind: str, seed: int, seconds: int) -> Film:
    """A film as the renderer draws it, made small."""
    index, evidence_seconds = KINDS[kind]
    settings = RenderSettings(
        seed=seed, seconds=seconds, fps=FPS, min_evidence_seconds=evidence_seconds
    )
    _, _, scene = generate(settings, index)
    found = np.empty((seconds * FPS, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for number, planes in enumerate(drawing.frames(scene)):
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        small = frame.reformat(WIDTH, HEIGHT, "rgb24", interpolation="AREA")
        found[number] = small.to_ndarray()
    return found


def darkened(film: Film) -> Film:
    """Black but for the logo at the beginning and a few seconds of the film at its end."""
    logo = Image.new("RGB", (WIDTH, HEIGHT))
    ImageDraw.Draw(logo).rectangle((100, 60, 220, 120), fill=(220, 30, 40))
    font = ImageFont.load_default(size=30)
    ImageDraw.Draw(logo).text((WIDTH / 2, HEIGHT / 2), "FILM", "white", font, "mm")
    found = np.zeros_like(film)
    found[: LOGO_SECONDS * FPS] = np.asarray(logo)
    found[-OWN_SECONDS * FPS :] = film[-OWN_SECONDS * FPS :]
    return found


def copies(film: Film) -> Iterator[tuple[str, Copy]]:
    """What a copy of a film may look like."""
    third = len(film) // 3
    cut = np.concatenate(
        (film[:third], film[third + 10 * FPS : 2 * third], film[2 * third + 15 * FPS :])
    )
    yield "encoded, crf 33", Copy(film, quality=33)
    yield "from half a second later", Copy(film[FPS // 2 :])
    yield "without the first 20 s", Copy(film[20 * FPS :])
    yield "30 s of it", Copy(film[third : third + 30 * FPS])
    yield "without 10 s and 15 s inside", Copy(cut)
    for percent in (1, 4):
        yield f"faster by {percent} %", Copy(film, rate=FPS * Fraction(100 + percent, 100))
    for percent in (5, 10):
        dx, dy = WIDTH * percent // 200 // 2 * 2, HEIGHT * percent // 200 // 2 * 2
        yield f"cropped by {percent} %", Copy(film[:, dy : HEIGHT - dy, dx : WIDTH - dx])
    yield "shown backwards", Copy(film[::-1])


def signs(copy: Copy, folder: Path) -> Signs:
    """Its hashes, as `dedup` finds them in a file."""
    path = folder / "film.mp4"
    options = {"crf": str(copy.quality), "preset": "veryfast", "threads": "1"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=copy.rate, options=options)
        stream.height, stream.width = copy.frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(copy.frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            frame.pts, frame.time_base = number, 1 / copy.rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with VideoReader(path, size=HASHED_SIZE, num_threads=1) as reader:
        return as_signs(frame_hashes(reader))


def measure_films(rows: Rows, num_films: int, seconds: int, folder: Path) -> None:
    """Add one row a kind of film and of copy, and one a kind for films that are not copies."""
    for kind in KINDS:
        if rows.find("long film", kind=kind, copy=UNRELATED):
            continue
        films = [drawn(kind, seed, seconds) for seed in range(num_films)]
        if kind == DARKENED and not rows.find("long film", kind=DARK, copy=UNRELATED):
            _measure_kind(rows, DARK, [darkened(film) for film in films], folder)
        _measure_kind(rows, kind, films, folder)


def _measure_kind(rows: Rows, kind: str, films: list[Film], folder: Path) -> None:
    plain = [signs(Copy(film), folder) for film in films]
    rules = DedupRules()
    shares: dict[str, list[float]] = {}
    for film, original in zip(films, plain, strict=True):
        for name, copy in copies(film):
            share = alike(original, signs(copy, folder), rules.max_distance)
            shares.setdefault(name, []).append(share)
    shares[UNRELATED] = [
        alike(one, other, rules.max_distance) for one, other in itertools.combinations(plain, 2)
    ]
    _add(rows, kind, shares, rules.min_share)


def _add(rows: Rows, kind: str, shares: Mapping[str, list[float]], min_share: float) -> None:
    for name, found in shares.items():
        if not rows.find("long film", kind=kind, copy=name):
            rows.add(
                "long film",
                kind=kind,
                copy=name,
                shares=[round(share, 4) for share in found],
                num_pairs=len(found),
                num_called_duplicates=sum(share >= min_share for share in found),
            )
