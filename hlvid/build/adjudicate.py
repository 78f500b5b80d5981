"""Which questions are kept: those that others answered as their author did, or a person ruled on.

Nothing is dropped silently: a question that somebody answered otherwise, or that a check doubts,
waits for a ruling, and the ruling and its reason stay in the manifest.
"""

from collections.abc import Iterator, Sequence

from hlvid.build.agreement import krippendorff_alpha, percent_agreement
from hlvid.build.audit import AUDIT, Audited
from hlvid.build.codes import Ended
from hlvid.build.lint import Flag, written
from hlvid.build.measuring import Measured
from hlvid.build.probes import orders
from hlvid.build.questions import Draft, Reply, Ruling
from hlvid.build.records import Clip, Output, Text
from hlvid.build.set_rules import QuestionRules
from hlvid.build.spec import Spec
from hlvid.build.stage import Desk, Item, Stage
from hlvid.build.work import Work
from hlvid.types import Count, Identifier, Record


class Dispute(Record):
    """A question with all that was said of it."""

    audited: Audited
    replies: tuple[Reply, ...]
    ruling: Ruling | None


class Contested(Dispute):
    """One that people rule on differently."""

    by: tuple[Identifier, ...]
    """They: pseudonyms."""


class Settled(Output):
    """A question that is kept."""

    draft: Draft
    category: Text
    clip: Clip
    group_id: Identifier
    flags: tuple[Flag, ...]
    measured: tuple[Measured, ...]
    num_replies: Count
    num_agreeing: Count
    """Replies that chose the right option."""
    ruling: Ruling | None


def _inputs(work: Work) -> Iterator[Item[Dispute]]:
    said = written(work)
    for item, audited in work.passed(AUDIT):
        replies, ruling = said.replies.get(item.id, ()), said.rulings.get(item.id)
        dispute = Dispute(audited=audited, replies=replies, ruling=ruling)
        if by := said.contested.get(item.id):
            dispute = Contested(audited=audited, replies=replies, ruling=None, by=by)
        yield Item(item.id, item.candidate, dispute)


def _rules(spec: Spec) -> QuestionRules:
    return spec.questions


def _adjudicate(dispute: Dispute, rules: QuestionRules, desk: Desk) -> Settled:
    draft, ruling, replies = dispute.audited.linted.draft, dispute.ruling, dispute.replies
    if isinstance(dispute, Contested):
        raise Ended("disputed", f"{' and '.join(dispute.by)} rule differently")
    if ruling is not None and ruling.decision == "reject":
        raise Ended("ruled_out", ruling.reason)
    if ruling is None and len(replies) < rules.num_replies:
        raise Ended("needs_replies", f"{len(replies)} of {rules.num_replies}")
    others = [reply for reply in replies if reply.choice != draft.choices[0]]
    doubts = [f.check for f in dispute.audited.flags if f.check not in rules.ignored_flags]
    if ruling is None and (others or doubts):
        told = [f"{len(others)} of {len(replies)} answered otherwise"] if others else []
        raise Ended("disputed", ", ".join([*told, *doubts]))
    linted = dispute.audited.linted
    return Settled(
        draft=draft,
        category=linted.category,
        clip=linted.clip,
        group_id=linted.group_id,
        flags=dispute.audited.flags,
        measured=dispute.audited.measured,
        num_replies=len(replies),
        num_agreeing=len(replies) - len(others),
        ruling=ruling,
    )


def agreement(questions: Sequence[tuple[Draft, Sequence[Reply]]]) -> dict[str, float | None]:
    """Percent agreement and alpha of those who answered blind, over letters as they were shown.

    Counting letters, and not "the right one", keeps chance at what it was for those who answered.
    """
    units = []
    for draft, replies in questions:
        shown = [draft.choices[i] for i in orders(draft)[0]]
        units.append([-1 if r.choice is None else shown.index(r.choice) for r in replies])
    return {"percent": percent_agreement(units), "krippendorff_alpha": krippendorff_alpha(units)}


ADJUDICATE: Stage[Dispute, Settled] = Stage(
    name="adjudicate",
    version=1,
    output=Settled,
    inputs=_inputs,
    parameters=_rules,
    perform=_adjudicate,
    runs_on="here",
    after=AUDIT,
)
