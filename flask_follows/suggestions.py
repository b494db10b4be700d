"""Whom to follow: those who are followed by the ones that I follow, most in common first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .clauses import KEYS, LIMIT, NEAR, criteria
from .keys import folded
from .known import first_of_each
from .paging import whole_number
from .relation import Relation
from .streams import refuse_in_stream
from .viewers import viewer_key

__all__ = ["FIRST_HOP", "Suggestion", "Suggestions"]

# So many of the newest followed are asked whom they follow.
FIRST_HOP = 100
# Of those in common, so many are named beside each suggestion.
NAMED = 3
# Name of the parameter that holds `first_hop`.
HOP = "follows_hop"


@dataclass(frozen=True)
class Suggestion:
    """A user whom one might want to follow.

    :param user: the user.
    :param count: how many of those whom one follows already follow this user.
    :param read_known: reads what :attr:`known` is.
    """

    user: Any
    count: int
    read_known: Callable[[], list[Any]] = field(default=list, repr=False, compare=False)

    @cached_property
    def known(self) -> list[Any]:
        """The first few of those in common, in the order of their keys.

        Read when first asked for, in one statement for all suggestions given out together; so
        they are those of that moment.
        """
        return self.read_known()

    def __reduce__(self) -> Any:
        """Return what a suggestion is made of again, for a cache: who is known is read now."""
        return type(self), (self.user, self.count, partial(list, self.known))


class Suggestions:
    """The suggestions of one relation; statements are built once."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        self._end = relation.end(False)

    def of(self, user: Any, limit: int, where: Any, first_hop: int) -> list[Suggestion]:
        """Return whom a user might want to follow, most in common first, then by key.

        Nobody who is followed already, and not the user. One statement, and one more when
        :attr:`Suggestion.known` is first asked for; the cost grows with `first_hop` and with how
        many these follow, not with the graph.

        :param user: as object or key; a visitor who is not logged in gets none.
        :param limit: how many at most.
        :param where: further criteria on those suggested, one or several.
        :param first_hop: how many of those whom the user follows are asked, the newest first.
        """
        whole_number("limit", limit, least=1)
        whole_number("first_hop", first_hop, least=1)
        end, session = self._end, self._relation.session_for(user)
        near = viewer_key(end.near, user)
        dialect = session.get_bind(mapper=end.edges.mapper).dialect
        if near is None or not end.near.can_hold(near, dialect):
            return []
        parameters = {NEAR: near, HOP: first_hop, LIMIT: limit}
        further = criteria(where)
        statement = self._build(further) if further else self._ranked
        rows = self._rows(session, statement, parameters)
        named = {**parameters, KEYS: [key for key, _, _ in rows], LIMIT: NAMED}
        known = cache(partial(self._read_known, session, named))
        return [
            Suggestion(found, count, partial(_known_to, known, key)) for key, found, count in rows
        ]

    def _read_known(self, session: Session, parameters: Any) -> dict[Any, list[Any]]:
        """Return, by folded key of the one suggested, whom one knows of those who follow him."""
        known: dict[Any, list[Any]] = {}
        for key, friend, _ in self._rows(session, self._known, parameters):
            # An edge may spell the key otherwise, where the database takes both for one.
            known.setdefault(folded(key), []).append(friend)
        return known

    def _rows(self, session: Session, statement: Any, parameters: Any) -> list[tuple[Any, ...]]:
        bind = {"mapper": self._end.edges.mapper}
        refuse_in_stream(session, **bind)
        rows: Any = session.execute(statement, parameters, bind_arguments=bind).unique()
        # Without those whom the host hides from this session, or who are gone.
        return [tuple(row) for row in rows if row[1] is not None]

    @cached_property
    def _ranked(self) -> Any:
        return self._build(())

    @cached_property
    def _known(self) -> Any:
        return first_of_each(self._relation, self._hop())

    def _build(self, further: Sequence[Any]) -> Any:
        end, hop = self._end, self._hop()
        edge, own = end.view.alias("edge"), end.view.alias("own")
        near, far = end.near_column.key, end.far_column.key
        is_followed = sa.exists().where(own.c[near] == _viewer(end), own.c[far] == edge.c[far])
        common: Any = sa.func.count() if end.edges.unique else sa.func.count(hop.c.far.distinct())
        found = (
            sa.select(edge.c[far].label("key"), common.label("number"))
            .select_from(hop)
            .join(edge, edge.c[near] == hop.c.far)
            .where(edge.c[far] != _viewer(end), ~is_followed.correlate(edge))
        )
        if further:
            found = found.join(end.far.model, end.far.attribute() == edge.c[far]).where(*further)
        ranked = found.group_by(edge.c[far]).order_by(common.desc(), edge.c[far])
        cut = ranked.limit(sa.bindparam(LIMIT, type_=sa.Integer)).subquery("cut")
        return (
            sa.select(cut.c.key, end.far.model, cut.c.number)
            .select_from(cut)
            .outerjoin(end.far.model, end.far.attribute() == cut.c.key)
            .order_by(cut.c.number.desc(), cut.c.key)
        )

    def _hop(self) -> sa.Subquery:
        """Select the newest whom the viewer follows, as many as are asked for."""
        end, edge = self._end, self._end.view.alias()
        near, far = edge.c[end.near_column.key], edge.c[end.far_column.key]
        newest = sa.select(far.label("far")).where(near == _viewer(end), far.is_not(None))
        columns: dict[str, Any] = {**edge.c}
        if not end.edges.unique:
            newest = newest.group_by(far)
            if (time := end.edges.time) is not None:
                columns[time.key] = sa.func.max(edge.c[time.key])
        newest = newest.order_by(*end.order.clauses(columns))
        return newest.limit(sa.bindparam(HOP, type_=sa.Integer)).subquery("hop")


def _known_to(read: Callable[[], dict[Any, list[Any]]], key: Any) -> list[Any]:
    return read().get(folded(key), [])


def _viewer(end: Any) -> sa.BindParameter[Any]:
    return sa.bindparam(NEAR, type_=end.near.column.type)
