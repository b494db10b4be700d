"""Queries that have a statement ready for what is mostly asked of them.

To put a query together, and to find its SQL again among those that SQLAlchemy has compiled, takes
as long as a small statement itself. So it is put together when something else is asked of it, to
be narrowed for instance; and it goes on as it was after that, since such methods return another
query. (A collection, see :mod:`.unread`, has verbs of its own in place of a few statements, and
becomes the query.)
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

Methods: TypeAlias = Mapping[str, Callable[[], Any]]

_BUILD, _METHODS, _BUILT = "build", "methods", "built"
# What any object has, whoever asks for it.
_OF_ANY_OBJECT = {"__class__", "__dict__"}
_USUAL_CLASSES = {Query, FlaskQuery}


class _Waiting(Query[Any]):
    """A query that is put together if something is asked for which there is no statement."""

    # Not that of the class above: it is what takes the time.
    def __init__(self, build: Callable[[], Query[Any]], methods: Methods) -> None:
        vars(self).update({_BUILD: build, _METHODS: methods})

    def __getattribute__(self, name: str) -> Any:
        if name in _OF_ANY_OBJECT:
            return object.__getattribute__(self, name)
        method = vars(self)[_METHODS].get(name)
        return getattr(_built(self), name) if method is None else method

    def __setattr__(self, name: str, value: Any) -> None:
        vars(self)[_METHODS] = {}  # it is no longer what the statements are for
        setattr(_built(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_built(self), name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())


def _built(waiting: _Waiting) -> Query[Any]:
    own = vars(waiting)
    if _BUILT not in own:
        own[_BUILT] = own[_BUILD]()
    query: Query[Any] = own[_BUILT]
    return query


def kept_query(
    session: Session, model: type[Any], build: Callable[[], Query[Any]], methods: Methods
) -> Query[Any]:
    """Return a query, put together only where it has to be.

    :param model: what it is a query of.
    :param build: puts it together.
    :param methods: those for which there is a statement, `all` among them. They are not used where
        a host has a query class or a session's `query()` of its own, or changes queries as they are
        compiled: what is added there, a kept statement would miss.
    """
    usual = session.query(model)
    kind = type(usual)
    is_made_as_usual = kind in _USUAL_CLASSES and type(session).query is Session.query
    if not is_made_as_usual or usual.dispatch.before_compile:
        return build()
    waiting: Query[Any] = _waiting_class(cast("Hashable", kind))(build, methods)
    return waiting


@lru_cache(maxsize=len(_USUAL_CLASSES))
def _waiting_class(kind: Any) -> Any:
    return type(kind.__name__, (_Waiting, kind), {"__doc__": kind.__doc__})


def read_all(
    session: Session, mapper: Mapper[Any], statement: sa.Select[Any], bound: Mapping[str, Any]
) -> list[Any]:
    """Return all objects of a statement, each once, as the `all` of a query does."""
    refuse_in_stream(session, mapper=mapper)
    # By `execute()`, as a query does, which hosts override.
    return list(session.execute(statement, bound).scalars().unique())
