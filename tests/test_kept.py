"""Queries with a statement that is kept: read as they are, and put together to be narrowed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import event
from sqlalchemy.orm import Query, Session, joinedload, with_loader_criteria

from .models import make_user_model

Ask = Callable[[], Any]


@pytest.fixture
def people(users):
    """One who follows the others, and the others, who follow back and each other."""
    me, *others = users(5)
    me.followed.add(*others)
    for user in others:
        user.followed.add(*(other for other in [me, *others] if other is not user))
    return me, *others


@pytest.fixture(params=["mutuals", "known followers", "followed in common"])
def ask(request, people, follows) -> Ask:
    """What gives a new query: of four users, or of three."""
    me, star, *_ = people
    return {
        "mutuals": lambda: me.mutuals,
        "known followers": lambda: follows.known_followers(me, star),
        "followed in common": lambda: follows.followed_in_common(me, star),
    }[request.param]


def test_like_any_query(ask, db, session, User):
    """Whatever is asked of it first, it is what a query of the host's would be."""
    found = ask().all()
    assert len(found) in (3, 4)
    assert list(ask()) == [*iter(ask())] == found
    assert (ask()[0], ask()[1:], ask().first()) == (found[0], found[1:], found[0])
    assert (ask().count(), ask().paginate(per_page=2).total) == (len(found), len(found))
    assert ask().filter_by(username=found[1].username).one() is found[1]
    assert ask().order_by(None).order_by(User.id.desc()).first() is max(found, key=lambda u: u.id)
    assert session.scalars(ask().statement).all() == found
    assert set(session.scalars(sa.select(User).where(User.id.in_(_keys(ask(), User))))) == {*found}
    assert {user.id for user in session.execute(sa.select(ask().subquery()))} == _ids(found)
    assert set(ask().order_by(None).union(ask().order_by(None))) == {*found}
    assert session.query(ask().exists()).scalar() is True
    assert copy.copy(ask()).all() == copy.copy(ask()).limit(9).all() == found
    assert not hasattr(ask(), "no such thing")
    assert isinstance(ask(), db.Query)
    assert ask().session is session()
    assert str(ask()).startswith("SELECT")


def _keys(query: Query[Any], User: Any) -> Query[Any]:
    return query.order_by(None).with_entities(User.id)


def _ids(users: list[Any]) -> set[int]:
    return {user.id for user in users}


def test_it_may_be_used_again(ask, User, assert_statements):
    """To have read or narrowed it takes nothing from it, nor changes how it is read."""
    query = ask()
    with assert_statements(1) as whole:
        found = query.all()
    narrower = query.filter(User.id == found[0].id)
    assert (narrower.all(), query.first(), query[1:]) == ([found[0]], found[0], found[1:])
    with assert_statements(1) as again:
        assert list(query) == found
    assert again.statements == whole.statements
    assert query.count() == len(found)


def test_it_may_be_changed(ask, db, session):
    """What is set on it is set, and holds for all that is asked from then on."""
    session.commit()
    query, found = ask(), ask().all()
    query.note = "mine"
    assert (query.note, query.all(), query.count()) == ("mine", found, len(found))
    del query.note
    assert not hasattr(query, "note")
    with Session(db.engine) as another:
        query.session = another
        assert [sa.orm.object_session(user) for user in query] == [another] * len(found)


def test_it_is_not_put_together(ask, monkeypatch):
    """All rows are read without the query, which would take longer than the statement."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("put together")

    monkeypatch.setattr(Query, "filter", refuse)
    assert ask().all() == list(ask())
    with pytest.raises(AssertionError, match="put together"):
        ask().first()


@pytest.mark.parametrize("name", ["known_followers", "followed_in_common"])
def test_counted_without_users(people, follows, User, assert_statements, name):
    """People in common are counted by their edges, whatever else was asked of the query."""
    me, star, *_ = people
    query = getattr(follows, name)(me, star)
    query.limit(1).all()
    with assert_statements(1) as counted:
        assert query.count() == 3
    assert "username" not in counted.statements[0]
    with assert_statements(1) as counted:
        assert query.filter(User.id > 0).count() == 3
    assert "username" in counted.statements[0]


def test_what_sessions_leave_out(ask, session, User):
    """Loader criteria of the host's hold for the statement as for any other."""
    hidden = ask().all()[0]

    def hide(state: Any) -> None:
        state.statement = state.statement.options(
            with_loader_criteria(User, User.username != hidden.username)
        )

    name = hidden.username
    assert name in [user.username for user in ask()]
    event.listen(Session, "do_orm_execute", hide)
    try:
        assert name not in [user.username for user in ask().all()]
    finally:
        event.remove(Session, "do_orm_execute", hide)


def test_queries_that_hosts_compile(ask, User):
    """A host that changes each query as it is compiled has these put together at once."""
    hidden = ask().all()[0].username

    def hide(query: Any) -> Any:
        return query.enable_assertions(False).filter(User.username != hidden)

    event.listen(Query, "before_compile", hide, retval=True, bake_ok=True)
    try:
        assert hidden not in [user.username for user in ask().all()]
    finally:
        event.remove(Query, "before_compile", hide)
    assert hidden in [user.username for user in ask().all()]


def test_sessions_that_filter(start, follows):
    """What a host's session leaves out of every query is left out of these, whatever is asked."""

    class Filtering(FlaskSession):
        def query(self, *entities, **options):
            return super().query(*entities, **options).filter(User.username != "hidden")

    db = SQLAlchemy(session_options={"class_": Filtering})
    User = make_user_model(db)
    start(db, User)
    me, star, ann, hidden = (User(username=name) for name in ("me", "star", "ann", "hidden"))
    db.session.add_all([me, star, ann, hidden])
    me.followed.add(ann, hidden)
    star.followers.add(ann, hidden)
    query = follows.known_followers(me, star)
    assert query.all() == list(query) == query.filter(sa.true()).all() == [ann]
    assert query.count() == query.filter(sa.true()).count() == 1


def test_an_object_that_loads_others(start, db, follows):
    """Each object is there once, also where a host's relationship is read by a join."""
    User = make_user_model(db)

    class Note(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        user_id = sa.Column(sa.ForeignKey(User.id))

    User.notes = sa.orm.relationship(Note, lazy="joined")
    start(db, User)
    me, ann = (User(username=name) for name in ("me", "ann"))
    ann.notes = [Note(), Note()]
    db.session.add_all([me, ann])
    me.follow(ann)
    ann.follow(me)
    db.session.commit()
    assert me.mutuals.all() == me.mutuals.options(joinedload(User.notes)).all() == [ann]
