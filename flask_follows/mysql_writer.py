"""Edge writes for MySQL and MariaDB, in one statement each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from .statements import Inserted, MissingEndpoint, Pair, Writer, one_or_many, parameters

__all__ = ["MySQLWriter", "as_integrity_error"]


def as_integrity_error(error: OperationalError) -> DBAPIError:
    """Return the error for a column left without a value, as other databases have it; else itself.

    MySQL and MariaDB have an OperationalError for it.
    """
    if error.orig is None or error.orig.args[:1] != (_NO_DEFAULT_CODE,):
        return error
    return IntegrityError(error.statement, error.params, error.orig)


class MySQLWriter(Writer):
    """MySQL and MariaDB: ON DUPLICATE KEY UPDATE, which locks a duplicate exclusively at once.

    INSERT IGNORE takes a shared lock on the duplicate first, and two waiting writers then end in a
    deadlock (measured: some percent of contended follows, against some per mille); it would also
    swallow errors of the host's columns. The drivers ask the server to count found rows, so the
    row count is the same for new and old rows. LAST_INSERT_ID(expr), which the server remembers
    and reports, serves as a counter of the duplicates instead: set to a base by the first of many
    rows, one more for each duplicate.

    The objects are looked up before an edge is touched, and so locked before it: in the order in
    which all others take these locks, see :meth:`Writer.hold`.
    """

    BASE = 2**62
    tells_which = False

    def insert(
        self,
        connection: sa.Connection,
        pairs: Sequence[Pair],
        values: Mapping[str, Any],
        exact: bool = False,
    ) -> Inserted:
        """See :meth:`Writer.insert`."""
        # The counter only knows how many; and where rows have a number of their own, not even that.
        if len(pairs) > 1 and (exact or self._has_counter):
            return self.insert_one_by_one(connection, pairs, values)
        statement = self._built(len(pairs), tuple(values))
        try:
            result = connection.execute(statement, parameters(pairs, values))
        except DBAPIError as error:
            code = None if error.orig is None else error.orig.args[0]
            if code in _CHECK_CODES:
                self.refuse_self(connection, pairs)
            # Any other error may be a deadlock, and the transaction that we would ask in is gone.
            if code not in _REFUSED_CODES:
                raise
            if missing := self.missing(connection, pairs):
                raise MissingEndpoint(missing) from error
            # No edge had to be made, whatever is wrong with its further columns.
            if all(self.is_there(connection, pair) for pair in pairs):
                return Inserted(0, [])
            return self.violate_another_key(connection, pairs, values)
        count = len(pairs) - max(0, result.lastrowid - self.BASE)
        return Inserted(count, list(pairs) if count == len(pairs) else None)

    def insert_mirrors(self, columns: Sequence[sa.Column[Any]], rows: sa.Select[Any]) -> sa.Insert:
        """See :meth:`Writer.insert_mirrors`; one that is there becomes like its twin.

        Looking for it first would lock the gap where it is not, and two who did would then wait
        for each other.
        """
        statement = mysql.insert(self.edges.table).from_select(columns, rows)
        return statement.on_duplicate_key_update(
            {column.key: statement.inserted[column.key] for column in columns}
        )

    @property
    def _base(self) -> sa.ColumnElement[Any]:
        return sa.literal_column(str(self.BASE))

    @property
    def _has_counter(self) -> bool:
        return self.edges.table.autoincrement_column is not None

    def violate_another_key(
        self, connection: sa.Connection, pairs: Sequence[Pair], values: Mapping[str, Any]
    ) -> Inserted:
        """Insert without the clause, for the error that names the host's unique key."""
        new = [pair for pair in pairs if not self.is_there(connection, pair, locked=True)]
        if new:
            self.insert_plainly(connection, new, values)
        return Inserted(len(new), new)

    def _insert(self, rows: int, names: tuple[str, ...]) -> sa.Executable:
        edges, further = self.edges, self.bound_values(names)
        statement = mysql.insert(edges.table).values(
            one_or_many([{**self._keys(row, rows), **further} for row in range(rows)])
        )
        # The clause answers a duplicate of any unique key, the host's own too.
        is_pair = sa.and_(
            *(column == statement.inserted[column.key] for column in (edges.source, edges.target))
        )
        number: Any = self._base if rows == 1 else sa.func.last_insert_id()
        counted = sa.func.if_(is_pair, sa.func.last_insert_id(number + 1), _OUT_OF_RANGE)
        # An update of a key column moves rows in distributed databases: prefer the time.
        kept = edges.source if edges.time is None else edges.time
        return statement.on_duplicate_key_update(
            {kept.key: sa.func.if_(counted, kept, kept)}
        ).inline()

    def _keys(self, row: int, rows: int) -> dict[str, Any]:
        """Return one row's keys as sub-queries, which refuse an object that is missing.

        NULL for it is an error in every sql_mode, unless the column takes it or the row is one of
        many: outside of strict mode, these store 0 or an empty text in its place.
        """
        keys = self.looked_up(row)
        if rows > 1 and row == 0:  # the counter of duplicates begins
            reset = sa.func.last_insert_id(self._base) > 0
            keys[self.edges.source] = keys[self.edges.source].where(reset)
        return {
            column.key: sa.func.coalesce(key, _ERROR) if rows > 1 or column.nullable else key
            for column, key in keys.items()
        }


# Expressions that are an error wherever they are evaluated, in every sql_mode: of no type in
# particular, and a number, which takes the server half as long.
_ERROR: sa.ColumnElement[Any] = sa.literal_column("(SELECT NULL UNION ALL SELECT NULL)")
_OUT_OF_RANGE: sa.ColumnElement[Any] = sa.literal_column("(~0 + 1)")
_TWO_ROWS_CODE, _OUT_OF_RANGE_CODE = 1242, 1690
# A column that takes no NULL; one that has neither a value nor a default.
_NULL_CODE, _NO_DEFAULT_CODE = 1048, 1364
_REFUSED_CODES = (_TWO_ROWS_CODE, _OUT_OF_RANGE_CODE, _NULL_CODE, _NO_DEFAULT_CODE)
# A violated CHECK: in MariaDB, in MySQL.
_CHECK_CODES = (4025, 3819)
