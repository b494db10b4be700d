"""A host whose `User` takes `FollowMixin`: all that it gains is known to mypy and pyright.

Not run: `test_typing.py` has both type checkers read it. Any error in it, or any ignore that is no
longer needed, is a failure.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Select, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.elements import SQLCoreOperations
from typing_extensions import assert_type

from flask_follows import FollowMixin, Follows


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
follows = Follows()


# mypy knows no base class made at run time: https://github.com/pallets-eco/flask-sqlalchemy/issues/1327
class User(FollowMixin, UserMixin, db.Model):  # type: ignore[name-defined, misc]
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)


def create_app() -> Flask:
    app = Flask(__name__)
    db.init_app(app)
    follows.init_app(app, db, User)
    Follows(app, db, User)
    Follows(db=db, user_model="User", names={"followed": "following"}).init_app(app)
    return app


def writes(user: User, other: User) -> None:
    assert_type(user.follow(other), bool)
    assert_type(user.follow(2), bool)
    assert_type(user.unfollow(other), bool)
    assert_type(user.remove_follower(other), bool)
    assert_type(user.toggle_follow(other), bool)
    assert_type(follows.follow(1, 2), bool)
    assert_type(follows.unfollow(user, other), bool)


def predicates(user: User, other: User) -> tuple[int, int]:
    assert_type(user.is_following(other), bool)
    assert_type(user.is_followed_by(other), bool)
    assert_type(user.is_mutual_with(other), bool)
    assert_type(follows.is_following(1, 2), bool)
    return user.followed_count, user.followers_count


def collections(user: User, other: User) -> None:
    for followed in user.followed:
        assert_type(followed, User)
    assert_type(user.followers.first(), User | None)
    assert_type(user.followers.filter(User.username != "ann").all(), list[User])
    assert_type(user.followers.count(), int)
    assert_type(user.followed.add(other, 3), int)
    assert_type(user.followed.remove(other), int)
    assert_type(user.followed.clear(), int)
    assert_type(user.followed.contains(other), bool)
    assert_type(user.followed.get_or_create(username="ann"), tuple[User, bool])
    assert_type(user.followed.select(), Select[Any])
    user.followed.set([other])
    page = user.followers.page(per_page=20)
    assert_type(page.next, str | None)
    assert_type(page.items[0], User)
    assert_type(user.mutuals.first(), User | None)
    user.followers = [other]


def in_sql(user: User) -> None:
    assert_type(User.is_following(user), SQLCoreOperations[bool])
    select(User).where(User.is_following(user), User.is_followed_by(2))
    select(User).where(User.is_mutual_with(user))
    select(User).order_by(User.followers_count.desc(), User.followed_count)
    select(User).where(User.followed.any(User.username == "ann"))
    select(User).where(User.followers.contains(user))
    select(User).join(User.followed)


def edges(user: User) -> None:
    Follow = follows.Follow
    select(Follow).where(Follow.follower_id == 1, Follow.followed_id.in_([2, 3]))
    select(Follow).order_by(Follow.created_at.desc())
    for edge in user.followed_set:
        assert_type(edge.created_at, datetime)
