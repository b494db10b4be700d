"""Several rows in one statement: how many at most, and how they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

__all__ = ["CHUNK", "chunks", "is_one_of_rows"]

# Rows of one statement: few enough for every database's limit on bound parameters.
CHUNK = 300
# Databases that find rows by key from a list of rows. SQLite would read the whole table for it,
# and others do not know it.
_BY_LIST = {"postgresql", "mysql", "mariadb"}


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """Cut a sequence into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def is_one_of_rows(
    columns: Sequence[Any], rows: Sequence[Sequence[Any]], dialect: sa.Dialect
) -> sa.ColumnElement[bool]:
    """Return "the columns have the values of one of these rows"."""
    # In a list, SQLAlchemy leaves out what a type asks the database to make of a value.
    is_plain = all(column.type.column_expression(column) is None for column in columns)
    if len(rows) > 1 and is_plain and dialect.name in _BY_LIST:
        return sa.tuple_(*columns).in_(rows)
    each = (
        sa.and_(*(column == value for column, value in zip(columns, row, strict=True)))
        for row in rows
    )
    return sa.or_(*each)
