"""Numbers as people read them: 12300 as 12.3K."""

from __future__ import annotations

__all__ = ["compact_number"]

_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))


def compact_number(number: int) -> str:
    """Return a number in at most four digits and a letter: 999, 1K, 12.3K, 123K, 1.2M.

    Cut off, not rounded: nobody has 1K followers before they are a thousand. `static/follows.js`
    has the same rule.
    """
    if number < 0:
        return f"-{compact_number(-number)}"
    for unit, letter in _UNITS:
        if number >= unit:
            tenths = number * 10 // unit
            whole, tenth = divmod(tenths, 10)
            return f"{whole}{letter}" if whole >= 100 or not tenth else f"{whole}.{tenth}{letter}"
    return str(number)
