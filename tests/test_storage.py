"""One suite for all storages: what a relation does must not tell how its edges are laid down.

A symmetrical relation has a choice of two; where directions play no part, a directed relation goes
through the same tests. What differs is asserted apart: the rows themselves, and the statements.
"""

from __future__ import annotations

import itertools
import re
import time
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import mapped_column

from flask_follows import (
    ConfigurationError,
    Follows,
    InvalidCursorError,
    SelfFollowError,
    UnknownUserError,
    WrongTypeError,
)
from flask_follows.chunks import CHUNK

from . import models
from .hosts import KEYS, add_users
from .recording import recorded_changes
from .work import plan, sent_by, settle

SYMMETRICAL = ["mirrored", "canonical"]
THEN = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
LATER = THEN + timedelta(microseconds=1)

every_layout = pytest.mark.parametrize("layout", ["directed", *SYMMETRICAL], indirect=True)
mirrored_alone = pytest.mark.parametrize("layout", ["mirrored"], indirect=True)


@pytest.fixture(params=SYMMETRICAL)
def layout(request):
    """How the edges are laid down."""
    return request.param


def declare(follows: Follows, User: Any, layout: str, **options: Any) -> Any:
    """Declare the relation `friends` in some storage."""
    if layout != "directed":
        options |= {"symmetrical": True, "storage": layout}
    return follows.relation(User, "friends", User, source_edges="friendships", **options)


@pytest.fixture
def through():
    """The through model, None for a table of ours."""


@pytest.fixture
def friends(follows, User, layout, through):
    """The relation, declared before there is an application."""
    return declare(follows, User, layout, through=through)


@pytest.fixture
def app(friends, app):
    """The application, with the relation's table."""
    return app


@pytest.fixture
def rows(session, friends):
    """A function that returns the rows, as (source, target, *further columns)."""
    table = friends.edge_table.table

    def rows(*further):
        keys = friends.edge_table.source, friends.edge_table.target
        columns = [*keys, *(table.c[name] for name in further)]
        return sorted(tuple(row) for row in session.execute(sa.select(*columns)))

    return rows


@pytest.fixture
def there(rows, layout):
    """A function that returns the friendships, smaller key first, having checked their rows."""

    def there(*further):
        found = rows(*further)
        smaller_first = [row for row in found if row[0] < row[1]]
        assert len(set(found)) == len(found)
        if layout == "canonical":
            assert found == smaller_first
        if layout == "mirrored":
            turned = [(row[1], row[0], *row[2:]) for row in smaller_first]
            assert found == sorted(smaller_first + turned)
        return smaller_first

    return there


@pytest.fixture
def half(session, friends):
    """A function that makes a row by hand, past every layer."""

    def half(source, target, at=THEN):
        edges = friends.edge_table
        values = {edges.source: source.id, edges.target: target.id, edges.time: at}
        session.execute(sa.insert(edges.table).values(values))
        session.commit()

    return half


# Adding and removing


def test_adding_from_either_end(users, friends, there, session):
    """A friendship is made once, from whichever end, and is the same from both."""
    a, b, c = users(3)
    assert friends.add(a, b) is True
    assert friends.add(b, a) is False
    assert friends.add(a.id, b.id) is False
    assert c.friends.add(a, b) == 2
    assert a.friends.add(b, c) == b.friends.add(c, a.id) == 0
    session.commit()
    assert there() == [(a.id, b.id), (a.id, c.id), (b.id, c.id)]
    for one in (a, b, c):
        for other in (a, b, c):
            assert friends.contains(one, other) is (one is not other)
            assert (other in one.friends) is (one is not other)


def test_adding_both_ways_in_one_call(users, friends, there):
    """A friend given twice, as object and key, is one friend."""
    a, b, c = users(3)
    assert b.friends.add(a, a.id, c, a) == 2
    assert there() == [(a.id, b.id), (b.id, c.id)]


def test_removing_from_either_end(users, friends, there, session):
    """Whoever ends it, it is over for both."""
    a, b, c = users(3)
    for remove in (lambda: friends.remove(b, a), lambda: friends.remove(a, b)):
        friends.add(a, b)
        a.friends.add(c)
        assert remove() is True
        assert remove() is False
        assert there() == [(a.id, c.id)]
    friends.add(a, b)
    assert b.friends.remove(a) == 1
    assert a.friends.remove(b) == 0
    assert a.friends.remove(b, c, c.id) == 1
    assert there() == []
    session.commit()


def test_toggling(users, friends, there):
    """A toggle from either end turns the one friendship on and off."""
    a, b = users(2)
    assert friends.toggle(b, a) is True
    assert there() == [(a.id, b.id)]
    assert friends.toggle(a, b) is False
    assert there() == []


@pytest.mark.parametrize("verb", ["clear", "remove"])
def test_removing_many(users, friends, there, verb):
    """All friends of one are removed, whatever side of his their keys are on; others stay."""
    a, b, c, d = users(4)
    assert c.friends.add(a, b, d) == 3
    a.friends.add(b)
    removed = c.friends.clear() if verb == "clear" else c.friends.remove(d, b.id, a, c)
    assert removed == 3
    assert c.friends.clear() == c.friends.remove(a, b, d) == 0
    assert there() == [(a.id, b.id)]


def test_more_than_one_statement_takes(users, there):
    """As many friends as do not fit into one statement are added, set and removed all the same."""
    first, *others = users(2 * CHUNK + 10)
    assert first.friends.add(*others) == len(others)
    assert len(there()) == len(others)
    assert first.friends.remove(*others[:-5]) == len(others) - 5
    first.friends.set(others[:-7])
    assert sorted(first.friends.ids()) == sorted(other.id for other in others[:-7])
    assert first.friends.clear() == len(others) - 7
    assert there() == []


@pytest.mark.parametrize("clear", [False, True])
def test_setting(users, friends, there, clear):
    """A set makes the smallest difference, or begins from nothing; friends of others stay."""
    a, b, c, d = users(4)
    friends.add(c, a, created_at=THEN)
    friends.add(c, b, created_at=THEN)
    friends.add(a, b, created_at=THEN)
    c.friends.set([b.id, d], clear=clear, through_defaults={"created_at": LATER})
    times = {row[:2]: row[2] for row in there("created_at")}
    assert times == {
        (a.id, b.id): THEN,
        (b.id, c.id): LATER if clear else THEN,
        (c.id, d.id): LATER,
    }
    c.friends = []
    assert set(there()) == {(a.id, b.id)}


@pytest.mark.parametrize("clear", [False, True])
def test_a_set_that_is_refused_changes_nothing(users, friends, there, session, clear):
    """Neither oneself nor nobody can be in a set; what was there stays, and life goes on."""
    a, b, c = users(3)
    friends.add(b, a)
    for error, others in [(SelfFollowError, [c, b]), (UnknownUserError, [c, 999])]:
        with pytest.raises(error):
            b.friends.set(others, clear=clear)
    session.commit()
    assert there() == [(a.id, b.id)]


def test_befriending_oneself(users, friends, there, session, assert_statements):
    """One's own friend is refused without a statement, in every verb."""
    a, b = users(2)
    for change in (
        lambda: friends.add(a, a.id),
        lambda: friends.toggle(a, a),
        lambda: a.friends.add(b, a),
        lambda: friends.add_many([(a, b), (b, b)]),
    ):
        with pytest.raises(SelfFollowError, match="friends"):
            change()
    assert there() == []
    with assert_statements(0), pytest.raises(SelfFollowError):
        friends.add(a, a)
    assert friends.remove(a, a) is False
    assert friends.contains(a, a) is False


def test_the_table_refuses_oneself(users, friends, session):
    """A CHECK keeps out what is written past us: oneself and, in one row, the greater key first."""
    a, b = users(2)
    table, keys = friends.edge_table.table, (friends.edge_table.source, friends.edge_table.target)
    refused = [(a.id, a.id)]
    if friends.storage.mirrors is False:
        refused.append((b.id, a.id))
    for pair in refused:
        values = dict(zip(keys, pair, strict=True))
        with pytest.raises(sa.exc.DBAPIError):
            session.execute(sa.insert(table).values({**values, friends.edge_table.time: THEN}))
        session.rollback()


def test_an_unknown_user(users, friends, there, session):
    """A key that nobody has is refused at either end, alone and among others; life goes on."""
    a, b, c = users(3)
    friends.add(a, b)
    for change in (
        lambda: friends.add(a, 999),
        lambda: friends.add(-5, a),
        lambda: friends.add(2**40, a),
        lambda: a.friends.add(c, 999),
        lambda: friends.add_many([(b, c), (999, b)]),
    ):
        with pytest.raises(UnknownUserError):
            change()
    assert friends.remove(a, 999) is friends.remove(2**70, a) is False
    assert a.friends.remove(999, 2**70) == 0
    session.commit()
    assert there() == [(a.id, b.id)]


def test_a_wrong_class(users, friends, session):
    """What is no user is refused, and the class expected is named."""
    a, b = users(2)
    with pytest.raises(WrongTypeError, match="User"):
        friends.add(a, "text")
    with pytest.raises(WrongTypeError, match="no column 'nonsense'"):
        a.friends.add(b, through_defaults={"nonsense": 1})


def test_nothing_is_committed(users, friends, there, session):
    """What is made and removed goes with the host's rollback and savepoint, both rows of it."""
    a, b, c = users(3)
    friends.add(a, b)
    session.commit()
    friends.add(c, a)
    friends.remove(b, a)
    session.rollback()
    assert there() == [(a.id, b.id)]
    friends.add(b, c)
    savepoint = session.begin_nested()
    a.friends.clear()
    c.friends.add(a)
    savepoint.rollback()
    session.commit()
    assert there() == [(a.id, b.id), (b.id, c.id)]


# Times and further columns


def test_the_time(users, friends, there):
    """A friendship has one time, given or of the moment, and both rows have it."""
    a, b, c, d = users(4)
    before = datetime.now(timezone.utc)
    friends.add(b, a, created_at=THEN)
    c.friends.add(a, b, d)
    first, *others = there("created_at")
    assert first == (a.id, b.id, THEN)
    (time_of_call,) = {row[2] for row in others}
    assert before <= time_of_call <= datetime.now(timezone.utc)
    friends.add(a, b, created_at=LATER)
    assert there("created_at")[0] == (a.id, b.id, THEN)


def make_friendship(db: SQLAlchemy, User: Any, *, surrogate: Any) -> Any:
    """Map a through model: its key is the pair, or a number or UUID of its own."""

    class Friendship(db.Model):
        if surrogate:
            given = {} if surrogate is sa.Integer else {"default": uuid4}
            id = mapped_column(surrogate, primary_key=True, **given)
            __table_args__ = (sa.UniqueConstraint("asker_id", "asked_id"),)
        asker_id = mapped_column(sa.ForeignKey(User.id), primary_key=surrogate is None)
        asked_id = mapped_column(sa.ForeignKey(User.id), primary_key=surrogate is None)
        since = mapped_column(sa.DateTime, default=datetime.now, nullable=False)
        place = mapped_column(sa.String(20))
        token = mapped_column(sa.String(40), default=lambda: UUID(int=int(time.time_ns())).hex)
        level = mapped_column(sa.Integer, default=1, nullable=False)

    return Friendship


@pytest.mark.parametrize("surrogate", [None, sa.Integer, sa.Uuid], ids=["pair", "number", "uuid"])
class TestThrough:
    """The edges are rows of a model of the host's, with columns of its own."""

    COLUMNS = ("since", "place", "token", "level")

    @pytest.fixture
    def through(self, db, User, surrogate):
        """The through model."""
        return make_friendship(db, User, surrogate=surrogate)

    def test_columns(self, users, friends, there, session):
        """Both rows of a friendship have the same columns: given, called and by default."""
        a, b, c, d = users(4)
        assert friends.add(b, a, place="school", level=7)
        assert friends.add(a, b, place="work") is False
        values = {"place": lambda: "club", "since": datetime(2020, 1, 2)}
        assert c.friends.add(a, b, d, through_defaults=values) == 3
        found = there(*self.COLUMNS)
        assert [row[3] for row in found] == ["school", "club", "club", "club"]
        assert [row[5] for row in found] == [7, 1, 1, 1]
        assert {row[2] for row in found[1:]} == {datetime(2020, 1, 2)}
        assert None not in {row[4] for row in found}
        session.commit()

    def test_many_and_set(self, users, friends, there):
        """Batches and sets fill the columns of both rows as well."""
        a, b, c, d = users(4)
        assert friends.add_many([(b, a), (a, b), (c, d), (d, a)]) == 3
        d.friends.set([b, a], through_defaults={"place": "sea"})
        assert [row[:2] for row in there()] == [(a.id, b.id), (a.id, d.id), (b.id, d.id)]
        assert [row[3] for row in there(*self.COLUMNS)] == [None, None, "sea"]
        d.friends.set([b, c], clear=True, through_defaults={"place": "ice"})
        assert [row[3] for row in there(*self.COLUMNS)] == [None, "ice", "ice"]
        assert d.friends.clear() == 2

    def test_edges_from_both_ends(self, users, friends, through):
        """The rows are reached from both ends, and can be filtered by their columns."""
        a, b, c = users(3)
        friends.add(a, b, place="school", since=datetime(2020, 1, 1))
        friends.add(c, a, place="work", since=datetime(2021, 1, 1))
        for user, places in [(a, ["work", "school"]), (b, ["school"]), (c, ["work"])]:
            for query in (friends.edges(user), user.friendships):
                assert [edge.place for edge in query] == places
        assert a.friendships.filter_by(place="work").one().place == "work"
        assert friends.edges(a).filter(through.place == "school").count() == 1


# Reading


@pytest.fixture
def read(users, friends):
    """Users of which the first has four friends, added with times of which two are equal."""
    first, *others = users(6)
    for other, at in zip(others, [THEN, LATER, LATER, THEN], strict=False):
        friends.add(first, other, created_at=at)
    return first, others


@pytest.fixture
def in_order(read):
    """The four friends, newest first and, among equal times, greater key first."""
    _, others = read
    return [others[2], others[1], others[3], others[0]]


@every_layout
def test_reading(read, in_order, friends, session, User):
    """Collection, keys, count, membership and SELECT agree, in the order of the edges."""
    first, others = read
    assert first.friends.all() == list(first.friends) == in_order
    assert first.friends.ids() == [other.id for other in in_order]
    assert first.friends.count() == friends.count(first) == friends.count(first.id) == 4
    assert first.friends.exists() is bool(first.friends) is True
    assert [other in first.friends for other in others] == [True] * 4 + [False]
    assert [first.friends.contains(other.id) for other in others] == [True] * 4 + [False]
    assert [friends.contains(first, other) for other in others] == [True] * 4 + [False]
    assert session.scalars(first.friends.select()).all() == in_order
    found = first.friends.select().where(User.username.in_(["u1", "u3"]))
    assert session.scalars(found.limit(1)).all() == [in_order[0]]
    assert others[4].friends.all() == others[4].friends.ids() == []
    assert others[4].friends.exists() is False
    assert others[4].friends.count() == friends.count(2**70) == 0


@every_layout
def test_filtering(read, in_order, User):
    """All of a query works: filters, order, slices, exclusion, counts of what is filtered."""
    first, _ = read
    assert first.friends.filter(User.username != "u3").all() == in_order[1:]
    assert first.friends.filter_by(username="u2").one() is in_order[1]
    assert first.friends.filter(User.username > "u1").count() == 3
    assert first.friends.exclude(username="u2").ids() == [
        other.id for other in in_order if other.username != "u2"
    ]
    assert [u.username for u in first.friends.order_by(User.username)] == ["u1", "u2", "u3", "u4"]
    assert first.friends[1:3] == in_order[1:3]
    assert first.friends.first() is in_order[0]
    paginated = first.friends.paginate(page=2, per_page=3)
    assert (paginated.items, paginated.total) == (in_order[3:], 4)


def all_pages(query, per_page):
    """Return all pages, gone through forwards; backwards they must be the same."""
    pages = [query.page(per_page=per_page)]
    while pages[-1].next:
        pages.append(query.page(after=pages[-1].next, per_page=per_page))
    for page, following in itertools.pairwise(pages):
        back = query.page(before=following.previous, per_page=per_page)
        assert back.items == page.items
        assert [e.created_at for e in back.edges] == [e.created_at for e in page.edges]
    assert pages[0].previous is None
    return pages


@every_layout
@pytest.mark.parametrize("per_page", [1, 2, 3, 4, 5])
def test_pages(read, in_order, friends, per_page):
    """Pages in either direction leave nobody out where times are equal, edges beside them."""
    first, _ = read
    pages = all_pages(first.friends, per_page)
    assert [user for page in pages for user in page] == in_order
    edges = [edge for page in pages for edge in page.edges]
    assert [edge.created_at for edge in edges] == [LATER, LATER, THEN, THEN]
    ends = [set(friends.edge_table.pair(edge)) for edge in edges]
    assert ends == [{first.id, user.id} for user in in_order]


@every_layout
def test_filtered_pages(read, in_order, User):
    """A filtered collection has pages too."""
    first, _ = read
    some = first.friends.filter(User.username != "u2")
    pages = all_pages(some, 2)
    assert [user for page in pages for user in page] == [in_order[0], *in_order[2:]]
    with pytest.raises(InvalidCursorError):
        first.friends.page(after="nonsense")


def test_pages_across_both_sides_of_a_key(users, friends):
    """Friends with smaller and greater keys come in one order of times."""
    a, b, c, d, e = users(5)
    for number, other in enumerate([e, a, d, b]):
        friends.add(c, other, created_at=THEN + timedelta(seconds=number // 2))
    pages = all_pages(c.friends, 1)
    assert [user for page in pages for user in page] == [d, b, e, a]
    assert c.friends.ids() == [d.id, b.id, e.id, a.id]
    assert [edge.created_at for edge in friends.edges(c)] == [
        THEN + timedelta(seconds=seconds) for seconds in (1, 1, 0, 0)
    ]


@every_layout
def test_queries_from_the_class(read, in_order, session, User):
    """`any`, `contains` and joins work at the class."""
    first, others = read
    of_third = sa.select(User).where(User.friends.any(User.username == "u3"))
    assert first in session.scalars(of_third).all()
    assert session.scalars(sa.select(User).where(User.friends.contains(others[0]))).all() == [first]
    lonely = session.scalars(sa.select(User).where(~User.friends.any())).all()
    assert others[4] in lonely
    assert first not in lonely
    other = sa.orm.aliased(User)
    joined = sa.select(other.username).join(User.friends.of_type(other))
    joined = joined.where(User.id == first.id).order_by(other.username)
    assert session.scalars(joined).all() == ["u1", "u2", "u3", "u4"]


@every_layout
def test_predicates_and_counts_in_sql(read, friends, layout, session, User):
    """An end knows membership and counts as SQL, for all users in one statement."""
    first, others = read
    end = friends.end(False)
    found = session.execute(
        sa.select(User.id, end.exists_for(User, others[0]), end.count_for(User)).order_by(User.id)
    )
    back = int(layout != "directed")
    assert [(row[0], bool(row[1]), row[2]) for row in found] == [
        (first.id, True, 4),
        *((other.id, False, back) for other in others[:4]),
        (others[4].id, False, 0),
    ]
    has_first = sa.select(User.id).where(end.exists_for(User, first.id)).order_by(User.id)
    expected = [other.id for other in others[:4]] if back else []
    assert session.scalars(has_first).all() == expected
    alias = sa.orm.aliased(User)
    most = sa.select(alias.id).order_by(end.count_for(alias).desc(), alias.id)
    assert session.scalars(most.limit(1)).one() == first.id


@every_layout
def test_edges(read, in_order, friends):
    """The edges of one object are a query of rows, each friendship once, newest first."""
    first, _ = read
    for query in (friends.edges(first), friends.edges(first.id), first.friendships):
        edges = query.all()
        assert [edge.created_at for edge in edges] == [LATER, LATER, THEN, THEN]
        ends = [set(friends.edge_table.pair(edge)) for edge in edges]
        assert ends == [{first.id, user.id} for user in in_order]
    assert first.friendships.filter_by(created_at=THEN).count() == 2
    assert first.friendships.first() is friends.edges(first).first()


def test_edges_of_the_other_end(users, friends):
    """From the other end the same friendship is seen."""
    a, b, c = users(3)
    friends.add(b, a, created_at=THEN)
    friends.add(b, c, created_at=LATER)
    for user, times in [(a, [THEN]), (b, [LATER, THEN]), (c, [LATER])]:
        assert [edge.created_at for edge in user.friendships] == times
        assert [edge.created_at for edge in friends.edges(user, reverse=True)] == times


# Many at once


def test_many(users, friends, there, layout):
    """Pairs in either order, and twice, make each friendship once."""
    a, b, c = users(3)
    friends.add(c, b, created_at=THEN)
    pairs = [(a.id, b.id), (b.id, a.id), (c.id, b.id), (a, c), (a.id, b.id)]
    assert friends.add_many(iter(pairs)) == 2
    assert friends.add_many(pairs) == 0
    assert [row[:2] for row in there("created_at")] == [(a.id, b.id), (a.id, c.id), (b.id, c.id)]
    assert there("created_at")[2][2] == THEN


def test_many_with_times(users, friends, there):
    """Of a pair given both ways, the first time counts."""
    a, b, c = users(3)
    pairs = [(b.id, a.id, THEN), (a.id, b.id, LATER), (c.id, a.id, LATER), (b.id, c.id, None)]
    assert friends.add_many(pairs) == 3
    assert [row[2] for row in there("created_at")][:2] == [THEN, LATER]


@pytest.mark.parametrize("times", [False, True])
def test_twenty_thousand(users, friends, there, times, count_statements):
    """A graph of some size takes few statements, and its rows are as they should be."""
    keys = [user.id for user in users(210)]
    pairs = [(one, other) for one in keys for other in keys if one < other][:20_000]
    mixed = [pair if sum(pair) % 2 else pair[::-1] for pair in pairs]
    both = mixed + [pair[::-1] for pair in mixed[:1000]]
    given = [(*pair, THEN) for pair in both] if times else both
    with count_statements() as counted:
        assert friends.add_many(given) == 20_000
    assert len(counted) < 30
    assert there("created_at")[:1][0][2] == THEN or not times
    assert there() == sorted(pairs)


def test_many_are_heard_of_once(users, friends, there):
    """Those who listen are told of each friendship once."""
    a, b, c = users(3)
    friends.add(a, b)
    with recorded_changes() as changes:
        assert friends.add_many([(b, a), (c, a), (a, c), (c, b)]) == 2
    told = [pair for change in changes for pair in change["pairs"]]
    assert sorted(tuple(sorted(pair)) for pair in told) == [(a.id, c.id), (b.id, c.id)]
    assert len(there()) == 3


# Signals


def test_signals(users, friends, app):
    """Each change is told once, with the keys as seen from the object it was done on."""
    a, b, c = users(3)
    steps = [
        (lambda: friends.add(b, a), "add", b, {a.id}),
        (lambda: friends.add(a, b), None, None, None),
        (lambda: c.friends.add(a, b), "add", c, {a.id, b.id}),
        (lambda: b.friends.remove(c), "remove", b, {c.id}),
        (lambda: friends.remove(c, b), None, None, None),
        (lambda: a.friends.remove(b, c), "remove", a, {b.id, c.id}),
        (lambda: b.friends.add(a, c), "add", b, {a.id, c.id}),
        (b.friends.clear, "clear", b, {a.id, c.id}),
        (b.friends.clear, None, None, None),
    ]
    for change, action, instance, keys in steps:
        with recorded_changes() as changes:
            change()
        if action is None:
            assert changes == []
            continue
        (told,) = changes
        assert (told["relation"], told["action"], told["instance"]) == (friends, action, instance)
        assert told["keys"] == keys
        assert set(told["pairs"]) == {(instance.id, key) for key in keys}
        assert (told["reverse"], told["sender"]) == (False, app)


def test_signals_of_a_set(users, friends):
    """A set tells what it made and what it removed."""
    a, b, c, d = users(4)
    b.friends.add(a, c)
    with recorded_changes() as changes:
        b.friends.set([c, d])
    assert [(told["action"], told["keys"]) for told in changes] == [
        ("add", {d.id}),
        ("remove", {a.id}),
    ]


# Objects of edges


@pytest.mark.parametrize("verb", ["remove", "remove many", "clear", "set"])
@pytest.mark.parametrize("far_end", [False, True])
def test_loaded_edges_become_deleted(users, friends, session, verb, far_end):
    """The session's objects of all rows of a friendship are deleted with it; the others stay."""
    a, b, c = users(3)
    b.friends.add(a, c)
    a.friends.add(c)
    edges = session.scalars(sa.select(friends.edge_table.model)).all()
    near, far = (a, b) if far_end else (b, a)
    changes = {
        "remove": lambda: near.friends.remove(far),
        "remove many": lambda: near.friends.remove(far, c),
        "clear": near.friends.clear,
        "set": lambda: near.friends.set([]),
    }
    changes[verb]()
    for edge in edges:
        state = sa.inspect(edge)
        gone = near.id in (pair := friends.edge_table.pair(edge)) and (
            verb != "remove" or far.id in pair
        )
        assert (state.deleted or state.detached) is gone
    session.commit()
    assert len(session.scalars(sa.select(friends.edge_table.model)).all()) == sum(
        not sa.inspect(edge).detached for edge in edges
    )


def test_the_edges_that_go_are_those_forgotten(make_app, database):
    """Whatever order SQLAlchemy gives the keys in RETURNING, and from its cache as well."""
    spare = []
    for size in range(12):
        spare.append([sa.Column("x") for _ in range(size)])  # the order is that of a set
        db, follows = SQLAlchemy(), Follows()
        User = models.make_user_model(db)
        app = make_app(db)
        follows.init_app(app, db, User)
        with app.app_context():
            db.drop_all()
            db.create_all()
            users = add_users(db, User, 5)
            for first, second in itertools.pairwise(users):
                second.follow(first)
                edge = db.session.scalars(sa.select(follows.Follow)).one()
                assert second.unfollow(first)
                assert sa.inspect(edge).deleted
            db.session.commit()


def test_a_loaded_edge_made_anew_elsewhere(users, friends, session, db):
    """Objects of an edge that went in another connection, and is made anew, are up to date."""
    a, b = users(2)
    friends.add(a, b, created_at=THEN)
    session.commit()
    edges = session.scalars(sa.select(friends.edge_table.model)).all()
    assert {edge.created_at for edge in edges} == {THEN}
    session.commit()
    with db.engine.begin() as connection:
        connection.execute(sa.delete(friends.edge_table.table))
    assert friends.add(b, a, created_at=LATER)
    assert {edge.created_at for edge in edges} == {LATER}


# Deletion of users


@pytest.mark.parametrize("in_bulk", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_deleting_users(users, friends, there, session, User, in_bulk, place):
    """A deleted user's friendships go, all of their rows, and nobody else's."""
    three = users(3)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        friends.add(three[one], three[other])
    gone = three[place]
    keys = sorted(user.id for user in three if user is not gone)
    if in_bulk:
        session.execute(sa.delete(User).where(User.id == gone.id))
    else:
        session.delete(gone)
    session.commit()
    assert there() == [tuple(keys)]
    assert [user.friends.count() for user in three if user is not gone] == [1, 1]


# Rows made by hand


@mirrored_alone
@pytest.mark.parametrize("smaller_first", [True, False])
@pytest.mark.parametrize("from_smaller", [True, False])
@pytest.mark.parametrize("verb", ["remove", "remove many", "clear", "set", "set anew"])
def test_a_half_is_removed(users, rows, half, smaller_first, from_smaller, verb):
    """A row without its twin, written past us, goes with whoever removes the friendship."""
    a, b, c = users(3)
    half(*((a, b) if smaller_first else (b, a)))
    near, far = (a, b) if from_smaller else (b, a)
    if verb == "remove":
        assert near.friends.remove(far) == 1
    elif verb == "remove many":
        assert near.friends.remove(c, far) == 1
    elif verb == "clear":
        assert near.friends.clear() == 1
    else:
        near.friends.set([c], clear=verb == "set anew")
        near.friends.clear()
    assert rows() == []


@mirrored_alone
@pytest.mark.parametrize("verb", ["add", "add many"])
def test_a_half_is_made_whole(users, friends, there, half, verb):
    """Where the second row is there alone, adding writes the first and makes the two alike."""
    a, b, c = users(3)
    half(b, a)
    if verb == "add":
        assert friends.add(a, b, created_at=LATER) is True
    else:
        values = {"created_at": LATER}
        assert a.friends.add(c, b, through_defaults=values) == 2
    assert there("created_at")[0] == (a.id, b.id, LATER)


# Statements


STATEMENTS = {
    # verb: (directed, mirrored, canonical)
    "add": (1, 2, 1),
    "add again": (1, 1, 1),
    "add many": (1, 2, 1),
    "remove": (1, 2, 1),
    "remove again": (1, 2, 1),
    "contains": (1, 1, 1),
    "count": (1, 1, 1),
    "exists": (1, 1, 1),
    "ids": (1, 1, 1),
    "all": (1, 1, 1),
    "page": (1, 1, 1),
    "edges": (1, 1, 1),
}


@every_layout
@pytest.mark.parametrize("number", [2, 20])
def test_statements(users, friends, layout, number, assert_statements, app, db, database):
    """The number of statements is that of the storage, whatever the number of friends."""
    first, *others = users(number + 1)
    session = db.session
    verbs = {
        "add": lambda: friends.add(first, others[0]),
        "add again": lambda: friends.add(first, others[0]),
        "add many": lambda: first.friends.add(*others),
        "contains": lambda: friends.contains(first, others[0]),
        "count": first.friends.count,
        "exists": first.friends.exists,
        "ids": first.friends.ids,
        "all": first.friends.all,
        "page": lambda: first.friends.page(per_page=2),
        "remove": lambda: friends.remove(first, others[0]),
        "remove again": lambda: friends.remove(first, others[0]),
        "edges": lambda: friends.edges(first).all(),
    }
    place = ["directed", *SYMMETRICAL].index(layout)
    for verb, change in verbs.items():
        # SQLite takes its write lock first, where more than one statement depends on it.
        lock = database.name == "sqlite" and layout == "mirrored" and verb.startswith("remove")
        with assert_statements(STATEMENTS[verb][place] + lock):
            change()
    session.expunge_all()


@every_layout
@pytest.mark.parametrize("verb", ["clear", "remove", "set", "set anew"])
def test_statements_of_many(users, friends, verb, count_statements, db):
    """What changes many edges takes as many statements for twenty as for three."""
    first, *others = users(22)
    seen = []
    for number in 3, 20:
        first.friends.clear()
        first.friends.add(*others[:number])
        change = {
            "clear": first.friends.clear,
            "remove": partial(first.friends.remove, *others[:number]),
            "set": lambda: first.friends.set(others[-2:]),
            "set anew": lambda: first.friends.set(others[-2:], clear=True),
        }[verb]
        db.session.flush()
        with count_statements() as counted:
            change()
        seen.append(len(counted))
    assert seen[0] == seen[1] <= 12


# How a plan tells of a table that it reads from end to end.
WHOLE_TABLE = {"sqlite": r"SCAN {}", "postgresql": r"Seq Scan on {}", "mariadb": r"{}(_\d+)? ALL"}
WHOLE_TABLE["mysql"] = WHOLE_TABLE["mariadb"]


@every_layout
def test_no_write_reads_the_whole_table(app, session, User, friends, db):
    """Some friends are added and removed by key, however many friendships there are."""
    number, table = 3000, friends.edge_table.table
    session.execute(sa.insert(User), [{"username": f"u{place}"} for place in range(number)])
    friends.add_many((key, key + hop) for key in range(1, number - 2) for hop in (1, 2))
    session.commit()
    settle(db.engine, [User.__table__, table])
    first, others = session.get(User, 7), [100, 200, 300, 8, 9]
    changes = partial(first.friends.add, *others), partial(first.friends.remove, *others)
    sent = [each for change in changes for each in sent_by(db.engine, change)]
    # Not the one that changes nothing and takes SQLite's lock: it ends before it reads.
    on_edges = [each for each in sent if table.name in each[0] and "WHERE 0 = 1" not in each[0]]
    assert len(on_edges) >= 2
    whole = WHOLE_TABLE[db.engine.dialect.name].format(table.name)
    for each in on_edges:
        steps = plan(session.connection(), each).splitlines()
        # The table that is written to is not read.
        read = [step for step in steps if "INSERT" not in step and re.search(whole, step)]
        assert read == [], each


# Keys that are no numbers


@pytest.mark.parametrize("kind", ["uuid", "uuid as text", "string"])
def test_keys_of_other_types(start, db, follows, layout, kind):
    """UUIDs do in both storages, texts in two rows only: databases order them each in its way."""
    column, keys, nobody = KEYS[kind]
    User = models.make_user_model(db, key=column)
    if layout == "canonical" and kind != "uuid":
        with pytest.raises(ConfigurationError, match='storage="mirrored"'):
            declare(follows, User, layout)
        return
    friends = declare(follows, User, layout)
    start(db, User)
    a, b, c = add_users(db, User, keys=keys)
    assert friends.add(b, a)
    assert not friends.add(a.id, b.id)
    assert c.friends.add(a, b, a) == 2
    assert sorted(a.friends.ids()) == sorted([b.id, c.id])
    with pytest.raises(UnknownUserError):
        friends.add(nobody, a)
    assert {user for page in all_pages(b.friends, 1) for user in page} == {a, c}
    assert a.friends.remove(b, c) == 2
    assert friends.add_many([(b.id, a.id), (a.id, b.id), (c.id, b.id)]) == 1
    b.friends.set([a])
    assert (c.friends.ids(), friends.contains(a, b), friends.contains(b, a)) == ([], True, True)
    assert a.friends.clear() == 1
    assert db.session.execute(sa.select(friends.edge_table.table)).all() == []
