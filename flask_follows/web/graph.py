"""What the web face asks of the graph, and of whom it asks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app
from flask_login import current_user

from flask_follows.errors import WrongTypeError
from flask_follows.keys import Endpoint, is_nobody
from flask_follows.relation import Relation

if TYPE_CHECKING:
    from flask_follows.extension import Follows

__all__ = ["extension", "is_same", "is_saved", "relation", "statuses", "users", "viewer"]


def extension() -> Follows:
    """Return the `Follows` of the application."""
    found: Follows = current_app.extensions["follows"]
    return found


def relation() -> Relation:
    """Return the follow relation."""
    return extension().follow_relation


def users() -> Endpoint:
    """Return the user model, as an end of the relation."""
    return relation().source


def viewer() -> Any:
    """Return who is logged in, None for a visitor.

    A visitor is also who looks at an application without Flask-Login, and who is logged in as
    something else than a user of ours.
    """
    if not hasattr(current_app, "login_manager"):
        return None
    if not getattr(current_user, "is_authenticated", False):
        return None
    # The user itself, not Flask-Login's proxy for it.
    state: Any = sa.inspect(current_user, raiseerr=False)
    user = None if state is None else state.object
    return user if isinstance(user, users().model) and is_saved(user) else None


def is_saved(user: Any) -> bool:
    """Tell whether a user has a key, without flushing for it; whoever is not logged in has none.

    :raises WrongTypeError: it is no user at all.
    """
    if not isinstance(user, users().model):
        if is_nobody(user):
            return False
        raise WrongTypeError(f"expected an instance of {users().model.__name__}, got {user!r}")
    state: Any = sa.inspect(user)
    return state.identity is not None and not state.was_deleted


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two saved users are one: `==` would compare what Flask-Login calls them."""
    return bool(users().key(one) == users().key(other))


def statuses(viewer: Any, others: Sequence[Any]) -> list[tuple[bool, bool]]:
    """Return for each user whether the viewer follows it, and is followed by it.

    One statement for all of them. For a single user at most two, which answer for all other users
    that the session holds: buttons drawn one by one cost no more.
    """
    if len(others) == 1:
        follows, [other] = relation(), others
        return [(follows.contains(viewer, other), follows.contains(other, viewer, reverse=True))]
    known = extension().status(viewer, others)
    return [(known[other].following, known[other].followed_by) for other in others]
