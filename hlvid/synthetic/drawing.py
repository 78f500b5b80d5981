"""From a scene to frames: things are painted once, then laid over each other in planes of YUV.

A frame is 4:2:0 planes of 8 bits, BT.709, limited range: a copy a layer, one blend a thing with
soft edges and one addition of noise are all that a frame costs.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image

from hlvid.synthetic.chance import Chance
from hlvid.synthetic.paint_decor import DECOR, MOVING
from hlvid.synthetic.paint_home import HOME
from hlvid.synthetic.paint_street import STREET
from hlvid.synthetic.scene import FRAME_HEIGHT, FRAME_WIDTH, Scene, Shot, Thing
from hlvid.synthetic.sheet import Sheet
from hlvid.synthetic.strings import Split

Plane = NDArray[np.uint8]

_PAINTERS = {**STREET, **DECOR, **HOME}
_REACH = 80
"""How far shadows and handles of things that move stick out of their boxes, at most."""
_NOISE_SPARE = 256
_NOISE_SIGMA = 1.1
_MAX_NOISE = 4
_LOW, _HIGH = 16 + _MAX_NOISE, 235 - _MAX_NOISE
"""Luma keeps clear of the ends of its range by the largest noise, so that adding never wraps."""


@dataclass(frozen=True)
class _Sprite:
    """A painted thing: planes of (height, width) and (height / 2, width / 2), opacity 0 to 255."""

    left: int
    top: int
    y: Plane
    u: Plane
    v: Plane
    alpha: Plane | None
    alpha_half: Plane | None


class Frame:
    """One frame of 4:2:0 planes in one block of memory, (height * 3 / 2, width)."""

    def __init__(self) -> None:
        self.block: Plane = np.zeros((FRAME_HEIGHT * 3 // 2, FRAME_WIDTH), dtype=np.uint8)
        size = FRAME_HEIGHT // 2, FRAME_WIDTH // 2
        chroma = self.block[FRAME_HEIGHT:].reshape(2, *size)
        self.y, self.u, self.v = self.block[:FRAME_HEIGHT], chroma[0], chroma[1]

    def lay(self, sprite: _Sprite, dx: int) -> None:
        """Lay a sprite over the frame, `dx` pixels (even) to the right of its own place."""
        left, top = sprite.left + dx, sprite.top
        height, width = sprite.y.shape
        x0, x1 = max(0, left), min(FRAME_WIDTH, left + width)
        y0, y1 = max(0, top), min(FRAME_HEIGHT, top + height)
        if x0 >= x1 or y0 >= y1:
            return
        part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        half = tuple(slice(s.start // 2, s.stop // 2) for s in part)
        into = slice(y0, y1), slice(x0, x1)
        into_half = tuple(slice(s.start // 2, s.stop // 2) for s in into)
        if sprite.alpha is None or sprite.alpha_half is None:
            self.y[into] = sprite.y[part]
            self.u[into_half], self.v[into_half] = sprite.u[half], sprite.v[half]
        else:
            _blend(self.y[into], sprite.y[part], sprite.alpha[part])
            _blend(self.u[into_half], sprite.u[half], sprite.alpha_half[half])
            _blend(self.v[into_half], sprite.v[half], sprite.alpha_half[half])


def _blend(under: Plane, over: Plane, alpha: Plane) -> None:
    """Lay `over` on `under` with an opacity of alpha / 255, in 16-bit integers."""
    share = alpha.astype(np.uint16)
    mixed = under * (255 - share) + over * share
    under[:] = (mixed + 127) // 255


def frames(scene: Scene) -> Iterator[Plane]:
    """The frames of a video in order.

    Yields:
        Planes of YUV 4:2:0 as one array, (height * 3 / 2, width), as `av.VideoFrame.from_ndarray`
        takes them; overwritten by the next.
    """
    fps = scene.settings.fps
    for shot in scene.shots:
        drawer = _ShotDrawer(shot, scene.settings.split)
        for index in range(shot.start_seconds * fps, shot.end_seconds * fps):
            yield drawer.frame(index, fps, Chance(scene.video_id, "noise", index))


def frame_at(scene: Scene, seconds: int) -> Plane:
    """The frame of one moment alone, the same as in `frames`."""
    fps = scene.settings.fps
    index = seconds * fps
    shot = next(s for s in scene.shots if s.start_seconds <= seconds < s.end_seconds)
    drawer = _ShotDrawer(shot, scene.settings.split)
    return drawer.frame(index, fps, Chance(scene.video_id, "noise", index))


class _ShotDrawer:
    """Draws the frames of one shot; things that hold still are laid only once."""

    def __init__(self, shot: Shot, split: Split) -> None:
        self._shot = shot
        self._split = split
        self._frame = Frame()
        self._still: Plane | None = None

    def frame(self, index: int, fps: int, noise: Chance) -> Plane:
        """The frame `index / fps` seconds after the start of the video."""
        number = index - self._shot.start_seconds * fps
        if all(layer.speed == 0 for layer in self._shot.layers):
            self._lay_still()
        else:
            self._lay_moving(number, fps)
        for layer in self._shot.layers:
            for thing in layer.things:
                if thing.kind in MOVING:
                    self._frame.lay(_paint_moving(thing, self._split, number / fps), 0)
        _add_noise(self._frame, noise)
        return self._frame.block

    def _lay_still(self) -> None:
        if self._still is None:
            for layer in self._shot.layers:
                for thing in layer.things:
                    if thing.kind not in MOVING:
                        self._frame.lay(_paint(thing, self._split), 0)
            self._still = self._frame.block.copy()
        else:
            self._frame.block[:] = self._still

    def _lay_moving(self, number: int, fps: int) -> None:
        for layer in self._shot.layers:
            # Even, so that a sprite's chroma never falls between two samples.
            shift = layer.speed * number // fps // 2 * 2
            for thing in layer.things:
                left = thing.x + shift
                if left - _REACH < FRAME_WIDTH and left + thing.width + _REACH > 0:
                    # At the layer's left edge: what looks the same is painted once.
                    sprite = _paint_once(replace(thing, x=0), self._split)
                    self._frame.lay(sprite, left)


@functools.lru_cache(maxsize=40)
def _paint_once(thing: Thing, split: Split) -> _Sprite:
    """Painted the first time that it comes into view, and kept for a while."""
    return _paint(thing, split)


def _paint(thing: Thing, split: Split) -> _Sprite:
    margin, painter = _PAINTERS[thing.kind]
    sheet = Sheet(thing.box, margin, split)
    painter(sheet, thing)
    return _sprite(sheet)


def _paint_moving(thing: Thing, split: Split, seconds: float) -> _Sprite:
    margin, painter = MOVING[thing.kind]
    sheet = Sheet(thing.box, margin, split)
    painter(sheet, thing, seconds)
    return _sprite(sheet)


def _sprite(sheet: Sheet) -> _Sprite:
    """Turn a painted sheet into planes."""
    y, u, v = _yuv(np.asarray(sheet.image.convert("RGB")))
    opacity = sheet.image.getchannel("A")
    if opacity.getextrema() == (255, 255):
        return _Sprite(sheet.left, sheet.top, y, u, v, None, None)
    half = opacity.resize((u.shape[1], u.shape[0]), Image.Resampling.BOX)
    return _Sprite(sheet.left, sheet.top, y, u, v, np.asarray(opacity), np.asarray(half))


def _yuv(rgb: Plane) -> tuple[Plane, Plane, Plane]:
    """RGB (height, width, 3), both even, to planes of BT.709 in limited range."""
    height, width = rgb.shape[:2]
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    converted = frame.reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    block = np.asarray(converted.to_ndarray(), dtype=np.uint8)
    y = np.clip(block[:height], _LOW, _HIGH)
    chroma = block[height:].reshape(2, height // 2, width // 2)
    return y, chroma[0], chroma[1]


def _add_noise(frame: Frame, chance: Chance) -> None:
    """Sensor noise: a fixed field, moved to another place every frame."""
    x, y = chance.below(_NOISE_SPARE), chance.below(_NOISE_SPARE)
    field = _noise_field()[y : y + FRAME_HEIGHT, x : x + FRAME_WIDTH]
    np.add(frame.y, field, out=frame.y)


@functools.cache
def _noise_field() -> Plane:
    """Rounded normal noise as bytes that wrap: adding 255 takes one away."""
    rng = np.random.Generator(np.random.PCG64(20260))
    size = FRAME_HEIGHT + _NOISE_SPARE, FRAME_WIDTH + _NOISE_SPARE
    noise = np.rint(rng.standard_normal(size, dtype=np.float32) * _NOISE_SIGMA)
    field: Plane = np.clip(noise, -_MAX_NOISE, _MAX_NOISE).astype(np.int8).view(np.uint8)
    return field
