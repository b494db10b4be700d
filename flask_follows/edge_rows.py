"""Sets of edge rows that are only to be read: those of a host's model, and of friendships."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from sqlalchemy.orm import AppenderQuery

from .errors import FollowsError
from .ordering import newest_first

__all__ = ["edges_class"]


class _EdgeRows(AppenderQuery[Any]):
    """A view-only dynamic relationship, in which SQLAlchemy would ignore a write in silence."""

    def _refuse(self) -> NoReturn:
        raise FollowsError(
            "these edges are here only to be read; make and remove them by the verbs of the "
            "relation, or as objects of your own model with db.session.add(...)"
        )

    def add(self, item: Any) -> None:
        """Refuse to add a row."""
        self._refuse()

    append = add

    def add_all(self, iterator: Iterable[Any]) -> None:
        """Refuse to add rows."""
        self._refuse()

    extend = add_all

    def set(self, objs: Iterable[Any]) -> None:
        """Refuse to exchange the rows."""
        self._refuse()

    def remove(self, item: Any) -> None:
        """Refuse to remove a row."""
        self._refuse()


def edges_class(query_class: type[Any]) -> type[Any]:
    """Return the class of the relationship's query, with the methods of the host's query class."""
    read = newest_first(query_class)
    return type("EdgeRows", (_EdgeRows, read), {"query_class": read})
