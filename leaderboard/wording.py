"""How values become text: short, with one typography, and harmless whoever wrote them.

Markup is escaped by the templates. What is handled here is what escaping leaves dangerous:
characters that hide, reorder or pile up, and numbers too large to print.
"""

import unicodedata

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
NBSP = "\N{NO-BREAK SPACE}"
MAX_CHARACTERS = 400
MAX_MARKS = 2
"""Combining marks in a row that are shown as such; more would draw over other lines."""
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that count as printable and show nothing."""


def plain(text: object, *, limit: int = MAX_CHARACTERS) -> str:
    r"""Text from a record, with what cannot be seen spelled out.

    Control, bidirectional, zero-width and unassigned characters become `\u202e` and the like, as
    do blank letters and the third and later combining mark in a row. Longer texts are cut, and
    say so.

    Args:
        text: Anything; it is turned into a string first.
        limit: Most characters of the text that are shown.
    """
    whole = text if isinstance(text, str) else str(text)
    shown: list[str] = []
    num_marks = 0
    for character in whole[:limit]:
        is_mark = unicodedata.category(character) in ("Mn", "Me")
        num_marks = num_marks + 1 if is_mark else 0
        is_shown = character.isprintable() and character not in BLANK_LETTERS
        if is_shown and num_marks <= MAX_MARKS:
            shown.append(character)
        else:
            shown.append(f"\\u{ord(character):04x}")
    if len(whole) > limit:
        shown.append(f"\N{HORIZONTAL ELLIPSIS} ({len(whole)} characters)")
    return "".join(shown)


def number(value: float, *, digits: int = 1) -> str:
    """A number with a true minus sign; very large ones in scientific notation."""
    text = f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.1e}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def count(value: int) -> str:
    """A whole number with thousands apart; one of more than 15 digits by its length."""
    if abs(value) >= 10**15:
        return "over 10^15" if value > 0 else f"under {MINUS}10^15"
    return f"{value:,}".replace("-", MINUS)


def percent(share: float, *, digits: int = 1) -> str:
    """A share as a percentage without its sign: 0.4125 is '41.2'."""
    return number(100 * share, digits=digits)


def kept(ratio: float) -> str:
    """A kept ratio in percent with two significant digits below 10: '2.0', '0.25', '10', '100'."""
    value = 100 * ratio
    if value == 0 or value >= 9.95:
        return number(value, digits=0)
    if value >= 0.995:
        return number(value, digits=1)
    return f"{value:.2g}" if value >= 0.001 else "<0.001"


def points(difference: float) -> str:
    """A difference of shares in percentage points, always signed: '+12.3', minus sign, '0.0'."""
    text = percent(difference)
    if text.strip(MINUS + "0.") == "":
        return "0.0"
    return text if difference < 0 else f"+{text}"


def span(low: str, high: str) -> str:
    """An interval: '35.0-47.6' with a dash, or 'to' where a sign would run into it."""
    signs = (MINUS, "+")
    joint = f"{NBSP}to{NBSP}" if low.startswith(signs) or high.startswith(signs) else DASH
    return f"{low}{joint}{high}"


def seconds(milliseconds: float) -> str:
    """Milliseconds as seconds with three digits: '0.446', '2.55', '12.3', '140'."""
    value = milliseconds / 1000
    if 0 < value < 0.0005:
        return "<0.001"
    digits = sum(abs(value) < limit for limit in (0.9995, 9.995, 99.95))
    return number(value, digits=digits)


def gibibytes(num_bytes: int) -> str:
    """A number of bytes in GiB with two decimals."""
    if num_bytes >= 2**60:
        return "over 10^9"
    return number(num_bytes / 2**30, digits=2)


def p_value(p: float) -> str:
    """A p value with three decimals, never as zero."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def factor(ratio: float) -> str:
    """A speed-up: '1.84' below 10, fewer decimals above."""
    return number(ratio, digits=2 if ratio < 10 else 1)


def counted(num: int, noun: str) -> str:
    """A number and its noun: '1 video', '24 videos'."""
    return f"{count(num)} {noun}{'' if num == 1 else 's'}"


def listed(words: list[str]) -> str:
    """Words as a list in a sentence: 'a', 'a and b', 'a, b and c'."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
