"""One question as a text: stem, lettered choices, instruction. Nothing here shuffles or rewords."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hlvid.errors import UserError
from hlvid.files import shown

INSTRUCTION = "Please answer directly with the letter of the correct answer."
"""What HLVid ends its questions with."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARKED = re.compile(r"[A-Z]\. ")


@dataclass(frozen=True)
class Parsed:
    """The parts of a question's text; joined again they give the very same text."""

    stem: str
    choices: tuple[str, ...]
    instruction: str


def render(stem: str, choices: Sequence[str], instruction: str = INSTRUCTION) -> str:
    """Write a question in HLVid's manner.

    Args:
        stem: What is asked.
        choices: 2 to 26 texts without line breaks, in their order.
        instruction: The last line; '' for none.

    Raises:
        UserError: The text would not parse back into these parts.
    """
    parts = Parsed(stem, tuple(choices), instruction)
    text = _join(parts)
    if parse(text) != parts:
        raise UserError(
            f"question {shown(stem)}: does not parse back into its parts. "
            "Allowed are 2 to 26 choices of one line each, and a stem without lettered lines."
        )
    return text


def parse(text: str) -> Parsed:
    """Take a question's text apart.

    Args:
        text: A stem, then lines 'A. ...', 'B. ...' and so on, then at most one line of instruction.

    Raises:
        UserError: There are no such lines, or more than one way to read them.
    """
    where = f"question {shown(text)}"
    lines = text.split("\n")
    starts = [i for i in range(len(lines)) if _num_marked(lines, i) >= 2]
    if len(starts) != 1 or starts == [0]:
        found = ", ".join(str(i + 1) for i in starts) or "none"
        raise UserError(
            f"{where}: lines where 'A. ', 'B. ' start: {found}. Allowed is one, after the stem."
        )
    (start,) = starts
    end = start + _num_marked(lines, start)
    instruction = "\n".join(lines[end:])
    if "\n" in instruction.strip() or _MARKED.match(instruction.strip()):
        raise UserError(
            f"{where}: choice {_LETTERS[end - start - 1]} is followed by {shown(instruction)}. "
            "Allowed are choices of one line each, then one line of instruction."
        )
    choices = tuple(
        line.removeprefix(f"{a}. ") for a, line in zip(_LETTERS, lines[start:end], strict=False)
    )
    parsed = Parsed("\n".join(lines[:start]), choices, instruction)
    if "\r" in text or _join(parsed) != text:
        raise UserError(
            f"{where}: does not render back identically. "
            "Allowed are line breaks LF, none of them after the last line."
        )
    return parsed


def prompt_sha256(text: str) -> str:
    """Digest of exactly what is sent, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _num_marked(lines: Sequence[str], start: int) -> int:
    """How many lines from `start` on are marked 'A. ', 'B. ', 'C. ' in turn."""
    num = 0
    for letter, line in zip(_LETTERS, lines[start : start + len(_LETTERS)], strict=False):
        if not line.startswith(f"{letter}. "):
            break
        num += 1
    return num


def _join(parts: Parsed) -> str:
    marked = [f"{a}. {choice}" for a, choice in zip(_LETTERS, parts.choices, strict=False)]
    return "\n".join([parts.stem, *marked, *filter(None, [parts.instruction])])
