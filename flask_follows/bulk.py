"""Bulk inserts of edges, about as fast as the database's driver can do them.

The objects at both ends are looked up and held by a lock first, each key once in a transaction. So
the insert itself needs no look at them, can be the plainest one that ignores duplicates, and takes
thousands of rows at once. Whatever does not fit this mould (someone wants to hear of each edge, an
object is missing, the edges have further columns, the database is not known here) goes the way of
single edges, which has the right answer or the right error for it.

On a server, half of the time goes by in Python: so values are handled by the column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from datetime import datetime
from itertools import islice, zip_longest
from operator import eq
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from .chunks import chunks
from .dialects import MySQLWriter, PostgreSQLWriter, SQLiteWriter
from .edges import EdgeTable
from .errors import WrongTypeError
from .keys import Endpoint
from .statements import Pair, Writer, open_transaction

if TYPE_CHECKING:
    from .relation import Relation

__all__ = ["BATCH", "WAYS", "Bulk"]

# Rows of one insert. More gain nothing: the database is busy with its indexes by then.
BATCH = 10_000
# Keys remembered as looked up: some tens of megabytes at most, whatever their type.
REMEMBERED = 250_000

Values: TypeAlias = dict[
    sa.Column[Any], Sequence[Any]
]  # source keys, target keys, and times if any


class Bulk:
    """Adds many edges to one relation, in one session."""

    def __init__(self, relation: Relation, session: Session) -> None:
        self.relation = relation
        self.session = session
        self._held: dict[Endpoint, set[Any]] = {}
        self._transaction: Any = None

    def add(
        self, pairs: Iterable[tuple[Any, ...]], progress: Callable[[int], object] | None = None
    ) -> int:
        """Add the edges that are not there yet; see :meth:`Relation.add_many`."""
        iterator, made = iter(pairs), 0
        while batch := list(islice(iterator, BATCH)):
            made += self._add(*self._rows(batch))
            if progress is not None:
                progress(len(batch))
        return made

    def _rows(self, batch: list[tuple[Any, ...]]) -> tuple[list[Pair], list[Any]]:
        """Return pairs of keys and their times, sorted, each pair once and with its first time."""
        relation = self.relation
        sources, targets, *given = _columns(batch)
        keys = zip(_keys(relation.source, sources), _keys(relation.target, targets), strict=True)
        pairs = relation.storage.rows(keys)
        clock = relation.edge_table.clock
        now = None if clock is None else clock()
        # In one order everywhere: two transactions that add the same pairs cannot deadlock.
        if not given:
            ordered = sorted(set(pairs))
            return ordered, [now] * len(ordered)
        (times,) = given
        first = dict(reversed([*zip(pairs, times, strict=True)]))
        ordered = sorted(first)
        edges = relation.edge_table
        stored = {time: edges.stored(time) for time in set(times) if time is not None}
        return ordered, [stored.get(first[pair], now) for pair in ordered]

    def _add(self, pairs: list[Pair], times: list[Any]) -> int:
        storage, edges = self.relation.storage, self.relation.edge_table
        connection = edges.connection(self.session, writes=True)
        way = WAYS.get(type(storage.writer(connection.dialect)))
        sources, targets = zip(*pairs, strict=True)
        if (
            way is None
            # Written past SQLAlchemy's compiler, which would put the tenant's schema in.
            or connection.get_execution_options().get("schema_translate_map")
            or not self._is_plain(sources, targets, times)
            or not self._hold(connection, sources, targets)
        ):
            return self._add_singly(pairs, times)
        values: Values = {edges.source: sources, edges.target: targets}
        if edges.time is not None:
            values[edges.time] = times
        made = way(connection, edges, values, storage.mirrors)
        self.relation.questions.forget(self.session)
        if any(isinstance(obj, edges.model) for obj in self.session.identity_map.values()):
            storage.expire(self.session, pairs)
        return made

    def _is_plain(self, sources: Sequence[Any], targets: Sequence[Any], times: list[Any]) -> bool:
        """Tell whether keys and time are all there is to it, and nobody wants to hear of it."""
        relation, edges = self.relation, self.relation.edge_table
        given = {edges.source, edges.target, edges.time}
        return (
            all(_fills_itself(column) for column in edges.table.c if column not in given)
            and not relation.announcer.is_heard("add")
            and (edges.allow_self or not any(map(eq, sources, targets)))
            and (edges.time is None or None not in times)
        )

    def _hold(
        self, connection: sa.Connection, sources: Sequence[Any], targets: Sequence[Any]
    ) -> bool:
        """Keep the objects from being deleted; tell whether all of them are there."""
        self._forget_what_is_over(connection)
        wanted: dict[Endpoint, set[Any]] = {}  # one entry, where both ends are of one class
        wanted.setdefault(self.relation.source, set()).update(sources)
        wanted.setdefault(self.relation.target, set()).update(targets)
        return all(self._hold_keys(connection, *want) for want in wanted.items())

    def _hold_keys(self, connection: sa.Connection, endpoint: Endpoint, keys: set[Any]) -> bool:
        held = self._held.setdefault(endpoint, set())
        new = keys - held
        if not all(endpoint.can_hold(key, connection.dialect) for key in new):
            return False
        for chunk in chunks(sorted(new)):
            found = sa.select(endpoint.column).where(endpoint.column.in_(chunk))
            locked = found.with_for_update(read=True, key_share=True)
            # Equal in Python as well: a database may take "Ann" and "ann" for the same.
            if set(connection.scalars(locked)) != set(chunk):
                return False
        held |= new
        return True

    def _forget_what_is_over(self, connection: sa.Connection) -> None:
        """Forget the keys held when their locks have ended, or there are too many."""
        transaction = connection.get_transaction()
        if transaction is not self._transaction:
            # SQLite has no locks on rows; its one write lock does as well.
            open_transaction(connection, self.relation.edge_table.table)
            self._transaction = transaction
            self._held.clear()
        if sum(map(len, self._held.values())) > REMEMBERED:
            self._held.clear()

    def _add_singly(self, pairs: list[Pair], times: list[Any]) -> int:
        """Add the edges by :meth:`Relation.insert`: all or none, and several times slower."""
        relation, session, made = self.relation, self.session, 0
        relation.check(session, pairs)
        time_column = relation.edge_table.time
        alike: dict[Any, list[Pair]] = {}
        for pair, time in zip(pairs, times, strict=True):
            alike.setdefault(time, []).append(pair)
        for time, part in alike.items():
            values = {} if time is None or time_column is None else {time_column.key: time}
            for chunk in chunks(part):
                made += relation.insert(session, chunk, values, instance=None)
        return made


def _fills_itself(column: sa.Column[Any]) -> bool:
    """Tell whether the database has a value for a column that an insert leaves out."""
    table: Any = column.table
    is_filled = column.nullable or column.server_default is not None
    return column.default is None and (is_filled or column is table.autoincrement_column)


def _columns(batch: list[Any]) -> list[tuple[Any, ...]]:
    """Return the sources, the targets and, if there are any, the times.

    :raises WrongTypeError: something that is neither a pair nor a pair with a time.
    """
    try:
        columns = list(zip_longest(*batch))
    except TypeError:
        columns = []
    if len(columns) in (2, 3):
        return columns
    odd = next(i for i in batch if not isinstance(i, Sized) or len(i) not in (2, 3))
    raise WrongTypeError(f"add_many takes (source, target) or (source, target, time), got {odd!r}")


def _keys(endpoint: Endpoint, values: Sequence[Any]) -> Iterable[Any]:
    """Return the keys of objects or keys."""
    if not endpoint.has_spellings and set(map(type, values)) == {endpoint.python_type}:
        return values
    return map(endpoint.key, values)


def _insert_by_executemany(
    connection: sa.Connection, edges: EdgeTable, values: Values, mirrored: bool
) -> int:
    """SQLite: each row to the driver, which runs one prepared statement for all."""
    into = f"INSERT INTO {_into(connection, edges.table, values)}"
    statement = f"{into} VALUES ({', '.join('?' * len(values))}) ON CONFLICT DO NOTHING"
    rows = _stored_rows(connection, values, mirrored)
    return connection.exec_driver_sql(statement, rows).rowcount // (1 + mirrored)


def _insert_by_values(
    connection: sa.Connection, edges: EdgeTable, values: Values, mirrored: bool
) -> int:
    """MySQL and MariaDB: the driver makes one statement of all rows.

    IGNORE would swallow errors of other columns and of missing objects; there are none here.
    """
    into = f"INSERT IGNORE INTO {_into(connection, edges.table, values)}"
    statement = f"{into} VALUES ({', '.join(['%s'] * len(values))})"
    rows = _stored_rows(connection, values, mirrored)
    return connection.exec_driver_sql(statement, rows).rowcount // (1 + mirrored)


def _insert_by_arrays(
    connection: sa.Connection, edges: EdgeTable, values: Values, mirrored: bool
) -> int:
    """PostgreSQL: an array for each column; one plan, and nothing to parse but values."""
    sent: dict[str, Any] = {}
    given: list[Any] = []
    for column, items in values.items():
        # A time, most often; the keys are arrays always, since they make the rows.
        if column is edges.time and len(set(items)) == 1:
            sent[column.key] = items[0]
            given.append(sa.bindparam(column.key, type_=column.type))
        else:
            sent[column.key] = list(items)
            array = sa.bindparam(column.key, type_=postgresql.ARRAY(column.type))
            given.append(sa.func.unnest(array))
    rows: Any = sa.select(*given)
    statement = _unless_there(edges, list(values), rows)
    if mirrored:
        made = statement.returning(*values).cte("made")
        turned = {edges.source: edges.target, edges.target: edges.source}
        twins: Any = sa.select(*(made.c[turned.get(column, column).key] for column in values))
        statement = _unless_there(edges, list(values), twins)
    counted = statement.execution_options(preserve_rowcount=True)
    return connection.execute(counted, sent).rowcount


def _unless_there(edges: EdgeTable, columns: list[Any], rows: sa.Select[Any]) -> postgresql.Insert:
    return (
        postgresql.insert(edges.table)
        .from_select([column.key for column in columns], rows)
        .on_conflict_do_nothing(index_elements=[edges.source, edges.target])
    )


def _stored_rows(connection: sa.Connection, values: Values, mirrored: bool) -> list[Any]:
    """Return the rows as the driver takes them; if mirrored, each with its twin after it."""
    columns = _as_stored(connection.dialect, values)
    if not mirrored:
        return list(zip(*columns, strict=True))
    sources, targets, *further = [list(column) for column in columns]
    rows = zip(sources, targets, *further, strict=True)
    twins = zip(targets, sources, *further, strict=True)
    return [row for both in zip(rows, twins, strict=True) for row in both]


def _into(connection: sa.Connection, table: sa.Table, columns: Iterable[sa.Column[Any]]) -> str:
    """Return table and columns as SQL names them."""
    preparer = connection.dialect.identifier_preparer
    names = ", ".join(preparer.format_column(column) for column in columns)
    return f"{preparer.format_table(table)} ({names})"


def _as_stored(dialect: sa.Dialect, values: Values) -> list[Iterable[Any]]:
    """Return the values, column by column, as the driver takes them.

    Past SQLAlchemy's own work on each row, which would take as long as the insert.
    """
    stored: list[Iterable[Any]] = []
    for column, items in values.items():
        process = column.type.dialect_impl(dialect).bind_processor(dialect)
        if process is None and not _are_moments(items):
            stored.append(items)
            continue
        # Each value once: a time is most often that of all rows, and slow to write out.
        processed = {item: _written_out(process(item) if process else item) for item in set(items)}
        stored.append(map(processed.__getitem__, items))
    return stored


def _are_moments(items: Sequence[Any]) -> bool:
    return all(isinstance(item, datetime) for item in set(items))


def _written_out(value: Any) -> Any:
    """Return a time as text, as PyMySQL would write it for each row anew."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    return value


WAYS: dict[type[Writer], Callable[[sa.Connection, EdgeTable, Values, bool], int]] = {
    SQLiteWriter: _insert_by_executemany,
    MySQLWriter: _insert_by_values,
    PostgreSQLWriter: _insert_by_arrays,
}
