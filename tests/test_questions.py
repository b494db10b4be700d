"""Questions asked user by user cost one statement for all of them, and stay true."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from flask import render_template_string
from flask_login import LoginManager, login_user
from sqlalchemy.orm import Mapped, mapped_column

from flask_follows import ConfigurationError, Follows
from flask_follows import answers as answers_module
from flask_follows.questions import BATCH, PATIENCE, WHOLE

from .hosts import add_users
from .models import make_user_model


@pytest.fixture
def many(db, User, follows, session):
    """A function that returns a viewer and so many others, of whom the viewer follows half."""

    def many(number):
        table = User.__table__
        db.session.execute(
            sa.insert(table), [{"username": f"u{place}"} for place in range(number + 1)]
        )
        viewer, *others = session.scalars(sa.select(User).order_by(User.id)).all()
        follows.add_many([(viewer.id, other.id) for other in others[::2]])
        follows.add_many([(other.id, viewer.id) for other in others[::3]])
        session.commit()
        session.scalars(sa.select(User)).all()
        return viewer, others

    return many


def test_keys_that_cannot_be(many, follows, assert_statements):
    """They are those of nobody, asked about among others that the session holds."""
    viewer, others = many(3)
    relation = follows.follow_relation
    for key in 2**80, -(2**80):
        with assert_statements(0):
            assert not viewer.is_following(key)
            assert not viewer.is_followed_by(key)
            assert relation.count(key) == relation.count(key, reverse=True) == 0
            assert not any(relation.contains(key, other) for other in range(1, PATIENCE + 2))
    assert viewer.is_following(others[0])


# --- Loops and templates --------------------------------------------------------------------------


def test_a_loop_of_fifty(many, assert_statements):
    """One statement, whichever way round the question is put; the counts are one more each."""
    viewer, others = many(50)
    with assert_statements(1):
        assert [viewer.is_following(user) for user in others] == [True, False] * 25
    with assert_statements(1):
        followers = [viewer.is_followed_by(user) for user in others]
    assert followers == [place % 3 == 0 for place in range(50)]
    with assert_statements(0):
        assert sum(viewer.is_mutual_with(user) for user in others) == 9
        assert [user.is_followed_by(viewer) for user in others] == [True, False] * 25
    with assert_statements(1):
        assert [user.followers_count for user in others] == [1, 0] * 25
    with assert_statements(1):
        assert sum(user.followed_count for user in others) == 17


def test_a_loop_over_those_who_ask(many, assert_statements):
    """Where it is the other one who stays the same, the second question shows it."""
    viewer, others = many(50)
    with assert_statements(2):
        assert [user.is_following(viewer) for user in others] == [
            place % 3 == 0 for place in range(50)
        ]


def test_a_loop_of_keys(many, follows, assert_statements):
    """Nothing is held, so the third question reads all whom the viewer follows."""
    viewer, others = many(50)
    keys, viewer_key = [user.id for user in others], viewer.id
    others.clear()
    with assert_statements(PATIENCE):
        for place, key in enumerate(keys):
            user = None
            assert follows.is_following(viewer_key, key) is (place % 2 == 0)
    del user


def test_users_that_come_and_go(many, session, User, assert_statements):
    """Users whom nobody keeps are not held by us either; a few questions show it."""
    viewer, others = many(50)
    keys = [user.id for user in others]
    others.clear()
    session.expunge_all()
    session.add(viewer)
    with assert_statements(50 + PATIENCE):
        for place, key in enumerate(keys):
            assert viewer.is_following(session.get(User, key)) is (place % 2 == 0)


def test_two_thousand(many, assert_statements):
    """A handful of statements; none has a list longer than the cap."""
    viewer, others = many(2000)
    with assert_statements(PATIENCE) as counted:
        assert sum(viewer.is_following(user) for user in others) == 1000
    assert "LIMIT" in counted.statements[-1].upper()


def test_one_who_follows_too_many(many, monkeypatch, assert_statements):
    """Where not all can be read, the batches go on."""
    monkeypatch.setattr("flask_follows.questions.WHOLE", 100)
    viewer, others = many(5 * (BATCH - 1))
    with assert_statements(5 + 1):
        assert sum(viewer.is_following(user) for user in others) == (len(others) + 1) // 2
    assert WHOLE > 100


def test_two_viewers(many, assert_statements):
    """Each has answers of his own; it may take one question to see who is whom."""
    viewer, others = many(20)
    with assert_statements(3):
        for user in others[1:]:
            viewer.is_following(user)
            others[0].is_following(user)
    assert viewer.is_following(others[0])
    assert not others[0].is_following(others[2])


def test_a_template(app, many, assert_statements):
    """Buttons, badges and counts for all who are shown: one statement each."""
    manager = LoginManager(app)
    viewer, others = many(20)
    manager.user_loader(lambda key: viewer)
    page = """{% for user in users %}
        {%- if current_user.is_following(user) %}F{% endif %}
        {%- if user.is_following(current_user) %}B{% endif %}
        {{- user.followers_count }}
    {%- endfor %}"""
    with app.test_request_context():
        login_user(viewer)
        with assert_statements(3):
            shown = render_template_string(page, users=others)
    assert shown.count("F") == 10
    assert shown.count("B") == 7


def test_what_is_loaded_later(many, session, User, assert_statements):
    """Users who come into the session afterwards are asked about once more."""
    viewer, _ = many(3)
    later = make_later(session, User)
    with assert_statements(1):
        assert not any(viewer.is_following(user) for user in later)


def make_later(session, User):
    """Return ten more users, loaded."""
    session.execute(sa.insert(User.__table__), [{"username": f"later{n}"} for n in range(10)])
    return session.scalars(sa.select(User).where(User.username.startswith("later"))).all()


# --- One question ---------------------------------------------------------------------------------


def test_a_single_question(many, session, assert_statements):
    """Where the session holds nobody else, it is a look at one row."""
    viewer, others = many(10)
    user = others[0]
    others.clear()
    with assert_statements(1) as counted:
        assert viewer.is_following(user)
    assert " IN " not in counted.statements[0].upper()
    with assert_statements(1) as counted:
        assert viewer.followed_count == 5
    del user


def test_read_ahead_in_vain(many, session, assert_statements):
    """Where answers are forgotten before they are asked for, the next question asks for one."""
    viewer, others = many(20)
    lists = []
    for user in others[:3]:
        with assert_statements(1) as counted:
            viewer.is_following(user)
        lists.append(" IN " in counted.statements[0].upper())
        session.execute(sa.text("SELECT 1"))
    assert lists == [True, False, False]
    with assert_statements(2) as counted:
        assert sum(viewer.is_following(user) for user in others) == 10
    assert " IN " in counted.statements[1].upper()


def test_one_self_and_nobody(many, assert_statements):
    """Keys that nobody has, or could have, are followed by nobody, in a crowd as well."""
    viewer, others = many(10)
    for key in (viewer.id, 12345, 2**80, -(2**80)):
        assert viewer.is_following(key) is False
        assert viewer.is_followed_by(key) is False
    assert viewer.is_following(others[0])


def test_no_more_than_a_limit_is_remembered(many, monkeypatch):
    """A long transaction does not fill the memory."""
    monkeypatch.setattr(answers_module, "LIMIT", 5)
    viewer, others = many(20)
    for user in others:
        other = others[0]
        assert user.is_following(viewer) == (others.index(user) % 3 == 0)
        assert other.is_following(user) is False


# --- Keys of other kinds --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (sa.Uuid, [uuid.UUID(int=n + 1) for n in range(5)]),
        (sa.String(40), ["ann", "Bob", "cat", "dan", "eve"]),
    ],
    ids=["uuid", "text"],
)
def test_other_keys(db, follows, start, kind, keys, count_statements_of):
    """One statement for all, whatever the key; for text as well, where it is written as stored."""
    User = make_user_model(db, key=kind)
    start(db, User)
    ann, *others = add_users(db, User, 5, keys)
    follows.add_many([(ann.id, others[0].id), (ann.id, others[2].id)])
    db.session.commit()
    users = db.session.scalars(sa.select(User)).all()
    with count_statements_of(db) as counted:
        assert [ann.is_following(user) for user in others] == [True, False, True, False]
        assert [user.followers_count for user in others] == [1, 0, 1, 0]
    assert len(counted) == 2
    ann.unfollow(others[0])
    assert not ann.is_following(others[0])
    assert ann.followed_count == 1
    del users


@pytest.fixture
def count_statements_of():
    """A function that counts what is sent to the databases of a host of the test's own."""
    from .counting import count

    return lambda db: count(db.engines.values())


def test_text_in_another_spelling(db, follows, start):
    """Where the database takes two spellings for one, no answer is taken from the other."""
    User = make_user_model(db, key=sa.String(40).with_variant(sa.String(40, "NOCASE"), "sqlite"))
    start(db, User)
    ann, bob, cat = add_users(db, User, 3, ["ann", "bob", "cat"])
    table = follows.Follow.__table__
    ignores_case = db.session.scalar(sa.select(sa.true()).where(User.id == "BOB").limit(1))
    if ignores_case:  # an edge under another spelling than the user's
        row = {"follower_id": "ann", "followed_id": "BOB", "created_at": sa.func.now()}
        db.session.execute(sa.insert(table).values(row))
    else:
        ann.follow(bob)
    for _ in range(2):
        assert ann.is_following(bob)
        assert ann.is_following(cat) is False
        assert bob.followers_count == 1
        assert cat.followers_count == 0
        assert follows.is_following("ann", "BOB") is bool(ignores_case)
        assert follows.status(ann, [bob, cat])[bob].following
        assert not follows.status(ann, [bob, cat])[cat].following
        both = follows.status("ann", ["bob", "BOB"])
        assert both["bob"].following
        assert both["BOB"].following is bool(ignores_case)
        assert follows.is_following("ann", "BOB") is bool(ignores_case)
    ann.unfollow(bob)
    assert not ann.is_following(bob)
    assert not follows.is_following("ann", "BOB")


def test_users_of_a_subclass(db, follows, start, count_statements_of):
    """Sessions know objects by the class that it all inherits from."""

    class User(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(sa.String(40))
        kind: Mapped[str] = mapped_column(sa.String(10))
        __mapper_args__: ClassVar[Any] = {"polymorphic_on": "kind", "polymorphic_identity": "user"}

    class Admin(User):
        id: Mapped[int] = mapped_column(sa.ForeignKey(User.id), primary_key=True)
        __mapper_args__: ClassVar[Any] = {"polymorphic_identity": "admin"}

    start(db, Admin)
    ann, *others = add_users(db, Admin, 4)
    add_users(db, User, 2)
    ann.follow(others[1])
    db.session.commit()
    held = db.session.scalars(sa.select(User)).all()
    with count_statements_of(db) as counted:
        assert [ann.is_following(user) for user in others] == [False, True, False]
    assert len(counted) == 1
    del held


# --- Switched off ---------------------------------------------------------------------------------


def test_switched_off(db, User, start, count_statements_of):
    """Then each question is a statement, and nothing is remembered."""
    follows = Follows(read_ahead=False)
    start(db, User, follows)
    ann, *others = add_users(db, User, 4)
    ann.follow(others[0])
    with count_statements_of(db) as counted:
        for _ in range(2):
            assert [ann.is_following(user) for user in others] == [True, False, False]
            assert ann.followed_count == 1
    assert len(counted) == 8
    assert follows.status(ann, others)[others[0]].following
    assert answers_module.Answers.of(db.session()) is None


def test_an_option_of_the_wrong_kind():
    """It is on or off."""
    with pytest.raises(ConfigurationError, match="read_ahead must be True or False, not 'yes'"):
        Follows(read_ahead="yes")
