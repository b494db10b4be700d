"""Those whom somebody has an edge to, and who have one back."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .clauses import shared
from .ordering import ordered_query, query_class_of
from .reads import End

__all__ = ["Mutuals"]


class Mutuals:
    """The mutual edges of a relation, as seen from one of its ends; the SQL is built once."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._all_of = lru_cache(maxsize=8)(self._build)

    def query(self, session: Session, near: Any) -> Query[Any]:
        """Return a query of the far objects that have an edge back, newest edge first."""
        end, (edge, back) = self._end, self._edges
        key = end.near.parameter(near)
        # Both by the parameter: so each is found by its key, in whichever order they are read.
        is_of_near = [edge.c[end.near_column.key] == key]
        if self._is_joined:
            is_of_near.append(back.c[end.far_column.key] == key)
        query_class: Any = query_class_of(session, end.far.model)
        query: Query[Any] = self._all_of(query_class).with_session(session)
        return query.filter(*is_of_near)

    @property
    def _is_joined(self) -> bool:
        """Whether there is one edge back at most; databases are quicker to join it than to look."""
        return self._end.edges.unique and len(self._end.halves) == 1

    @cached_property
    def _edges(self) -> tuple[Any, Any]:
        return shared(self._end.view.alias()), shared(self._end.view.alias())

    def _build(self, query_class: type[Any]) -> Any:
        """Build the query for the edges of anybody."""
        end, (edge, _) = self._end, self._edges
        query = ordered_query(query_class, end.far.model, *end.order.clauses(edge.c))
        # By itself inside of another one, which may well be of the same edges.
        return query.correlate(None).filter(*self._criteria)

    @cached_property
    def _criteria(self) -> list[Any]:
        end, (edge, back) = self._end, self._edges
        near, far = end.near_column.key, end.far_column.key
        is_far = edge.c[far] == end.far.attribute()
        if self._is_joined:
            return [is_far, back.c[near] == edge.c[far]]
        is_back = back.c[near] == edge.c[far], back.c[far] == edge.c[near]
        return [is_far, sa.exists().where(*is_back).correlate_except(back)]
