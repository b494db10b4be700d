"""The column type of ``created_at``: an aware UTC time with microseconds on every database.

And what is to be known of the types that hosts have for their times.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["has_zone", "is_utc", "plain_type", "utc_datetime", "utcnow"]


def utcnow() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(timezone.utc)


class _UTCDateTime(TypeDecorator[datetime]):
    """Store any aware time as UTC and give it back aware.

    SQLite and MariaDB drop the time zone without converting, PostgreSQL answers in the session's
    zone; converting on both ways is right on all of them.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(
                f"{value!r} has no time zone, so the moment it means is unknown; "
                "give an aware datetime, for instance datetime.now(timezone.utc)"
            )
        return value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc)

    def __repr__(self) -> str:
        return "DateTime(timezone=True)"


class _MySQLUTCDateTime(_UTCDateTime):
    """The same on MySQL and MariaDB, whose plain DATETIME keeps whole seconds only."""

    impl = mysql.DATETIME(fsp=6)
    cache_ok = True

    def __repr__(self) -> str:
        return "DATETIME(fsp=6)"


# Alembic writes a type of a third-party module into the host's migration without importing that
# module, and the migration then fails with a NameError. With these names and the reprs above it
# writes the plain types that are created in the database, and imports them.
_UTCDateTime.__module__ = "sqlalchemy.sql.sqltypes"
_MySQLUTCDateTime.__module__ = "sqlalchemy.dialects.mysql.types"


def is_utc(kind: TypeEngine[Any]) -> bool:
    """Tell whether a type is that of :func:`utc_datetime`."""
    return isinstance(kind, _UTCDateTime)


def plain_type(kind: TypeEngine[Any]) -> Any:
    """Return the type below the host's decorators."""
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind


def has_zone(kind: TypeEngine[Any]) -> bool:
    """Tell whether a type for times takes aware ones.

    One of the host's that stores them without a zone does where it gives them out with one.
    """
    if plain_type(kind).timezone:
        return True
    process = kind.result_processor(DefaultDialect(), None)
    found = None if process is None else process(datetime(2000, 1, 1))
    return isinstance(found, datetime) and found.tzinfo is not None


def utc_datetime() -> TypeEngine[datetime]:
    """Return the type for a column that holds moments in time.

    Naive values are refused with a ValueError.
    """
    return _UTCDateTime().with_variant(_MySQLUTCDateTime(), "mysql", "mariadb")
