"""Values as text: harmless, signed, never too long."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import wording


@given(st.text(max_size=500))
def test_plain_text_hides_nothing(text):
    shown = wording.plain(text)
    assert all(character.isprintable() for character in shown)
    marks = "".join("m" if unicodedata.category(c) in ("Mn", "Me") else "." for c in shown)
    assert "m" * (wording.MAX_MARKS + 1) not in marks
    assert len(shown) <= 10 * wording.MAX_CHARACTERS + 40


def test_plain_text_stays_as_it_is():
    assert wording.plain("detail@0.1, größer – 视频") == "detail@0.1, größer – 视频"


def test_bidirectional_and_blank_characters_are_spelled_out():
    assert wording.plain("a\u202eb\u200bc\u3164") == "a\\u202eb\\u200bc\\u3164"


def test_long_text_says_how_long_it_was():
    assert wording.plain("x" * 1000, limit=3) == "xxx… (1000 characters)"


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.1234, "+12.3"), (-0.1234, "−12.3"), (0.0, "0.0"), (0.0004, "0.0"), (-0.0004, "0.0")],
)
def test_points_carry_their_sign(difference, text):
    assert wording.points(difference) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.0, "100"), (0.1, "10"), (0.0199, "2.0"), (0.0025, "0.25"), (1e-9, "<0.001"), (0.0, "0")],
)
def test_kept_has_two_digits(ratio, text):
    assert wording.kept(ratio) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.0, "0.000"),
        (0.1, "<0.001"),
        (446.2, "0.446"),
        (2551, "2.55"),
        (12_340, "12.3"),
        (140_000, "140"),
        (1e300, "1.0e+297"),
    ],
)
def test_seconds_have_three_digits(milliseconds, text):
    assert wording.seconds(milliseconds) == text


def test_signed_ends_are_not_joined_by_a_dash():
    assert wording.span("−1.0", "+2.0") == "−1.0\u00a0to\u00a0+2.0"
    assert wording.span("1.0", "2.0") == "1.0–2.0"


@pytest.mark.parametrize(("p", "text"), [(0.0, "<0.001"), (0.0123, "0.012"), (1.0, "1.000")])
def test_p_is_never_zero(p, text):
    assert wording.p_value(p) == text


@given(st.integers())
def test_counts_and_sizes_have_a_bounded_length(value):
    assert len(wording.count(value)) <= 22
    assert len(wording.gibibytes(abs(value))) <= 22


@pytest.mark.parametrize("value", [-0.0, 0.0, -0.04, 0.04])
def test_nothing_is_written_as_minus_nothing(value):
    assert wording.number(value) == "0.0"
