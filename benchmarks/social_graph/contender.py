"""What every contender can do: the same small interface over edges of its own.

Users and posts are the same rows for all; nobody writes to them. Methods take and give *handles* of
users: whatever the contender's code would hold after it has loaded a user, always with `.id` and
`.username`. Handles are loaded before the clock runs, as a request has its user already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

PER_PAGE = 20
# The same posts twice: with the index that a feed needs, and with one on the author and one on the
# time, as tutorials or Django's foreign key give them.
POSTS, USUAL_POSTS = "bench_post", "bench_usual_post"
Sent = tuple[str, Any]


class CannotDoError(Exception):
    """The pattern has no way to do this; the message says why."""


@dataclass(frozen=True)
class Edges:
    """Where a contender keeps its edges."""

    table: str
    follower: str = "follower_id"
    followed: str = "followed_id"
    time: str | None = "created_at"

    @property
    def columns(self) -> list[str]:
        keys = [self.follower, self.followed]
        return keys if self.time is None else [*keys, self.time]


class Contender(ABC):
    """One way to keep a social graph."""

    name: ClassVar[str]
    edges: ClassVar[Edges]
    # Whether a goal compares Flask-Follows with it.
    is_peer: ClassVar[bool] = True

    @abstractmethod
    def create_tables(self) -> None:
        """Make its table and indexes as the pattern itself makes them."""

    @abstractmethod
    def close(self) -> None:
        """Close its connections."""

    @abstractmethod
    def request(self) -> AbstractContextManager[Any]:
        """Enter what a request has: a new session, closed at the end."""

    @abstractmethod
    def recording(self) -> AbstractContextManager[list[Sent]]:
        """Note the statements sent meanwhile, but for BEGIN and COMMIT."""

    @abstractmethod
    def user(self, key: int) -> Any:
        """Load a user; None where there is none."""

    @abstractmethod
    def load(self, keys: Sequence[int]) -> list[Any]:
        """Load users, in the order of the keys."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """Commit at the end of the block, and not before."""

    @abstractmethod
    def follow(self, user: Any, other: Any) -> bool | None:
        """Make an edge unless it is there; tell whether it was made, where the pattern says so."""

    @abstractmethod
    def unfollow(self, user: Any, other: Any) -> bool | None:
        """Remove an edge if it is there."""

    @abstractmethod
    def is_following(self, user: Any, other: Any) -> bool:
        """Tell whether the edge is there."""

    @abstractmethod
    def status(self, user: Any, others: Sequence[Any]) -> list[bool]:
        """Tell it of many users, in one statement."""

    def place(self, user: Any, depth: int) -> Any:
        """Return what leads to the page that begins after so many followers: the number itself."""
        return depth

    @abstractmethod
    def followers(self, user: Any, place: Any) -> Sequence[Any]:
        """Return 20 followers, the newest first."""

    @abstractmethod
    def count(self, user: Any) -> int:
        """Return the number of followers."""

    @abstractmethod
    def feed(self, user: Any) -> Sequence[Any]:
        """Return the 20 newest posts of those whom the user follows."""

    def usual_feed(self, user: Any) -> Sequence[Any]:
        """Return the same; a peer, from posts without the index that a feed needs."""
        return self.feed(user)

    @abstractmethod
    def mutuals(self, user: Any) -> Sequence[Any]:
        """Return the users who follow each other with this one."""

    @abstractmethod
    def suggestions(self, user: Any) -> list[tuple[Any, int]]:
        """Return ten users who are followed by most of those whom the user follows."""

    def add_many(self, pairs: Iterable[tuple[int, int]]) -> object:
        """Make the edges that are not there yet, and commit."""
        raise CannotDoError("has no way to add many at once")

    @abstractmethod
    def client(self) -> Callable[[int, int], int]:
        """Return a function that posts "user follows other" to a whole application."""
