"""SQL on the columns of an edge table, or of what is read in its place; names of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.sql.visitors import iterate, replacement_traverse
from sqlalchemy.types import NullType

from .errors import ConfigurationError

__all__ = [
    "AS_SENT",
    "KEYS",
    "LIMIT",
    "NEAR",
    "PLACE",
    "as_read",
    "as_sent",
    "criteria",
    "is_parameter",
    "is_whole",
    "several",
    "shared",
]

# Names of parameters in statements that have criteria of the host's beside them, in which a
# parameter may well be called "limit".
_OURS = "follows_"
NEAR, LIMIT, KEYS = "follows_near", "follows_limit", "follows_keys"
PLACE = "follows_place"

# The type of what is as the driver sends it.
AS_SENT = NullType()

Selected = TypeVar("Selected", bound=sa.FromClause)


def as_read(table: sa.Table, view: sa.FromClause, clause: Any) -> Any:
    """Return a clause on columns of a table as one on the columns of the same name of a view.

    :raises ValueError: a sub-query asks about the table; it would ask about all of its rows.
    """
    given = _element(clause)
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


def _element(clause: Any) -> Any:
    """Return the SQL of an attribute of a class; anything else as it is."""
    return clause.__clause_element__() if hasattr(clause, "__clause_element__") else clause


def several(given: Any) -> Sequence[Any]:
    """Return one or several clauses as a sequence; None is none."""
    if given is None:
        return ()
    return given if isinstance(given, (list, tuple)) else (given,)


def criteria(where: Any) -> Sequence[Any]:
    """Return the further criteria of a host's, one or several, as a sequence.

    :raises ConfigurationError: a parameter in them has a name of ours, and would get our value.
    """
    given = several(where)
    clauses = [clause for clause in map(_element, given) if isinstance(clause, sa.ClauseElement)]
    for part in (part for clause in clauses for part in iterate(clause)):
        if isinstance(part, sa.BindParameter) and str(part.key).startswith(_OURS):
            raise ConfigurationError(
                f"where= has a parameter {part.key!r}; names that begin with {_OURS!r} are those "
                "of Flask-Follows, so give it another one"
            )
    return given


def as_sent(columns: Sequence[Any], source: Any, name: str) -> list[Any]:
    """Return columns as they are found in `source`, with values as the driver sends them.

    What is made of them in Python takes long, and need not lead back to them. A type that is read
    by way of SQL stays as it is.

    :param name: they are labelled with it and a number.
    """
    sent = []
    for number, column in enumerate(source[column.key] for column in columns):
        is_read_by_sql = column.type.column_expression(column) is not None
        value = column if is_read_by_sql else sa.type_coerce(column, AS_SENT)
        sent.append(value.label(f"{name}{number}"))
    return sent


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
