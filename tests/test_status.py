"""`follows.status(viewer, users)`: what one user is to many, in one statement."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask_login import AnonymousUserMixin, LoginManager, current_user, login_user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_follows import Status, UnsavedInstanceError, WrongTypeError
from flask_follows.questions import BATCH

NOBODY = Status(following=False, followed_by=False, mutual=False)


@pytest.fixture
def network(users):
    """Five users: the first follows two, two follow her, one of them is the same."""
    ann, bob, cat, dan, eve = users(5)
    ann.followed.add(bob, cat)
    ann.followers.add(cat, dan)
    return ann, bob, cat, dan, eve


def test_status(network, follows, assert_statements):
    """One statement for all, found by user and by key, in the order given, each once."""
    ann, bob, cat, dan, eve = network
    with assert_statements(1):
        statuses = follows.status(ann, [bob, cat.id, dan, eve, bob.id, ann])
    with assert_statements(0):
        assert list(statuses) == [bob.id, cat.id, dan.id, eve.id, ann.id]
        assert statuses[bob] == Status(following=True, followed_by=False, mutual=False)
        assert statuses[cat] == statuses[cat.id] == Status(True, True, True)
        assert statuses[dan] == Status(False, True, False)
        assert statuses[eve] == statuses[ann] == NOBODY
    assert len(statuses) == 5
    assert repr(statuses).startswith(f"Statuses({{{bob.id}: Status(following=True,")
    with pytest.raises(KeyError):
        statuses[4711]
    with pytest.raises(AttributeError):
        statuses[bob].following = False


def test_it_answers_what_is_asked_later(network, follows, assert_statements):
    """Also the questions inside a query that is streamed."""
    ann, bob, cat, dan, _ = network
    follows.status(ann.id, iter([bob, cat.id, dan]))
    with assert_statements(0):
        assert ann.is_following(bob)
        assert not ann.is_followed_by(bob)
        assert ann.is_mutual_with(cat)
        assert not dan.is_followed_by(ann)


def test_it_is_asked_anew(network, follows, assert_statements):
    """Whoever calls it wants to know."""
    ann, bob, *_ = network
    with assert_statements(2):
        follows.status(ann, [bob])
        follows.status(ann, [bob])


def test_nobody_is_logged_in(app, network, follows, User, assert_statements):
    """A visitor follows nobody; the database need not be asked."""
    _, bob, cat, *_ = network
    manager = LoginManager(app)
    manager.user_loader(lambda key: None)
    with app.test_request_context(), assert_statements(0):
        for viewer in (None, AnonymousUserMixin(), current_user):
            statuses = follows.status(viewer, [bob, cat])
            assert dict(statuses) == {bob.id: NOBODY, cat.id: NOBODY}
    with assert_statements(0):
        assert dict(follows.status(current_user, [bob])) == {bob.id: NOBODY}


def test_the_one_logged_in(app, network, follows):
    """Flask-Login's proxy is a user."""
    ann, bob, *_ = network
    manager = LoginManager(app)
    manager.user_loader(lambda key: ann)
    with app.test_request_context():
        login_user(ann)
        assert follows.status(current_user, [bob])[bob].following


def test_no_users(network, follows, assert_statements):
    """Nothing to ask."""
    with assert_statements(0):
        assert len(follows.status(network[0], [])) == 0


def test_above_the_cap(users, follows, session, User, assert_statements):
    """One statement for each 450 of any number."""
    (viewer,) = users(1)
    rows = [{"username": f"n{number}"} for number in range(2 * BATCH + 1)]
    session.execute(sa.insert(User.__table__), rows)
    keys = session.scalars(sa.select(User.id).where(User.id != viewer.id)).all()
    follows.add_many([(viewer.id, key) for key in keys[::2]])
    with assert_statements(3):
        statuses = follows.status(viewer, keys)
    assert [statuses[key].following for key in keys] == [n % 2 == 0 for n in range(len(keys))]


def test_wrong_users(network, follows, User):
    """What is no user in the database is refused, as everywhere."""
    ann, bob, *_ = network
    with pytest.raises(UnsavedInstanceError):
        follows.status(ann, [User(username="new")])
    assert follows.status(User(username="new"), [bob])[bob] == NOBODY
    with pytest.raises(WrongTypeError):
        follows.status(ann, [None])
    with pytest.raises(WrongTypeError):
        follows.status("ann", [bob])


def test_keys_that_cannot_be(network, follows):
    """They are those of nobody."""
    ann, bob, *_ = network
    assert follows.status(ann, [2**80, bob])[bob].following
    assert follows.status(ann, [2**80])[2**80] == NOBODY
    assert follows.status(2**80, [bob])[bob] == NOBODY


def test_random_graphs(users, follows, session):
    """It says what a set of pairs says."""
    keys = [user.id for user in users(6)]
    pair = st.tuples(st.sampled_from(keys), st.sampled_from(keys)).filter(lambda p: p[0] != p[1])

    @settings(max_examples=settings().max_examples // 3, suppress_health_check=list(HealthCheck))
    @given(st.sets(pair))
    def compare(pairs):
        follows.add_many(pairs)
        for viewer in keys:
            expected = {
                key: Status(
                    (viewer, key) in pairs,
                    (key, viewer) in pairs,
                    {(viewer, key), (key, viewer)} <= pairs,
                )
                for key in keys
            }
            assert follows.status(viewer, keys) == expected
        session.rollback()

    compare()
