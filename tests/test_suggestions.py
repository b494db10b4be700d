"""Suggestions: followed by those whom one follows, most in common first."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from flask_login import AnonymousUserMixin
from flask_sqlalchemy import SQLAlchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import mapped_column

from flask_follows import Follows, Suggestion
from flask_follows.suggestions import FIRST_HOP

from .models import make_user_model
from .work import cost, sent_by, settle

NOON = datetime(2024, 3, 1, 12, tzinfo=timezone.utc)
KEYS = st.integers(1, 7)
GRAPHS = st.sets(st.tuples(KEYS, KEYS).filter(lambda pair: pair[0] != pair[1]))


@pytest.fixture
def User(db: Any) -> Any:
    """Users of some weight: to read all of them is no way to find three."""
    return make_user_model(db, about=mapped_column(sa.Text, nullable=True))


def whole(suggestions: Any) -> list[tuple[Any, int, list[Any]]]:
    """Return suggestions with whom one has in common."""
    return [(each.user, each.count, each.known) for each in suggestions]


def test_suggestions(users, follows):
    """Most in common first, then by key; not those followed already, nor oneself."""
    me, ann, bob, cleo, dora, eve, fred = users(7)
    me.followed.add(ann, bob, cleo)
    ann.followed.add(me, bob, eve, dora)
    bob.followed.add(me, eve, fred)
    cleo.followed.add(eve)
    dora.followed.add(fred)
    expected = [
        (eve, 3, [ann, bob, cleo]),
        (dora, 1, [ann]),
        (fred, 1, [bob]),
    ]
    assert whole(follows.suggestions(me)) == whole(follows.suggestions(me.id)) == expected
    assert whole(follows.suggestions(me, limit=2)) == expected[:2]
    assert follows.suggestions(dora) == []
    assert follows.suggestions(fred) == []


def test_criteria(users, follows, User):
    """Further criteria on those suggested: as many are found as there may be."""
    me, ann, *others = users(8)
    me.follow(ann)
    ann.followed.add(*others)
    found = follows.suggestions(me, limit=3, where=User.username > "u4")
    assert [suggestion.user for suggestion in found] == others[3:6]
    own = User.username > sa.bindparam("limit", "u4")
    assert [each.user for each in follows.suggestions(me, limit=3, where=own)] == others[3:6]
    where = [User.username > "u4", ~User.is_followed_by(others[0]), User.followers_count == 1]
    others[0].follow(others[4])
    found = follows.suggestions(me, limit=3, where=where)
    assert [suggestion.user for suggestion in found] == [others[3], others[5]]


def test_the_first_hop(users, follows):
    """Only the newest followed are asked whom they follow, and these many."""
    assert FIRST_HOP == 100
    me, ann, bob, cleo, dora = users(5)
    for minute, other in enumerate([bob, ann], 1):
        me.follow(other, created_at=NOON + timedelta(minutes=minute))
    ann.follow(cleo)
    bob.followed.add(cleo, dora)
    assert whole(follows.suggestions(me, first_hop=1)) == [(cleo, 1, [ann])]
    assert [found.user for found in follows.suggestions(me, first_hop=2)] == [cleo, dora]


def test_any_graph(app, session, follows, User):
    """On any graph the suggestions are those of plain Python."""
    session.add_all(User(id=key, username=f"u{key}") for key in range(1, 8))
    session.commit()

    @settings(max_examples=settings().max_examples // 5)
    @given(GRAPHS, st.integers(1, 7), st.integers(1, 4), st.booleans())
    def check(pairs, limit, first_hop, narrow):
        pairs = sorted(pairs)
        # Each edge newer than the one before it.
        follows.add_many(
            (*pair, NOON + timedelta(minutes=place)) for place, pair in enumerate(pairs)
        )
        followed = {key: [pair[1] for pair in pairs if pair[0] == key] for key in range(1, 8)}
        for viewer in range(1, 4):
            known: dict[int, list[int]] = {}
            for friend in sorted(followed[viewer][::-1][:first_hop]):
                for key in followed[friend]:
                    if key not in (viewer, *followed[viewer]) and (not narrow or key > 3):
                        known.setdefault(key, []).append(friend)
            ranked = sorted(known, key=lambda key: (-len(known[key]), key))[:limit]
            where = User.id > 3 if narrow else None
            found = follows.suggestions(viewer, limit, where, first_hop)
            assert [(each.user.id, each.count) for each in found] == [
                (key, len(known[key])) for key in ranked
            ]
            assert [[friend.id for friend in each.known] for each in found] == [
                known[key][:3] for key in ranked
            ]
        session.rollback()

    check()


def test_visitors(users, follows, User, assert_statements):
    """Who is not logged in, or not saved, gets none; a key that nobody has, neither."""
    users(1)
    for nobody in None, AnonymousUserMixin(), User(username="transient"), 4711, 2**70:
        assert follows.suggestions(nobody) == []
    with assert_statements(0):
        follows.suggestions(None)


def test_what_is_refused(users, follows):
    """Numbers that are none, or too small, are refused by name."""
    (me,) = users(1)
    for name in "limit", "first_hop":
        with pytest.raises(ValueError, match=f"{name} must be from 1 to"):
            follows.suggestions(me, **{name: 0})
        with pytest.raises(TypeError, match=f"{name} must be an int"):
            follows.suggestions(me, **{name: "9"})
    with pytest.raises(TypeError, match="expected an instance of User"):
        follows.suggestions("me")


def test_who_follows_himself(make_app, db, User, database):
    """Where users may follow themselves, nobody is suggested for following himself."""
    app = make_app(db)
    follows = Follows(app, db, User, allow_self_follow=True)
    with app.app_context():
        db.create_all()
        me, ann, bob = (User(username=f"u{number}") for number in range(3))
        db.session.add_all([me, ann, bob])
        me.followed.add(me, ann)
        ann.followed.add(me, ann, bob)
        assert whole(follows.suggestions(me)) == [(bob, 1, [ann])]


def test_a_suggestion_for_a_cache():
    """It can be pickled, and brings those in common."""
    kept = pickle.loads(pickle.dumps(Suggestion("bob", 1, lambda: ["ann"])))
    assert (kept.user, kept.count, kept.known) == ("bob", 1, ["ann"])


def test_hidden_users(users, session, follows, User):
    """Who is hidden by a loader criterion is neither suggested nor named."""
    me, ann, bob, cleo, dora = users(5)
    me.followed.add(ann, bob)
    for friend in ann, bob:
        friend.followed.add(cleo, dora)

    @sa.event.listens_for(session(), "do_orm_execute")
    def hide(state):
        if state.is_select:
            criterion = sa.orm.with_loader_criteria(User, User.id.notin_([ann.id, cleo.id]))
            state.statement = state.statement.options(criterion)

    assert whole(follows.suggestions(me)) == [(dora, 2, [bob])]


@pytest.mark.parametrize("timed", [False, True])
def test_an_adopted_table(make_app, database, timed):
    """Tables of the host's serve as well: other names, no time, several edges of one pair."""
    db = SQLAlchemy()
    User = make_user_model(db)

    class Link(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        src = mapped_column(sa.ForeignKey("user.id"))
        dst = mapped_column(sa.ForeignKey("user.id"))
        if timed:
            timestamp = mapped_column(sa.DateTime, nullable=True)

    app = make_app(db)
    follows = Follows(app, db, User, follow_model=Link, through_fields=("src", "dst"))
    with app.app_context():
        db.create_all()
        me, ann, bob, cleo = (User(username=f"u{number}") for number in range(4))
        db.session.add_all([me, ann, bob, cleo])
        db.session.flush()
        pairs = [(me, ann), (me, bob), (ann, cleo), (bob, cleo), (bob, me)]
        for place, (source, target) in enumerate([*pairs, *pairs[::-1]]):
            link = Link(src=source.id, dst=target.id)
            if timed and place < 8:
                link.timestamp = datetime(2024, 3, 1, 12, place)
            db.session.add(link)
        db.session.add_all([Link(src=me.id), Link(src=ann.id)])
        assert whole(follows.suggestions(me)) == [(cleo, 2, [ann, bob])]
        assert whole(follows.suggestions(me, first_hop=1)) == [(cleo, 1, [bob])]


# What it costs


def test_statements(users, follows, User, assert_statements):
    """One statement for however many, and one for whom one has in common with all of them."""
    me, *others = users(40)
    me.followed.add(*others[:20])
    with assert_statements(1):
        assert follows.suggestions(me) == []
    for friend in others[:20]:
        friend.followed.add(*others[20:])
    for limit in 1, 19:
        with assert_statements(1):
            found = follows.suggestions(me, limit)
        assert len(found) == limit
        with assert_statements(1):
            assert all(len(each.known) == 3 for each in found)
    with assert_statements(1):
        follows.suggestions(me, where=User.username != "u9")


# For each edge of those in the first hop, and besides.
FOR_EACH = {"sqlite": 70, "postgresql": 12, "mariadb": 12, "mysql": 12}


def test_what_suggestions_cost(session, db, follows, User):
    """They cost what the first hop follows: not the graph, nor the followers of a celebrity."""
    keys = range(1, 3001)
    rows = [{"id": key, "username": f"u{key}", "about": "x" * 900} for key in keys]
    session.execute(sa.insert(User), rows)
    me, star, followed = 1, 2, range(100, 120)
    follows.add_many((me, key) for key in followed)
    follows.add_many((key, (key * 7 + hop) % 90 + 3) for key in followed for hop in range(9))
    follows.add_many((key, star) for key in followed)
    follows.add_many((key, star) for key in range(200, 3001))
    follows.add_many((key, (key + hop) % 3000 + 1) for key in range(200, 1000) for hop in range(9))
    session.commit()
    settle(db.engine, [User.__table__, follows.Follow.__table__])
    sent = sent_by(db.engine, lambda: whole(follows.suggestions(me)))
    with db.engine.connect() as connection:
        costs = [cost(connection, each) for each in sent]
    edges = len(followed) * 10
    assert sum(costs) <= FOR_EACH[db.engine.dialect.name] * edges + 1000, costs
    found: Any = follows.suggestions(me)
    assert (found[0].user.id, found[0].count) == (star, len(followed))
