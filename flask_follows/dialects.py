"""Edge writes for the databases that can do them in one statement.

Each has its own way to ignore a duplicate of the pair and nothing else, to tell whether a row was
made, and to refuse an object that does not exist while the host's transaction goes on. Which
:class:`Writer` serves a database is decided by :data:`WRITERS` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from .edges import EdgeTable
from .keys import Endpoint
from .mysql_writer import MySQLWriter
from .statements import (
    Inserted,
    MissingEndpoint,
    Pair,
    Writer,
    one_or_many,
    open_transaction,
    parameters,
)
from .unkeyed_writer import UnkeyedWriter

__all__ = ["WRITERS", "MySQLWriter", "PostgreSQLWriter", "SQLiteWriter", "writer_class"]


class _ConflictWriter(Writer):
    """What SQLite and PostgreSQL have in common: ON CONFLICT, and reads that are never out of date.

    On SQLite a transaction that writes has the only write lock.
    """

    has_snapshot = False
    insert_on_conflict: ClassVar[Any]

    def insert_mirrors(self, columns: Sequence[sa.Column[Any]], rows: sa.Select[Any]) -> sa.Insert:
        """See :meth:`Writer.insert_mirrors`; one that is there becomes like its twin."""
        edges = self.edges
        keys = edges.source, edges.target
        statement = self.insert_on_conflict(edges.table).from_select(columns, rows)
        further = {c.key: statement.excluded[c.key] for c in columns if c not in set(keys)}
        mirrors: sa.Insert = (
            statement.on_conflict_do_update(index_elements=keys, set_=further)
            if further
            else statement.on_conflict_do_nothing(index_elements=keys)
        )
        return mirrors


class SQLiteWriter(_ConflictWriter):
    """SQLite: ON CONFLICT DO NOTHING; a failed statement leaves the transaction usable."""

    insert_on_conflict = staticmethod(sqlite.insert)

    def hold(self, connection: sa.Connection, endpoint: Endpoint, keys: Iterable[Any]) -> None:
        """See :meth:`Writer.hold`: there is one lock for all."""
        open_transaction(connection, self.edges.table)

    def insert(
        self,
        connection: sa.Connection,
        pairs: Sequence[Pair],
        values: Mapping[str, Any],
        exact: bool = False,
    ) -> Inserted:
        """See :meth:`Writer.insert`."""
        statement = self._built(len(pairs), tuple(values), exact and len(pairs) > 1)
        try:
            result = connection.execute(statement, parameters(pairs, values))
        except IntegrityError as error:
            self.refuse_self(connection, pairs)
            if missing := self.missing(connection, pairs):
                raise MissingEndpoint(missing) from error
            # A column without which no edge could be made, had one to be made.
            if all(self.is_there(connection, pair) for pair in pairs):
                return Inserted(0, [])
            raise
        return _read(result, pairs)

    def _insert(self, rows: int, names: tuple[str, ...], returning: bool = False) -> sa.Executable:
        edges = self.edges
        further = {edges.table.c[name]: bound for name, bound in self.bound_values(names).items()}
        statement = (
            sqlite.insert(edges.table)
            .values(one_or_many([{**self.looked_up(row), **further} for row in range(rows)]))
            .on_conflict_do_nothing(index_elements=[edges.source, edges.target])
            .inline()
        )
        return statement.returning(edges.source, edges.target) if returning else statement


class PostgreSQLWriter(_ConflictWriter):
    """PostgreSQL: any error ends the transaction, so the statement must not meet one.

    It inserts only when all objects are there, and tells whether they were. The rows of both ends
    of a new edge are locked as the foreign key would lock them, so that an object that is being
    deleted is waited for and then seen; an edge that is there already locks and writes nothing.
    """

    insert_on_conflict = staticmethod(postgresql.insert)

    def insert(
        self,
        connection: sa.Connection,
        pairs: Sequence[Pair],
        values: Mapping[str, Any],
        exact: bool = False,
    ) -> Inserted:
        """See :meth:`Writer.insert`."""
        if len(pairs) > 1 and self._defaults_differ(values):
            return self.insert_one_by_one(connection, pairs, values)
        way = self._insert_one if len(pairs) == 1 and self._is_plain else self._insert_all
        inserted = way(connection, pairs, values)
        if inserted is None:
            self.refuse_self(connection, pairs)
            missing = self.missing(connection, pairs)
            # Whoever was missing may have come meanwhile.
            inserted = None if missing else way(connection, pairs, values)
            if inserted is None:
                raise MissingEndpoint(missing)
        return inserted

    def _insert_one(
        self, connection: sa.Connection, pairs: Sequence[Pair], values: Mapping[str, Any]
    ) -> Inserted | None:
        """Insert one pair, where it is plain; return None where an object is missing."""
        statement = self._built(1, tuple(values))
        is_made, is_known = connection.execute(statement, parameters(pairs, values)).one()
        if not is_known:
            return None
        return Inserted(1, list(pairs)) if is_made else Inserted(0, [])

    def _insert_all(
        self, connection: sa.Connection, pairs: Sequence[Pair], values: Mapping[str, Any]
    ) -> Inserted | None:
        """Insert any pairs; return None where an object is missing."""
        if len(pairs) == 1:
            keys = parameters(pairs, values)
        else:
            sources, targets = zip(*pairs, strict=True)
            keys = parameters([(list(sources), list(targets))], values)
        statement = self._built(min(len(pairs), 2), tuple(values))
        rows = connection.execute(statement, {**keys, "rows": len(pairs)}).all()
        if rows[0].complete != len(pairs):
            return None
        made = [(row.source, row.target) for row in rows if row.source is not None]
        return Inserted(len(made), made)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether keys are stored as they are given, and an edge's are of objects that exist.

        A foreign key to a class above does not vouch for an object of ours.
        """
        ends = (self.edges.source, self.source), (self.edges.target, self.target)
        return all(
            endpoint.is_exact and any(key.column is endpoint.column for key in column.foreign_keys)
            for column, endpoint in ends
        )

    def _defaults_differ(self, values: Mapping[str, Any]) -> bool:
        """Tell whether a column of the host's has a default that Python makes for each row anew.

        SQLAlchemy calls it once for a whole INSERT ... SELECT.
        """
        return any(
            column.default is not None and column.default.is_callable and column.key not in values
            for column in self.edges.table.c
        )

    def latest(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """See :meth:`Writer.latest`: every statement has a snapshot of its own."""
        return select

    def _insert(self, rows: int, names: tuple[str, ...]) -> sa.Executable:
        if rows == 1 and self._is_plain:
            return self._insert_plain(names)
        further = self.bound_values(names)
        found = self._found(self._wanted_one() if rows == 1 else self._wanted_many())
        new = self._new(found)
        there = sa.select(sa.func.count()).where(found.c.there).scalar_subquery()
        complete = there + sa.select(sa.func.count()).select_from(new).scalar_subquery()
        wanted: Any = sa.select(new.c.source, new.c.target, *further.values())
        in_order = wanted.order_by(new.c.source, new.c.target)
        made = self._made(in_order.where(complete == sa.bindparam("rows", type_=sa.Integer)), names)
        # One row at least, so that the count arrives where nothing was made.
        one = sa.select(sa.literal_column("1")).subquery("one")
        return sa.select(complete.label("complete"), made.c.source, made.c.target).select_from(
            one.outerjoin(made, sa.true())
        )

    def _insert_plain(self, names: tuple[str, ...]) -> sa.Executable:
        """Return the shorter statement for one pair; see :attr:`_is_plain`."""
        (source, source_key), (target, target_key) = self._objects()
        edge = self.edges.table.alias("edge")
        ends = edge.c[self.edges.source.key], edge.c[self.edges.target.key]
        keys = self.bind("s0", self.edges.source), self.bind("t0", self.edges.target)
        is_there = sa.exists().where(ends[0] == keys[0], ends[1] == keys[1])
        new = (
            sa.select(source_key.label("source"), target_key.label("target"))
            .select_from(source.join(target, sa.true()))
            .where(source_key == keys[0], target_key == keys[1], ~is_there)
            .with_for_update(key_share=True, read=True, of=[source, target])
            .cte("new")
        )
        further = self.bound_values(names).values()
        wanted: Any = sa.select(new.c.source, new.c.target, *further)
        made = self._made(wanted, names)
        is_made, is_new = (sa.exists().select_from(found) for found in (made, new))
        return sa.select(is_made.label("is_made"), sa.or_(is_new, is_there).label("is_known"))

    def _made(self, rows: sa.Select[Any], names: tuple[str, ...]) -> sa.CTE:
        """Insert rows of keys and further columns, and select the keys of those that are new."""
        source, target = self.edges.source, self.edges.target
        return (
            postgresql.insert(self.edges.table)
            .from_select([source, target, *names], rows)
            .on_conflict_do_nothing(index_elements=[source, target])
            .returning(source.label("source"), target.label("target"))
            .cte("made")
        )

    def _wanted_one(self) -> Any:
        source, target = self.edges.source, self.edges.target
        return sa.select(
            self.bind("s0", source).label("source"), self.bind("t0", target).label("target")
        ).subquery("wanted")

    def _wanted_many(self) -> Any:
        """The pairs from two arrays: one statement, and one plan, for any number of them."""
        source, target = _unbounded(self.edges.source.type), _unbounded(self.edges.target.type)
        arrays = (
            sa.bindparam("s0", type_=postgresql.ARRAY(source)),
            sa.bindparam("t0", type_=postgresql.ARRAY(target)),
        )
        columns = sa.column("source", source), sa.column("target", target)
        return sa.func.unnest(*arrays).table_valued(*columns, name="wanted").render_derived()

    def _found(self, wanted: Any) -> sa.CTE:
        """Select the pairs of which both objects exist, and whether the edge is there."""
        (source, source_key), (target, target_key) = self._objects()
        edge = self.edges.table.alias("edge")
        there = sa.exists().where(
            edge.c[self.edges.source.key] == source_key,
            edge.c[self.edges.target.key] == target_key,
        )
        pairs = sa.select(
            source_key.label("source"), target_key.label("target"), there.label("there")
        )
        if not self.edges.allow_self and not self.source.is_exact:
            pairs = pairs.where(source_key != target_key)  # "ann" and "ANN", for some types
        return pairs.select_from(
            wanted.join(source, source_key == wanted.c.source).join(
                target, target_key == wanted.c.target
            )
        ).cte("found")

    def _new(self, found: sa.CTE) -> sa.CTE:
        """Select the pairs without an edge, and keep their objects from being deleted."""
        (source, source_key), (target, target_key) = self._objects()
        return (
            sa.select(source_key.label("source"), target_key.label("target"))
            .select_from(
                found.join(source, source_key == found.c.source).join(
                    target, target_key == found.c.target
                )
            )
            .where(~found.c.there)
            .with_for_update(key_share=True, read=True, of=[source, target])
            .cte("new")
        )

    def _objects(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Return both ends' tables under aliases, each with its key column."""
        source, target = self.source.table.alias("a"), self.target.table.alias("b")
        return (
            (source, source.c[self.source.column.key]),
            (target, target.c[self.target.column.key]),
        )


WRITERS: dict[str, type[Writer]] = {
    "sqlite": SQLiteWriter,
    "postgresql": PostgreSQLWriter,
    "mysql": MySQLWriter,
    "mariadb": MySQLWriter,
}


def writer_class(edges: EdgeTable, dialect: sa.Dialect) -> type[Writer]:
    """Return the writer for an edge table in a database.

    The generic ones serve a database not known here, and a table that the known ways do not fit.
    """
    if not edges.unique:
        return UnkeyedWriter
    # On SQLite a missing object is a NULL, which such a column would take.
    takes_null = edges.source.nullable or edges.target.nullable
    if takes_null and dialect.name == "sqlite":
        return Writer
    return WRITERS.get(dialect.name, Writer)


def _unbounded(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Return the type without a length: PostgreSQL's cast to VARCHAR(5) cuts a text short."""
    return sa.String() if isinstance(kind, sa.String) else kind


def _read(result: sa.CursorResult[Any], pairs: Sequence[Pair]) -> Inserted:
    if result.returns_rows:
        made = [tuple(row) for row in result]
        return Inserted(len(made), made)
    count = result.rowcount
    return Inserted(count, list(pairs) if count == len(pairs) else None)
