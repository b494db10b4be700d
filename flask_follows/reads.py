"""Reads of one object's edges, seen from one end of a relation, on keys.

Membership, counts and keys read the edge table alone; a page cuts the edges first and joins the
objects to the few that are left, so that no planner can decide to start from the objects.
Statements are built once and then only bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .beyond import Form, form_for
from .clauses import LIMIT, NEAR, PLACE, as_read, as_sent, is_parameter, is_whole, shared
from .edges import EdgeTable
from .errors import InvalidCursorError
from .keys import Endpoint
from .ordering import ordered_query, query_class_of
from .paging import Order, Page, once_each
from .streams import refuse_in_stream

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
        rows = [self._rows(half) for half in self.halves]
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
        model = self.edges.model
        rows = ordered_query(query_class_of(session, model), model, *self.edges_newest_first)
        return rows.with_session(session).filter(self.is_edge_of(self.near.parameter(near)))

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

    def page(
        self, session: Session, near: Any, after: str | None, before: str | None, per_page: int
    ) -> Page[Any]:
        """Return one keyset page. One statement, its cost independent of the depth.

        :raises ValueError: the collection has an order of its own.
        """
        self.refuse_pages(is_ordered=False)
        bind: dict[str, Any] = {"mapper": self.edges.mapper}
        dialect = session.get_bind(**bind).dialect
        values = self.place(after if before is None else before, dialect)
        form = None if values is None else form_for(dialect)
        statement = self._page(before is not None, form)
        parameters = {NEAR: near, LIMIT: per_page + 1}
        parameters |= {f"{PLACE}{number}": value for number, value in enumerate(values or ())}
        refuse_in_stream(session, **bind)
        rows: Any = session.execute(statement, parameters, bind_arguments=bind)
        read_edges = partial(self.edges_of, session)
        return self.order.cut(
            once_each(rows), after, before, per_page, dialect=dialect, read_edges=read_edges
        )

    def refuse_pages(self, is_ordered: bool) -> None:
        """Refuse to page in another order than that of the edges.

        :raises ValueError: there is one, given with the query or with the relation.
        """
        if is_ordered or self.order_by is not None:
            raise ValueError("page() goes by the order of the edges; with order_by, use paginate()")

    def place(self, cursor: str | None, dialect: sa.Dialect) -> list[Any] | None:
        """Return the values in a cursor, None for none.

        :raises InvalidCursorError: it was not made for this collection.
        """
        if cursor is None:
            return None
        values = self.order.values(cursor)
        if not self.far.can_hold(values[-1], dialect):
            raise InvalidCursorError("this page cursor names a key that cannot exist")
        return values

    def sent_with(self, source: Any) -> list[Any]:
        """Return what a page reads beside the objects, found in `source`; the place comes last."""
        return as_sent(self._sent, source, "place")

    def edges_of(self, session: Session, rows: Sequence[Any]) -> list[Any]:
        """Return the edge objects of rows that end with what :meth:`sent_with` gives."""
        sent, size = [column.key for column in self._sent], len(self._sent)
        places = [sent.index(column.key) - size for column in self.edges.identity]
        return self.edges.objects(session, [tuple(row[place] for place in places) for row in rows])

    @cached_property
    def _sent(self) -> list[Any]:
        """The columns that tell an edge from all others, and those of its place; each once."""
        ordered = self.order.columns
        keys = {column.key for column in ordered}
        return [*(column for column in self.edges.identity if column.key not in keys), *ordered]

    def _rows(self, half: Half) -> sa.Select[Any]:
        """Select the rows as one half reads them."""
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

    @cached_property
    def _page(self) -> Any:
        return lru_cache(maxsize=8)(self._build_page)

    def _build_page(self, newer: bool, form: Form | None) -> Any:
        limit = sa.bindparam(LIMIT, type_=sa.Integer)
        parts = [self._build_cut(half, newer, form).limit(limit) for half in self.halves]
        if len(parts) == 1:
            cut = parts[0].subquery("edge")
        else:
            both = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery()
            clauses = self.order.clauses(both.c, newest_first=not newer)
            cut = sa.select(both).order_by(*clauses).limit(limit).subquery("edge")
        shared(cut)
        return (
            sa.select(self.far.model, *self.sent_with(cut.c))
            .select_from(cut)
            .outerjoin(self.far.model, self.far.attribute() == cut.c[self.far_column.key])
            .order_by(*self.order.clauses(cut.c, newest_first=not newer))
        )

    def _build_cut(self, half: Half, newer: bool, form: Form | None) -> sa.Select[Any]:
        """Select the edges of a page, as far as one half has them."""
        table = self.edges.table
        columns: dict[str, Any] = {**table.c, self.far_column.key: half.far}
        needed = {column.key for column in self._sent}
        rows = sa.select(table) if len(self.halves) == 1 else self._rows(half)
        rows = rows.with_only_columns(*(c for c in rows.selected_columns if c.key in needed))
        rows = rows.where(is_parameter(NEAR, half.near), *is_whole(half.far))
        if form is not None:
            places = [
                sa.bindparam(f"{PLACE}{number}", type_=column.type)
                for number, column in enumerate(self.order.columns)
            ]
            rows = rows.where(self.order.beyond(places, form, newer=newer, source=columns))
        return rows.order_by(*self.order.clauses(columns, newest_first=not newer))


_NEAR, _FAR = "near_key", "far_key"  # labels in a view of two halves
