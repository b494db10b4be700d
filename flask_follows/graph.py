"""The follow relation in verbs: what an application asks of it with users or keys at both ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .edge_models import Follow
from .feed import Feed, Feeds
from .known import Known, KnownFollowers
from .relation import Relation
from .status import Statuses, statuses
from .suggestions import FIRST_HOP, Suggestion, Suggestions

if TYPE_CHECKING:
    from sqlalchemy.orm import Query

__all__ = ["Graph"]


class Graph(ABC):
    """What can be done with the follow relation, and asked of it: the base of `Follows`."""

    @property
    @abstractmethod
    def follow_relation(self) -> Relation:
        """The follow relation: its verbs take both ends."""

    @property
    def Follow(self) -> type[Follow]:
        """The mapped class of the edge: `follower_id`, `followed_id`, `created_at`."""
        model: type[Follow] = self.follow_relation.edge_table.model
        return model

    def follow(self, follower: Any, followed: Any, /, **values: Any) -> bool:
        """Make one user follow another, both given as objects or keys; loads nothing.

        See :meth:`FollowMixin.follow`.
        """
        return self.follow_relation.add(follower, followed, **values)

    def unfollow(self, follower: Any, followed: Any) -> bool:
        """Make one user stop following another. See :meth:`FollowMixin.unfollow`."""
        return self.follow_relation.remove(follower, followed)

    def is_following(self, follower: Any, followed: Any) -> bool:
        """Tell whether one user follows another. At most one statement; loads nothing."""
        return self.follow_relation.contains(follower, followed)

    def status(self, viewer: Any, users: Iterable[Any]) -> Statuses:
        """Tell what a viewer is to each of many users: one statement for up to 450 of them.

        Loads nothing. The questions that follow in this transaction are answered by it as well, so
        that it can be asked before a query is streamed.

        :param viewer: a user or key; None, an anonymous `current_user` and who is not saved follow
            nobody, for which the database is not asked.
        :param users: users or keys, any number.
        :return: a mapping from key, or from user, to :class:`Status`.
        :raises UnsavedInstanceError, WrongTypeError: one that is no user in the database.
        """
        return statuses(self.follow_relation, viewer, users)

    def add_many(
        self, pairs: Iterable[tuple[Any, ...]], progress: Callable[[int], object] | None = None
    ) -> int:
        """Insert (follower, followed) key pairs in bulk. See :meth:`Relation.add_many`."""
        return self.follow_relation.add_many(pairs, progress)

    def feed(
        self,
        user: Any,
        author: Any,
        order_by: Any,
        *,
        include_self: bool = True,
        where: Any = None,
        options: Any = None,
    ) -> Feed:
        """Return the posts by those whom a user follows, newest first. No statement yet.

        See :meth:`Feeds.feed` for the parameters.
        """
        return self._feeds.feed(
            user, author, order_by, include_self=include_self, where=where, options=options
        )

    def known_followers(self, viewer: Any, user: Any) -> Query[Any]:
        """Return a user's followers whom a viewer follows. See :meth:`Known.followers`."""
        return self._known.followers(viewer, user)

    def known_followers_of(
        self, viewer: Any, users: Iterable[Any], limit: int = 3
    ) -> dict[Any, KnownFollowers]:
        """Return the same for many users, by key. See :meth:`Known.followers_of`."""
        return self._known.followers_of(viewer, users, limit)

    def followed_in_common(self, user: Any, other: Any) -> Query[Any]:
        """Return a query of the users whom both follow. See :meth:`Known.followed`."""
        return self._known.followed(user, other)

    def suggestions(
        self, user: Any, limit: int = 10, where: Any = None, first_hop: int = FIRST_HOP
    ) -> list[Suggestion]:
        """Return whom a user might want to follow. See :meth:`Suggestions.of`."""
        return self._suggestions.of(user, limit, where, first_hop)

    @cached_property
    def _feeds(self) -> Feeds:
        return Feeds(self.follow_relation)

    @cached_property
    def _known(self) -> Known:
        return Known(self.follow_relation)

    @cached_property
    def _suggestions(self) -> Suggestions:
        return Suggestions(self.follow_relation)
