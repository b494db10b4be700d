"""How a graph is: its statistics, and what is wrong with its table or its edges."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from .edges import EdgeTable
from .relation import Relation

__all__ = ["Statistics", "problems", "statistics"]

MOST_FOLLOWED = 10

# The form in which SQLAlchemy keeps a time on SQLite: a moment, how it is written, and the pattern.
_MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
_WRITTEN = "2026-01-02 03:04:05.000006"
_FORM = re.sub("[0-9]", "_", _WRITTEN)


@dataclass(frozen=True)
class Statistics:
    """Numbers about one relation.

    :param following: users who follow anybody.
    :param followed: users whom anybody follows.
    :param most_followed: keys of the most followed users, with the numbers of their followers.
    """

    users: int
    edges: int
    following: int
    followed: int
    mutual_pairs: int
    most_followed: list[tuple[Any, int]]


def statistics(relation: Relation) -> Statistics:
    """Count a relation's users and edges. Six statements, each reading all of a table or index."""
    edges = relation.edge_table
    connection = edges.connection(relation.session_for())
    number, back = sa.func.count(), edges.table.alias()
    has_edge_back = sa.exists().where(
        back.c[edges.source.key] == edges.target, back.c[edges.target.key] == edges.source
    )
    # A table of the host's may have several edges of a pair.
    pairs = sa.select(edges.source, edges.target).where(edges.source < edges.target, has_edge_back)
    return Statistics(
        users=connection.scalar(sa.select(number).select_from(relation.source.table)) or 0,
        edges=connection.scalar(sa.select(number).select_from(edges.table)) or 0,
        following=connection.scalar(sa.select(sa.func.count(edges.source.distinct()))) or 0,
        followed=connection.scalar(sa.select(sa.func.count(edges.target.distinct()))) or 0,
        mutual_pairs=connection.scalar(
            sa.select(number).select_from((pairs if edges.unique else pairs.distinct()).subquery())
        )
        or 0,
        most_followed=[
            (row[0], row[1])
            for row in connection.execute(
                sa.select(edges.target, number)
                .group_by(edges.target)
                .order_by(number.desc(), edges.target)
                .limit(MOST_FOLLOWED)
            )
        ],
    )


def problems(relation: Relation) -> list[str]:
    """Return what is wrong, a sentence each, with what to do. Reads the whole edge table."""
    edges = relation.edge_table
    connection = edges.connection(relation.session_for())
    inspector = sa.inspect(connection)
    name = edges.table.name
    if not inspector.has_table(name, edges.table.schema):
        return [f"there is no table {name!r}: run your migrations, or db.create_all()"]
    missing = _missing_parts(inspector, edges.table)
    found = [f"table {name!r} has no {part}: add it with a migration" for part in missing]
    lacking = {column.name for column in edges.table.c if f"column {column.name!r}" in missing}
    if not {edges.source.name, edges.target.name} & lacking:
        found += _bad_edges(connection, relation)
    # Times that the database writes by itself are in one order with ours, see `Order`.
    time = edges.time
    if time is not None and not edges.has_time_of_database and time.name not in lacking:
        found += _bad_times(connection, edges, time)
    return found


def _missing_parts(inspector: sa.Inspector, table: sa.Table) -> list[str]:
    """Compare the table in the database with that of the model."""
    place = (table.name, table.schema)
    wanted: dict[str, Iterable[Any]] = {
        "column": table.columns,
        "index": table.indexes,
        "foreign key": table.foreign_key_constraints,
        "check": [part for part in table.constraints if isinstance(part, sa.CheckConstraint)],
    }
    foreign_keys = inspector.get_foreign_keys(*place)
    found: dict[str, Iterable[Any]] = {
        "column": inspector.get_columns(*place),
        "index": inspector.get_indexes(*place),
        "foreign key": foreign_keys,
        "check": inspector.get_check_constraints(*place),
    }
    missing = [
        f"{kind} {name!r}"
        for kind, parts in wanted.items()
        for name in sorted(_names(parts) - {part["name"] for part in found[kind]})
    ]
    # By their columns: hosts and databases do not name all of them.
    keys = [key["constrained_columns"] for key in foreign_keys]
    missing += [
        f"foreign key on {', '.join(_column_names(key))}"
        for key in sorted(table.foreign_key_constraints, key=_column_names)
        if not _names([key]) and _column_names(key) not in keys
    ]
    primary = _column_names(table.primary_key)
    if set(inspector.get_pk_constraint(*place)["constrained_columns"]) != set(primary):
        missing.append(f"primary key on {', '.join(primary)}")
    return missing


def _column_names(part: sa.schema.ColumnCollectionConstraint) -> list[str]:
    return [column.name for column in part.columns]


def _names(parts: Iterable[Any]) -> set[str]:
    """Return the names of those that have one; SQLAlchemy marks some that have none otherwise."""
    return {str(part.name) for part in parts if isinstance(part.name, str)}


def _bad_edges(connection: sa.Connection, relation: Relation) -> list[str]:
    edges, found = relation.edge_table, []
    for column, endpoint in ((edges.source, relation.source), (edges.target, relation.target)):
        objects = endpoint.table.alias()
        gone = ~sa.exists().where(objects.c[endpoint.column.key] == column)
        if number := _count(connection, edges, gone):
            what = f"a {column.name} that no {endpoint.model.__name__} has"
            found.append(_told(number, "has", "have", what, edges))
    if not edges.allow_self and (number := _count(connection, edges, _is_self(edges))):
        what = "from a user to the same user"
        told = _told(number, "leads", "lead", what, edges)
        found.append(f"{told}, or, for follows, allow it with allow_self_follow=True")
    if not edges.unique and (number := _repeated(connection, edges)):
        pairs = "1 pair has" if number == 1 else f"{number:,} pairs have"
        found.append(
            f"{pairs} several edges: keep one of each in {edges.table.name!r}, and make "
            f"{edges.source.name} and {edges.target.name} unique together"
        )
    return found


def _repeated(connection: sa.Connection, edges: EdgeTable) -> int:
    """Return how many pairs have several edges."""
    pair = edges.source, edges.target
    given = (key.is_not(None) for key in pair)
    several = sa.select(*pair).where(*given).group_by(*pair).having(sa.func.count() > 1)
    return connection.scalar(sa.select(sa.func.count()).select_from(several.subquery())) or 0


def _bad_times(connection: sa.Connection, edges: EdgeTable, time: sa.Column[Any]) -> list[str]:
    """Find times that SQLite keeps as texts of another form than ours.

    SQL of the host's own may have written them, with CURRENT_TIMESTAMP say. They are read as the
    same moments, but do not sort with the others.
    """
    process = time.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    if connection.dialect.name != "sqlite" or process is None or process(_MOMENT) != _WRITTEN:
        return []
    number = _count(connection, edges, sa.type_coerce(time, sa.String).not_like(_FORM))
    if not number:
        return []
    preparer = connection.dialect.identifier_preparer
    table, column = preparer.format_table(edges.table), preparer.format_column(time)
    mend = (
        f"UPDATE {table} SET {column} = strftime('%Y-%m-%d %H:%M:%f000', {column}) "
        f"WHERE {column} NOT LIKE '{_FORM}'"
    )
    has = "edge has" if number == 1 else "edges have"
    return [
        f"{number:,} {has} a {time.name} in another form than {_WRITTEN!r}, "
        f"so that its order and pages are wrong: {mend}"
    ]


def _told(number: int, one: str, many: str, what: str, edges: EdgeTable) -> str:
    """Say what some edges do, and what to do about it."""
    if number == 1:
        return f"1 edge {one} {what}: delete it from {edges.table.name!r}"
    return f"{number:,} edges {many} {what}: delete them from {edges.table.name!r}"


def _is_self(edges: EdgeTable) -> sa.ColumnElement[bool]:
    return edges.source == edges.target


def _count(connection: sa.Connection, edges: EdgeTable, where: sa.ColumnElement[bool]) -> int:
    counted = sa.select(sa.func.count()).select_from(edges.table).where(where)
    return connection.scalar(counted) or 0
