"""Graphs as CSV in and out: nothing good is lost, and what is bad is told of.

How lines are read is in `test_lines.py`, how users are found and created in `test_names.py`.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import mapped_column

from flask_follows import ConfigurationError, Follows, FollowsError, UnknownUserError, transfer
from flask_follows.names import CreationError, UserNames
from flask_follows.transfer import Imported, Rejected, export, import_

from .hosts import KEYS, add_users, stored
from .models import make_user_model

THEN = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)


@pytest.fixture
def follows(request: pytest.FixtureRequest) -> Follows:
    """An extension object with the options that the test names."""
    return Follows(**getattr(request, "param", {}))


@pytest.fixture
def relation(app, follows):
    """The follow relation."""
    return follows.follow_relation


@pytest.fixture
def load(follows, db) -> Callable[..., tuple[Imported, list[Rejected]]]:
    """`load(text, by=None, **options)`: import it; return what was done, and what rejected."""

    def load(
        content: str | bytes, by: str | None = None, **options: Any
    ) -> tuple[Imported, list[Rejected]]:
        raw = content.encode() if isinstance(content, str) else content
        relation, rejected = follows.follow_relation, list[Rejected]()
        names = UserNames(relation.source, by)
        done = import_(relation, io.BytesIO(raw), names, reject=rejected.append, **options)
        assert done.rejected == len(rejected)
        assert done.lines == done.made + done.present + done.rejected
        db.session.remove()  # what is not committed is gone
        return done, rejected

    return load


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    """Batches of three lines, in and out."""
    monkeypatch.setattr(transfer, "BATCH", 3)
    return 3


@pytest.fixture
def elsewhere(db) -> Callable[[Any], None]:
    """`elsewhere(statement)`: execute and commit it on another connection."""

    def elsewhere(statement: Any) -> None:
        with db.engine.begin() as connection:
            connection.execute(statement)

    return elsewhere


def rows(db: Any, relation: Any) -> list[tuple[Any, ...]]:
    """Return all that is in the edge table."""
    return sorted(tuple(row) for row in db.session.execute(sa.select(relation.edge_table.table)))


def names_of(db: Any, User: Any) -> set[str]:
    """Return the names of all users."""
    return set(db.session.scalars(sa.select(User.username)))


# In


def test_by_key(users, load, db, relation):
    """Edges are made once, however often they come; the rest is counted as present."""
    first, second, third = (user.id for user in users(3))
    content = f"{first},{second}\n{second},{third}\n{first},{second}\n"
    assert load(content) == (Imported(lines=3, made=2, present=1), [])
    assert stored(db, relation) == {(first, second), (second, third)}
    assert load(content) == (Imported(lines=3, made=0, present=3), [])


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key(kind, db, follows, start, load):
    """Every kind of key goes out, and in again."""
    column, keys, _ = KEYS[kind]
    User = make_user_model(db, key=column)
    start(db, User)
    add_users(db, User, keys=keys)
    relation = follows.follow_relation
    follows.add_many([(a, b) for a in keys for b in keys if a != b])
    db.session.commit()
    before = rows(db, relation)
    content = "".join(export(relation, UserNames(relation.source)))
    db.session.execute(sa.delete(relation.edge_table.table))
    db.session.commit()
    assert load(content) == (Imported(lines=6, made=6), [])
    assert rows(db, relation) == before


def test_by_name(users, load, db, relation):
    """Users are named by any other column."""
    first, second = (user.id for user in users(2))
    assert load("u0,u1\nu1,u2\n", by="username") == (
        Imported(lines=2, made=1, rejected=1),
        [Rejected(2, "no user with username 'u2'", "u1,u2")],
    )
    assert stored(db, relation) == {(first, second)}


def test_times_are_kept(users, load, db, relation):
    """The time of an edge is that of its line; without one, it is now."""
    first, second, third = (user.id for user in users(3))
    began = datetime.now(timezone.utc)
    load(
        f"{first},{second},2020-01-02T05:04:05.678901+02:00\n"
        f"{second},{first},2020-01-02T03:04:05.678901Z\n"
        f"{first},{third},\n{third},{first}\n"
    )
    times = {row[:2]: row[2] for row in rows(db, relation)}
    assert times[first, second] == times[second, first] == THEN
    assert began <= times[first, third] <= datetime.now(timezone.utc)
    assert times[first, third] == times[third, first]


def test_the_time_that_is_there_stays(users, load, db, relation):
    """An edge that is there, or came first, keeps its time."""
    first, second = (user.id for user in users(2))
    load(f"{first},{second},2020-01-02T03:04:05.678901Z\n{first},{second},2021-01-01T00:00Z")
    load(f"{first},{second},2022-01-01T00:00Z\n{first},{second}\n")
    assert rows(db, relation) == [(first, second, THEN)]


BAD_LINES = [
    ("u0", "1 field, expected 2 or 3"),
    ("u0,u1,,", "4 fields, expected 2 or 3"),
    ("u0,nobody", "no user with username 'nobody'"),
    (",u1", "no user with username ''"),
    ("u1,u1", "'u1' cannot follow itself"),
    ("u0,u1,soon", "'soon' is not a time like 2024-01-31T12:00:00Z"),
    ("u0,u1,2024-01-01T00:00:00", "'2024-01-01T00:00:00' has no time zone"),
    ('u0,"u1', "unexpected end of data"),
    ("u0,\0", "has a NUL character"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_line_holds_nothing_up(line, reason, users, load, db, relation, small_batches):
    """Wherever in a batch it stands, it alone is rejected, and the others are imported."""
    users(7)
    for place in range(7):
        lines = [f"u{number},u{number + 1}" for number in range(6)]
        lines.insert(place, line)
        done, rejected = load("\n".join(lines), by="username")
        assert rejected == [Rejected(place + 1, reason, line)]
        assert (done.made, len(stored(db, relation))) == (6, 6)
        db.session.execute(sa.delete(relation.edge_table.table))
        db.session.commit()


def test_numbers_that_are_no_keys(users, load, db, relation):
    """A key out of any range is one that nobody has."""
    first, second = (user.id for user in users(2))
    bad = [2**31, -(2**63), 2**63, 2**64, "9" * 20, "9" * 21, "x", "1.5"]
    content = "".join(f"{key},{second}\n{first},{second}\n" for key in bad)
    done, rejected = load(content)
    assert (done.made, [line.number for line in rejected]) == (1, list(range(1, 16, 2)))
    assert {line.reason.split(" with ")[0] for line in rejected[:5]} == {"no user"}
    assert all("is not a whole number" in line.reason for line in rejected[5:])


def test_bad_lines_come_in_order(users, load, small_batches):
    """Whatever is wrong with them, in the order of the file."""
    users(2)
    _, rejected = load("u0,u0\nu0\nu1,u0\nx,u1\nu1\nu1,u1\n", by="username")
    assert [line.number for line in rejected] == [1, 2, 4, 5, 6]


@pytest.mark.parametrize("follows", [{"allow_self_follow": True}], indirect=True)
def test_following_oneself_where_it_is_allowed(users, load, db, relation):
    """Where users may follow themselves, such a line is good."""
    (user,) = users(1)
    assert load(f"{user.id},{user.id}")[0].made == 1


def test_a_name_that_several_users_have(db, start, load):
    """Lines with a name that is not one user's are rejected."""
    User = make_user_model(db, city=mapped_column(sa.String(20)))
    start(db, User)
    db.session.add_all(User(username=name, city=name[0]) for name in ("r1", "r2", "o1"))
    db.session.commit()
    assert load("r,o\n", by="city")[1] == [Rejected(1, "several users with city 'r'", "r,o")]


def test_progress(users, load, small_batches):
    """What was done so far is told after each commit."""
    users(6)
    told = []
    content = "".join(f"u{number},u{number + 1}\n" for number in range(5))
    load(content, by="username", progress=lambda done: told.append((done.lines, done.made)))
    assert told == [(3, 3), (5, 5)]


def test_an_interruption(users, load, db, relation, small_batches):
    """What was committed stays, what was not is gone, and the next run does the rest."""
    users(9)
    content = "".join(f"u{number},u{number + 1}\n" for number in range(8))

    def interrupt(done: Imported) -> None:
        if done.lines == 6:
            relation.add(1, 9)  # of a batch that is not committed
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(content, by="username", progress=interrupt)
    db.session.remove()
    assert len(stored(db, relation)) == 6
    assert load(content, by="username")[0] == Imported(lines=8, made=2, present=6)


def test_an_interruption_inside_a_batch(users, load, db, relation, small_batches, monkeypatch):
    """A batch is written whole or not at all."""
    users(9)
    content = "".join(f"u{number},u{number + 1}\n" for number in range(8))
    add_many, calls = relation.add_many, []

    def interrupted(pairs: Any) -> int:
        calls.append(add_many(pairs))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return calls[-1]

    with monkeypatch.context() as patch:
        patch.setattr(relation, "add_many", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(content, by="username")
    db.session.remove()
    assert len(stored(db, relation)) == 3
    assert load(content, by="username")[0] == Imported(lines=8, made=5, present=3)


def test_a_user_deleted_meanwhile(
    users, load, db, relation, User, elsewhere, small_batches, monkeypatch
):
    """Lines of a user deleted after we looked are rejected, and cost no other line."""
    first, second, third = (user.id for user in users(3))
    add_many, calls = relation.add_many, []

    def after_deletion(pairs: Any) -> int:
        if not calls:
            elsewhere(sa.delete(User).where(User.id == second))
        calls.append(pairs)
        return add_many(pairs)

    monkeypatch.setattr(relation, "add_many", after_deletion)
    done, rejected = load("u0,u1\nu0,u2\nu2,u0\n", by="username")
    assert (done.made, len(calls)) == (2, 2)
    assert rejected == [Rejected(1, "no user with username 'u1'", "u0,u1")]
    assert stored(db, relation) == {(first, third), (third, first)}


def test_users_deleted_again_and_again(users, load, relation, monkeypatch):
    """An import that cannot go on ends with the error; it does not try for ever."""
    users(2)

    def fail(_pairs: Any) -> int:
        raise UnknownUserError("no User with key 1")

    monkeypatch.setattr(relation, "add_many", fail)
    with pytest.raises(UnknownUserError):
        load("u0,u1\n", by="username")


# Users created on the way


def test_creating_users(users, load, db, relation, User, small_batches):
    """Users that do not exist are created, once each, and their edges made."""
    users(1)
    content = "u0,ann\nann,bob\nbob,u0\ncleo,dan\nann,dan\n"
    done, rejected = load(content, by="username", create_missing=True)
    assert (done, rejected) == (Imported(lines=5, made=5, users_created=4), [])
    assert names_of(db, User) == {"u0", "ann", "bob", "cleo", "dan"}
    assert load(content, by="username", create_missing=True)[0] == Imported(lines=5, present=5)


def test_nobody_is_created_unasked(users, load, db, User):
    """Without the option, an unknown name is a bad line."""
    assert load("ann,bob\n", by="username")[0].rejected == 1
    assert names_of(db, User) == set()


def test_no_users_from_keys(load, app):
    """A key is for the database to give."""
    with pytest.raises(ConfigurationError, match="cannot be created by primary key"):
        load("1,2\n", create_missing=True)


def test_no_user_without_a_name(load, db, User, app):
    """An empty field creates nobody."""
    done, rejected = load(',ann\n"",""\nann,bob\n', by="username", create_missing=True)
    assert (done.made, [line.number for line in rejected]) == (1, [1, 2])
    assert names_of(db, User) == {"ann", "bob"}


def test_names_that_are_the_same_to_the_database(load, db, relation, User, app):
    """Names that the database takes for one become one user, wherever they stand."""
    done, rejected = load("Ann,Zoë\nann,bob\nANN,zoe\n", by="username", create_missing=True)
    if db.engine.dialect.name in ("mysql", "mariadb"):
        assert (done.users_created, done.made, done.present) == (3, 2, 1)
    else:
        assert (done.users_created, done.made, done.present) == (6, 3, 0)
    assert rejected == []
    assert load("ANN,bob", by="username", create_missing=True)[0].users_created == 0


def test_a_user_created_meanwhile(load, db, relation, User, elsewhere, app, monkeypatch):
    """A user whom somebody else creates after we looked is taken, not made again."""
    opened = transfer.open_transaction

    def after_creation(*arguments: Any) -> None:
        elsewhere(sa.insert(User).values(username="bob"))
        opened(*arguments)

    monkeypatch.setattr(transfer, "open_transaction", after_creation)
    done, rejected = load("ann,bob\nbob,cleo\n", by="username", create_missing=True)
    assert (done, rejected) == (Imported(lines=2, made=2, users_created=2), [])
    assert names_of(db, User) == {"ann", "bob", "cleo"}


def test_a_user_deleted_meanwhile_and_created(
    users, load, db, relation, User, elsewhere, monkeypatch
):
    """A second look creates whom it misses, and counts only those that last."""
    users(1)
    add_many, calls = relation.add_many, []

    def after_deletion(pairs: Any) -> int:
        calls.append(pairs)
        if len(calls) == 1:
            raise UnknownUserError("as if deleted")
        return add_many(pairs)

    monkeypatch.setattr(relation, "add_many", after_deletion)
    done, _ = load("u0,ann\n", by="username", create_missing=True)
    assert done == Imported(lines=1, made=1, users_created=1)


def test_a_name_that_cannot_be_created(load, db, relation, User, app):
    """Its lines are rejected with the reason, and the others are imported."""
    name = "x" * 81
    done, rejected = load(f"ann,{name}\nann,bob\n", by="username", create_missing=True)
    if db.engine.dialect.name == "sqlite":  # takes texts of any length
        assert (done.made, rejected) == (2, [])
    else:
        assert (done.made, done.users_created) == (1, 2)
        assert [line.number for line in rejected] == [1]
        assert "cannot create User 'xxx" in rejected[0].reason


def test_a_model_that_needs_more(db, start, load, follows, small_batches):
    """The import ends with a message; what was committed before stays."""
    User = make_user_model(db, mail=mapped_column(sa.String(20), nullable=False))
    start(db, User)
    add_users(db, User, 4, mail="-")
    with pytest.raises(CreationError, match="it needs mail too"):
        load("u0,u1\nu1,u2\nu2,u3\nu3,ann\n", by="username", create_missing=True)
    db.session.remove()
    assert len(stored(db, follows.follow_relation)) == 3


# Out


def test_export(users, db, relation, session):
    """The header comes first, then the edges in the order of their keys."""
    first, second, third = (user.id for user in users(3))
    for pair in [(third, first), (first, third), (first, second)]:
        relation.add(*pair, created_at=THEN)
    session.commit()
    time = "2020-01-02T03:04:05.678901+00:00"
    expected = [f"{first},{second},{time}", f"{first},{third},{time}", f"{third},{first},{time}"]
    lines = list(export(relation, UserNames(relation.source)))
    assert lines == ["follower,followed,created_at\n", *(f"{line}\n" for line in expected)]
    named = list(export(relation, UserNames(relation.source, "username")))
    assert named[1] == f"u0,u1,{time}\n"


def test_exporting_nothing(app, relation):
    """A graph without edges is a header."""
    names = UserNames(relation.source)
    assert list(export(relation, names)) == ["follower,followed,created_at\n"]


def test_exporting_in_pages(users, db, relation, session, small_batches, count_statements):
    """However the edges fall on pages, each comes once."""
    keys = [user.id for user in users(4)]
    pairs = [(a, b) for a in keys for b in keys if a != b]
    random.Random(1).shuffle(pairs)
    for number, pair in enumerate(pairs, 1):
        relation.add(*pair)
        session.commit()
        with count_statements() as counted:
            lines = list(export(relation, UserNames(relation.source)))[1:]
        assert [line.rsplit(",", 1)[0] for line in lines] == [
            f"{a},{b}" for a, b in sorted(pairs[:number])
        ]
        assert len(counted) == -(-number // small_batches) + 1


@pytest.mark.parametrize("name", ["a\nb", None])
def test_names_that_cannot_be_exported(name, db, start, follows):
    """A name with a line break, or none at all, is refused; the keys can be exported."""
    User = make_user_model(db, nick=mapped_column(sa.String(20), nullable=True))
    start(db, User)
    first, second = add_users(db, User, 2, nick=name)
    relation = follows.follow_relation
    relation.add(first, second)
    db.session.commit()
    with pytest.raises(FollowsError, match="export by key"):
        list(export(relation, UserNames(relation.source, "nick")))
    assert len(list(export(relation, UserNames(relation.source)))) == 2


NAMES = ["ann", "a,b", 'the "one"', " padded ", "Zoë", "'", "follower", "\\", "-", "#x", "1"]


@pytest.fixture
def other(make_database, database) -> Iterator[Flask]:
    """Another application, on another database, with the same users under other keys."""
    db, follows = SQLAlchemy(), Follows()
    User = make_user_model(db)
    app = Flask("other")
    app.config["SQLALCHEMY_DATABASE_URI"] = make_database()
    db.init_app(app)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        db.session.add_all(User(id=1000 - place, username=name) for place, name in enumerate(NAMES))
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


def test_round_trip(app, db, relation, User, session, small_batches, other):
    """What is exported by name is imported on another database as it was."""
    session.add_all(User(username=name) for name in NAMES)
    session.commit()
    keys = dict(session.execute(sa.select(User.username, User.id)).all())
    dice = random.Random(1)
    pairs = {tuple(dice.sample(NAMES, 2)) for _ in range(40)}
    relation.add_many(
        [(keys[a], keys[b], THEN.replace(second=dice.randrange(60))) for a, b in sorted(pairs)]
    )
    session.commit()
    content = "".join(export(relation, UserNames(relation.source, "username")))
    with other.app_context():
        theirs = other.extensions["follows"].follow_relation
        names = UserNames(theirs.source, "username")
        done = import_(theirs, io.BytesIO(content.encode()), names)
        assert done == Imported(lines=len(pairs), made=len(pairs))
        assert "".join(sorted(export(theirs, names))) == "".join(sorted(content.splitlines(True)))


def test_without_tables(db, follows, make_app, User, load):
    """A database without tables is its driver's error."""
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context(), pytest.raises((OperationalError, sa.exc.ProgrammingError)):
        load("1,2\n")


def test_users_with_uuid_names(db, start, load, follows):
    """A column with UUIDs serves as well as a name, also to create users."""
    User = make_user_model(db, token=mapped_column(sa.Uuid, unique=True), username=None)
    start(db, User)
    content = f"{UUID(int=1)},{str(UUID(int=2**127)).upper()}\n"
    done, _ = load(content, by="token", create_missing=True)
    assert (done.made, done.users_created) == (1, 2)
