"""Clips made of pictures: a camera pans, zooms and turns over one while things move across it.

After the scanning windows of arXiv 2603.12254, appendix B. A clip depends on its seed and index
alone, and costs a few milliseconds: a photograph is opened once and kept at halved sizes, a frame
is one affine look-up in the size that needs no filter.
"""

from __future__ import annotations

import functools
import io
import math
import string
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gaze.train import carried, painted
from gaze.train.clips import Clip, Split, draws
from hlvid.synthetic import photographs
from hlvid.synthetic.lettering import FONTS

VALIDATION = ("analogpattern_by_Peter_Nerlich.jpg", "greentock_by_Peter_Nerlich.jpg")
"""Photographs that are not reserved, but that training does not pan over either. The renderer's
training scenes may be textured with parts of them."""
DRIFTING = 0.15
"""Share of clips whose exposure drifts. That a level changes a little each frame, and not at all
from place to place, is what a model sees last."""
_PICTURES_AT_ONCE, _CLIPS_A_PICTURE = 3, 12
_LETTERS = string.ascii_uppercase + string.digits + "   "


def names(split: Split) -> tuple[str, ...]:
    """The photographs of a split; those of `test` are the reserved ones, opened for it alone."""
    if split == "test":
        return photographs.names("benchmark")
    open_to_all = photographs.names("training")
    return tuple(name for name in open_to_all if (name in VALIDATION) == (split == "validation"))


@dataclass(frozen=True)
class MovingClips:
    """Clips over the photographs of a split.

    Args:
        split: Whose photographs.
        seed: Another seed, other clips.
        num_frames: T.
        size: S, pixels of a side.
        drifting: Share whose exposure drifts.
    """

    split: Split
    seed: int
    num_frames: int
    size: int = 224
    drifting: float = DRIFTING

    def clip(self, index: int) -> Clip:
        """One clip; its source is the photograph behind everything."""
        rng = draws(self._kind, self.split, self.seed, index)
        files = self._files(index)
        behind = files[int(rng.integers(len(files)))]
        cut = self.num_frames
        if rng.random() < 0.1 and self.num_frames > 1:
            cut = int(rng.integers(1, self.num_frames))
        frames = _pan(behind, rng, cut, self.size)
        if cut < self.num_frames:
            after = files[int(rng.integers(len(files)))]
            frames += _pan(after, rng, self.num_frames - cut, self.size)
        for _ in range(int(rng.choice(4, p=(0.3, 0.35, 0.2, 0.15)))):
            front = files[int(rng.integers(len(files)))]
            _cross(frames, front, rng, self.size)
        pixels = np.stack([np.asarray(frame) for frame in frames])
        return Clip(_as_filmed(pixels, rng, self.drifting), behind)

    _kind = "moving"

    def _files(self, index: int) -> tuple[str, ...]:
        """The pictures of a clip."""
        del index
        return names(self.split)


@dataclass(frozen=True)
class PaintedClips(MovingClips):
    """The same over pictures of `gaze.train.painted`; a few serve some clips in turn."""

    _kind = "painted"

    def _files(self, index: int) -> tuple[str, ...]:
        first = (self.seed * 2**20 + index // _CLIPS_A_PICTURE) * _PICTURES_AT_ONCE
        return tuple(painted.name_of(self.split, first + i) for i in range(_PICTURES_AT_ONCE))


@dataclass(frozen=True)
class CarriedClips(MovingClips):
    """The same over the photographs of `gaze.train.carried`."""

    _kind = "carried"

    def _files(self, index: int) -> tuple[str, ...]:
        del index
        return carried.names(self.split)


def _pan(file: str, rng: np.random.Generator, num_frames: int, size: int) -> list[Image.Image]:
    """A camera's path over a photograph."""
    width, height = _levels(file)[0].size
    reach = math.hypot(size, size) / 2
    zoom = _between(rng, 0.7, 0.98 * min(height, width) / 2 / reach)  # photograph pixels a pixel
    x, y = (_inside(rng.random() * side, zoom * reach, side) for side in (width, height))
    angle = float(rng.normal(0, 0.15))
    speed = _between(rng, 0.3, 24.0) * zoom if rng.random() < 0.7 else 0.0
    course = rng.uniform(0, 2 * math.pi)
    growth = float(rng.normal(0, 0.02)) if rng.random() < 0.3 else 0.0
    turn = float(rng.normal(0, 0.02)) if rng.random() < 0.2 else 0.0
    shake = _between(rng, 0.2, 3.0) * zoom if rng.random() < 0.2 else 0.0
    is_still = speed == growth == turn == shake == 0
    frames: list[Image.Image] = []
    for frame in range(num_frames):
        if frame and is_still:
            frames.append(frames[0].copy())
            continue
        here = x + float(rng.normal(0, shake)), y + float(rng.normal(0, shake))
        frames.append(_look(file, here, zoom, angle, size))
        course += float(rng.normal(0, 0.1))
        zoom = min(zoom * math.exp(growth), 0.98 * min(height, width) / 2 / reach)
        angle += turn
        x = _inside(x + speed * math.cos(course), zoom * reach, width)
        y = _inside(y + speed * math.sin(course), zoom * reach, height)
    return frames


def _look(
    file: str, centre: tuple[float, float], zoom: float, angle: float, size: int
) -> Image.Image:
    """What a camera sees: a turned square around a place."""
    level = max(0, min(round(math.log2(zoom)), _NUM_LEVELS - 1))
    image, shrink = _levels(file)[level], 2.0**level
    cos, sin = zoom / shrink * math.cos(angle), zoom / shrink * math.sin(angle)
    x, y = centre[0] / shrink, centre[1] / shrink
    half = size / 2
    matrix = (cos, -sin, x - half * (cos - sin), sin, cos, y - half * (sin + cos))
    return image.transform(
        (size, size), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR
    )


_NUM_LEVELS = 4


@functools.lru_cache(maxsize=8)
def _levels(file: str) -> tuple[Image.Image, ...]:
    """A picture, whole and halved again and again."""
    found = [Image.fromarray(_picture(file))]
    while len(found) < _NUM_LEVELS:
        found.append(found[-1].reduce(2))
    return tuple(found)


def _picture(file: str) -> NDArray[np.uint8]:
    """A picture by its name, (height, width, 3)."""
    if file.startswith(painted.PREFIX):
        return painted.picture(file)
    if file.startswith(carried.PREFIX):
        return carried.pixels(file)
    return photographs.pixels(file)


def _cross(frames: list[Image.Image], file: str, rng: np.random.Generator, size: int) -> None:
    """Let one thing move across the frames, or rest in them."""
    wide, high = (max(6, round(_between(rng, 0.04, 0.5) * size)) for _ in range(2))
    thing, mask = _sign(rng, wide, high) if rng.random() < 0.3 else _cutting(file, rng, wide, high)
    x, y = (rng.random() * size - side / 2 for side in (wide, high))
    speed = _between(rng, 0.5, 30.0) if rng.random() < 0.8 else 0.0
    course = rng.uniform(0, 2 * math.pi)
    first = int(rng.integers(len(frames))) if rng.random() < 0.2 else 0  # it may turn up later
    for frame in frames[first:]:
        frame.paste(thing, (round(x), round(y)), mask)
        x, y = x + speed * math.cos(course), y + speed * math.sin(course)


def _cutting(
    file: str, rng: np.random.Generator, wide: int, high: int
) -> tuple[Image.Image, Image.Image]:
    """A piece of a photograph, round or square."""
    level = int(rng.integers(_NUM_LEVELS))
    image = _levels(file)[level]
    wide, high = min(wide, image.width), min(high, image.height)
    x = int(rng.integers(image.width - wide + 1))
    y = int(rng.integers(image.height - high + 1))
    mask = Image.new("L", (wide, high), 0)
    draw = ImageDraw.Draw(mask)
    if rng.random() < 0.5:
        draw.ellipse((0, 0, wide - 1, high - 1), fill=255)
    else:
        draw.rectangle((0, 0, wide, high), fill=255)
    return image.crop((x, y, x + wide, y + high)), mask


def _sign(rng: np.random.Generator, wide: int, high: int) -> tuple[Image.Image, Image.Image]:
    """A panel with lines of letters."""
    back, ink = (tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2))
    panel = Image.new("RGB", (wide, high), back)
    draw = ImageDraw.Draw(panel)
    letter = round(_between(rng, 7, 36))
    font = _font(sorted(FONTS)[int(rng.integers(len(FONTS)))], letter)
    for top in range(2, high, round(1.3 * letter)):
        line = "".join(_LETTERS[i] for i in rng.integers(0, len(_LETTERS), wide // letter + 2))
        draw.text((2, top), line, font=font, fill=ink)
    return panel, Image.new("L", panel.size, 255)


@functools.lru_cache(maxsize=128)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    path = resources.files("hlvid.synthetic") / "fonts" / f"{FONTS[name]}.ttf"
    with path.open("rb") as file:
        return ImageFont.truetype(io.BytesIO(file.read()), size)


def _as_filmed(
    pixels: NDArray[np.uint8], rng: np.random.Generator, drifting: float
) -> NDArray[np.uint8]:
    """Turn (T, S, S, 3) frames into (T, 3, S, S) as another camera would have taken them."""
    pixels = pixels[:, :, ::-1] if rng.random() < 0.5 else pixels
    pixels = pixels[:, ::-1] if rng.random() < 0.1 else pixels
    channels = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    pixels = np.ascontiguousarray(pixels[..., channels].transpose(0, 3, 1, 2))
    gain, lift = rng.uniform(0.6, 1.2), rng.uniform(-25, 25)
    drift = float(rng.normal(0, 3)) if rng.random() < drifting else 0.0
    levels = np.arange(256) * gain + lift
    for frame in range(len(pixels)):
        table = np.clip(np.rint(levels + drift * frame), 0, 255).astype(np.uint8)
        pixels[frame] = table[pixels[frame]]
    if rng.random() < 0.3:
        sigma = rng.uniform(0.5, 4.0)
        grain = _grain(int(rng.integers(8)))
        for frame in pixels:
            x, y = rng.integers(0, grain.shape[1] - frame.shape[1] + 1, 2)
            moved = grain[y : y + frame.shape[1], x : x + frame.shape[2]] * sigma
            np.clip(frame + np.rint(moved), 0, 255, out=frame, casting="unsafe")
    return pixels


@functools.lru_cache(maxsize=8)
def _grain(number: int) -> NDArray[np.float32]:
    """Normal noise, to be shown from another corner each frame."""
    return draws("grain", number).standard_normal((320, 320), dtype=np.float32)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number in [low, high], its logarithm evenly spread."""
    return float(low * (high / low) ** rng.random())


def _inside(place: float, margin: float, side: int) -> float:
    return min(max(place, margin), side - margin)
