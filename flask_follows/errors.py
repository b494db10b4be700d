"""The error tree: every error of ours is a :class:`FollowsError` and the fitting built-in as well.

Each message names the object, says what happened to it and what to do.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "FollowsError",
    "InvalidCursorError",
    "SelfFollowError",
    "StreamedResultError",
    "UnknownUserError",
    "UnsavedInstanceError",
    "WrongTypeError",
]


class FollowsError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigurationError(FollowsError):
    """The set-up contradicts itself or clashes with the host's models."""


class WrongTypeError(FollowsError, TypeError):
    """An object of another class, or a key of another type, was given."""


class UnsavedInstanceError(FollowsError, ValueError):
    """The object has no row in the database: never added, or deleted since."""


class SelfFollowError(FollowsError, ValueError):
    """An object was to be connected with itself, where its relation does not allow that."""


class StreamedResultError(FollowsError, RuntimeError):
    """A statement would end a result that is still being streamed, and lose its rows."""


class UnknownUserError(FollowsError, LookupError):
    """No object, a user or what else the relation connects, has this primary key."""


class InvalidCursorError(FollowsError, ValueError):
    """A page cursor was not made by this collection: cut short, forged, or from elsewhere."""
