"""What the builder takes for a copy: photographs that ship, and minutes of rendered film.

`dedup`: films of a few windows of a photograph against the same encoded, scaled, cropped,
brightened or with a mark, and against those of other photographs; how far frames are apart, and how
many films are called duplicates.
`long film`: see `long_films.py`.

    python benchmarks/build_copies.py      # writes benchmarks/results/build_copies.jsonl
    python benchmarks/build_copies.py --quick
"""

import itertools
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from build_thresholds import QUALITIES, encoded, photographs
from long_films import measure_films
from measure import Rows, parser, result_file
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance

from hlvid.build.likeness import NUM_BITS, Signs, alike, as_signs, picture_hash
from hlvid.build.spec import DedupRules

BENCHMARK = "build_copies"
FRAME_SIZE = (1920, 1080)
FRAMES_A_PHOTOGRAPH = 4


def frames(image: Image.Image) -> list[Image.Image]:
    """Windows that wander over a photograph."""
    width, height = FRAME_SIZE
    scale = max(width * 1.2 / image.width, height * 1.2 / image.height)
    large = image.resize((round(image.width * scale), round(image.height * scale)))
    steps = [(large.width - width) * i // FRAMES_A_PHOTOGRAPH for i in range(FRAMES_A_PHOTOGRAPH)]
    return [large.crop((x, 0, x + width, height)) for x in steps]


def versions(frame: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """What a copy of a film may look like."""
    width, height = frame.size
    for quality in QUALITIES:
        yield f"encoded, crf {quality}", encoded(frame, quality)
    yield "scaled to a third, encoded", encoded(frame.resize((width // 3, height // 3)), 28)
    yield "brightened by 20 %", ImageEnhance.Brightness(frame).enhance(1.2)
    marked = frame.copy()
    ImageDraw.Draw(marked).rectangle((40, 40, 340, 160), fill=(255, 255, 255))
    yield "with a mark", marked
    for percent in (2, 5, 10, 15):
        dx, dy = width * percent // 200, height * percent // 200
        yield f"cropped by {percent} %", frame.crop((dx, dy, width - dx, height - dy))


def signs(images: list[Image.Image]) -> Signs:
    """The hashes as `dedup` compares them."""
    return as_signs([picture_hash(np.asarray(image)) for image in images])


def distances(one: Signs, other: Signs) -> NDArray[np.float64]:
    """(n, m): in how many bits frames differ that are not empty."""
    products = one[:, :NUM_BITS].astype(float) @ other[:, :NUM_BITS].astype(float).T
    found: NDArray[np.float64] = (NUM_BITS - products) / 2
    return found


def measure_dedup(rows: Rows, most: int) -> None:
    """Add one row a kind of copy, and one for frames of other photographs."""
    rules = DedupRules()
    apart: dict[str, list[float]] = defaultdict(list)
    films: list[Signs] = []
    shares: dict[str, list[float]] = defaultdict(list)
    for _, image in photographs(most):
        originals = frames(image)
        plain = signs(originals)
        films.append(plain)
        copies: dict[str, list[Image.Image]] = defaultdict(list)
        for original in originals:
            for kind, copy in versions(original):
                copies[kind].append(copy)
        for kind, images in copies.items():
            other = signs(images)
            apart[kind] += distances(plain, other).diagonal().tolist()
            shares[kind].append(alike(plain, other, rules.max_distance))
    for one, other in itertools.combinations(films, 2):
        apart["unrelated"] += distances(one, other).ravel().tolist()
        shares["unrelated"].append(alike(one, other, rules.max_distance))
    for kind, values in apart.items():
        if rows.find("dedup", kind=kind):
            continue
        quantiles = np.quantile(values, (0, 0.05, 0.5, 0.95, 1))
        rows.add(
            "dedup",
            kind=kind,
            num_pairs_of_frames=len(values),
            max_distance=rules.max_distance,
            min_share=rules.min_share,
            distance_quantiles_0_5_50_95_100=[float(q) for q in quantiles],
            num_films=len(shares[kind]),
            num_called_duplicates=sum(share >= rules.min_share for share in shares[kind]),
        )


def main() -> None:
    """Measure what is told and what is missed."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--photographs", type=int, default=12, help="most to use")
    options.add_argument("--films", type=int, default=3, help="rendered ones of each kind")
    options.add_argument("--seconds", type=int, default=100, help="length of these")
    asked = options.parse_args()
    most, num_films, seconds = (
        (2, 2, 100) if asked.quick else (asked.photographs, asked.films, asked.seconds)
    )
    settings = {"photographs": most, "films": num_films, "seconds": seconds}
    with Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows:
        with tempfile.TemporaryDirectory() as folder:
            measure_films(rows, num_films, seconds, Path(folder))
        measure_dedup(rows, most)


if __name__ == "__main__":
    main()
