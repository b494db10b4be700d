"""Lines of CSV: what is read, what is wrong with the others, and that one harms no other."""

from __future__ import annotations

import gzip
import io
from datetime import datetime, timezone

import pytest

from flask_follows import FollowsError
from flask_follows.lines import LONGEST, Line, moment, read_lines, shown, written


def fields(content: bytes) -> list[tuple[str, ...]]:
    """Return the fields of each line, all of which are good."""
    lines = list(read_lines(io.BytesIO(content)))
    assert [line for line in lines if line.fault] == []
    return [line.fields for line in lines]


def faults(content: bytes) -> dict[int, str]:
    """Return what is wrong with each bad line, by number."""
    return {line.number: line.fault for line in read_lines(io.BytesIO(content)) if line.fault}


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\nc,d\n",
        b"a,b\nc,d",
        b"a,b\r\nc,d\r\n",
        b"\xef\xbb\xbfa,b\nc,d\n",
        b"follower,followed\na,b\nc,d\n",
        b"\xef\xbb\xbfFollower, Followed,created_at\r\na,b\r\nc,d\r\n",
        b"\n\n  \n follower_id,followed_id\n\na,b\n\nc,d\n\n",
        b'"follower","followed"\n"a","b"\n"c", "d"\n',
        b" a , b \n\tc,\td\n",
    ],
)
def test_lines_are_read(content):
    """Line ends, byte order mark, header, blank lines and blanks around fields do not matter."""
    assert fields(content) == [("a", "b"), ("c", "d")]


def test_numbers_are_those_of_the_file():
    """Blank lines and the header count, so that an editor finds the line."""
    content = b"\nfollower,followed\n\na,b\nc,d,2024-01-01\n"
    assert list(read_lines(io.BytesIO(content))) == [
        Line(4, "a,b", ("a", "b")),
        Line(5, "c,d,2024-01-01", ("c", "d", "2024-01-01")),
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"follower,followed,created_at\n"])
def test_a_file_without_edges(content):
    """A file without edges has no lines."""
    assert fields(content) == []


def test_a_header_counts_once():
    """After the first line, the words of the header are names like others."""
    assert fields(b"a,b\nfollower,followed\n")[1] == ("follower", "followed")


@pytest.mark.parametrize("header", [b"followed,follower\n", b"created_at,follower,followed\n"])
def test_a_header_in_another_order(header):
    """A file that names the columns in another order is refused before it is read wrongly."""
    with pytest.raises(FollowsError, match=r"must be follower,followed,created_at"):
        fields(header + b"a,b\n")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"a", "1 field, expected 2 or 3"),
        (b"a,b,,d", "4 fields, expected 2 or 3"),
        (b'"a,b', "unexpected end of data"),
        (b'"a"x,b', "expected after"),
        (b"a,b\xff", "not UTF-8: byte 0xff at position 4"),
        (b"a,b\x00", "has a NUL character"),
        (b"a,b\rc,d", "new-line character"),
        (b"a," + b"b" * LONGEST, f"longer than {LONGEST:,} bytes"),
        (b"a," + b"b" * 5 * LONGEST, f"longer than {LONGEST:,} bytes"),
    ],
)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_bad_line_harms_no_other(line, fault, ending):
    """Each kind of bad line is told of with its number, and those around it are good."""
    content = ending.join([b"a,b", line, b"c,d", line, line, b'"e,e",f', line])
    found = faults(content)
    assert list(found) == [2, 4, 5, 7]
    assert all(fault in text for text in found.values())
    good = [line.fields for line in read_lines(io.BytesIO(content)) if not line.fault]
    assert good == [("a", "b"), ("c", "d"), ("e,e", "f")]


def test_a_long_line_at_the_limit():
    """A line as long as allowed is read, also without a line end; its text is cut when longer."""
    name = b"b" * (LONGEST - 3)
    assert fields(b"a," + name + b"\n" + b"a," + name) == [("a", name.decode())] * 2
    (line,) = read_lines(io.BytesIO(b"a" * 10 * LONGEST))
    assert len(line.text) < 200


def test_text_of_undecodable_lines():
    """The text of a line that is not UTF-8 can be shown and written."""
    (line,) = read_lines(io.BytesIO(b"Zo\xeb,b\n"))
    assert line.text == "Zo\\xeb,b"


@pytest.mark.parametrize("cut", [slice(-20), slice(-6), slice(100)])
def test_a_damaged_gzip_file(cut):
    """What is before the damage is read, and the damage is the fault of the line after it."""
    packed = gzip.compress(b"a,b\n" * 100_000, mtime=0)[cut]
    *good, bad = read_lines(io.BufferedReader(gzip.GzipFile(fileobj=io.BytesIO(packed))))
    assert {line.fields for line in good} <= {("a", "b")}
    assert bad.number == len(good) + 1
    assert bad.fault.startswith("the file cannot be read from here on: ")


def test_a_gzip_file_with_wrong_bytes():
    """Damage in the middle is told of like an end that is missing."""
    packed = bytearray(gzip.compress(b"a,b\nc,d\n" * 1000, mtime=0))
    packed[12:40] = b"\xff" * 28
    (bad,) = read_lines(io.BufferedReader(gzip.GzipFile(fileobj=io.BytesIO(packed))))
    assert (bad.number, "cannot be read" in bad.fault) == (1, True)


NOON = datetime(2024, 1, 31, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("2024-01-31T12:00:00Z", NOON),
        ("2024-01-31t12:00z", NOON),
        ("2024-01-31 14:00:00+02", NOON),
        ("2024-01-31 14:00:00+02:00", NOON),
        ("2024-01-31 06:30:00-0530", NOON),
        ("2024-01-31T12:00:00.5Z", NOON.replace(microsecond=500_000)),
        ("2024-01-31T12:00:00,000001Z", NOON.replace(microsecond=1)),
        ("2024-01-31 12:00:00.123456789 Z".replace(" Z", "Z"), NOON.replace(microsecond=123_456)),
    ],
)
def test_times(text, expected):
    """Times as databases and languages write them become aware times in UTC."""
    assert moment(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yesterday", "not a time like"),
        ("1706702400", "not a time like"),
        ("2024-01-31", "not a time like"),
        ("2024-01-31T12:00:00", "no time zone"),
        ("2024-02-30T12:00:00Z", "no time of any calendar"),
        ("2024-01-31T12:00:00+99:99", "no time of any calendar"),
        ("9999-12-31T23:00:00-14:00", "no time of any calendar"),
        ("0000-01-01T00:00:00Z", "no time of any calendar"),
        ("0999-12-31T00:00:00Z", "before the year 1000"),
        ("x" * 1000, r"x\.\.\. is not a time"),
    ],
)
def test_times_that_are_none(text, reason):
    """The reason says what is wrong with a time; one without a zone could be any of 24."""
    with pytest.raises(ValueError, match=reason):
        moment(text)


@pytest.mark.parametrize(
    "row",
    [
        ("1", "2"),
        ("a,b", 'c"d'),
        (" a", "b "),
        ("", ""),
        ("", "b", "2024-01-31T12:00:00Z"),
        ("\ufeffa", "b"),
        ("Zoë", "\u3000"),
        ("'a", "\\"),
    ],
)
def test_what_is_written_is_read(row):
    """Names with commas, quotes, blanks and all the rest come back as they were."""
    assert fields(written(row).encode()) == [row]


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\0b"])
def test_names_that_cannot_be_written(name):
    """A name that would break the lines is refused, with what to do."""
    with pytest.raises(FollowsError, match="export by key"):
        written(("1", name))


def test_long_values_are_cut():
    """A message does not grow with what it is about."""
    assert len(shown("x" * 10_000)) == 60
