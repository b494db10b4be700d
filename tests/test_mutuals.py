"""Edges in both directions: a query like any other."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.query import Query

from flask_follows.mutuals import Mutuals

from .models import make_user_model
from .work import cost, plan, sent_by, settle


@pytest.fixture
def friends(users):
    """One who follows three and is followed by them, and these, in the order of their keys."""
    first, *others = users(4)
    first.followed.add(*others)
    first.followers.add(*others)
    return first, *others


def test_mutuals_may_be_narrowed(follows, friends, session, User):
    """The query takes criteria, fields, order and pages like any of the objects' own."""
    first, *others = friends
    for reverse in False, True:
        mutuals = Mutuals(follows.follow_relation.end(reverse))
        query = mutuals.query(session(), first.id)
        assert query.all() == others[::-1]
        assert query.filter_by(username="u2").all() == [others[1]]
        assert query.order_by(None).order_by(User.id).limit(2).all() == others[:2]
        assert (query.count(), query.paginate(per_page=2).total) == (3, 3)
        assert mutuals.query(session(), 2**70).all() == []


def test_a_query_class_that_filters(start):
    """What a host's queries leave out may be another thing in each request."""

    class Filtered(Query):
        def __init__(self, entities, session=None, **options):
            super().__init__(entities, session, **options)
            self._where_criteria += (User.username.not_in(session.info.get("hidden", [])),)

    db = SQLAlchemy(query_class=Filtered)
    User = make_user_model(db)
    start(db, User)
    me, ann, bob = (User(username=name) for name in ("me", "ann", "bob"))
    db.session.add_all([me, ann, bob])
    me.followed.add(ann, bob)
    me.followers.add(ann, bob)
    assert me.mutuals.all() == [bob, ann]
    for hidden, left in ([ann], [bob]), ([bob], [ann]), ([], [bob, ann]):
        db.session.info["hidden"] = [user.username for user in hidden]
        assert me.mutuals.all() == left


def test_mutuals_within_mutuals(friends, session, User):
    """Queries of several users' mutuals may stand in one statement, each for itself."""
    first, second, third, last = friends
    second.followed.add(third)
    third.followed.add(second)
    keys = second.mutuals.order_by(None).with_entities(User.id)
    assert first.mutuals.filter(User.id.in_(keys)).all() == [third]
    assert first.mutuals.filter(User.id.not_in(keys)).all() == [last, second]
    either = sa.union(
        *(query.order_by(None).statement for query in (first.mutuals, second.mutuals))
    )
    found = session.scalars(sa.select(User).from_statement(either.order_by(User.id)))
    assert found.all() == [first, second, third, last]


# For each whom one follows.
PROBE = {"sqlite": 25, "postgresql": 6, "mariadb": 4, "mysql": 4}


def test_friends_of_the_famous(session, db, follows, User):
    """It costs what one follows, however many followers the others have."""
    me, famous, crowd = 1, range(2, 12), range(12, 6012)
    session.execute(sa.insert(User), [{"id": k, "username": f"u{k}"} for k in range(1, 6012)])
    follows.add_many((fan, star) for fan in crowd[:2000] for star in famous)
    follows.add_many((fan, 12 + (fan + hop) % 6000) for fan in crowd for hop in (1, 2))
    follows.add_many((me, other) for other in (*famous, *crowd[:290]))
    follows.add_many((star, me) for star in famous)
    session.commit()
    settle(db.engine, [User.__table__, follows.Follow.__table__])
    mutuals = Mutuals(follows.follow_relation.end(False)).query(session(), me)
    for ask in mutuals.all, mutuals.filter(User.id > 0).all:
        (sent,) = sent_by(db.engine, ask)
        with db.engine.connect() as connection:
            assert cost(connection, sent) < PROBE[db.engine.dialect.name] * 300 + 200
            lines = plan(connection, sent)
        # With the time between the keys, this index leads to one key only: what PostgreSQL reads of
        # it to find the other is in no count of rows.
        assert not re.search(r"ix_follows_followed on .*\n.*Index Cond: .* AND ", lines)
