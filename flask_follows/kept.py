"""Queries of which, as long as nobody narrows them, a statement is run that was built once.

To put a query together, and to find its SQL again among those that SQLAlchemy has compiled, takes
as long as a small statement itself. So it is put together when something else is asked of it than
what there is a statement for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, cast

import sqlalchemy as sa
from flask_sqlalchemy.query import Query as FlaskQuery
from sqlalchemy.orm import Mapper, Query, Session

from .streams import refuse_in_stream

__all__ = ["kept_query", "read_all"]

_WAITING = "waiting"
# What any object has, whoever asks for it.
_AS_IT_IS = {"__class__", "__dict__"}
# Classes of which we know what a query does. One of the host's may decide with each that is made.
_KNOWN = {Query, FlaskQuery}

Build: TypeAlias = Callable[[], Query[Any]]


class _Kept(Query[Any]):
    """A query that has not been put together yet."""

    def __init__(self, build: Build, answers: Mapping[str, Callable[[], Any]]) -> None:
        vars(self)[_WAITING] = build, answers

    def __getattribute__(self, name: str) -> Any:
        if name in _AS_IT_IS:
            return object.__getattribute__(self, name)
        build, answers = vars(self)[_WAITING]
        if name in answers:
            return answers[name]
        query = build()
        self.__dict__ = vars(query)
        self.__class__ = type(query)
        return getattr(self, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())


def kept_query(
    session: Session, model: type[Any], build: Build, answers: Mapping[str, Callable[[], Any]]
) -> Query[Any]:
    """Return a query, put together only where it has to be.

    :param model: what it is a query of.
    :param build: puts it together.
    :param answers: the methods for which there is a statement, `all` among them.
    """
    usual = session.query(model)
    kind = type(usual)
    # Some hosts change every query as it is compiled, to hide what is deleted, say.
    if kind not in _KNOWN or usual.dispatch.before_compile:
        return build()
    kept: Query[Any] = _kept(cast("Hashable", kind))(build, answers)
    return kept


@lru_cache(maxsize=len(_KNOWN))
def _kept(kind: Any) -> Any:
    return type(kind.__name__, (_Kept, kind), {"__doc__": kind.__doc__})


def read_all(
    session: Session, mapper: Mapper[Any], statement: sa.Select[Any], bound: Mapping[str, Any]
) -> list[Any]:
    """Return all objects of a statement, each once, as the `all` of a query does."""
    refuse_in_stream(session, mapper=mapper)
    return list(session.scalars(statement, bound).unique())
