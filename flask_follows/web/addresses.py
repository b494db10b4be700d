"""How users are named in addresses: by their key, or by the unique column of the host's choice."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session
from werkzeug.routing import BaseConverter

from flask_follows.errors import ConfigurationError
from flask_follows.keys import Endpoint
from flask_follows.names import UserNames

from .graph import users
from .settings import user_column

__all__ = ["UserConverter", "address", "find"]

_MARK = "~"


class UserConverter(BaseConverter):
    """A user's name as one part of a path, whatever it consists of.

    A name that a browser would take for a path (`..`, `a/b`), or that is empty, is written in
    base64 after a "~": no name of a user can lead a button to another address of the site.
    """

    regex = "[^/]+"

    def to_url(self, value: Any) -> str:
        """Return the part of the path for a name, or for a user."""
        if not isinstance(value, str):
            value = address(value) if isinstance(value, users().model) else str(value)
        if value in ("", ".", "..") or "/" in value or value.startswith(_MARK):
            value = _MARK + urlsafe_b64encode(value.encode()).rstrip(b"=").decode()
        return super().to_url(value)

    def to_python(self, value: str) -> str:
        """Return the name in a part of a path."""
        if not value.startswith(_MARK):
            return value
        try:
            code = value.removeprefix(_MARK).encode("ascii")
            return urlsafe_b64decode(code + b"=" * (-len(code) % 4)).decode()
        except ValueError:
            return value  # nobody has it


def address(user: Any) -> str:
    """Return how a saved user is named in addresses."""
    column = user_column(current_app)
    if column is None:
        return str(users().key(user))
    value = getattr(user, _names().by)
    if value is None:
        raise ConfigurationError(
            f"a {users().model.__name__} has no {column}, and so no address; "
            "FOLLOWS_USER_COLUMN must name a column that all users have"
        )
    return str(value)


def find(session: Session, text: str) -> Any:
    """Return the user with this name in addresses, None for nobody. One statement."""
    names = _names()
    try:
        value = names.parse(text)
    except ValueError:
        return None
    column: Any = names.user.mapper.column_attrs[names.by].columns[0]
    dialect = session.get_bind(names.user.mapper).dialect
    # One address for one user: not "01" beside "1".
    if str(value) != text or not Endpoint(names.user.mapper, column).can_hold(value, dialect):
        return None
    named = sa.select(names.user.model).where(names.attribute() == value).limit(2)
    found = session.scalars(named).unique().all()
    if len(found) > 1:
        raise ConfigurationError(
            f"several users have the {names.by} {text!r}; FOLLOWS_USER_COLUMN must name a column "
            "that is unique"
        )
    return found[0] if found else None


def _names() -> UserNames:
    try:
        return UserNames(users(), user_column(current_app))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}. FOLLOWS_USER_COLUMN names the column that stands for users in addresses"
        ) from error
