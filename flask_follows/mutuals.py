"""Those whom somebody has an edge to, and who have one back."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .clauses import NEAR, shared
from .kept import kept_query, read_all
from .ordering import ordered_query
from .reads import End

__all__ = ["Mutuals"]


class Mutuals:
    """The mutual edges of a relation, as seen from one of its ends."""

    def __init__(self, end: End) -> None:
        self._end = end

    def query(self, session: Session, near: Any) -> Query[Any]:
        """Return a query of the far objects that have an edge back, newest edge first."""
        far = self._end.far

        def read() -> list[Any]:
            return read_all(session, far.mapper, self._statement, {NEAR: near})

        return kept_query(session, far.model, lambda: self._build(session, near), {"all": read})

    def _build(self, session: Session, near: Any) -> Query[Any]:
        edge, is_mutual = self._edges(self._end.near.parameter(near))
        newest_first = self._end.order.clauses(edge.c)
        return ordered_query(session, self._end.far.model, *newest_first).filter(*is_mutual)

    @cached_property
    def _statement(self) -> sa.Select[Any]:
        """The same, with the key of the near object as a parameter; built once."""
        edge, is_mutual = self._edges(self._end.near.named_parameter(NEAR))
        mutuals = sa.select(self._end.far.model).where(*is_mutual)
        return mutuals.order_by(*self._end.order.clauses(edge.c))

    def _edges(self, near: sa.BindParameter[Any]) -> tuple[Any, list[Any]]:
        """Select the near object's edges; return them, and what holds if one is mutual.

        PostgreSQL is kept from joining them to the edges back otherwise. It would rather begin with
        these, and look for each edge among all that lead to its far object: thousands, for some.
        """
        end, view = self._end, self._end.view.alias()
        keys = end.near_column.key, end.far_column.key
        needed = dict.fromkeys([*keys, *(column.key for column in end.order.columns)])
        edges = sa.select(*(view.c[key] for key in needed)).where(view.c[keys[0]] == near)
        edge, back = shared(_as_it_is(edges).subquery()), shared(end.view.alias())
        is_back = (back.c[one] == edge.c[other] for one, other in (keys, keys[::-1]))
        edge_back = _as_it_is(sa.select(sa.literal_column("1")).where(*is_back))
        has_edge_back = edge_back.correlate_except(back).exists()
        return edge, [edge.c[keys[1]] == end.far.attribute(), has_edge_back]


def _as_it_is(select: Any) -> Any:
    """Have PostgreSQL's planner take a sub-query as it stands."""
    return select.suffix_with("OFFSET 0", dialect="postgresql")
