"""One question as a text: stem, lettered choices, instruction. Nothing here shuffles or rewords."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from hlvid.errors import UserError

INSTRUCTION = "Please answer directly with the letter of the correct answer."
"""What HLVid ends its questions with."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


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
            f"question {stem!r}: does not parse back into its parts. "
            "Allowed are choices of one line, and a stem without lettered lines."
        )
    return text


def parse(text: str) -> Parsed:
    """Take a question's text apart.

    Args:
        text: A stem, then lines 'A. ...', 'B. ...' and so on, then at most one line of instruction.

    Raises:
        UserError: There are no such lines, or more than one way to read them.
    """
    lines = text.split("\n")
    starts = [i for i in range(1, len(lines) - 1) if _run_length(lines[i:]) >= 2]
    if len(starts) != 1:
        found = "no two" if not starts else f"{len(starts)} runs of"
        raise UserError(
            f"question {text[:60]!r}: has {found} lines that start with 'A. ', 'B. '. "
            "Allowed is one such run, after the stem."
        )
    (start,) = starts
    end = start + _run_length(lines[start:])
    after = "\n".join(lines[end:])
    if "\n" in after.strip() or "\r" in text:
        raise UserError(
            f"question {text[:60]!r}: does not end with one line of instruction "
            f"({after[:60]!r}). Allowed are choices of one line each, line breaks as LF."
        )
    choices = tuple(line[3:] for line in lines[start:end])
    parsed = Parsed("\n".join(lines[:start]), choices, after)
    if _join(parsed) != text:
        raise UserError(f"question {text[:60]!r}: does not render back identically.")
    return parsed


def prompt_sha256(text: str) -> str:
    """Digest of exactly what is sent, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _run_length(lines: Sequence[str]) -> int:
    """How many lines from the first on are marked 'A. ', 'B. ', 'C. ' in turn."""
    length = 0
    for letter, line in zip(_LETTERS, lines, strict=False):
        if not line.startswith(f"{letter}. "):
            break
        length += 1
    return length


def _join(parts: Parsed) -> str:
    marked = [
        f"{letter}. {choice}" for letter, choice in zip(_LETTERS, parts.choices, strict=False)
    ]
    instruction = [parts.instruction] if parts.instruction else []
    return "\n".join([parts.stem, *marked, *instruction])
