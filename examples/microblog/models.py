"""The tables: users, their posts, and (by one line, `follows = Follows()`) who follows whom."""

from __future__ import annotations

from datetime import datetime, timezone

from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, Dialect, ForeignKey, Index, String
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator
from werkzeug.security import check_password_hash, generate_password_hash

from flask_follows import FollowMixin, Follows

USERNAME_LENGTH = 64
NAME_LENGTH = 80
POST_LENGTH = 280


class Base(DeclarativeBase):
    """The base class of the models."""


db = SQLAlchemy(model_class=Base)  # its Model is made at run time: type checkers need an "ignore"
follows = Follows()


def utcnow() -> datetime:
    """Return the time now, aware, in UTC."""
    return datetime.now(timezone.utc)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond, on every database.

    SQLite and MariaDB would drop the zone without a word, and MariaDB the microseconds too.
    """

    impl = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return value and value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return value and (value if value.tzinfo else value.replace(tzinfo=timezone.utc))


class User(FollowMixin, UserMixin, db.Model):  # type: ignore[name-defined,misc]
    """Somebody with a page of their own.

    Every column but the username has a default, so that `flask follows import --create-missing`
    can make users out of a list of names.
    """

    __tablename__ = "users"
    __table_args__ = (Index("ix_users_newest", "created_at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(USERNAME_LENGTH), unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), default="")
    password_hash: Mapped[str] = mapped_column(String(255), default="!")  # "!": nobody can log in
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    @property
    def display_name(self) -> str:
        """The name to show: the chosen one, or the username."""
        return self.name or self.username

    def set_password(self, password: str) -> None:
        """Keep a salted hash of the password, never the password."""
        self.password_hash = generate_password_hash(password)

    def check_password(self, password: str) -> bool:
        """Tell whether this is the password."""
        return check_password_hash(self.password_hash, password)


class Post(db.Model):  # type: ignore[name-defined,misc]
    """A short text by a user."""

    __tablename__ = "posts"
    __table_args__ = (
        Index("ix_posts_author_newest", "author_id", "created_at", "id"),  # a profile, a timeline
        Index("ix_posts_newest", "created_at", "id"),  # everybody's posts
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    body: Mapped[str] = mapped_column(String(POST_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    author: Mapped[User] = relationship()
