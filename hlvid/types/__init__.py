"""The records that cross a border: every file this project reads or writes holds one of these.

They are validated at construction and never changed afterwards. Nothing here does I/O, and nothing
here imports another module of ours.
"""

from hlvid.types.exam import Evidence, Marked, Question, Video
from hlvid.types.probes import Probe, ProbeAnswer
from hlvid.types.runs import (
    CHEAPER_OFF,
    LOOPED_ATTENTION,
    OUT_OF_MEMORY,
    SPENDING,
    STOCK_CODE,
    ArmSettings,
    BenchmarkId,
    FrameSettings,
    Grade,
    Hardware,
    ModelId,
    Outcome,
    Prediction,
    Provenance,
    RunRecord,
    Summary,
    TokenCounts,
    Variant,
)
from hlvid.types.values import (
    SCHEMA_VERSION,
    Count,
    Identifier,
    Key,
    Letter,
    Milliseconds,
    Ratio,
    Record,
    Seconds,
    Sha256,
)

__all__ = [
    "CHEAPER_OFF",
    "LOOPED_ATTENTION",
    "OUT_OF_MEMORY",
    "SCHEMA_VERSION",
    "SPENDING",
    "STOCK_CODE",
    "ArmSettings",
    "BenchmarkId",
    "Count",
    "Evidence",
    "FrameSettings",
    "Grade",
    "Hardware",
    "Identifier",
    "Key",
    "Letter",
    "Marked",
    "Milliseconds",
    "ModelId",
    "Outcome",
    "Prediction",
    "Probe",
    "ProbeAnswer",
    "Provenance",
    "Question",
    "Ratio",
    "Record",
    "RunRecord",
    "Seconds",
    "Sha256",
    "Summary",
    "TokenCounts",
    "Variant",
    "Video",
]
