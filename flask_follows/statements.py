"""Edge writes that hold on any database, at the price of a SAVEPOINT.

An insert must ignore a duplicate of the pair and nothing else, must tell whether it made the row,
and must refuse an object that does not exist without costing the host its transaction. The
databases that can do all this in one statement have a :class:`Writer` of their own in
:mod:`.dialects`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError

from .chunks import chunks, is_one_of_rows
from .edges import EdgeTable
from .keys import Endpoint

__all__ = [
    "Inserted",
    "MissingEndpoint",
    "Pair",
    "SelfPair",
    "Writer",
    "one_or_many",
    "open_transaction",
    "parameters",
]

Pair: TypeAlias = tuple[Any, Any]


class MissingEndpoint(Exception):
    """Some pairs name objects that do not exist, by these keys. Nothing was written."""

    def __init__(self, keys: Mapping[Endpoint, Set[Any]]) -> None:
        super().__init__(keys)
        self.keys = keys


class SelfPair(Exception):
    """A pair that the database takes for one object and itself, in two spellings."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self.pair = pair


@dataclass(frozen=True)
class Inserted:
    """What an insert did: how many rows it made, and which, where that was asked for."""

    count: int
    pairs: list[Pair] | None = None


class Writer:
    """Inserts and deletes on one edge table; this class works on any database.

    :cvar tells_which: whether an insert of many can tell which were new at no further cost.
    :cvar has_snapshot: whether plain reads may be older than the statement they are in.
    """

    tells_which: ClassVar[bool] = True
    has_snapshot: ClassVar[bool] = True

    def __init__(
        self, edges: EdgeTable, source: Endpoint, target: Endpoint, dialect: sa.Dialect
    ) -> None:
        self.edges = edges
        self.source = source
        self.target = target
        self.dialect = dialect
        # Statements are built once for each shape (number of rows, columns) and then only bound.
        self._built = lru_cache(maxsize=64)(self._insert)
        self._delete_one = sa.delete(edges.table).where(
            edges.source == self.bind("s0", edges.source),
            edges.target == self.bind("t0", edges.target),
        )

    def insert(
        self,
        connection: sa.Connection,
        pairs: Sequence[Pair],
        values: Mapping[str, Any],
        exact: bool = False,
    ) -> Inserted:
        """Insert the pairs that are not there yet: all of them, or none.

        :param pairs: distinct (source key, target key), sorted; at most :data:`CHUNK`.
        :param values: further columns by name, the same for all rows.
        :param exact: tell which rows were made, not only how many.
        :raises MissingEndpoint: an object of some pair does not exist.
        """
        open_transaction(connection, self.edges.table)
        locked = False
        while True:
            if missing := self.missing(connection, pairs):
                raise MissingEndpoint(missing)
            self.refuse_self(connection, pairs)
            new = [pair for pair in pairs if not self.is_there(connection, pair, locked=locked)]
            if not new:
                return Inserted(0, [])
            try:
                with connection.begin_nested():
                    self.insert_plainly(connection, new, values)
                return Inserted(len(new), new)
            # Some drivers report a violated key as ProgrammingError.
            except (IntegrityError, ProgrammingError):
                # Where another transaction was faster we look again; else the error is the host's.
                locked = True
                if not any(self.is_there(connection, pair, locked=True) for pair in new):
                    raise

    def insert_one_by_one(
        self, connection: sa.Connection, pairs: Sequence[Pair], values: Mapping[str, Any]
    ) -> Inserted:
        """Insert as :meth:`insert` does, a statement for each pair."""
        if missing := self.missing(connection, pairs):
            raise MissingEndpoint(missing)
        made = [pair for pair in pairs if self.insert(connection, [pair], values).count]
        return Inserted(len(made), made)

    def delete_one(self, connection: sa.Connection, pair: Pair) -> bool:
        """Delete one edge by its key; tell whether it was there."""
        return connection.execute(self._delete_one, parameters([pair], {})).rowcount > 0

    def can_hold(self, pair: Pair) -> bool:
        """Tell whether the key columns could hold these values at all."""
        source, target = pair
        is_held = self.source.can_hold(source, self.dialect)
        return is_held and self.target.can_hold(target, self.dialect)

    def missing(self, connection: sa.Connection, pairs: Sequence[Pair]) -> dict[Endpoint, set[Any]]:
        """Return the keys in the pairs that no object has.

        The objects that are there are locked, as a foreign key would lock them, so that they stay.
        """
        wanted: dict[Endpoint, set[Any]] = {}  # one entry, where both ends are of one class
        for source, target in pairs:
            wanted.setdefault(self.source, set()).add(source)
            wanted.setdefault(self.target, set()).add(target)
        missing = {
            endpoint: self._missing_of(connection, endpoint, keys)
            for endpoint, keys in wanted.items()
        }
        return {endpoint: keys for endpoint, keys in missing.items() if keys}

    def _missing_of(
        self, connection: sa.Connection, endpoint: Endpoint, keys: set[Any]
    ) -> set[Any]:
        left = keys - self.existing(connection, endpoint, keys)
        if endpoint.is_exact:
            return left
        # The database may know an object by another spelling of its key.
        return {key for key in left if not self.existing(connection, endpoint, {key})}

    def refuse_self(self, connection: sa.Connection, pairs: Sequence[Pair]) -> None:
        """Refuse two spellings of one key, which only the database can tell.

        :raises SelfPair: the first such pair.
        """
        if self.edges.allow_self or self.source.is_exact:
            return
        key = self.source.column
        for pair in pairs:
            both = sa.select(key).where(key == pair[0], key == pair[1])
            if connection.scalar(both) is not None:
                raise SelfPair(pair)

    def existing(self, connection: sa.Connection, endpoint: Endpoint, keys: set[Any]) -> set[Any]:
        """Return the keys, as they are stored, of the objects that are there, and lock these."""
        holdable = [key for key in keys if endpoint.can_hold(key, self.dialect)]
        existing: set[Any] = set()
        for chunk in chunks(sorted(holdable)):
            found = sa.select(endpoint.column).where(endpoint.column.in_(chunk))
            existing.update(connection.scalars(self.locked(found)))
        return existing

    def locked(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Have a SELECT lock what it finds, where the database can, and see its latest state.

        On PostgreSQL as a foreign key does: only who deletes it need wait.
        """
        return select.with_for_update(read=True, key_share=True)

    def latest(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Have a SELECT see what was committed since the transaction's snapshot began."""
        return select.with_for_update(read=True)

    def hold(self, connection: sa.Connection, endpoint: Endpoint, keys: Iterable[Any]) -> None:
        """Let one transaction at a time go on with the edges of some objects.

        In one order: of two who hold the same objects, neither waits for the other with one of
        them in hand.
        """
        column = endpoint.column
        wanted = sorted({key for key in keys if endpoint.can_hold(key, self.dialect)})
        for chunk in chunks(wanted):
            objects = sa.select(column).where(column.in_(chunk)).order_by(column)
            connection.execute(self.exclusively(objects)).all()

    def exclusively(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Have a SELECT keep what it finds from others that ask for the same.

        On PostgreSQL, new edges of others to the object need not wait.
        """
        return select.with_for_update(key_share=True)

    def insert_plainly(
        self, connection: sa.Connection, pairs: Sequence[Pair], values: Mapping[str, Any]
    ) -> None:
        """Insert pairs of which none may be there."""
        statement = Writer._insert(self, 1, tuple(values))
        connection.execute(statement, [parameters([pair], values) for pair in pairs])

    def mirror(self, connection: sa.Connection, pairs: Sequence[Pair]) -> None:
        """Insert each edge once more, the other way round and else the same."""
        edges = self.edges
        ends, primary_key = {edges.source, edges.target}, set(edges.table.primary_key)
        own_keys = set() if ends <= primary_key else primary_key - ends
        if len(pairs) > 1 and any(key.default is not None for key in own_keys):
            for pair in pairs:  # SQLAlchemy calls a default once for a whole INSERT ... SELECT
                self.mirror(connection, [pair])
            return
        columns = [c for c in edges.table.c if c not in own_keys and c.computed is None]
        turned = {edges.source: edges.target, edges.target: edges.source}
        rows = (
            sa.select(*(turned.get(column, column) for column in columns))
            .where(self.is_one_of(pairs))
            .order_by(edges.target, edges.source)
        )
        connection.execute(self.insert_mirrors(columns, rows))

    def insert_mirrors(self, columns: Sequence[sa.Column[Any]], rows: sa.Select[Any]) -> sa.Insert:
        """Return the INSERT of some rows; one that is there was made by hand, and stays."""
        edges, back = self.edges, self.edges.table.alias()
        is_back = back.c[edges.source.key] == edges.target, back.c[edges.target.key] == edges.source
        new = rows.where(~sa.exists().where(*is_back).correlate(edges.table))
        return sa.insert(edges.table).from_select(columns, new)

    def is_one_of(
        self, pairs: Sequence[Pair], rows: sa.FromClause | None = None
    ) -> sa.ColumnElement[bool]:
        """Return "the row is the edge of one of these pairs"."""
        columns = (self.edges.table if rows is None else rows).c
        ends = columns[self.edges.source.key], columns[self.edges.target.key]
        return is_one_of_rows(ends, pairs, self.dialect)

    def is_there(self, connection: sa.Connection, pair: Pair, *, locked: bool = False) -> bool:
        """Tell whether there is an edge."""
        edges = self.edges
        found = sa.select(sa.literal(1)).where(edges.source == pair[0], edges.target == pair[1])
        return connection.scalar(self.locked(found) if locked else found) is not None

    def _insert(self, rows: int, names: tuple[str, ...]) -> sa.Executable:
        return sa.insert(self.edges.table).values(
            {
                self.edges.source.key: self.bind("s0", self.edges.source),
                self.edges.target.key: self.bind("t0", self.edges.target),
                **self.bound_values(names),
            }
        )

    def bind(self, name: str, column: sa.Column[Any]) -> sa.BindParameter[Any]:
        """Return a parameter of a column's type; the keys of row 0 are `s0` and `t0`."""
        return sa.bindparam(name, type_=column.type)

    def bound_values(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return parameters for further columns, by column name."""
        columns = self.edges.table.c
        return {name: self.bind(f"v_{name}", columns[name]) for name in names}

    def looked_up(self, row: int) -> dict[sa.Column[Any], Any]:
        """Return the row's keys as sub-queries on the objects, NULL for one that is missing.

        So a missing object violates NOT NULL, whether or not foreign keys are enforced.
        """
        return {
            self.edges.source: _lookup(self.source, f"s{row}"),
            self.edges.target: _lookup(self.target, f"t{row}"),
        }


def open_transaction(connection: sa.Connection, table: sa.Table) -> None:
    """Make sure that a SAVEPOINT lies inside a transaction.

    Python's sqlite3 begins a transaction at the first write only. A SAVEPOINT before it would be
    the outermost, and its RELEASE would commit; so a write that changes nothing comes first. It
    also takes SQLite's one write lock, after which no other writer can get in between.
    """
    if connection.dialect.name == "sqlite":
        connection.execute(sa.delete(table).where(sa.false()))


def _lookup(endpoint: Endpoint, name: str) -> Any:
    """Return a sub-query for a key that is NULL where no object has it."""
    table = endpoint.table.alias()
    column = table.c[endpoint.column.key]
    bound = sa.bindparam(name, type_=endpoint.column.type)
    return sa.select(column).where(column == bound).scalar_subquery()


def parameters(pairs: Sequence[Pair], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be bound for some pairs and their further columns."""
    bound = {f"v_{name}": value for name, value in values.items()}
    for row, (source, target) in enumerate(pairs):
        bound[f"s{row}"] = source
        bound[f"t{row}"] = target
    return bound


def one_or_many(rows: list[dict[Any, Any]]) -> Any:
    """Return the rows for `values()`: SQLAlchemy caches the SQL of one row, but not of a list."""
    return rows[0] if len(rows) == 1 else rows
