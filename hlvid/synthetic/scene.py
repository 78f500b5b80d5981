"""What a video shows, as plain data: things with places, layers that move, shots that follow.

All places and speeds are integers, so that boxes and questions come out the same everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hlvid.errors import UserError
from hlvid.synthetic.strings import Split

FRAME_WIDTH = 3840
FRAME_HEIGHT = 2160
Category = Literal["av", "household"]
Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1), half-open."""
Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

COLOURS: dict[str, Colour] = {
    "red": (196, 30, 36),
    "blue": (32, 84, 188),
    "green": (28, 130, 62),
    "yellow": (244, 200, 24),
    "white": (238, 238, 232),
    "orange": (238, 118, 20),
    "purple": (122, 48, 152),
    "black": (32, 32, 36),
    "grey": (138, 142, 146),
    "brown": (112, 72, 44),
}


@dataclass(frozen=True)
class RenderSettings:
    """What the pixels and questions of a video depend on, beside its index.

    Args:
        seed: Another seed, other videos.
        seconds: Length of a video.
        fps: Frames a second that the file really holds.
        min_evidence_seconds: How long each evidence can be seen at least.
        split: Which photographs and strings may be used: the benchmark's, or those that training
            may see.

    Raises:
        UserError: A value is out of range.
    """

    seed: int = 0
    seconds: int = 300
    fps: int = 1
    min_evidence_seconds: int = 20
    split: Split = "benchmark"

    def __post_init__(self) -> None:
        shortest = self.min_evidence_seconds
        limits = {
            "--min-evidence-seconds": (shortest, 1, 120, ""),
            "--seconds": (
                self.seconds,
                max(5 * shortest, 4 * shortest + 4),
                3600,
                f" (room for evidence of {shortest} s)",
            ),
            "--fps": (self.fps, 1, 60, ""),
            "--seed": (self.seed, 0, 2**63 - 1, ""),
        }
        for name, (value, low, high, why) in limits.items():
            if not low <= value <= high:
                raise UserError(f"{name}: {value} is not allowed. Allowed is {low}{why} to {high}.")


@dataclass(frozen=True)
class Thing:
    """One object of the scene.

    Args:
        kind: What it is: 'shop', 'car', 'book', ...
        x: Left edge in its layer, when the layer's shot starts.
        y: Top edge.
        width: In pixels, as drawn without its shadow.
        height: In pixels.
        colour: A name of `COLOURS`.
        anchor: The large word on it that no other thing of the video bears; '' for none.
        string: The small text that a question may ask for; '' for none.
        mark: Colour name of its small coloured part; '' for none.
        count: How many of the small things that can be counted it has.
        variant: Which of its looks it has.
    """

    kind: str
    x: int
    y: int
    width: int
    height: int
    colour: str = "white"
    anchor: str = ""
    string: str = ""
    mark: str = ""
    count: int = 0
    variant: int = 0

    @property
    def box(self) -> Box:
        """Where it is in its layer."""
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True)
class Layer:
    """Things at one distance, moving together.

    Args:
        speed: Pixels a second to the right; negative to the left, 0 for a shot that holds still.
        things: From back to front.
    """

    speed: int
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Shot:
    """What is seen between two cuts, in whole seconds, half-open; layers from back to front."""

    start_seconds: int
    end_seconds: int
    place: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Scene:
    """A whole video before it is drawn."""

    video_id: str
    category: Category
    settings: RenderSettings
    shots: tuple[Shot, ...]

    def placed(self) -> Iterator[tuple[Shot, Layer, Thing]]:
        """Every thing with the layer and the shot it is in."""
        for shot in self.shots:
            for layer in shot.layers:
                for thing in layer.things:
                    yield shot, layer, thing


def visible_tenths(shot: Shot, speed: int, box: Box) -> tuple[int, int]:
    """When a box of a layer is wholly in the frame, in tenths of a second, half-open.

    Args:
        shot: The shot that the layer is in.
        speed: Of the layer, pixels a second to the right.
        box: In the layer, when the shot starts.

    Returns:
        Start and end, rounded inward; the end is not after the start where it never is.
    """
    start, end = 10 * shot.start_seconds, 10 * shot.end_seconds
    x0, _, x1, _ = box
    if speed == 0:
        return (start, end) if x0 >= 0 and x1 <= FRAME_WIDTH else (start, start)
    pace = abs(speed)
    if speed < 0:
        enters, leaves = x1 - FRAME_WIDTH, x0
    else:
        enters, leaves = -x0, FRAME_WIDTH - x1
    first = -(-10 * enters // pace)
    last = 10 * leaves // pace
    return max(start, start + first), min(end, start + last)
