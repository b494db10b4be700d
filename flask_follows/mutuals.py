"""Those whom somebody has an edge to, and who have one back."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .clauses import shared
from .ordering import ordered_query
from .reads import End

__all__ = ["Mutuals"]


class Mutuals:
    """The mutual edges of a relation, as seen from one of its ends; the SQL is built once.

    Not the query: a host's query class may do something else in each request.
    """

    def __init__(self, end: End) -> None:
        self._end = end

    def query(self, session: Session, near: Any) -> Query[Any]:
        """Return a query of the far objects that have an edge back, newest edge first."""
        key = self._end.near.parameter(near)
        is_of_near = [column == key for column in self._near_columns]
        query = ordered_query(session, self._end.far.model, *self._newest_first)
        # By itself inside of another one, which may well be of the same edges.
        return query.correlate(None).filter(*is_of_near, *self._criteria)

    @property
    def _is_joined(self) -> bool:
        """Whether an edge has one edge back at most: databases are quicker to join it then."""
        return self._end.edges.unique and len(self._end.halves) == 1

    @cached_property
    def _edges(self) -> tuple[Any, Any]:
        return shared(self._end.view.alias()), shared(self._end.view.alias())

    @cached_property
    def _newest_first(self) -> list[Any]:
        edge, _ = self._edges
        return self._end.order.clauses(edge.c)

    @cached_property
    def _near_columns(self) -> list[Any]:
        """The columns in which the near object's key is: with one of each, both edges are found."""
        end, (edge, back) = self._end, self._edges
        near = edge.c[end.near_column.key]
        return [near, back.c[end.far_column.key]] if self._is_joined else [near]

    @cached_property
    def _criteria(self) -> list[Any]:
        end, (edge, back) = self._end, self._edges
        near, far = end.near_column.key, end.far_column.key
        is_back = back.c[near] == edge.c[far]
        if not self._is_joined:
            is_to_near = back.c[far] == edge.c[near]
            is_back = sa.exists().where(is_back, is_to_near).correlate_except(back)
        return [edge.c[far] == end.far.attribute(), is_back]
