"""Photographs that an installed package carries: more to pan over than the few that ship.

They are trained on and chosen by, and never measured on. Each is free of terms by what the
package's documentation says of it; those of which it says nothing are left alone.
"""

from __future__ import annotations

from importlib import metadata

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gaze.train.clips import Split
from hlvid.errors import UserError

CARRIER = "scikit-image"
PREFIX = f"{CARRIER}/"
"""Of their names, to tell them from the photographs that ship."""
CARRIED: dict[str, Split] = {
    "astronaut.png": "training",
    "brick.png": "training",
    "camera.png": "training",
    "chelsea.png": "training",
    "coffee.png": "validation",
    "coins.png": "training",
    "grass.png": "training",
    "gravel.png": "training",
    "hubble_deep_field.jpg": "training",
    "retina.jpg": "training",
    "rocket.jpg": "validation",
}
"""CC0-1.0 or in the public domain, of `coins.png` no copyright is known: `skimage.data` of
scikit-image 0.26 says so of each. Of `motorcycle_left.png` it says nothing."""


def names(split: Split) -> tuple[str, ...]:
    """The photographs of a split; there is none for the test."""
    return tuple(PREFIX + name for name, kind in CARRIED.items() if kind == split)


def pixels(name: str) -> NDArray[np.uint8]:
    """A photograph, (height, width, 3).

    Raises:
        UserError: The package is not installed, or carries it no more.
    """
    try:
        files = metadata.files(CARRIER) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parent.name == "data" and file.name == name.removeprefix(PREFIX):
            with Image.open(str(file.locate())) as image:
                return np.asarray(image.convert("RGB"))
    raise UserError(
        f"{name}: is not installed. Install with: pip install 'hlvid[train]', or set "
        "[data] carried = 0."
    )
