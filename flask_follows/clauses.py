"""SQL on the columns of an edge table, or of what a statement reads in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.sql.visitors import iterate, replacement_traverse

__all__ = ["KEYS", "LIMIT", "VIEWER", "as_read", "is_parameter", "is_whole", "several", "shared"]

# Names of parameters in statements that have criteria of the host's beside them, in which a
# parameter may well be called "limit".
VIEWER, LIMIT, KEYS = "follows_viewer", "follows_limit", "follows_keys"

Selected = TypeVar("Selected", bound=sa.FromClause)


def as_read(table: sa.Table, view: sa.FromClause, clause: Any) -> Any:
    """Return a clause on columns of a table as one on the columns of the same name of a view.

    :raises ValueError: a sub-query asks about the table; it would ask about all of its rows.
    """
    given = clause.__clause_element__() if hasattr(clause, "__clause_element__") else clause
    if view is table or not isinstance(given, sa.ColumnElement):
        return clause
    columns = {column: view.c[column.key] for column in table.c}

    def replaced(element: Any, **_: Any) -> Any:
        if isinstance(element, sa.Column):
            return columns.get(element)
        if not isinstance(element, (sa.FromClause, sa.SelectBase, sa.Exists)):
            return None
        if any(isinstance(part, sa.Column) and part in columns for part in iterate(element)):
            raise ValueError(
                f"this sub-query asks about columns of {table.name!r}, and here an edge is read "
                "from either end; ask relation.edges(obj), or use an alias of the class"
            )
        return element

    return replacement_traverse(given, {}, replaced)


def several(given: Any) -> Sequence[Any]:
    """Return one or several clauses as a sequence; None is none."""
    if given is None:
        return ()
    return given if isinstance(given, (list, tuple)) else (given,)


def is_whole(far: Any) -> list[Any]:
    """Return what a row of a table of the host's must fulfil to be an edge: it has a far end."""
    return [far.is_not(None)] if getattr(far, "nullable", False) else []


def is_parameter(name: str, column: Any) -> sa.ColumnElement[bool]:
    """Return "the column is the parameter of this name"."""
    return cast("sa.ColumnElement[bool]", column == sa.bindparam(name, type_=column.type))


def shared(selectable: Selected) -> Selected:
    """Make ready for many threads what is used in statements that are kept.

    SQLAlchemy fills an index of its columns when a statement is first compiled. A second thread
    that finds it half full compiles a wrong statement, which SQLAlchemy then keeps for good.
    """
    selectable.c.corresponding_column(sa.column("none of these"))
    return selectable
