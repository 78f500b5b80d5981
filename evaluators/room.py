"""Where the exam is sat: what stays the same over a sitting, and what the ledger has of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluators.ahead import Ahead
from evaluators.examinee import Examinee
from evaluators.gazing import Donors, Place
from evaluators.halting import CannotGoOn, Halt
from evaluators.item import Item, LookKey, Sight
from evaluators.ledger import Ledger
from hlvid.types import Evidence, FrameSettings, Prediction, Record

TIMED_ON = "timed_on"
"""Stands beside each answer and look in the ledger."""
UNTIMED: Mapping[str, Any] = {"stage_ms": {}, "peak_memory_bytes": None, "sitting": None}


@dataclass(frozen=True)
class Room:
    """What stays the same over a whole sitting.

    Args:
        examinee: Who is asked.
        frames: How many frames, on what canvas.
        seed: Of the run: order of arms, selectors.
        donors: Where transplanted masks come from.
        scratch: Folder for canvases.
        evidence: Video id -> question id -> evidence; for recall and privileged selectors only.
        ledger: Where finished items are kept; None keeps nothing.
        config: Digest of all that can change an answer, beside question and arm.
        timed_on: Digest of all that can change a time; '' where times mean nothing, as with several
            processes at once. What the ledger has from elsewhere is taken without its times.
        sitting: Digest of the arms that take turns; None where no times are taken.
        halt: Whether the user wants the end.
        prefetch: Decode the next video while one is sat. Times then mean nothing.
        ahead: Gives canvases; `sit` makes it.
        on_item: Called after each finished item with its kind, 'look' or 'answer', and its key.
        on_look: Called after each look with the video's id, the look's key, and what it gave.
    """

    examinee: Examinee
    frames: FrameSettings
    seed: int
    donors: Donors
    scratch: Path
    evidence: Mapping[str, Mapping[str, Sequence[Evidence]]] = field(default_factory=dict)
    ledger: Ledger | None = None
    config: str = ""
    timed_on: str = ""
    sitting: str | None = None
    halt: Halt = field(default_factory=Halt)
    prefetch: bool = False
    ahead: Ahead | None = None
    on_item: Callable[[str, Sequence[str]], None] = lambda kind, key: None
    on_look: Callable[[str, LookKey, Sight], None] = lambda video_id, look, sight: None

    def kept(self, item: Item) -> Prediction | None:
        """The ledger's prediction of an item, also a failed one; None where there is none."""
        value = self._recall_timed("answer", *item.key)
        return None if value is None else Prediction.model_validate(value)

    def answered(self, item: Item) -> Prediction | None:
        """The ledger's prediction of an item; None where there is none, or only a failed one."""
        found = self.kept(item)
        return None if found is None or found.error is not None else found

    def seen(self, video_id: str, look: LookKey) -> Sight | None:
        """The ledger's record of a look at a video; None where there is none for these turns."""
        value = self._recall_timed("look", video_id, *look)
        if value is None:
            return None
        sight = Sight.model_validate(value)
        # What was timed here in other turns is looked at again: it would leave answers untimed.
        is_stale = sight.sitting is not None and sight.sitting != self.sitting is not None
        return None if is_stale else sight

    def keep_answer(self, prediction: Prediction) -> None:
        """Write an answer down and tell of it."""
        key = (prediction.question_id, prediction.arm)
        self._keep("answer", *key, value=self._timed(prediction))
        self.on_item("answer", key)

    def keep_sight(self, video_id: str, look: LookKey, sight: Sight) -> None:
        """Write a look down, where that can be done, and tell of it."""
        key = (video_id, *look)
        if not self.examinee.forgets:
            self._keep("look", *key, value=self._timed(sight))
        self.on_look(video_id, look, sight)
        self.on_item("look", key)

    def keep_pixels(self, place: Place) -> None:
        """Refuse to pair arms over different pixels: what the first one saw, all must see.

        Raises:
            CannotGoOn: The video has changed since a look was written down.
        """
        before = self._recall("canvas", place.video_id)
        if before is None:
            self._keep("canvas", place.video_id, value=place.canvas.sha256)
        elif before != place.canvas.sha256:
            raise CannotGoOn(
                f"video {place.video_id}: its pixels are not those that the finished arms saw. "
                "Put back the file, or choose another --out.",
                exit_code=1,
            )

    def _timed(self, record: Record) -> dict[str, Any]:
        """What is kept of a record: all of it, and under what conditions it was timed."""
        return {**record.model_dump(mode="json"), TIMED_ON: self.timed_on}

    def _recall_timed(self, *key: str) -> dict[str, Any] | None:
        """What was kept of a record, without its times where they were taken elsewhere."""
        if (value := self._recall(*key)) is None:
            return None
        kept = {**value}
        is_ours = kept.pop(TIMED_ON, "") == self.timed_on != ""
        return kept if is_ours else {**kept, **UNTIMED}

    def _recall(self, *key: str) -> Any:  # noqa: ANN401
        return None if self.ledger is None else self.ledger.get("/".join((*key, self.config)))

    def _keep(self, *key: str, value: object) -> None:
        if self.ledger is not None:
            self.ledger.append("/".join((*key, self.config)), value)
