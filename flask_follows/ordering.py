"""Queries that are "newest first" until somebody orders them otherwise.

SQLAlchemy's `order_by()` appends to the order that a relationship has. Since newest first leaves
nothing to order further, what was asked for would then have no effect.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.orm import Query, Session

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["NewestFirst", "newest_first", "ordered_query"]


class NewestFirst(Query[Any]):
    """A query with an order of its own, which the first `order_by()` replaces."""

    _ordered = False

    def order_by(self, *clauses: Any) -> Self:
        """Order the rows; the first call replaces "newest first", later ones append."""
        if self._ordered:
            return super().order_by(*clauses)
        unordered = super().order_by(None)
        unordered._ordered = True
        return unordered.order_by(*clauses)


def newest_first(query_class: type[Any]) -> type[Any]:
    """Return a host's query class, as one whose first `order_by()` replaces the order it has."""
    return _made_of(cast("Hashable", query_class))


@lru_cache(maxsize=64)
def _made_of(query_class: Any) -> type[Any]:
    return type("NewestFirst", (NewestFirst, query_class), {})


def ordered_query(session: Session, model: type[Any], *clauses: Any) -> Query[Any]:
    """Return a query of a model in an order that the first `order_by()` replaces."""
    query_class = newest_first(type(session.query(model)))
    return Query.order_by(query_class(model, session), *clauses)
