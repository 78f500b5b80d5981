"""The rows of the table of runs, ready to print: every cell is text or a place in a drawing."""

import dataclasses
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hlvid.errors import UserError
from hlvid.files import digest
from hlvid.statistics import QuantileInterval
from hlvid.statistics.pairing import may_time, pair_runs
from hlvid.statistics.ranking import rank_ranges
from hlvid.types import ArmSettings, FrameSettings
from leaderboard import bars, wording
from leaderboard.entries import Entry
from leaderboard.measures import Latency, selector_tax
from leaderboard.seeds import further_seeds

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
VARIANT_ROLES = {
    **dict.fromkeys(("off", "off-stock", "off-bare", "off-generate"), "off"),
    "evs": "selector",
}
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

    slug: str
    """What the run's page is called."""
    arm: str
    model: str
    notes: tuple[str, ...]
    role: str
    rank: str
    accuracy: Cell
    bar: bars.Bar | None
    kept: str
    parse_rate: str
    official: str
    """Accuracy by the benchmark's own marking."""
    recall: Cell
    end_to_end: tuple[Cell, Cell]
    """The 50th and the 90th percentile."""
    without_decode: tuple[Cell, Cell]
    model_only: tuple[Cell, Cell]
    tax: str
    """Share of what gaze saves in the tower that choosing costs."""
    memory: str
    frames: str
    adaptation: str
    machine: str
    """Its letter in the list of machines."""
    badge: str
    division: str
    is_withdrawn: bool


@dataclass(frozen=True)
class Machine:
    """A machine with its software, under a letter: times of two of them are not compared."""

    letter: str
    text: str


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


def run_rows(
    entries: Sequence[Entry], machines: Mapping[str, Machine] | None = None
) -> tuple[tuple[RunRow, ...], tuple[RunRow, ...]]:
    """The rows of one table: those that have a rank, best first, and those that are only shown.

    The model is named where there are several, and stands in the arm's place where all arms are
    off.

    Args:
        entries: Of one benchmark and one kind of model.
        machines: From `machines_of`; without, machines are not told apart.
    """
    ordered = sorted(entries, key=_standing)
    further = further_seeds(entries)
    ranked = [e for e in ordered if not e.unranked_because and e.slug not in further]
    slugs = {entry.slug for entry in ranked}
    has_gaze = any(entry.arm != "off" for entry in entries)
    is_model_named = len({model_name(entry) for entry in entries}) > 1
    offs = {
        e.record.group_id: e
        for e in entries
        if e.arm == "off" and not e.record.repeat and e.standing.withdrawn is None
    }

    def row(entry: Entry, rank: str) -> RunRow:
        machine = (machines or {}).get(machine_key(entry))
        made = _run_row(entry, offs.get(entry.record.group_id))
        why = (further[entry.slug],) if entry.slug in further else ()
        named = dataclasses.replace(
            made,
            notes=(*why, *made.notes),
            rank=rank,
            machine=NOTHING if machine is None else machine.letter,
        )
        if not has_gaze:
            return dataclasses.replace(named, arm=named.model, model="")
        return named if is_model_named else dataclasses.replace(named, model="")

    return (
        tuple(row(e, rank) for e, rank in zip(ranked, _ranks(ranked), strict=True)),
        tuple(row(entry, NOTHING) for entry in ordered if entry.slug not in slugs),
    )


def _ranks(ranked: Sequence[Entry]) -> list[str]:
    """The range of ranks of each entry, by paired tests of all against all."""
    if not ranked:
        return []
    columns = ranked[0].columns
    ranges = rank_ranges(np.stack([e.columns.is_correct for e in ranked]), columns.clusters)
    return [
        str(r.best) if r.best == r.worst else f"{r.best}{wording.DASH}{r.worst}" for r in ranges
    ]


def _standing(entry: Entry) -> tuple[float, str, str]:
    accuracy = -1.0 if entry.accuracy is None else entry.accuracy
    return -accuracy, entry.arm, entry.slug


def machine_key(entry: Entry) -> str:
    """Digest of a run's machine and software."""
    made = entry.record.provenance
    return digest([made.hardware.model_dump(mode="json"), dict(made.software)])


def machines_of(entries: Sequence[Entry]) -> dict[str, Machine]:
    """Machines and their letters (A to Z, then numbers), in the order of the entries."""
    found: dict[str, Machine] = {}
    for entry in entries:
        if (key := machine_key(entry)) in found:
            continue
        number = len(found)
        letter = string.ascii_uppercase[number] if number < 26 else str(number + 1)
        found[key] = Machine(letter, machine_text(entry))
    return found


def machine_text(entry: Entry) -> str:
    """A machine in one line."""
    machine = entry.record.provenance.hardware
    named = [wording.plain(gpu, limit=60) for gpu in machine.gpus[:4]]
    named += [f"{len(machine.gpus) - 4} more"] if len(machine.gpus) > 4 else []
    gpus = wording.listed(named)
    cores = wording.counted(machine.num_cores, "core")
    memory = f"{wording.gibibytes(machine.memory_bytes)} GiB"
    return f"{f'{gpus}; ' if gpus else ''}{wording.plain(machine.cpu, limit=80)}, {cores}, {memory}"


def _run_row(entry: Entry, off: Entry | None) -> RunRow:
    """The row of a run, not ranked yet."""
    record, memory = entry.record, entry.peak_memory_bytes
    accuracy, bar = _accuracy(entry)
    return RunRow(
        slug=entry.slug,
        arm=wording.plain(entry.arm),
        model=model_name(entry),
        notes=(*_reasons(entry), *notes_of(record.arm)),
        role=role_of(record.arm),
        rank=NOTHING,
        accuracy=accuracy,
        bar=bar,
        kept=NOTHING if entry.kept_ratio is None else wording.kept(entry.kept_ratio),
        parse_rate=wording.percent(entry.parse_rate) if entry.accuracy is not None else NOTHING,
        official=NOTHING
        if entry.official is None or entry.accuracy is None
        else wording.percent(entry.official),
        recall=_recall(entry),
        end_to_end=_timings(entry.end_to_end),
        without_decode=_timings(entry.without_decode),
        model_only=_timings(entry.model_only),
        tax=_tax(entry, off),
        memory=NOTHING if memory is None else wording.gibibytes(memory),
        frames=frames_of(record.frames),
        adaptation=NOTHING if record.adaptation == "none" else record.adaptation,
        machine=NOTHING,
        badge=entry.badge,
        division=entry.division,
        is_withdrawn=entry.standing.withdrawn is not None,
    )


def _tax(entry: Entry, off: Entry | None) -> str:
    """Selector tax of a gaze arm against off of its own command, in percent.

    Not told where no speed-up is: between two sittings, or with looped attention.
    """
    if off is None or entry.record.arm.gaze == "off":
        return NOTHING
    try:
        pairs = pair_runs(entry, off)
    except UserError:
        return NOTHING
    if not may_time(entry.record, off.record, pairs):
        return NOTHING
    tax = selector_tax(pairs)
    return NOTHING if tax is None else wording.percent(tax, digits=0)


def model_name(entry: Entry) -> str:
    """The model and its weights, as a table names them: 'ocr (PP-OCRv6)'."""
    model = entry.record.model
    weights = f" ({wording.plain(model.weights, limit=60)})" if model.weights else ""
    tuned = ", fine-tuned" if entry.record.adaptation == "fine-tuned" else ""
    return f"{wording.plain(model.name, limit=60)}{weights}{tuned}"


def frames_of(frames: FrameSettings) -> str:
    """The frames a model saw, and their size."""
    sizes = {"source": "the video's size", "native": "the model's own size"}
    size = sizes.get(frames.canvas) or wording.plain(frames.canvas, limit=24)
    return f"{wording.counted(frames.num_frames, 'frame')} of {size}"


def _reasons(entry: Entry) -> tuple[str, ...]:
    """Which repeat a run is and why it has no rank, but for what its arm's notes already say."""
    reasons = [r for r in entry.unranked_because if r != "privileged selector"]
    return tuple(wording.plain(reason) for reason in reasons)


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
    between = wording.span(wording.percent(found.low), wording.percent(found.high))
    hit = wording.percent(found.temporal_hit, digits=0)
    cover = wording.percent(found.spatial_given_hit, digits=0)
    is_all = found.num_questions == len(entry.columns)
    of = "" if is_all else f", n = {wording.count(found.num_questions)}"
    return Cell(value, f"{between}; {hit} × {cover}{of}")


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
