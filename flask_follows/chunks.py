"""Several rows in one statement: how many at most, and how they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

__all__ = ["CHUNK", "chunks", "is_one_row"]

# Rows of one statement: few enough for every database's limit on bound parameters.
CHUNK = 300


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """Cut a sequence into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def is_one_row(
    columns: Sequence[Any], rows: Sequence[Sequence[Any]], dialect: sa.Dialect
) -> sa.ColumnElement[bool]:
    """Return "the columns have the values of one of these rows"."""
    if len(rows) > 1 and dialect.name != "sqlite":
        return sa.tuple_(*columns).in_(rows)
    # For a list of rows, SQLite would read the whole table.
    each = (
        sa.and_(*(column == value for column, value in zip(columns, row, strict=True)))
        for row in rows
    )
    return sa.or_(*each)
