"""People in common: the followers of a user whom another knows, and those whom both follow.

All of it goes out from the edges of the one who looks, so that a celebrity's many followers are
not read: there is at most one probe by key for each whom the viewer follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Query, Session

from .chunks import chunks
from .clauses import KEYS, LIMIT, NEAR, shared
from .kept import kept_query, read_all
from .keys import folded
from .paging import whole_number
from .reads import End
from .relation import Relation
from .streams import refuse_in_stream
from .viewers import viewer_key

__all__ = ["Known", "KnownFollowers", "edges_where", "first_of_each"]

# The parameter with the key of the other user.
OTHER = "follows_other"


@dataclass(frozen=True)
class KnownFollowers:
    """The followers of one user whom the viewer follows: "followed by A, B and 12 you know".

    :param users: the first of them, in the order of their keys.
    :param count: how many there are in all.
    """

    users: list[Any]
    count: int

    @property
    def more(self) -> int:
        """How many there are beside :attr:`users`."""
        return self.count - len(self.users)


class _Statements(NamedTuple):
    """The users in common, and how many, where an edge leads to the other user, or from him."""

    users: Any
    count: Any


class Known:
    """The people in common of one relation."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        self._end = relation.end(False)

    def followers(self, viewer: Any, user: Any) -> Query[Any]:
        """Return a query of the followers of a user whom the viewer follows, by key.

        The cost grows with how many the viewer follows, not with the user's followers. `count()`
        reads the edges alone, unless the host has a query class of its own. A visitor who is not
        logged in, or not saved, knows nobody.
        """
        return self._in_common(viewer, user, reverse=True)

    def followed(self, user: Any, other: Any) -> Query[Any]:
        """Return a query of the users whom both follow, by key. It counts as :meth:`followers`."""
        return self._in_common(user, other, reverse=False)

    def followers_of(
        self, viewer: Any, users: Iterable[Any], limit: int
    ) -> dict[Any, KnownFollowers]:
        """Return, for each of some users, the followers whom the viewer follows.

        One statement for up to 300 users.

        :param viewer: as object or key; a visitor who is not logged in knows nobody.
        :param users: objects or keys.
        :param limit: how many known followers of each to load; 0 for their number alone.
        :return: by key, for each of the users.
        """
        whole_number("limit", limit, least=0)
        end, given = self._end, list(users)
        keys = list(dict.fromkeys(end.far.key(user) for user in given))
        found = {key: KnownFollowers([], 0) for key in keys}
        near = viewer_key(end.near, viewer)
        if near is None or not keys:
            return found
        session = self._relation.session_for(viewer, *given)
        dialect = session.get_bind(mapper=end.edges.mapper).dialect
        if not end.near.can_hold(near, dialect):
            return found
        for part in chunks([key for key in keys if end.far.can_hold(key, dialect)]):
            found |= self._read(session, {NEAR: near, KEYS: part, LIMIT: limit})
        return found

    def _in_common(self, viewer: Any, user: Any, *, reverse: bool) -> Query[Any]:
        """Return a query of those whom the viewer follows, and with whom the user has an edge.

        :param reverse: the edge leads to the user.
        """
        end, other = self._end, self._relation.end(reverse)
        keys = {NEAR: viewer_key(end.near, viewer), OTHER: viewer_key(other.near, user)}
        session = self._relation.session_for(viewer, user)
        statements = self._to_user if reverse else self._from_user

        def build() -> Query[Any]:
            given = end.near.parameter(keys[NEAR]), other.near.parameter(keys[OTHER])
            edge, in_common = self._both(other, *given)
            is_far = end.far.attribute() == edge.c.far
            return session.query(end.far.model).filter(in_common, is_far).order_by(edge.c.far)

        def read() -> list[Any]:
            return read_all(session, end.far.mapper, statements.users, keys)

        def count() -> int:
            return int(end.edges.connection(session).execute(statements.count, keys).scalar_one())

        return kept_query(session, end.far.model, build, {"all": read, "count": count})

    def _both(self, other: End, viewer: Any, user: Any) -> tuple[Any, Any]:
        """Return the viewer's edges, and "the user has one with the same object".

        :param other: the relation as seen from the user.
        """
        edge = edges_where(self._end, "edge", lambda near: near == viewer)
        back = edges_where(other, "back", lambda near: near == user)
        return edge, edge.c.far == back.c.far

    @cached_property
    def _from_user(self) -> _Statements:
        return self._build_statements(self._end)

    @cached_property
    def _to_user(self) -> _Statements:
        return self._build_statements(self._relation.end(True))

    def _build_statements(self, other: End) -> _Statements:
        far = self._end.far
        viewer, user = self._end.near.named_parameter(NEAR), other.near.named_parameter(OTHER)
        edge, in_common = self._both(other, viewer, user)
        users = sa.select(far.model).where(in_common, far.attribute() == edge.c.far)
        return _Statements(users.order_by(edge.c.far), sa.select(sa.func.count()).where(in_common))

    def _read(self, session: Session, parameters: Mapping[str, Any]) -> dict[Any, KnownFollowers]:
        bind = {"mapper": self._end.edges.mapper}
        asked = {folded(key): key for key in parameters[KEYS]}
        found: dict[Any, KnownFollowers] = {}
        refuse_in_stream(session, **bind)
        rows = session.execute(self._first_of_each, parameters, bind_arguments=bind)
        for key, user, count in map(tuple, rows.unique()):
            # An edge may spell the key otherwise, where the database takes both for one.
            known = found.setdefault(asked.get(folded(key), key), KnownFollowers([], count))
            if user is not None:
                known.users.append(user)
        return found

    @cached_property
    def _first_of_each(self) -> Any:
        end = self._end
        viewer = sa.bindparam(NEAR, type_=end.near.column.type)
        edge = edges_where(end, "edge", lambda near: near == viewer)
        return first_of_each(self._relation, edge)


def edges_where(end: End, name: str, criterion: Callable[[Any], Any]) -> sa.Subquery:
    """Select the edges whose near key meets a criterion, each once, as `near` and `far`."""
    view = end.view.alias()
    near, far = view.c[end.near_column.key], view.c[end.far_column.key]
    rows = sa.select(near.label("near"), far.label("far")).where(criterion(near))
    return shared((rows if end.edges.unique else rows.distinct()).subquery(name))


def first_of_each(relation: Relation, known: Any) -> Any:
    """Select, for each user of some, who of those known follows him: the first few, and how many.

    The parameters are the keys of the users asked about, and the limit. With a limit of 0 there is
    one row for each user all the same, with nobody in it.

    :param known: a sub-query whose column `far` has the keys of those known.
    """
    end = relation.end(True)
    keys = sa.bindparam(KEYS, type_=end.near.column.type, expanding=True)
    limit = sa.bindparam(LIMIT, type_=sa.Integer)
    edge = edges_where(end, "follower", lambda near: near.in_(keys))
    number = sa.func.count().over(partition_by=edge.c.near)
    place = sa.func.row_number().over(partition_by=edge.c.near, order_by=edge.c.far)
    rows = sa.select(edge, number.label("number"), place.label("place")).select_from(known)
    ranked = shared(rows.join(edge, edge.c.far == known.c.far).subquery("ranked"))
    is_wanted = sa.and_(end.far.attribute() == ranked.c.far, ranked.c.place <= limit)
    return (
        sa.select(ranked.c.near, end.far.model, ranked.c.number)
        .select_from(ranked)
        .outerjoin(end.far.model, is_wanted)
        .where(sa.or_(ranked.c.place <= limit, ranked.c.place == 1))
        .order_by(ranked.c.near, ranked.c.place)
    )
