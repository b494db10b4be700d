"""Hosts to test with: every model base that Flask-SQLAlchemy offers, and `User` classes on them."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import (
    DeclarativeBase,
    DeclarativeBaseNoMeta,
    Mapped,
    MappedAsDataclass,
    MappedColumn,
    mapped_column,
    relationship,
)


def _declarative(*bases: type) -> Callable[[], SQLAlchemy]:
    # A new base for each `SQLAlchemy()`: a base keeps one registry, and one set of class names.
    return lambda: SQLAlchemy(model_class=types.new_class("Base", bases))


BASES: dict[str, Callable[[], SQLAlchemy]] = {
    "classic": SQLAlchemy,
    "declarative": _declarative(DeclarativeBase),
    "no-meta": _declarative(DeclarativeBaseNoMeta),
}
# On SQLAlchemy 2.1, Flask-SQLAlchemy 3.1.1 itself fails to build these.
if sa.__version__.startswith("2.0."):
    BASES["dataclass"] = _declarative(MappedAsDataclass, DeclarativeBase)
    BASES["dataclass-no-meta"] = _declarative(MappedAsDataclass, DeclarativeBaseNoMeta)


# Without a zone, as most hosts have it, and with microseconds everywhere.
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def make_user_model(
    db: SQLAlchemy,
    *,
    key: Any = sa.Integer,
    name: str = "User",
    mixins: tuple[type, ...] = (UserMixin,),
    **attributes: Any,
) -> Any:
    """Map a `User` with `id` and `username` on any base.

    :param key: the type of the primary key, or its whole `mapped_column`.
    :param mixins: classes left of `db.Model`.
    :param attributes: more of the class body, such as `__tablename__`, columns or methods; one that
        is named `id` or `username` takes the place of ours, and None leaves it out.
    """
    as_dataclass = issubclass(db.Model, MappedAsDataclass)
    if not isinstance(key, MappedColumn):
        key = mapped_column(key, primary_key=True, **({"default": None} if as_dataclass else {}))
    body = {
        "id": key,
        "username": mapped_column(sa.String(80), unique=True),
        **attributes,
    }
    body = {name: value for name, value in body.items() if value is not None}
    columns = [name for name, value in body.items() if isinstance(value, MappedColumn)]
    body |= {"__module__": __name__, "__annotations__": dict.fromkeys(columns, Mapped[Any])}
    options = {"kw_only": True} if as_dataclass else {}
    return types.new_class(name, (*mixins, db.Model), options, lambda space: space.update(body))


def make_post_model(db: Any, **attributes: Any) -> Any:
    """Map a `Post` with an author, a time and the index of a feed, for the plain `User`.

    :param attributes: as for :func:`make_user_model`.
    """
    body = {
        "username": None,
        "author_id": mapped_column(sa.ForeignKey("user.id", ondelete="CASCADE")),
        "created_at": mapped_column(TIME, nullable=False),
        "is_draft": mapped_column(sa.Boolean, default=False, nullable=False),
        "text": mapped_column(sa.String(500), nullable=True),
        "author": relationship("User"),
        "__table_args__": (sa.Index("ix_post_feed", "author_id", "created_at", "id"),),
    }
    return make_user_model(db, name="Post", mixins=(), **{**body, **attributes})
