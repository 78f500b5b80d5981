"""Marking: which letter a reply means, whether it is right, and what a run scored.

A reply that leaves a doubt is no letter: None is never credited, a guess of ours would be.
"""

import re
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from hlvid.errors import UserError
from hlvid.statistics import accuracy_interval
from hlvid.types import Grade, Outcome, Prediction, Question, Summary

MAX_REPLY_CHARACTERS = 20_000
"""Of a longer reply only the end is read: that is where a decision stands."""

MAX_REMEMBERED_CHARACTERS = 200
"""Longer replies are searched again each time, so that what is remembered stays small."""
LETTERS = string.ascii_uppercase

_FOLDED = str.maketrans("’–—", "'--")
# Word characters, Chinese ones excepted: nothing separates the letter in '答案是C选项'.
_WORD = r"[^\W\u2e80-\u9fff]"
_LETTER = (
    rf"""[(\[{{"'“「]{{0,3}}(?<!{_WORD})(?P<letter>[A-Za-z])(?!{_WORD}|[&+/%-]|['.]{_WORD})"""
    r"""(?P<closers>[)\]}"'”」]{0,3})"""
)
_NOUN = r"(?:answer|choice|option|letter|guess|pick|selection|one)"
_NAMED = r"(?:(?:the +)?(?:option|choice|letter|answer) +|选项? *)?"
_ADVERBS = r"(?:(?:most|very|likely|probably|clearly|definitely|therefore|thus|indeed) +){0,2}"
_CORRECT = (
    r"(?:is|must be) +(?:the +)?(?:correct|(?:right|best)(?: +(?:answer|option|choice|one)\b|\W*$))"
)

_DECISIONS = tuple(
    re.compile(pattern)
    for pattern in (
        # "The answer is C", "Best answer: C", "The correct option would be (C)"
        rf"(?i:\b{_NOUN} *(?:(?:is|'s|would be|should be|must be|->|=|:|-)[\s:]{{0,40}}){{1,2}}"
        rf"{_ADVERBS}{_NAMED}){_LETTER}",
        # "C is correct", "Option C is the right answer"
        rf"{_LETTER}(?= +{_CORRECT})",
        # "I choose C", "I'd go with option C", "I think it is C"
        r"(?i:\b(?:choose|pick|select|go with|going with|guess|think|believe|say) +"
        rf"(?:that +)?(?:it +is +|it's +)?{_NAMED}){_LETTER}",
        # "C is wrong, so D", "It must be D"
        r"(?i:\b(?:so|thus|hence|therefore|it is|it's|it must be),? +"
        rf"(?:it is +|it's +|it must be +)?{_NAMED}){_LETTER}(?=[.!\s]*(?:\n|$))",
        # "..., which is option C." at the end
        r"(?i:\b(?:is|matches|corresponds to|consistent with) +(?:the +)?(?:option|choice) +)"
        rf"{_LETTER}(?=[.!\s]*$)",
        # "答案是C", "答案应该选C", "选B", "我认为是B", "正确选项为C"
        r"(?:(?:答案|选项|正确的|应该|认为|觉得)(?:应该|应)?[是为选择:\s]+|选择?[:\s]*)(?:选项)?"
        rf"{_LETTER}",
        # "C选项是正确的"
        rf"{_LETTER}(?=(?:选项)?[是为]?(?:正确|对的|最佳))",
        # A last line that is a letter and nothing else
        rf"\n[ \t]*(?i:{_NAMED}){_LETTER}(?=[.!\s]*$)",
    )
)
_STATED = re.compile(rf"(?i:\b{_NOUN} *(?:is|:)[ :]*)(?P<text>[^\n]{{1,300}})$")
_LEADING = re.compile(
    rf"\s*(?i:{_ADVERBS}{_NAMED}){_LETTER}(?:选项)?(?:[.:]|(?<!I),|(?<=\))| +-|(?=[.!\s]*(?:\n|$)))"
)
_MARKED = re.compile(r"(?:^|[\s(])([A-Z])[.):](?=\s|$)")
_ASIDE = re.compile(
    r"(?i)\b(?:not|in|out|than|like|unlike) +(?:(?:the +)?(?:option|choice|answer) +)?"
    r"[A-Z](?=[.):])"
)
_LISTED = re.compile(r"(?m)^[ \t•>-]*[(\[]?([A-Z])[)\].:]+(?=[ \t]+\S)")
_LAST = re.compile(r"\n[ \t]*[(\[]?(?P<letter>[A-Z])[)\].:!\s]*$")
_BARE = re.compile(r"(?m)^[ \t]*[(\[]?([A-Z])[)\].]?[ \t]*$")
_BRACKETED = re.compile(r"\(([A-Z])\)")

_SENTENCE_END = re.compile(r"[.;!?。\n]")
_CLAUSE_END = re.compile(r"[:,、]|\b(?:but|so|thus|hence|therefore|however|then)\b")
_CONDITION = re.compile(r"(?i)\b(?:if(?! +(?:i|forced|pressed)\b)|otherwise|unless)\b|如果|若|否则")
_DENIAL = re.compile(
    r"(?i)n't\b|\b(?:not|never|neither|nor|cannot|whether|unsure|unclear|impossible|unable)\b"
    r"|\b(?:unlikely|doubtful|(?:i|we) +doubt)\b"
    r"|\bno +(?:evidence|indication|proof|reason|sign) +(?:that|to)\b"
    r"|[不没别]|是否|无法"
)
_SHARED = re.compile(
    r"(?:^|[,:、]|\b(?i:and|both|all|neither|of|options?|choices?|answers?)\b)"
    r"\s*[(\[]?[A-Z][)\]]?\s*(?:[,、&]|\band\b|,\s*and\b)\s*$"
)
_UNDONE = re.compile(
    r"\s*(?:\?|(?:is|was)\b(?! +(?:the +)?(?:correct|right|best))|[不错吗]"
    r"|(?:isn't|seems|looks|can|could|may|might|if|unless)\b)"
)
_OR = re.compile(r"(?:\bor|还是|或者?|/)\s*$")
_ANOTHER = re.compile(
    r"[.,]?\s*(?:\b(?:or|and|vs|nor|maybe|perhaps|possibly)\b|[/|&,、和]|或者?|还是)\s*"
    rf"(?:(?:maybe|perhaps|possibly|even) +)?{_NAMED}{_LETTER}(?!\s+(?:is|was)\b)"
)
_CONCEDED = re.compile(r"(?i)\b(?:although|though|even if) +(?:(?:the|option|choice) +){0,2}$")
_AS_WELL = re.compile(rf" +{_CORRECT} *,? *(?:too|also|as well(?! +as))\b|也(?:是)?(?:正确|对的)")
_RETRACTED = re.compile(
    r"(?i)\b(?:re-?(?:consider|check|think|examine|evaluate)|on second thoughts?)\b"
    r"|(?i:\bwait *[,!:-])|(?:重新|再)(?:考虑|检查|看|想)|(?:^|[。!?\n])\s*等等"
)
_INSTEAD = re.compile(rf"\(([A-Z])\)|(?<!{_WORD})([A-Z])[.!\s]*$")
_MARKUP = re.compile(r"<[^<>\n]{1,20}>|\\(?:text|mathrm|mathbf|textbf)\b|[*`#$]")
_CLOSED = re.compile(
    r"""\s*$|\.(?!\.)|[,;:!\n。\u2e80-\u9fff]|\s+[-(]"""
    r"""|\s+(?:because|since|as|is|must|which|based|given|for|here)\b"""
)
_FAILURE = re.compile(
    r"\s*(?:\[[A-Z_]*(?:FAILED|EXCEEDED|BLOCKED|ERROR)\b"
    r"|(?:[\w.]*(?:Error|Exception)|(?i:error(?: code)?(?: \d{3})?)|Traceback[^:\n]*)\s*:"
    r"|CUDA out of memory\s*(?:[.:]|$))"
)


def extract_letter(response: str, letters: Sequence[str] | Mapping[str, str]) -> str | None:
    """The one letter that a reply decides for, or None when it leaves a doubt.

    Args:
        response: The raw reply of a model.
        letters: The letters on offer; as a mapping letter -> choice, the full text of a choice
            counts as well, and a letter beside another choice's text does not.
    """
    choices = letters if isinstance(letters, Mapping) else {}
    text = _tidy(response)
    by_text = _spelled_out(response, choices)
    if by_text or is_failure(response) or is_failure(text):
        return by_text
    choices = {letter: _MARKUP.sub("", choice) for letter, choice in choices.items()}
    if by_text := _spelled_out(text, choices):
        return by_text
    if len(set(_BARE.findall(text))) > 1 or _is_cut_list(text, letters):
        return None
    found = [match for pattern in _DECISIONS for match in pattern.finditer(text)]
    found.sort(key=lambda match: match.start("letter"))
    found = [match for match in found if not _is_conceded(text, match)] or found
    denied: set[str] = set()
    for match in reversed(found):
        if _is_denied(text, match):
            denied.add(match["letter"].upper())
        elif not _is_word(text, match, choices):
            letter = _alone(text, match, letters, choices)
            return None if letter in denied or _is_taken_back(text, match, letters) else letter
    stated = _STATED.search(text)
    letter = (
        (stated and _spelled_out(stated["text"], choices))
        or _leading(text, letters, choices)
        or _bracketed(text, letters)
    )
    return None if letter in denied else letter


def is_failure(response: str) -> bool:
    """Whether a reply is the text of a failed request, which must not be searched for letters."""
    return _FAILURE.match(response[:500]) is not None


def _tidy(response: str) -> str:
    """A reply without its reasoning block, its markup and its full-width characters."""
    text = unicodedata.normalize("NFKC", response[-MAX_REPLY_CHARACTERS:]).translate(_FOLDED)
    text = re.split(r"</think(?:ing)?>", text, flags=re.IGNORECASE)[-1]
    if re.search(r"<think", text, re.IGNORECASE):
        return ""
    text = re.sub(r"\\boxed|<answer>", "\nanswer: ", text, flags=re.IGNORECASE)
    text = re.sub(r"\*\*([A-Z])\*\*", r"(\1)", text)
    return _MARKUP.sub("", text).lstrip(" \t\n->•").rstrip()


def _is_cut_list(text: str, letters: Iterable[str]) -> bool:
    """Whether a reply ends with a letter of which more was to come, under lines of other choices.

    After a list that holds it, a last letter is a decision.
    """
    last = _LAST.search(text)
    if last is None:
        return False
    listed = set(_LISTED.findall(text, 0, last.start())) & set(letters)
    return bool(listed) and last["letter"] not in listed


def _is_denied(text: str, match: re.Match[str]) -> bool:
    """Whether the words around a letter deny it, ask about it or make it depend on something."""
    sentence = _SENTENCE_END.split(text[max(0, match.start() - 300) : match.start()])[-1]
    clause = _CLAUSE_END.split(sentence)[-1] + match[0]
    return (
        _CONDITION.search(sentence) is not None
        or _DENIAL.search(clause) is not None
        or _OR.search(sentence) is not None
        or _SHARED.search(sentence) is not None
        or _UNDONE.match(text, match.end()) is not None
    )


def _is_conceded(text: str, match: re.Match[str]) -> bool:
    """Whether 'although' stands right before what would be a decision."""
    return _CONCEDED.search(text[max(0, match.start() - 40) : match.start()]) is not None


def _is_taken_back(text: str, match: re.Match[str], letters: Iterable[str]) -> bool:
    """Whether a decided letter shares being right, or is thought over and another one follows."""
    if _AS_WELL.match(text, match.end()):
        return True
    thought = _RETRACTED.search(text, match.end())
    if thought is None:
        return False
    others = {other for other in letters if other != match["letter"].upper()}
    return any((one[1] or one[2]) in others for one in _INSTEAD.finditer(text, thought.end()))


def _is_word(text: str, match: re.Match[str], choices: Mapping[str, str]) -> bool:
    """Whether a letter may be the word 'a' or 'I', or the start of a name.

    All letters are held to what 'A' needs, or a reply of one form would count for 'B' only.
    """
    letter = match["letter"]
    if letter in "ai" and match.end() == len(text) and not match["closers"]:
        # 'The answer is a' may be a reply that was cut; 'answer: a' is not.
        return text[: match.start("letter")].rstrip()[-1:] != ":"
    is_closed = match["closers"] or _CLOSED.match(text, match.end())
    return not is_closed and _beside(text, match, choices) != letter.upper()


def _alone(
    text: str, match: re.Match[str], letters: Iterable[str], choices: Mapping[str, str]
) -> str | None:
    """The letter of a match, unless another letter or another choice's text stands beside it."""
    letter = match["letter"].upper()
    another = _ANOTHER.match(text, match.end("closers"))
    if another and another["letter"].upper() in letters:
        return None
    is_agreed = _beside(text, match, choices) in (None, letter)
    return letter if letter in letters and is_agreed else None


def _beside(text: str, match: re.Match[str], choices: Mapping[str, str]) -> str | None:
    """The letter of the choice that the rest of a letter's line spells out."""
    rest = text[match.end("closers") :].split("\n", 1)[0]
    return _spelled_out(rest.lstrip(" .:,-"), choices)


def _leading(text: str, letters: Iterable[str], choices: Mapping[str, str]) -> str | None:
    """The letter that a reply starts with, 'B. Red' or 'b)', when it marks no other choice."""
    match = _LEADING.match(text)
    marked = set(_MARKED.findall(_ASIDE.sub("", text)))
    if match is None or marked - {match["letter"].upper()}:
        return None
    return _alone(text, match, letters, choices)


def _bracketed(text: str, letters: Iterable[str]) -> str | None:
    """The letter that a reply ends with, 'Red (C)', when it brackets no other."""
    match = re.search(r"\((?P<letter>[A-Z])\)\W*$", text)
    if match is None or len(set(_BRACKETED.findall(text))) > 1 or _is_denied(text, match):
        return None
    return match["letter"] if match["letter"] in letters else None


def _spelled_out(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the one choice whose text this is, with or without its letter before it."""
    if len(text) > MAX_REPLY_CHARACTERS:
        return None
    for spell in (str.strip, _spelling):
        wanted = spell(text)
        if re.fullmatch(r"[A-Za-z]?", wanted):
            return None
        found = [
            letter
            for letter, choice in choices.items()
            if wanted in (spell(choice), spell(f"{letter} {choice}"))
        ]
        if len(found) == 1:
            return found[0]
    return None


def _spelling(text: str) -> str:
    """A text without case, and without the punctuation around it and after a leading letter."""
    folded = unicodedata.normalize("NFKC", text).translate(_FOLDED).casefold()
    folded = " ".join(folded.split()).strip(".,;:!\"'()[]“”")
    return re.sub(r"^([a-z])\W+", r"\1 ", folded)


def grade(question: Question, prediction: Prediction | None) -> Grade:
    """Mark one prediction; None, an error and the text of an error are FAILED.

    Raises:
        UserError: The question's answer is withheld, or the prediction is for another question.
    """
    if question.answer is None:
        raise UserError(
            f"question {question.question_id}: its answer is withheld. "
            "Allowed are questions with an answer."
        )
    if prediction is not None and prediction.question_id != question.question_id:
        raise UserError(
            f"question {question.question_id}: is marked with the prediction of "
            f"{prediction.question_id}."
        )
    letter = None
    if prediction is None or prediction.response is None:
        outcome = Outcome.FAILED
    else:
        letter = _letter_of(prediction.response, question.choices)
        if letter is None:
            outcome = Outcome.FAILED if is_failure(prediction.response) else Outcome.UNPARSED
        else:
            outcome = Outcome.CORRECT if letter == question.answer else Outcome.WRONG
    return Grade(
        question_id=question.question_id,
        video_id=question.video_id,
        category=question.category,
        letter=letter,
        outcome=outcome,
    )


def _letter_of(response: str, choices: tuple[str, ...]) -> str | None:
    """The letter that a reply decides for among choices marked A, B and so on."""
    find = _remembered_letter if len(response) <= MAX_REMEMBERED_CHARACTERS else _find_letter
    return find(response, choices)


def _find_letter(response: str, choices: tuple[str, ...]) -> str | None:
    return extract_letter(response, dict(zip(LETTERS, choices, strict=False)))


_remembered_letter = lru_cache(maxsize=2**16)(_find_letter)
"""Runs of one benchmark give the same short replies to the same questions over and over."""


def grade_all(questions: Iterable[Question], predictions: Iterable[Prediction]) -> list[Grade]:
    """Mark a run: one grade a question, in the order of the questions.

    A question without a prediction is FAILED, so that it stays in the denominator.

    Raises:
        UserError: A prediction is for an unknown question, or is the second for one.
    """
    questions = list(questions)
    known = {question.question_id for question in questions}
    answered: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.question_id not in known:
            raise UserError(
                f"question {prediction.question_id}: is none of the {len(known)} that were asked."
            )
        if prediction.question_id in answered:
            raise UserError(f"question {prediction.question_id}: has two predictions.")
        answered[prediction.question_id] = prediction
    return [grade(question, answered.get(question.question_id)) for question in questions]


def summarize(grades: Sequence[Grade]) -> Summary:
    """What a run scored: strict accuracy, every question in the denominator.

    Raises:
        UserError: There are no grades.
    """
    if not grades:
        raise UserError("summary: there are no grades. Allowed is at least one question.")
    counts = {outcome: sum(g.outcome is outcome for g in grades) for outcome in Outcome}
    videos = [grade.video_id for grade in grades]
    interval = accuracy_interval([g.outcome is Outcome.CORRECT for g in grades], videos)
    return Summary(
        num_questions=len(grades),
        num_videos=len(set(videos)),
        num_correct=counts[Outcome.CORRECT],
        num_wrong=counts[Outcome.WRONG],
        num_unparsed=counts[Outcome.UNPARSED],
        num_failed=counts[Outcome.FAILED],
        accuracy=interval.accuracy,
        accuracy_low=interval.low,
        accuracy_high=interval.high,
        standard_error=interval.standard_error,
    )
