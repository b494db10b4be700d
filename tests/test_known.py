"""People in common: who follows a user of those whom another follows, and whom both follow."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask_login import AnonymousUserMixin
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.query import Query
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import mapped_column

from flask_follows import Follows, KnownFollowers, UnsavedInstanceError

from .hosts import add_users
from .models import make_user_model
from .work import cost, plan, sent_by, settle

KEYS = st.integers(1, 7)
GRAPHS = st.sets(st.tuples(KEYS, KEYS).filter(lambda pair: pair[0] != pair[1]))


@pytest.fixture
def User(db: Any) -> Any:
    """Users of some weight: to read all of them is no way to find three."""
    return make_user_model(db, about=mapped_column(sa.Text, nullable=True))


def test_known_followers(users, follows):
    """They follow the user, the viewer follows them, and they come in the order of their keys."""
    me, star, ann, bob, cleo = users(5)
    me.followed.add(bob, ann, star)
    star.followers.add(cleo, bob, ann, me)
    query = follows.known_followers(me, star)
    assert query.all() == [ann, bob]
    assert follows.known_followers(me.id, star.id).all() == [ann, bob]
    assert (query.count(), follows.known_followers(star, me).count()) == (2, 0)
    assert query.filter_by(username="u3").all() == [bob]
    assert query.filter_by(username="u3").count() == 1
    assert query.limit(1).count() == query.limit(1).all().count(ann) == 1
    assert query.paginate(per_page=1).total == 2
    assert query.order_by(None).order_by(sa.desc("username")).first() == bob


def test_followed_in_common(users, follows):
    """Both follow them, and they come in the order of their keys."""
    me, star, ann, bob, cleo = users(5)
    me.followed.add(bob, ann, star)
    star.followed.add(cleo, bob, ann, me)
    query = follows.followed_in_common(me, star)
    assert query.all() == follows.followed_in_common(star.id, me.id).all() == [ann, bob]
    assert (query.count(), query.filter_by(username="u2").count()) == (2, 1)


def test_known_followers_of_many(users, follows):
    """For each user asked about there are the first few, and how many there are in all."""
    me, star, nova, *others = users(7)
    me.followed.add(*others)
    star.followers.add(*others)
    nova.followers.add(me, others[2])
    found = follows.known_followers_of(me, [star, nova.id, me, star.id], limit=2)
    assert found == {
        star.id: KnownFollowers(others[:2], 4),
        nova.id: KnownFollowers([others[2]], 1),
        me.id: KnownFollowers([], 0),
    }
    assert (found[star.id].more, found[nova.id].more) == (2, 0)
    assert found[star.id].users[0] is others[0]
    assert len(follows.known_followers_of(me.id, iter([star]))[star.id].users) == 3
    assert follows.known_followers_of(me, [star], limit=0) == {star.id: KnownFollowers([], 4)}
    assert follows.known_followers_of(me, []) == {}


def test_any_graph(app, session, follows, User):
    """On any graph the answers are those of plain Python."""
    session.add_all(User(id=key, username=f"u{key}") for key in range(1, 8))
    session.commit()

    @settings(max_examples=settings().max_examples // 4)
    @given(GRAPHS, st.integers(0, 3), KEYS, st.sets(KEYS, max_size=3))
    def check(pairs, limit, viewer, asked):
        follows.add_many(pairs)
        followed = {key: {pair[1] for pair in pairs if pair[0] == key} for key in range(1, 8)}
        followers = {key: {pair[0] for pair in pairs if pair[1] == key} for key in range(1, 8)}
        found = follows.known_followers_of(viewer, asked, limit)
        assert set(found) == asked
        for key in asked:
            known = sorted(followed[viewer] & followers[key])
            common = sorted(followed[viewer] & followed[key])
            query = follows.known_followers(viewer, key)
            assert [user.id for user in query] == known
            assert query.count() == found[key].count == len(known)
            assert [user.id for user in found[key].users] == known[:limit]
            query = follows.followed_in_common(viewer, key)
            assert ([user.id for user in query], query.count()) == (common, len(common))
        session.rollback()

    check()


def test_visitors(users, follows, User, assert_statements):
    """Who is not logged in, or not saved, knows nobody; a key that nobody has, neither."""
    star, ann = users(2)
    ann.follow(star)
    for nobody in None, AnonymousUserMixin(), User(username="transient"), 4711, 2**70:
        assert follows.known_followers(nobody, star).all() == []
        assert follows.known_followers(nobody, star).count() == 0
        assert follows.known_followers(star, nobody).all() == []
        assert follows.followed_in_common(nobody, star).all() == []
        assert follows.known_followers_of(nobody, [star]) == {star.id: KnownFollowers([], 0)}
    assert follows.known_followers_of(star, [2**70]) == {2**70: KnownFollowers([], 0)}
    with assert_statements(0):
        follows.known_followers_of(None, [star.id])


def test_what_is_refused(users, session, follows):
    """Users who are none are refused, and so is a limit that is no number."""
    me, star = users(2)
    with pytest.raises(TypeError, match="expected an instance of User"):
        follows.known_followers_of(me, ["star"])
    with pytest.raises(TypeError, match="limit must be an int, got '3'"):
        follows.known_followers_of(me, [star], limit="3")
    with pytest.raises(ValueError, match="limit must be from 0 to"):
        follows.known_followers_of(me, [star], limit=-1)
    session.delete(star)
    session.flush()
    with pytest.raises(UnsavedInstanceError, match="was deleted"):
        follows.known_followers(me, star)


def test_pending_edges_are_seen(users, session, follows):
    """What was added to the session is flushed before the answer, by each way of asking."""
    me, star, *others = users(5)
    for number, other in enumerate(others, 1):
        for pair in (me, other), (other, star):
            session.add(follows.Follow(follower=pair[0], followed=pair[1]))
        ask = [
            lambda: follows.known_followers(me, star).count(),
            lambda: len(follows.known_followers(me, star).all()),
            lambda: follows.known_followers_of(me, [star])[star.id].count,
        ][number - 1]
        assert ask() == number


def test_hidden_users(users, session, follows, User):
    """Who is hidden by a loader criterion is not shown."""
    me, star, *others = users(5)
    me.followed.add(*others)
    star.followers.add(*others)

    @sa.event.listens_for(session(), "do_orm_execute")
    def hide(state):
        if state.is_select:
            criterion = sa.orm.with_loader_criteria(User, User.id != others[1].id)
            state.statement = state.statement.options(criterion)

    assert follows.known_followers(me, star).all() == [others[0], others[2]]
    assert follows.known_followers_of(me, [star])[star.id].users == [others[0], others[2]]


def test_the_query_class_of_the_host(make_app, database):
    """The queries have the methods of the host's own query class."""

    class Named(Query):
        def named(self, name):
            return self.filter_by(username=name)

    db, follows = SQLAlchemy(query_class=Named), Follows()
    User, app = make_user_model(db), make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        me, star, ann = (User(username=name) for name in ("me", "star", "ann"))
        db.session.add_all([me, star, ann])
        me.follow(ann)
        ann.follow(star)
        assert follows.known_followers(me, star).named("ann").all() == [ann]


def test_an_adopted_table(make_app, database):
    """Tables of the host's serve as well: other names, no time, several edges of one pair."""
    db = SQLAlchemy()
    User = make_user_model(db)

    class Link(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        src = mapped_column(sa.ForeignKey("user.id"))
        dst = mapped_column(sa.ForeignKey("user.id"))

    app = make_app(db)
    follows = Follows(app, db, User, follow_model=Link, through_fields=("src", "dst"))
    with app.app_context():
        db.create_all()
        me, star, *others = (User(username=f"u{number}") for number in range(5))
        db.session.add_all([me, star, *others])
        db.session.flush()
        pairs = [(me, other) for other in others] + [(other, star) for other in others[:2]]
        db.session.add_all(Link(src=a.id, dst=b.id) for a, b in [*pairs, *pairs])
        db.session.add(Link(src=me.id, dst=None))
        assert follows.known_followers(me, star).all() == others[:2]
        assert follows.known_followers(me, star).count() == 2
        assert follows.known_followers_of(me, [star], 1) == {star.id: KnownFollowers(others[:1], 2)}
        star.followed.add(others[1])
        assert follows.followed_in_common(me, star).all() == [others[1]]


# What it costs


def test_statements(users, follows, assert_statements):
    """Each question is one statement, for one user as for three hundred; the count has no user."""
    me, star, *others = users(330)
    me.followed.add(*others)
    star.followers.add(*others)
    with assert_statements(1):
        follows.known_followers(me, star).all()
    with assert_statements(1) as counted:
        assert follows.known_followers(me, star).count() == 328
    assert "user" not in counted.statements[0].replace("user_id", "")
    with assert_statements(1):
        follows.known_followers_of(me, [star, *others[:299]])
    with assert_statements(2):
        follows.known_followers_of(me, [star, *others[:300]])


# For each whom the viewer follows, and each user asked about.
PROBE = {"sqlite": 25, "postgresql": 4, "mariadb": 4, "mysql": 4}


def test_keys_in_another_spelling(db, follows, start):
    """An edge may spell a key otherwise, where the database takes both for one."""
    User = make_user_model(db, key=sa.String(40).with_variant(sa.String(40, "NOCASE"), "sqlite"))
    start(db, User)
    me, ann, bob, cat = add_users(db, User, 4, ["me", "ann", "bob", "cat"])
    me.followed.add(ann, bob)
    bob.follow(cat)
    if not db.session.scalar(sa.select(sa.true()).where(User.id == "CAT").limit(1)):
        ann.follow(cat)
    else:
        row = {"follower_id": "ANN", "followed_id": "CAT", "created_at": sa.func.now()}
        db.session.execute(sa.insert(follows.Follow.__table__).values(row))
    known = follows.known_followers_of(me, [cat])
    assert {key: ([u.id for u in found.users], found.count) for key, found in known.items()} == {
        "cat": (["ann", "bob"], 2)
    }
    (suggested,) = follows.suggestions(me)
    assert (suggested.user, suggested.count, suggested.known) == (cat, 2, [ann, bob])


def test_what_known_followers_cost(session, db, follows, User):
    """They cost what the viewer follows, and not what the celebrity has of followers."""
    keys = range(1, 3001)
    session.execute(
        sa.insert(User), [{"id": key, "username": f"u{key}", "about": "x" * 900} for key in keys]
    )
    me, star, followed = 1, 2, range(100, 130)
    follows.add_many((key, star) for key in range(3, 3001))
    follows.add_many((key, (key + hop) % 3000 + 1) for key in range(200, 1200) for hop in range(9))
    follows.add_many((me, key) for key in followed)
    session.commit()
    settle(db.engine, [User.__table__, follows.Follow.__table__])
    questions = {
        "list": lambda: follows.known_followers(me, star).limit(3).all(),
        "count": lambda: follows.known_followers(me, star).count(),
        "all": lambda: follows.known_followers(me, star).all(),
        "common": lambda: follows.followed_in_common(me, star).all(),
        "of many": lambda: follows.known_followers_of(me, [star, *range(10, 20)]),
    }
    costs = {}
    with db.engine.connect() as connection:
        for name, ask in questions.items():
            (sent,) = sent_by(db.engine, ask)
            costs[name] = cost(connection, sent)
            assert "Seq Scan" not in plan(connection, sent), name
    probe = PROBE[db.engine.dialect.name]
    few = probe * len(followed) + 60
    assert max(costs[name] for name in ("list", "count", "all", "common")) <= few, costs
    assert costs["of many"] <= 11 * probe * len(followed) + 300, costs
