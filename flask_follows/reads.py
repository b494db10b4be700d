"""Reads of one object's edges, seen from one end of a relation, on keys.

Membership, counts and keys read the edge table alone. Statements are built once and then only
bound. Pages are in :mod:`.page_reads`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .clauses import as_read, is_parameter, is_whole, shared
from .edges import EdgeTable
from .keys import Endpoint
from .ordering import ordered_query
from .paging import Order

__all__ = ["End", "Half", "OrderBy"]


# Column expressions, one or several, or what returns them (for columns that are not there yet).
OrderBy: TypeAlias = "Callable[[], Any] | Sequence[Any] | sa.ColumnElement[Any]"


class Half(NamedTuple):
    """One way to read a row: which of its key columns is near, and which is far."""

    near: sa.Column[Any]
    far: sa.Column[Any]


@dataclass(frozen=True, eq=False)
class End:
    """A relation as seen from one of its ends: `near` is the object, `far` are the others.

    :param halves: one, where the near object always stands in the same column; two, where it may
        stand in either.
    :param reverse: True at the target's end (`user.followers`).
    :param order_by: another order than newest edge first.
    """

    edges: EdgeTable
    near: Endpoint
    far: Endpoint
    halves: tuple[Half, ...]
    reverse: bool = False
    order_by: OrderBy | None = None

    @cached_property
    def view(self) -> sa.FromClause:
        """The edges with one column of near keys and one of far keys."""
        if len(self.halves) == 1:
            return self.edges.table
        rows = [self.rows_of(half) for half in self.halves]
        view = sa.union_all(*rows).alias(f"{self.edges.table.name}_both_ways")
        return shared(view)

    @property
    def near_column(self) -> Any:
        """The view's column with the key of the object whose edges are read."""
        return self.halves[0].near if len(self.halves) == 1 else self.view.c[_NEAR]

    @property
    def far_column(self) -> Any:
        """The view's column with the keys of the objects in the collection."""
        return self.halves[0].far if len(self.halves) == 1 else self.view.c[_FAR]

    @cached_property
    def order(self) -> Order:
        """Newest edge first; among equal times, and without a time, by the far key."""
        time = self.edges.time
        if time is None:
            return Order([self.far_column])
        columns = [self.view.c[time.key], self.far_column]
        return Order(
            columns,
            nullable=[time.key] if time.nullable else (),
            written_by_sql=[time.key] if self.edges.has_time_of_database else (),
        )

    @property
    def newest_first(self) -> list[Any]:
        """The ORDER BY clauses of "newest edge first"."""
        return self.order.clauses(self.view.c)

    @cached_property
    def sorted_by(self) -> list[Any]:
        """The ORDER BY clauses of the collection."""
        given = self.order_by() if callable(self.order_by) else self.order_by
        if given is None:
            return self.newest_first
        clauses = given if isinstance(given, (list, tuple)) else [given]
        return [self.as_read(clause) for clause in clauses]

    def as_read(self, clause: Any) -> Any:
        """Return a clause on columns of the edges as one on those columns where we read them."""
        return as_read(self.edges.table, self.view, clause)

    def pair(self, near: Any, far: Any) -> tuple[Any, Any]:
        """Return the keys in the relation's own order, source first."""
        return (far, near) if self.reverse else (near, far)

    def contains(self, session: Session, near: Any, far: Any) -> bool:
        """Tell whether there is an edge between two keys. One statement."""
        connection = self.edges.connection(session)
        dialect = connection.dialect
        if not (self.near.can_hold(near, dialect) and self.far.can_hold(far, dialect)):
            return False
        return connection.scalar(self._contains, {"near": near, "far": far}) is not None

    def exists(self, session: Session, near: Any) -> bool:
        """Tell whether the object has any edge. One statement."""
        return bool(self.edges.connection(session).scalar(self._exists, {"near": near}))

    def count(self, session: Session, near: Any) -> int:
        """Return the number of the object's edges. One statement; reads that many index entries."""
        connection = self.edges.connection(session)
        if not self.near.can_hold(near, connection.dialect):
            return 0
        return connection.scalar(self._count, {"near": near}) or 0

    def capped_count(self, session: Session, near: Any, limit: int) -> int:
        """Return the number of the object's edges, no more than `limit` + 1. One statement."""
        connection = self.edges.connection(session)
        holds = self.near.can_hold(near, connection.dialect)
        bound = {"near": near, "limit": limit + 1}
        return (connection.scalar(self._capped, bound) or 0) if holds else 0

    def keys(self, session: Session, near: Any) -> list[Any]:
        """Return the keys at the far end, in order. One statement."""
        if self.order_by is not None:
            keys = self.select(near).with_only_columns(self.far.attribute())
            return list(session.scalars(keys, bind_arguments={"mapper": self.edges.mapper}))
        return list(self.edges.connection(session).scalars(self._keys, {"near": near}))

    def select(self, near: Any) -> sa.Select[Any]:
        """Return a SELECT of the objects at the far end, newest edge first."""
        # Not `join()`: `filter_by()` would then be about the edges.
        return (
            sa.select(self.far.model)
            .where(self.near_column == near, self.far_column == self.far.attribute())
            .order_by(*self.sorted_by)
        )

    @property
    def edges_newest_first(self) -> list[Any]:
        """The ORDER BY clauses of the edges themselves."""
        return self.order.clauses({**self.edges.table.c, _FAR: self.edges.target})

    def is_edge_of(self, near: Any) -> sa.ColumnElement[bool]:
        """Return "the row of the table is an edge of this object" as SQL."""
        return sa.or_(*(half.near == near for half in self.halves))

    def rows(self, session: Session, near: Any) -> Query[Any]:
        """Return a query of the object's edges, newest first."""
        rows = ordered_query(session, self.edges.model, *self.edges_newest_first)
        return rows.filter(self.is_edge_of(self.near.parameter(near)))

    def exists_for(self, entity: Any, far: Any) -> sa.ColumnElement[bool]:
        """Return "the row's object has an edge to `far`" as SQL.

        :param entity: the near class, or an alias of it.
        :param far: an object, a key, or a SQL expression for a key.
        """
        is_sql = isinstance(far, sa.ColumnElement) or hasattr(far, "__clause_element__")
        key = far if is_sql else self.far.parameter(self.far.key(far))
        near = self.near.attribute(entity)
        found = []
        for half in self.halves:
            edge = self.edges.table.alias()
            is_edge = edge.c[half.near.key] == near, edge.c[half.far.key] == key
            found.append(sa.exists().where(*is_edge).correlate_except(edge))
        return sa.or_(*found)

    def count_for(self, entity: Any) -> sa.ColumnElement[int]:
        """Return the number of the row's object's edges as SQL."""
        near = self.near.attribute(entity)
        counts = []
        for half in self.halves:
            edge = self.edges.table.alias()
            count = sa.select(sa.func.count()).select_from(edge)
            whole = is_whole(edge.c[half.far.key])
            of_near = count.where(edge.c[half.near.key] == near, *whole).correlate_except(edge)
            counts.append(of_near.scalar_subquery())
        # The key outside of the sub-query brings the objects into a statement that asks for nothing
        # else of them; it would count all edges otherwise.
        return sa.case((near.is_not(None), sum(counts[1:], counts[0])), else_=0)

    def rows_of(self, half: Half) -> sa.Select[Any]:
        """Select the rows as one half reads them, with their keys as the view names them."""
        return sa.select(self.edges.table, half.near.label(_NEAR), half.far.label(_FAR))

    @cached_property
    def _contains(self) -> sa.Select[Any]:
        found = [
            sa.and_(is_parameter("near", half.near), is_parameter("far", half.far))
            for half in self.halves
        ]
        one: sa.Select[Any] = sa.select(sa.literal_column("1"))
        return one.where(sa.or_(*found)).limit(1)

    @cached_property
    def _exists(self) -> sa.Select[Any]:
        one: sa.Select[Any] = sa.select(sa.literal_column("1")).limit(1)
        ones = [
            one.where(is_parameter("near", half.near), *is_whole(half.far)) for half in self.halves
        ]
        return ones[0] if len(ones) == 1 else sa.select(sa.or_(*map(sa.exists, ones)))

    @cached_property
    def _count(self) -> sa.Select[Any]:
        # One for each half: an OR would make some databases read the rows themselves.
        count = sa.select(sa.func.count()).select_from(self.edges.table)
        counts = [
            count.where(is_parameter("near", half.near), *is_whole(half.far))
            for half in self.halves
        ]
        if len(counts) == 1:
            return counts[0]
        parts: list[Any] = [part.scalar_subquery() for part in counts]
        total: Any = sum(parts[1:], parts[0])
        return sa.select(total)

    @cached_property
    def _capped(self) -> sa.Select[Any]:
        # A limit for each half as well: a union alone would be made whole first.
        limit = sa.bindparam("limit", type_=sa.Integer)
        one: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).limit(limit)
        of_near = [(is_parameter("near", half.near), *is_whole(half.far)) for half in self.halves]
        ones = [shared(one.where(*criteria).subquery()) for criteria in of_near]
        both = sa.union_all(*map(sa.select, ones)).limit(limit).subquery()
        return sa.select(sa.func.count()).select_from(ones[0] if len(ones) == 1 else shared(both))

    @cached_property
    def _keys(self) -> sa.Select[Any]:
        return (
            sa.select(self.far_column)
            .where(is_parameter("near", self.near_column), *is_whole(self.far_column))
            .order_by(*self.newest_first)
        )


_NEAR, _FAR = "near_key", "far_key"  # labels in a view of two halves
