"""The mapped classes of the edges in tables that have none of the host's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

import sqlalchemy as sa
from flask_sqlalchemy.query import Query
from sqlalchemy import event
from sqlalchemy.orm import InstanceState, Mapped, Mapper, object_session, relationship

from .errors import ConfigurationError
from .keys import Endpoint

__all__ = ["Edge", "Follow", "map_edges"]


class _EdgeQuery:
    """The edges' `query`, as every model of Flask-SQLAlchemy has it."""

    def __init__(self, source: type[Any]) -> None:
        self.source = source

    def __get__(self, instance: Any, owner: type[Edge]) -> Query:
        of_sources = getattr(self.source, "query", None)
        if not isinstance(of_sources, Query):
            raise ConfigurationError(
                f"{self.source.__name__} has no query of Flask-SQLAlchemy's, so neither have the "
                "edges; use db.session.query(...)"
            )
        return cast("Query", of_sources.session.query(owner))


class Edge:
    """One row of an edge table: an ordinary mapped class, one for each table.

    It has the two key columns and `created_at`, an aware UTC time, set when the edge is made; and
    for each end a relationship, named as its column without `_id`.
    """

    if TYPE_CHECKING:
        created_at: Mapped[datetime]
        query: ClassVar[Query]
        __table__: ClassVar[sa.Table]
    # Names of the relationships to both ends, and of the attributes with their keys.
    __ends__: ClassVar[tuple[str, str]]
    __keys__: ClassVar[tuple[str, str]]
    __verb__: ClassVar[str] = "->"

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{name!r} is not an attribute of {type(self).__name__}")
            setattr(self, name, value)

    def __str__(self) -> str:
        source, target = map(self._end, self.__ends__, self.__keys__)
        return f"{source} {self.__verb__} {target}"

    def __repr__(self) -> str:
        source, target = (getattr(self, key) for key in self.__keys__)
        return f"<{type(self).__name__} {source!r} -> {target!r}>"

    def _end(self, name: str, key: str) -> Any:
        """Return the object, or the key where loading the object is impossible."""
        state: InstanceState[Any] = sa.inspect(self, raiseerr=True)
        loadable = object_session(self) is not None or name not in state.unloaded
        obj = getattr(self, name) if loadable else None
        return getattr(self, key) if obj is None else obj


class Follow(Edge):
    """One row of the `follows` table: `follower` follows `followed` since `created_at`.

    An ordinary mapped class; each :class:`~flask_follows.Follows` maps one of its own, which is
    found as `follows.Follow`. `created_at` is an aware UTC time, set when the edge is made.
    """

    if TYPE_CHECKING:
        follower_id: Mapped[Any]
        followed_id: Mapped[Any]
        follower: Mapped[Any]
        followed: Mapped[Any]
    __ends__ = ("follower", "followed")
    __verb__ = "follows"


def map_edges(
    base: type[Edge],
    name: str,
    table: sa.Table,
    ends: Mapping[str, tuple[Endpoint, sa.Column[Any]]],
    back_populates: Mapping[str, str | None],
    *,
    viewonly: bool = False,
) -> Mapper[Any]:
    """Map a class of its own to an edge table.

    Imperatively, since the host's declarative base may be of any kind (with columns of its own,
    dataclasses, without a metaclass), and under a private name, different for each table, so that
    a host's own `Follow` stays unambiguous in `relationship("Follow")`.

    :param ends: class and key column of both ends, by the name of their relationship.
    :param back_populates: name of the opposite relationship at the other class, None where that
        has none; an end that is left out gets no relationship here.
    :param viewonly: leave the key columns to other relationships; who assigns an object to one of
        ours sets its key at once.
    """
    (source, _), _target = ends.values()
    private = f"_{name}_of_{source.model.__module__}_{source.model.__qualname__}_{table.name}"
    members = {
        "__doc__": base.__doc__,
        "__ends__": tuple(ends),
        "__keys__": tuple(column.key for _, column in ends.values()),
        "query": _EdgeQuery(source.model),
    }
    model = type(private, (base,), members)
    has_key = bool(table.primary_key.columns)
    mapper: Mapper[Any] = source.mapper.registry.map_imperatively(
        model,
        table,
        # A table without a primary key is known by its pair all the same.
        **({} if has_key else {"primary_key": [column for _, column in ends.values()]}),
        properties={
            end: relationship(
                endpoint.model,
                primaryjoin=column == endpoint.column,
                foreign_keys=[column],
                back_populates=back_populates[end],
                viewonly=viewonly,
            )
            for end, (endpoint, column) in ends.items()
            if end in back_populates
        },
    )
    model.__name__ = model.__qualname__ = name
    if viewonly:
        for end in back_populates:
            _set_key_with(model, end, *ends[end])
    return mapper


def _set_key_with(model: type[Edge], end: str, endpoint: Endpoint, column: sa.Column[Any]) -> None:
    """Have an assignment to a view-only relationship set the key: it would be ignored."""

    def on_set(edge: Edge, obj: Any, _old: Any, _initiator: Any) -> None:
        setattr(edge, column.key, None if obj is None else endpoint.key(obj))

    event.listen(getattr(model, end), "set", on_set)
