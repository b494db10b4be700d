"""What a host may call posts: any class, any order, with the index that is needed or without."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import mapped_column

from flask_follows import ConfigurationError, Feed, posts
from flask_follows.feed import Feeds

from .models import TIME, make_post_model, make_user_model

NOON = datetime(2024, 3, 1, 12)


def all_of(feed: Feed, per_page: int) -> list[Any]:
    """Return the posts on all pages."""
    pages = [feed.page(per_page=per_page)]
    while pages[-1].next:
        pages.append(feed.page(pages[-1].next, per_page))
    return [post for page in pages for post in page]


@pytest.fixture
def Post(db: Any, User: Any) -> Any:
    """The plainest posts."""
    return make_post_model(db)


def test_any_class_and_any_order(db, start, follows, User):
    """The author may be any column of any class, the order may have one column or three."""
    Note = make_post_model(
        db,
        created_at=None,
        is_draft=None,
        stars=mapped_column(sa.Integer, nullable=True),
        tag=mapped_column(sa.String(20), nullable=False),
        author_id=mapped_column("by whom", sa.ForeignKey("user.id"), nullable=True),
        __table_args__={},
    )
    start(db, User)
    me, ann = User(username="me"), User(username="ann")
    db.session.add_all([me, ann])
    me.follow(ann)
    rows = [(1, "b", ann), (3, "a", me), (1, "c", ann), (None, "d", ann), (1, "b", me)]
    notes = [Note(stars=stars, tag=tag, author_id=user.id) for stars, tag, user in rows]
    db.session.add_all([*notes, Note(stars=9, tag="nobody's", author_id=None)])
    db.session.flush()
    by_stars = follows.feed(me, Note.author_id, (Note.stars, Note.tag, Note.id))
    expected = sorted(notes[:3] + notes[4:], key=lambda n: (n.stars, n.tag, n.id), reverse=True)
    for per_page in 1, 2, 5:
        assert all_of(by_stars, per_page) == expected
    by_key = follows.feed(me, Note.author_id, order_by=Note.id)
    assert all_of(by_key, 2) == notes[::-1]


def test_posts_in_two_tables(db, start, follows, User, Post):
    """Posts of a class below another's, with a table of its own, are loaded whole."""
    body = {
        "id": mapped_column(sa.ForeignKey("post.id"), primary_key=True),
        "__tablename__": "talk",
    }
    Talk = type(
        "Talk", (Post,), {"__module__": __name__, **body, "room": mapped_column(sa.String(9))}
    )
    start(db, User)
    me = User(username="me")
    db.session.add(me)
    db.session.flush()
    talks = [Talk(author_id=me.id, created_at=NOON, room=f"r{number}") for number in range(3)]
    db.session.add_all([*talks, Post(author_id=me.id, created_at=NOON)])
    db.session.flush()
    feed = follows.feed(me, Talk.author_id, (Talk.created_at, Talk.id))
    assert all_of(feed, 2) == talks[::-1]
    whole = follows.feed(me, Post.author_id, (Post.created_at, Post.id))
    assert len(all_of(whole, 2)) == 4


def test_times_that_the_database_writes(db, start, follows, User):
    """A time without a fraction, as CURRENT_TIMESTAMP has it, is no trap for the pages."""
    Post = make_post_model(
        db, created_at=mapped_column(TIME, server_default=sa.func.now(), nullable=False)
    )
    start(db, User)
    me = User(username="me")
    db.session.add(me)
    db.session.flush()
    db.session.execute(sa.insert(Post), [{"author_id": me.id}] * 3)
    (time,) = set(db.session.scalars(sa.select(Post.created_at)))
    db.session.add(Post(author_id=me.id, created_at=time.replace(microsecond=0)))
    db.session.add(Post(author_id=me.id, created_at=time + timedelta(seconds=1)))
    db.session.flush()
    feed = follows.feed(me, Post.author_id, (Post.created_at, Post.id))
    for per_page in 1, 2, 3:
        found = all_of(feed, per_page)
        assert (len(found), len(set(found))) == (5, 5)
        assert [post.created_at for post in found] == sorted(
            (post.created_at for post in found), reverse=True
        )


def test_keys_of_other_kinds(db, start, follows):
    """Users and posts may have keys of any kind."""
    User = make_user_model(db, key=sa.String(20))
    Post = make_post_model(db, key=sa.Uuid, text=None)
    start(db, User)
    db.session.add_all([User(id="ann", username="a"), User(id="o'bob", username="b")])
    follows.follow("ann", "o'bob")
    posts = [
        Post(id=UUID(int=number), author_id=author, created_at=NOON)
        for number, author in enumerate(["ann", "o'bob", "o'bob"], 1)
    ]
    db.session.add_all(posts)
    feed = follows.feed("ann", Post.author_id, (Post.created_at, Post.id))
    assert all_of(feed, 1) == posts[::-1]
    assert follows.feed("\0", Post.author_id, (Post.created_at, Post.id)).page().items == []


def test_what_is_refused(start, db, follows, User, Post):
    """Each wrong use is told of before anything is read, with what to give instead."""
    start(db, User)
    order = (Post.created_at, Post.id)
    for wrong in Post.author, "author_id", Post.__table__.c.author_id, Post, sa.func.now(), None:
        with pytest.raises(ConfigurationError, match="column attributes of a mapped class, not"):
            follows.feed(1, wrong, order)
        with pytest.raises(ConfigurationError, match=r"Post.author_id, order_by=\(Post"):
            follows.feed(1, Post.author_id, (wrong, Post.id))
    with pytest.raises(ConfigurationError, match="column attributes"):
        follows.feed(1, sa.orm.aliased(Post).author_id, order)
    with pytest.raises(ConfigurationError, match=r"Post.author_id and User.id are not"):
        follows.feed(1, Post.author_id, (Post.created_at, User.id))
    with pytest.raises(ConfigurationError, match=r"order_by=\(Post.created_at, Post.id\)"):
        follows.feed(1, Post.author_id, Post.created_at)
    with pytest.raises(ConfigurationError, match=r"primary key, .*: order_by=\(Post.id\)"):
        follows.feed(1, Post.author_id, ())


def test_a_column_that_is_named_twice(db, start, follows, User, Post):
    """It is one column of the order, as in an ORDER BY."""
    start(db, User)
    twice = follows.feed(1, Post.author_id, (Post.created_at, Post.id, Post.created_at, Post.id))
    assert twice.page().items == []
    assert len(twice.prepared.places.columns) == 2


def test_posts_in_another_database(db, start, follows, User, make_database):
    """No statement can join them to the edges: that is said, and nothing is sent."""
    author = mapped_column(sa.Integer)
    Post = make_post_model(db, author_id=author, author=None, __bind_key__="elsewhere")
    start(db, User, SQLALCHEMY_BINDS={"elsewhere": make_database()})
    with pytest.raises(ConfigurationError, match=r"Post and .* are in two databases"):
        follows.feed(1, Post.author_id, (Post.created_at, Post.id))


def test_an_order_that_no_cursor_holds(db, start, follows, User):
    """An order by a type that cannot stand in a cursor is refused at once."""
    Post = make_post_model(db, text=mapped_column(sa.Float))
    start(db, User)
    with pytest.raises(ConfigurationError, match=r"Post\.text is of type float"):
        follows.feed(1, Post.author_id, (Post.text, Post.id))


def test_a_unique_column_ends_an_order(db, start, follows, User):
    """A unique column makes places as different as the key does."""
    Post = make_post_model(db, text=mapped_column(sa.String(20), unique=True, nullable=False))
    start(db, User)
    me = User(username="me")
    db.session.add(me)
    db.session.flush()
    posts = [Post(author_id=me.id, created_at=NOON, text=text) for text in "bac"]
    db.session.add_all(posts)
    feed = follows.feed(me, Post.author_id, (Post.created_at, Post.text))
    assert [post.text for post in all_of(feed, 1)] == ["c", "b", "a"]


# What is said of a missing index


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """The hints that were logged, in a process that has logged none before."""
    monkeypatch.setattr(posts, "_TOLD", set())
    caplog.set_level(logging.WARNING, "flask_follows")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_hint_when_the_index_is_missing(db, User, start, follows, hints):
    """It is logged once in a process for each column, and says what to add."""
    Post = make_post_model(db, __table_args__=(sa.Index("ix", "author_id", "created_at"),))
    start(db, User)
    for _ in range(2):
        follows.feed(1, Post.author_id, (Post.created_at, Post.id))
        Feeds(follows.follow_relation).feed(1, Post.author_id, (Post.created_at, Post.id))
    (hint,) = hints()
    assert 'Index("ix_post_feed", "author_id", "created_at", "id")' in hint
    assert "The feed of Post" in hint


def test_no_hint_when_there_is_an_index(db, start, follows, User, Post, hints):
    """An index that begins with author and order is what is needed."""
    start(db, User)
    follows.feed(1, Post.author_id, (Post.created_at, Post.id))
    assert hints() == []


@pytest.mark.parametrize("kind", ["unique", "descending"])
def test_other_indexes_that_do(db, User, start, follows, hints, kind):
    """A unique key serves as well, and so does an index in the order of reading."""
    index = {
        "unique": sa.UniqueConstraint("author_id", "created_at", "id", "text"),
        "descending": sa.Index("ix", "author_id", sa.desc("created_at"), sa.desc("id")),
    }[kind]
    Post = make_post_model(db, __table_args__=(index,), text=mapped_column(sa.String(20)))
    start(db, User)
    follows.feed(1, Post.author_id, (Post.created_at, Post.id))
    assert hints() == []
