"""How the edges of a relation are laid down in its table: the interface, and one row for each edge.

:class:`Directed` writes a row from source to target. The two ways for a symmetrical relation are in
:mod:`.symmetrical`. A storage knows keys only, and neither objects nor signals; see
:class:`~.relation.Relation`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from .chunks import chunks
from .dialects import writer_class
from .edges import EdgeTable
from .keys import Endpoint
from .mysql_writer import as_integrity_error
from .reads import End, Half, OrderBy
from .statements import Inserted, MissingEndpoint, Pair, Writer, open_transaction

__all__ = ["Directed", "Storage"]


class Storage(ABC):
    """Writes edges, and tells how they are read; this class stores one row for each edge.

    :cvar mirrors: whether each row has a twin the other way round.
    """

    mirrors: ClassVar[bool] = False

    def __init__(
        self,
        edges: EdgeTable,
        source: Endpoint,
        target: Endpoint,
        order_by: OrderBy | None = None,
    ) -> None:
        self.edges = edges
        self.source = source
        self.target = target
        self.order_by = order_by
        self.forward, self.backward = self.ends()
        self._writers: dict[str, Writer] = {}

    @abstractmethod
    def ends(self) -> tuple[End, End]:
        """Return the relation as seen from a source object, and from a target object."""

    @abstractmethod
    def row(self, pair: Pair) -> Pair:
        """Return the keys of the row that stands for an edge, and is written first."""

    def all_rows(self, row: Pair) -> list[Pair]:
        """Return the keys of all rows of an edge, that which stands for it first."""
        return [row]

    def rows(self, pairs: Iterable[Pair]) -> Iterable[Pair]:
        """Return :meth:`row` of each pair."""
        return map(self.row, pairs)

    @abstractmethod
    def seen_from(self, near: Any, row: Pair) -> Pair:
        """Return the keys of a row with those of one object on its own side."""

    def insert(
        self, session: Session, rows: Sequence[Pair], values: Mapping[str, Any], *, exact: bool
    ) -> Inserted:
        """Insert the edges that are not there yet: all of them, or none.

        :param rows: as :meth:`row` gives them, distinct and sorted; no more than one
            statement takes.
        :param exact: tell which were made, not only how many.
        :raises MissingEndpoint: an object of some pair does not exist.
        :raises SelfPair: two spellings of one key.
        """
        connection = self.edges.connection(session, writes=True)
        writer = self.writer(connection.dialect)
        if not all(writer.can_hold(row) for row in rows):
            raise MissingEndpoint(writer.missing(connection, rows))
        try:
            inserted = writer.insert(connection, rows, values, exact)
        except OperationalError as error:
            raise as_integrity_error(error) from error.orig
        if inserted.count:
            self.expire(session, rows)
        return inserted

    def delete(self, session: Session, row: Pair) -> bool:
        """Delete one edge by its key; tell whether it was there."""
        connection = self.edges.connection(session, writes=True)
        writer = self.writer(connection.dialect)
        return writer.can_hold(row) and self._delete_row(session, connection, row)

    def delete_at(
        self, session: Session, end: End, near: Any, far: Sequence[Any] | None, *, exact: bool
    ) -> tuple[int, list[Pair]]:
        """Delete the edges of one object, to some objects or (None) to all.

        :return: how many edges, and their rows where `exact` asks for them.
        """
        connection = self.edges.connection(session, writes=True)
        parts: Iterable[Sequence[Any] | None] = [None]
        if far is not None:
            parts = chunks([key for key in far if end.far.can_hold(key, connection.dialect)])
        count, rows = 0, []
        for part in parts:
            criterion = self._rows_at(end, near, part)
            if exact:
                rows += self.edges.delete_returning(session, criterion)
            else:
                count += self.edges.delete(session, criterion)
        return count or len(rows), rows

    def check(self, session: Session, rows: Sequence[Pair]) -> None:
        """Refuse what :meth:`insert` would refuse, before anything is written.

        From then on the objects cannot be deleted by others.

        :raises MissingEndpoint: an object of some pair does not exist.
        :raises SelfPair: two spellings of one key.
        """
        connection = self.edges.connection(session, writes=True)
        open_transaction(connection, self.edges.table)
        writer = self.writer(connection.dialect)
        if missing := writer.missing(connection, rows):
            raise MissingEndpoint(missing)
        writer.refuse_self(connection, rows)

    def hold(self, session: Session, end: End, near: Any, far: Iterable[Any]) -> list[Any]:
        """Let one transaction at a time go on with an object's edges; return the far keys.

        :param far: keys of objects that will get an edge to it. They are held as well where they
            could be near in their turn: to set A's friends to B, and B's to A, takes both.
        """
        connection = self.edges.connection(session, writes=True)
        writer = self.writer(connection.dialect)
        writer.hold(connection, end.near, [near, *far] if end.near is end.far else [near])
        # Half by half: a lock does not reach into a UNION.
        found = [sa.select(half.far).where(half.near == near) for half in end.halves]
        keys = (key for part in found for key in connection.scalars(writer.latest(part)))
        return [key for key in keys if key is not None]

    def stored_keys(self, session: Session, endpoint: Endpoint, keys: Sequence[Any]) -> set[Any]:
        """Return keys as they are stored, which a database may compare in its own way."""
        connection = self.edges.connection(session, writes=True)
        return self.writer(connection.dialect).existing(connection, endpoint, set(keys))

    def expire(self, session: Session, rows: Iterable[Pair]) -> None:
        """Expire objects of edges that were made anew: another session had removed theirs."""
        for edge in self.edges.loaded(session, rows):
            session.expire(edge)

    def writer(self, dialect: sa.Dialect) -> Writer:
        """Return the writer for a database, made at the first call."""
        writer = self._writers.get(dialect.name)
        if writer is None:
            kind = writer_class(self.edges, dialect)
            writer = kind(self.edges, self.source, self.target, dialect)
            self._writers[dialect.name] = writer
        return writer

    def _delete_row(self, session: Session, connection: sa.Connection, row: Pair) -> bool:
        writer = self.writer(connection.dialect)
        if self.edges.loaded(session, [row]):
            return self.edges.delete(session, writer.is_one_of([row])) > 0
        return writer.delete_one(connection, row)

    def _rows_at(self, end: End, near: Any, far: Sequence[Any] | None) -> sa.ColumnElement[bool]:
        """Return "the row is an edge of this object", to some others or to any."""
        found = []
        for half in end.halves:
            is_near = half.near == near
            found.append(is_near if far is None else sa.and_(is_near, half.far.in_(far)))
        return sa.or_(*found)


class Directed(Storage):
    """One row for each edge, from its source to its target."""

    def ends(self) -> tuple[End, End]:
        """See :meth:`Storage.ends`."""
        edges = self.edges
        there = (Half(edges.source, edges.target),)
        back = (Half(edges.target, edges.source),)
        return (
            End(edges, self.source, self.target, there, order_by=self.order_by),
            End(edges, self.target, self.source, back, reverse=True),
        )

    def row(self, pair: Pair) -> Pair:
        """See :meth:`Storage.row`."""
        return pair

    def rows(self, pairs: Iterable[Pair]) -> Iterable[Pair]:
        """See :meth:`Storage.rows`."""
        return pairs

    def seen_from(self, near: Any, row: Pair) -> Pair:
        """See :meth:`Storage.seen_from`."""
        return row
