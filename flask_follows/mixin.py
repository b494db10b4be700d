"""What `User` gains: the methods, predicates and counts, all of them on :class:`FollowMixin`.

A host may write the mixin into its class, which shows the names to type checkers; else
`init_app` copies the very same functions. Either way they find the relation as `__follows__`,
which the registration sets on the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_method, hybrid_property

from .errors import ConfigurationError
from .relation import Relation

if TYPE_CHECKING:
    from sqlalchemy.orm import Query
    from typing_extensions import Self

    from .attributes import CollectionAttribute, EdgesAttribute

__all__ = ["FollowMixin"]


def _edge_exists(cls: Any, reverse: bool, other: Any) -> sa.ColumnElement[bool]:
    end = cls.__follows__.end(reverse)
    return cast("sa.ColumnElement[bool]", end.exists_for(cls, other))


def _edge_count(cls: Any, reverse: bool) -> sa.ColumnElement[int]:
    return cast("sa.ColumnElement[int]", cls.__follows__.end(reverse).count_for(cls))


def _is_following(self: Any, other: Any) -> bool:
    """Tell whether this user follows the other; on the class, a SQL expression.

    One statement for all users that the session holds.
    """
    relation: Relation = self.__follows__
    return relation.contains(self, other)


def _is_followed_by(self: Any, other: Any) -> bool:
    """Tell whether the other follows this user; on the class, a SQL expression.

    One statement for all users that the session holds.
    """
    relation: Relation = self.__follows__
    return relation.contains(other, self, reverse=True)


def _is_mutual_with(self: Any, other: Any) -> bool:
    """Tell whether both follow each other; on the class, a SQL expression.

    At most two statements for all users that the session holds.
    """
    return _is_following(self, other) and _is_followed_by(self, other)


def _followed_count(self: Any) -> int:
    """Number of users this user follows; on the class, a SQL expression.

    One statement for up to 100 users that the session holds.
    """
    relation: Relation = self.__follows__
    return relation.count(self)


def _followers_count(self: Any) -> int:
    """Number of users who follow this user; on the class, a SQL expression.

    One statement for up to 100 users that the session holds.
    """
    relation: Relation = self.__follows__
    return relation.count(self, reverse=True)


# The column of `select(User.followed_count)` is labelled after the function.
_followed_count.__name__ = "followed_count"
_followers_count.__name__ = "followers_count"


# What only `init_app` can make: these are relationships.
_COLLECTIONS = ("followed", "followers", "followed_set", "followers_set")


class _Unregistered:
    """Stands in for the relation until `init_app` sets it."""

    def __get__(self, instance: Any, owner: type[Any]) -> Relation:
        raise ConfigurationError(
            f"{owner.__name__} has no follow relation yet; "
            f"call follows.init_app(app, db, {owner.__name__}) first"
        )


class FollowMixin:
    """What `User` gains, visible to type checkers: `class User(FollowMixin, UserMixin, db.Model)`.

    Optional: `init_app` gives the same to a class without it. `other` is always a user, a primary
    key, or Flask-Login's `current_user`.
    """

    __follows__: ClassVar[Relation] = cast("Relation", _Unregistered())

    # Hidden from Declarative, which would ask for `Mapped[...]`.
    if TYPE_CHECKING:
        followed: CollectionAttribute
        followers: CollectionAttribute
        followed_set: EdgesAttribute
        followers_set: EdgesAttribute

    # Hidden from type checkers, who would take every name for one of ours.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what is missing to whoever uses a collection before `init_app` has made it."""
            if name in _COLLECTIONS:
                self.__follows__  # noqa: B018 - raises the error that names init_app
            # Again, for a `__getattr__` of the host's, and for the error that led here.
            inherited = getattr(super(), "__getattr__", self.__getattribute__)
            return inherited(name)

    def follow(self, other: Any, /, **values: Any) -> bool:
        """Follow a user. One statement.

        :param values: further columns of the edge, such as `created_at`.
        :return: True when this call made the edge, False when it was there already.
        :raises SelfFollowError: `other` is this user.
        :raises UnknownUserError: nobody has this key; the transaction goes on.
        :raises UnsavedInstanceError: one of the two was never added to a session, or deleted.
        :raises WrongTypeError: `other` is neither a user nor a key.
        """
        return self.__follows__.add(self, other, **values)

    def unfollow(self, other: Any) -> bool:
        """Stop following a user. One statement.

        :return: True when this call removed the edge, False when there was none.
        :raises UnsavedInstanceError, WrongTypeError: as :meth:`follow`.
        """
        return self.__follows__.remove(self, other)

    def remove_follower(self, other: Any) -> bool:
        """Make another user stop following this one. One statement.

        :return: True when this call removed the edge, False when there was none.
        :raises UnsavedInstanceError, WrongTypeError: as :meth:`follow`.
        """
        return self.__follows__.remove(other, self, reverse=True)

    def toggle_follow(self, other: Any) -> bool:
        """Follow a user, or stop when already following. One or two statements.

        :return: the new state: True when this user follows the other now.
        :raises SelfFollowError, UnknownUserError, UnsavedInstanceError, WrongTypeError: as
            :meth:`follow`.
        """
        return self.__follows__.toggle(self, other)

    is_following = hybrid_method(_is_following, lambda cls, other: _edge_exists(cls, False, other))
    is_followed_by = hybrid_method(
        _is_followed_by, lambda cls, other: _edge_exists(cls, True, other)
    )
    is_mutual_with = hybrid_method(
        _is_mutual_with,
        lambda cls, other: sa.and_(_edge_exists(cls, False, other), _edge_exists(cls, True, other)),
    )
    followed_count = hybrid_property(_followed_count, expr=lambda cls: _edge_count(cls, False))
    followers_count = hybrid_property(_followers_count, expr=lambda cls: _edge_count(cls, True))

    @property
    def mutuals(self) -> Query[Self]:
        """A query of the users whom this user follows and who follow back, newest first."""
        relation = self.__follows__
        return relation.mutuals(self)
