"""The table of hard replies is the specification of the letter extractor."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlvid.errors import UserError
from hlvid.grading import (
    MAX_REPLY_CHARACTERS,
    extract_letter,
    grade,
    grade_all,
    is_failure,
    summarize,
)
from hlvid.prompt import prompt_sha256, render
from hlvid.types import Grade, Outcome, Prediction, Question

CHOICES = {"A": "Sponsored", "B": "SPEED LIMIT", "C": "SONOS", "D": "D at 100"}

DECIDED = [
    # the letter alone, however it is dressed
    ("C", "C"),
    ("a", "A"),
    ("b.", "B"),
    (" b ", "B"),
    ("A.", "A"),
    ("C:", "C"),
    ("(B)", "B"),
    ("[A]", "A"),
    ("{A}", "A"),
    ("'C'", "C"),
    ("**C**", "C"),
    ("\n\nC", "C"),
    ("C\n\nC", "C"),
    ("> C", "C"),
    ("- C", "C"),
    ("• C", "C"),
    ("Ａ", "A"),
    ("（Ｂ）", "B"),
    ("B<|im_end|>", "B"),
    ("B</s>", "B"),
    ("\\boxed{C}", "C"),
    ("So $\\boxed{\\text{C}}$.", "C"),
    ("<answer>B</answer>", "B"),
    ("<answer>\nB\n</answer>", "B"),
    ("option b", "B"),
    ("Option (C)", "C"),
    ("Probably B", "B"),
    # the letter first, then its choice or a reason
    ("A. Sponsored", "A"),
    ("A) Sponsored", "A"),
    ("A: Sponsored", "A"),
    ("C SONOS", "C"),
    ("C — SONOS", "C"),
    ("A (Sponsored)", "A"),
    ("Ａ．Ｓｐｏｎｓｏｒｅｄ", "A"),
    ("D - D at 100", "D"),
    ("C) SONOS is written there", "C"),
    ("D, because A is wrong.", "D"),
    ("C, not B", "C"),
    ("C, not B.", "C"),
    ("C, because it is not B.", "C"),
    ("B\n\nThe sign is blue, not red as in option A.", "B"),
    ("C. SONOS. This rules out option A. It is red.", "C"),
    ("C\nBecause the sign says so", "C"),
    ("B. The answer is clear from the sign", "B"),
    # the choice instead of its letter
    ("Sponsored", "A"),
    ("A Sponsored", "A"),
    ("Speed limit.", "B"),
    ('"SONOS"', "C"),
    ("D at 100", "D"),
    ("The answer is Sponsored.", "A"),
    ('The answer is "Sponsored".', "A"),
    ("The sign says SPEED LIMIT (B).", "B"),
    ("Answer: SONOS (C)", "C"),
    # a sentence that decides
    ("Best answer: C", "C"),
    ("Answer: D", "D"),
    ("answer: d", "D"),
    ("answer: a", "A"),
    ("ANSWER IS C", "C"),
    ("Answer:C", "C"),
    ("Answer - C", "C"),
    ("Answer\nB", "B"),
    ("**Answer:** C", "C"),
    ("the answer's C", "C"),
    ("the answer is c", "C"),
    ("the answer is d.", "D"),
    ("The answer is a.", "A"),
    ("The answer is **A**", "A"),
    ('My final answer is "C".', "C"),
    ("The answer is:\n\nC", "C"),
    ("The correct answer is option (C): SONOS", "C"),
    ("**Correct Answer: (D) D at 100**", "D"),
    ("Therefore, the correct answer is:\n\nB. SPEED LIMIT", "B"),
    ("The answer is most likely B.", "B"),
    ("The correct choice is therefore D.", "D"),
    ("The right option: C.", "C"),
    ("The best option is A: Sponsored", "A"),
    ("The answer is A. Sponsored", "A"),
    ("Option B is correct", "B"),
    ("Option B is right.", "B"),
    ("B is the best answer.", "B"),
    ("Only C is correct", "C"),
    ("I think C is correct", "C"),
    ("I'd go with option C.", "C"),
    ("I'm going with A.", "A"),
    ("It's B", "B"),
    ("The answer is B, I think.", "B"),
    ("The answer is B, because A is too small", "B"),
    ("The sign reads SONOS, which is option C.", "C"),
    ("The text is 'SONOS'. **C**", "C"),
    ("I cannot determine, but my best guess is B.", "B"),
    ("If I had to guess, I'd pick B.", "B"),
    # reasoning that names several letters and then decides
    ("A man in a red shirt … The answer is D", "D"),
    ("C is wrong, so D", "D"),
    ("Between A and C, I choose C.", "C"),
    ("It can't be A, B, or C. So, D.", "D"),
    ("So the answer is B, not A.", "B"),
    ("Reasoning A: foo. B: bar.\n\nD", "D"),
    ("The answer is C.\nThe answer is D.", "D"),
    ("The answer is B. I don't think C is correct.", "B"),
    ("Option B is the best answer, although C is correct too.", "B"),
    ("The answer is B, though option C is correct as well.", "B"),
    ("Although the sign is blurred, the answer is C.", "C"),
    ("The answer is B. Let me reconsider. The answer is C.", "C"),
    ("The answer is B. Let me recheck: the sign says so.", "B"),
    ("The answer is B. Wait, yes, B.", "B"),
    ("The image is blurry, though the answer is B.", "B"),
    ("Although the answer is B, the sign is hard to read.", "B"),
    ("答案是B。图中有汽车、行人等等。A、C和D不符合。", "B"),
    ("I first thought of A, but on second thought the answer is D.", "D"),
    ("The correct answer is D.\n\nExplanation: A is wrong because...", "D"),
    ("A. red\nB. blue\nC. green\nD. white\n\nAnswer: C", "C"),
    ("A. red\nB. blue\nC. green\nD. white\n\nC", "C"),
    ("A: no.\nB: yes.\n\nB", "B"),
    ("None of A, B, C is correct. The answer is D.", "D"),
    ("Neither A nor B is correct. The answer is C.", "C"),
    ("Rather than A, C is correct.", "C"),
    ("There is no doubt that B is correct.", "B"),
    ("<think>A is it. The answer is A</think>B", "B"),
    # Chinese
    ("答案是C", "C"),
    ("答案：Ｃ", "C"),
    ("选B", "B"),
    ("选择A", "A"),
    ("选择：A", "A"),
    ("我选择C", "C"),
    ("我觉得是B", "B"),
    ("我认为正确答案是 D。", "D"),
    ("正确选项是B", "B"),
    ("正确的是C", "C"),
    ("A选项正确", "A"),
    ("B是正确的", "B"),
    ("A不对，所以选B", "B"),
    ("D选项", "D"),
    ("选项D", "D"),
]

UNDECIDED = [
    "",
    " \n\t",
    "E",
    "AB",
    "I",
    "Both",
    "Don't know",
    "None of the above",
    "Cannot determine from the frames.",
    "As an AI model I can't see videos.",
    "I can't",
    "Sorry, I can't answer. A",
    # failures of the machinery
    "[LMMS_EVAL_REQUEST_FAILED after 3 retries]",
    "[LMMS_EVAL_REQUEST_FAILED after 3 retries] the answer is A",
    "[LMMS_EVAL_BUDGET_EXCEEDED]",
    "[SAFETY_BLOCKED:3] A",
    "[GENERATION_FAILED] A",
    "[ERROR] conditioning video not found: A",
    "CUDA out of memory",
    "Error: CUDA out of memory",
    "torch.OutOfMemoryError: CUDA out of memory. Answer: B",
    "Traceback (most recent call last): answer is A",
    # more than one letter
    "A or B",
    "A/B",
    "A, B",
    "A. B.",
    "A and B",
    "C\nD",
    "A\nB\nC\nD",
    "B or possibly C",
    "B, maybe C",
    "B. Maybe C.",
    "either (A) or (B)",
    "The answer is A or B",
    "The answer is B and C",
    "Both A and B are correct",
    "A: Sponsored\nB: x",
    "A. 024 368 135\nB",
    "A) 024 368 135\nB)",
    "A. Red\nB. Blue\nC. Green\nD",
    "B. Blue\n\nA",
    "Option A. Red. Option B. Blue.",
    "A, B, C, D is correct",
    "A and B is correct",
    "A. red\nB. blue\nC. green\nD. white",
    "Looking at the frames: Option A says X. Option B says Y. Option C says Z.",
    "Question: What?\nA. Sponsored\nB. x\nC. y\nD. z\n"
    "Please answer directly with the letter of the correct answer.",
    # an article, an initial, a unit
    "A man is walking",
    "A dog",
    "The answer is a red car",
    "The answer is a",
    "The answer is a...",
    "The answer is A man",
    "Answer: A man in red",
    "the answer is b, a red car",
    "D.C. is the capital",
    "A-1",
    "C++",
    "A is right of the car.",
    "B is right next to it",
    'The text reads "A Sponsored"',
    "It says SONOS.",
    # denied, asked, conditional
    "Not A.",
    "It is not (C)",
    "C is not correct",
    "I think A is wrong",
    "I think C is wrong",
    "The answer is not B",
    "I don't think the answer is B",
    "I wouldn't say D",
    "Neither A nor B is correct",
    "None of A, B, C is correct.",
    "None of the options A, B, C, D is correct",
    "Neither A, B, C is right.",
    "There is no evidence that B is correct.",
    "I doubt that B is correct.",
    "It is unlikely that B is correct.",
    "Is the answer B?",
    "B?",
    "Maybe B",
    "If B is correct then",
    "So the answer is not A but B",
    "B. Actually I don't think the answer is B",
    "The answer is B. Actually, I'm not sure the answer is B.",
    "If the sign is green, the answer is B; otherwise the answer is C.",
    "It is impossible to say whether the answer is A, B, C or D.",
    # taken back, or shared
    "The answer is B. Hmm, let me reconsider. C",
    "B is correct. Wait, no: C",
    "The answer is B. On second thought (D) fits better.",
    "B is correct. C is correct too.",
    "B is correct; C is correct as well.",
    "答案是B。等等，C",
    # a letter that is not on offer, or that contradicts the text beside it
    "The answer is E",
    "B. Because it is. The answer is E",
    "B. Sponsored",
    "The answer is B. Sponsored",
    "A (SONOS)",
    # a thought that was cut
    "<think>The answer is A",
    # Chinese
    "不知道",
    "不选B",
    "不应选B",
    "选A、B",
    "选B还是选C",
    "答案不是B",
    "答案是B吗？",
    "B选项错误",
    "如果是红色，选B",
    "无法确定答案是A",
    "选项A是红色，选项B是蓝色",
]


@pytest.mark.parametrize(("reply", "letter"), DECIDED)
def test_a_reply_that_decides_gives_its_letter(reply: str, letter: str) -> None:
    assert extract_letter(reply, CHOICES) == letter


@pytest.mark.parametrize("reply", UNDECIDED)
def test_a_reply_that_leaves_a_doubt_gives_no_letter(reply: str) -> None:
    assert extract_letter(reply, CHOICES) is None


@pytest.mark.parametrize("letter", "ABCD")
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "{}.",
        "({})",
        "**{}**",
        "{}, because it is.",
        "Answer: {}",
        "The answer is {}",
        "The answer is {} because it is.",
        "The answer is {} (see the sign).",
        "The answer is **{}**.",
        "I choose {} here.",
        "It says so. **{}**",
        "It says so ({}).",
        "It says so.\n\n{}",
        "So {}.",
        "{} is correct.",
        "{} is correct as well as complete.",
        "The answer is {}. People wait. A bus arrives.",
        "The answer is {}. Wait, let me make sure. A sign on the left says so. Yes.",
        "The answer is {}. Let me recheck. A is red, B is blue, C is green. Yes.",
        "The image is blurry, though the answer is {}.",
        "\\boxed{{{}}}",
        "答案是{}",
        "选{}",
    ],
)
def test_a_form_counts_for_every_letter(form: str, letter: str) -> None:
    assert extract_letter(form.format(letter), "ABCD") == letter
    assert extract_letter(form.format(letter), CHOICES) == letter


@pytest.mark.parametrize("letter", "ABCD")
@pytest.mark.parametrize(
    "form",
    [
        "{} man walks in",
        "The answer is {} man",
        "I choose {} man",
        "It says so. {}",
        "Is it {}?",
        "It is not {}.",
        "{} is wrong.",
        "I prefer the first to option {}.",
        "Sign {} is on the left.",
        "Vitamin {}.",
        "{}-1",
        "不是{}",
    ],
)
def test_a_form_counts_for_no_letter(form: str, letter: str) -> None:
    assert extract_letter(form.format(letter), "ABCD") is None
    assert extract_letter(form.format(letter), CHOICES) is None


def test_a_letter_before_its_own_choice_is_no_article() -> None:
    assert extract_letter("Answer: A Sponsored", CHOICES) == "A"
    assert extract_letter("Answer: A Sponsored", "ABCD") is None


def test_letters_alone_do_not_let_the_text_of_a_choice_count() -> None:
    assert extract_letter("Sponsored", "ABCD") is None
    assert extract_letter("B. Sponsored", ["A", "B", "C", "D"]) == "B"


def test_a_choice_of_one_character_is_found_by_its_text() -> None:
    counts = {"A": "2", "B": "3", "C": "4", "D": "13"}
    replies = ["3", "3.", "B. 3", "B 3", "The answer is 3", "A. 3", "There are 3"]
    found = [extract_letter(reply, counts) for reply in replies]
    assert found == ["B", "B", "B", "B", "B", None, None]


def test_choices_that_look_like_markup_are_found_by_their_text() -> None:
    prices = {"A": "$4.99", "B": "$5.99", "C": "$6.99", "D": "$7.99"}
    for reply in ("$5.99", "$5.99.", "The answer is $5.99.", "B. $5.99", "**$5.99**", "5.99"):
        assert extract_letter(reply, prices) == "B", reply
    assert extract_letter("A. $5.99", prices) is None
    names = {"A": "#4", "B": "#14", "C": "*NSYNC", "D": "<EXIT>"}
    assert [extract_letter(name, names) for name in names.values()] == list(names)
    alike = {"A": "$4", "B": "4"}
    assert extract_letter("$4", alike) == "A"
    assert extract_letter("4", alike) == "B"
    assert extract_letter("The answer is $4.", alike) is None


def test_choices_that_differ_in_case_only_need_the_exact_spelling() -> None:
    spellings = {"A": "MacBook", "B": "MACBOOK"}
    assert extract_letter("MacBook", spellings) == "A"
    assert extract_letter("MACBOOK", spellings) == "B"
    assert extract_letter("macbook", spellings) is None


def test_the_word_i_is_no_letter_among_ten_choices() -> None:
    letters = "ABCDEFGHIJ"
    assert extract_letter("I, for one, cannot see it", letters) is None
    assert extract_letter("I think so", letters) is None
    assert extract_letter("I", letters) == "I"
    assert extract_letter("The answer is I.", letters) == "I"


def test_of_a_long_reply_the_end_decides() -> None:
    reply = "The answer is A. " + "word " * MAX_REPLY_CHARACTERS + "The answer is D."
    assert extract_letter(reply, CHOICES) == "D"


FRAGMENTS = st.sampled_from(
    [reply for reply, _ in DECIDED] + UNDECIDED + ["(", " or ", "\n", "not ", "so ", "\ud800", "\0"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=5).map("".join)),
    st.integers(2, 26),
)
def test_any_text_gives_a_letter_on_offer_or_none(reply: str, num_letters: int) -> None:
    letters = [chr(ord("A") + i) for i in range(num_letters)]
    assert extract_letter(reply, letters) in {*letters, None}
    choices = {letter: f"choice {letter}" for letter in letters}
    assert extract_letter(reply, choices) in {*letters, None}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["[LMMS_EVAL_REQUEST_FAILED after 5 retries] ", "Error: ", "[ERROR] "]),
    st.lists(FRAGMENTS, max_size=3).map(" ".join),
)
def test_nothing_after_a_failure_counts(failure: str, rest: str) -> None:
    assert is_failure(failure + rest)
    assert extract_letter(failure + rest, "ABCD") is None


@pytest.mark.parametrize(
    "reply",
    [
        "CUDA out of memory",
        "CUDA out of memory. Tried to allocate 20 GiB",
        "torch.OutOfMemoryError: CUDA out of memory.",
        "error code: 429",
        "Error 404: not found",
        "Traceback (most recent call last):",
    ],
)
def test_the_text_of_an_error_is_no_reply(reply: str) -> None:
    assert is_failure(reply)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("Error 404 is on the sign, so the answer is B.", "B"),
        ("Error is written on the screen. The answer is C.", "C"),
        ("Exception is the word on the poster, so A.", "A"),
        ("CUDA out of memory is what the screen shows, so B.", "B"),
    ],
)
def test_a_reply_about_an_error_is_a_reply(reply: str, letter: str) -> None:
    assert not is_failure(reply)
    assert extract_letter(reply, "ABCD") == letter


def make_question(question_id: str = "q1", answer: str | None = "A") -> Question:
    text = render("What does the sign say?", tuple(CHOICES.values()))
    return Question(
        question_id=question_id,
        video_id="v1",
        category="av",
        text=text,
        stem="What does the sign say?",
        choices=tuple(CHOICES.values()),
        answer=answer,
    )


def make_prediction(question_id: str = "q1", response: str | None = "A") -> Prediction:
    return Prediction(
        question_id=question_id,
        arm="off",
        prompt_sha256=prompt_sha256("?"),
        response=response,
        error=None if response is not None else "video is truncated",
        status="ok" if response is not None else "failed",
    )


@pytest.mark.parametrize(
    ("response", "outcome", "letter"),
    [
        ("A", Outcome.CORRECT, "A"),
        ("B.", Outcome.WRONG, "B"),
        ("I cannot tell.", Outcome.UNPARSED, None),
        ("", Outcome.UNPARSED, None),
        ("[LMMS_EVAL_REQUEST_FAILED after 3 retries] A", Outcome.FAILED, None),
        (None, Outcome.FAILED, None),
    ],
)
def test_the_four_outcomes(response: str | None, outcome: Outcome, letter: str | None) -> None:
    marked = grade(make_question(), make_prediction(response=response))
    assert (marked.outcome, marked.letter) == (outcome, letter)


def test_a_missing_prediction_is_failed_and_stays_in_the_denominator() -> None:
    questions = [make_question("q1"), make_question("q2")]
    summary = summarize(grade_all(questions, [make_prediction("q2")]))
    assert (summary.num_questions, summary.num_correct, summary.num_failed) == (2, 1, 1)
    assert summary.accuracy == 0.5


def test_grades_come_in_the_order_of_the_questions() -> None:
    questions = [make_question("q2"), make_question("q1")]
    predictions = [make_prediction("q1"), make_prediction("q2")]
    assert [g.question_id for g in grade_all(questions, predictions)] == ["q2", "q1"]


def test_what_cannot_be_marked_is_refused() -> None:
    with pytest.raises(UserError, match="q9: is none of the 1 that were asked"):
        grade_all([make_question()], [make_prediction("q9")])
    with pytest.raises(UserError, match="q1: has two predictions"):
        grade_all([make_question()], [make_prediction(), make_prediction()])
    with pytest.raises(UserError, match="q1: its answer is withheld"):
        grade(make_question(answer=None), make_prediction())
    with pytest.raises(UserError, match="q1: is marked with the prediction of q2"):
        grade(make_question(), make_prediction("q2"))
    with pytest.raises(UserError, match="no grades"):
        summarize([])


def test_a_summary_counts_and_bounds() -> None:
    outcomes = [*[Outcome.CORRECT] * 6, Outcome.WRONG, Outcome.UNPARSED, *[Outcome.FAILED] * 2]
    grades = [
        Grade(question_id=f"q{i}", video_id=f"v{i % 4}", category="av", letter=None, outcome=o)
        for i, o in enumerate(outcomes)
    ]
    summary = summarize(grades)
    assert (summary.num_questions, summary.num_videos) == (10, 4)
    assert (summary.num_wrong, summary.num_unparsed, summary.num_failed) == (1, 1, 2)
    assert summary.accuracy == 0.6
    assert summary.accuracy_low < 0.6 < summary.accuracy_high
    assert summary.standard_error is not None and summary.standard_error > 0


def test_all_right_is_exactly_one() -> None:
    grades = grade_all([make_question(f"q{i}") for i in range(3)], [])
    perfect = [g.model_copy(update={"outcome": Outcome.CORRECT}) for g in grades]
    assert summarize(perfect).accuracy == 1.0


@pytest.mark.parametrize("end", ["!", "B"])
def test_a_reply_of_colons_is_read_in_one_go(end):
    """A pattern that tries every split of them takes a minute."""
    reply = "answer" + ":" * (MAX_REPLY_CHARACTERS - 10) + end
    assert extract_letter(reply, "ABCD") is None
