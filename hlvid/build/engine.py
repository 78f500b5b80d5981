"""Running a stage: what is left to do is done, noted, and published as a manifest.

    tally = run_stage(work, PROBE, num_workers=2)

A run may be killed at any moment and started again: what was noted is not done again, what was not
noted is, and the store is the same afterwards as if nothing had happened.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hlvid.build import journal, pool
from hlvid.build.codes import CODES, check_codes
from hlvid.build.pacing import Pacer
from hlvid.build.performing import stops
from hlvid.build.stage import Stage, Task, scratch_name, sweep
from hlvid.build.work import Work
from hlvid.errors import UserError
from hlvid.files import digest_records, shown

PAUSE_FILE = "pause.json"
Tell = Callable[[int, str], None]
"""(tasks done since, what was done last)."""


@dataclass(frozen=True)
class Shard:
    """One of several disjoint parts of the work, by the digest of an item's id.

    Args:
        index: From 0.
        count: How many parts there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read '3/8', the fourth of eight.

        Raises:
            UserError: It is not of that form, or out of range.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        index, count = (int(part) for part in found.groups()) if found else (0, 0)
        if not index < count:
            raise UserError(
                f"--shard: {shown(text)} is not a shard. Allowed are 0/N to N-1/N, such as "
                "$SLURM_ARRAY_TASK_ID/8 with --array=0-7."
            )
        return cls(index, count)

    def holds(self, item: str) -> bool:
        """Whether an item belongs to this part; adding others never moves it."""
        number = int.from_bytes(hashlib.sha256(item.encode()).digest()[:8], "big")
        return number % self.count == self.index

    @property
    def file_name(self) -> str:
        """Of its journal."""
        return f"{self.index}-of-{self.count}.jsonl"


@dataclass(frozen=True)
class Tally:
    """What a stage looks like after a run."""

    stage: str
    num_items: int
    num_done_now: int
    num_pending: int
    counts: Mapping[str, int]
    """State, or 'state code' where there is a code -> how many items."""
    manifest_sha256: str


def run_stage(
    work: Work,
    stage: Stage[Any, Any],
    *,
    num_workers: int = 1,
    shard: Shard | None = None,
    only: str | None = None,
    retry: Sequence[str] = (),
    anew: frozenset[str] = frozenset(),
    tell: Tell | None = None,
) -> Tally:
    """Do what is left of a stage and publish its manifest.

    Args:
        work: The work folder under the spec of now.
        stage: The stage.
        num_workers: Processes; 0 to do all of it in this one. Network stages use threads, as many
            as the spec says.
        shard: The part to do; all by default.
        only: One item or candidate; None for all.
        retry: Codes that are tried again although they would not be.
        anew: Candidates that are done again although they passed, whatever bytes they had: their
            source was mended.
        tell: Called after each task.

    Raises:
        UserError: The work cannot go on until a person acts; what was done is safe.
    """
    shard = shard or Shard()
    check_codes(tuple(retry))
    if stage.runs_on == "network" and shard.count > 1:
        raise UserError(
            f"{stage.name}: cannot be sharded. It stays on one host, so that one pace holds for "
            "all requests; shard the stages after it."
        )
    todo = work.todo(stage, retry=retry, only=only, anew=anew)
    if stage.needs_all and stage.after is not None and work.num_pending(stage.after):
        todo = []
    todo = [task for task in todo if shard.holds(task.item.id)]
    if shard.count == 1:
        wanted = frozenset(scratch_name(stage.name, t.key) for t in work.tasks(stage))
        sweep(work.folder, stage.name, wanted)
    stopped_by = _do(work, stage, todo, num_workers, shard, anew, tell) if todo else None
    sha256 = work.publish(stage)
    if stopped_by is not None:
        code = CODES[stopped_by]
        raise UserError(
            f"{stage.name}: stopped ({stopped_by}). {code.advice} The same command goes on.",
            exit_code=1,
        )
    return _tally(work, stage, len(todo), sha256)


def _do(
    work: Work,
    stage: Stage[Any, Any],
    todo: Sequence[Task[Any]],
    num_workers: int,
    shard: Shard,
    anew: frozenset[str],
    tell: Tell | None,
) -> str | None:
    """Do tasks and note each; the code that stopped the run, if one did."""
    lines = work.lines(stage)
    with journal.Writer(work.journal_folder(stage) / shard.file_name) as writer:
        done = _executed(work, stage, todo, num_workers, anew)
        try:
            for task, finished in done:
                known = lines.get(task.key)
                attempt = known.attempt + 1 if known else 0
                writer.write(journal.make_line(finished.entry, finished.note, attempt=attempt))
                if tell:
                    tell(1, f"{task.item.id} {finished.code or 'passed'}")
                if stops(finished.code):
                    return finished.code
        finally:
            done.close()
    return None


def _executed(
    work: Work,
    stage: Stage[Any, Any],
    todo: Sequence[Task[Any]],
    num_workers: int,
    anew: frozenset[str],
) -> Generator[pool.Done, None, None]:
    if stage.runs_on == "network":
        rules = work.spec.fetch
        pacer = Pacer(work.folder / PAUSE_FILE, seconds_between=rules.seconds_between)
        lines = work.lines(stage)
        return pool.in_threads(
            todo,
            work.bench,
            num_workers=rules.num_parallel,
            pacer=pacer,
            pins=lambda task: None if task.item.candidate in anew else _pin(lines.get(task.key)),
        )
    if num_workers == 0 or stage.runs_on == "here":
        return pool.in_this_process(todo, work.bench)
    return pool.in_processes(todo, work.bench, num_workers=num_workers)


def _pin(line: journal.Line | None) -> str | None:
    """Digest of the object that a task gave when it last passed."""
    if line is None:
        return None
    known = line.note.get("pin")
    output = line.entry.get("output")
    if output is not None:
        known = output["file"]["sha256"]
    return known if isinstance(known, str) else None


def _tally(work: Work, stage: Stage[Any, Any], num_done_now: int, sha256: str) -> Tally:
    entries = work.entries(stage)
    counts = Counter(f"{e.state} {e.code}" if e.code else str(e.state) for e in entries)
    return Tally(
        stage=stage.name,
        num_items=len(work.tasks(stage)),
        num_done_now=num_done_now,
        num_pending=work.num_pending(stage),
        counts=dict(sorted(counts.items())),
        manifest_sha256=sha256,
    )


def manifest_digests(work: Work, stages: Sequence[Stage[Any, Any]]) -> dict[str, str]:
    """Stage -> digest of its manifest as the journals give it, whatever lies in the folder."""
    return {stage.name: digest_records(work.entries(stage)) for stage in stages}
