"""A lean layer: Core statements built once, run through `db.session`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from .contender import PER_PAGE, Edges
from .flask_host import MOMENT, FlaskHost

BATCH = 10_000
INSERTS: dict[str, Any] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
    "mariadb": mysql.insert,
}
# With PyMySQL as SQLAlchemy opens it, an ignored duplicate shows in the last row id alone.
THERE_ALREADY = 7


class Lean(FlaskHost):
    """What someone who knows the databases would write, without any care for the unusual."""

    name = "lean"
    is_peer = False
    edges = Edges("lean_follow")

    def set_up(self) -> None:
        key: Any = lambda: sa.ForeignKey("bench_user.id", ondelete="CASCADE")  # noqa: E731
        self.table = sa.Table(
            "lean_follow",
            self.db.metadata,
            sa.Column("follower_id", key(), primary_key=True),
            sa.Column("followed_id", key(), primary_key=True),
            sa.Column("created_at", MOMENT, nullable=False),
            sa.CheckConstraint("follower_id <> followed_id"),
            sa.Index("ix_lean_follow", "followed_id", "created_at", "follower_id"),
            sqlite_with_rowid=False,
        )
        edge = self.table.c
        self._a, self._b = sa.bindparam("a", type_=sa.Integer), sa.bindparam("b", type_=sa.Integer)
        is_edge = edge.follower_id == self._a, edge.followed_id == self._b
        self._insert = self._build_insert()
        self._delete = sa.delete(self.table).where(*is_edge)
        self._is_following = sa.select(sa.literal_column("1")).where(*is_edge).limit(1)
        self._status = sa.select(edge.followed_id).where(
            edge.follower_id == self._a, edge.followed_id.in_(sa.bindparam("many", expanding=True))
        )
        self._count = (
            sa.select(sa.func.count()).select_from(self.table).where(edge.followed_id == self._b)
        )
        self._first, self._next = self._build_page(None), self._build_page(self._beyond())
        self._feed = self._build_feed()
        self._mutuals = self._build_mutuals()
        self._suggestions = self._build_suggestions()

    def _build_insert(self) -> Any:
        edge = self.table.c
        values = {"follower_id": self._a, "followed_id": self._b}
        insert = INSERTS[self.database.name](self.table).values(
            **values, created_at=sa.bindparam("now", type_=MOMENT)
        )
        if self.database.name == "mariadb":
            told = sa.func.last_insert_id(THERE_ALREADY)
            return insert.on_duplicate_key_update(
                follower_id=sa.func.if_(told, edge.follower_id, edge.follower_id)
            )
        ignored = insert.on_conflict_do_nothing(index_elements=["follower_id", "followed_id"])
        return ignored.execution_options(preserve_rowcount=True)

    def _beyond(self) -> Any:
        edge = self.table.c
        time = sa.bindparam("time", type_=MOMENT)
        if self.database.name == "mariadb":
            return sa.or_(
                edge.created_at < time,
                sa.and_(edge.created_at == time, edge.follower_id < self._a),
            )
        return sa.tuple_(edge.created_at, edge.follower_id) < sa.tuple_(time, self._a)

    def _build_page(self, beyond: Any) -> Any:
        edge = self.table.c
        cut = sa.select(edge.follower_id, edge.created_at).where(edge.followed_id == self._b)
        cut = cut if beyond is None else cut.where(beyond)
        newest = cut.order_by(edge.created_at.desc(), edge.follower_id.desc()).limit(PER_PAGE)
        page = newest.subquery()
        return (
            sa.select(self.User)
            .join(page, page.c.follower_id == self.User.id)
            .order_by(page.c.created_at.desc(), page.c.follower_id.desc())
        )

    def _build_feed(self) -> Any:
        Post, edge = self.Post, self.table.c
        newest = Post.created_at.desc(), Post.id.desc()
        if self.database.name == "sqlite":
            feed = sa.select(Post).join(self.table, edge.followed_id == Post.author_id)
            return feed.where(edge.follower_id == self._a).order_by(*newest).limit(PER_PAGE)
        of_author = sa.select(Post).where(Post.author_id == edge.followed_id).order_by(*newest)
        if self.database.name == "postgresql":
            return self._build_lateral_feed()
        last = of_author.with_only_columns(Post.created_at).limit(1).correlate(self.table)
        time = last.scalar_subquery().label("newest")
        authors = sa.select(edge.followed_id, time).where(edge.follower_id == self._a)
        authors = authors.having(time.is_not(None)).order_by(time.desc()).limit(PER_PAGE)
        posts = sa.select(Post).where(
            Post.author_id.in_(sa.bindparam("many", expanding=True)),
            Post.created_at >= sa.bindparam("time", type_=MOMENT),
        )
        return authors, posts.order_by(*newest).limit(PER_PAGE)

    def _build_lateral_feed(self) -> Any:
        Post, edge = self.Post, self.table.c

        def newest_of(author: Any, number: int) -> Any:
            posts = sa.select(Post).where(Post.author_id == author)
            posts = posts.order_by(Post.created_at.desc(), Post.id.desc())
            return posts.limit(number).lateral()

        last = newest_of(edge.followed_id, 1)
        top = (
            sa.select(edge.followed_id)
            .select_from(self.table.join(last, sa.true()))
            .where(edge.follower_id == self._a)
            .order_by(last.c.created_at.desc(), last.c.id.desc())
            .limit(PER_PAGE)
            .subquery()
        )
        some = newest_of(top.c.followed_id, PER_PAGE)
        post = sa.orm.aliased(Post, some)
        found = sa.select(post).select_from(top.join(some, sa.true()))
        return found.order_by(post.created_at.desc(), post.id.desc()).limit(PER_PAGE)

    def _build_mutuals(self) -> Any:
        one, back = self.table.alias(), self.table.alias()
        turned = back.c.follower_id == one.c.followed_id, back.c.followed_id == one.c.follower_id
        return (
            sa.select(self.User)
            .join(one, one.c.followed_id == self.User.id)
            .join(back, sa.and_(*turned))
            .where(one.c.follower_id == self._a)
        )

    def _build_suggestions(self) -> Any:
        edge, further, mine = self.table.c, self.table.alias(), self.table.alias()
        hop = sa.select(edge.followed_id).where(edge.follower_id == self._a)
        first = hop.order_by(edge.created_at.desc()).limit(100).subquery()
        is_mine = sa.exists().where(
            mine.c.follower_id == self._a, mine.c.followed_id == further.c.followed_id
        )
        common = sa.func.count().label("common")
        ranked = (
            sa.select(further.c.followed_id, common)
            .join(first, first.c.followed_id == further.c.follower_id)
            .where(further.c.followed_id != self._a, ~is_mine)
            .group_by(further.c.followed_id)
            .order_by(common.desc(), further.c.followed_id)
            .limit(10)
            .subquery()
        )
        found = sa.select(self.User, ranked.c.common)
        return found.join(ranked, ranked.c.followed_id == self.User.id).order_by(
            ranked.c.common.desc(), self.User.id
        )

    def follow(self, user: Any, other: Any) -> bool:
        values = {"a": user.id, "b": other.id, "now": datetime.now(timezone.utc)}
        result = self.session.execute(self._insert, values)
        if self.database.name == "mariadb":
            return bool(result.lastrowid != THERE_ALREADY)
        return bool(result.rowcount)

    def unfollow(self, user: Any, other: Any) -> bool:
        return bool(self.session.execute(self._delete, {"a": user.id, "b": other.id}).rowcount)

    def is_following(self, user: Any, other: Any) -> bool:
        pair = {"a": user.id, "b": other.id}
        return self.session.execute(self._is_following, pair).first() is not None

    def status(self, user: Any, others: Sequence[Any]) -> list[bool]:
        keys = [other.id for other in others]
        found = set(self.session.scalars(self._status, {"a": user.id, "many": keys}))
        return [key in found for key in keys]

    def place(self, user: Any, depth: int) -> Any:
        edge = self.table.c
        rows = sa.select(edge.created_at, edge.follower_id).where(edge.followed_id == user.id)
        rows = rows.order_by(edge.created_at.desc(), edge.follower_id.desc())
        return self.session.execute(rows.limit(1).offset(depth - 1)).one() if depth else None

    def followers(self, user: Any, place: Any) -> Sequence[Any]:
        if place is None:
            return self.session.scalars(self._first, {"b": user.id}).all()
        time, key = place
        return self.session.scalars(self._next, {"b": user.id, "time": time, "a": key}).all()

    def count(self, user: Any) -> int:
        return int(self.session.scalar(self._count, {"b": user.id}))

    def feed(self, user: Any) -> Sequence[Any]:
        if self.database.name != "mariadb":
            return self.session.scalars(self._feed, {"a": user.id}).all()
        authors, posts = self._feed
        newest = self.session.execute(authors, {"a": user.id}).all()
        if not newest:
            return []
        oldest = newest[-1][1] if len(newest) == PER_PAGE else datetime(1, 1, 1)
        keys = [key for key, _ in newest]
        return self.session.scalars(posts, {"many": keys, "time": oldest}).all()

    def mutuals(self, user: Any) -> Sequence[Any]:
        return self.session.scalars(self._mutuals, {"a": user.id}).all()

    def suggestions(self, user: Any) -> list[tuple[Any, int]]:
        rows = self.session.execute(self._suggestions, {"a": user.id})
        return [(found, common) for found, common in rows]

    def add_many(self, pairs: Iterable[tuple[int, int]]) -> None:
        now, insert = datetime.now(timezone.utc), self._insert
        if self.database.name == "mariadb":  # the driver makes one statement of plain values alone
            insert = sa.insert(self.table).prefix_with("IGNORE")
        names = list(self.table.c.keys()) if self.database.name == "mariadb" else ["a", "b", "now"]
        iterator = iter(pairs)
        while batch := list(islice(iterator, BATCH)):
            rows = [dict(zip(names, (a, b, now), strict=True)) for a, b in batch]
            self.session.execute(insert, rows)
        self.session.commit()
