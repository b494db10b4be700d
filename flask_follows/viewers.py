"""Who looks at a page: a user, or a visitor who is not logged in."""

from __future__ import annotations

from typing import Any

from .keys import Endpoint, is_nobody

__all__ = ["viewer_key"]


def viewer_key(endpoint: Endpoint, viewer: Any) -> Any:
    """Return the key of whoever looks; None for a visitor, and for a user who is not saved.

    A visitor is None or Flask-Login's anonymous user: a template asks without knowing.

    :raises WrongTypeError, UnsavedInstanceError: as :meth:`Endpoint.key`.
    """
    # Flask-Login's proxy may stand for None: isinstance sees through it.
    is_visitor = isinstance(viewer, type(None)) or is_nobody(viewer)
    return None if is_visitor else endpoint.saved_key(viewer)
