"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_follows.web.numbers import compact_number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1"),
        (999, "999"),
        (1000, "1K"),
        (1049, "1K"),
        (1100, "1.1K"),
        (1999, "1.9K"),
        (12_300, "12.3K"),
        (99_999, "99.9K"),
        (123_456, "123K"),
        (999_999, "999K"),
        (1_000_000, "1M"),
        (1_250_000_000, "1.2B"),
        (10**12, "1T"),
        (10**15, "1000T"),
        (-12_300, "-12.3K"),
    ],
)
def test_compact_numbers(number, text):
    """At most three digits of a number, cut off."""
    assert compact_number(number) == text


@given(st.integers(0, 10**15 - 1))
def test_it_is_short_and_never_too_much(number):
    """Five characters, and no more than there are."""
    text = compact_number(number)
    assert len(text) <= 5
    value, unit = (text[:-1], text[-1]) if text[-1].isalpha() else (text, "")
    factor = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}[unit]
    shown = round(float(value) * factor)
    assert shown <= number < shown * 1.1 + 1
