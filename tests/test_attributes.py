"""Assignment to a collection, and SQLAlchemy's attribute on the class."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, selectinload, with_parent
from sqlalchemy.orm.interfaces import MANYTOMANY

from flask_follows import (
    Follows,
    SelfFollowError,
    UnknownUserError,
    UnsavedInstanceError,
    WrongTypeError,
)
from flask_follows.attributes import CollectionAttribute, EdgesAttribute, Related

from .hosts import add_users, stored
from .models import BASES, make_user_model

MOMENT = datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=timezone.utc)


@pytest.fixture
def edges(db, follows):
    """A function that reads the pairs of keys that are stored."""
    return lambda: stored(db, follows.follow_relation)


# --- Assignment -----------------------------------------------------------------------------------


def test_assignment_makes_the_collection_exactly_this(app, db, users, edges):
    """What is not among the values goes, what is new comes, at either end."""
    ann, bob, cat, dan = users(4)
    ann.followed = [bob, cat]
    assert edges() == {(ann.id, bob.id), (ann.id, cat.id)}
    ann.followed = [cat, dan.id]
    assert edges() == {(ann.id, cat.id), (ann.id, dan.id)}
    dan.followers = [bob]
    assert edges() == {(ann.id, cat.id), (bob.id, dan.id)}
    dan.followers = []
    assert edges() == {(ann.id, cat.id)}


def test_what_stays_is_not_rewritten(app, db, users, follows):
    """An edge that was there keeps its time."""
    ann, bob, cat = users(3)
    ann.follow(bob, created_at=MOMENT)
    ann.followed = [cat, bob]
    edge = db.session.get(follows.Follow, (ann.id, bob.id))
    assert edge.created_at == MOMENT


def test_any_iterable_can_be_assigned(app, db, users, edges):
    """A generator, a set, a query, another collection, and the collection itself."""
    ann, bob, cat, dan = users(4)
    ann.followed = (user for user in (bob, cat))
    expected = {(ann.id, bob.id), (ann.id, cat.id)}
    assert edges() == expected
    ann.followed = ann.followed
    ann.followed = {cat.id, bob.id}
    ann.followed = ann.followed.order_by(None)
    assert edges() == expected
    dan.followed = ann.followed
    assert edges() == expected | {(dan.id, bob.id), (dan.id, cat.id)}


def test_assignment_is_in_the_hosts_transaction(app, db, users, edges):
    """A rollback takes it back."""
    ann, bob, _ = users(3)
    ann.followed = [bob]
    db.session.rollback()
    assert edges() == set()


def test_assignment_to_a_pending_user(app, db, User, users, edges):
    """An added user is flushed first."""
    (ann,) = users(1)
    new = User(username="new")
    db.session.add(new)
    new.followers = [ann]
    assert edges() == {(ann.id, new.id)}


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (lambda ann, bob, cat: [bob, 12345], UnknownUserError),
        (lambda ann, bob, cat: [bob, ann], SelfFollowError),
        (lambda ann, bob, cat: [bob, "x"], WrongTypeError),
        (lambda ann, bob, cat: [bob, None], WrongTypeError),
        (lambda ann, bob, cat: [bob, type(ann)(username="new")], UnsavedInstanceError),
        (lambda ann, bob, cat: None, TypeError),
        (lambda ann, bob, cat: bob, TypeError),
        (lambda ann, bob, cat: "12", WrongTypeError),
    ],
    ids=["unknown", "self", "text", "None in it", "transient", "None", "one user", "a text"],
)
def test_an_assignment_that_is_refused_changes_nothing(values, error, app, db, users, edges):
    """Neither is anything removed, and the transaction goes on."""
    ann, bob, cat = users(3)
    ann.follow(cat)
    with pytest.raises(error):
        ann.followed = values(ann, bob, cat)
    assert edges() == {(ann.id, cat.id)}
    bob.follow(ann)
    db.session.commit()
    assert edges() == {(ann.id, cat.id), (bob.id, ann.id)}


def test_assignment_in_the_constructor_is_refused(app, db, User, users):
    """A new user has no key that an edge could hold: the message says what to do first."""
    (ann,) = users(1)
    for name in ("followed", "followers"):
        with pytest.raises(UnsavedInstanceError, match=r"is not saved.*db\.session\.add"):
            User(username="new", **{name: [ann]})
    assert db.session.scalars(sa.select(User.username)).all() == ["u0"]


def test_edges_in_the_constructor(app, db, User, users, edges, follows):
    """The sets of edges are writable relationships as SQLAlchemy knows them."""
    ann, bob = users(2)
    new = User(username="new", followed_set=[follows.Follow(followed=ann)])
    new.followers_set = [follows.Follow(follower=bob)]
    db.session.add(new)
    db.session.commit()
    assert edges() == {(new.id, ann.id), (bob.id, new.id)}
    new.followed_set = []
    db.session.commit()
    assert edges() == {(bob.id, new.id)}


def test_a_collection_cannot_be_deleted(app, users):
    """`del` is SQLAlchemy's error."""
    (ann,) = users(1)
    with pytest.raises(NotImplementedError):
        del ann.followed


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_assignment_on_every_base(when, base, make_app):
    """It means the same on every model base, mappers configured before or after the set-up."""
    db, extension = BASES[base](), Follows()
    User = make_user_model(db)
    if when == "before":
        db.Model.registry.configure()
    app = make_app(db)
    extension.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        ann, bob, _ = add_users(db, User)
        ann.followers = [bob]
        assert stored(db, extension.follow_relation) == {(bob.id, ann.id)}


# --- The attribute of the class -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["followed", "followers", "followed_set", "followers_set"])
def test_on_the_class_it_is_sqlalchemys_own(name, app, db, User):
    """Admin pages, serialisers and loader options find a relationship like any other."""
    attribute, mapper = getattr(User, name), sa.inspect(User)
    assert isinstance(attribute, InstrumentedAttribute)
    assert attribute.property is mapper.relationships[name]
    assert mapper.all_orm_descriptors[name] is attribute
    assert mapper.attrs[name] is attribute.property
    assert str(attribute) == f"User.{name}"
    assert attribute.property.lazy == "dynamic"
    assert (attribute.property.direction is MANYTOMANY) == (not name.endswith("_set"))


def test_criteria_on_the_class(app, db, User, users):
    """`any` and `contains` are SQLAlchemy's."""
    ann, bob, cat = users(3)
    ann.follow(bob)
    cat.follow(bob)

    def found(criterion):
        return db.session.scalars(sa.select(User).where(criterion).order_by(User.id)).all()

    assert found(User.followed.any()) == [ann, cat]
    assert found(User.followers.any(User.username == "u2")) == [bob]
    assert found(User.followed.contains(bob)) == [ann, cat]
    assert found(~User.followed.any()) == [bob]
    assert found(User.followed_set.any(followed=bob)) == [ann, cat]
    assert found(with_parent(bob, User.followers)) == [ann, cat]


def test_joins_on_the_class(app, db, User, users):
    """A join along it finds the other end, one along the edges finds their time."""
    ann, bob, cat = users(3)
    ann.follow(bob, created_at=MOMENT)
    cat.follow(bob)
    other = sa.orm.aliased(User)
    names = sa.select(User.username, other.username).join(User.followed.of_type(other))
    rows = db.session.execute(names.order_by(User.username)).all()
    assert [tuple(row) for row in rows] == [("u0", "u1"), ("u2", "u1")]
    Edge = User.followed_set.property.mapper.class_
    times = sa.select(Edge.created_at).join(User.followed_set).where(User.id == ann.id)
    assert db.session.scalars(times.select_from(User)).all() == [MOMENT]


def test_it_is_not_loaded_eagerly(app, db, User, users):
    """SQLAlchemy refuses a loader option on a dynamic relationship."""
    users(1)
    with pytest.raises(sa.exc.InvalidRequestError, match="does not support"):
        db.session.scalars(sa.select(User).options(selectinload(User.followed))).all()


def test_a_merge_leaves_the_edges(app, db, User, users, edges):
    """`session.merge` of a user from elsewhere does not touch them."""
    ann, bob = users(2)
    ann.follow(bob)
    db.session.commit()
    merged = db.session.merge(User(id=ann.id, username="renamed"))
    db.session.commit()
    assert merged.username == "renamed"
    assert edges() == {(ann.id, bob.id)}


def test_refresh_and_expire_pass_it_by(app, db, users):
    """They are nothing that a user has loaded."""
    ann, bob = users(2)
    ann.follow(bob)
    db.session.refresh(ann)
    db.session.expire(ann)
    assert "followed" not in sa.inspect(ann).dict
    assert ann.followed.all() == [bob]


@pytest.mark.parametrize("descriptor", [CollectionAttribute, EdgesAttribute])
def test_the_descriptors_for_type_checkers_say_so(descriptor):
    """They describe what SQLAlchemy puts in their place; used themselves they raise."""

    class User:
        followers = descriptor()

    with pytest.raises(NotImplementedError, match="replaced by SQLAlchemy's attribute"):
        _ = User.followers
    with pytest.raises(NotImplementedError, match="replaced by SQLAlchemy's attribute"):
        User().followers = []


def test_the_annotation_of_a_relation_is_only_that():
    """`Related` stands for what the relation makes, and does nothing itself."""
    related = Related()
    with pytest.raises(NotImplementedError, match="when the relation is made"):
        related.__get__(None, object)
    with pytest.raises(NotImplementedError, match="when the relation is made"):
        related.__set__(object(), [])
