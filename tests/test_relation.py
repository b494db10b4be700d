"""The relation itself: edges made, removed and read with both ends given.

Which objects and keys are accepted is in `test_keys.py`, what is announced in `test_signals.py`,
what each database does in `test_statements.py` and `test_dialects.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from flask_follows import (
    Follows,
    Relation,
    SelfFollowError,
    UnknownUserError,
    UnsavedInstanceError,
    WrongTypeError,
)
from flask_follows.chunks import CHUNK

from .models import make_user_model
from .recording import recorded_changes

THEN = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
OUT_OF_RANGE = [2**31, -(2**31) - 1, 2**63, 10**40]


@pytest.fixture
def follows(request: pytest.FixtureRequest) -> Follows:
    """An extension object with the options that the test names."""
    return Follows(**getattr(request, "param", {}))


@pytest.fixture
def relation(app: Any, follows: Follows) -> Relation:
    """The follow relation."""
    return follows.follow_relation


@pytest.fixture
def elsewhere(session: Any, db: Any) -> Callable[..., Any]:
    """`elsewhere(statement)`: execute and commit it on another connection."""

    def elsewhere(statement: Any) -> None:
        with db.engine.begin() as connection:
            connection.execute(statement)

    return elsewhere


# Adding and removing


def test_adding(users, relation, session, assert_statements):
    """An edge is made once, in one statement each time, and lasts when the host commits."""
    first, second = users(2)
    with assert_statements(1):
        assert relation.add(first, second) is True
    with assert_statements(1):
        assert relation.add(first.id, second.id) is False
    session.commit()
    assert relation.contains(first, second)


def test_removing(users, relation, session, assert_statements):
    """An edge is removed once, in one statement each time."""
    first, second = users(2)
    relation.add(first, second)
    with assert_statements(1):
        assert relation.remove(first, second) is True
    with assert_statements(1):
        assert relation.remove(first.id, second.id) is False
    session.commit()
    assert not relation.contains(first, second)


def test_toggling(users, relation, assert_statements):
    """A toggle tells the new state; it takes one statement to make, two to remove."""
    first, second = users(2)
    for expected, statements in [(True, 1), (False, 2), (True, 1)]:
        with assert_statements(statements):
            assert relation.toggle(first, second) is expected
        assert relation.contains(first, second) is expected


def test_directions(users, relation):
    """An edge has a direction; both may be there."""
    first, second = users(2)
    relation.add(first, second)
    assert not relation.contains(second, first)
    assert relation.add(second, first)
    assert relation.remove(first, second)
    assert relation.contains(second, first)


def test_nothing_is_committed(users, relation, session):
    """What was made and removed is gone, or there again, after the host's rollback."""
    first, second, third = users(3)
    relation.add(first, second)
    session.commit()
    relation.add(first, third)
    relation.remove(first, second)
    session.rollback()
    assert relation.contains(first, second)
    assert not relation.contains(first, third)


def test_a_savepoint_of_the_host(users, relation, session):
    """What happened inside a savepoint goes with it; what happened before and after stays."""
    first, second, third, fourth = users(4)
    relation.add(first, second)
    savepoint = session.begin_nested()
    relation.add(first, third)
    relation.remove(first, second)
    savepoint.rollback()
    relation.add(first, fourth)
    session.commit()
    assert [relation.contains(first, other) for other in (second, third, fourth)] == [1, 0, 1]


def test_a_refusal_leaves_the_transaction_as_it_was(users, relation, session, User):
    """After every refusal the host's transaction goes on, and nothing of it is lost."""
    first, second = users(2)
    relation.add(first, second)
    refusals = [
        (SelfFollowError, first, first),
        (SelfFollowError, first.id, first),
        (UnknownUserError, first, 999),
        (UnknownUserError, 999, first),
        (UnsavedInstanceError, first, User(username="transient")),
        (WrongTypeError, first, "text"),
        (WrongTypeError, None, first),
    ]
    for error, *ends in refusals:
        with pytest.raises(error):
            relation.add(*ends)
    session.commit()
    assert relation.count(first) == 1


def test_a_refusal_of_oneself_asks_nothing(users, relation, assert_statements):
    """Following oneself is refused without a statement; the message names the cure."""
    (user,) = users(1)
    with assert_statements(0), pytest.raises(SelfFollowError, match="allow_self_follow=True"):
        relation.add(user, user.id)
    with assert_statements(1):
        assert relation.remove(user, user) is False


@pytest.mark.parametrize("follows", [{"allow_self_follow": True}], indirect=True)
def test_following_oneself_where_it_is_allowed(users, relation):
    """Where it is allowed, one's edge to oneself is an edge like any other."""
    first, second = users(2)
    assert relation.add(first, first)
    assert not relation.add(first, first)
    assert first.followed.add(first, second) == 1
    assert first.followers.ids() == [first.id]
    assert relation.mutuals(first).all() == [first]
    assert relation.remove(first, first)


# Further columns


def test_the_time_of_an_edge(users, relation, session, follows):
    """An edge knows when it was made, in UTC; a time can be given, in any zone."""
    first, second, third = users(3)
    before = datetime.now(timezone.utc)
    relation.add(first, second)
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    relation.add(first, third, created_at=THEN.astimezone(elsewhere))
    times = [edge.created_at for edge in session.scalars(sa.select(follows.Follow))]
    assert min(times) == THEN
    assert before <= max(times) <= datetime.now(timezone.utc)


def test_callables_are_called_once(users, relation, follows, session):
    """A value may be a callable; it is called once for all edges of one call."""
    first, *others = users(4)
    calls = []

    def moment() -> datetime:
        calls.append(THEN)
        return THEN

    first.followed.add(*others, through_defaults={"created_at": moment})
    assert len(calls) == 1
    assert set(session.scalars(sa.select(follows.Follow.created_at))) == {THEN}


@pytest.mark.parametrize("name", ["nonsense", "follower_id", "followed", "follower"])
def test_a_column_that_cannot_be_set(users, relation, name):
    """What is no further column is refused, with the names of those that are."""
    first, second = users(2)
    with pytest.raises(WrongTypeError, match=f"no column '{name}' .* there are: created_at"):
        relation.add(first, second, **{name: 1})
    assert not relation.contains(first, second)


# Reading


def test_reading_by_key_loads_nothing(users, relation, session, assert_statements):
    """Membership and counts take one statement, and no object is loaded."""
    first, second, third = (user.id for user in users(3))
    relation.add(first, second)
    relation.add(third, second)
    session.expunge_all()
    with assert_statements(1):
        assert relation.contains(first, second)
    with assert_statements(1):
        assert relation.count(first) == 1
    with assert_statements(1):
        assert relation.count(second, reverse=True) == 2
    assert not session.identity_map


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_reading_with_a_key_out_of_range(users, relation, key):
    """A number that no key can be has no edges, at either end; the transaction goes on."""
    (user,) = users(1)
    for ends in (user, key), (key, user), (key, key):
        assert relation.contains(*ends) is False
        assert relation.remove(*ends) is False
    for reverse in False, True:
        assert relation.count(key, reverse=reverse) == 0
    assert relation.mutuals(key).all() == []
    assert relation.count(user) == 0


def test_mutuals(users, relation, session, assert_statements):
    """Mutuals are those with edges both ways, newest edge of the asked one first."""
    first, *others = users(5)
    for other in others[:3]:
        relation.add(first, other)
    for other in others[1:]:
        relation.add(other, first)
    with assert_statements(1):
        assert relation.mutuals(first).all() == [others[2], others[1]]
    assert relation.mutuals(others[2].id).all() == [first]
    assert relation.mutuals(others[0]).all() == []
    assert relation.mutuals(first).filter_by(username="u2").count() == 1


def test_unsaved_objects_have_no_edges(users, relation, session, User, assert_statements):
    """An object that is not saved has no edges, and asking for its count sends nothing."""
    (user,) = users(1)
    transient, pending = User(username="transient"), User(username="pending")
    with session.no_autoflush:
        session.add(pending)
        with assert_statements(0):
            assert relation.count(transient) == relation.count(pending, reverse=True) == 0
    with pytest.raises(UnsavedInstanceError):
        relation.contains(user, transient)
    assert relation.count(pending) == 0
    assert sa.inspect(pending).persistent


# Which session


def test_a_session_of_its_own(users, relation, db, User):
    """Objects of another session are written and read in that session and its transaction."""
    first, second = (user.id for user in users(2))
    db.session.rollback()
    with Session(db.engine) as other:
        user = other.get(User, first)
        assert relation.add(user, second)
        assert relation.contains(user, second)
        assert user.followed.ids() == [second]
        assert other.in_transaction()
        assert not db.session.registry().in_transaction()
    assert not relation.contains(first, second)


def test_the_session_of_either_end(users, relation, db, User):
    """The object at any place brings its session along; a key brings none."""
    first, second = (user.id for user in users(2))
    db.session.rollback()
    with Session(db.engine) as other, other.begin():
        assert relation.add(first, other.get(User, second))
    assert relation.session_for(first, second) is db.session()
    assert relation.contains(first, second)


# What is pending


def test_pending_edges_are_flushed_first(users, relation, session, follows):
    """An edge that waits to be saved as an object is one that is there."""
    first, second, third = users(3)
    session.add(follows.Follow(follower=first, followed=second))
    assert relation.add(first, second) is False
    session.add(follows.Follow(follower=first, followed=third))
    assert relation.remove(first, third) is True
    session.add(follows.Follow(follower=second, followed=first))
    assert relation.contains(second, first)
    session.add(follows.Follow(follower=third, followed=first))
    assert relation.count(first, reverse=True) == 2
    session.commit()


def test_an_edge_marked_for_deletion_is_gone(users, relation, session, follows):
    """An edge that waits to be deleted as an object is one that is not there."""
    first, second = users(2)
    relation.add(first, second)
    session.delete(session.query(follows.Follow).one())
    assert relation.add(first, second) is True
    session.delete(session.query(follows.Follow).one())
    assert relation.remove(first, second) is False


def test_nothing_is_flushed_where_the_host_says_so(users, relation, session, User):
    """Inside `no_autoflush`, and with autoflush off, writes leave pending objects alone."""
    first, second = users(2)
    pending = User(username="pending")
    session.add(pending)
    with session.no_autoflush:
        assert relation.add(first, second)
        assert relation.contains(first, second)
        assert relation.count(first) == 1
        assert relation.remove(first, second)
    assert sa.inspect(pending).pending
    session().autoflush = False
    assert relation.add(first, second)
    assert sa.inspect(pending).pending
    assert relation.add(first, pending)
    assert sa.inspect(pending).persistent


def test_an_edge_marked_for_deletion_and_removed(users, relation, session, follows):
    """An edge that waits to be deleted, unseen, and is removed meanwhile is no trouble later."""
    first, second = users(2)
    relation.add(first, second)
    edge = session.query(follows.Follow).one()
    with session.no_autoflush:
        session.delete(edge)
        assert relation.remove(first, second)
    session.commit()
    assert relation.count(first) == 0


# Edges that the session has loaded


@pytest.fixture
def loaded(users, relation, session, follows) -> Any:
    """Two users, and the edge between them as an object that the session holds."""
    first, second = users(2)
    relation.add(first, second, created_at=THEN)
    return first, second, session.query(follows.Follow).one()


def test_a_removed_edge_is_a_deleted_object(loaded, relation, session, follows):
    """A loaded edge that is removed becomes a deleted object; others are untouched."""
    first, second, edge = loaded
    relation.add(second, first, created_at=THEN)
    other = session.get(follows.Follow, (second.id, first.id))
    assert relation.remove(first, second)
    assert sa.inspect(edge).deleted
    assert sa.inspect(other).persistent
    assert not sa.inspect(other).expired
    session.commit()
    assert sa.inspect(edge).detached


@pytest.mark.parametrize("verb", ["clear", "remove", "set"])
def test_collections_delete_loaded_edges(loaded, users, verb, session, assert_statements):
    """Loaded edges that go in a batch become deleted objects in the same statement."""
    first, second, edge = loaded
    (third,) = users(1)
    first.followed.add(third)
    session.refresh(edge)
    with assert_statements(3 if verb == "set" else 1):
        {
            "clear": first.followed.clear,
            "remove": lambda: first.followed.remove(second, third),
            "set": lambda: first.followed.set([third]),
        }[verb]()
    assert sa.inspect(edge).deleted


def test_an_edge_made_again_is_a_new_object(loaded, relation, session, follows):
    """An edge removed and made again has its new time, and the old object stays deleted."""
    first, second, edge = loaded
    relation.remove(first, second)
    relation.add(first, second)
    again = session.query(follows.Follow).one()
    assert again is not edge
    assert again.created_at > THEN
    session.commit()
    assert again.created_at > THEN


@pytest.mark.parametrize("nested", [False, True])
def test_a_rollback_brings_a_removed_edge_back(loaded, relation, session, follows, nested):
    """After a rollback, of the transaction or of a savepoint, the loaded edge is there again."""
    first, second, edge = loaded
    session.commit()
    savepoint = session.begin_nested() if nested else session
    assert edge.created_at == THEN
    relation.remove(first, second)
    relation.add(first, second)
    savepoint.rollback()
    assert sa.inspect(edge).persistent
    assert edge.created_at == THEN
    assert session.query(follows.Follow).one() is edge


def test_an_edge_replaced_elsewhere_is_not_stale(
    loaded, relation, session, follows, elsewhere, assert_statements
):
    """A loaded edge that another connection removed, and we make again, shows its new time."""
    first, second, edge = loaded
    session().expire_on_commit = False
    session.commit()
    elsewhere(sa.delete(follows.Follow.__table__))
    with assert_statements(1):
        assert relation.add(first, second)
    assert edge.created_at > THEN
    session.commit()


def test_an_expired_edge_is_removed_in_one_statement(
    loaded, relation, session, follows, assert_statements
):
    """An edge whose object has expired is not loaded again to be removed."""
    first, second, edge = loaded
    keys = first.id, second.id
    session.expire(edge)
    with assert_statements(1):
        assert relation.remove(*keys)
    assert sa.inspect(edge).deleted
    session.add(follows.Follow(follower_id=keys[0], followed_id=keys[1]))
    session.commit()
    assert relation.contains(*keys)


@pytest.mark.parametrize("heard", [False, True])
def test_expired_edges_are_removed_in_a_batch(loaded, users, relation, session, follows, heard):
    """The same in a batch, with receivers and without, and for edges loaded in part."""
    first, _, edge = loaded
    (third,) = users(1)
    first.followed.add(third)
    session.expire(edge)
    other = session.get(follows.Follow, (first.id, third.id))
    session.expire(other, ["followed_id", "created_at"])
    with recorded_changes() if heard else nullcontext():
        assert first.followed.clear() == 2
    assert sa.inspect(edge).deleted
    assert sa.inspect(other).deleted


# Many at once


def test_large_batches(users, relation, database, assert_statements):
    """Beyond one statement's worth, users are looked up first, and each chunk is a statement."""
    first, *others = users(2 * CHUNK + 2)
    lock = 1 if database.name == "sqlite" else 0  # so that nobody deletes users meanwhile
    with assert_statements(lock + 3 + 3):
        assert first.followed.add(*others) == 2 * CHUNK + 1
    with assert_statements(lock + 3 + 3):
        assert first.followed.add(*others) == 0
    with assert_statements(3):
        assert first.followed.remove(*others) == 2 * CHUNK + 1


def test_large_batches_are_all_or_nothing(users, relation):
    """One unknown, own or foreign object at the very end, and no edge at all is made."""
    first, *others = users(CHUNK + 2)
    for error, bad in [
        (UnknownUserError, 10**6),
        (UnknownUserError, 10**40),
        (SelfFollowError, first),
        (WrongTypeError, "text"),
    ]:
        with pytest.raises(error):
            first.followed.add(*others, bad)
        assert first.followed.count() == 0


@pytest.mark.parametrize("verb", ["add", "set"])
def test_a_large_batch_beside_a_deletion(app, users, session, db, User, verb):
    """All or nothing, also where a user is deleted between the look and the write."""
    first, second, *others = users(CHUNK + 2)
    first.followed.add(second)
    session.commit()
    last = others[-1].id
    writes: list[Any] = []

    def delete() -> None:
        with app.app_context():
            session.execute(sa.delete(User).where(User.id == last))
            session.commit()

    with ThreadPoolExecutor() as pool:

        def listen(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if not statement.startswith("SELECT") and not writes:
                writes.append(statement)
                writes.append(pool.submit(delete))
                time.sleep(0.2)

        sa.event.listen(db.engine, "before_cursor_execute", listen)
        try:
            if verb == "add":
                first.followed.add(*others)
            else:
                first.followed.set(others, clear=True)
            expected = CHUNK - 1 + (verb == "add")  # the deletion waited for us
        except UnknownUserError:
            expected = 1
        session.commit()
    writes[1].result()
    assert first.followed.count() == expected


def test_unknown_users_are_named(users, relation):
    """An error names up to ten of the keys that nobody has, smallest first."""
    (user,) = users(1)
    with pytest.raises(UnknownUserError, match=r"no User with key 100, 101, .*, 109;"):
        user.followed.add(*range(120, 99, -1))


def test_exact_keys_where_the_database_cannot_return_them(users, db, session, monkeypatch):
    """Without DELETE ... RETURNING, as on MySQL, what was removed is told all the same."""
    monkeypatch.setattr(db.engine.dialect, "delete_returning", False)
    first, *others = users(5)
    first.followed.add(*others)
    edge = first.followed_set.first()
    with recorded_changes() as heard:
        assert first.followed.remove(*others[:2], 999) == 2
        assert first.followed.clear() == 2
        assert first.followed.clear() == 0
    keys = [other.id for other in others]
    assert [call["keys"] for call in heard] == [set(keys[:2]), set(keys[2:])]
    assert sa.inspect(edge).deleted


def test_the_name_of_a_relation(relation):
    """A relation shows its name and its ends."""
    assert repr(relation) == "<Relation follows: User -> User>"


# Hosts of other kinds


@pytest.fixture
def named(make_app, db, database):
    """A function that makes users whose keys are texts of a type."""
    contexts = []

    def named(kind: Any, *names: str) -> list[Any]:
        User = make_user_model(db, key=kind)
        follows, app = Follows(), make_app(db)
        follows.init_app(app, db, User)
        context = app.app_context()
        context.push()
        contexts.append(context)
        db.create_all()
        users = [User(id=name, username=name) for name in names]
        db.session.add_all(users)
        db.session.commit()
        return users

    yield named
    for context in contexts:
        db.session.remove()
        context.pop()


@pytest.mark.parametrize("others", [["ANN"], ["ANN", "bob"]], ids=["one", "several"])
def test_oneself_in_another_spelling(named, database, db, others):
    """Where the database takes "ANN" for "ann", that is oneself; elsewhere nobody is called so."""
    kind = sa.String(20).with_variant(sa.String(20, collation="NOCASE"), "sqlite")
    ann, bob = named(kind, "ann", "bob")
    expected = UnknownUserError if database.name == "postgresql" else SelfFollowError
    with pytest.raises(expected):
        ann.followed.add(*others)
    assert ann.follow(bob)
    db.session.commit()
    assert ann.followed.ids() == ["bob"]


def test_oneself_without_the_padding(named):
    """PostgreSQL pads CHAR, and so takes "ann" for "ann "; the transaction goes on."""
    ann, bob = named(sa.CHAR(5), "ann", "bob")
    with pytest.raises(SelfFollowError):
        ann.follow("ann")
    with pytest.raises(SelfFollowError):
        ann.followed.add(bob, "ann")
    assert ann.follow(bob)


def test_an_edge_removed_in_another_spelling(named, database, db):
    """A loaded edge that goes by another spelling of its key is a deleted object."""
    kind = sa.String(20).with_variant(sa.String(20, collation="NOCASE"), "sqlite")
    ann, bob = named(kind, "ann", "bob")
    ann.follow(bob)
    edge = ann.followed_set.one()
    removed = ann.unfollow("BOB")
    assert removed == (database.name != "postgresql")
    assert sa.inspect(edge).deleted == removed


def test_writes_of_a_session_that_reads_from_replicas(app, users, db, follows, monkeypatch):
    """Every write tells the session that it is one."""
    ann, bob, cat = users(3)
    session_class, told = type(db.session()), []

    def get_bind(self: Any, mapper: Any = None, clause: Any = None, **options: Any) -> Any:
        told.append(isinstance(clause, sa.sql.dml.UpdateBase))
        return original(self, mapper=mapper, clause=clause, **options)

    original = session_class.get_bind
    db.session.rollback()
    monkeypatch.setattr(session_class, "get_bind", get_bind)
    for write in (
        lambda: follows.follow(ann.id, bob.id),
        lambda: follows.unfollow(ann.id, bob.id),
        lambda: follows.add_many([(ann.id, bob.id), (ann.id, cat.id)]),
        lambda: ann.followed.remove(bob, cat),
        ann.followed.clear,
    ):
        told.clear()
        write()
        assert any(told)
    told.clear()
    assert not follows.is_following(ann.id, bob.id)
    assert not any(told)


def test_tenants_in_schemas(app, db, User, follows, schema, database):
    """`schema_translate_map` is followed by every way of writing."""
    options = {"schema_translate_map": {None: schema}}
    connection = db.session.connection(execution_options=options)
    if database.name == "sqlite":
        connection.execute(sa.text(f"ATTACH ':memory:' AS {schema}"))
    db.metadata.create_all(connection)
    ann, bob, cat = (User(username=name) for name in ("ann", "bob", "cat"))
    db.session.add_all([ann, bob, cat])
    db.session.flush()
    assert follows.add_many([(ann.id, bob.id), (ann.id, cat.id)]) == 2
    assert follows.follow(bob.id, cat.id)
    assert cat.followers.count() == 2
    table = sa.table("follows", schema=schema)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 3
    db.session.rollback()
