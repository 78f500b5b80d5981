"""The lock: which questions are in the set, in which split, with which letters; never rewritten.

It is a JSON Lines file beside the spec, to which lines are only ever appended. A question's number,
split and letters are decided once, by digests under the spec's salt, and then copied from line to
line: later versions never move them. Each line holds the rules that decided, so that whoever has
the lock can see that nobody chose by hand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hlvid.build.deciding import Decisions, Policy, Undecided, keyed_digest
from hlvid.build.questions import Draft, read_file
from hlvid.build.records import Text
from hlvid.build.set_rules import SplitName, SplitRules, Version
from hlvid.errors import UserError
from hlvid.files import canonical_json, digest, id_order
from hlvid.types import Count, Identifier, Record, Sha256

LOCK_FILE = "splits.lock.jsonl"
MAX_LOCK_LINES = 1_000_000
MAX_TURNS = 1000

_DECIDED = ("number", "split", "order", "policy")
"""Of a line: what is decided once."""

Event = Literal["added", "changed", "withdrawn", "restored"]


class LockLine(Record):
    """What happened to a question in a version."""

    version: Version
    event: Event
    question_id: Identifier
    """As its author named it."""
    number: Count
    """As it is published."""
    split: SplitName
    order: Annotated[tuple[Count, ...], Field(min_length=2, max_length=26)]
    """Which option, the right one being 0, stands at A, at B and so on."""
    group_id: Identifier
    sources: tuple[Identifier, ...] = ()
    """Candidates whose clips its group has or had: none of them may go to another split."""
    category: Text
    content_sha256: Sha256
    """Of all of it that is published, the bytes of its clip included."""
    policy: Policy | None = None
    """What split and order follow from; None where they are those of a release of others."""
    reason: Text | None = None
    """Why it was withdrawn."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"order {list(self.order)} is no order of {len(self.order)} options")
        if (self.event == "withdrawn") != (self.reason is not None):
            raise ValueError(f"event {self.event} contradicts the presence of a reason")
        return self

    @property
    def undecided(self) -> Undecided:
        """What of it its split and order follow from."""
        return Undecided(
            self.question_id, self.category, len(self.order), self.group_id, self.sources
        )

    @property
    def letter(self) -> str:
        """Of the right option."""
        return chr(ord("A") + self.order.index(0))

    def holds(self, member: "Member") -> bool:
        """Whether a question is still what was locked."""
        return (self.content_sha256, self.group_id, self.category, len(self.order)) == (
            content_sha256(member.draft, member.clip_sha256),
            member.group_id,
            member.category,
            len(member.draft.choices),
        )


@dataclass(frozen=True)
class Member:
    """A question that is to be in the set."""

    draft: Draft
    group_id: str
    category: str
    clip_sha256: str | None = None
    """None where the clip is not at hand."""
    sources: tuple[str, ...] = ()
    """Candidates of the clips of its group."""

    @property
    def undecided(self) -> Undecided:
        """What of it decides about its split and letters."""
        num = len(self.draft.choices)
        return Undecided(self.draft.question_id, self.category, num, self.group_id, self.sources)


class Lock:
    """The lines of a lock, in order.

    Raises:
        UserError: They contradict each other; the sentence names the line.
    """

    def __init__(self, lines: Iterable[LockLine] = ()) -> None:
        self.lines: list[LockLine] = []
        self.last: dict[str, LockLine] = {}
        """Question -> its last line, in the order in which they were added."""
        for number, line in enumerate(lines, start=1):
            self._check(line, f"{LOCK_FILE}:{number}")
            self._append(line)

    @property
    def active(self) -> list[LockLine]:
        """The last lines of the questions that are in the set, in their order."""
        return [line for line in self.last.values() if line.event != "withdrawn"]

    @property
    def version(self) -> str:
        """The last one."""
        return self.lines[-1].version if self.lines else "0.0.0"

    def to_bytes(self) -> bytes:
        """The file."""
        return b"".join(canonical_json(line) + b"\n" for line in self.lines)

    def _append(self, line: LockLine) -> None:
        self.lines.append(line)
        self.last[line.question_id] = line

    def _check(self, line: LockLine, where: str) -> None:
        before = self.last.get(line.question_id)
        if (line.event == "added") != (before is None):
            raise UserError(f"{where}: question {line.question_id} is {line.event} out of turn.")
        if version_key(line.version) < version_key(self.version):
            raise UserError(f"{where}: version {line.version} follows {self.version}.")
        if before is None:
            return
        if (before.event == "withdrawn") != (line.event == "restored"):
            raise UserError(f"{where}: question {line.question_id} is {line.event} out of turn.")
        for field in _DECIDED:
            if getattr(before, field) != getattr(line, field):
                raise UserError(
                    f"{where}: {field} of question {line.question_id} was moved. "
                    "Put back the lock as it was: what is in it never changes."
                )

    def unfounded(self) -> Iterator[str]:
        """The questions whose split or letters do not follow from the policy in their line.

        Raises:
            UserError: Questions were added in more turns than are looked at.
        """
        before, num_turns = Lock(), 0
        decisions: Decisions | None = None
        for line in self.lines:
            if line.event == "added" and line.policy is not None:
                if decisions is None:
                    decisions, num_turns = before.decisions(), num_turns + 1
                if num_turns > MAX_TURNS:
                    raise UserError(
                        f"{LOCK_FILE}: adds questions in more than {MAX_TURNS} turns. That is the "
                        "most that is looked at."
                    )
                if decisions.take(line.undecided, line.policy) != (line.split, line.order):
                    decisions = None
                    yield line.question_id
            else:
                decisions = None
            before._append(line)

    def extend(
        self,
        members: Sequence[Member],
        gone: Mapping[str, str],
        rules: SplitRules,
        *,
        group_by_channel: bool = False,
    ) -> list[LockLine]:
        """Append what is new, changed, withdrawn or restored.

        Args:
            members: All questions that are to be in the set.
            gone: Question -> why it is not.
            rules: Version, salt and shares for what is new.
            group_by_channel: Whether the groups of the members are of whole channels.

        Returns:
            The lines that were appended.

        Raises:
            UserError: The version is older than the last one, a locked question is neither a
                member nor gone, its number of options changed, clips of two splits have turned
                out to belong together, or channels that were kept together no longer are.
        """
        if version_key(rules.version) < version_key(self.version):
            raise UserError(
                f"split.version: {rules.version} is older than {self.version} in {LOCK_FILE}. "
                "Allowed is that version or a newer one."
            )
        if not group_by_channel and any(p.group_by_channel for p in self._policies()):
            raise UserError(
                f"dedup.group_by_channel: is false, and {LOCK_FILE} was made with true. Allowed is "
                "true: what it kept together would be parted."
            )
        by_id = {member.draft.question_id: member for member in members}
        added = [m for m in members if m.draft.question_id not in self.last]
        lines = [
            line
            for before in list(self.last.values())
            if (line := _follow(before, by_id.get(before.question_id), gone, rules))
        ]
        for line in lines:
            self._append(line)
        decisions = self.decisions()
        policy = Policy(salt=rules.salt, shares=rules.shares, group_by_channel=group_by_channel)
        number = max((line.number for line in self.last.values()), default=-1) + 1
        for member in sorted(added, key=lambda m: keyed_digest(rules.salt, m.draft.question_id)):
            split, order = decisions.take(member.undecided, policy)
            decided = {"number": number, "split": split, "order": order, "policy": policy}
            lines.append(_line(member, rules.version, "added", decided))
            self._append(lines[-1])
            number += 1
        return lines

    def _policies(self) -> Iterator[Policy]:
        return (line.policy for line in self.lines if line.policy is not None)

    def decisions(self) -> Decisions:
        """What goes on from here."""
        taken = ((line.split, line.category, line.order.index(0)) for line in self.active)
        return Decisions(self._splits_of_groups(), taken)

    def _splits_of_groups(self) -> dict[str, str]:
        """Each group and each source of a group -> its split, though all of it was withdrawn."""
        found: dict[str, str] = {}
        for line in self.active:
            split = found.setdefault(line.group_id, line.split)
            if split != line.split:
                raise UserError(
                    f"group {line.group_id}: has questions in {split} and in {line.split}, since "
                    "clips that were locked apart have turned out to show the same. Take one of "
                    f"them down, or rule against question {line.question_id}.",
                    exit_code=1,
                )
        for line in (*self.active, *self.lines):
            for name in (line.group_id, *line.sources):
                found.setdefault(name, line.split)
        return found


def _follow(
    before: LockLine, member: Member | None, gone: Mapping[str, str], rules: SplitRules
) -> LockLine | None:
    """What happened to a locked question, or None."""
    name = before.question_id
    if member is None:
        if before.event == "withdrawn":
            return None
        if name not in gone:
            raise UserError(
                f"question {name}: is in {LOCK_FILE}, and nothing says what became of it. Run the "
                "stages before split, or put it back among the questions.",
                exit_code=1,
            )
        fields = {"version": rules.version, "event": "withdrawn", "reason": gone[name]}
        return before.model_copy(update=fields)
    if len(member.draft.choices) != len(before.order):
        raise UserError(
            f"question {name}: has {len(member.draft.choices)} options, and {len(before.order)} in "
            f"{LOCK_FILE}. Give it a new id: letters that were published do not move.",
            exit_code=1,
        )
    event: Event = "restored" if before.event == "withdrawn" else "changed"
    sources = tuple(sorted({*before.sources, *member.sources}, key=id_order))
    if event == "changed" and before.holds(member) and sources == before.sources:
        return None
    member = replace(member, sources=sources)
    decided = {field: getattr(before, field) for field in _DECIDED}
    return _line(member, rules.version, event, decided)


def _line(member: Member, version: str, event: Event, decided: Mapping[str, Any]) -> LockLine:
    return LockLine(
        **decided,
        version=version,
        event=event,
        question_id=member.draft.question_id,
        group_id=member.group_id,
        sources=member.sources,
        category=member.category,
        content_sha256=content_sha256(member.draft, member.clip_sha256),
    )


def content_sha256(draft: Draft, clip_sha256: str | None) -> str:
    """Digest of all of a question that is published, the bytes of its clip included."""
    return digest({**draft.model_dump(mode="json", exclude={"author"}), "clip_sha256": clip_sha256})


def version_key(version: str) -> tuple[int, ...]:
    """Orders versions: '1.10.0' is newer than '1.9.0'."""
    return tuple(int(part) for part in version.split("."))


def lock_path(spec_folder: Path) -> Path:
    """Where the lock lies: beside the spec."""
    return spec_folder / LOCK_FILE


def read_lock(path: Path) -> Lock:
    """Read a lock; an empty one where there is no file.

    Raises:
        UserError: It is not in order.
    """
    if not path.exists():
        return Lock()
    return Lock(read_file(path, LockLine, max_lines=MAX_LOCK_LINES))
