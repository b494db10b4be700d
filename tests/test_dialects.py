"""What is particular to the writer of each database, and what they do beside other transactions."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, oracle, postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import mapped_column

from flask_follows import Follows, UnknownUserError, dialects
from flask_follows.dialects import MySQLWriter, PostgreSQLWriter, SQLiteWriter, writer_class
from flask_follows.mysql_writer import as_integrity_error
from flask_follows.statements import Writer

from .models import make_user_model

NOW = datetime(2024, 2, 29, tzinfo=timezone.utc)
# In seconds: long enough for a statement that waits for nobody to be done.
MOMENT = 0.3


@pytest.fixture(params=["own", "generic"])
def writing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have all be written by the database's own writer, or by the generic one."""
    if request.param == "generic":
        for dialect in dialects.WRITERS:
            monkeypatch.setitem(dialects.WRITERS, dialect, Writer)
    return request.param


@pytest.fixture
def User(request: pytest.FixtureRequest, db: Any) -> Any:
    """The host's model, with a number or a short text for a key."""
    if getattr(request, "param", None) != "string":
        return make_user_model(db)
    return make_user_model(db, key=mapped_column(sa.String(5), primary_key=True))


@pytest.fixture
def follows(request: pytest.FixtureRequest) -> Follows:
    """An extension object, with foreign keys or without."""
    return Follows(foreign_keys=getattr(request, "param", "both"))


@pytest.fixture
def loosely(app: Any, db: Any) -> None:
    """Have MariaDB and MySQL accept what they do outside of strict mode, as some hosts do."""

    @sa.event.listens_for(db.engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        if db.engine.dialect.name in ("mysql", "mariadb"):
            connection.cursor().execute("SET SESSION sql_mode = ''")

    db.engine.dispose()


@pytest.fixture
def elsewhere(session: Any, db: Any) -> Callable[..., Any]:
    """`elsewhere(statement)`: execute and commit it on another connection."""

    def elsewhere(statement: Any) -> None:
        with db.engine.begin() as connection:
            connection.execute(statement)

    return elsewhere


@pytest.fixture
def start(app: Any, db: Any) -> Iterator[Callable[[Callable[[], Any]], Future[Any]]]:
    """`start(action)`: do and commit it in another thread, with a session of its own."""

    def run(action: Callable[[], Any]) -> Any:
        with app.app_context():
            result = action()
            db.session.commit()
            return result

    with ThreadPoolExecutor() as pool:
        yield lambda action: pool.submit(run, action)


each_ending = pytest.mark.parametrize("ending", ["commit", "rollback"])


def test_each_database_has_its_writer(app, follows):
    """The writer is chosen by the dialect; the generic one serves whatever is not known."""
    edges = follows.follow_relation.edge_table
    known = [
        (sqlite, SQLiteWriter),
        (postgresql, PostgreSQLWriter),
        (mysql, MySQLWriter),
        (oracle, Writer),
    ]
    for module, writer in known:
        assert writer_class(edges, module.dialect()) is writer
    mariadb = mysql.dialect(is_mariadb=True)
    mariadb.name = "mariadb"
    assert writer_class(edges, mariadb) is MySQLWriter


# Databases set up in other ways


@pytest.mark.parametrize("follows", ["both", "none"], indirect=True)
def test_outside_of_strict_mode(loosely, users, follows, session):
    """In a mode that stores 0 for a NULL, unknown users are refused all the same."""
    first, second, third = users(3)
    for batch in [999], [second, 999], [second, third, 998, 999]:
        with pytest.raises(UnknownUserError):
            first.followed.add(*batch)
        with pytest.raises(UnknownUserError):
            first.followers.add(*batch)
    assert session.query(follows.Follow).count() == 0
    assert first.followed.add(second) == 1
    assert first.followed.add(second, third) == 1


@pytest.mark.parametrize("follows", ["both", "none"], indirect=True)
def test_another_unique_key_outside_of_strict_mode(loosely, users, follows, session, db):
    """There too, a duplicate of the host's own unique key is an error."""
    table = follows.Follow.__table__
    table.drop(db.engine)
    table.append_column(sa.Column("slot", sa.Integer, nullable=False, unique=True))
    table.create(db.engine)
    first, second, third = users(3)
    first.follow(second, slot=1)
    session.commit()
    for batch in [third], [second, third]:
        with pytest.raises(sa.exc.IntegrityError):
            first.followed.add(*batch, through_defaults={"slot": 1})
        session.rollback()
    assert first.followed.ids() == [second.id]


@pytest.mark.parametrize("follows", ["both", "none"], indirect=True)
def test_further_columns_that_are_refused(users, follows, session, db):
    """What the host's columns do not take is an error of the host's, unless the edge is there."""
    table = follows.Follow.__table__
    table.drop(db.engine)
    user = sa.ForeignKey("user.id", name="fk_by")
    table.append_column(sa.Column("by", sa.Integer, user, nullable=False))
    table.create(db.engine)
    first, second, third = users(3)
    assert first.follow(second, by=third.id)
    session.commit()
    for by in [None] if db.engine.dialect.name == "sqlite" else [None, 999]:
        with pytest.raises(sa.exc.IntegrityError):
            first.follow(third, by=by)
        session.rollback()
    for by in (None, 999):
        assert not first.follow(second, by=by)
    assert first.followed.ids() == [second.id]


def test_another_unique_key_that_is_free_again(users, follows, session, db):
    """What stood in the way may be gone when MySQL's writer looks for it: the edges are made."""
    first, second, third = users(3)
    first.follow(second)
    relation = follows.follow_relation
    writer = MySQLWriter(relation.edge_table, relation.source, relation.target, db.engine.dialect)
    pairs = [(first.id, second.id), (first.id, third.id)]
    values = relation.edge_values({})
    inserted = writer.violate_another_key(session.connection(), pairs, values)
    assert (inserted.count, inserted.pairs) == (1, [(first.id, third.id)])
    assert writer.violate_another_key(session.connection(), pairs, values).count == 0
    assert first.followed.count() == 2


def test_an_object_that_comes_meanwhile(users, User, follows, session, db, monkeypatch):
    """It may be there when a server is asked who is missing: then its edge is made."""
    (first,) = users(1)
    writer = follows.follow_relation.storage.writer(db.engine.dialect)

    def missing(connection, pairs):
        connection.execute(sa.insert(User.__table__).values(id=999, username="late"))
        return {}

    monkeypatch.setattr(writer, "missing", missing)
    if db.engine.dialect.name == "sqlite":  # where nobody writes meanwhile
        with pytest.raises(sa.exc.IntegrityError):
            first.follow(999)
    else:
        assert first.follow(999)
        assert first.followed.ids() == [999]


@pytest.mark.parametrize("follows", ["none"], indirect=True)
def test_without_foreign_keys(users, follows, session, writing):
    """Unknown users are refused where no foreign key does it."""
    first, second, third = users(3)
    for key in 999, 10**30:
        with pytest.raises(UnknownUserError):
            first.follow(key)
        with pytest.raises(UnknownUserError):
            follows.follow(key, first)
        with pytest.raises(UnknownUserError):
            first.followed.add(second, key)
    assert first.followed.add(second, third) == 2


@pytest.mark.parametrize("User", ["string"], indirect=True)
def test_a_key_is_not_cut_to_the_length_of_its_column(session, User, follows, writing):
    """A text longer than any key can be is nobody's key, and not that of a user alike."""
    alice, bob, carol = (User(id=name, username=name) for name in ("alice", "bob", "carol"))
    session.add_all([alice, bob, carol])
    for batch in ["alicex"], ["alicex", "carol"], ["alicexxxxxxxxxxxxxx", "carolx"]:
        with pytest.raises(UnknownUserError):
            bob.followed.add(*batch)
        with pytest.raises(UnknownUserError):
            bob.followers.add(*batch)
    assert not follows.is_following("bob", "alicex")
    assert bob.followed.add(alice, carol) == 2
    assert not bob.unfollow("alicex")
    assert bob.followed.remove("alicex", "carolx") == 0


def test_edges_without_a_time(users, follows, session):
    """An edge table without a time is written in the same way."""
    relation = follows.follow_relation
    first, second, third = (user.id for user in users(3))
    connection = session.connection()
    timeless, dialect = dataclasses.replace(relation.edge_table, time=None), connection.dialect
    writer = writer_class(timeless, dialect)(timeless, relation.source, relation.target, dialect)
    values = {"created_at": relation.edge_table.clock()}
    assert writer.insert(connection, [(first, second)], values).count == 1
    assert writer.insert(connection, [(first, second)], values).count == 0
    assert writer.insert(connection, [(first, second), (first, third)], values).count == 1


# Beside other transactions


def test_a_user_deleted_meanwhile(users, session, elsewhere, User, writing):
    """A user whom another connection deleted since they were loaded is unknown."""
    first, second, third = users(3)
    assert second.username == "u1"  # a snapshot begins, where the database has one
    elsewhere(sa.delete(User.__table__).where(User.__table__.c.id == second.id))
    with pytest.raises(UnknownUserError, match="key 2;"):
        first.follow(second)
    with pytest.raises(UnknownUserError, match="key 2;"):
        first.followed.add(second, third)
    with pytest.raises(UnknownUserError, match="key 2;"):
        second.follow(first)
    with pytest.raises(UnknownUserError, match="key 2;"):
        first.followed.set([second, third], clear=True)
    assert first.follow(third)
    session.commit()
    assert first.followed.ids() == [third.id]


@pytest.mark.parametrize("number", [1, 2])
@each_ending
def test_a_user_being_deleted_meanwhile(
    users, session, start, db, User, follows, writing, ending, number
):
    """An uncommitted deletion is waited for, and its outcome decides."""
    keys = [user.id for user in users(number + 1)]
    table = User.__table__
    with db.engine.connect() as connection:
        connection.execute(sa.delete(table).where(table.c.id == keys[1]))
        following = start(lambda: session.get(User, keys[0]).followed.add(*keys[1:]))
        time.sleep(MOMENT)
        assert not following.done()
        getattr(connection, ending)()
    if ending == "commit":
        with pytest.raises(UnknownUserError, match=f"key {keys[1]};"):
            following.result()
    else:
        assert following.result() == number
    assert session.query(follows.Follow).count() == (number if ending == "rollback" else 0)


@each_ending
def test_the_same_edge_being_made_meanwhile(users, session, start, db, User, follows, ending):
    """An uncommitted edge is waited for, and its outcome says who made it."""
    first, second = (user.id for user in users(2))
    follows.follow(first, second)
    following = start(lambda: follows.follow(first, second))
    time.sleep(MOMENT)
    assert not following.done()
    getattr(session, ending)()
    assert following.result() == (ending == "rollback")
    assert session.query(follows.Follow).count() == 1


@each_ending
def test_the_same_edge_being_removed_meanwhile(users, session, start, follows, ending):
    """An uncommitted removal is waited for, and its outcome says who removed it."""
    first, second = (user.id for user in users(2))
    follows.follow(first, second)
    session.commit()
    follows.unfollow(first, second)
    unfollowing = start(lambda: follows.unfollow(first, second))
    time.sleep(MOMENT)
    assert not unfollowing.done()
    getattr(session, ending)()
    assert unfollowing.result() == (ending == "rollback")
    assert session.query(follows.Follow).count() == 0


def test_an_edge_removed_and_made_again_meanwhile(users, session, elsewhere, follows):
    """An edge that another connection removed is made again, whatever our snapshot shows."""
    first, second = users(2)
    first.follow(second)
    session.commit()
    assert first.is_following(second)
    elsewhere(sa.delete(follows.Follow.__table__))
    assert first.follow(second)
    session.commit()
    assert first.followed.ids() == [second.id]


def test_a_deadlock_is_no_unknown_user(users, session, start, db, User, follows):
    """A deadlock takes new users with it, and still it is not said that they do not exist.

    On SQLite, with its one lock for all writers, there is none.
    """
    first, second = (user.id for user in users(2))

    def follow(own: int, other: int) -> bool:
        session.execute(sa.select(User).where(User.id == own).with_for_update())
        session.add(new := User(username=f"new{own}"))
        session.flush()
        time.sleep(MOMENT)
        return follows.follow(new, other)

    endings = [start(lambda: follow(first, second)), start(lambda: follow(second, first))]
    errors = [error for error in (ending.exception() for ending in endings) if error]
    deadlocks = 0 if db.engine.dialect.name == "sqlite" else 1
    assert [type(error) for error in errors] == [sa.exc.OperationalError] * deadlocks
    assert session.query(follows.Follow).count() == 2 - deadlocks


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
    assert done


@pytest.mark.parametrize("writing", ["generic"], indirect=True)
def test_an_edge_made_by_a_faster_one(users, session, db, follows, writing, elsewhere):
    """An edge that another transaction makes right before us is no error and no double count."""
    first, second, third, fourth = users(4)
    assert not first.is_following(third)  # a snapshot begins, where the database has one
    faster = {"follower_id": first.id, "followed_id": third.id, "created_at": NOW}
    with before_the_first_write(
        db.engine, lambda: elsewhere(sa.insert(follows.Follow.__table__).values(faster))
    ):
        assert first.followed.add(second, third, fourth) == 2
    session.commit()
    assert sorted(first.followed.ids()) == [second.id, third.id, fourth.id]


@pytest.mark.parametrize("orig", [None, Exception(), Exception(1213, "Deadlock found")])
def test_an_error_that_is_none_of_integrity(orig):
    """A deadlock stays the error that it is."""
    error = OperationalError("INSERT", {}, orig)
    assert as_integrity_error(error) is error
