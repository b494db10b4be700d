"""A Flask-SQLAlchemy application with users and posts, for the contenders that live in one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import Flask, abort, redirect, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from .contender import POSTS, USUAL_POSTS, Contender, Sent
from .databases import Database, patient

MOMENT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


class PostColumns:
    """What a post has, whatever its indexes."""

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("bench_user.id"))
    body: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime] = mapped_column(MOMENT)


class FlaskHost(Contender):
    """An application; a subclass adds the edges to its models."""

    def __init__(self, database: Database) -> None:
        self.database, self.db, self.app = database, SQLAlchemy(), Flask(self.name)
        self.app.config["SQLALCHEMY_DATABASE_URI"] = database.url
        self.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": patient(database.name)}
        self.User, self.Post, self.UsualPost = self.make_models()
        self.db.init_app(self.app)
        self.set_up()
        with self.app.app_context():
            self.engine = self.db.engine
        if database.name == "sqlite":
            sa.event.listen(self.engine, "connect", _keep_foreign_keys)

    def make_models(self) -> tuple[Any, Any, Any]:
        """Map `User`, and `Post` with the index that a feed needs and with the usual ones."""

        class User(self.db.Model):  # type: ignore[name-defined]
            __tablename__ = "bench_user"
            id: Mapped[int] = mapped_column(primary_key=True)
            username: Mapped[str] = mapped_column(sa.String(80))

        class Post(PostColumns, self.db.Model):  # type: ignore[name-defined]
            __tablename__ = POSTS
            __table_args__ = (sa.Index("ix_bench_post", "author_id", "created_at", "id"),)

        class UsualPost(PostColumns, self.db.Model):  # type: ignore[name-defined]
            __tablename__ = USUAL_POSTS
            __table_args__ = (
                sa.Index("ix_bench_usual_post_author_id", "author_id"),
                sa.Index("ix_bench_usual_post_created_at", "created_at"),
            )

        return User, Post, UsualPost

    @abstractmethod
    def set_up(self) -> None:
        """Add the edges to the models."""

    @property
    def session(self) -> Any:
        return self.db.session

    def create_tables(self) -> None:
        with self.app.app_context():
            self.db.create_all()

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def request(self) -> Iterator[None]:
        with self.app.app_context():
            yield

    @contextmanager
    def recording(self) -> Iterator[list[Sent]]:
        sent: list[Sent] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            sent.append((statement, parameters))

        sa.event.listen(self.engine, "before_cursor_execute", note)
        yield sent
        sa.event.remove(self.engine, "before_cursor_execute", note)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield
        self.session.commit()

    def user(self, key: int) -> Any:
        return self.session.get(self.User, key)

    def load(self, keys: Sequence[int]) -> list[Any]:
        found = self.session.scalars(sa.select(self.User).where(self.User.id.in_(keys)))
        users = {user.id: user for user in found}
        return [users[key] for key in keys]

    def client(self) -> Callable[[int, int], int]:
        @self.app.post("/follow/<int:key>")
        def follow(key: int) -> Any:
            user, other = self.user(int(request.headers["X-User"])), self.user(key)
            if other is None:
                abort(404)
            with self.transaction():
                self.follow(user, other)
            return redirect("/")

        client = self.app.test_client()
        return lambda user, key: (
            client.post(f"/follow/{key}", headers={"X-User": str(user)}).status_code
        )


def _keep_foreign_keys(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
