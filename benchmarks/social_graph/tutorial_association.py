"""The pattern of an association class and two dynamic relationships, as a known book teaches it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, backref, mapped_column, relationship

from .contender import PER_PAGE, Edges
from .flask_host import MOMENT, FlaskHost


class TutorialAssociation(FlaskHost):
    """No index beyond the primary key; pages are cut by OFFSET, without the pattern's count."""

    name = "tutorial_association"
    edges = Edges("association_follow", time="timestamp")

    def set_up(self) -> None:
        db = self.db

        class Follow(db.Model):  # type: ignore[name-defined]
            __tablename__ = "association_follow"
            follower_id: Mapped[int] = mapped_column(
                sa.ForeignKey("bench_user.id"), primary_key=True
            )
            followed_id: Mapped[int] = mapped_column(
                sa.ForeignKey("bench_user.id"), primary_key=True
            )
            timestamp: Mapped[datetime] = mapped_column(
                MOMENT, default=lambda: datetime.now(timezone.utc)
            )

        self.Follow = Follow
        self.User.followed = _edges(Follow.follower_id, "follower")
        self.User.followers = _edges(Follow.followed_id, "followed")

    def follow(self, user: Any, other: Any) -> bool:
        if self.is_following(user, other):
            return False
        self.session.add(self.Follow(follower=user, followed=other))
        return True

    def unfollow(self, user: Any, other: Any) -> bool:
        edge = user.followed.filter_by(followed_id=other.id).first()
        if edge is None:
            return False
        self.session.delete(edge)
        return True

    def is_following(self, user: Any, other: Any) -> bool:
        return user.followed.filter_by(followed_id=other.id).first() is not None

    def status(self, user: Any, others: Sequence[Any]) -> list[bool]:
        keys = [other.id for other in others]
        edges = user.followed.filter(self.Follow.followed_id.in_(keys))
        found = {key for (key,) in edges.with_entities(self.Follow.followed_id)}
        return [key in found for key in keys]

    def followers(self, user: Any, place: Any) -> Sequence[Any]:
        edges = user.followers.order_by(
            self.Follow.timestamp.desc(), self.Follow.follower_id.desc()
        )
        return [edge.follower for edge in edges.offset(place).limit(PER_PAGE)]

    def count(self, user: Any) -> int:
        return int(user.followers.count())

    def feed(self, user: Any) -> Sequence[Any]:
        return self._feed(user, self.Post)

    def usual_feed(self, user: Any) -> Sequence[Any]:
        return self._feed(user, self.UsualPost)

    def _feed(self, user: Any, Post: Any) -> Sequence[Any]:
        Follow = self.Follow
        posts = Post.query.join(Follow, Follow.followed_id == Post.author_id)
        newest = posts.filter(Follow.follower_id == user.id).order_by(
            Post.created_at.desc(), Post.id.desc()
        )
        found: Sequence[Any] = newest.limit(PER_PAGE).all()
        return found

    def mutuals(self, user: Any) -> Sequence[Any]:
        User, one, back = self.User, self.Follow, aliased(self.Follow)
        turned = back.follower_id == one.followed_id, back.followed_id == one.follower_id
        users = User.query.join(one, one.followed_id == User.id).join(back, sa.and_(*turned))
        found: Sequence[Any] = users.filter(one.follower_id == user.id).all()
        return found

    def suggestions(self, user: Any) -> list[tuple[Any, int]]:
        User, one, further = self.User, self.Follow, aliased(self.Follow)
        mine = sa.select(one.followed_id).where(one.follower_id == user.id)
        common = sa.func.count().label("common")
        rows = (
            self.session.query(User, common)
            .join(further, further.followed_id == User.id)
            .filter(further.follower_id.in_(mine), User.id.not_in(mine), User.id != user.id)
            .group_by(User.id)
            .order_by(common.desc(), User.id)
            .limit(10)
        )
        return [tuple(row) for row in rows]


def _edges(near: Any, far: str) -> Any:
    return relationship(
        "Follow",
        foreign_keys=[near],
        backref=backref(far, lazy="joined"),
        lazy="dynamic",
        cascade="all, delete-orphan",
    )
