"""Lines of a CSV file of edges, `follower,followed[,created_at]`, where any may be bad.

Each line is read by itself, in bounded memory, so that a bad one harms no other: not by a quote
that is never closed, not by its length, not by its bytes. It comes out with what is wrong with it.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import BinaryIO, NamedTuple

from .errors import FollowsError

__all__ = ["HEADER", "Line", "moment", "read_lines", "shown", "written"]

HEADER = ("follower", "followed", "created_at")
# In bytes. Two names and a time need far less; a file without line ends must not fill the memory.
LONGEST = 10_000

# As PostgreSQL, MariaDB, Python and JavaScript write it, on every version of Python.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,6})\d*)?(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


class Line(NamedTuple):
    """One line that is not empty: its number, from 1, its text, and its fields or a fault."""

    number: int
    text: str
    fields: tuple[str, ...] = ()
    fault: str | None = None


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a file, without empty ones and the header.

    What cannot be read from some line on is the fault of that line: those before it are good.

    :raises FollowsError: the header names the columns in another order than ours.
    """
    lines = (line for line in _all_lines(file) if line.fault or line.text.strip())
    for line in lines:
        if not _is_header(line):
            yield line
        break
    yield from lines


def moment(text: str) -> datetime | None:
    """Return an aware time in UTC, None for an empty text.

    :raises ValueError: says what is wrong with it.
    """
    if not text:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not a time like 2024-01-31T12:00:00Z")
    date, time, fraction, zone = match.groups()
    if zone is None:
        raise ValueError(f"{shown(text)} has no time zone")
    zone = "+00:00" if zone in "Zz" else f"{zone[:3]}:{zone[3:].removeprefix(':') or '00'}"
    time = time if time.count(":") == 2 else f"{time}:00"
    try:
        found = datetime.fromisoformat(f"{date}T{time}.{fraction or '0':0<6}{zone}")
        found = found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(text)} is no time of any calendar") from None
    if found.year < 1000:  # the first year that MariaDB and MySQL can hold
        raise ValueError(f"{shown(text)} is before the year 1000")
    return found


def written(row: tuple[str, ...]) -> str:
    """Return fields as a line that :func:`read_lines` reads as the same fields.

    :raises FollowsError: a field has a line break or a NUL character.
    """
    quoted = []
    for field in row:
        if re.search("[\r\n\0]", field):
            raise FollowsError(
                f"the name {shown(field)} has a character that a line of CSV cannot hold; "
                "export by key or by another column"
            )
        # Blanks around a field count only inside quotes.
        needed = re.search('[",\ufeff]', field) or field != field.strip()
        quoted.append('"{}"'.format(field.replace('"', '""')) if needed else field)
    return ",".join(quoted) + "\n"


def shown(value: object) -> str:
    """Return a value for a message, cut short where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _all_lines(file: BinaryIO) -> Iterator[Line]:
    number = 0
    try:
        while raw := file.readline(LONGEST + 1):
            number += 1
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            rest, is_overlong = raw, len(raw) > LONGEST
            while is_overlong and rest and not rest.endswith(b"\n"):
                rest = file.readline(LONGEST)
            yield _overlong(number, raw) if is_overlong else _line(number, raw)
    # As gzip and zlib tell of a file that is cut off or damaged.
    except (EOFError, OSError, zlib.error) as error:
        yield Line(number + 1, "", fault=f"the file cannot be read from here on: {error}")


def _overlong(number: int, raw: bytes) -> Line:
    start = raw[:100].decode(errors="backslashreplace")
    return Line(number, f"{start}...", fault=f"longer than {LONGEST:,} bytes")


def _line(number: int, raw: bytes) -> Line:
    text = raw.decode(errors="backslashreplace").rstrip("\r\n")
    try:
        raw.decode()
        return Line(number, text, fields=_fields(text))
    except UnicodeDecodeError as error:
        fault = f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}"
    except (ValueError, csv.Error) as error:
        fault = str(error)
    return Line(number, text, fault=fault)


def _fields(text: str) -> tuple[str, ...]:
    if not text.strip():
        return ()
    if "\0" in text:
        raise ValueError("has a NUL character")
    fields = next(csv.reader([text], strict=True, skipinitialspace=True))
    if len(fields) not in (2, 3):
        plural = "" if len(fields) == 1 else "s"
        raise ValueError(f"{len(fields)} field{plural}, expected 2 or 3")
    return tuple(fields if '"' in text else [field.strip() for field in fields])


def _is_header(line: Line) -> bool:
    names = tuple(name.strip().lower().removesuffix("_id") for name in line.fields)
    if set(HEADER[:2]) <= set(names) and names != HEADER[: len(names)]:
        raise FollowsError(
            f"the header is {shown(line.text)}, but the order must be {','.join(HEADER)} "
            "(the last may be left out)"
        )
    return bool(names) and names == HEADER[: len(names)]
