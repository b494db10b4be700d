"""Those whom somebody has an edge to, and who have one back."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .clauses import NEAR, shared
from .kept import kept_query, read_all
from .ordering import ordered_query
from .reads import End

__all__ = ["Mutuals"]


class _Clauses(NamedTuple):
    """The SQL of mutual edges: made at once, since all of it is about the same alias."""

    near: Any
    is_mutual: list[Any]
    newest_first: list[Any]


class Mutuals:
    """The mutual edges of a relation, as seen from one of its ends; the SQL is built once."""

    def __init__(self, end: End) -> None:
        self._end = end

    def query(self, session: Session, near: Any) -> Query[Any]:
        """Return a query of the far objects that have an edge back, newest edge first."""
        far = self._end.far

        def read() -> list[Any]:
            return read_all(session, far.mapper, self._statement, {NEAR: near})

        return kept_query(session, far.model, lambda: self._build(session, near), {"all": read})

    def _build(self, session: Session, near: Any) -> Query[Any]:
        clauses = self._clauses
        query = ordered_query(session, self._end.far.model, *clauses.newest_first)
        is_of_near = clauses.near == self._end.near.parameter(near)
        # By itself inside of another one, which may well be of the same edges.
        return query.correlate(None).filter(is_of_near, *clauses.is_mutual)

    @cached_property
    def _statement(self) -> sa.Select[Any]:
        clauses = self._clauses
        is_of_near = clauses.near == sa.bindparam(NEAR, type_=self._end.near.parameter_type)
        mutuals = sa.select(self._end.far.model).where(is_of_near, *clauses.is_mutual)
        return mutuals.order_by(*clauses.newest_first)

    @cached_property
    def _clauses(self) -> _Clauses:
        end, edge, back = self._end, shared(self._end.view.alias()), shared(self._end.view.alias())
        near, far = end.near_column.key, end.far_column.key
        is_back = back.c[near] == edge.c[far], back.c[far] == edge.c[near]
        has_edge_back = sa.exists().where(*is_back).correlate_except(back)
        is_mutual = [edge.c[far] == end.far.attribute(), has_edge_back]
        return _Clauses(edge.c[near], is_mutual, end.order.clauses(edge.c))
