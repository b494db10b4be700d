"""The pattern of a bare table as `secondary`, with write-only relationships on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased, relationship

from .contender import PER_PAGE, Edges
from .flask_host import FlaskHost


class TutorialSecondary(FlaskHost):
    """No time, no index beyond the primary key; the newest followers are those of greatest key."""

    name = "tutorial_secondary"
    edges = Edges("secondary_follow", time=None)

    def set_up(self) -> None:
        self.table = sa.Table(
            "secondary_follow",
            self.db.metadata,
            sa.Column("follower_id", sa.Integer, sa.ForeignKey("bench_user.id"), primary_key=True),
            sa.Column("followed_id", sa.Integer, sa.ForeignKey("bench_user.id"), primary_key=True),
        )
        follower, followed = self.table.c.follower_id, self.table.c.followed_id
        self.User.following = self._users(follower, followed, "followers")
        self.User.followers = self._users(followed, follower, "following")
        # The feed goes from a post to its author.
        for Post in (self.Post, self.UsualPost):
            Post.author = relationship(self.User)

    def _users(self, near: Any, far: Any, turned: str) -> Any:
        return relationship(
            self.User,
            secondary=self.table,
            primaryjoin=near == self.User.id,
            secondaryjoin=far == self.User.id,
            back_populates=turned,
            lazy="write_only",
        )

    def follow(self, user: Any, other: Any) -> bool:
        if self.is_following(user, other):
            return False
        user.following.add(other)
        return True

    def unfollow(self, user: Any, other: Any) -> bool:
        if not self.is_following(user, other):
            return False
        user.following.remove(other)
        return True

    def is_following(self, user: Any, other: Any) -> bool:
        found = user.following.select().where(self.User.id == other.id)
        return self.session.scalar(found) is not None

    def status(self, user: Any, others: Sequence[Any]) -> list[bool]:
        keys = [other.id for other in others]
        edges = sa.select(self.table.c.followed_id).where(
            self.table.c.follower_id == user.id, self.table.c.followed_id.in_(keys)
        )
        found = set(self.session.scalars(edges))
        return [key in found for key in keys]

    def followers(self, user: Any, place: Any) -> Sequence[Any]:
        users = user.followers.select().order_by(self.User.id.desc())
        return self.session.scalars(users.offset(place).limit(PER_PAGE)).all()

    def count(self, user: Any) -> int:
        users = sa.select(sa.func.count()).select_from(user.followers.select().subquery())
        return int(self.session.scalar(users))

    def feed(self, user: Any) -> Sequence[Any]:
        return self._feed(user, self.Post)

    def usual_feed(self, user: Any) -> Sequence[Any]:
        return self._feed(user, self.UsualPost)

    def _feed(self, user: Any, Post: Any) -> Sequence[Any]:
        User = self.User
        author, follower = aliased(User), aliased(User)
        posts = (
            sa.select(Post)
            .join(Post.author.of_type(author))
            .join(author.followers.of_type(follower), isouter=True)
            .where(sa.or_(follower.id == user.id, author.id == user.id))
            .group_by(Post)
            .order_by(Post.created_at.desc(), Post.id.desc())
        )
        return self.session.scalars(posts.limit(PER_PAGE)).all()

    def mutuals(self, user: Any) -> Sequence[Any]:
        back = sa.select(self.table.c.follower_id).where(self.table.c.followed_id == user.id)
        users = user.following.select().where(self.User.id.in_(back))
        return self.session.scalars(users).all()

    def suggestions(self, user: Any) -> list[tuple[Any, int]]:
        User, edge = self.User, self.table.c
        mine = sa.select(edge.followed_id).where(edge.follower_id == user.id)
        further = self.table.alias()
        common = sa.func.count().label("common")
        rows = (
            sa.select(User, common)
            .join(further, further.c.followed_id == User.id)
            .where(further.c.follower_id.in_(mine), User.id.not_in(mine), User.id != user.id)
            .group_by(User.id)
            .order_by(common.desc(), User.id)
            .limit(10)
        )
        return [tuple(row) for row in self.session.execute(rows)]
