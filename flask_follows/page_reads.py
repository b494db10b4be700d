"""Keyset pages of one object's edges: each one statement, whose cost does not grow with the depth.

The edges are cut first and the objects joined to the few that are left, so that no planner can
decide to start from the objects. Statements are built once and then only bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .beyond import Form, form_for
from .clauses import LIMIT, NEAR, PLACE, as_sent, is_parameter, is_whole, shared
from .errors import InvalidCursorError
from .paging import Page, once_each
from .reads import End, Half
from .streams import refuse_in_stream

__all__ = ["PageReads"]


class PageReads:
    """Reads pages of the edges that are seen from one end of a relation."""

    def __init__(self, end: End) -> None:
        self.end = end
        self._page = lru_cache(maxsize=8)(self._build_page)

    def read(
        self, session: Session, near: Any, after: str | None, before: str | None, per_page: int
    ) -> Page[Any]:
        """Return one keyset page. One statement, its cost independent of the depth.

        :raises ValueError: the collection has an order of its own.
        """
        self.refuse_order(is_ordered=False)
        bind: dict[str, Any] = {"mapper": self.end.edges.mapper}
        dialect = session.get_bind(**bind).dialect
        values = self.place(after if before is None else before, dialect)
        form = None if values is None else form_for(dialect)
        statement = self._page(before is not None, form)
        parameters = {NEAR: near, LIMIT: per_page + 1}
        parameters |= {f"{PLACE}{number}": value for number, value in enumerate(values or ())}
        refuse_in_stream(session, **bind)
        rows: Any = session.execute(statement, parameters, bind_arguments=bind)
        read_edges = partial(self.edges_of, session)
        return self.end.order.cut(
            once_each(rows), after, before, per_page, dialect=dialect, read_edges=read_edges
        )

    def refuse_order(self, is_ordered: bool) -> None:
        """Refuse to page in another order than that of the edges.

        :raises ValueError: there is one, given with the query or with the relation.
        """
        if is_ordered or self.end.order_by is not None:
            raise ValueError("page() goes by the order of the edges; with order_by, use paginate()")

    def place(self, cursor: str | None, dialect: sa.Dialect) -> list[Any] | None:
        """Return the values in a cursor, None for none.

        :raises InvalidCursorError: it was not made for this collection.
        """
        if cursor is None:
            return None
        values = self.end.order.values(cursor)
        if not self.end.far.can_hold(values[-1], dialect):
            raise InvalidCursorError("this page cursor names a key that cannot exist")
        return values

    def sent_with(self, source: Any) -> list[Any]:
        """Return what a page reads beside the objects, found in `source`; the place comes last."""
        return as_sent(self._sent, source, "place")

    def edges_of(self, session: Session, rows: Sequence[Any]) -> list[Any]:
        """Return the edge objects of rows that end with what :meth:`sent_with` gives."""
        sent, size = [column.key for column in self._sent], len(self._sent)
        places = [sent.index(column.key) - size for column in self.end.edges.identity]
        identities = [tuple(row[place] for place in places) for row in rows]
        return self.end.edges.objects(session, identities)

    @cached_property
    def _sent(self) -> list[Any]:
        """The columns that tell an edge from all others, and those of its place; each once."""
        place = self.end.order.columns
        keys = {column.key for column in place}
        return [*(column for column in self.end.edges.identity if column.key not in keys), *place]

    def _build_page(self, newer: bool, form: Form | None) -> Any:
        end, limit = self.end, sa.bindparam(LIMIT, type_=sa.Integer)
        parts = [self._build_cut(half, newer, form).limit(limit) for half in end.halves]
        if len(parts) == 1:
            cut = parts[0].subquery("edge")
        else:
            both = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery()
            clauses = end.order.clauses(both.c, newest_first=not newer)
            cut = sa.select(both).order_by(*clauses).limit(limit).subquery("edge")
        shared(cut)
        is_far = end.far.attribute() == cut.c[end.far_column.key]
        return (
            sa.select(end.far.model, *self.sent_with(cut.c))
            .select_from(cut)
            .outerjoin(end.far.model, is_far)
            .order_by(*end.order.clauses(cut.c, newest_first=not newer))
        )

    def _build_cut(self, half: Half, newer: bool, form: Form | None) -> sa.Select[Any]:
        """Select the edges of a page, as far as one half has them."""
        end, table = self.end, self.end.edges.table
        columns: dict[str, Any] = {**table.c, end.far_column.key: half.far}
        needed = {column.key for column in self._sent}
        rows = sa.select(table) if len(end.halves) == 1 else end.rows_of(half)
        rows = rows.with_only_columns(*(c for c in rows.selected_columns if c.key in needed))
        rows = rows.where(is_parameter(NEAR, half.near), *is_whole(half.far))
        if form is not None:
            places = [
                sa.bindparam(f"{PLACE}{number}", type_=column.type)
                for number, column in enumerate(end.order.columns)
            ]
            rows = rows.where(end.order.beyond(places, form, newer=newer, source=columns))
        return rows.order_by(*end.order.clauses(columns, newest_first=not newer))
