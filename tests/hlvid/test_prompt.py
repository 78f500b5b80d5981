"""A question's text and its parts are the same thing in two spellings."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hlvid.errors import UserError
from hlvid.prompt import INSTRUCTION, Parsed, parse, prompt_sha256, render

TEXT = (
    "What does the white text on the green sign say?\n"
    "A. St and 2500 N\n"
    "B. St and 2500 S\n"
    "C. ST AND 25OO N\n"
    "D. A. St\n"
    "Please answer directly with the letter of the correct answer."
)
CHOICES = ("St and 2500 N", "St and 2500 S", "ST AND 25OO N", "A. St")


def test_a_text_in_hlvids_manner_comes_apart_and_together() -> None:
    parsed = parse(TEXT)
    assert parsed == Parsed("What does the white text on the green sign say?", CHOICES, INSTRUCTION)
    assert render(parsed.stem, parsed.choices) == TEXT


LINE = st.text(st.sampled_from("AB. ax\té?"), max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, min_size=1, max_size=3), st.lists(LINE, min_size=1, max_size=27), LINE)
def test_what_renders_parses_back_identically(
    stem: list[str], choices: list[str], instruction: str
) -> None:
    try:
        text = render("\n".join(stem), choices, instruction)
    except UserError:
        return
    assert parse(text) == Parsed("\n".join(stem), tuple(choices), instruction)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ABC. \nx\r"), max_size=40))
def test_what_parses_renders_back_identically(text: str) -> None:
    try:
        parsed = parse(text)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert render(parsed.stem, parsed.choices, parsed.instruction) == text


@pytest.mark.parametrize("num_choices", [2, 4, 26])
def test_every_number_of_letters(num_choices: int) -> None:
    choices = [f"choice {i}" for i in range(num_choices)]
    text = render("Which one?", choices, "")
    assert text.splitlines()[-1] == f"{chr(ord('A') + num_choices - 1)}. {choices[-1]}"
    assert parse(text).choices == tuple(choices)


def test_blank_lines_and_spaces_are_kept() -> None:
    text = "Which one?\n\nA. a \nB.  b\n\nAnswer with the letter."
    parsed = parse(text)
    assert parsed == Parsed("Which one?\n", ("a ", " b"), "\nAnswer with the letter.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "start: none"),
        ("Which one?", "start: none"),
        ("A. a\nB. b", "start: 1"),
        ("Which one?\nA. a", "start: none"),
        ("Which one?\nB. a\nC. b", "start: none"),
        ("Which one?\nA) a\nB) b", "start: none"),
        ("Say A or B\nA. a\nB. b\nthen\nA. a\nB. b", "start: 2, 5"),
        ("Which one?\nA. a\nB. b\nmore b\nC. c\nD. d", "choice B is followed by 'more b"),
        ("Which one?\nA. a\nB. b\nD. d", "choice B is followed by 'D. d'"),
        ("Which one?\nA. a\nB. b\n", "does not render back identically"),
        ("Which one?\r\nA. a\r\nB. b\r\nAnswer.", "does not render back identically"),
    ],
)
def test_a_text_that_can_be_read_two_ways_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("stem", "choices"),
    [
        ("Which one?", ["a"]),
        ("Which one?", [f"{i}" for i in range(27)]),
        ("Which one?", ["a\nb", "c"]),
        ("A. a\nB. b", ["a", "b"]),
        ("Which one?\nA. x\nB. y", ["a", "b"]),
    ],
)
def test_parts_that_would_not_parse_back_are_refused(stem: str, choices: list[str]) -> None:
    with pytest.raises(UserError, match=r"^question "):
        render(stem, choices)


def test_the_digest_is_of_the_bytes_that_are_sent() -> None:
    assert prompt_sha256("é") == hashlib.sha256(b"\xc3\xa9").hexdigest()
