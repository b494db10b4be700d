"""`created_at`'s type: an aware UTC time with microseconds on every database."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import StatementError

from flask_follows.types import utc_datetime, utcnow

MOMENT = datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=timezone.utc)
INDIA = timezone(timedelta(hours=5, minutes=30))
NEW_YORK = timezone(timedelta(hours=-5))

moments = sa.Table(
    "moments",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("moment", utc_datetime()),
)


def session_options(database, zone_name, offset):
    """Return the arguments of a connection whose session is in another zone."""
    if database.name == "postgresql":
        return {"options": f"-c timezone={zone_name}"}
    if database.name == "sqlite":
        return {}  # it has no zone of its own, and takes no notice of the process's
    return {"init_command": f"SET time_zone = '{offset}'"}


@contextmanager
def connect(url, options=None):
    """Connect and make the table."""
    engine = sa.create_engine(url, connect_args=options or {})
    with engine.begin() as connection:
        moments.create(connection)
        yield connection
    engine.dispose()


@pytest.fixture
def connection(database_url):
    """A connection with the table."""
    with connect(database_url) as connection:
        yield connection


@pytest.fixture(params=[("America/New_York", "-05:00"), ("Asia/Kolkata", "+05:30")], ids=str)
def elsewhere(request, database, database_url, monkeypatch):
    """One whose session is in another zone, as the process is."""
    monkeypatch.setenv("TZ", request.param[0])
    time.tzset()
    with connect(database_url, session_options(database, *request.param)) as connection:
        yield connection
    monkeypatch.undo()
    time.tzset()


def store(connection, *values):
    """Store moments, numbered from 1."""
    rows = [{"id": place, "moment": value} for place, value in enumerate(values, 1)]
    connection.execute(sa.insert(moments), rows)


def read(connection, *criteria):
    """Return the moments that are stored."""
    found = sa.select(moments.c.moment).where(*criteria).order_by(moments.c.id)
    return connection.scalars(found).all()


def test_now_is_aware_and_utc():
    """`utcnow` gives the current moment with its zone."""
    before = datetime.now(timezone.utc)
    now = utcnow()
    assert now.tzinfo is timezone.utc
    assert before <= now <= datetime.now(timezone.utc)


def test_a_moment_comes_back_the_same_and_in_utc(connection):
    """Whatever zone it was given in, it is the same moment, in UTC, to the microsecond."""
    store(connection, *(MOMENT.astimezone(zone) for zone in (timezone.utc, INDIA, NEW_YORK)))
    back = read(connection)
    assert back == [MOMENT] * 3
    assert {moment.utcoffset() for moment in back} == {timedelta(0)}
    assert {moment.microsecond for moment in back} == {123456}


def test_it_is_the_same_in_a_session_elsewhere(elsewhere):
    """The zones of the session and of the process do not matter."""
    store(elsewhere, *(MOMENT.astimezone(zone) for zone in (timezone.utc, INDIA, NEW_YORK)))
    back = read(elsewhere, moments.c.moment == MOMENT.astimezone(INDIA))
    assert back == [MOMENT] * 3
    assert {moment.utcoffset() for moment in back} == {timedelta(0)}


def test_what_is_stored_is_utc(elsewhere):
    """The column itself holds the time in UTC: other programs read it so."""
    store(elsewhere, MOMENT.astimezone(INDIA))
    value = sa.type_coerce(moments.c.moment, sa.DateTime(timezone=True))
    raw = elsewhere.scalar(sa.select(value))
    if raw.tzinfo is not None:
        raw = raw.astimezone(timezone.utc).replace(tzinfo=None)
    assert raw == MOMENT.replace(tzinfo=None)


def test_null_stays_null(connection):
    """A column of this type may be left empty."""
    store(connection, None)
    assert read(connection) == [None]


def test_comparisons_understand_zones(connection):
    """A criterion in another zone means the moment, not its digits."""
    store(connection, MOMENT)
    same = MOMENT.astimezone(INDIA)
    moment, second = moments.c.moment, timedelta(microseconds=1)
    assert read(connection, moment == same) == [MOMENT]
    assert read(connection, moment < same + second, moment > same - second) == [MOMENT]
    assert read(connection, moment.between(same + second, same + 2 * second)) == []


def test_moments_sort_by_time(connection):
    """Times a microsecond apart, with and without a fraction of a second, sort as time goes."""
    whole = MOMENT.replace(microsecond=0)
    in_order = [whole - timedelta(microseconds=1), whole, whole + timedelta(microseconds=1), MOMENT]
    store(connection, *reversed(in_order))
    statement = sa.select(moments.c.moment).order_by(moments.c.moment)
    assert connection.scalars(statement).all() == in_order


@pytest.mark.parametrize("naive", [MOMENT.replace(tzinfo=None), datetime.max])
def test_a_naive_moment_is_refused(connection, naive):
    """A time without a zone raises before it reaches the database, and nothing is broken."""
    with pytest.raises(StatementError, match=r"has no time zone.*aware") as caught:
        store(connection, naive)
    assert isinstance(caught.value.orig, ValueError)
    store(connection, MOMENT)
    assert read(connection) == [MOMENT]


def test_a_naive_criterion_is_refused(connection):
    """It is refused in a comparison as well."""
    with pytest.raises(StatementError, match="has no time zone"):
        read(connection, moments.c.moment > MOMENT.replace(tzinfo=None))


def test_the_type_says_what_its_values_are():
    """`python_type` is known, as tools that build forms want it."""
    assert utc_datetime().python_type is datetime


@pytest.mark.parametrize(
    ("dialect", "ddl"),
    [
        (postgresql.dialect(), "TIMESTAMP WITH TIME ZONE"),
        (sqlite.dialect(), "DATETIME"),
        (mysql.dialect(), "DATETIME(6)"),
    ],
    ids=["postgresql", "sqlite", "mysql"],
)
def test_the_column_is_of_the_plain_type(dialect, ddl):
    """The database sees the type it has for moments, with microseconds."""
    assert utc_datetime().compile(dialect=dialect) == ddl


def test_a_migration_shows_plain_types():
    """The reprs, which Alembic writes, are those of SQLAlchemy's own types."""
    kind = utc_datetime()
    assert repr(kind) == "DateTime(timezone=True)"
    assert repr(kind.dialect_impl(mysql.dialect())) == "DATETIME(fsp=6)"
