"""Marking: which letter a reply means, whether it is right, and what a run scored.

A reply that leaves a doubt is no letter: None is never credited, a guess of ours would be.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from hlvid.errors import UserError
from hlvid.statistics import accuracy_interval
from hlvid.types import Grade, Outcome, Prediction, Question, Summary

MAX_REPLY_CHARACTERS = 20_000
"""Of a longer reply only the end is read: that is where a decision stands."""

# Word characters, Chinese ones excepted: '答案是C选项' has no space around its letter.
_WORD = r"[^\W\u2e80-\u9fff]"
_CLOSERS = r"""[)\]}"'”」]*"""
_LETTER = (
    rf"""[(\[{{"'“「]*(?<!{_WORD})(?P<letter>[A-Za-z])(?!{_WORD}|['&+/%-]|\.{_WORD}){_CLOSERS}"""
)
_NOUN = r"(?:answer|choice|option|letter|guess|pick|selection|one)"
_NAMED = r"(?:(?:the +)?(?:option|choice|letter|answer) +)?"
_ADVERBS = r"(?:(?:most|very|likely|probably|clearly|definitely|therefore|thus|indeed) +){0,2}"

_DECISIONS = tuple(
    re.compile(pattern)
    for pattern in (
        # "The answer is C", "Best answer: C", "The correct option would be (C)"
        rf"(?i:\b{_NOUN} *(?:(?:is|would be|should be|must be|->|=|:)[ :\n]*){{1,2}}"
        rf"{_ADVERBS}{_NAMED}){_LETTER}",
        # "C is correct", "Option C is the right answer"
        rf"{_LETTER}(?= +(?:is|must be) +(?:the +)?(?:correct|right|best)\b)",
        # "I choose C", "I'd go with option C", "I think it is C"
        r"(?i:\b(?:choose|pick|select|go with|going with|guess|think|believe|say) +"
        rf"(?:that +)?(?:it +is +|it's +)?{_NAMED}){_LETTER}",
        # "C is wrong, so D", "It must be D"
        r"(?i:\b(?:so|thus|hence|therefore|it is|it's|it must be),? +"
        rf"(?:it is +|it's +|it must be +)?{_NAMED}){_LETTER}(?=[.!\s]*(?:\n|$))",
        # "答案是C", "答案应该选C", "选B", "我认为是B", "C选项是正确的"
        rf"(?:答案(?:应该|应)?(?:[是为选:\s]|选择)+|选(?:择|项|[:\s])*|认为[是选]){_LETTER}",
        rf"{_LETTER}(?=(?:选项)?[是为]?(?:正确|对的|最佳))",
        # A last line that is a letter and nothing else
        rf"\n[ \t]*{_NAMED}{_LETTER}(?=[.!\s]*$)",
    )
)
_LEADING = re.compile(rf"\s*(?i:{_NAMED}){_LETTER}(?:[.:,]|(?<=\))|(?=[.!\s]*$))")
_BRACKETED = re.compile(r"\(([A-Z])\)")
_STATED = re.compile(rf"(?i:\b{_NOUN} *(?:is|:)[ :]*)(?P<text>[^\n]+)$")

_CLAUSE_END = re.compile(r"[.;:,!?。、\n]|\b(?:but|so|thus|hence|therefore|however|then)\b")
_DOUBT = re.compile(
    r"(?i)n't\b|\b(?:not|never|neither|nor|cannot|if|whether|unless|unsure|unclear|impossible"
    r"|unable)\b|[不没别若]|如果|是否|无法"
)
_UNDONE = re.compile(
    r"\s*(?:\?|(?:is|was)\b(?! +(?:the +)?(?:correct|right|best))"
    r"|(?:isn't|seems|looks|can|could|may|might|if|unless)\b|[不错吗])"
)
_ANOTHER = re.compile(
    rf"[.,]?\s*(?:\b(?:or|and|vs)\b|[/|&,、或和]|还是|nor)+者?\s*{_NAMED}{_LETTER}(?!\s+(?:is|was)\b)"
)
_CLOSED = re.compile(r"\s*$|[.](?![.])|[,;:!)\]}\"'”」\n。]|\s+(?:-|because|since|as|is)\b|\s+- ")
_FAILURE = re.compile(
    r"\s*(?:\[[A-Z_]*(?:FAILED|EXCEEDED|BLOCKED|ERROR)\b"
    r"|(?:[\w.]*(?:Error|Exception)|(?i:error(?: code)?)|Traceback[^:\n]*|CUDA out of memory)"
    r"(?:\s*:|\.?\s))"
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
    if by_text := _matching(text, choices):
        return by_text
    if not text or is_failure(text):
        return None
    decisions = [found for pattern in _DECISIONS for found in pattern.finditer(text)]
    decisions.sort(key=lambda found: found.start("letter"))
    for found in reversed(decisions):
        if not _is_doubtful(text, found):
            return _settled(text, found, letters, choices)
    if stated := _STATED.search(text):
        return _matching(stated["text"], choices)
    return _leading(text, letters, choices) or _bracketed(text, letters)


def is_failure(response: str) -> bool:
    """Whether a reply is the text of a failed request, which must not be searched for letters."""
    return _FAILURE.match(response) is not None


def _tidy(response: str) -> str:
    """A reply without its reasoning block, its markup and its full-width characters."""
    text = unicodedata.normalize("NFKC", response[-MAX_REPLY_CHARACTERS:]).replace("’", "'")
    text = re.split(r"</think(?:ing)?>", text, flags=re.IGNORECASE)[-1]
    if re.search(r"<think", text, re.IGNORECASE):
        return ""
    text = re.sub(r"\\boxed|<answer>", "\nanswer: ", text, flags=re.IGNORECASE)
    text = re.sub(r"<[^<>\n]{1,20}>|\\(?:text|mathrm|mathbf|textbf)\b|[*`#$]", "", text)
    return text.strip()


def _is_doubtful(text: str, found: re.Match[str]) -> bool:
    """Whether a decision is denied, asked, or an article taken for a letter."""
    letter, start, end = found["letter"], found.start("letter"), found.end()
    clause = _CLAUSE_END.split(text[max(0, found.start() - 200) : found.start()])[-1]
    if _DOUBT.search(clause + found[0]) or _UNDONE.match(text, end):
        return True
    is_closed = found.end("letter") < end or _CLOSED.match(text, end) is not None
    if letter in "ai" and end == len(text):
        return text[:start].rstrip()[-1:] != ":"
    return not is_closed and (letter.islower() or letter in "AI")


def _settled(
    text: str, found: re.Match[str], letters: Iterable[str], choices: Mapping[str, str]
) -> str | None:
    """The letter of a match, unless another one or another choice's text stands beside it."""
    letter = found["letter"].upper()
    beside = _matching(text[found.end() :].split("\n")[0].lstrip(" .:,-"), choices)
    if letter not in letters or beside not in (None, letter) or _ANOTHER.match(text, found.end()):
        return None
    return letter


def _leading(
    text: str, letters: Sequence[str] | Mapping[str, str], choices: Mapping[str, str]
) -> str | None:
    """The letter that a reply starts with, 'B. Red' or 'b)', when it marks no other choice."""
    found = _LEADING.match(text)
    if found is None:
        return None
    marked = set(re.findall(r"(?:^|[\s(])([A-Z])[.):](?=\s|$)", text))
    if marked - {found["letter"].upper()}:
        return None
    return _settled(text, found, letters, choices)


def _bracketed(text: str, letters: Iterable[str]) -> str | None:
    """The letter that a reply ends with, 'Red (C)', when it brackets no other."""
    bracketed = set(_BRACKETED.findall(text))
    is_last = re.search(r"\([A-Z]\)\W*$", text) is not None
    clause = _CLAUSE_END.split(text.rstrip(".!"))[-1]
    if len(bracketed) != 1 or not is_last or _DOUBT.search(clause):
        return None
    letter = bracketed.pop()
    return letter if letter in letters else None


def _matching(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the one choice that a text spells out, with or without its letter before."""
    for spell in (str.strip, _spelling):
        wanted = spell(text)
        found = [
            letter
            for letter, choice in choices.items()
            if wanted and wanted in (spell(choice), spell(f"{letter} {choice}"))
        ]
        if len(found) == 1 and len(wanted) > 1:
            return found[0]
    return None


def _spelling(text: str) -> str:
    """A text without case, markup and the punctuation around it."""
    folded = unicodedata.normalize("NFKC", text).replace("’", "'").casefold()
    return " ".join(folded.split()).strip(".,;:!\"'()[]*“”")


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
        choices = dict(zip(question.letters, question.choices, strict=True))
        letter = extract_letter(prediction.response, choices)
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
            raise UserError(f"question {prediction.question_id}: is not one of the benchmark's.")
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
