"""Feeds: the posts of those whom a user follows, newest first, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .beyond import Form, form_for
from .clauses import LIMIT, NEAR, criteria, several
from .errors import ConfigurationError
from .feed_statements import AUTHOR, FeedStatements
from .paging import Page, once_each, page_size
from .posts import Posts
from .relation import Relation
from .streams import refuse_in_stream
from .viewers import viewer_key

__all__ = ["Feed", "Feeds"]

Row: TypeAlias = tuple[Any, ...]
# Authors read beyond those that fit on a page: they may share the time of the last.
TIED = 4


class Feeds:
    """The feeds of one relation; statements are built once for each kind of feed."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        # On this object, and not in the module: they would keep the host's classes alive.
        self._posts = lru_cache(maxsize=32)(Posts.of)
        self._prepared = lru_cache(maxsize=64)(self._prepare)

    def feed(
        self,
        user: Any,
        author: Any,
        order_by: Any,
        *,
        include_self: bool = True,
        where: Any = None,
        options: Any = None,
    ) -> Feed:
        """Return the posts by those whom a user follows, newest first. No statement yet.

        :param user: the viewer, as object or key; a visitor who is not logged in has an empty feed.
        :param author: the attribute with the author's key, of any mapped class: `Post.author_id`.
        :param order_by: the order, descending, which ends with the primary key:
            `(Post.created_at, Post.id)`. Posts with NULL there are left out.
        :param include_self: whether the viewer's own posts are in it.
        :param where: further criteria on the posts, one or several; pages stay full.
        :param options: loader options for the posts, one or several.
        :raises ConfigurationError: something else than columns of one class, an order in which two
            posts may have the same place, or posts in another database than the edges.
        """
        posts = self._posts(author, tuple(dict.fromkeys(several(order_by))))
        session = self._relation.session_for(user)
        near = viewer_key(self._relation.source, user)
        dialect = self._database_of(session, posts).dialect
        if near is not None and not self._relation.source.can_hold(near, dialect):
            near = None
        further = tuple(criteria(where))
        prepare = self._prepare if further else self._prepared
        prepared = prepare(posts, dialect.name, include_self, further)
        return Feed(prepared, session, near, tuple(several(options)), dialect)

    def _database_of(self, session: Session, posts: Posts) -> sa.Engine:
        """Return the database of the posts, which must be that of the edges.

        :raises ConfigurationError: it is another one (a bind key), which no database can join.
        """
        edges = session.get_bind(mapper=self._relation.edge_table.mapper).engine
        engine = session.get_bind(mapper=posts.mapper).engine
        if engine is not edges and engine.url != edges.url:
            raise ConfigurationError(
                f"{posts.model.__name__} and {self._relation!r} are in two databases (bind keys), "
                "which no database can join; a feed needs both in one"
            )
        return engine

    def _prepare(
        self, posts: Posts, dialect_name: str, include_self: bool, criteria: Sequence[Any]
    ) -> Prepared:
        places = posts.places(dialect_name)
        end = self._relation.end(False)
        return Prepared(FeedStatements(end, posts, places, include_self, criteria))


class Prepared:
    """A kind of feed in a kind of database, with the statements that it has needed so far."""

    def __init__(self, statements: FeedStatements) -> None:
        self.statements = statements
        self.places = statements.places
        self.get = lru_cache(maxsize=128)(self._build)

    def _build(self, name: str, *arguments: Any) -> sa.Select[Any]:
        statement: sa.Select[Any] = getattr(self.statements, name)(*arguments)
        return statement


@dataclass(frozen=True, eq=False)
class Feed:
    """The posts by those whom a user follows, newest first: what `follows.feed(...)` returns."""

    prepared: Prepared
    session: Session
    near: Any
    options: Sequence[Any]
    dialect: sa.Dialect

    def page(self, after: str | None = None, per_page: int | None = None) -> Page[Any]:
        """Return one keyset page. One statement; two on MariaDB and MySQL.

        Three there where the newest posts of many authors have one and the same time.

        :param after: the `next` cursor of a page: what is older.
        :param per_page: how many, 20 if not given.
        :raises InvalidCursorError: the cursor is not one of this feed's.
        :raises ValueError: `per_page` below 1.
        """
        size, places = page_size(per_page, after, None), self.prepared.places
        values = places.values(after, self.dialect)
        if self.near is None:
            return Page([])
        parameters = {NEAR: self.near, LIMIT: size + 1}
        parameters |= dict(zip(places.columns, values or (), strict=False))
        form = None if values is None else form_for(self.dialect)
        rows = _WAYS.get(self.dialect.name, _joined)(self, form, parameters)
        page = places.order.cut(rows, after, None, size, dialect=self.dialect)
        # The way back is not offered: what is new in a feed is found by its first page.
        return replace(page, previous=None)

    def run(self, name: str, arguments: Sequence[Any], parameters: Mapping[str, Any]) -> list[Row]:
        """Run a statement that gives posts; return its rows."""
        statement = self.prepared.get(name, *arguments)
        if self.options:  # a copy, of which SQLAlchemy would have to make the cache key anew
            statement = statement.options(*self.options)
        return once_each(self._execute(statement, parameters))

    def frontier(
        self, form: Form | None, parameters: Mapping[str, Any], *, exact: bool
    ) -> list[Row]:
        """Return the authors with the newest posts, each with the place of that post."""
        statement = self.prepared.get("frontier", form, exact)
        rows = self._execute(statement, parameters)
        return [row for row in map(tuple, rows) if row[1] is not None]

    def _execute(self, statement: Any, parameters: Mapping[str, Any]) -> sa.Result[Any]:
        bind = {"mapper": self.prepared.statements.posts.mapper}
        refuse_in_stream(self.session, **bind)
        return self.session.execute(statement, parameters, bind_arguments=bind)


def _joined(feed: Feed, form: Form | None, parameters: Mapping[str, Any]) -> list[Row]:
    return feed.run("joined", [form], parameters)


def _lateral(feed: Feed, form: Form | None, parameters: Mapping[str, Any]) -> list[Row]:
    return feed.run("lateral", [form], parameters)


def _two_steps(feed: Feed, form: Form | None, parameters: Mapping[str, Any]) -> list[Row]:
    """Find the authors that a page can be of, and then the page.

    An author whose newest post is older than that of so many others as fit on the page has none
    on it.
    """
    limit, authors = parameters[LIMIT], _authors_of_page(feed, form, parameters)
    limits = {author: limit - newer for author, newer in _ranked(authors)}
    if feed.prepared.statements.include_self:
        limits[feed.near] = limit
    if not limits:
        return []
    values = dict(parameters)
    for place, (author, most) in enumerate(limits.items()):
        values |= {f"{AUTHOR}{place}": author, f"{LIMIT}{place}": most}
    del values[NEAR]
    return feed.run("branches", [form, len(limits)], values)


def _authors_of_page(feed: Feed, form: Form | None, parameters: Mapping[str, Any]) -> list[Row]:
    """Return the authors of whom a page can be, those with the newest posts first."""
    limit = parameters[LIMIT]
    if feed.prepared.statements.posts.tells_ties:
        found = feed.frontier(form, {**parameters, LIMIT: limit + TIED}, exact=False)
        number = _number_with_ties(found, limit)
        if number < limit + TIED:  # else there may be more of them
            return found[:number]
    return feed.frontier(form, parameters, exact=True)


def _number_with_ties(authors: Sequence[Row], limit: int) -> int:
    """Return the limit, and how many come after it whose newest post is as new as the last's."""
    number = limit
    while number < len(authors) and authors[number][1] == authors[limit - 1][1]:
        number += 1
    return number


def _ranked(authors: Sequence[Row]) -> list[tuple[Any, int]]:
    """Return each author with the number of those whose newest post is newer."""
    ranked: list[tuple[Any, int]] = []
    for place, (author, newest, *_) in enumerate(authors):
        is_tied = place > 0 and authors[place - 1][1] == newest
        ranked.append((author, ranked[-1][1] if is_tied else place))
    return ranked


_WAYS = {"postgresql": _lateral, "mysql": _two_steps, "mariadb": _two_steps}
