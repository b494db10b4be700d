"""The collections `user.followed` and `user.followers`: Django's verbs, and what each costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.query import Query
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm.exc import DetachedInstanceError, MultipleResultsFound

from flask_follows import (
    RelatedQuery,
    SelfFollowError,
    UnknownUserError,
    UnsavedInstanceError,
    WrongTypeError,
)
from flask_follows.chunks import CHUNK

from .hosts import add_users
from .models import make_user_model

MIDNIGHT = datetime(2024, 3, 1, tzinfo=timezone.utc)


@pytest.fixture
def db() -> SQLAlchemy:
    """An extension object with a query class of the host's own."""

    class HostQuery(Query):
        def named(self, name: str) -> Any:
            return self.filter_by(username=name)

    return SQLAlchemy(query_class=HostQuery)


@pytest.fixture
def User(db: SQLAlchemy) -> Any:
    """A host with a further column that may be NULL."""
    return make_user_model(db, city=mapped_column(sa.String(20), nullable=True))


@pytest.fixture
def elsewhere(session: Any, db: Any) -> Callable[..., Any]:
    """`elsewhere(statement)`: execute and commit it on another connection."""

    def elsewhere(statement: Any) -> None:
        with db.engine.begin() as connection:
            connection.execute(statement)

    return elsewhere


@pytest.fixture(params=["followed", "followers"])
def end(request: pytest.FixtureRequest) -> str:
    """Either end of the relation."""
    return request.param


@pytest.fixture
def make(users: Any, session: Any, end: str) -> Any:
    """`make(3)`: a user's collection with so many users in it, and these, newest edge first."""

    def make(number: int) -> tuple[Any, list[Any]]:
        user, *others = users(number + 1)
        collection = getattr(user, end)
        for minute, other in enumerate(reversed(others)):
            time = MIDNIGHT + timedelta(minutes=minute)
            collection.add(other, through_defaults={"created_at": time})
        session().expire_on_commit = False
        session.commit()
        session().expire_on_commit = True
        return collection, others

    return make


def ids(users: list[Any]) -> list[int]:
    """Return the keys of users."""
    return [user.id for user in users]


# add


def test_add(users, end, assert_statements):
    """What is not there yet is added, and counted; objects and keys are mixed. One statement."""
    user, second, third, fourth = users(4)
    collection = getattr(user, end)
    with assert_statements(1):
        assert collection.add(second) == 1
    with assert_statements(1):
        assert collection.add(second, third.id, fourth) == 2
    with assert_statements(1):
        assert collection.add(third, fourth.id) == 0
    assert sorted(collection.ids()) == ids([second, third, fourth])


def test_add_twice_the_same(users, end):
    """What is given twice in one call, by object or key, is added once."""
    user, second, third = users(3)
    assert getattr(user, end).add(second, second, second.id, third, third.id) == 2
    assert getattr(user, end).count() == 2


def test_nothing_to_add(users, end, assert_statements):
    """To add or remove nothing is no error and sends nothing."""
    collection = getattr(users(1)[0], end)
    with assert_statements(0):
        assert collection.add() == 0
        assert collection.remove() == 0


@pytest.mark.parametrize("number", [CHUNK, CHUNK + 1, 1001])
def test_many_objects(users, end, number):
    """Hundreds and thousands of objects, and keys, work as few do."""
    user, *others = users(number + 1)
    collection = getattr(user, end)
    assert collection.add(*others[: number // 2], *ids(others[number // 2 :])) == number
    assert collection.count() == number
    assert collection.add(*others) == 0
    assert collection.remove(*ids(others[:-1])) == number - 1
    assert collection.all() == [others[-1]]
    collection.set(others)
    assert sorted(collection.ids()) == ids(others)
    assert collection.clear() == number


WRITES_MANY: dict[str, Callable[..., Any]] = {
    "add": lambda collection, *objs: collection.add(*objs),
    "set": lambda collection, *objs: collection.set(objs),
    "clear and set": lambda collection, *objs: collection.set(objs, clear=True),
}


@pytest.mark.parametrize("verb", WRITES_MANY)
def test_what_is_refused_leaves_all_as_it_was(make, session, User, verb):
    """When one object is refused nothing is added or removed, and the transaction goes on."""
    collection, (first, _, third) = make(3)
    before = collection.ids()
    refused = [
        (UnknownUserError, 999),
        (UnknownUserError, 2**63),
        (SelfFollowError, collection.instance),
        (UnsavedInstanceError, User(username="transient")),
        (WrongTypeError, "text"),
        (WrongTypeError, object()),
        (WrongTypeError, None),
    ]
    for error, bad in refused:
        with pytest.raises(error):
            WRITES_MANY[verb](collection, first, bad, third)
        assert collection.ids() == before
    session.commit()
    assert collection.ids() == before


@pytest.mark.parametrize("verb", ["add", "set", "clear and set", "create"])
def test_a_column_that_is_refused_leaves_all_as_it_was(make, users, User, session, verb):
    """The same where a further column does not exist."""
    collection, _ = make(2)
    before, number = collection.ids(), session.query(User).count()
    wrong = {"through_defaults": {"nonsense": 1}}
    with pytest.raises(WrongTypeError, match="nonsense"):
        {
            "add": lambda: collection.add(*users(1), **wrong),
            "set": lambda: collection.set([], clear=True) or collection.set(users(1), **wrong),
            "clear and set": lambda: collection.set(users(1), clear=True, **wrong),
            "create": lambda: collection.create(username="new", **wrong),
        }[verb]()
    assert collection.ids() == ([] if verb == "set" else before)
    assert session.query(User).filter_by(username="new").count() == 0
    assert number <= session.query(User).count()


def test_pending_objects_are_flushed(session, User, end):
    """Pending objects at both ends are saved by the verbs that need their keys."""
    user, second, third = (User(username=name) for name in "abc")
    session.add_all([user, second, third])
    assert getattr(user, end).add(second, third) == 2
    fourth = User(username="d")
    session.add(fourth)
    getattr(user, end).set([fourth, second])
    assert set(getattr(user, end)) == {fourth, second}


def test_unsaved_users_that_pass_for_equal(session, User, end):
    """Flask-Login's `==` takes unsaved users for the same; they are told apart all the same."""
    user, second, third = (User(username=name) for name in "abc")
    assert second == third
    session.add_all([user, second, third])
    with session.no_autoflush:
        assert getattr(user, end).add(second, third) == 2
    assert third in getattr(user, end)


def test_objects_of_another_class_that_pass_for_equal(app, db, users, session, end):
    """An object of another class with the same key is equal for Flask-Login, and refused."""

    class Robot(UserMixin, db.Model):
        id = sa.Column(sa.Integer, primary_key=True)

    user, second = users(2)
    robot = Robot(id=second.id)
    assert robot == second
    collection = getattr(user, end)
    for verb in collection.add, collection.remove, collection.contains, collection.__contains__:
        with pytest.raises(WrongTypeError, match="User"):
            verb(robot)
    with pytest.raises(WrongTypeError):
        collection.set([second, robot])
    assert collection.count() == 0


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda collection, other: collection.add(other),
    "add nothing": lambda collection, other: collection.add(),
    "append": lambda collection, other: collection.append(other),
    "remove": lambda collection, other: collection.remove(other),
    "clear": lambda collection, other: collection.clear(),
    "set": lambda collection, other: collection.set([other]),
    "create": lambda collection, other: collection.create(username="new"),
    "get_or_create": lambda collection, other: collection.get_or_create(username="new"),
    "update_or_create": lambda collection, other: collection.update_or_create(username="new"),
    "select": lambda collection, other: collection.select(),
}


def test_the_collection_of_a_transient_object(users, session, User, end, assert_statements):
    """An object that was never added has no key, so nothing can be written for it."""
    (other,) = users(1)
    collection = getattr(User(username="transient"), end)
    for write in WRITES.values():
        with assert_statements(0), pytest.raises(UnsavedInstanceError, match="transient"):
            write(collection, other)
    assert not session.new


def test_reading_the_collection_of_an_unsaved_object(users, session, User, end, assert_statements):
    """It is empty; what makes a query of it says as SQLAlchemy does that there is no session."""
    (other,) = users(1)
    pending = User(username="pending")
    session.add(pending)
    with session.no_autoflush, assert_statements(0):
        for user in User(username="transient"), pending:
            collection = getattr(user, end)
            assert list(collection) == collection.all() == collection.ids() == []
            assert not collection
            assert not collection.exists()
            assert collection.count() == 0
            assert other not in collection
            assert len(collection.page()) == 0
    with pytest.raises(DetachedInstanceError):
        getattr(User(), end).filter_by(username="x").all()
    assert sa.inspect(pending).pending
    assert pending.followers.count() == 0
    assert sa.inspect(pending).persistent


# remove and clear


def test_remove(make, session, assert_statements):
    """What is there is removed, and counted; the objects stay. One statement."""
    collection, (first, second, third, fourth) = make(4)
    with assert_statements(1):
        assert collection.remove(second) == 1
    with assert_statements(1):
        assert collection.remove(second) == 0
    with assert_statements(1):
        assert collection.remove(first, second, third.id, third, 999, 2**63) == 2
    assert collection.all() == [fourth]
    session.commit()
    assert second.username


def test_clear(make, users, assert_statements):
    """All edges of the user go, in one statement; those of others, and in return, stay."""
    collection, others = make(3)
    user, first, second = collection.instance, others[0], others[1]
    user.follow(first)
    first.follow(user)
    first.follow(second)
    number = collection.count()
    with assert_statements(1):
        assert collection.clear() == number
    with assert_statements(1):
        assert collection.clear() == 0
    assert first.is_following(second)
    assert user.is_following(first) != first.is_following(user)


# set


def test_set(make, users, follows, session, assert_statements):
    """The smallest difference is made, in four statements; what stays keeps its time."""
    collection, (_, second, _) = make(3)
    (new,) = users(1)
    with assert_statements(4):
        assert collection.set([new, second.id, second]) is None
    assert collection.all() == [new, second]
    times = session.scalars(sa.select(follows.Follow.created_at)).all()
    assert MIDNIGHT + timedelta(minutes=1) in times


def test_set_what_is_there(make, assert_statements):
    """To set what is there already takes two statements, and changes nothing."""
    collection, others = make(3)
    with assert_statements(2):
        collection.set(others)
    assert collection.all() == others


def test_set_nothing(make, assert_statements):
    """An empty set empties the collection."""
    collection, _ = make(3)
    with assert_statements(3):
        collection.set([])
    assert not collection
    with assert_statements(2):
        collection.set(iter(()))


def test_set_only_adds_or_only_removes(make, users, assert_statements):
    """Three statements where there is nothing to remove, or nothing to add."""
    collection, others = make(2)
    (new,) = users(1)
    with assert_statements(3):
        collection.set([*others, new])
    with assert_statements(3):
        collection.set(others)
    with assert_statements(3):
        collection.set(others[:1])


def test_set_from_the_beginning(make, users, follows, session, database, assert_statements):
    """With `clear`, all edges are made anew, with new times and columns."""
    collection, (first, _) = make(2)
    (new,) = users(1)
    lock = 1 if database.name == "sqlite" else 0  # so that nobody deletes users meanwhile
    with assert_statements(lock + 5):
        collection.set([new, first], clear=True, through_defaults={"created_at": MIDNIGHT})
    assert set(collection) == {new, first}
    assert set(session.scalars(sa.select(follows.Follow.created_at))) == {MIDNIGHT}


def test_set_to_what_the_collection_itself_gives(make):
    """A part of the collection may be what it is set to."""
    collection, (_, second, _) = make(3)
    collection.set(collection.filter_by(id=second.id))
    assert collection.all() == [second]
    collection.set(collection)
    assert collection.all() == [second]


def test_assignment_is_set(make, users, end, assert_statements):
    """`user.followers = [...]` means `set`."""
    collection, (_, second) = make(2)
    (new,) = users(1)
    with assert_statements(4):
        setattr(collection.instance, end, [second, new])
    assert collection.all() == [new, second]
    with pytest.raises(UnknownUserError):
        setattr(collection.instance, end, [999])
    assert collection.all() == [new, second]


# create


def test_create(users, User, session, end, assert_statements):
    """The object and its edge are made, in two statements; the object is returned."""
    (user,) = users(1)
    collection = getattr(user, end)
    with assert_statements(2):
        new = collection.create(username="new", city="Oslo")
    assert isinstance(new, User)
    assert (new.username, new.city) == ("new", "Oslo")
    session.commit()
    assert collection.all() == [new]


def test_create_with_columns(users, session, follows, end):
    """Further columns of the edge may be given."""
    (user,) = users(1)
    getattr(user, end).create({"created_at": MIDNIGHT}, username="a")
    getattr(user, end).create(through_defaults={"created_at": lambda: MIDNIGHT}, username="b")
    assert set(session.scalars(sa.select(follows.Follow.created_at))) == {MIDNIGHT}


def test_create_what_cannot_be(users, session, end):
    """An object that violates a constraint ends the transaction, as any flush of the host's."""
    user, other = users(2)
    getattr(user, end).add(other)
    session.commit()
    with pytest.raises(sa.exc.IntegrityError):
        getattr(user, end).create(username="u1")
    session.rollback()
    assert getattr(user, end).count() == 1


# get_or_create, update_or_create


def created_statements(database: Any) -> int:
    """Return the statements of a `get_or_create` that creates: look, lock, object, edge."""
    return 4 if database.name == "sqlite" else 3


def test_get_or_create(make, database, assert_statements):
    """What is in the collection is returned, in one statement; else it is made."""
    collection, (first, _) = make(2)
    with assert_statements(1):
        assert collection.get_or_create(username=first.username) == (first, False)
    with assert_statements(created_statements(database), savepoints=2):
        new, created = collection.get_or_create(username="new")
    assert created
    with assert_statements(1):
        assert collection.get_or_create(username="new") == (new, False)
    assert collection.count() == 3


def test_get_or_create_with_defaults(users, follows, session, end):
    """Defaults go to a new object only; callables are called, and only then."""
    (user,) = users(1)
    collection = getattr(user, end)
    through = {"created_at": lambda: MIDNIGHT}
    defaults = {"city": lambda: "Oslo", "username": "n"}
    new, created = collection.get_or_create(defaults, through, username="new")
    assert (created, new.city, new.username) == (True, "Oslo", "n")
    assert session.scalars(sa.select(follows.Follow.created_at)).all() == [MIDNIGHT]
    again = collection.get_or_create({"city": lambda: pytest.fail("called")}, username="n")
    assert again == (new, False)


def test_get_one_of_many(make):
    """Where several match, that is said."""
    collection, _ = make(2)
    for verb in collection.get_or_create, collection.update_or_create:
        with pytest.raises(MultipleResultsFound):
            verb(city=None)


@pytest.mark.parametrize("verb", ["get_or_create", "update_or_create"])
@pytest.mark.parametrize("first", [True, False])
def test_such_an_object_outside_of_the_collection(users, session, User, end, verb, first):
    """It cannot be made twice: an error of the database, and the transaction goes on.

    Also where it is the first statement of the transaction: a savepoint that SQLite takes for the
    outermost would commit.
    """
    user, _ = users(2)
    session.rollback()
    if not first:
        session.add(User(username="before"))
    with pytest.raises(sa.exc.IntegrityError):
        getattr(getattr(user, end), verb)(username="u1")
    session.add(User(username="after"))
    session.flush()
    assert not getattr(user, end).exists()
    session.rollback()
    assert session.scalars(sa.select(User.username)).all() == ["u0", "u1"]


@pytest.mark.parametrize("verb", ["get_or_create", "update_or_create"])
def test_a_new_object_goes_with_the_transaction(users, session, User, end, verb):
    """What was made as the first thing of a transaction is gone after the host's rollback."""
    (user,) = users(1)
    session.rollback()
    assert getattr(getattr(user, end), verb)(username="new")[1]
    session.rollback()
    assert session.scalars(sa.select(User.username)).all() == ["u0"]
    assert getattr(user, end).count() == 0


def test_update_or_create(make, session, database, assert_statements):
    """What is in the collection is updated; else it is made."""
    collection, (first, _) = make(2)
    with assert_statements(3):
        changed = collection.update_or_create({"city": "Rome"}, username=first.username)
    assert changed == (first, False)
    assert first.city == "Rome"
    with assert_statements(created_statements(database), savepoints=2):
        new, created = collection.update_or_create({"city": lambda: "Bern"}, username="new")
    assert (created, new.city) == (True, "Bern")
    session.commit()
    assert (first.city, new.city) == ("Rome", "Bern")


def test_update_or_create_with_other_defaults_for_a_new_one(users, end):
    """`create_defaults`, where given, take the place of `defaults` for a new object."""
    (user,) = users(1)
    collection = getattr(user, end)
    defaults = {"defaults": {"city": "Rome"}, "create_defaults": {"city": "Bern"}}
    new, created = collection.update_or_create(**defaults, username="new")
    assert (created, new.city) == (True, "Bern")
    assert collection.update_or_create(**defaults, username="new") == (new, False)
    assert new.city == "Rome"
    new, created = collection.update_or_create({"city": "Rome"}, {}, username="other")
    assert (created, new.city) == (True, None)


def test_update_or_create_without_anything_to_update(make):
    """Without defaults it is a `get_or_create`."""
    collection, (first,) = make(1)
    assert collection.update_or_create(username=first.username) == (first, False)


def test_update_what_another_transaction_changed(make, session, User, elsewhere):
    """The object is written as asked for, also where our copy of it is out of date."""
    collection, (first,) = make(1)
    first.city = "Rome"
    session().expire_on_commit = False
    session.commit()
    elsewhere(sa.update(User.__table__).values(city="Bern"))
    assert first.city == "Rome"
    assert collection.update_or_create({"city": "Rome"}, username=first.username)[0] is first
    session.commit()
    session.expire_all()
    assert first.city == "Rome"


def test_update_keeps_changes_that_are_pending(make, session, User):
    """Changes that wait to be saved are not lost, also inside `no_autoflush`."""
    collection, (first,) = make(1)
    with session.no_autoflush:
        first.city = "Rome"
        collection.update_or_create({"username": "new"}, id=first.id)
    session.commit()
    assert (first.city, first.username) == ("Rome", "new")


@contextmanager
def before_the_first_write(engine: sa.Engine, action: Callable[[], None]) -> Iterator[None]:
    """Do something, once, when something else than a SELECT is about to be sent."""
    done: list[str] = []

    def listen(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not done and not statement.startswith("SELECT"):
            done.append(statement)
            action()

    sa.event.listen(engine, "before_cursor_execute", listen)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)


@pytest.mark.parametrize("verb", ["get_or_create", "update_or_create"])
def test_another_transaction_creates_the_same(users, db, User, follows, end, verb, elsewhere):
    """An object that another connection made in between is returned, not made again."""
    (user,) = users(1)

    def create() -> None:
        near, far = ("follower_id", "followed_id")[:: 1 if end == "followed" else -1]
        elsewhere(sa.insert(User.__table__).values(id=77, username="new", city="Bern"))
        edge = {near: user_id, far: 77, "created_at": MIDNIGHT}
        elsewhere(sa.insert(follows.Follow.__table__).values(edge))

    user_id = user.id
    with before_the_first_write(db.engine, create):
        found, created = getattr(getattr(user, end), verb)({"city": "Rome"}, username="new")
    assert (found.id, created) == (77, False)
    assert found.city == ("Rome" if verb == "update_or_create" else "Bern")
    db.session.commit()
    assert getattr(user, end).all() == [found]
    assert found.city == ("Rome" if verb == "update_or_create" else "Bern")


# SQLAlchemy's names for add


def test_sqlalchemys_names(users, end):
    """`append`, `extend` and `add_all` add, and an iterable may be any."""
    user, *others = users(6)
    collection = getattr(user, end)
    assert collection.append(others[0]) is None
    assert collection.append(others[0]) is None
    assert collection.extend(iter(others[1:3])) is None
    assert collection.add_all({others[3].id, others[4].id}) is None
    assert sorted(collection.ids()) == ids(others)


def test_a_collection_is_not_deleted_by_accident(make, session, User):
    """SQLAlchemy's bulk verbs, which would meet the users, are refused."""
    collection, _ = make(2)
    for query in collection, collection.filter_by(city=None):
        with pytest.raises(sa.exc.InvalidRequestError, match="order_by"):
            query.delete()
        with pytest.raises(sa.exc.InvalidRequestError, match="order_by"):
            query.update({"city": "Rome"})
    assert session.query(User).count() == 3


# Reading


def test_contains(make, users, end, assert_statements):
    """Membership by object or key, one statement each, without a join."""
    collection, (first, *_) = make(2)
    (outside,) = users(1)
    for value, expected in (first, True), (outside, False):
        for asked in value, value.id:
            with assert_statements(1) as sent:
                assert collection.contains(asked) is expected
            assert "user" not in sent.statements[0]
            with assert_statements(1):
                assert (asked in collection) is expected
    for key in 999, 2**31, 2**63, -(10**40):
        assert key not in collection
    assert collection.instance not in collection


def test_contains_refuses_what_it_cannot_mean(users, User, end):
    """An object without a key, of another class, or a key of another type is an error."""
    user, _ = users(2)
    for error, asked in [
        (UnsavedInstanceError, User(username="transient")),
        (WrongTypeError, "1"),
        (WrongTypeError, None),
        (WrongTypeError, user.__class__),
    ]:
        with pytest.raises(error):
            getattr(user, end).contains(asked)


def test_exists_and_count(make, users, end, assert_statements):
    """Existence, truth and number take one statement each, without a join."""
    collection, _ = make(3)
    (user,) = users(1)
    questions: list[tuple[Callable[[Any], Any], Any, Any]] = [
        (bool, True, False),
        (RelatedQuery.exists, True, False),
        (RelatedQuery.count, 3, 0),
    ]
    for ask, expected, empty in questions:
        with assert_statements(1) as sent:
            assert ask(collection) == expected
        assert "user" not in sent.statements[0]
        assert ask(getattr(user, end)) == empty


def test_a_capped_count(make, users, end, assert_statements):
    """It counts up to its limit, and one more where there are more, in one bounded statement."""
    collection, _ = make(3)
    (user,) = users(1)
    for limit, expected in [(0, 1), (2, 3), (3, 3), (999, 3)]:
        with assert_statements(1) as sent:
            assert collection.capped_count(limit) == expected
        assert "LIMIT" in sent.statements[0]
        assert "user" not in sent.statements[0]
    assert getattr(user, end).capped_count(5) == 0
    with pytest.raises(ValueError, match="limit must be from 0"):
        collection.capped_count(-1)


@pytest.mark.parametrize("storage", ["mirrored", "canonical"])
def test_a_capped_count_of_friends(db, follows, User, make_app, storage):
    """It stops wherever the edges lie."""
    follows.relation(User, "friends", User, symmetrical=True, storage=storage)
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        ann, *others = add_users(db, User, 6)
        middle = others[2]
        middle.friends.add(ann, *others[:2], *others[3:])
        counts = [middle.friends.capped_count(limit) for limit in (0, 1, 3, 4, 5, 9)]
        assert counts == [1, 2, 4, 5, 5, 5]
        assert ann.friends.capped_count(9) == 1


def test_there_is_no_length(make):
    """`len()` is refused, as `list()` would ask for it first; `count()` is the number."""
    collection, _ = make(1)
    with pytest.raises(TypeError):
        len(collection)


def test_ids(make, assert_statements):
    """The keys, newest edge first, in one statement without a join."""
    collection, others = make(3)
    with assert_statements(1) as sent:
        assert collection.ids() == ids(others)
    assert "user" not in sent.statements[0]


def test_iteration_and_slices(make, assert_statements):
    """All the ways of a list, newest edge first, one statement each."""
    collection, others = make(4)
    ways: list[tuple[Callable[[], Any], Any]] = [
        (lambda: list(collection), others),
        (collection.all, others),
        (collection.first, others[0]),
        (lambda: collection[0], others[0]),
        (lambda: collection[3], others[3]),
        (lambda: collection[1:3], others[1:3]),
        (lambda: collection[:2], others[:2]),
        (lambda: collection[2:], others[2:]),
        (lambda: collection.limit(1).all(), others[:1]),
        (lambda: collection.offset(3).limit(9).all(), others[3:]),
    ]
    for way, expected in ways:
        with assert_statements(1):
            assert way() == expected
    with pytest.raises(IndexError):
        collection[-1]


def test_select(make, session, db, User, assert_statements):
    """The same as a statement, for `session.scalars`, `db.paginate` and further criteria."""
    collection, others = make(5)
    with assert_statements(1):
        assert session.scalars(collection.select()).all() == others
    with assert_statements(2):
        page = db.paginate(collection.select(), page=2, per_page=2)
    assert (page.items, page.total) == (others[2:4], 5)
    narrowed = collection.select().where(User.id != others[0].id).limit(2)
    assert session.scalars(narrowed).all() == others[1:3]
    assert session.scalars(collection.select().filter_by(username="u2")).all() == [others[1]]


def test_paginate(make, assert_statements):
    """Flask-SQLAlchemy's pages, with offsets: two statements."""
    collection, others = make(5)
    with assert_statements(2):
        page = collection.paginate(page=2, per_page=2)
    assert (page.items, page.total, page.pages) == (others[2:4], 5, 3)
    assert page.next().items == others[4:]
    assert collection.paginate(page=9, error_out=False).items == []


def test_the_hosts_query_class(make):
    """The methods of the host's own query class are there, on the collection and its results."""
    collection, (first, second) = make(2)
    assert collection.named("u1").all() == [first]
    assert collection.filter_by(city=None).named("u2").all() == [second]
    assert collection.first_or_404() is first
    assert isinstance(collection, RelatedQuery)


def test_both_ends_show_the_same_edges(users):
    """What is added at one end is seen at the other."""
    first, second = users(2)
    first.followed.add(second)
    assert second.followers.all() == [first]
    second.followers.remove(first)
    assert not first.followed


def test_on_the_class(users, session, User):
    """On the class the collections are SQLAlchemy's relationships."""
    first, second, third = users(3)
    first.followed.add(second, third)
    second.followed.add(third)
    third.city = "Oslo"
    asked = [
        (User.followed.any(User.city == "Oslo"), [first, second]),
        (User.followers.contains(first), [second, third]),
        (~User.followed.any(), [third]),
    ]
    for criterion, expected in asked:
        found = session.scalars(sa.select(User).where(criterion).order_by(User.id)).all()
        assert found == expected
    follower = sa.orm.aliased(User)
    joined = sa.select(User.id, follower.id).join(follower, User.followers).order_by(User.id)
    assert session.execute(joined.order_by(follower.id)).all() == [(2, 1), (3, 1), (3, 2)]


def test_set_refuses_a_time_without_a_zone_before_it_clears(users, session):
    """A bad value for the new edges is found before the old ones are gone."""
    ann, bob, cat = users(3)
    ann.followed.add(bob)
    with pytest.raises(WrongTypeError, match="time zone"):
        ann.followed.set([cat], clear=True, through_defaults={"created_at": datetime(2020, 1, 1)})
    session.commit()
    assert ann.followed.ids() == [bob.id]


def test_set_keeps_an_edge_whose_key_is_spelled_in_another_way(db, make_app, follows, database):
    """Where the database takes "BOB" for "bob", so does `set`; elsewhere nobody is called so."""
    User = make_user_model(db, key=sa.String(20))
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        ann, bob = User(id="ann", username="a"), User(id="bob", username="b")
        db.session.add_all([ann, bob])
        ann.followed.add(bob)
        if database.name == "mariadb":
            ann.followed.set(["BOB"])
        else:
            with pytest.raises(UnknownUserError):
                ann.followed.set(["BOB"])
        assert ann.followed.ids() == ["bob"]


@pytest.mark.parametrize("one", [5, None, "ann", "user"])
def test_a_collection_is_not_set_to_a_single_thing(users, one):
    """Neither to an object that stands for itself, nor to the letters of a key."""
    ann, bob = users(2)
    one = bob if one == "user" else one
    with pytest.raises(WrongTypeError, match="several User objects or keys, in a list"):
        ann.followed = one
    assert ann.followed_count == 0
