"""What the host may say about buttons, lists and users: functions that it registers.

They hold for all applications of one `Follows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

__all__ = ["Hooks"]


_Says: TypeAlias = Callable[[Any, str, Any], bool]
A = TypeVar("A", bound=_Says)
F = TypeVar("F", bound=Callable[[Any], "str | None"])


class Hooks:
    """Decorators for functions of the host's: `@follows.web.allows` and its like."""

    def __init__(self) -> None:
        self._allows: list[_Says] = []
        self._shows: list[_Says] = []
        self._url: Callable[[Any], str | None] | None = None
        self._name: Callable[[Any], str | None] | None = None

    def allows(self, function: A) -> A:
        """Let a function `(actor, action, user) -> bool` veto what somebody is about to do.

        `action` is "follow", "unfollow" or "remove_follower". Where it returns False there is no
        button, and whoever tries all the same is answered 403. It is asked for every button on a
        page, so it should not send a statement of its own each time.
        """
        self._allows.append(function)
        return function

    def shows(self, function: A) -> A:
        """Let a function `(viewer, page, user) -> bool` hide a list of a user's.

        `page` is "followers", "followed", "mutuals" or "known_followers"; `viewer` is None where
        nobody is logged in. Where it returns False the answer is 403, for a visitor the login
        page; call `abort(404)` in it where not even the user's existence is to be told.
        """
        self._shows.append(function)
        return function

    def profile_url(self, function: F) -> F:
        """Let a function `(user) -> str | None` say where a user's own page is.

        A path, or an address that begins with http or https; there is no link to any other.
        """
        self._url = function
        return function

    def display_name(self, function: F) -> F:
        """Let a function `(user) -> str` say what a user is called in lists and on buttons."""
        self._name = function
        return function

    def is_allowed(self, actor: Any, action: str, user: Any) -> bool:
        """Tell whether nobody has a veto."""
        return all(allows(actor, action, user) for allows in self._allows)

    def is_shown(self, viewer: Any, page: str, user: Any) -> bool:
        """Tell whether nobody hides the list."""
        return all(shows(viewer, page, user) for shows in self._shows)

    def url_of(self, user: Any) -> str | None:
        """Return the address of a user's own page, None where it is not known."""
        return None if self._url is None else self._url(user)

    def name_of(self, user: Any) -> str | None:
        """Return what the host calls a user, None where it does not say."""
        return None if self._name is None else self._name(user)
