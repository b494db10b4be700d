"""Feeds: what is on their pages, whoever follows whom, and what a page costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_login import AnonymousUserMixin
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import joinedload, mapped_column, relationship, selectinload

from flask_follows import ConfigurationError, Feed, Follows, InvalidCursorError
from flask_follows.feed import TIED
from flask_follows.posts import Posts

from .models import TIME, make_post_model, make_user_model
from .work import cost, plan, sent_by, settle

NOON = datetime(2024, 3, 1, 12)


@pytest.fixture
def Post(db: Any, User: Any) -> Any:
    """The posts of a host."""
    return make_post_model(db)


@pytest.fixture
def app(start: Callable[..., Flask], db: Any, User: Any, Post: Any) -> Flask:
    """An application with users and posts."""
    return start(db, User)


@pytest.fixture
def write(session: Any, Post: Any) -> Callable[..., list[Any]]:
    """`write(user, 5, 3)`: posts of a user at these minutes."""

    def write(user: Any, *minutes: int, **fields: Any) -> list[Any]:
        times = [NOON + timedelta(minutes=minute) for minute in minutes]
        made = [Post(author_id=user.id, created_at=time, **fields) for time in times]
        session.add_all(made)
        session.flush()
        return made

    return write


@pytest.fixture
def feed(follows: Any, Post: Any) -> Callable[..., Feed]:
    """`feed(user)`: their feed."""

    def feed(user: Any, **options: Any) -> Feed:
        order = options.pop("order_by", (Post.created_at, Post.id))
        return follows.feed(user, Post.author_id, order_by=order, **options)

    return feed


def all_of(feed: Feed, per_page: int) -> list[Any]:
    """Return the posts on all pages, after a look at what is said of them."""
    found, after = [], None
    while True:
        page = feed.page(after, per_page)
        assert page.previous is None
        assert page.edges == []
        assert page.next is None or len(page) == per_page
        found += page.items
        after = page.next
        if after is None:
            return found


def newest_first(posts: list[Any]) -> list[Any]:
    """Sort posts as a feed does, in plain Python."""
    return sorted(posts, key=lambda post: (post.created_at, post.id), reverse=True)


# What is on a page


def test_a_feed(users, write, feed):
    """Posts of the followed and one's own, newest first, and of nobody else."""
    me, ann, bob, cleo = users(4)
    me.followed.add(ann, bob)
    ann.follow(cleo)
    posts = [*write(me, 4), *write(ann, 1, 5, 3), *write(bob, 2), *write(cleo, 6)]
    mine = [post for post in posts if post.author_id != cleo.id]
    for per_page in 1, 2, 3, 5, 9:
        assert all_of(feed(me), per_page) == newest_first(mine)
        assert all_of(feed(me.id, include_self=False), per_page) == newest_first(mine[1:])


def test_a_feed_of_nothing(users, write, feed):
    """Who follows nobody, or only those who wrote nothing, has what he wrote."""
    me, ann, bob = users(3)
    write(bob, 1)
    assert feed(me).page().items == []
    me.follow(ann)
    page = feed(me).page()
    assert (page.items, page.next, page.previous, page.edges) == ([], None, None, [])
    own = write(me, 1)
    assert feed(me).page().items == own
    assert feed(me, include_self=False).page().items == []


def test_visitors(app, feed, users, User):
    """Who is not logged in, or not saved, has an empty feed; a key that nobody has, too."""
    users(1)
    for nobody in None, AnonymousUserMixin(), User(username="transient"), 4711, 2**70:
        page = feed(nobody).page()
        assert (page.items, page.next) == ([], None)


def test_posts_of_one_time(users, write, feed):
    """Posts of one and the same time are shown by key, each once, on pages of any size."""
    me, *others = users(7)
    me.followed.add(*others)
    posts = [post for _ in range(3) for user in (me, *others) for post in write(user, 1)]
    for per_page in 1, 2, 3, 5, 20, 21, 22:
        assert all_of(feed(me), per_page) == posts[::-1]
        others_posts = [post for post in posts[::-1] if post.author_id != me.id]
        assert all_of(feed(me, include_self=False), per_page) == others_posts


def test_ties_at_the_end_of_a_page(users, write, feed):
    """Of authors with the same newest time, those with the greater keys are on the page."""
    me, *others = users(10)
    me.followed.add(*others)
    first = write(others[0], 9)
    tied = [post for user in others[1:] for post in write(user, 5, 5, 1)]
    expected = newest_first(first + tied)
    for per_page in range(1, 30):
        assert feed(me).page(per_page=per_page).items == expected[:per_page]


def test_ties_that_only_the_database_sees(users, write, feed, session, Post):
    """In an order that begins with a text, "Ann" and "ann" may be one, or not."""
    me, *others = users(9)
    me.followed.add(*others)
    spellings = ["Ann", "ANN", "ann", "aNN", "bob", "Bob"]
    for number, user in enumerate([*others, *others]):
        write(user, number, text=spellings[(number * 5 + number // 8) % 6])
    by_text = Post.text, Post.id
    newest = sa.select(Post).order_by(*(column.desc() for column in by_text))
    expected = session.scalars(newest).all()
    for per_page in range(1, 18):
        assert all_of(feed(me, order_by=by_text), per_page) == expected


class Spoken(sa.types.TypeDecorator[str]):
    """A host's text."""

    impl = sa.String(9)
    cache_ok = True


class Shouted(sa.types.TypeDecorator[str]):
    """One on top of another."""

    impl = Spoken
    cache_ok = True


class Spelled(sa.types.UserDefinedType[str]):
    """A type that only the host knows."""

    cache_ok = True

    def get_col_spec(self) -> str:
        return "VARCHAR(9)"


@pytest.mark.parametrize(
    ("kind", "tells"),
    [
        *((kind, True) for kind in (sa.Integer(), sa.BigInteger(), sa.DateTime(), TIME)),
        *((kind, False) for kind in (sa.String(9), sa.Text(), Shouted(), Spelled())),
    ],
    ids=str,
)
def test_which_ties_are_seen(db, User, kind, tells):
    """Only of times and numbers is it sure that the database compares them as Python does."""
    Post = make_post_model(db, place=mapped_column(kind, nullable=False))
    assert Posts.of(Post.author_id, (Post.place, Post.id)).tells_ties is tells


KEYS = st.integers(1, 9)
GRAPHS = st.sets(st.tuples(KEYS, KEYS).filter(lambda pair: pair[0] != pair[1]))
WRITTEN = st.lists(st.tuples(KEYS, st.integers(0, 3), st.booleans()), max_size=25)


def test_any_graph(app, session, follows, User, Post, feed):
    """On any graph, with ties and silent users, the pages are those of plain Python."""
    session.add_all(User(id=key, username=f"u{key}") for key in range(1, 10))
    session.commit()
    wheres = {None: None, False: ~Post.is_draft, True: [Post.is_draft, Post.id > 0]}

    @settings(max_examples=settings().max_examples // 5)
    @given(GRAPHS, WRITTEN, st.integers(1, 6), st.booleans(), st.sampled_from([*wheres]))
    def check(pairs, written, per_page, include_self, drafts):
        follows.add_many(pairs)
        posts = [
            Post(id=n, author_id=author, created_at=NOON + timedelta(minutes=time), is_draft=draft)
            for n, (author, time, draft) in enumerate(written, 1)
        ]
        session.add_all(posts)
        for viewer in range(1, 10):
            authors = {pair[1] for pair in pairs if pair[0] == viewer}
            authors |= {viewer} if include_self else set()
            expected = [
                post
                for post in posts
                if post.author_id in authors and drafts in (None, post.is_draft)
            ]
            made = feed(viewer, include_self=include_self, where=wheres[drafts])
            assert all_of(made, per_page) == newest_first(expected)
        session.rollback()

    check()


def test_posts_written_between_pages(users, write, feed, session):
    """New posts shift nothing; deleted ones, and the place itself, take nothing with them."""
    me, ann = users(2)
    me.follow(ann)
    posts = write(ann, 6, 5, 4, 3, 2)
    first = feed(me).page(per_page=2)
    write(ann, 9)
    late = write(me, 1)
    session.delete(posts[1])
    session.delete(posts[2])
    assert feed(me).page(first.next).items == [posts[3], posts[4], *late]


@pytest.mark.parametrize("name", ["limit", "near", "place0", "author0", "viewer"])
def test_parameters_of_the_host(users, write, feed, Post, name):
    """Criteria may have parameters of any name, with the host's own values."""
    me, other = users(2)
    me.follow(other)
    posts = [*write(me, 0, 2, 4), *write(other, 1, 3, 5)]
    posts.sort(key=lambda post: post.id)
    where = Post.id <= sa.bindparam(name, posts[3].id, type_=sa.Integer)
    for per_page in 1, 3, 9:
        assert all_of(feed(me, where=where), per_page) == newest_first(posts[:4])


@pytest.mark.parametrize("name", ["follows_limit", "follows_near", "follows_place0"])
def test_parameters_with_names_of_ours(users, feed, follows, Post, User, name):
    """They would get our values, so they are refused."""
    (me,) = users(1)
    for ask in (
        lambda: feed(me, where=[Post.id > 0, Post.id < sa.bindparam(name, 7)]),
        lambda: follows.suggestions(me, where=User.id < sa.bindparam(name, 7)),
    ):
        with pytest.raises(ConfigurationError, match=f"a parameter '{name}'"):
            ask()


def test_criteria_apply_within_each_author(users, write, feed, Post, User):
    """Pages stay full whatever is left out, also by what holds for the author."""
    me, ann, bob = users(3)
    me.followed.add(ann, bob)
    write(ann, *range(30, 60), is_draft=True)
    good = [*write(ann, 1, 2, 3), *write(bob, 4, 5)]
    page = feed(me, where=Post.is_draft.is_(False)).page(per_page=4)
    assert page.items == newest_first(good)[:4]
    where = [Post.is_draft.is_(False), Post.author.has(User.username == "u1")]
    assert all_of(feed(me, where=where), 2) == newest_first(good[:3])
    assert len(feed(me).page(per_page=33)) == 33


def test_options(users, write, feed, session, Post, assert_statements, database):
    """Loader options reach the posts, a collection loaded by a join does not shorten a page."""
    me, ann = users(2)
    me.follow(ann)
    write(ann, 1, 2, 3)
    session.commit()
    steps = 1 + (database.name in ("mariadb", "mysql"))
    key = me.id
    for option, statements in ((joinedload(Post.author), 0), (selectinload(Post.author), 1)):
        session.expunge_all()
        with assert_statements(steps + statements):
            page = feed(key, options=option).page(per_page=2)
            assert [post.author.username for post in page] == ["u1", "u1"]


def test_hidden_posts(users, write, feed, session, Post):
    """What a loader criterion hides is not on the pages, and these stay full."""
    me, ann = users(2)
    me.follow(ann)
    posts = write(ann, 1, 2, 3, 4, 5)

    @sa.event.listens_for(session(), "do_orm_execute")
    def hide(state):
        if state.is_select:
            criterion = sa.orm.with_loader_criteria(Post, Post.id != posts[3].id)
            state.statement = state.statement.options(criterion)

    assert feed(me).page(per_page=3).items == [posts[4], posts[2], posts[1]]


def test_a_join_that_a_hook_of_the_host_asks_for(start, db):
    """A page is whole where an event adds loader options, which nobody sees before."""
    User = make_user_model(db)
    Post = make_post_model(db, labels=relationship("Label"))
    post_id = mapped_column(sa.ForeignKey("post.id"))
    Label = make_user_model(db, name="Label", mixins=(), username=None, post_id=post_id)
    extension = Follows()
    start(db, User, extension)
    me = User(username="me")
    db.session.add(me)
    db.session.flush()
    post = Post(author_id=me.id, created_at=NOON)
    db.session.add(post)
    db.session.flush()
    db.session.add_all([Label(post_id=post.id), Label(post_id=post.id)])
    db.session.flush()
    db.session.expire(post)

    @sa.event.listens_for(db.session(), "do_orm_execute")
    def join(state):
        if any(column["entity"] is Post for column in state.statement.column_descriptions):
            state.statement = state.statement.options(joinedload(Post.labels))

    page = extension.feed(me, Post.author_id, (Post.created_at, Post.id)).page()
    assert [len(post.labels) for post in page] == [2]


def test_deleted_users(users, write, feed, session):
    """Posts of a deleted user are gone with him, or stay where the host keeps them."""
    me, ann, bob = users(3)
    me.followed.add(ann, bob)
    kept = write(bob, 1)
    session.delete(ann)
    session.flush()
    assert feed(me).page().items == kept


def test_pending_rows_are_on_the_page(users, feed, session, follows, Post):
    """What was added to the session is flushed before the page is read."""
    me, ann = users(2)
    session.add(follows.Follow(follower=me, followed=ann))
    post = Post(author_id=ann.id, created_at=NOON)
    session.add(post)
    assert feed(me).page().items == [post]


def test_who_follows_himself(db, start, follows, User, Post):
    """Nobody's posts come twice where users may follow themselves; and own ones may be left out."""
    follows = type(follows)(allow_self_follow=True)
    start(db, User, follows)
    me = User(username="me")
    db.session.add(me)
    me.follow(me)
    post = Post(author_id=me.id, created_at=NOON)
    db.session.add(post)
    order = (Post.created_at, Post.id)
    assert follows.feed(me, Post.author_id, order).page().items == [post]
    assert follows.feed(me, Post.author_id, order, include_self=False).page().items == []


def test_an_adopted_table(db, make_app, User, Post):
    """A table of the host's, with several edges of one pair, shows no post twice."""

    class Link(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        src = mapped_column(sa.ForeignKey("user.id"))
        dst = mapped_column(sa.ForeignKey("user.id"))

    app = make_app(db)
    follows = Follows(app, db, User, follow_model=Link, through_fields=("src", "dst"))
    with app.app_context():
        db.create_all()
        me, ann, bob = (User(username=f"u{number}") for number in range(3))
        db.session.add_all([me, ann, bob])
        db.session.flush()
        pairs = [(me, ann), (me, ann), (me, bob), (me, me), (bob, me)]
        db.session.add_all(Link(src=a.id, dst=b.id) for a, b in pairs)
        db.session.add(Link(src=me.id, dst=None))
        posts = [Post(author_id=user.id, created_at=NOON) for user in (ann, bob, ann, me)]
        db.session.add_all(posts)
        db.session.flush()
        order = (Post.created_at, Post.id)
        feed = follows.feed(me, Post.author_id, order_by=order)
        assert all_of(feed, 3) == posts[::-1]
        feed = follows.feed(me, Post.author_id, order_by=order, include_self=False)
        assert all_of(feed, 1) == posts[2::-1]


def test_thousands_are_followed(session, users, follows, feed, User, Post):
    """A viewer of thousands has the same pages as plain Python."""
    (me,) = users(1)
    keys = range(1000, 3500)
    session.execute(sa.insert(User), [{"id": key, "username": f"many{key}"} for key in keys])
    follows.add_many([(me.id, key) for key in keys])
    rows = [
        {"id": key, "author_id": key, "created_at": NOON + timedelta(minutes=key % 7)}
        for key in keys
    ]
    session.execute(sa.insert(Post), rows)
    expected = sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)
    first = feed(me).page()
    both = [*first, *feed(me).page(first.next)]
    assert [post.id for post in both] == [row["id"] for row in expected[:40]]


def test_bad_cursors(users, write, feed, session):
    """A bad cursor is refused before the database sees it, so the transaction goes on."""
    (me,) = users(1)
    write(me, 1, 2)
    cursor = feed(me).page(per_page=1).next
    for bad in "", "garbage", cursor[:-1], 7:
        with pytest.raises(InvalidCursorError):
            feed(me).page(bad)
    with pytest.raises(InvalidCursorError, match="cannot exist"):
        feed(me).page(cursor_at(feed(me), NOON, 2**70))
    for size in 0, -1, 2**31:
        with pytest.raises(ValueError, match="per_page"):
            feed(me).page(per_page=size)
    session.commit()
    assert len(feed(me).page(cursor)) == 1


# What it costs

AUTHORS = range(10, 70)
VIEWERS = {"few": (1, AUTHORS[:6]), "many": (2, AUTHORS), "quiet": (3, range(80, 90))}


@pytest.fixture
def crowd(session: Any, follows: Any, User: Any) -> None:
    """Viewers of few and of many, and one of those who fell silent."""
    session.execute(sa.insert(User), [{"id": key, "username": f"u{key}"} for key in range(1, 100)])
    follows.add_many([(me, other) for me, others in VIEWERS.values() for other in others])
    # Many others, so that there is more than one reader's worth to find.
    follows.add_many([(key, other) for key in range(30, 100) for other in range(4, 30)])


@pytest.fixture
def publish(session: Any, db: Any, Post: Any, User: Any, follows: Any) -> Callable[..., None]:
    """`publish(20, NOON)`: so many posts of each author, a minute apart, up to that time."""

    def publish(number: int, until: datetime, authors: Any = AUTHORS) -> None:
        rows = [
            {
                "author_id": author,
                "created_at": until - timedelta(minutes=place, seconds=author),
                "is_draft": False,
                "text": "x" * 400,
            }
            for place in range(number)
            for author in authors
        ]
        session.execute(sa.insert(Post), rows)
        session.commit()
        settle(db.engine, [User.__table__, follows.Follow.__table__, Post.__table__])

    return publish


def costs_of(db: Any, feed: Any, time: datetime | None = None) -> dict[str, int]:
    """Return what a page costs each viewer: the first one, or what is older than a time."""
    costs = {}
    for name, (viewer, _) in VIEWERS.items():
        mine = feed(viewer)
        after = time and cursor_at(mine, time)
        sent = sent_by(db.engine, lambda mine=mine, after=after: mine.page(after))
        with db.engine.connect() as connection:
            costs[name] = sum(cost(connection, each) for each in sent)
    return costs


def cursor_at(feed: Feed, time: datetime, key: int = 1) -> str:
    """Return the cursor of a place in a feed."""
    places = feed.prepared.places
    return places.order.place([f"{time:%Y-%m-%d %H:%M:%S.%f}" if places.is_text else time, key])


# What a page of twenty may cost for each whom the viewer follows, and besides.
FOR_EACH = {"sqlite": 40, "postgresql": 30, "mariadb": 8, "mysql": 8}
BESIDES = {"sqlite": 1600, "postgresql": 600, "mariadb": 450, "mysql": 450}


def test_a_page_costs_the_same_however_many_posts_there_are(crowd, publish, feed, db):
    """Ten times the posts, older and newer ones, make a page no dearer; nor does its depth.

    But for MariaDB, which reads in the index what the followed have written since.
    """
    newer, name = 25, db.engine.dialect.name
    publish(2, NOON - timedelta(days=999), VIEWERS["quiet"][1])
    publish(newer, NOON)
    before = costs_of(db, feed)
    publish(200, NOON - timedelta(days=9))
    publish(25, NOON + timedelta(days=9), range(4, 9))
    after, deep = costs_of(db, feed), costs_of(db, feed, NOON - timedelta(days=9))
    since = newer if name in ("mariadb", "mysql") else 0
    for viewer, (_, followed) in VIEWERS.items():
        most = FOR_EACH[name] * len(followed) + BESIDES[name]
        assert after[viewer] <= min(most, 1.2 * before[viewer] + 60), (before, after)
        assert deep[viewer] <= most + since * len(followed), (after, deep)


def test_the_posts_of_a_page_are_read_by_key(crowd, publish, feed, db):
    """All but the posts that are shown is read from indexes; no plan begins with the posts."""
    publish(30, NOON)
    for viewer, _ in VIEWERS.values():
        sent = sent_by(db.engine, lambda viewer=viewer: feed(viewer).page())
        with db.engine.connect() as connection:
            lines = "\n".join(plan(connection, each) for each in sent)
        assert "SCAN post" not in lines
        assert "Seq Scan on post" not in lines
        assert " post ALL" not in lines.replace("None", "")
        assert "ix_post_feed" in lines


def test_statements_of_a_page(users, write, feed, assert_statements, database):
    """A page is one statement; two where there is no LATERAL, and a third for many ties."""
    me, *others = users(1 + 2 + 1 + TIED)
    me.followed.add(*others)
    for minute, user in enumerate(others):
        write(user, minute, minute)
    steps = 1 + (database.name in ("mariadb", "mysql"))
    for size in 1, 3, 5, 20:
        with assert_statements(steps):
            page = feed(me).page(per_page=size)
        with assert_statements(steps):
            feed(me).page(page.next, size)
    for number, user in enumerate(others, 1):
        write(user, 99)
        is_third = steps == 2 and number == len(others)
        with assert_statements(steps + is_third):
            feed(me).page(per_page=2)
    with assert_statements(0):
        feed(None).page()


def test_statements_are_built_once(users, write, feed, follows, Post):
    """For each kind of feed they are made at first use; later pages only bind values."""
    me, ann = users(2)
    me.follow(ann)
    write(ann, 1, 2, 3)
    prepared = feed(me).prepared
    assert prepared is feed(ann).prepared
    misses = []
    for size in 1, 2, 1:
        for viewer in me, ann:
            feed(viewer).page(feed(viewer).page(per_page=size).next, per_page=size)
        misses.append(prepared.get.cache_info().misses)
    assert misses[0] == misses[1] == misses[2] <= 6
    assert feed(me, where=Post.id > 0).prepared is not prepared
