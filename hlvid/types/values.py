"""The values that records are made of, and what all records share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SCHEMA_VERSION = 1
"""Raised when a field changes meaning; a reader refuses a version it does not know."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@#+-]{0,199}$")]
"""An id that is safe as a file name and a table cell: no separators, no spaces, no markup."""
Letter = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Ratio = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Key = tuple[float, float, float, float, float]
"""(time_seconds, x0, y0, x1, y1): a box at one moment, in pixels of the displayed frame."""


class Record(BaseModel):
    """What all wire types share: frozen, no unknown field, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
