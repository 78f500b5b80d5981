"""The rows of the table of runs, ready to print: every cell is text or a place in a drawing."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from hlvid.statistics import QuantileInterval
from hlvid.types import ArmSettings, FrameSettings
from leaderboard import bars, wording
from leaderboard.entries import Entry
from leaderboard.measures import Latency

NOTHING = "\N{EN DASH}"
"""What a cell says where there is no such number."""
CONTENT_FREE = frozenset(
    ("all", "random", "uniform", "centre", "centre-frame", "random-matched", "transplanted")
)
"""Selectors that choose without looking at the video: whatever they keep is luck."""
ROLES = {
    "off": "off: keeps all tokens",
    "selector": "selector: looks at the video",
    "marked": "selector with a note",
    "content-free": "control: chooses without looking",
    "privileged": "privileged: is told what no user knows",
}
"""Role of an arm -> its words in a legend. Each role has a shape of its own, not only a colour."""
VARIANT_ROLES = {"off": "off", "off-stock": "off", "off-bare": "off", "evs": "selector"}
"""Arms without a selector; those that see less without choosing are controls."""
ACCURACY_AXIS = bars.share_axis()


@dataclass(frozen=True)
class Cell:
    """A value, and in small print what bounds it or why it is missing."""

    value: str
    span: str = ""


@dataclass(frozen=True)
class RunRow:
    """One run in a table."""

    anchor: str
    """Where on the page the run's settings stand."""
    arm: str
    model: str
    notes: tuple[str, ...]
    role: str
    rank: str
    accuracy: Cell
    bar: bars.Bar | None
    kept: str
    parse_rate: str
    recall: Cell
    end_to_end: tuple[Cell, Cell]
    """The 50th and the 90th percentile."""
    model_only: tuple[Cell, Cell]
    memory: str
    frames: str


def role_of(arm: ArmSettings) -> str:
    """How an arm is drawn: a key of ROLES."""
    if arm.selector is None:
        return VARIANT_ROLES.get(arm.variant or "off", "content-free")
    if arm.privileged:
        return "privileged"
    if arm.selector.partition(":")[0] in CONTENT_FREE:
        return "content-free"
    return "marked" if arm.notes else "selector"


def notes_of(arm: ArmSettings) -> tuple[str, ...]:
    """What every table must say beside an arm, harmless to print."""
    notes = tuple(wording.plain(note, limit=160) for note in arm.notes)
    if arm.privileged and not any(note.startswith("privileged") for note in notes):
        return ("privileged", *notes)
    return notes


def run_rows(entries: Sequence[Entry]) -> tuple[tuple[RunRow, ...], tuple[RunRow, ...]]:
    """The rows of one table: those that have a rank, best first, and those that are only shown.

    Equal accuracies share a rank. The model is named where there are several, and stands in the
    arm's place where all arms are off.
    """
    ordered = sorted(entries, key=_standing)
    ranked = [entry for entry in ordered if not entry.unranked_because]
    scores = [entry.accuracy for entry in ranked]
    has_gaze = any(entry.arm != "off" for entry in entries)
    is_model_named = len({model_name(entry) for entry in entries}) > 1

    def row(entry: Entry, rank: str) -> RunRow:
        named = dataclasses.replace(_run_row(entry), rank=rank)
        if not has_gaze:
            return dataclasses.replace(named, arm=named.model, model="")
        return named if is_model_named else dataclasses.replace(named, model="")

    return (
        tuple(row(e, str(scores.index(s) + 1)) for e, s in zip(ranked, scores, strict=True)),
        tuple(row(entry, NOTHING) for entry in ordered if entry.unranked_because),
    )


def _standing(entry: Entry) -> tuple[float, str, str]:
    accuracy = -1.0 if entry.accuracy is None else entry.accuracy
    return -accuracy, entry.arm, entry.record.run_id


def _run_row(entry: Entry) -> RunRow:
    """The row of a run, not ranked yet."""
    record, memory = entry.record, entry.peak_memory_bytes
    accuracy, bar = _accuracy(entry)
    return RunRow(
        anchor=f"run-{record.run_id}",
        arm=wording.plain(entry.arm),
        model=model_name(entry),
        notes=(*_reasons(entry), *notes_of(record.arm)),
        role=role_of(record.arm),
        rank=NOTHING,
        accuracy=accuracy,
        bar=bar,
        kept=NOTHING if entry.kept_ratio is None else wording.kept(entry.kept_ratio),
        parse_rate=wording.percent(entry.parse_rate) if entry.accuracy is not None else NOTHING,
        recall=_recall(entry),
        end_to_end=_timings(entry.end_to_end),
        model_only=_timings(entry.model_only),
        memory=NOTHING if memory is None else wording.gibibytes(memory),
        frames=frames_of(record.frames),
    )


def model_name(entry: Entry) -> str:
    """The model and its weights, as a table names them: 'ocr (PP-OCRv6)'."""
    model = entry.record.model
    weights = f" ({wording.plain(model.weights, limit=60)})" if model.weights else ""
    tuned = ", fine-tuned" if entry.record.adaptation == "fine-tuned" else ""
    return f"{wording.plain(model.name, limit=60)}{weights}{tuned}"


def frames_of(frames: FrameSettings) -> str:
    """The frames a model saw, and their size where it is not that of the video."""
    text = wording.counted(frames.num_frames, "frame")
    if frames.canvas == "source":
        return text
    return f"{text} of {wording.plain(frames.canvas, limit=24)}"


def _reasons(entry: Entry) -> tuple[str, ...]:
    """Which repeat a run is and why it has no rank, but for what its arm's notes already say."""
    repeat = entry.record.repeat
    repeats = (f"repeat {wording.count(repeat)}",) if repeat else ()
    return (*repeats, *(r for r in entry.unranked_because if r != "privileged selector"))


def _accuracy(entry: Entry) -> tuple[Cell, bars.Bar | None]:
    summary = entry.record.summary
    if summary is None or entry.accuracy is None:
        return Cell(NOTHING), None
    low, high = summary.accuracy_low, summary.accuracy_high
    return (
        Cell(
            wording.percent(summary.accuracy),
            wording.span(wording.percent(low), wording.percent(high)),
        ),
        ACCURACY_AXIS.bar(summary.accuracy, low, high, entry.chance),
    )


def _recall(entry: Entry) -> Cell:
    found = entry.recall
    if found is None:
        return Cell(NOTHING)
    value = wording.percent(found.recall)
    if found.spatial_given_hit is None:
        return Cell(value, "no frame hit")
    hit = wording.percent(found.temporal_hit, digits=0)
    cover = wording.percent(found.spatial_given_hit, digits=0)
    is_all = found.num_questions == len(entry.columns)
    of = "" if is_all else f", n = {wording.count(found.num_questions)}"
    return Cell(value, f"{hit} × {cover}{of}")


def _timings(latency: Latency | None) -> tuple[Cell, Cell]:
    if latency is None:
        return Cell(NOTHING), Cell(NOTHING)
    return _percentile(latency.p50, latency), _percentile(latency.p90, latency)


def _percentile(quantile: QuantileInterval, latency: Latency) -> Cell:
    """A percentile with its interval, or why it is not printed."""
    if quantile.low is None or quantile.high is None:
        return Cell("n/a", wording.counted(latency.num_videos, "video"))
    value, low, high = (wording.seconds(ms) for ms in (quantile.value, quantile.low, quantile.high))
    return Cell(value, "" if value == low == high else wording.span(low, high))
