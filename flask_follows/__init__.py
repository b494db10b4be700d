"""The social graph for Flask-SQLAlchemy applications."""

from . import signals
from .attributes import Related
from .collection import RelatedQuery
from .edge_models import Follow
from .errors import (
    ConfigurationError,
    FollowsError,
    InvalidCursorError,
    SelfFollowError,
    StreamedResultError,
    UnknownUserError,
    UnsavedInstanceError,
    WrongTypeError,
)
from .extension import Follows
from .feed import Feed
from .known import KnownFollowers
from .mixin import FollowMixin
from .paging import Page
from .relation import Relation
from .status import Status
from .suggestions import Suggestion

__all__ = [
    "ConfigurationError",
    "Feed",
    "Follow",
    "FollowMixin",
    "Follows",
    "FollowsError",
    "InvalidCursorError",
    "KnownFollowers",
    "Page",
    "Related",
    "RelatedQuery",
    "Relation",
    "SelfFollowError",
    "Status",
    "StreamedResultError",
    "Suggestion",
    "UnknownUserError",
    "UnsavedInstanceError",
    "WrongTypeError",
    "signals",
]
