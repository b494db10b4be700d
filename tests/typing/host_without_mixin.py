"""A host whose `User` has no base class of ours: the extension is typed, what it injects is not.

Not run: `test_typing.py` has both type checkers read it. Any error in it, or any ignore that is no
longer needed, is a failure.
"""

from __future__ import annotations

from flask import Flask
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from typing_extensions import assert_type

from flask_follows import Follows


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
follows = Follows()


class User(UserMixin, db.Model):  # type: ignore[name-defined, misc]
    id: Mapped[int] = mapped_column(primary_key=True)


def create_app() -> Flask:
    app = Flask(__name__)
    db.init_app(app)
    follows.init_app(app, db, User)
    return app


def through_the_extension(user: User, other: User) -> None:
    assert_type(follows.follow(user, other), bool)
    assert_type(follows.follow(1, 2), bool)
    assert_type(follows.unfollow(user, 2), bool)
    assert_type(follows.is_following(user, other), bool)
    select(follows.Follow).where(follows.Follow.follower_id == 1)


def injected(user: User, other: User) -> None:
    # mypy lets it pass unseen: to it, `db.Model` is Any, and so is what it cannot find on `User`.
    user.follow(other)  # pyright: ignore[reportAttributeAccessIssue]
