"""The condition that continues a keyset page, in the form in which each database is quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

__all__ = ["Form", "form_for"]

# Makes a condition of columns, values for them, and whether what lies above them is meant.
Form: TypeAlias = Callable[[Sequence[Any], Sequence[Any], bool], "sa.ColumnElement[bool]"]


def form_for(dialect: sa.Dialect) -> Form:
    """Return the form of "beyond this place" that a database answers from its index.

    They all mean the same. A form that a database does not see through makes it read all edges on
    the other side of the place, however few are on the page.
    """
    return _FORMS.get(dialect.name, _nested)


def _nested(columns: Sequence[Any], values: Sequence[Any], newer: bool) -> Any:
    """Return `a <= :a AND (a < :a OR b < :b)`.

    Bounded on all databases that were measured, but for edges of one and the same time: of these
    it reads all on the other side.
    """
    column, value = columns[0], values[0]
    strict = column > value if newer else column < value
    if len(columns) == 1:
        return strict
    rest = _nested(columns[1:], values[1:], newer)
    return sa.and_(column >= value if newer else column <= value, sa.or_(strict, rest))


def _row(columns: Sequence[Any], values: Sequence[Any], newer: bool) -> Any:
    """Return `(a, b) < (:a, :b)`; MariaDB reads everything for it."""
    edge, place = sa.tuple_(*columns), sa.tuple_(*values)
    return edge > place if newer else edge < place


def _ranges(columns: Sequence[Any], values: Sequence[Any], newer: bool) -> Any:
    """Return `a < :a OR a = :a AND b < :b`; PostgreSQL and SQLite read everything for it."""
    column, value = columns[0], values[0]
    strict = column > value if newer else column < value
    if len(columns) == 1:
        return strict
    return sa.or_(strict, sa.and_(column == value, _ranges(columns[1:], values[1:], newer)))


_FORMS: dict[str, Form] = {
    "sqlite": _row,
    "postgresql": _row,
    "mysql": _ranges,
    "mariadb": _ranges,
}
