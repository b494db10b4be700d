"""Flask-Follows, by its public names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flask_follows import Follows

from .contender import PER_PAGE, Edges
from .flask_host import FlaskHost


class FlaskFollows(FlaskHost):
    """The extension in an application that did nothing but `init_app`."""

    name = "flask_follows"
    is_peer = False
    edges = Edges("follows")

    def set_up(self) -> None:
        self.follows = Follows(self.app, self.db, self.User)

    def follow(self, user: Any, other: Any) -> bool:
        return bool(user.follow(other))

    def unfollow(self, user: Any, other: Any) -> bool:
        return bool(user.unfollow(other))

    def is_following(self, user: Any, other: Any) -> bool:
        return bool(user.is_following(other))

    def status(self, user: Any, others: Sequence[Any]) -> list[bool]:
        status = self.follows.status(user, others)
        return [status[other].following for other in others]

    def place(self, user: Any, depth: int) -> Any:
        return user.followers.page(per_page=depth).next if depth else None

    def followers(self, user: Any, place: Any) -> Sequence[Any]:
        items: Sequence[Any] = user.followers.page(after=place, per_page=PER_PAGE).items
        return items

    def count(self, user: Any) -> int:
        return int(user.followers_count)

    def feed(self, user: Any) -> Sequence[Any]:
        Post = self.Post
        order = (Post.created_at, Post.id)
        feed = self.follows.feed(user, Post.author_id, order_by=order, include_self=False)
        items: Sequence[Any] = feed.page(per_page=PER_PAGE).items
        return items

    def mutuals(self, user: Any) -> Sequence[Any]:
        users: Sequence[Any] = user.mutuals.all()
        return users

    def suggestions(self, user: Any) -> list[tuple[Any, int]]:
        return [(each.user, each.count) for each in self.follows.suggestions(user, limit=10)]

    def add_many(self, pairs: Iterable[tuple[int, int]]) -> None:
        self.follows.add_many(pairs)
        self.session.commit()
