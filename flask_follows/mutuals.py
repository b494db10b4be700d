"""Those whom somebody has an edge to, and who have one back."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .clauses import NEAR, shared
from .kept import kept_query, read_all
from .ordering import ordered_query
from .reads import End

__all__ = ["Mutuals"]


class Mutuals:
    """The mutual edges of a relation, as seen from one of its ends; the SQL is built once."""

    def __init__(self, end: End) -> None:
        self._end = end

    def query(self, session: Session, near: Any) -> Query[Any]:
        """Return a query of the far objects that have an edge back, newest edge first."""
        far = self._end.far
        read = partial(read_all, session, far.mapper)
        answers = {"all": lambda: read(self._statement, {NEAR: near})}
        return kept_query(session, far.model, lambda: self._build(session, near), answers)

    def _build(self, session: Session, near: Any) -> Query[Any]:
        query = ordered_query(session, self._end.far.model, *self._newest_first)
        # By itself inside of another one, which may well be of the same edges.
        return query.correlate(None).filter(*self._criteria(self._end.near.parameter(near)))

    @cached_property
    def _statement(self) -> sa.Select[Any]:
        near = sa.bindparam(NEAR, type_=self._end.near.parameter_type)
        mutuals = sa.select(self._end.far.model).where(*self._criteria(near))
        return mutuals.order_by(*self._newest_first)

    @cached_property
    def _edge(self) -> Any:
        return shared(self._end.view.alias())

    @cached_property
    def _newest_first(self) -> list[Any]:
        return self._end.order.clauses(self._edge.c)

    def _criteria(self, near: sa.BindParameter[Any]) -> list[Any]:
        is_of_near = self._edge.c[self._end.near_column.key] == near
        return [is_of_near, *self._is_mutual]

    @cached_property
    def _is_mutual(self) -> list[Any]:
        end, edge, back = self._end, self._edge, shared(self._end.view.alias())
        near, far = end.near_column.key, end.far_column.key
        is_back = back.c[near] == edge.c[far], back.c[far] == edge.c[near]
        has_edge_back = sa.exists().where(*is_back).correlate_except(back)
        return [edge.c[far] == end.far.attribute(), has_edge_back]
