"""Users as lists and buttons show them: a name, an address, and how they stand to the viewer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import current_app

from .addresses import address
from .graph import extension, is_same, is_saved, statuses, viewer
from .security import link_target
from .settings import user_column

__all__ = ["Person", "people", "person_of"]

# Where the host does not say what users are called.
_NAMES = ("username", "name")


@dataclass(frozen=True)
class Person:
    """A user as it is shown.

    :param id: its name in addresses.
    :param url: its own page, if the host has told where that is.
    :param following: whether the viewer follows it; None for a visitor, and for oneself.
    :param followed_by: whether it follows the viewer; None likewise.
    :param is_viewer: it is who is looking.
    """

    user: Any
    id: str
    name: str
    url: str | None
    following: bool | None = None
    followed_by: bool | None = None
    is_viewer: bool = False

    @property
    def json(self) -> dict[str, Any]:
        """What the JSON interface tells of it."""
        return {
            "id": self.id,
            "name": self.name,
            "url": self.url,
            "following": self.following,
            "followed_by": self.followed_by,
        }


def people(users: Iterable[Any]) -> list[Person]:
    """Return users as they are shown to the viewer. One statement for all of them, or none.

    Who is not saved is left out: nobody can follow them yet.
    """
    saved = [user for user in users if is_saved(user)]
    looking = viewer()
    others = [user for user in saved if looking is not None and not is_same(looking, user)]
    known = dict(zip(map(id, others), statuses(looking, others), strict=True))
    return [
        person_of(
            user, known.get(id(user)), is_viewer=looking is not None and id(user) not in known
        )
        for user in saved
    ]


def person_of(
    user: Any, status: tuple[bool, bool] | None = None, *, is_viewer: bool = False
) -> Person:
    """Return a saved user as it is shown, without asking how it stands to the viewer."""
    url = link_target(extension().web.url_of(user))
    following, followed_by = status or (None, None)
    return Person(user, address(user), _name_of(user), url, following, followed_by, is_viewer)


def _name_of(user: Any) -> str:
    """Return what a user is called: what the host says, else the username or name, else the key."""
    name = extension().web.name_of(user)
    if name is not None:
        return str(name)
    if user_column(current_app) is None:
        for attribute in _NAMES:
            found = getattr(user, attribute, None)
            if isinstance(found, str):
                return found
    return address(user)
