"""What the builder's threshold of detail lets through, on a control set of photographs that ship.

`detail`: pictures at their own size, made smaller by a quarter, and enlarged again from half or two
thirds of their size, with a caption, bars or a clock laid over them afterwards, plain and encoded;
how many of each kind fall below `min_detail_decibels`.

What it takes for a copy is measured by `build_copies.py`.

    python benchmarks/build_thresholds.py      # writes benchmarks/results/build_thresholds.jsonl
    python benchmarks/build_thresholds.py --quick
"""

import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import resources

import av
import numpy as np
from measure import Rows, parser, result_file
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hlvid.build.detail import detail_decibels
from hlvid.build.spec import ProbeRules

BENCHMARK = "build_thresholds"
DETAIL_SIZE = (2560, 1536)
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


def captioned(image: Image.Image) -> Image.Image:
    """With two outlined lines of words at the bottom."""
    return written(
        image,
        "And what did they see from the bridge\nwhen the last train had left the station?",
        at=(0.5, 0.96),
        height=0.045,
        anchor="md",
    )


def with_a_clock(image: Image.Image) -> Image.Image:
    """With what a dashboard camera writes at the top."""
    words = "2024-05-17 13:07:42  52 km/h  N 48.20 E 16.37"
    return written(image, words, at=(0.02, 0.02), height=0.028, anchor="la")


def written(
    image: Image.Image, words: str, *, at: tuple[float, float], height: float, anchor: str
) -> Image.Image:
    """With words in white, outlined in black; places and sizes as shares of the picture."""
    marked = image.copy()
    font = ImageFont.load_default(size=round(image.height * height))
    place = image.width * at[0], image.height * at[1]
    outline = max(1, image.height // 540)
    ImageDraw.Draw(marked).multiline_text(
        place, words, "white", font, anchor, align="center", stroke_width=outline, stroke_fill=0
    )
    return marked


def with_bars(image: Image.Image) -> Image.Image:
    """With black bars that leave 2.39:1."""
    marked = image.copy()
    width, height = image.size
    bar = round((height - width / 2.39) / 2)
    draw = ImageDraw.Draw(marked)
    draw.rectangle((0, 0, width, bar - 1), fill=0)
    draw.rectangle((0, height - bar, width, height), fill=0)
    return marked


LAID_OVER: dict[str, Callable[[Image.Image], Image.Image]] = {
    ", captioned": captioned,
    ", with a clock": with_a_clock,
    ", with bars": with_bars,
}


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
    for kind in list(kinds):
        if kind == "own size" or kind.startswith("enlarged twice"):
            for what, lay_over in LAID_OVER.items():
                kinds[kind + what] = lay_over(kinds[kind])
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


def main() -> None:
    """Measure how many of each kind are called enlarged."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--photographs", type=int, default=12, help="most to use")
    asked = options.parse_args()
    most = 2 if asked.quick else asked.photographs
    with Rows(BENCHMARK, result_file(BENCHMARK, asked), {"photographs": most}) as rows:
        measure_detail(rows, most)


if __name__ == "__main__":
    main()
