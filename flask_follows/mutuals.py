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
    """The mutual edges of a relation, as seen from one of its ends; the SQL is built once."""

    def __init__(self, end: End) -> None:
        self._end = end

    def query(self, session: Session, near: Any) -> Query[Any]:
        """Return a query of the far objects that have an edge back, newest edge first."""
        end, edge = self._end, self._edge
        is_of_near = edge.c[end.near_column.key] == end.near.parameter(near)
        query = ordered_query(session, end.far.model, *self._newest_first)
        # By itself inside of another one, which may well be of the same edges.
        return query.correlate(None).filter(is_of_near, *self._criteria)

    @cached_property
    def _edge(self) -> Any:
        return shared(self._end.view.alias())

    @cached_property
    def _newest_first(self) -> list[Any]:
        return self._end.order.clauses(self._edge.c)

    @cached_property
    def _criteria(self) -> list[Any]:
        end, edge, back = self._end, self._edge, shared(self._end.view.alias())
        near, far = end.near_column.key, end.far_column.key
        is_back = back.c[near] == edge.c[far], back.c[far] == edge.c[near]
        has_edge_back = sa.exists().where(*is_back).correlate_except(back)
        return [edge.c[far] == end.far.attribute(), has_edge_back]
