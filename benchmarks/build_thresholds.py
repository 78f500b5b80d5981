"""What the builder's two thresholds let through: control sets made of the photographs that ship.

`detail`: pictures at their own size, made smaller by a quarter, and enlarged again from half or two
thirds of their size, plain and encoded; how many of each kind fall below `min_detail_decibels`.
`dedup`: frames against the same frames encoded, scaled, cropped, brightened or with a mark, and
against all frames of other photographs; how many of each kind are within `max_distance`.

    python benchmarks/build_thresholds.py      # writes benchmarks/results/build_thresholds.jsonl
    python benchmarks/build_thresholds.py --quick
"""

import io
import itertools
from collections import defaultdict
from collections.abc import Iterator
from importlib import resources

import av
import imagehash
import numpy as np
from measure import Rows, parser, result_file
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance

from hlvid.build.detail import detail_decibels
from hlvid.build.likeness import HASH_SIDE, HASHED_SIZE, alike, as_signs
from hlvid.build.spec import DedupRules, ProbeRules

BENCHMARK = "build_thresholds"
DETAIL_SIZE = (2560, 1536)
FRAME_SIZE = (1920, 1080)
FRAMES_A_PHOTOGRAPH = 4
QUALITIES = (23, 33)
"""Constant rate factors of H.264: good, and poor."""
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def photographs(most: int) -> Iterator[tuple[str, Image.Image]]:
    """Those that are large enough for a detail picture, by name."""
    folder = resources.files("hlvid") / "synthetic" / "photographs"
    names = sorted(p.name for p in folder.iterdir() if p.name.endswith(".jpg"))
    found = 0
    for name in names:
        with resources.as_file(folder / name) as path, Image.open(path) as image:
            if min(image.size) >= 1500 and found < most:
                found += 1
                yield name, image.convert("RGB")


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """A picture after H.264: the second of two equal frames."""
    buffer = io.BytesIO()
    options = {"crf": str(quality), "preset": "veryfast"}
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=1, options=options)
        stream.width, stream.height, stream.pix_fmt = *image.size, "yuv420p"
        for number in range(2):
            frame = av.VideoFrame.from_image(image)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        *_, last = container.decode(video=0)
        return last.to_image()


def luma(image: Image.Image) -> NDArray[np.uint8]:
    """Grey levels, (height, width)."""
    return np.asarray(image.convert("L"))


def detail_pictures(image: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """One photograph in every way of the detail control set."""
    width, height = (min(a, b) // 12 * 12 for a, b in zip(image.size, DETAIL_SIZE, strict=True))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    own = image.crop((left, top, left + width, top + height))
    kinds = {"own size": own}
    kinds["three quarters"] = own.resize((width * 3 // 4, height * 3 // 4), FILTERS["lanczos"])
    half = own.resize((width // 2, height // 2), FILTERS["lanczos"])
    for name, resampling in FILTERS.items():
        kinds[f"enlarged twice, {name}"] = half.resize((width, height), resampling)
    thirds = own.resize((width * 2 // 3, height * 2 // 3), FILTERS["lanczos"])
    kinds["enlarged 1.5 times, bicubic"] = thirds.resize((width, height), FILTERS["bicubic"])
    for kind, picture in kinds.items():
        yield kind, picture
        for quality in QUALITIES:
            even = picture.crop((0, 0, picture.width // 2 * 2, picture.height // 2 * 2))
            yield f"{kind}, crf {quality}", encoded(even, quality)


def measure_detail(rows: Rows, most: int) -> None:
    """Add one row a kind of picture."""
    least = ProbeRules().min_detail_decibels
    scores: dict[str, list[float]] = defaultdict(list)
    for _, image in photographs(most):
        for kind, picture in detail_pictures(image):
            scores[kind].append(detail_decibels([luma(picture)]))
    for kind, values in scores.items():
        if rows.find("detail", kind=kind):
            continue
        rows.add(
            "detail",
            kind=kind,
            num_pictures=len(values),
            min_detail_decibels=least,
            decibels=sorted(values),
            num_called_upscaled=sum(value < least for value in values),
        )


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


def signs(images: list[Image.Image]) -> NDArray[np.float32]:
    """(num_images, NUM_BITS): the hashes as `dedup` compares them."""
    small = [image.resize(HASHED_SIZE, FILTERS["bicubic"]) for image in images]
    return as_signs([str(imagehash.phash(image, HASH_SIDE)) for image in small])


def measure_dedup(rows: Rows, most: int) -> None:
    """Add one row a kind of copy, and one for frames of other photographs."""
    rules = DedupRules()
    distances: dict[str, list[float]] = defaultdict(list)
    films: list[NDArray[np.float32]] = []
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
            distances[kind] += ((HASH_SIDE**2 - (plain * other).sum(axis=1)) / 2).tolist()
            shares[kind].append(alike(plain, other, rules.max_distance))
    for one, other in itertools.combinations(films, 2):
        distances["unrelated"] += ((HASH_SIDE**2 - one @ other.T) / 2).ravel().tolist()
        shares["unrelated"].append(alike(one, other, rules.max_distance))
    for kind, values in distances.items():
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
    """Measure both thresholds."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--photographs", type=int, default=12, help="most to use")
    asked = options.parse_args()
    most = 2 if asked.quick else asked.photographs
    with Rows(BENCHMARK, result_file(BENCHMARK, asked), {"photographs": most}) as rows:
        measure_dedup(rows, most)
        measure_detail(rows, most)


if __name__ == "__main__":
    main()
