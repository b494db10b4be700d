"""Reads of one object's edges: what they return, and what they cost the database.

Costs are in rows and plan steps as the database itself counts them (`work.py`), never in time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import mapped_column

from flask_follows import Follows, InvalidCursorError
from flask_follows.keys import Endpoint
from flask_follows.page_reads import PageReads
from flask_follows.reads import End

from .models import make_user_model
from .work import cost, plan, sent_by, settle

NOON = datetime(2024, 3, 1, 12, tzinfo=timezone.utc)
USERS = 1500
CELEBRITY = 1  # followed by all, and follows all
PER_PAGE = 20
# What a page of twenty may cost at most; reading all of the celebrity's edges costs more than
# that everywhere: 1500 rows, and on SQLite six steps for each.
PAGE = {"sqlite": 1000, "postgresql": 150, "mariadb": 150, "mysql": 150}
# Up to some hundred edges of one user, PostgreSQL rather reads them all from an index.
EDGES = {**PAGE, "postgresql": 900}


@pytest.fixture
def follows(request: pytest.FixtureRequest) -> Follows:
    """An extension object with the options that the test names."""
    return Follows(**getattr(request, "param", {}))


@pytest.fixture
def User(db: Any) -> Any:
    """Users of some weight: to read all of them is no way to find twenty."""
    return make_user_model(db, about=mapped_column(sa.Text, nullable=True))


@pytest.fixture
def ends(app: Any, follows: Follows) -> list[End]:
    """Both ends of the follow relation: what one follows, and one's followers."""
    return [follows.follow_relation.end(False), follows.follow_relation.end(True)]


# What they return


def test_both_ends(ends, users, session, follows):
    """Each end has its near and far side; a pair is in the relation's order at both."""
    forward, backward = ends
    first, second, third = (user.id for user in users(3))
    follows.follow(first, second)
    follows.follow(first, third)
    assert (forward.reverse, backward.reverse) == (False, True)
    assert forward.pair("a", "b") == ("a", "b")
    assert backward.pair("a", "b") == ("b", "a")
    assert (forward.near_column.name, forward.far_column.name) == ("follower_id", "followed_id")
    assert (backward.near_column.name, backward.far_column.name) == ("followed_id", "follower_id")
    assert forward.contains(session(), first, second)
    assert backward.contains(session(), second, first)
    assert not forward.contains(session(), second, first)
    assert (forward.count(session(), first), backward.count(session(), first)) == (2, 0)
    assert (forward.exists(session(), first), backward.exists(session(), first)) == (True, False)
    assert forward.keys(session(), first) == [third, second]
    assert backward.keys(session(), second) == [first]


def test_order(ends):
    """Newest first, then by the far key; by key alone where edges have no time."""
    forward, backward = ends
    assert [column.name for column in forward.order.columns] == ["created_at", "followed_id"]
    assert [column.name for column in backward.order.columns] == ["created_at", "follower_id"]
    timeless = dataclasses.replace(backward, edges=dataclasses.replace(backward.edges, time=None))
    assert [column.name for column in timeless.order.columns] == ["follower_id"]
    assert [str(clause) for clause in timeless.newest_first] == ["follows.follower_id DESC"]


def test_pages_without_a_time(ends, users, session, follows):
    """Edges without a time are paged by key, forwards and backwards."""
    _, backward = ends
    first, *others = users(6)
    first.followers.add(*others)
    timeless = dataclasses.replace(backward, edges=dataclasses.replace(backward.edges, time=None))
    pages = PageReads(timeless)
    page = pages.read(session(), first.id, None, None, 2)
    assert page.items == [others[4], others[3]]
    page = pages.read(session(), first.id, page.next, None, 2)
    assert page.items == [others[2], others[1]]
    assert pages.read(session(), first.id, None, page.previous, 9).items == others[:2:-1]
    assert timeless.keys(session(), first.id) == [other.id for other in reversed(others)]
    with pytest.raises(InvalidCursorError):
        pages.read(session(), first.id, first.followers.page(per_page=1).next, None, 2)


def test_select_may_be_narrowed(ends, users, session, User):
    """The SELECT takes criteria, fields and limits like any of the objects' own."""
    first, *others = users(4)
    first.followers.add(*others)
    select = ends[1].select(first.id)
    assert session.scalars(select).all() == others[::-1]
    assert session.scalars(select.filter_by(username="u2")).all() == [others[1]]
    assert session.scalars(select.order_by(None).order_by(User.id).limit(1)).all() == others[:1]
    assert session.scalar(sa.select(sa.func.count()).select_from(select.subquery())) == 3


def test_a_place_whose_key_cannot_be(ends, session):
    """A cursor with a key out of range is refused before the database sees it."""
    cursor = ends[0].order.place([NOON, 2**63])
    with pytest.raises(InvalidCursorError, match="cannot exist"):
        PageReads(ends[0]).place(cursor, session.get_bind().dialect)
    assert PageReads(ends[0]).place(None, session.get_bind().dialect) is None


# What they cost


@pytest.fixture
def connection(session: Any, db: Any) -> Iterator[sa.Connection]:
    """A connection apart from the session's, to ask the database about its work."""
    with db.engine.connect() as connection:
        yield connection


@pytest.fixture
def connection_to() -> Iterator[Callable[[Any], sa.Connection]]:
    """A function that opens such a connection, for a test that makes its own application."""
    with ExitStack() as stack:
        yield lambda db: stack.enter_context(db.engine.connect())


@pytest.fixture
def celebrity(
    request: pytest.FixtureRequest, session: Any, db: Any, User: Any, follows: Follows
) -> Any:
    """A user with as many followers and followed as there are others, each of whom follows four.

    Their times are all different, or (`indirect`) all the same, as a batch has them.
    """
    step = timedelta(seconds=0 if getattr(request, "param", None) == "same time" else 1)
    others = range(2, USERS + 1)
    pairs = {(key, CELEBRITY): key for key in others} | {(CELEBRITY, key): key for key in others}
    for key in others:
        pairs |= {(key, 2 + (key + hop) % (USERS - 1)): key for hop in range(1, 5)}
    rows = [
        {"follower_id": follower, "followed_id": followed, "created_at": NOON + step * place}
        for (follower, followed), place in pairs.items()
    ]
    users = [{"id": k, "username": f"u{k}", "about": "x" * 1000} for k in range(1, USERS + 1)]
    session.execute(sa.insert(User), users)
    session.execute(sa.insert(follows.Follow), rows)
    session.commit()
    settle(db.engine, [User.__table__, follows.Follow.__table__])
    user = session.get(User, CELEBRITY)
    user.step = step
    return user


def places(celebrity: Any) -> dict[str, dict[str, str]]:
    """Return the arguments of pages at the beginning, in the middle and at the end."""
    order = celebrity.followers.end.order
    deep = {
        name: order.place([NOON + celebrity.step * key, key])
        for name, key in {"newest": USERS - 30, "middle": USERS // 2, "oldest": 40}.items()
    }
    after = {f"after {name}": {"after": cursor} for name, cursor in deep.items()}
    before = {f"before {name}": {"before": cursor} for name, cursor in deep.items()}
    return {"first": {}, **after, **before}


def page_costs(engine: sa.Engine, connection: sa.Connection, query: Any, celebrity: Any) -> Any:
    """Return what each page costs, after a look at its length."""
    costs = {}
    for name, arguments in places(celebrity).items():
        (sent,) = sent_by(engine, lambda a=arguments: query.page(**a, per_page=PER_PAGE))
        page = query.page(**arguments, per_page=PER_PAGE)
        assert len(page) == PER_PAGE
        costs[name] = cost(connection, sent)
        (sent,) = sent_by(engine, lambda p=page: p.edges)
        assert cost(connection, sent) <= EDGES[engine.dialect.name], plan(connection, sent)
    return costs


with_times = pytest.mark.parametrize("celebrity", ["different times", "same time"], indirect=True)


@with_times
def test_a_page_costs_the_same_at_any_depth(celebrity, connection, db):
    """A page of followers is bounded, wherever it lies, whichever way it is read."""
    costs = page_costs(db.engine, connection, celebrity.followers, celebrity)
    assert max(costs.values()) <= PAGE[db.engine.dialect.name], costs


@pytest.mark.parametrize("storage", ["mirrored", "canonical"])
def test_a_page_of_friends_costs_the_same_at_any_depth(
    db, make_app, connection_to, follows, User, storage
):
    """A page of a symmetrical relation is bounded as well, in two rows or in one."""
    friends = follows.relation(
        User, "friends", User, symmetrical=True, storage=storage, forward_index=True
    )
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        rows = [{"id": k, "username": f"u{k}", "about": "x" * 1000} for k in range(1, USERS + 1)]
        db.session.execute(sa.insert(User), rows)
        middle, step = USERS // 2, timedelta(seconds=1)
        friends.add_many((middle, k, NOON + step * k) for k in range(1, USERS + 1) if k != middle)
        friends.add_many(
            (k, k % USERS + 1, NOON) for k in range(1, USERS, 3) if abs(k - middle) > 1
        )
        db.session.commit()
        settle(db.engine, [User.__table__, friends.Edge.__table__])
        user = db.session.get(User, middle)
        user.step = step
        costs = page_costs(db.engine, connection_to(db), user.friends, user)
        assert max(costs.values()) <= 3 * PAGE[db.engine.dialect.name], costs


@with_times
@pytest.mark.parametrize("follows", [{"forward_index": True}], indirect=True)
def test_a_page_of_the_followed_with_the_forward_index(celebrity, connection, db):
    """With the optional index a page of whom one follows is bounded too."""
    costs = page_costs(db.engine, connection, celebrity.followed, celebrity)
    assert max(costs.values()) <= PAGE[db.engine.dialect.name], costs


def test_a_page_of_the_followed(celebrity, connection, db):
    """Without it, a page reads at most all whom one follows, and no other's edges."""
    costs = page_costs(db.engine, connection, celebrity.followed, celebrity)
    for_each_edge = 40 if db.engine.dialect.name == "sqlite" else 3  # among them those of a sort
    assert max(costs.values()) <= for_each_edge * USERS + 150, costs


@with_times
def test_a_filtered_page_costs_the_same_at_any_depth(celebrity, connection, db, User):
    """A page of a loosely filtered collection is bounded in the same way."""
    part = celebrity.followers.filter(User.username != "u7")
    costs = page_costs(db.engine, connection, part, celebrity)
    assert max(costs.values()) <= PAGE[db.engine.dialect.name], costs


def test_the_plan_of_a_page(celebrity, connection, db):
    """The edges of a page come from the index alone, in its order; only the page is sorted."""
    for arguments in places(celebrity).values():
        (sent,) = sent_by(db.engine, lambda a=arguments: celebrity.followers.page(**a))
        lines = plan(connection, sent)
        assert "ix_follows_followed" in lines
        # SQLite and MariaDB sort the few rows of the page once more, after the join.
        edges = lines.split("SCAN edge", maxsplit=1)[0].split("follows", maxsplit=1)[-1]
        assert "TEMP B-TREE" not in edges
        assert "Seq Scan" not in lines
        assert "Sort" not in lines
        assert lines.count("filesort") <= 1


INDEX_ONLY = {
    "sqlite": ("USING COVERING INDEX", "USING PRIMARY KEY"),
    "postgresql": ("Index Only Scan",),
    # The second: it looked the key up while planning, and found nothing.
    "mariadb": ("Using index", "Impossible WHERE"),
    "mysql": ("Using index", "Impossible WHERE", "no matching row"),
}


@pytest.mark.parametrize("end", ["followed", "followers"])
def test_plain_questions_read_an_index_alone(celebrity, connection, db, session, User, end):
    """Membership, existence and number touch neither the users nor the rows of the edges."""
    ordinary = getattr(session.get(User, 1000), end)
    name = db.engine.dialect.name
    questions: dict[str, tuple[Callable[[], Any], int]] = {
        "contains": (lambda: ordinary.contains(900), 40),
        "is in it": (lambda: ordinary.contains(CELEBRITY), 40),
        "exists": (ordinary.exists, 40),
        "count": (ordinary.count, 120),
    }
    for question, (ask, most) in questions.items():
        (sent,) = sent_by(db.engine, ask)
        lines = plan(connection, sent)
        assert any(words in lines for words in INDEX_ONLY[name]), (question, lines)
        assert "user" not in sent[0], question
        assert cost(connection, sent) <= most, question


def test_the_count_of_a_celebrity_reads_an_index(celebrity, connection, db):
    """A count reads as many index entries as it returns, and not the whole table."""
    (sent,) = sent_by(db.engine, celebrity.followers.count)
    assert "user" not in sent[0]
    steps = 4 if db.engine.dialect.name == "sqlite" else 1
    assert cost(connection, sent) <= steps * USERS + 100


def test_statements_are_built_once(ends, session, follows, monkeypatch):
    """Each statement is made at its first use; later calls only bind values."""
    forward, _ = ends
    pages = PageReads(forward)
    for _ in range(2):
        forward.contains(session(), 1, 2)
        forward.exists(session(), 1)
        forward.count(session(), 1)
        forward.keys(session(), 1)
        pages.read(session(), 1, None, None, 5)
    built = {name: value for name, value in vars(forward).items() if name.startswith("_")}
    assert pages._page.cache_info().misses == 1
    pages.read(session(), 2, forward.order.place([NOON, 1]), None, 5)
    pages.read(session(), 2, forward.order.place([NOON, 1]), None, 7)
    assert pages._page.cache_info().misses == 2
    assert {name: vars(forward)[name] for name in built} == built
    assert isinstance(forward.near, Endpoint)


def show_only(session: Any, model: Any, criterion: Any) -> None:
    """Hide from a session what does not meet a criterion, as a host with soft deletion does."""

    @sa.event.listens_for(session(), "do_orm_execute")
    def hide(state):
        if state.is_select:
            options = sa.orm.with_loader_criteria(model, criterion)
            state.statement = state.statement.options(options)


def test_a_page_with_users_who_are_hidden(users, session, User, follows):
    """Users that a loader criterion hides shorten a page; nobody behind them is lost."""
    star, *fans = users(11)
    follows.add_many([(fan.id, star.id) for fan in fans])
    session.commit()
    hidden = fans[4].id
    show_only(session, User, User.id != hidden)
    seen, after = [], None
    while True:
        page = star.followers.page(after=after, per_page=3)
        assert [edge.follower_id for edge in page.edges] == [user.id for user in page]
        seen += [user.id for user in page]
        after = page.next
        if after is None:
            break
    assert sorted(seen) == sorted({fan.id for fan in fans} - {hidden})


@pytest.mark.parametrize("name", ["limit", "near", "place0"])
def test_parameters_of_a_criterion_of_the_host(users, session, User, follows, name):
    """A loader criterion may have parameters of any name, with values of its own."""
    star, *fans = users(6)
    follows.add_many([(fan.id, star.id) for fan in fans])
    session.commit()
    show_only(session, User, User.id <= sa.bindparam(name, fans[3].id, type_=sa.Integer))
    page = star.followers.page(per_page=3)
    rest = star.followers.page(after=page.next, per_page=3)
    assert [user.id for user in [*page, *rest]] == [fan.id for fan in fans[3::-1]]


def test_a_join_that_a_hook_of_the_host_asks_for(db, make_app, follows):
    """A page is whole where an event adds loader options, which nobody sees before."""
    User = make_user_model(db, badges=sa.orm.relationship("Badge"))
    user_id = sa.orm.mapped_column(sa.ForeignKey("user.id"))
    Badge = make_user_model(db, name="Badge", mixins=(), username=None, user_id=user_id)
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        star, fan = (User(username=f"u{number}") for number in range(2))
        db.session.add_all([star, fan])
        fan.follow(star)
        db.session.add_all([Badge(user_id=fan.id), Badge(user_id=fan.id)])
        db.session.commit()
        star.id  # noqa: B018 - is read, so that the page is the only SELECT

        @sa.event.listens_for(db.session(), "do_orm_execute")
        def join(state):
            state.statement = state.statement.options(sa.orm.joinedload(User.badges))

        page = star.followers.page()
        assert [len(user.badges) for user in page] == [2]


def test_a_page_of_users_that_load_a_collection_by_a_join(db, make_app, follows):
    """A page is whole where the host's model loads a collection of its own with each user."""
    User = make_user_model(db, badges=sa.orm.relationship("Badge", lazy="joined"))
    user_id = sa.orm.mapped_column(sa.ForeignKey("user.id"))
    Badge = make_user_model(db, name="Badge", mixins=(), username=None, user_id=user_id)
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        star, *fans = (User(username=f"u{number}") for number in range(4))
        db.session.add_all([star, *fans])
        db.session.flush()
        db.session.add_all([Badge(user_id=fans[0].id), Badge(user_id=fans[0].id)])
        follows.add_many([(fan.id, star.id) for fan in fans])
        page = star.followers.page(per_page=2)
        assert [len(user.badges) for user in [*page, *star.followers.page(after=page.next)]] == [
            0,
            0,
            2,
        ]
