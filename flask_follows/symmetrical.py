"""How the edges of a symmetrical relation are laid down: the same edge, seen from both its ends.

:class:`Mirrored` writes it once from each end, so that reads are as those of a directed relation.
:class:`Canonical` writes it once, from the smaller key to the greater, in less space, and reads
each edge from either end.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .chunks import chunks
from .reads import End, Half
from .statements import Inserted, Pair, open_transaction
from .storage import Directed, Storage

__all__ = ["STORAGES", "Canonical", "Mirrored", "Symmetrical"]


class Symmetrical(Storage):
    """An edge is the same from both its ends."""

    def ends(self) -> tuple[End, End]:
        """See :meth:`Storage.ends`: there is but one."""
        halves = self.halves()
        end = End(self.edges, self.source, self.target, halves, order_by=self.order_by)
        return end, end

    @abstractmethod
    def halves(self) -> tuple[Half, ...]:
        """Return in which columns an object may stand."""

    def row(self, pair: Pair) -> Pair:
        """See :meth:`Storage.row`: smaller key first."""
        return pair if pair[0] <= pair[1] else (pair[1], pair[0])

    def seen_from(self, near: Any, row: Pair) -> Pair:
        """See :meth:`Storage.seen_from`."""
        return row if row[0] == near else (row[1], row[0])

    def wait_turn(self, session: Session, end: End, near: Any) -> sa.Connection:
        """Begin to delete many edges of an object; return the connection.

        Who adds edges to the object waits for it; else the two would often end in a deadlock,
        where a DELETE locks what it does not find.
        """
        connection = self.edges.connection(session, writes=True)
        open_transaction(connection, self.edges.table)
        if (writer := self.writer(connection.dialect)).has_snapshot:
            writer.hold(connection, end.near, [near])
        return connection


class Canonical(Symmetrical):
    """One row for each edge, from the smaller key to the greater."""

    def delete_at(
        self, session: Session, end: End, near: Any, far: Sequence[Any] | None, *, exact: bool
    ) -> tuple[int, list[Pair]]:
        """See :meth:`Storage.delete_at`."""
        self.wait_turn(session, end, near)
        return super().delete_at(session, end, near, far, exact=exact)

    def halves(self) -> tuple[Half, ...]:
        """See :meth:`Symmetrical.halves`."""
        there, back = self.edges.source, self.edges.target
        return Half(there, back), Half(back, there)


class Mirrored(Symmetrical):
    """Two rows for each edge, one from each end, alike in all their other columns.

    The row from the smaller key stands for the edge: it is written and deleted first, and whoever
    has done that has the other one to himself. So no two transactions wait for each other, and
    none leaves a half.
    """

    mirrors = True

    def halves(self) -> tuple[Half, ...]:
        """See :meth:`Symmetrical.halves`."""
        # The index for "who follows X, newest first" serves both ends then.
        return (Half(self.edges.target, self.edges.source),)

    def insert(
        self, session: Session, rows: Sequence[Pair], values: Mapping[str, Any], *, exact: bool
    ) -> Inserted:
        """See :meth:`Storage.insert`. Two statements, one where all edges are there."""
        connection = self.edges.connection(session, writes=True)
        writer = self.writer(connection.dialect)
        inserted = super().insert(session, rows, values, exact=exact or writer.tells_which)
        # A writer that cannot tell which are new holds all of them.
        new = rows if inserted.pairs is None and inserted.count else inserted.pairs
        if new:
            writer.mirror(connection, new)
        return inserted

    def delete(self, session: Session, row: Pair) -> bool:
        """See :meth:`Storage.delete`. Two statements, and on SQLite one to begin with."""
        connection = self.edges.connection(session, writes=True)
        if not self.writer(connection.dialect).can_hold(row):
            return False
        # Else a row that SQLite finds could be gone before it is deleted.
        open_transaction(connection, self.edges.table)
        return bool(self._delete_rows(session, connection, [row]))

    def delete_at(
        self, session: Session, end: End, near: Any, far: Sequence[Any] | None, *, exact: bool
    ) -> tuple[int, list[Pair]]:
        """See :meth:`Storage.delete_at`. A constant number of statements for 300 edges."""
        connection = self.wait_turn(session, end, near)
        if far is None:
            found = self._rows_of(connection, near)
        else:
            can_hold = [key for key in far if end.far.can_hold(key, connection.dialect)]
            found = iter([[(near, key) for key in can_hold]])
        removed: list[Pair] = []
        for rows in found:
            for part in chunks(sorted(set(self.rows(rows)))):
                removed += self._delete_rows(session, connection, part)
        return len(removed), removed

    def all_rows(self, row: Pair) -> list[Pair]:
        """See :meth:`Storage.all_rows`."""
        return [row, _turned(row)]

    def expire(self, session: Session, rows: Iterable[Pair]) -> None:
        """See :meth:`Storage.expire`."""
        super().expire(session, [both for row in rows for both in self.all_rows(row)])

    def _rows_of(self, connection: sa.Connection, near: Any) -> Iterator[list[Pair]]:
        """Yield the rows of an object's edges, those without a twin too.

        Once more where the transaction's snapshot may hide some. Not at first: a lock on all of
        them would be taken in another order than that of the edges.
        """
        writer, there, back = self.writer(connection.dialect), self.edges.source, self.edges.target
        rows: Any = sa.select(there, back)
        found: list[Any] = [rows.where(sa.or_(there == near, back == near))]
        if writer.has_snapshot:
            found.append(writer.latest(rows.where(back == near)))
        for part in found:
            yield [tuple(row) for row in connection.execute(part)]

    def _delete_rows(
        self, session: Session, connection: sa.Connection, rows: Sequence[Pair]
    ) -> list[Pair]:
        """Delete edges and their mirrors, in the one order; return which were there."""
        edges, writer = self.edges, self.writer(connection.dialect)
        first = sa.select(edges.source, edges.target).where(writer.is_one_of(rows))
        in_order = first.order_by(edges.source, edges.target).with_for_update()
        held = [(row[0], row[1]) for row in connection.execute(in_order)]
        if held:
            both = {*held, *map(_turned, held)}
            edges.delete(session, writer.is_one_of(sorted(both)))
        rest = sorted(set(rows) - set(held))
        return held + (self._delete_halves(session, connection, rest) if rest else [])

    def _delete_halves(
        self, session: Session, connection: sa.Connection, rows: Sequence[Pair]
    ) -> list[Pair]:
        """Delete mirrors without the first row, which were made by hand; return the edges.

        They are looked for first, since a DELETE locks on some databases what it does not find.
        But the DELETE looks again: an edge made between the two has a mirror that is no half.
        """
        edges, writer = self.edges, self.writer(connection.dialect)
        first = edges.table.alias()
        # MySQL reads no table that it deletes from, unless it has written the rows aside first.
        whole = sa.select(first.c[edges.source.key], first.c[edges.target.key]).distinct()
        aside = sa.select(whole.where(writer.is_one_of(rows, first)).subquery())
        is_half = sa.and_(
            writer.is_one_of([_turned(row) for row in rows]),
            sa.tuple_(edges.target, edges.source).not_in(aside),
        )
        if connection.execute(sa.select(edges.source).where(is_half).limit(1)).first() is None:
            return []
        return [_turned(half) for half in edges.delete_returning(session, is_half)]


def _turned(pair: Pair) -> Pair:
    return pair[1], pair[0]


STORAGES: dict[str, type[Storage]] = {
    "directed": Directed,
    "mirrored": Mirrored,
    "canonical": Canonical,
}
