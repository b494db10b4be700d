"""Edge writes for tables of the host's in which the database does not keep a pair unique."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from .statements import Inserted, MissingEndpoint, Pair, Writer, open_transaction

__all__ = ["UnkeyedWriter"]


class UnkeyedWriter(Writer):
    """For tables in which the database does not keep a pair unique: a lock does it instead.

    Who adds edges holds the objects first, so that two who add the same one go one by one. On
    MySQL and MariaDB, looking for an edge that is not there locks the gap where it would be, so
    that two who add edges beside each other may end in a deadlock: a unique key is better.
    """

    def insert(
        self,
        connection: sa.Connection,
        pairs: Sequence[Pair],
        values: Mapping[str, Any],
        exact: bool = False,
    ) -> Inserted:
        """See :meth:`Writer.insert`."""
        open_transaction(connection, self.edges.table)
        self._hold_sources(connection, pairs)
        if missing := self.missing(connection, pairs):
            raise MissingEndpoint(missing)
        self.refuse_self(connection, pairs)
        there = self._there(connection, pairs)
        new = [pair for pair in pairs if pair not in there]
        if new:
            self.insert_plainly(connection, new, values)
        return Inserted(len(new), new)

    def _there(self, connection: sa.Connection, pairs: Sequence[Pair]) -> set[Pair]:
        """Return the pairs that have an edge already."""
        if not (self.source.is_exact and self.target.is_exact):
            return {pair for pair in pairs if self.is_there(connection, pair, locked=True)}
        edges = self.edges
        found: Any = sa.select(edges.source, edges.target).where(self.is_one_of(pairs))
        rows: Any = connection.execute(self.latest(found))
        return {(row[0], row[1]) for row in rows}

    def _hold_sources(self, connection: sa.Connection, pairs: Sequence[Pair]) -> None:
        """Hold the source objects, and the others where these may be sources too."""
        keys = {source for source, _ in pairs}
        if self.source is self.target:
            keys |= {target for _, target in pairs}
        self.hold(connection, self.source, keys)
