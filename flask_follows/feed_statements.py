"""The SQL of a feed, in the form in which each database stops early.

What is to be found are the newest posts of all those whom one follows. Each way below cuts them
out by key, from the index on author and time alone where there are no further criteria; the posts
themselves are then joined to the few that are left, so that no planner can begin with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from .beyond import Form
from .clauses import LIMIT, NEAR
from .posts import Places, Posts
from .reads import End

__all__ = ["AUTHOR", "FeedStatements"]

# Parameters of a page whose authors are known begin with it.
AUTHOR = "follows_author"


@dataclass(frozen=True, eq=False)
class FeedStatements:
    """The statements of a feed in one kind of database.

    Their parameters: the viewer's key, the limit, and the values of the place, by name.

    :param end: the relation as seen from the viewer.
    :param include_self: whether the viewer's own posts are in it.
    :param criteria: what further holds for a post of the feed.
    """

    end: End
    posts: Posts
    places: Places
    include_self: bool
    criteria: Sequence[Any] = ()

    def joined(self, form: Form | None) -> Any:
        """Select a page by a plain join of authors and posts.

        SQLite reads each author's posts from the newest on and stops at the first that is too old
        for the page; PostgreSQL and MariaDB read them all.
        """
        authors = self.authors(own=self.include_self)
        found = self.select_posts(form).join_from(authors, self.posts.model, self._is_by(authors))
        return self.whole(self.newest(found))

    def lateral(self, form: Form | None) -> Any:
        """Select a page in three steps of one statement, where sub-queries may be LATERAL.

        The newest post of each author tells which authors the page can be of: no more than it has
        posts. Their newest posts contain the page.
        """
        authors = self.authors(own=self.include_self)
        first = self._lateral(authors.c.author, form, sa.literal_column("1"), "first")
        newest_first = self.places.order.clauses(first.c)
        there = sa.select(authors.c.author).join_from(authors, first, sa.true())
        top = there.order_by(*newest_first).limit(_limit()).subquery("top")
        some = self._lateral(top.c.author, form, _limit(), "some")
        found = sa.select(some).select_from(top).join(some, sa.true())
        newest = found.order_by(*self.places.order.clauses(some.c)).limit(_limit())
        return self.whole(newest)

    def frontier(self, form: Form | None, exact: bool) -> Any:
        """Select the authors with the newest posts and, beside each, the place of that post.

        :param exact: the whole of the place; else only its first value, which is half the work
            and leaves the order open among authors whose values are the same.
        """
        authors = self.authors(own=False)
        places = list(self.places.columns.items())[: None if exact else 1]
        columns = [
            self._newest_of(authors, column, form).label(f"newest_{name}")
            for name, column in places
        ]
        # NULL, for those without a post, comes last.
        found = sa.select(authors.c.author, *columns)
        return found.order_by(*(sa.desc(column.name) for column in columns)).limit(_limit())

    def branches(self, form: Form | None, number: int) -> Any:
        """Select a page of the posts of so many authors: see :data:`AUTHOR`."""
        parts = []
        for place in range(number):
            author = sa.bindparam(f"{AUTHOR}{place}", type_=self.posts.author.expression.type)
            part = self.select_posts(form).where(self.posts.author == author)
            parts.append(self.newest(part, f"{LIMIT}{place}"))
        if len(parts) == 1:
            return self.whole(parts[0])
        rows = sa.union_all(*parts).subquery("rows")
        newest = sa.select(rows).order_by(*self.places.order.clauses(rows.c)).limit(_limit())
        return self.whole(newest, of_union=True)

    def authors(self, *, own: bool) -> sa.Subquery:
        """Select the keys of those whom the viewer follows, each once, and perhaps his own."""
        end = self.end
        edge = end.view.alias("edge")
        near, far = edge.c[end.near_column.key], edge.c[end.far_column.key]
        viewer = sa.bindparam(NEAR, type_=end.near.column.type)
        # Some hosts have everybody follow himself, to have his own posts in the feed.
        keys = sa.select(far.label("author")).where(near == viewer, far != viewer)
        if not end.edges.unique:
            keys = keys.distinct()
        if not own:
            return keys.subquery("authors")
        return sa.union_all(keys, sa.select(viewer.label("author"))).subquery("authors")

    def select_posts(self, form: Form | None) -> Any:
        """Select places and keys of the posts that a page may have."""
        columns = {name: attribute for attribute, name in self.posts.names.items()}
        columns |= self.places.columns
        placed = [place.is_not(None) for place in self.posts.order if _is_nullable(place)]
        return (
            sa.select(*(column.label(name) for name, column in columns.items()))
            .select_from(self.posts.model)
            .where(*self.places.beyond(form), *placed, *self.criteria)
        )

    def newest(self, found: sa.Select[Any], limit: str = LIMIT) -> sa.Select[Any]:
        """Select the newest of the posts found."""
        return found.order_by(*self.places.order.clauses(self.places.columns)).limit(_limit(limit))

    def whole(self, newest: sa.Select[Any], *, of_union: bool = False) -> Any:
        """Select the posts themselves, and the place of each.

        :param of_union: say so of a UNION. SQLAlchemy cannot join what a host's loader option needs
            to one that comes first; MariaDB, which it is for, knows how few rows it has.
        """
        cut, names = newest.subquery("cut"), self.posts.names
        is_it = sa.and_(*(attribute == cut.c[names[attribute]] for attribute in self.posts.keys))
        model, places = self.posts.model, self.places.order.as_sent(cut.c)
        whole: Any = sa.select(model, *places).order_by(*self.places.order.clauses(cut.c))
        if of_union:
            return whole.join_from(model, cut, is_it)
        return whole.select_from(cut).outerjoin(model, is_it)

    def _lateral(self, author: Any, form: Form | None, limit: Any, name: str) -> Any:
        found = self.select_posts(form).where(self.posts.author == author)
        order = self.places.order.clauses(self.places.columns)
        return found.order_by(*order).limit(limit).lateral(name)

    def _newest_of(self, authors: Any, column: Any, form: Form | None) -> Any:
        found = self.select_posts(form).where(self._is_by(authors)).with_only_columns(column)
        one = found.order_by(*self.places.order.clauses(self.places.columns))
        return one.limit(sa.literal_column("1")).correlate(authors).scalar_subquery()

    def _is_by(self, authors: Any) -> sa.ColumnElement[bool]:
        return cast("sa.ColumnElement[bool]", self.posts.author == authors.c.author)


def _limit(name: str = LIMIT) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.Integer)


def _is_nullable(attribute: Any) -> bool:
    return bool(attribute.property.columns[0].nullable)
