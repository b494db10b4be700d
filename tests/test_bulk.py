"""`add_many`: many edges at once, on each database by its own way and by that of single edges."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import mapped_column

from flask_follows import Follows, SelfFollowError, UnknownUserError, WrongTypeError, bulk, dialects
from flask_follows.chunks import CHUNK
from flask_follows.signals import followed, relation_changed
from flask_follows.statements import Writer
from flask_follows.storage import Directed

from .models import make_user_model

MOMENT = datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))

KEYS: dict[str, Callable[[], Any]] = {
    "int": lambda: sa.Integer,
    "uuid": lambda: mapped_column(sa.Uuid, primary_key=True, default=uuid4),
    "string": lambda: mapped_column(
        sa.String(12), primary_key=True, default=lambda: f"'\\%s é{uuid4().hex[:5]}"
    ),
}
each_key = pytest.mark.parametrize("User", list(KEYS), indirect=True)
each_way = pytest.mark.parametrize("way", ["bulk", "single", "generic"], indirect=True)
each_host = pytest.mark.parametrize(
    "follows", [{}, {"foreign_keys": "none"}], ids=["foreign keys", "none"], indirect=True
)


@pytest.fixture
def User(request: pytest.FixtureRequest, db: SQLAlchemy) -> Any:
    """The host's model, with the kind of key that the test names."""
    return make_user_model(db, key=KEYS[getattr(request, "param", "int")]())


@pytest.fixture
def follows(request: pytest.FixtureRequest) -> Follows:
    """The extension, with the options that the test names."""
    return Follows(**getattr(request, "param", {}))


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have edges added by the database's bulk insert, one by one, or by the generic writer."""
    if request.param == "single":
        monkeypatch.setattr(bulk, "WAYS", {})
    if request.param == "generic":
        for dialect in dialects.WRITERS:
            monkeypatch.setitem(dialects.WRITERS, dialect, Writer)
    return request.param


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a batch hold four edges."""
    monkeypatch.setattr(bulk, "BATCH", 4)


@pytest.fixture
def stored(follows: Follows, session: Any) -> Callable[[], dict[tuple[Any, Any], datetime]]:
    """A function that returns what is in the table: times by pair."""

    def stored() -> dict[tuple[Any, Any], datetime]:
        rows = session.execute(sa.select(follows.Follow.__table__))
        return {(row[0], row[1]): row[2] for row in rows}

    return stored


@pytest.fixture
def keys(users: Callable[[int], list[Any]]) -> list[Any]:
    """The keys of six users."""
    return [user.id for user in users(6)]


def all_pairs(keys: list[Any]) -> list[tuple[Any, Any]]:
    """Return every pair of two different keys, in no order."""
    pairs = [(a, b) for a in keys for b in keys if a != b]
    random.Random(1).shuffle(pairs)
    return pairs


def unknown_key(like: Any) -> Any:
    """Return a key of the same type that nobody has."""
    if isinstance(like, int):
        return 4_000
    return "nobody" if isinstance(like, str) else uuid4()


@each_host
@each_key
@each_way
def test_edges_are_added_once(keys, follows, stored, session, way):
    """New pairs are made and counted; one that is there, or comes twice, is no error."""
    pairs = all_pairs(keys)
    assert follows.add_many(iter(pairs[:10])) == 10
    session.commit()
    assert follows.add_many(pairs + pairs[::-1]) == 20
    assert follows.add_many(pairs) == 0
    assert set(stored()) == set(pairs)


@each_way
def test_objects_are_taken_for_their_keys(users, follows, stored, way):
    """Users and keys may be mixed; a pending user is flushed."""
    ann, bob, cat = users(3)
    assert follows.add_many([(ann, bob.id), (cat.id, ann)]) == 2
    assert set(stored()) == {(ann.id, bob.id), (cat.id, ann.id)}


@each_way
def test_times(keys, follows, stored, way):
    """Edges have their own time where one is given, else that of the call; old ones keep theirs."""
    a, b, c, d, *_ = keys
    before = datetime.now(timezone.utc)
    follows.add_many([(a, b, MOMENT), (a, c), (b, a, MOMENT + timedelta(1)), (b, c, None)])
    follows.add_many([(a, b, MOMENT + timedelta(2)), (a, d, MOMENT), (d, a, MOMENT)])
    times = stored()
    assert {pair for pair, time in times.items() if time == MOMENT} == {(a, b), (a, d), (d, a)}
    assert times[b, a] == MOMENT + timedelta(1)
    assert times[a, c] == times[b, c]
    assert before <= times[a, c] <= datetime.now(timezone.utc)


@each_way
def test_ancient_and_distant_times(keys, follows, stored, way):
    """A time is stored whole, however far away."""
    a, b, c, *_ = keys
    ancient = datetime(1000, 1, 1, tzinfo=timezone.utc)
    distant = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)
    follows.add_many([(a, b, ancient), (a, c, distant)])
    assert stored() == {(a, b): ancient, (a, c): distant}


@each_host
@each_key
@each_way
def test_an_unknown_user(keys, follows, stored, session, way, small_batches):
    """A key that nobody has is named; its batch is not written, and the transaction goes on."""
    nobody, pairs = unknown_key(keys[0]), all_pairs(keys)
    for bad in (nobody, keys[0]), (keys[0], nobody):
        with pytest.raises(UnknownUserError, match="nobody" if nobody == "nobody" else str(nobody)):
            follows.add_many([*pairs[:6], bad, *pairs[6:]])
        assert set(stored()) == set(pairs[:4])
        session.rollback()
    assert follows.add_many(pairs) == len(pairs)
    session.commit()


@each_way
@pytest.mark.parametrize("key", [2**31, -(2**63) - 1, 10**40])
def test_a_key_out_of_range(keys, follows, stored, session, way, key):
    """A number that no key can be is nobody's key; the transaction goes on."""
    with pytest.raises(UnknownUserError, match=str(key)):
        follows.add_many([(keys[0], keys[1]), (keys[0], key)])
    assert follows.add_many([(keys[0], keys[1])]) == 1


@each_way
def test_a_self_follow(keys, follows, stored, session, way, small_batches):
    """A pair of one key is refused, and its batch with it; the transaction goes on."""
    pairs = all_pairs(keys)
    with pytest.raises(SelfFollowError):
        follows.add_many([*pairs[:6], (keys[0], keys[0])])
    assert set(stored()) == set(pairs[:4])
    assert follows.add_many(pairs) == len(pairs) - 4


@each_way
@pytest.mark.parametrize("follows", [{"allow_self_follow": True}], indirect=True)
def test_a_self_follow_that_is_allowed(keys, follows, stored, way):
    """Where users may follow themselves, such a pair is one like any other."""
    assert follows.add_many([(keys[0], keys[0]), (keys[0], keys[1])]) == 2


@each_way
def test_a_wrong_key(keys, follows, stored, session, way):
    """Something that is no key is refused before anything of its batch is written."""
    with pytest.raises(WrongTypeError):
        follows.add_many([(keys[0], keys[1]), (keys[0], "2")])
    assert stored() == {}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([5], r"add_many takes \(source, target\).*, got 5"),
        ([(1,)], r"add_many takes .*, got \(1,\)"),
        ([(1, 2, 3, 4)], r"add_many takes .*, got \(1, 2, 3, 4\)"),
        ([(1, 2), (1, 2, 3, 4)], r"add_many takes .*, got \(1, 2, 3, 4\)"),
        ([(1, 2, "now")], "created_at takes a datetime with a time zone, got 'now'"),
        ([(1, 2, datetime(2020, 1, 1))], "created_at takes a datetime with a time zone"),
    ],
)
def test_what_is_no_pair(app, follows, pairs, message):
    """It is refused by the contract's error, and shown."""
    with pytest.raises(WrongTypeError, match=message):
        follows.add_many(pairs)


def test_nothing(app, follows, assert_statements):
    """No pairs at all cost nothing."""
    with assert_statements(0):
        assert follows.add_many([]) == 0


def test_the_statements(users, follows, assert_statements, session, database):
    """One look at each key of a transaction and one insert a batch, however many the edges."""
    keys = [user.id for user in users(60)]
    pairs = all_pairs(keys)
    begin = 1 if database.name == "sqlite" else 0  # a write that takes SQLite's write lock
    with assert_statements(begin + 2):
        assert follows.add_many(pairs) == len(pairs)
    session.commit()


def test_keys_are_looked_up_once(keys, follows, count_statements, small_batches, database):
    """A key that came in an earlier batch of the transaction is not looked up again."""
    pairs = sorted(all_pairs(keys))
    with count_statements() as counted:
        follows.add_many(pairs)
    assert len(pairs) > bulk.BATCH * 7
    looks = [line for line in counted.statements if line.startswith("SELECT")]
    assert len(looks) == 2  # the last of the six keys is in the second batch


def test_few_keys_are_remembered(keys, follows, stored, small_batches, monkeypatch):
    """When too many keys are remembered they are forgotten, and looked up anew."""
    monkeypatch.setattr(bulk, "REMEMBERED", 2)
    pairs = all_pairs(keys)
    assert follows.add_many(pairs) == len(pairs)
    assert set(stored()) == set(pairs)


def test_progress(keys, follows, small_batches):
    """Progress is told after each batch, with the number of pairs in it, new or not."""
    told: list[int] = []
    pairs = iter([*all_pairs(keys)[:9], all_pairs(keys)[0]])
    taken: list[Any] = []

    def watched():
        for pair in pairs:
            taken.append(pair)
            yield pair

    assert follows.add_many(watched(), lambda number: told.append(number - len(taken))) == 9
    assert told == [4 - 4, 4 - 8, 2 - 10]  # no pair is taken before its batch


@each_host
def test_a_commit_between_batches(keys, follows, stored, session, User, small_batches):
    """When the caller commits on the way, nothing known of the last transaction counts."""
    a, b, c, *_ = keys
    pairs = [(a, b), (b, a), (a, c), (c, a), (b, c)]

    def commit_and_delete(_number):
        session.execute(sa.delete(User).where(User.id == c))
        session.commit()

    with pytest.raises(UnknownUserError, match=f"{c}"):
        follows.add_many(pairs, commit_and_delete)
    assert set(stored()) == {(a, b), (b, a)}


@each_host
def test_users_are_held(keys, follows, session, app, db, database, User):
    """A user cannot be deleted by another transaction while edges to them are on the way."""
    follows.add_many([(keys[0], keys[1])])
    refused: list[Exception] = []
    impatience = {
        "postgresql": "SET lock_timeout = '100ms'",
        "sqlite": "PRAGMA busy_timeout = 100",
    }.get(database.name, "SET innodb_lock_wait_timeout = 1")

    def delete() -> None:
        with app.app_context(), db.engine.connect() as connection:
            connection.exec_driver_sql(impatience)
            try:
                connection.execute(sa.delete(User.__table__).where(User.id == keys[1]))
            except DBAPIError as error:
                refused.append(error)
            connection.invalidate()

    thread = threading.Thread(target=delete)
    thread.start()
    thread.join()
    assert len(refused) == 1
    session.commit()


def test_many_at_once(users, follows, app, db, stored, session, database):
    """Four bulk inserts of the same pairs at once make each edge once, and say so together."""
    pairs = all_pairs([user.id for user in users(40)])
    made, errors, start = [], [], threading.Barrier(4)

    def add(seed: int) -> None:
        mine = list(pairs)
        random.Random(seed).shuffle(mine)
        with app.app_context():
            start.wait()
            try:
                for first in range(0, len(mine), 100):
                    made.append(follows.add_many(mine[first : first + 100]))
                    db.session.commit()
            except DBAPIError as error:
                made.pop()
                errors.append(error)

    threads = [threading.Thread(target=add, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # InnoDB may sacrifice one of two transactions that wait for each other.
    assert len(errors) <= (3 if database.name == "mariadb" else 0), errors
    assert sum(made) == len(stored()) == len(pairs)


def test_listeners_hear_of_each_new_edge(keys, follows, app, session):
    """Someone who listens is told the exact new pairs, now and after the commit."""
    pairs = all_pairs(keys)
    follows.add_many(pairs[:10])
    session.commit()
    changed, after = [], []

    def on_change(_sender, pairs, instance, **_):
        assert instance is None
        changed.extend(pairs)

    def on_follow(_sender, follower_id, followed_id, **_):
        after.append((follower_id, followed_id))

    with relation_changed.connected_to(on_change, app), followed.connected_to(on_follow, app):
        assert follows.add_many([(*pair, MOMENT) for pair in pairs]) == len(pairs) - 10
        assert sorted(changed) == sorted(pairs[10:])
        assert after == []
        session.commit()
    assert sorted(after) == sorted(pairs[10:])


def test_a_loaded_edge_is_refreshed(users, follows, session, app, db):
    """An edge object that the session holds shows the row that was made in its place."""
    ann, bob = users(2)
    follows.add_many([(ann.id, bob.id, MOMENT)])
    session.commit()
    edge = session.get(follows.Follow, (ann.id, bob.id))
    assert edge.created_at == MOMENT
    session.commit()
    with db.engine.begin() as connection:
        connection.execute(sa.delete(follows.Follow.__table__))
    follows.add_many([(ann.id, bob.id, MOMENT + timedelta(1))])
    assert edge.created_at == MOMENT + timedelta(1)


def test_a_further_column(keys, follows, session, stored):
    """A further column of the edges gets its default, row by row."""
    table, numbers = follows.Follow.__table__, iter(range(100))
    table.drop(session.get_bind())
    table.append_column(sa.Column("number", sa.Integer, default=lambda: next(numbers)))
    table.create(session.get_bind())
    assert follows.add_many(all_pairs(keys)) == 30
    assert session.scalar(sa.select(sa.func.count(table.c.number.distinct()))) == 30


@each_way
def test_edges_without_a_time(keys, follows, session, stored, way):
    """Edges of which we do not keep the time are added too, with the host's own default."""
    relation = follows.follow_relation
    timeless = dataclasses.replace(relation.edge_table, time=None, clock=None)
    relation.storage = Directed(timeless, relation.source, relation.target)
    assert follows.add_many(all_pairs(keys)) == 30
    assert len(stored()) == 30


@each_way
def test_more_than_one_statement_of_unknown_users(users, follows, session, stored, way):
    """A batch of several statements is refused as a whole for one unknown key in the last."""
    keys = [user.id for user in users(25)]
    pairs = sorted(all_pairs(keys))
    assert len(pairs) > CHUNK
    for times in [()], [(MOMENT,), ()]:
        rows = [(*pair, *times[i % len(times)]) for i, pair in enumerate(pairs)]
        with pytest.raises(UnknownUserError, match="4000"):
            follows.add_many([*rows, (keys[-1], 4_000)])
        assert stored() == {}
    assert follows.add_many(rows) == len(pairs)
