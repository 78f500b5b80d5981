"""Settings that others are meant to repeat, as data files: benchmark, frames, arms, margin."""

from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field

from hlvid.errors import UserError
from hlvid.files import read_json
from hlvid.types import Record


class Preset(Record):
    """One file of `evaluators/presets`."""

    summary: str
    benchmark: str
    num_frames: Annotated[int, Field(gt=0)]
    canvas: str
    """Of models that take one; '' for their own."""
    selectors: tuple[str, ...]
    """As `--selector` takes them, beside `off`."""
    with_controls: bool
    """Whether all controls are added that the sentence 'gaze helps' needs, those among the variants
    that the model knows too."""
    also: tuple[str, ...]
    """As `--also` takes them, of models that know them."""
    margin: Annotated[float, Field(gt=0, lt=1)]
    """Of non-inferiority of the first selector against `off`, as a share."""
    limit: Annotated[int, Field(gt=0)] | None


def presets() -> dict[str, Preset]:
    """All presets by name."""
    with resources.as_file(resources.files("evaluators") / "presets") as folder:
        return {file.stem: read_json(file, Preset) for file in sorted(Path(folder).glob("*.json"))}


def find_preset(name: str) -> Preset:
    """A preset.

    Raises:
        UserError: There is no such preset.
    """
    known = presets()
    if name not in known:
        raise UserError(f"preset {name!r}: is not known. The presets are: {', '.join(known)}.")
    return known[name]
