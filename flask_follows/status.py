"""What one user is to many others, in one statement: `follows.status(viewer, users)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .keys import Endpoint
from .relation import Relation
from .viewers import viewer_key

__all__ = ["Status", "Statuses", "statuses"]


@dataclass(frozen=True)
class Status:
    """What a viewer and another user are to each other.

    :param following: the viewer follows the other.
    :param followed_by: the other follows the viewer.
    :param mutual: both.
    """

    following: bool
    followed_by: bool
    mutual: bool


class Statuses(Mapping[Any, Status]):
    """The :class:`Status` of each user asked about, by primary key; a user will do as well."""

    def __init__(self, user: Endpoint, by_key: Mapping[Any, Status]) -> None:
        self._user = user
        self._by_key = by_key

    def __getitem__(self, user: Any) -> Status:
        """Return the status of a user, given as object or key.

        :raises KeyError: it was not asked about.
        :raises UnsavedInstanceError, WrongTypeError: it is no user that is in the database.
        """
        return self._by_key[self._user.key(user)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def __repr__(self) -> str:
        return f"Statuses({dict(self._by_key)!r})"


def statuses(relation: Relation, viewer: Any, users: Iterable[Any]) -> Statuses:
    """Return what a viewer is to some users; see :meth:`Follows.status`."""
    user, users = relation.source, list(users)
    keys = list(dict.fromkeys(user.key(other) for other in users))
    following: set[Any] = set()
    followed_by: set[Any] = set()
    near = viewer_key(user, viewer)
    if keys and near is not None:
        session = relation.session_for(viewer, *users)
        following, followed_by = relation.questions.both_ways(session, near, keys)
    found = {}
    for key in keys:
        there, back = key in following, key in followed_by
        found[key] = Status(there, back, there and back)
    return Statuses(user, found)
