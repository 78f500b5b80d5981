"""What can be told of a question by reading it: rules that it must keep, and doubts to look at.

A broken rule rejects a question. A doubt is a flag: a person rules on it, since each of these
checks is wrong now and then. `hlvid.build.controls` holds, for every check, questions that it
must notice and questions that it must let pass.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from hlvid.build.codes import CODES, Ended, clean
from hlvid.build.dedup import DEDUP
from hlvid.build.discover import DISCOVER
from hlvid.build.questions import Draft, Written, read
from hlvid.build.records import Clip, Output, Text
from hlvid.build.set_rules import FlagName
from hlvid.build.stage import Desk, Item, Nothing, Stage, no_parameters
from hlvid.build.work import Work
from hlvid.errors import UserError
from hlvid.files import shown
from hlvid.prompt import render
from hlvid.types import Evidence, Identifier, Record

LONGER_BY = 1.5
"""A right option so many times as long as the longest wrong one stands out."""
MIN_LONGER_CHARACTERS = 4
MIN_WORD_CHARACTERS = 3
MIN_BALANCE_QUESTIONS = 20
BALANCE_P_VALUE = 0.01

_WORDS = re.compile(r"[^\W_]+")
_QUOTED = re.compile(r"[\"“„«'‘][^\"“”„«»'‘’]{1,200}[\"”“»'’]")
_STOP = frozenset(
    _WORDS.findall(
        "the and not with from that this these those are was were what which who where when how "
        "does did can for its has have into over under between there than then out off all any one "
        "two yes none"
    )
)
_POINTING = re.compile(
    r"\b(?:this|that|these|those) (?:one|thing|object|item|text|sign|word|number|person|"
    r"place|colou?r)\b|\b(?:the|an?) (?:thing|something|stuff)\b|\bsomething\b|^(?:what|which) "
    r"(?:is|are) (?:it|this|that|they)\b",
    re.IGNORECASE,
)
_GENERIC = re.compile(
    r"\bthe (?:(?:white|black|red|green|blue|yellow|grey|gray|orange|brown|pink|purple|large|big|"
    r"small|little|dark|bright|round|square) )*(?:text|object|item|sign|screen|book|box|board|"
    r"label|letters?|words?|numbers?|picture|poster|bottle|cup|person|man|woman|car|truck)\b",
    re.IGNORECASE,
)
_PLACED = re.compile(
    r"\b(?:on|in|inside|at|above|below|under|beneath|behind|beside|near|over|next|left|right|"
    r"between|across|along|after|before|during|while|when|top|bottom|corner|front|back|first|last|"
    r"second|third|with|that|which|whose|of|by|from)\b",
    re.IGNORECASE,
)
_ASKING = re.compile(r"^(?:in|on|at|of|by|from|with) which\b|\bof what\b", re.IGNORECASE)


class Flag(Record):
    """A doubt about a question."""

    check: FlagName
    detail: Text


class Asked(Record):
    """A question with the clip it is about."""

    draft: Draft
    category: Text
    clip: Clip | None
    """None where it did not come through."""
    group_id: Identifier | None
    is_ended: bool
    """Whether the clip or its candidate has ended: rejected, damaged, not to be had, taken down."""


class Linted(Output):
    """A question that keeps the rules."""

    draft: Draft
    category: Text
    clip: Clip
    group_id: Identifier
    flags: tuple[Flag, ...]


def written(work: Work) -> Written:
    """What people wrote for the spec of now."""
    return read(work.bench.spec_folder / work.spec.questions.folder)


def _inputs(work: Work) -> Iterator[Item[Asked]]:
    categories = {i.id: source.candidate.category for i, source in work.passed(DISCOVER)}
    placed = {item.id: placed for item, placed in work.passed(DEDUP)}
    candidates = {task.item.id: task.item.candidate for task in work.tasks(DEDUP)}
    ended = _ended(work)
    for draft in written(work).drafts:
        clip_id = draft.video_id
        candidate = clip_id if clip_id in work.tombstones else candidates.get(clip_id)
        if candidate is None:
            candidate = clip_id.rpartition(".")[0] or None
        here = placed.get(clip_id)
        asked = Asked(
            draft=draft,
            category=categories.get(candidate or "", "unknown"),
            clip=here.clip if here else None,
            group_id=here.group_id if here else None,
            is_ended=not ended.isdisjoint({clip_id, candidate}),
        )
        yield Item(draft.question_id, candidate, asked)


def _ended(work: Work) -> set[str]:
    """Candidates and clips that do not come: what is tried again by itself still may."""
    found = set(work.tombstones)
    stage: Stage[Any, Any] | None = DEDUP
    while stage is not None:
        found |= {e.item for e in work.entries(stage) if e.code and not CODES[e.code].is_retried}
        stage = stage.after
    return found


def _lint(asked: Asked, parameters: Nothing, desk: Desk) -> Linted:
    if asked.clip is None or asked.group_id is None:
        code = "video_rejected" if asked.is_ended else "video_missing"
        raise Ended(code, asked.draft.video_id)
    draft, clip = asked.draft, asked.clip
    check_rules(draft)
    check_evidence(draft, clip.duration_seconds, clip.width, clip.height)
    return Linted(
        draft=draft,
        category=asked.category,
        clip=clip,
        group_id=asked.group_id,
        flags=flags(draft.stem, draft.choices),
    )


def check_rules(draft: Draft) -> None:
    """Refuse a question that cannot be asked.

    Raises:
        Ended: malformed, or same_choices.
    """
    for text in (draft.stem, *draft.choices):
        if unicodedata.normalize("NFC", text) != text:
            raise Ended("malformed", f"{shown(text)} is not in Unicode's normal form C")
    if twice := same_choices(draft.choices):
        raise Ended("same_choices", twice)
    try:
        render(draft.stem, draft.choices, draft.instruction)
    except UserError as error:
        raise Ended("malformed", str(error)) from None


def check_evidence(draft: Draft, duration_seconds: float, width: int, height: int) -> None:
    """Refuse a question without evidence, or whose evidence is not in the video.

    Raises:
        Ended: no_evidence, evidence_outside, or box_outside.
    """
    if not draft.evidence:
        raise Ended("no_evidence")
    check_places(draft.evidence, duration_seconds, width, height)


def check_places(
    evidence: Iterable[Evidence], duration_seconds: float, width: int, height: int
) -> None:
    """Refuse evidence that is not in the video.

    Raises:
        Ended: evidence_outside, or box_outside.
    """
    for each in evidence:
        # A frame is shown a little longer than its time says.
        if each.end_seconds > duration_seconds + 0.5:
            detail = f"until {each.end_seconds:g} s of {duration_seconds:g} s"
            raise Ended("evidence_outside", detail)
        for time, _, _, x1, y1 in each.boxes:
            if x1 > width or y1 > height:
                raise Ended("box_outside", f"({x1:g}, {y1:g}) at {time:g} s of {width}x{height}")


# --- doubts --------------------------------------------------------------------------------------


def flags(stem: str, choices: Sequence[str]) -> tuple[Flag, ...]:
    """What a person should look at.

    Args:
        stem: Of the question.
        choices: The right one first.
    """
    found = ((name, check(stem, choices)) for name, check in CHECKS.items())
    return tuple(
        Flag(check=name, detail=clean(detail, max_characters=300))
        for name, detail in found
        if detail
    )


def longest_answer(stem: str, choices: Sequence[str]) -> str | None:
    """The right option is by far the longest: it can be guessed by its length."""
    right, longest = len(choices[0]), max(map(len, choices[1:]))
    if right >= LONGER_BY * longest and right - longest >= MIN_LONGER_CHARACTERS:
        return f"the right option has {right} characters, the longest wrong one {longest}"
    return None


def gold_in_stem(stem: str, choices: Sequence[str]) -> str | None:
    """A word of the right option stands in the stem, and in no wrong option."""
    asked = _words(stem)
    wrong = set().union(*map(_words, choices[1:]))
    given = sorted((_words(choices[0]) & asked) - wrong)
    return f"the stem has {shown(given[0])} of the right option" if given else None


def vague(stem: str, choices: Sequence[str]) -> str | None:
    """The stem points at something that it does not tell apart from others of its kind."""
    plain = _ASKING.sub("", _QUOTED.sub(" that says ", stem))
    if found := _POINTING.search(plain):
        return f"{shown(found[0])} does not say which"
    generic = _GENERIC.search(plain)
    if generic and not _PLACED.search(plain):
        return f"{shown(generic[0])} does not say where"
    return None


CHECKS: Mapping[FlagName, Callable[[str, Sequence[str]], str | None]] = {
    "longest_answer": longest_answer,
    "gold_in_stem": gold_in_stem,
    "vague": vague,
}
"""Doubt -> its check: (stem, choices with the right one first) -> what was found, or None."""


def same_choices(choices: Sequence[str]) -> str | None:
    """Two options that are one, but for width, case, spaces and a sign at the end; or None."""
    seen: dict[str, str] = {}
    for choice in choices:
        key = _normalised(choice)
        if key in seen:
            return f"{shown(seen[key])} and {shown(choice)} are the same"
        seen[key] = choice
    return None


def letter_balance(letters: Sequence[str], num_choices: int) -> str | None:
    """Right letters of a set that are spread too unevenly to be chance, or None.

    Pearson's chi-squared test of equal shares, at 1 %.

    Args:
        letters: Of the right options, of questions with as many options.
        num_choices: Options of each question.
    """
    if len(letters) < MIN_BALANCE_QUESTIONS:
        return None
    from scipy.special import chdtrc

    counts = [letters.count(chr(ord("A") + i)) for i in range(num_choices)]
    expected = len(letters) / num_choices
    statistic = sum((count - expected) ** 2 for count in counts) / expected
    p_value = float(chdtrc(num_choices - 1, statistic))
    if p_value >= BALANCE_P_VALUE:
        return None
    told = ", ".join(f"{chr(ord('A') + i)} {count}" for i, count in enumerate(counts))
    return f"{told} (p {p_value:.1g})"


def _normalised(choice: str) -> str:
    folded = unicodedata.normalize("NFKC", choice).casefold()
    plain = "".join(folded.split())
    return plain.rstrip(".,;:!?") or plain


def _words(text: str) -> set[str]:
    found = _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())
    return {word for word in found if len(word) >= MIN_WORD_CHARACTERS and word not in _STOP}


LINT: Stage[Asked, Linted] = Stage(
    name="lint",
    version=1,
    output=Linted,
    inputs=_inputs,
    parameters=no_parameters,
    perform=_lint,
    runs_on="here",
    after=DEDUP,
)
